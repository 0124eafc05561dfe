# SPDX-License-Identifier: GPL-2.0-only
"""Read what a command of zsemu wrote as JSON."""

import json
from pathlib import Path
from typing import Any

from zsemu.errors import ZsemuError


def read(path: Path, what: str, command: str, keys: set[str]) -> dict[str, Any]:
    """Return the object that a file holds.

    ZsemuError if it cannot be read, or has not all ``keys``. Errors call what the file should hold
    ``what``, and name the ``command`` that writes it.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ZsemuError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ZsemuError(
            f"{path}: not JSON ({error}); {what} are what '{command}' writes"
        ) from error
    if not isinstance(data, dict) or not keys <= data.keys():
        raise ZsemuError(f"{path}: holds no {what}: write it with: {command}")
    return data
