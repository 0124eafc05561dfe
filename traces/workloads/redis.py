# SPDX-License-Identifier: GPL-2.0-only
"""Fill a Redis server with JSON documents; then read, rewrite, append to and delete some of them.

The arguments are the numbers of documents and of requests behind that.
"""

import base64
import json
import random
import socket
import sys
import time
from pathlib import Path

DOCUMENTS, REQUESTS = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(14)
lines: list[str] = []
for path in sorted(Path("/usr/lib/python3.13").glob("*.py")):
    lines += [line.strip() for line in path.open(errors="replace") if len(line) > 20]

connection = socket.socket(socket.AF_UNIX)
connection.connect("/run/redis.sock")
answers = connection.makefile("rb")


def document(key: int) -> bytes:
    """Return a new document: text, and in three of ten an attachment of random bytes."""
    first = rng.randrange(len(lines) - 40)
    thumbnail = base64.b64encode(rng.randbytes(rng.randrange(500, 4000))).decode()
    return json.dumps(
        {
            "id": key,
            "session": rng.randbytes(16).hex(),
            "score": rng.gauss(0, 100),
            "tags": rng.sample(["new", "hot", "cold", "read", "draft", "shared", "private"], 3),
            "text": lines[first : first + rng.randrange(5, 40)],
            "thumbnail": thumbnail if rng.random() < 0.3 else None,
        }
    ).encode()


def command(*words: bytes) -> bytes:
    """Return a command as the server's protocol has it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def send(commands: list[bytes]) -> None:
    """Send commands, and read an answer for each."""
    connection.sendall(b"".join(commands))
    for _ in commands:
        answer = answers.readline()
        assert answer[:1] in b"+:$", answer
        if answer[:1] == b"$" and answer != b"$-1\r\n":
            answers.read(int(answer[1:]) + 2)


for start in range(0, DOCUMENTS, 50):
    send([command(b"SET", b"doc:%d" % k, document(k)) for k in range(start, start + 50)])
    if start % 10000 == 0:
        print("set", start, int(time.time()), flush=True)
for start in range(0, REQUESTS, 50):
    batch = []
    for _ in range(50):
        name = b"doc:%d" % (min(int(rng.paretovariate(0.4)) * 7919, 1 << 40) % DOCUMENTS)
        kind = rng.random()
        if kind < 0.70:
            batch.append(command(b"GET", name))
        elif kind < 0.88:
            batch.append(command(b"SET", name, document(int(name[4:]))))
        elif kind < 0.95:
            batch.append(command(b"APPEND", name, rng.choice(lines).encode()))
        else:
            batch.append(command(b"DEL", name))
    send(batch)
    if start % 5000 == 0:
        print("requests", start, int(time.time()), flush=True)
