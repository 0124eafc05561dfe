# SPDX-License-Identifier: GPL-2.0-only
"""Time whole commands, as a user waits for them: this checkout's, and another's beside it.

The images of strategies are built anew each time; the native hooks are not.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.paths import ARCH

ROOT: Final = Path(__file__).parents[2]
_EDIT: Final = "	if (!zs_spans(loc))\n		return;\n"
"""in copy.c, before it copies out"""


@dataclass(frozen=True)
class Command:
    """A command, and how long a user should wait for it on two processors."""

    arguments: tuple[str, ...]
    status: int
    most: float
    """seconds"""
    what: str = ""
    code: str = ""
    """planted into mine.c, a copy of ``copy``"""
    builds: bool = True
    """whether it needs images and hooks"""

    @property
    def line(self) -> str:
        """What is printed of it."""
        line = " ".join(("zsemu", *self.arguments))
        return f"{line}, {self.what}" if self.what else line


_MINE = ("check", "./mine.c")
COMMANDS: Final = (
    Command(("--version",), 0, 0.15, builds=False),
    Command(_MINE, 0, 25, "holds"),
    Command(_MINE, 1, 40, "a wrong byte", "area->buffer[loc->header] ^= 1;"),
    Command(
        _MINE,
        1,
        40,
        "every 300th write wrong",
        "if (++area->private[0] % 300 == 0)\n		area->buffer[loc->header] ^= 1;",
    ),
    Command(
        _MINE,
        1,
        40,
        "wrong where a byte is 0x37",
        "if (area->buffer[loc->header + loc->length / 2] == 0x37)\n"
        "		area->buffer[loc->header] ^= 1;",
    ),
    Command(("check",), 0, 300),
    Command(("compare",), 0, 8),
    Command(("compare", "--trace", "sqlite-lzo-rle"), 0, 150),
    Command(("race", "--arch", "aarch64"), 0, 180),
)
_WARM: Final = Command(("check", "sg", "--arch", "x86_64", "-k", "2012"), 0, 0)
"""compiles the native hooks"""


@dataclass(frozen=True)
class Took:
    """What one run of a command took."""

    seconds: float
    processor: float
    """seconds, of all its processes"""
    memory: int
    """MiB, of its largest process"""


def _mine(code: str) -> str:
    text = (ARCH / "strategies" / "copy.c").read_text()
    if text.count(_EDIT) != 1:
        raise ZsemuError("copy.c: not as the benchmark expects it: see tests/bench/commands.py")
    # Nothing is promised, so that only what is planted fails.
    return text.replace("Promises:", "Promised:").replace(_EDIT, f"{_EDIT}\n	{code}\n")


def _run(checkout: Path, command: Command, folder: Path) -> Took:
    cache = folder / "cache"
    shutil.rmtree(cache / "images", ignore_errors=True)
    (folder / "mine.c").write_text(_mine(command.code))
    environment = os.environ | {"PYTHONPATH": str(checkout), "ZSEMU_CACHE": str(cache)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "zsemu", *command.arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != command.status:
        name = " ".join(command.arguments)
        raise ZsemuError(f"zsemu {name} exits with {done.returncode}", detail=done.stderr)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(seconds, processor, after.ru_maxrss >> 10)


def lines(only: str, repeat: int, against: Path | None) -> Iterator[str]:
    """Yield the lines of a table: medians of each command, the checkouts run by turns.

    ``only`` is what a command's line must contain. ZsemuError if a command does not end as it must.
    """
    checkouts = [ROOT, *([against.absolute()] if against else [])]
    yield f"{'seconds (processor), at most':58}" + "".join(f"{c.name:>16}" for c in checkouts)
    chosen = [command for command in COMMANDS if only in command.line]
    with tempfile.TemporaryDirectory() as place:
        for column, checkout in enumerate(checkouts):
            (Path(place) / str(column)).mkdir()
            if any(command.builds for command in chosen):
                _run(checkout, _WARM, Path(place) / str(column))
        for command in chosen:
            taken: list[list[Took]] = [[] for _ in checkouts]
            for _ in range(repeat):
                for column, checkout in enumerate(checkouts):
                    taken[column].append(_run(checkout, command, Path(place) / str(column)))
            cells = (
                f"{median(t.seconds for t in each):8.1f} ({median(t.processor for t in each):5.1f})"
                for each in taken
            )
            yield f"{command.line:50}{command.most:8g}" + "".join(cells)
