# SPDX-License-Identifier: GPL-2.0-only
"""Traces: what a kernel asked of zsmalloc, as columns, and the file they are kept in.

A trace file is an ``.npz``: a zip of compressed ``.npy`` members (LZMA, or deflate if it is large),
read by ``np.load(path)`` without pickle. It always holds the same bytes for the same trace and
library versions. Members, all of shape (n,), one row an operation, unless noted; integers of the
smallest unsigned type that fits:

==============  ==================================================================================
zsemu_trace     version of the format, shape (): 1
metadata        the fields of :class:`Metadata` as JSON, shape (), unicode
operation       as in :class:`Operation`
object_age      objects allocated so far less the object's number, 1 for the newest; 0 on allocate
length_short    on allocate the length; else how much shorter than its object the operation is
cpu             number of the CPU
tick            nanoseconds in one unit of the next two, shape ()
begin_delta     time of map since that of the row above (since 0 in the first row), in ticks
duration        time of unmap less time of map, in ticks
==============  ==================================================================================

Objects are numbered from 0 in the order of their allocation.
"""

import hashlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu import paths
from zsemu.errors import ZsemuError
from zsemu.zsmalloc import geometry

VERSION: Final = 1
SUFFIX: Final = ".npz"
_MARKER: Final = "zsemu_trace"
_READ: Final = 1 << 18
"""operations read at a time"""


