# SPDX-License-Identifier: GPL-2.0-only
"""zsemu: compares the ways zsmalloc can map an object that spans two pages.

For programs: the names in ``__all__``, which stay as they are; zsemu/README.md shows their use.
Each is loaded when it is first used, so that importing ``zsemu`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsemu.api import build_image as build_image
    from zsemu.api import diff_results as diff_results
    from zsemu.api import load_trace as load_trace
    from zsemu.api import place as place
    from zsemu.api import run as run
    from zsemu.diff import Diff as Diff
    from zsemu.errors import ZsemuError as ZsemuError
    from zsemu.image import Image as Image
    from zsemu.machine import Machine as Machine
    from zsemu.replay import Outcome as Outcome
    from zsemu.replay import Replay as Replay
    from zsemu.results import Document as Document
    from zsemu.results import Record as Record
    from zsemu.results import load as load
    from zsemu.results import save as save
    from zsemu.strategies import Strategy as Strategy
    from zsemu.strategies import strategy as strategy
    from zsemu.targets import Target as Target
    from zsemu.targets import target as target
    from zsemu.trace import Trace as Trace
    from zsemu.violations import Violation as Violation
    from zsemu.work import Work as Work

__version__ = "0.1.0"

_HOMES = {
    "Diff": "zsemu.diff",
    "Document": "zsemu.results",
    "Image": "zsemu.image",
    "Machine": "zsemu.machine",
    "Outcome": "zsemu.replay",
    "Record": "zsemu.results",
    "Replay": "zsemu.replay",
    "Strategy": "zsemu.strategies",
    "Target": "zsemu.targets",
    "Trace": "zsemu.trace",
    "Violation": "zsemu.violations",
    "Work": "zsemu.work",
    "ZsemuError": "zsemu.errors",
    "build_image": "zsemu.api",
    "diff_results": "zsemu.api",
    "load": "zsemu.results",
    "load_trace": "zsemu.api",
    "place": "zsemu.api",
    "run": "zsemu.api",
    "save": "zsemu.results",
    "strategy": "zsemu.strategies",
    "target": "zsemu.targets",
}
"""the module of each name"""

__all__ = tuple(_HOMES)


if not TYPE_CHECKING:
    # Else every name would be there for a type checker.
    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'zsemu' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
