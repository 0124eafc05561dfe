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
from dataclasses import asdict, dataclass, fields, replace
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu import geometry, paths
from zsemu.errors import ZsemuError

VERSION: Final = 1
SUFFIX: Final = ".npz"
_MARKER: Final = "zsemu_trace"


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
    """That kernel's geometry: a name in :mod:`zsemu.geometry`."""
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

    def digest(self) -> str:
        """Return the SHA-256 of columns, geometry and page size, whatever the file's name."""
        state = hashlib.sha256(f"{self.metadata.geometry} {self.metadata.page_size}".encode())
        for name, dtype in COLUMNS.items():
            state.update(getattr(self, name).astype(np.dtype(dtype).newbyteorder("<")).tobytes())
        return state.hexdigest()


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


def _first(wrong: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(wrong)) if wrong.any() else None


def _fault(trace: Trace) -> str | None:
    """Return what is wrong with the first operation of the first kind of fault, if any is."""
    metadata = trace.metadata
    if metadata.geometry not in geometry.NAMES:
        return f"geometry {metadata.geometry!r} is not one of {', '.join(geometry.NAMES)}"
    if metadata.page_size not in geometry.PAGE_SIZES:
        return f"page size {metadata.page_size} is not one of {geometry.PAGE_SIZES}"
    for name, dtype in COLUMNS.items():
        column = getattr(trace, name)
        if column.dtype != dtype or column.shape != (len(trace),):
            return (
                f"column {name} is {column.dtype} of shape {column.shape}, "
                f"not {np.dtype(dtype)} of shape ({len(trace)},)"
            )

    if not len(trace):
        return "it holds no operation"

    operation, object_, length = trace.operation, trace.object, trace.length
    row = np.arange(len(trace))
    if (at := _first(operation > max(Operation))) is not None:
        return f"operation {at}: unknown code {operation[at]}; codes are 0 to {max(Operation)}"
    what = [item.name.lower() for item in Operation]

    born = np.flatnonzero(operation == Operation.ALLOCATE)
    if (at := _first(object_[born] != np.arange(len(born)))) is not None:
        return f"operation {born[at]}: allocates object {object_[born[at]]}, the next is {at}"
    if (at := _first(object_ >= len(born))) is not None:
        return f"operation {at}: {what[operation[at]]} of object {object_[at]}, never allocated"
    if (at := _first(row < born[object_])) is not None:
        return f"operation {at}: {what[operation[at]]} of object {object_[at]}, not yet allocated"
    frees = np.flatnonzero(operation == Operation.FREE)
    death = np.full(len(born), len(trace))
    # Of several frees the first counts.
    death[object_[frees][::-1]] = frees[::-1]
    if (at := _first(row > death[object_])) is not None:
        return f"operation {at}: {what[operation[at]]} of object {object_[at]}, already freed"

    if (at := _first((length < 1) | (length > metadata.page_size))) is not None:
        return f"operation {at}: length {length[at]}, not 1 to {metadata.page_size}"
    whole = length[born[object_]]
    if (at := _first(length > whole)) is not None:
        return f"operation {at}: length {length[at]} of an object of {whole[at]} bytes"
    if (at := _first((operation == Operation.FREE) & (length != whole))) is not None:
        return f"operation {at}: free with length {length[at]} of an object of {whole[at]} bytes"

    if (at := _first(np.diff(trace.begin, prepend=0) < 0)) is not None:
        return f"operation {at}: begins at {trace.begin[at]} ns, before the one above it"
    if (at := _first(trace.end < trace.begin)) is not None:
        return f"operation {at}: ends before it begins"
    if (at := _first((trace.end != trace.begin) & ~trace.maps)) is not None:
        return f"operation {at}: {what[operation[at]]} that takes time"
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


def _decode(name: str, member: dict[str, NDArray[Any]]) -> Trace:
    """Return the trace that a file's members hold; ValueError if they fit together no way."""
    columns = ("operation", "object_age", "length_short", "cpu", "begin_delta", "duration")
    shapes = {column: member[column].shape for column in columns}
    if len(set(shapes.values())) > 1 or len(shapes["operation"]) != 1:
        raise ValueError(
            "unequal columns: " + ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        )
    if any(member[column].dtype.kind != "u" for column in (*columns, "tick")):
        raise ValueError("a column that is not of unsigned integers")
    operation, age = member["operation"], member["object_age"].astype(np.int64)
    if (bad := _first(operation > max(Operation))) is not None:
        raise ValueError(f"operation {bad}: unknown code {operation[bad]}")
    allocates = operation == Operation.ALLOCATE
    born = np.cumsum(allocates)
    number = np.where(allocates, born - 1, born - age)
    if (bad := _first((number < 0) | (number >= born) | (allocates & (age != 0)))) is not None:
        raise ValueError(
            f"operation {bad}: {Operation(int(operation[bad])).name.lower()} of an object that has "
            "not been allocated"
        )
    length = member["length_short"].astype(np.int64)
    whole = length[allocates][number]
    length = np.where(allocates, length, whole - length)
    if (bad := _first((length < 1) | (length > max(geometry.PAGE_SIZES)))) is not None:
        raise ValueError(f"operation {bad}: length {length[bad]}")
    tick = int(member["tick"])
    # As floats, so that nothing wraps around.
    last = sum(float(member[key].sum(dtype=float)) for key in ("begin_delta", "duration")) * tick
    if last >= 1 << 62 or member["cpu"].max(initial=0) >= 1 << 16:
        raise ValueError("times or CPU numbers out of range")
    begin = np.cumsum(member["begin_delta"].astype(np.int64)) * tick
    return Trace(
        name,
        _metadata(str(member["metadata"])),
        operation.astype(np.uint8),
        number.astype(np.uint32),
        length.astype(np.uint32),
        member["cpu"].astype(np.uint16),
        begin,
        begin + member["duration"].astype(np.int64) * tick,
    )


def load(path: str | Path) -> Trace:
    """Return the trace in a file, named for the file.

    ZsemuError says what is wrong: no trace file, one of a newer version, one cut short, or a trace
    that contradicts itself (a free of an object that is not alive, for example).
    """
    path = Path(path)
    remedy = "make one with: zsemu trace import"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ZsemuError(f"{path}: {error.strerror}; {remedy}") from error
    if not data:
        raise ZsemuError(f"{path}: empty, not a trace file; {remedy}")
    if not data.startswith(b"PK"):
        raise ZsemuError(f"{path}: not a trace file; {remedy}")
    try:
        archive = np.load(BytesIO(data), allow_pickle=False)
        version = int(archive[_MARKER]) if _MARKER in archive else None
        if version is not None and version <= VERSION:
            members = {name: archive[name] for name in archive.files}
    # What zipfile, its decompressors and NumPy's reader make of damaged bytes.
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        SyntaxError,
        NotImplementedError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise ZsemuError(
            f"{path}: truncated or damaged, cannot be read ({error}); copy or import it again"
        ) from error
    if version is None:
        raise ZsemuError(f"{path}: an archive, but not a trace file; {remedy}")
    if version > VERSION:
        raise ZsemuError(
            f"{path}: trace version {version}, this zsemu reads up to {VERSION}; use a newer zsemu"
        )
    try:
        trace = _decode(path.stem, members)
        fault = _fault(trace)
    except (ValueError, TypeError) as error:
        fault = str(error)
    except KeyError as error:
        fault = f"column {error} is missing"
    if fault is not None:
        raise ZsemuError(f"{path}: inconsistent: {fault}; import it again")
    return trace


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
