# SPDX-License-Identifier: GPL-2.0-only
"""Where data lies (guest sources, traces, cache), and writing a file whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def _data(name: str) -> Path:
    """Return ``name`` as it is installed with the package, or else as it lies in a checkout."""
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


ARCH = _data("arch")
TRACES = _data("traces")
DEFAULT_TRACE = "compile-zstd"
"""what is replayed where nothing else is named"""
VERBOSE = "ZSEMU_VERBOSE"
"""if set, the commands that compile something are printed, on stderr"""


def cache() -> Path:
    """Return the directory of compiled images: ``ZSEMU_CACHE``, or else the platform's place."""
    override = os.environ.get("ZSEMU_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("zsemu")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` and rename it into place if the block succeeds.

    Nobody ever sees a half-written ``path``; if the block raises, ``path`` is untouched and the
    temporary file is gone.
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
