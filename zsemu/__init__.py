# SPDX-License-Identifier: GPL-2.0-only
"""zsemu: compares the ways zsmalloc can map an object that spans two pages.

For programs: the names in ``__all__``, which stay as they are; zsemu/README.md shows their use.
Each is loaded when it is first used, so that importing ``zsemu`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsemu.api import Work as Work
    from zsemu.api import build_image as build_image
    from zsemu.api import diff_results as diff_results
    from zsemu.api import load_trace as load_trace
    from zsemu.api import place as place
    from zsemu.api import run as run
    from zsemu.errors import ZsemuError as ZsemuError
    from zsemu.guest.image import Image as Image
    from zsemu.guest.machine import Machine as Machine
    from zsemu.guest.strategies import Strategy as Strategy
    from zsemu.guest.targets import Target as Target
    from zsemu.guest.targets import target as target
    from zsemu.kernel.strategy import strategy as strategy
    from zsemu.replay.replay import Outcome as Outcome
    from zsemu.replay.replay import Replay as Replay
    from zsemu.replay.violations import Violation as Violation
    from zsemu.results.diff import Diff as Diff
    from zsemu.results.document import Document as Document
    from zsemu.results.document import Record as Record
    from zsemu.results.document import load as load
    from zsemu.results.document import save as save
    from zsemu.traces.trace import Trace as Trace

__version__ = "0.1.0"

_HOMES = {
    "Diff": "zsemu.results.diff",
    "Document": "zsemu.results.document",
    "Image": "zsemu.guest.image",
    "Machine": "zsemu.guest.machine",
    "Outcome": "zsemu.replay.replay",
    "Record": "zsemu.results.document",
    "Replay": "zsemu.replay.replay",
    "Strategy": "zsemu.guest.strategies",
    "Target": "zsemu.guest.targets",
    "Trace": "zsemu.traces.trace",
    "Violation": "zsemu.replay.violations",
    "Work": "zsemu.api",
    "ZsemuError": "zsemu.errors",
    "build_image": "zsemu.api",
    "diff_results": "zsemu.api",
    "load": "zsemu.results.document",
    "load_trace": "zsemu.api",
    "place": "zsemu.api",
    "run": "zsemu.api",
    "save": "zsemu.results.document",
    "strategy": "zsemu.kernel.strategy",
    "target": "zsemu.guest.targets",
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
