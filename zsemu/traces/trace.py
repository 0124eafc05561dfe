# SPDX-License-Identifier: GPL-2.0-only
"""Hold a trace, which is what a kernel asked of zsmalloc, as columns in memory.

Objects are numbered from 0 in the order of their allocation. file.py keeps traces in files.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.traces.live import Live
from zsemu.traces.operation import Operation


@dataclass(frozen=True)
class Metadata:
    """Where a trace comes from."""

    kernel: str
    """Version of the kernel it was recorded on."""
    geometry: str
    """That kernel's geometry: a name in :mod:`zsemu.zsmalloc.geometry`."""
    page_size: int
    """That kernel's page size in bytes."""
    provenance: str
    """What ran while it was recorded."""
    notes: tuple[str, ...] = ()
    """What the importer mended and dropped, one line for each kind."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Operations as columns of shape (n,), in the order of their maps, and where they come from."""

    name: str
    metadata: Metadata
    operation: NDArray[np.uint8]
    """As in :class:`Operation`."""
    object: NDArray[np.uint32]
    """Number of the object, from 0 in order of allocation. A handle that the kernel returned once
    more stood for a new object."""
    length: NDArray[np.uint32]
    """Bytes of payload, without the header: an allocate asks for them, a map uses them."""
    cpu: NDArray[np.uint16]
    """CPU on which the object was mapped."""
    begin: NDArray[np.int64]
    """Nanoseconds at map, never less than in the row above."""
    end: NDArray[np.int64]
    """Nanoseconds at unmap; of an allocate or free equal to ``begin``."""

    def __len__(self) -> int:
        return len(self.operation)

    @property
    def page_size(self) -> int:
        """Bytes of a page of the kernel it was recorded on."""
        return self.metadata.page_size

    @property
    def maps(self) -> NDArray[np.bool_]:
        """Which operations map an object, shape (n,)."""
        return self.operation >= Operation.READ

    def head(self, operations: int) -> "Trace":
        """Return the first operations only."""
        return replace(self, **{name: getattr(self, name)[:operations] for name in COLUMNS})

    def take(self, rows: NDArray[np.int64] | slice) -> "Trace":
        """Return some of the operations, by their indices, shape (m,), or a slice."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def with_objects(self, handle: NDArray[np.int64]) -> "Trace":
        """Return the same operations with other numbers for their objects, shape (n,)."""
        return replace(self, object=handle.astype(np.uint32))

    def followed_by(self, other: "Trace") -> "Trace":
        """Return the operations of this trace and then those of the other."""
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in COLUMNS
        }
        return replace(self, **joined)

    def parts(self, size: int | None = None) -> Iterator["Part"]:
        """Yield the operations, ``size`` at a time, as TraceFile does.

        ZsemuError if an operation contradicts those before it.
        """
        live, size = Live(), size or max(len(self), 1)
        for first in range(0, len(self), size):
            trace = self.take(np.arange(first, min(first + size, len(self))))
            fault, handle = live.follow(trace)
            if fault is not None:
                raise ZsemuError(f"trace {self.name}: {fault}")
            yield Part(first, trace, handle)

    def digest(self) -> str:
        """Return a SHA-256 of columns, geometry and page size, whatever the file's name.

        It is taken over those two and over the SHA-256 of every column, so that a reader of parts
        can feed all columns at the same time.
        """
        digest = TraceDigest(self.metadata)
        digest.update(self)
        return digest.hexadecimal()


COLUMNS: Final[dict[str, type[np.generic]]] = {
    "operation": np.uint8,
    "object": np.uint32,
    "length": np.uint32,
    "cpu": np.uint16,
    "begin": np.int64,
    "end": np.int64,
}


class TraceDigest:
    """Computes the digest of a trace that comes in parts."""

    def __init__(self, metadata: Metadata) -> None:
        self._head = f"{metadata.geometry} {metadata.page_size}".encode()
        self._columns = {name: hashlib.sha256() for name in COLUMNS}

    def update(self, part: Trace) -> None:
        """Add the next part."""
        for name, dtype in COLUMNS.items():
            column = getattr(part, name).astype(np.dtype(dtype).newbyteorder("<"))
            self._columns[name].update(column.tobytes())

    def hexadecimal(self) -> str:
        """Return the SHA-256 of all parts that were added."""
        digests = [column.digest() for column in self._columns.values()]
        return hashlib.sha256(b"".join([self._head, *digests])).hexdigest()


@dataclass(frozen=True)
class Part:
    """Consecutive operations of a trace."""

    first: int
    """Index in the trace of the first of them."""
    trace: Trace
    handle: NDArray[np.int64]
    """Handle of each operation's object, as live.Live gives it, shape (n,)."""


def zsmapbench(maps: int = 1000) -> Trace:
    """Return the loop of zsmapbench (sjenning/zsmapbench, 2012) as a trace.

    It allocates three objects of 1632 bytes, the third of which spans in the size classes of 2012.
    Then it maps and unmaps only the third, read-write. The benchmark runs for a second and does not
    measure single maps; here each operation begins a microsecond after the one before it.
    """
    size, handles, spanned = 1632, 3, 2
    begin = np.arange(handles + maps, dtype=np.int64) * 1000
    first = np.arange(handles + maps) < handles
    return Trace(
        "zsmapbench",
        Metadata(
            kernel="none",
            geometry="2012",
            page_size=4096,
            provenance=f"generated: the loop of sjenning/zsmapbench, {maps} maps; not recorded, "
            "times are ordinal numbers",
        ),
        np.where(first, Operation.ALLOCATE, Operation.UPDATE).astype(np.uint8),
        np.where(first, np.arange(handles + maps), spanned).astype(np.uint32),
        np.full(handles + maps, size, np.uint32),
        np.zeros(handles + maps, np.uint16),
        begin,
        begin.copy(),
    )
