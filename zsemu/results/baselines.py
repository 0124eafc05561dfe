# SPDX-License-Identifier: GPL-2.0-only
"""Keep results under a name as a baseline, with which later results are compared.

A baseline is an ordinary document of results, ``NAME.json``, in the directory that ZSEMU_BASELINES
names, or else in ``.zsemu`` of the current directory. It is meant to be committed to a repository
or kept in the cache of a CI.
"""

import os
import re
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.results.document import Document, load, save

_NAME: Final = re.compile(r"[\w][\w.-]*")


def directory() -> Path:
    """Return the directory of the baselines, which need not exist."""
    return Path(os.environ.get("ZSEMU_BASELINES") or ".zsemu")


def path(name: str) -> Path:
    """Return the file of a baseline, which need not exist; ZsemuError if the name cannot be one."""
    if not _NAME.fullmatch(name):
        raise ZsemuError(f"baseline {name!r}: a name is of letters, digits, '.', '_' and '-'")
    return directory() / f"{name}.json"


def read(name: str) -> Document:
    """Return a baseline; if there is none of that name, ZsemuError names those that there are."""
    file = path(name)
    if not file.is_file():
        known = ", ".join(sorted(one.stem for one in directory().glob("*.json"))) or "none"
        raise ZsemuError(
            f"no baseline {name!r} in {directory()} (there: {known});"
            f" make one with: zsemu compare --save-baseline {name}"
        )
    return load(file)


def write(document: Document, name: str) -> Path:
    """Write results as a baseline and return its file, which is written whole or not at all."""
    file = path(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZsemuError(f"{file.parent}: cannot be made: {error.strerror}") from error
    save(document, file)
    return file
