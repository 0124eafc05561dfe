# SPDX-License-Identifier: GPL-2.0-only
"""Find guest sources, traces and the cache, and write a file whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def _data(name: str) -> Path:
    """Return the directory ``name``: the one installed with the package, else the checkout's."""
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


ARCH = _data("arch")
TRACES = _data("traces")
DEFAULT_TRACE = "compile-zstd"
"""Name of the trace that is replayed if no other is named."""
VERBOSE = "ZSEMU_VERBOSE"
"""Name of an environment variable; if it is set, commands that compile are printed on stderr."""


def cache() -> Path:
    """Return the directory of what is kept: ``ZSEMU_CACHE``, or else the platform's default."""
    override = os.environ.get("ZSEMU_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("zsemu")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``, and rename it to ``path`` if the block succeeds.

    So nobody ever sees a half-written ``path``. If the block raises, ``path`` is left as it was and
    the temporary file is removed.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        with temporary.open("wb") as stream:
            yield stream
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
