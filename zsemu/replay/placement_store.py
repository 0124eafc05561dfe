# SPDX-License-Identifier: GPL-2.0-only
"""Keep where the objects of long traces are placed, as compiled images are kept: by content.

The choices of slots are made one after the other, which takes longer than all else that a replay
has to know of a trace. A file of the cache is named after a digest of all that they depend on. It
is an archive of NumPy arrays, written whole or not at all. The archive has a checksum of each
array; a file that is damaged is made anew.
"""

import hashlib
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from zsemu import zsmalloc
from zsemu.paths import cache, replacing
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import Geometry
from zsemu.zsmalloc.placement import Placed, Placer

LONG: Final = 1 << 16
"""operations from which on a trace's places are kept; those of a shorter one are there at once"""
SOURCES: Final = (Path(__file__), *sorted(Path(zsmalloc.__path__[0]).glob("*.py")))
"""the files that decide on places, and on how they are kept"""


def place(trace: Trace, geometry: Geometry) -> Placed:
    """Return the places of a trace's objects, from the cache if they are there.

    ZsemuError as Placer.place() has it.
    """
    if len(trace) < LONG:
        return _choose(trace, geometry)
    file = cache() / "placements" / f"{geometry.name}-{_digest(trace, geometry)[:24]}.npz"
    placed = _load(file, geometry, len(trace))
    if placed is None:
        placed = _choose(trace, geometry)
        # Where nothing can be written, they are chosen each time.
        with suppress(OSError):
            _save(file, placed)
    return placed


def _choose(trace: Trace, geometry: Geometry) -> Placed:
    return Placer(geometry).place(trace.operation, trace.object, trace.length)


def _digest(trace: Trace, geometry: Geometry) -> str:
    """Return the SHA-256, in hexadecimal, of all that the places depend on."""
    digest = hashlib.sha256(f"{geometry!r}\0{len(trace)}\0".encode())
    for path in SOURCES:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\0".encode() + content)
    for column in (trace.operation, trace.object, trace.length):
        digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _save(file: Path, placed: Placed) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as stream:
        np.savez(
            stream,
            zspage=placed.zspage.astype(np.uint32),
            slot=placed.slot.astype(np.uint16),
            class_index=placed.class_index.astype(np.uint16),
            opens=np.packbits(placed.opens),
            closes=np.packbits(placed.closes),
        )


def _load(file: Path, geometry: Geometry, operations: int) -> Placed | None:
    """Return what a file holds; None if there is no such file, or it is damaged."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            zspage = kept["zspage"].astype(np.int64)
            slot, class_index = (kept[name].astype(np.int32) for name in ("slot", "class_index"))
            opens, closes = (
                np.unpackbits(kept[name], count=operations).view(bool)
                for name in ("opens", "closes")
            )
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
        return None
    where = geometry.locate(class_index, slot)
    return Placed(zspage, slot, where.page, where.offset, class_index, where.spans, opens, closes)
