# SPDX-License-Identifier: GPL-2.0-only
"""The checkouts that are compared, each with a cache of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError

ROOT: Final = Path(__file__).parents[2]
_WHERE: Final = "import zsemu; print(zsemu.__file__)"


@dataclass(frozen=True)
class Checkout:
    """A checkout of zsemu, and where it keeps what it compiles."""

    name: str
    """``this`` or ``other``"""
    path: Path
    cache: Path

    @property
    def tests(self) -> Path:
        """Return the folder that has its benchmark, if it has any."""
        return self.path / "tests"

    def environment(self, *more: Path) -> dict[str, str]:
        """Return the environment in which Python runs this checkout, whatever is installed.

        Python also finds modules in the folders ``more``.
        """
        paths = os.pathsep.join(map(str, (self.path, *more)))
        return os.environ | {"PYTHONPATH": paths, "ZSEMU_CACHE": str(self.cache)}

    def ensure(self) -> None:
        """Raise ZsemuError if Python would run another one, or none."""
        done = subprocess.run(
            [sys.executable, "-P", "-c", _WHERE],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if Path(done.stdout.strip()) != self.path / "zsemu" / "__init__.py":
            raise ZsemuError(
                f"{self.path}: no checkout of zsemu: name a folder that has zsemu/__init__.py",
                detail=done.stdout + done.stderr,
            )


def checkouts(against: Path | None, place: Path) -> list[Checkout]:
    """Return this checkout, and another if one is given; their caches lie in ``place``.

    ZsemuError if ``against`` is no checkout.
    """
    paths = {"this": ROOT} | ({"other": against.resolve()} if against else {})
    found = [Checkout(name, path, place / f"cache-{name}") for name, path in paths.items()]
    for one in found:
        one.ensure()
        one.cache.mkdir()
    return found


def heading(found: list[Checkout]) -> str:
    """Return a line that says which checkout has which name."""
    return ", ".join(f"{one.name}: {one.path}" for one in found)
