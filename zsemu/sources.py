# SPDX-License-Identifier: GPL-2.0-only
"""Know the sources of zsemu by their content: what is kept on disk may depend on all of them."""

import hashlib
from functools import cache
from pathlib import Path

import zsemu


@cache
def sources_digest() -> str:
    """Return the SHA-256 of the sources of zsemu without the command line.

    They may change while the version stays the same.
    """
    package = Path(zsemu.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.glob("*/native/*.[ch]")]):
        name = path.relative_to(package)
        # What an installed package has in data/ no cell runs: workloads of recordings.
        if name.parts[0] in ("cli", "data"):
            continue
        content = path.read_bytes()
        digest.update(f"{name.as_posix()} {len(content)}\0".encode() + content)
    return digest.hexdigest()