class Operation(IntEnum):
    """What an operation does with its object; the last three are maps."""

    ALLOCATE = 0
    FREE = 1
    READ = 2
    """Mapped read-only (ZS_MM_RO), or zs_obj_read_begin."""
    WRITE = 3
    """Mapped write-only (ZS_MM_WO), or zs_obj_write."""
    UPDATE = 4
    """Mapped read-write (ZS_MM_RW)."""


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
    """What the importer mended and dropped, a line each."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Operations in the order of their maps: arrays of shape (n,), and where they come from."""

    name: str
    metadata: Metadata
    operation: NDArray[np.uint8]
    """As in :class:`Operation`."""
    object: NDArray[np.uint32]
    """Number of the object, from 0 in order of allocation; a handle used again is a new object."""
    length: NDArray[np.uint32]
    """Bytes of payload, without header: of an allocate those asked for, of a map those used."""
    cpu: NDArray[np.uint16]
    """CPU on which the object was mapped."""
    begin: NDArray[np.int64]
    """Nanoseconds at map, never less than in the row above."""
    end: NDArray[np.int64]
    """Nanoseconds at unmap; of an allocate or free equal to ``begin``."""

    def __len__(self) -> int:
        return len(self.operation)

    @property
    def maps(self) -> NDArray[np.bool_]:
        """Which operations map an object."""
        return self.operation >= Operation.READ

    def head(self, operations: int) -> "Trace":
        """Return the first operations only."""
        return replace(self, **{name: getattr(self, name)[:operations] for name in COLUMNS})

    def take(self, rows: NDArray[np.int64]) -> "Trace":
        """Return some of the operations, by their indices, shape (m,)."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def with_objects(self, handle: NDArray[np.int64]) -> "Trace":
        """Return the same operations with their objects called otherwise, shape (n,)."""
        return replace(self, object=handle.astype(np.uint32))

    def followed_by(self, other: "Trace") -> "Trace":
        """Return the operations of both."""
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in COLUMNS
        }
        return replace(self, **joined)

    def parts(self, size: int | None = None) -> Iterator["Part"]:
        """Yield the operations, ``size`` at a time, as TraceFile does; ZsemuError at a fault."""
        live, size = Live(), size or max(len(self), 1)
        for first in range(0, len(self), size):
            trace = self.take(np.arange(first, min(first + size, len(self))))
            fault, handle = live.follow(trace)
            if fault is not None:
                raise ZsemuError(f"trace {self.name}: {fault}")
            yield Part(first, trace, handle)

    def digest(self) -> str:
        """Return a SHA-256 of columns, geometry and page size, whatever the file's name.

        It is taken over those two and the SHA-256 of every column, so that columns can be read side
        by side.
        """
        digest = _Digest(self.metadata)
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


def names() -> list[str]:
    """Return the names of the traces that come with zsemu."""
    return sorted(path.stem for path in paths.TRACES.glob(f"*{SUFFIX}"))


def find(name_or_path: str | Path) -> Path:
    """Return the file of a trace that comes with zsemu, or the path itself if it is a file."""
    known = names()
    if str(name_or_path) in known:
        return paths.TRACES / f"{name_or_path}{SUFFIX}"
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise ZsemuError(
        f"{name_or_path}: no such trace; give the path of a file or one of {', '.join(known)}"
    )


class _Digest:
    """The digest of a trace that comes in parts."""

    def __init__(self, metadata: Metadata) -> None:
        self._head = f"{metadata.geometry} {metadata.page_size}".encode()
        self._columns = {name: hashlib.sha256() for name in COLUMNS}

    def update(self, part: Trace) -> None:
        for name, dtype in COLUMNS.items():
            column = getattr(part, name).astype(np.dtype(dtype).newbyteorder("<"))
            self._columns[name].update(column.tobytes())

    def hexadecimal(self) -> str:
        digests = [column.digest() for column in self._columns.values()]
        return hashlib.sha256(b"".join([self._head, *digests])).hexdigest()


def _first(wrong: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(wrong)) if wrong.any() else None


class Live:
    """The objects that are alive, from part to part of a trace, each with a handle.

    A handle is a small number that the next object gets when its own is freed: what is kept by
    handle needs room for the objects alive at once, not for all that ever were. Handles freed in a
    part are given out from the next one on.
    """

    def __init__(self) -> None:
        self.operations = 0
        """in the parts so far"""
        self.handles = 0
        """in use at once, at most"""
        self._born = 0
        self._begin = 0
        self._free = np.empty(0, np.int64)
        # What is alive, by number: ascending.
        self._number = np.empty(0, np.int64)
        self._length = np.empty(0, np.int64)
        self._handle = np.empty(0, np.int64)

    def numbers(self, allocates: NDArray[np.bool_], age: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the object of each operation from its age, as the file has it."""
        born = self._born + np.cumsum(allocates)
        return np.where(allocates, born - 1, born - age)

    def lengths(
        self, number: NDArray[np.int64], allocated: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the whole length of each object, and whether it is or was alive in this part.

        ``allocated`` are the lengths of those that this part allocates.
        """
        length = np.concatenate([self._length, allocated, [0]])
        at, there = self._find(number, len(allocated))
        return length[at], there

    def _find(
        self, number: NDArray[np.int64], allocated: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return for each number its row in what is alive and then in what is allocated."""
        known = len(self._number)
        at = np.searchsorted(self._number, number)
        there = at < known
        there[there] = self._number[at[there]] == number[there]
        new = (number >= self._born) & (number < self._born + allocated)
        at[new] = known + number[new] - self._born
        there |= new
        at[~there] = known + allocated
        return at, there

    def follow(self, part: Trace) -> tuple[str | None, NDArray[np.int64]]:
        """Follow the next operations; return what is wrong with the first, and their handles.

        Wrong is the first operation of the first kind of fault, if any is. Handles have shape (n,).
        """
        operation, length = part.operation, part.length.astype(np.int64)
        number = part.object.astype(np.int64)
        row, base = np.arange(len(part)), self.operations
        nothing = np.empty(0, np.int64)
        what = [item.name.lower() for item in Operation]

        def fault(at: int, text: str) -> tuple[str, NDArray[np.int64]]:
            return f"operation {base + at}: {text}", nothing

        def use(at: int) -> str:
            return f"{what[operation[at]]} of object {number[at]}"

        if (at := _first(operation > max(Operation))) is not None:
            return fault(at, f"unknown code {operation[at]}; codes are 0 to {max(Operation)}")
        born = np.flatnonzero(operation == Operation.ALLOCATE)
        if (at := _first(number[born] != self._born + np.arange(len(born)))) is not None:
            wrong, due = int(born[at]), self._born + at
            return fault(wrong, f"allocates object {number[wrong]}, the next is {due}")
        if (at := _first(number >= self._born + len(born))) is not None:
            return fault(at, f"{use(at)}, never allocated")
        which, there = self._find(number, len(born))
        known = len(self._number)
        birth = np.concatenate([np.full(known, -1), born, [-1]])
        if (at := _first(there & (row < birth[which]))) is not None:
            return fault(at, f"{use(at)}, not yet allocated")
        frees = np.flatnonzero(operation == Operation.FREE)
        death = np.full(known + len(born) + 1, len(part))
        # Of several frees the first counts.
        death[which[frees][::-1]] = frees[::-1]
        if (at := _first(~there | (row > death[which]))) is not None:
            return fault(at, f"{use(at)}, already freed")

        page_size = part.metadata.page_size
        if (at := _first((length < 1) | (length > page_size))) is not None:
            return fault(at, f"length {length[at]}, not 1 to {page_size}")
        whole = np.concatenate([self._length, length[born]])
        if (at := _first(length > whole[which])) is not None:
            return fault(at, f"length {length[at]} of an object of {whole[which[at]]} bytes")
        if (at := _first((operation == Operation.FREE) & (length != whole[which]))) is not None:
            text = f"free with length {length[at]} of an object of {whole[which[at]]} bytes"
            return fault(at, text)

        if (at := _first(np.diff(part.begin, prepend=self._begin) < 0)) is not None:
            return fault(at, f"begins at {part.begin[at]} ns, before the one above it")
        if (at := _first(part.end < part.begin)) is not None:
            return fault(at, "ends before it begins")
        if (at := _first((part.end != part.begin) & ~part.maps)) is not None:
            return fault(at, f"{what[operation[at]]} that takes time")
        return None, self._advance(part, born, which, whole, death[:-1] < len(part))

    def _advance(
        self,
        part: Trace,
        born: NDArray[np.int64],
        which: NDArray[np.int64],
        whole: NDArray[np.int64],
        dead: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        given = self._free[len(self._free) - min(len(born), len(self._free)) :][::-1]
        new = self.handles + np.arange(len(born) - len(given))
        self._free = self._free[: len(self._free) - len(given)]
        self.handles += len(new)
        handle = np.concatenate([self._handle, given, new])
        number = np.concatenate([self._number, self._born + np.arange(len(born))])
        self._number, self._length, self._handle = number[~dead], whole[~dead], handle[~dead]
        self._free = np.concatenate([self._free, handle[dead]])
        self._born += len(born)
        self.operations += len(part)
        self._begin = int(part.begin[-1]) if len(part) else self._begin
        handles: NDArray[np.int64] = handle[which]
        return handles


def _fault(trace: Trace) -> str | None:
    """Return what is wrong with a trace, if anything is."""
    for name, dtype in COLUMNS.items():
        column = getattr(trace, name)
        if column.dtype != dtype or column.shape != (len(trace),):
            return (
                f"column {name} is {column.dtype} of shape {column.shape}, "
                f"not {np.dtype(dtype)} of shape ({len(trace)},)"
            )
    if not len(trace):
        return "it holds no operation"
    return _fault_of(trace.metadata) or Live().follow(trace)[0]


def _fault_of(metadata: Metadata) -> str | None:
    if metadata.geometry not in geometry.NAMES:
        return f"geometry {metadata.geometry!r} is not one of {', '.join(geometry.NAMES)}"
    if metadata.page_size not in geometry.PAGE_SIZES:
        return f"page size {metadata.page_size} is not one of {geometry.PAGE_SIZES}"
    return None


def _member(values: Any) -> bytes:  # noqa: ANN401  (whatever np.asarray takes)
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
    stream = BytesIO()
    np.lib.format.write_array(stream, array.astype(array.dtype.newbyteorder("<")))
    return stream.getvalue()


def save(trace: Trace, path: str | Path) -> None:
    """Write a trace file; ZsemuError, and no file, if the trace contradicts itself."""
    if (fault := _fault(trace)) is not None:
        raise ZsemuError(f"trace {trace.name}: {fault}")
    allocates = trace.operation == Operation.ALLOCATE
    born = np.cumsum(allocates)
    whole = trace.length[allocates][trace.object]
    delta, duration = np.diff(trace.begin, prepend=0), trace.end - trace.begin
    tick = max(1, int(np.gcd.reduce(np.concatenate([delta, duration]), initial=0)))
    members = {
        _MARKER: VERSION,
        "metadata": json.dumps(asdict(trace.metadata), sort_keys=True),
        "operation": trace.operation,
        "object_age": np.where(allocates, 0, born - trace.object),
        "length_short": np.where(allocates, trace.length, whole - trace.length),
        "cpu": trace.cpu,
        "tick": tick,
        "begin_delta": delta // tick,
        "duration": duration // tick,
    }
    try:
        with paths.replacing(Path(path)) as stream, zipfile.ZipFile(stream, "w") as archive:
            for name, values in members.items():
                # Else the archive would hold the time of writing.
                member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                # LZMA is a quarter smaller, but six times slower.
                large = len(trace) > 1 << 22
                member.compress_type = zipfile.ZIP_DEFLATED if large else zipfile.ZIP_LZMA
                member.create_system = 3
                archive.writestr(member, _member(values))
    except OSError as error:
        raise ZsemuError(f"{path}: cannot be written: {error.strerror}") from error


def _metadata(text: str) -> Metadata:
    """Return the metadata; ValueError if a field is missing, unknown or of a wrong type."""
    values = json.loads(text)
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(Metadata)}:
        raise ValueError("metadata with other fields")
    notes = values.pop("notes")
    if (
        not isinstance(values["page_size"], int)
        or not all(isinstance(values[name], str) for name in ("kernel", "geometry", "provenance"))
        or not isinstance(notes, list)
        or not all(isinstance(note, str) for note in notes)
    ):
        raise ValueError("metadata of another type")
    return Metadata(**values, notes=tuple(notes))


_COLUMNS: Final = ("operation", "object_age", "length_short", "cpu", "begin_delta", "duration")


class _Inconsistent(Exception):  # noqa: N818 - told as a ZsemuError by who knows the file
    """The members of a file fit together in no way."""


def _decode(
    name: str,
    metadata: Metadata,
    tick: int,
    member: dict[str, NDArray[Any]],
    live: Live,
    begin: int,
) -> Trace:
    """Return the next operations of a file, from its columns and where the last ones ended."""
    operation, first = member["operation"], live.operations
    if (bad := _first(operation > max(Operation))) is not None:
        raise _Inconsistent(f"operation {first + bad}: unknown code {operation[bad]}")
    allocates = operation == Operation.ALLOCATE
    age = member["object_age"].astype(np.int64)
    number = live.numbers(allocates, age)
    length = member["length_short"].astype(np.int64)
    whole, there = live.lengths(number, length[allocates])
    none = (number < 0) | (age < 1)
    if (bad := _first(np.where(allocates, age != 0, none))) is not None:
        what = Operation(int(operation[bad])).name.lower()
        raise _Inconsistent(
            f"operation {first + bad}: {what} of an object that has not been allocated"
        )
    # Of one that is gone already the length is not known: it is found at once, below.
    length = np.where(allocates, length, np.where(there, whole - length, 1))
    if (bad := _first((length < 1) | (length > max(geometry.PAGE_SIZES)))) is not None:
        raise _Inconsistent(f"operation {first + bad}: length {length[bad]}")
    # As floats, so that nothing wraps around.
    spent = sum(float(member[key].sum(dtype=float)) for key in ("begin_delta", "duration")) * tick
    if begin + spent >= 1 << 62 or member["cpu"].max(initial=0) >= 1 << 16:
        raise _Inconsistent("times or CPU numbers out of range")
    begins = begin + np.cumsum(member["begin_delta"].astype(np.int64)) * tick
    return Trace(
        name,
        metadata,
        operation.astype(np.uint8),
        number.astype(np.uint32),
        length.astype(np.uint32),
        member["cpu"].astype(np.uint16),
        begins,
        begins + member["duration"].astype(np.int64) * tick,
    )


@dataclass(frozen=True)
class Part:
    """Consecutive operations of a trace."""

    first: int
    """number of the first of them"""
    trace: Trace
    handle: NDArray[np.int64]
    """of each operation's object, as Live gives them, shape (n,)"""


class TraceFile:
    """A trace in its file: read part by part, so that its length does not matter.

    ZsemuError, here or at the part that shows it, says what is wrong: no trace file, one of a newer
    version, one cut short, or a trace that contradicts itself (a free of an object that is not
    alive, for example).
    """

    def __init__(self, path: str | Path, operations: int | None = None) -> None:
        """Look at what the file says of itself; only its first ``operations`` are read."""
        self.path = Path(path)
        self.name = self.path.stem
        remedy = "make one with: zsemu trace import"
        try:
            with self.path.open("rb") as stream:
                start = stream.read(2)
        except OSError as error:
            raise ZsemuError(f"{path}: {error.strerror}; {remedy}") from error
        if not start:
            raise ZsemuError(f"{path}: empty, not a trace file; {remedy}")
        if start != b"PK":
            raise ZsemuError(f"{path}: not a trace file; {remedy}")
        with self._told(), zipfile.ZipFile(self.path) as archive:
            members = archive.namelist()
            known = f"{_MARKER}.npy" in members
            version = int(_whole(archive, _MARKER)) if known else None
            if version is not None and version <= VERSION:
                try:
                    self.metadata = _metadata(str(_whole(archive, "metadata")))
                except (ValueError, TypeError) as error:
                    raise _Inconsistent(str(error)) from error
                tick = _whole(archive, "tick")
                columns = {name: _header(archive, name)[:2] for name in _COLUMNS}
        if version is None:
            raise ZsemuError(f"{path}: an archive, but not a trace file; {remedy}")
        if version > VERSION:
            raise ZsemuError(
                f"{path}: trace version {version}, this zsemu reads up to {VERSION};"
                " use a newer zsemu"
            )
        with self._told():
            shapes = {name: shape for name, (shape, _) in columns.items()}
            if len(set(shapes.values())) > 1 or len(shapes["operation"]) != 1:
                unequal = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
                raise _Inconsistent(f"unequal columns: {unequal}")
            if any(dtype.kind != "u" for dtype in (*(d for _, d in columns.values()), tick.dtype)):
                raise _Inconsistent("a column that is not of unsigned integers")
            if fault := _fault_of(self.metadata):
                raise _Inconsistent(fault)
            self._tick, self._all = int(tick), int(shapes["operation"][0])
            if not self._all:
                raise _Inconsistent("it holds no operation")
        self._operations = self._all if operations is None else min(operations, self._all)

    def __len__(self) -> int:
        return self._operations

    def head(self, operations: int) -> "TraceFile":
        """Return the first operations only."""
        return TraceFile(self.path, min(operations, self._operations))

    def parts(self, size: int | None = None) -> Iterator[Part]:
        """Yield the operations, ``size`` at a time, checked against all that came before."""
        size = size or self._operations
        live, begin = Live(), 0
        with self._told(), ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(self.path))
            opened = {name: _header(archive, name)[1:] for name in _COLUMNS}
            for _, stream in opened.values():
                stack.enter_context(stream)
            for first in range(0, self._operations, size):
                number = min(size, self._operations - first)
                member = {}
                for name, (dtype, stream) in opened.items():
                    data = stream.read(number * dtype.itemsize)
                    if first + number == self._all and stream.read(1):
                        raise EOFError(f"more than {self._all} of {name}")
                    member[name] = np.frombuffer(data, dtype)
                    if len(member[name]) < number:
                        raise EOFError(f"column {name} ends early")
                trace = _decode(self.name, self.metadata, self._tick, member, live, begin)
                fault, handle = live.follow(trace)
                if fault is not None:
                    raise _Inconsistent(fault)
                begin = int(trace.begin[-1])
                yield Part(first, trace, handle)

    def digest(self) -> str:
        """Return what Trace.digest() does of the same operations."""
        digest = _Digest(self.metadata)
        for part in self.parts(_READ):
            digest.update(part.trace)
        return digest.hexadecimal()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what NumPy, zipfile and its decompressors make of damaged bytes."""
        try:
            yield
        except _Inconsistent as error:
            raise ZsemuError(f"{self.path}: inconsistent: {error}; import it again") from error
        except KeyError as error:
            raise ZsemuError(
                f"{self.path}: inconsistent: column {error} is missing; import it again"
            ) from error
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            OSError,
            ValueError,
            TypeError,
            SyntaxError,
            NotImplementedError,
            RuntimeError,
            MemoryError,
        ) as error:
            raise ZsemuError(
                f"{self.path}: truncated or damaged, cannot be read ({error});"
                " copy or import it again"
            ) from error


def _header(
    archive: zipfile.ZipFile, name: str
) -> tuple[tuple[int, ...], np.dtype[Any], IO[bytes]]:
    """Open a member; return its shape and dtype, and a stream of its values."""
    try:
        stream = archive.open(f"{name}.npy")
    except KeyError:
        raise KeyError(name) from None
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name}: array format {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, dtype, stream


def _whole(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return a member that is small."""
    try:
        data = archive.read(f"{name}.npy")
    except KeyError:
        raise KeyError(name) from None
    array: NDArray[Any] = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    return array


def load(path: str | Path) -> Trace:
    """Return the trace in a file, named for the file; ZsemuError as TraceFile has it."""
    (part,) = TraceFile(path).parts()
    return part.trace


def zsmapbench(maps: int = 1000) -> Trace:
    """Return the loop of zsmapbench (sjenning/zsmapbench, 2012) as a trace.

    Three objects of 1632 bytes, the third of which spans in the size classes of 2012; then only it
    is mapped and unmapped, read-write. The benchmark runs for a second and knows no times of single
    maps: they are numbered with microseconds here.
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
