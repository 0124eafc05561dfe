# SPDX-License-Identifier: GPL-2.0-only
"""Write trace files, and read them whole or part by part.

A trace file is an ``.npz``: a zip of compressed ``.npy`` members (LZMA, or deflate if it is large),
read by ``np.load(path)`` without pickle. The same trace and the same library versions always give
the same bytes. The members are the following. Unless noted, their shape is (n,), with one row for
each operation, and they hold integers of the smallest unsigned type that fits:

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

import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu import paths
from zsemu.errors import ZsemuError
from zsemu.traces.live import Live, first_true
from zsemu.traces.operation import Operation
from zsemu.traces.trace import COLUMNS, Metadata, Part, Trace, TraceDigest
from zsemu.zsmalloc import geometry

VERSION: Final = 1
SUFFIX: Final = ".npz"
_MARKER: Final = "zsemu_trace"
_READ: Final = 1 << 18
"""operations that are read at a time for a digest"""


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


def _fault(trace: Trace) -> str | None:
    """Return what is wrong with a trace, or None."""
    for name, dtype in COLUMNS.items():
        column = getattr(trace, name)
        if column.dtype != dtype or column.shape != (len(trace),):
            return (
                f"column {name} is {column.dtype} of shape {column.shape}, "
                f"not {np.dtype(dtype)} of shape ({len(trace)},)"
            )
    if not len(trace):
        return "it holds no operation"
    return _metadata_fault(trace.metadata) or Live().follow(trace)[0]


def _metadata_fault(metadata: Metadata) -> str | None:
    """Return what is wrong with the values of metadata, or None."""
    if metadata.geometry not in geometry.NAMES:
        return f"geometry {metadata.geometry!r} is not one of {', '.join(geometry.NAMES)}"
    if metadata.page_size not in geometry.PAGE_SIZES:
        return f"page size {metadata.page_size} is not one of {geometry.PAGE_SIZES}"
    return None


def _member(values: Any) -> bytes:  # noqa: ANN401  (whatever np.asarray takes)
    """Return the bytes of a member of the archive, an array in NumPy's own format."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
    stream = BytesIO()
    np.lib.format.write_array(stream, array.astype(array.dtype.newbyteorder("<")))
    return stream.getvalue()


def save(trace: Trace, path: str | Path) -> None:
    """Write a trace file; if the trace contradicts itself, raise ZsemuError and write none."""
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
                # Without a fixed date the archive would hold the time of writing.
                member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                # LZMA's files are a quarter smaller, but it is six times slower.
                large = len(trace) > 1 << 22
                member.compress_type = zipfile.ZIP_DEFLATED if large else zipfile.ZIP_LZMA
                member.create_system = 3
                archive.writestr(member, _member(values))
    except OSError as error:
        raise ZsemuError(f"{path}: cannot be written: {error.strerror}") from error


def _metadata(text: str) -> Metadata:
    """Return the metadata from JSON; ValueError if a field is missing, unknown or of wrong type."""
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


class _Inconsistent(Exception):  # noqa: N818 - TraceFile makes a ZsemuError of it
    """The members of a file contradict each other."""


def _decode(
    name: str,
    metadata: Metadata,
    tick: int,
    member: dict[str, NDArray[Any]],
    live: Live,
    begin: int,
) -> Trace:
    """Return the next operations of a file.

    ``member`` are their rows of the file's columns, ``live`` the objects that are alive before
    them, ``begin`` the time in nanoseconds at which the operation before them began.
    """
    operation, first = member["operation"], live.operations
    if (bad := first_true(operation > max(Operation))) is not None:
        raise _Inconsistent(f"operation {first + bad}: unknown code {operation[bad]}")
    allocates = operation == Operation.ALLOCATE
    age = member["object_age"].astype(np.int64)
    number = live.numbers(allocates, age)
    length = member["length_short"].astype(np.int64)
    whole, there = live.lengths(number, length[allocates])
    none = (number < 0) | (age < 1)
    if (bad := first_true(np.where(allocates, age != 0, none))) is not None:
        what = Operation(int(operation[bad])).name.lower()
        raise _Inconsistent(
            f"operation {first + bad}: {what} of an object that has not been allocated"
        )
    # The length of an object that is not alive is unknown. Any valid length will do, as Live.follow
    # refuses the operation.
    length = np.where(allocates, length, np.where(there, whole - length, 1))
    if (bad := first_true((length < 1) | (length > max(geometry.PAGE_SIZES)))) is not None:
        raise _Inconsistent(f"operation {first + bad}: length {length[bad]}")
    # The sums are taken as floats, so that they cannot wrap around.
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


class TraceFile:
    """A trace in its file, which is read part by part, so that memory does not limit its length.

    If something is wrong with the file, ZsemuError says what. It is raised when the file is opened
    or when the part is read that shows it: the file is no trace file, is of a newer version, is cut
    short, or holds a trace that contradicts itself, for example by a free of an object that is not
    alive.
    """

    def __init__(self, path: str | Path, operations: int | None = None) -> None:
        """Read the file's metadata; later only its first ``operations`` operations will be read."""
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
            if fault := _metadata_fault(self.metadata):
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
        digest = TraceDigest(self.metadata)
        for part in self.parts(_READ):
            digest.update(part.trace)
        return digest.hexadecimal()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise as a ZsemuError whatever NumPy, zipfile and the decompressors raise."""
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
    """Return a whole member; only for those that hold one value."""
    try:
        data = archive.read(f"{name}.npy")
    except KeyError:
        raise KeyError(name) from None
    array: NDArray[Any] = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    return array


def load(path: str | Path) -> Trace:
    """Return the trace in a file, named for the file; ZsemuError as for TraceFile."""
    (part,) = TraceFile(path).parts()
    return part.trace
