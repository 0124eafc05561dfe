# SPDX-License-Identifier: GPL-2.0-only
"""Baselines: results kept under a name, to compare later ones with.

They lie in the directory that ZSEMU_BASELINES names, or else in ``.zsemu`` of the current one, as
``NAME.json``: ordinary documents of results, for a repository or a CI's cache.
"""

import os
import re
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.results.document import Document, load, save

_NAME: Final = re.compile(r"[\w][\w.-]*")


def directory() -> Path:
    """Return where baselines lie."""
    return Path(os.environ.get("ZSEMU_BASELINES") or ".zsemu")


def path(name: str) -> Path:
    """Return the file of a baseline, there or not; ZsemuError for what cannot be a name."""
    if not _NAME.fullmatch(name):
        raise ZsemuError(f"baseline {name!r}: a name is of letters, digits, '.', '_' and '-'")
    return directory() / f"{name}.json"


def read(name: str) -> Document:
    """Return a baseline; ZsemuError names those that there are."""
    file = path(name)
    if not file.is_file():
        known = ", ".join(sorted(one.stem for one in directory().glob("*.json"))) or "none"
        raise ZsemuError(
            f"no baseline {name!r} in {directory()} (there: {known});"
            f" make one with: zsemu compare --save-baseline {name}"
        )
    return load(file)


def write(document: Document, name: str) -> Path:
    """Keep results as a baseline, whole or not at all; return its file."""
    file = path(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZsemuError(f"{file.parent}: cannot be made: {error.strerror}") from error
    save(document, file)
    return file
