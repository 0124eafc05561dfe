# SPDX-License-Identifier: GPL-2.0-only
"""Keep small results that take longer to compute than to read, under all that they depend on."""

import hashlib
from collections.abc import Callable
from contextlib import suppress

from zsemu.paths import cache, replacing
from zsemu.sources import sources_digest

_SUM = hashlib.sha256().digest_size


def kept(name: str, of: str, make: Callable[[], bytes | None]) -> bytes | None:
    """Return what ``make`` returns, from the cache if it is there.

    ``of`` is all that it depends on besides ``name`` and the sources of zsemu. A file of the cache
    begins with the SHA-256 of what follows. It is written whole or not at all. If it is damaged,
    what it should hold is made anew. Nothing is kept if ``make`` returns None, or where nothing can
    be written.
    """
    digest = hashlib.sha256(f"{sources_digest()} {name} {of}".encode()).hexdigest()
    file = cache() / "results" / f"{name}-{digest[:24]}"
    with suppress(OSError):
        found = file.read_bytes()
        if hashlib.sha256(found[_SUM:]).digest() == found[:_SUM]:
            return found[_SUM:]
    made = make()
    if made is not None:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as stream:
                stream.write(hashlib.sha256(made).digest() + made)
    return made
