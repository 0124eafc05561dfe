# SPDX-License-Identifier: GPL-2.0-only
"""Events: the kprobes on zsmalloc, and the text in which a recording of them comes.

Read are the text of the kernel's ``trace_pipe`` and of ``trace-cmd report``, plain, xz or gzip.
:mod:`zsemu.traces.recorder` makes the kprobes from the same table :data:`PROBES`.
"""

import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError

Ints = NDArray[np.int64]


class Role(IntEnum):
    """What an event means."""

    MALLOC = 0
    MALLOC_RETURN = 1
    FREE = 2
    BEGIN = 3
    END = 4
    WRITE = 5
    """Begin and end in one call."""
    WRITE_RETURN = 6


@dataclass(frozen=True)
class Probe:
    """One kprobe: the event's name, and the arguments that it prints, in their order."""

    name: str
    role: Role
    arguments: tuple[tuple[str, int], ...]
    """Name and number of each, counted from 1; 0 is the return value."""

    @property
    def returns(self) -> bool:
        """Whether the event is the function's return."""
        return self.role in (Role.MALLOC_RETURN, Role.WRITE_RETURN)

    @property
    def function(self) -> str:
        """The function in mm/zsmalloc.c."""
        return self.name.removesuffix("_ret")


_HANDLE = ("handle", 2)

PROBES: Final = (
    Probe("zs_malloc", Role.MALLOC, (("size", 2),)),
    Probe("zs_malloc_ret", Role.MALLOC_RETURN, (("handle", 0),)),
    Probe("zs_free", Role.FREE, (_HANDLE,)),
    # Up to 6.14.
    Probe("zs_map_object", Role.BEGIN, (_HANDLE, ("mode", 3))),
    Probe("zs_unmap_object", Role.END, (_HANDLE,)),
    # From 6.15; mem_len since 0be909f114c4 (January 2026), before it the length is not told.
    Probe("zs_obj_read_begin", Role.BEGIN, (_HANDLE,)),
    Probe("zs_obj_read_begin", Role.BEGIN, (_HANDLE, ("mem_len", 3))),
    Probe("zs_obj_read_end", Role.END, (_HANDLE,)),
    Probe("zs_obj_write", Role.WRITE, (_HANDLE, ("mem_len", 4))),
    Probe("zs_obj_write_ret", Role.WRITE_RETURN, ()),
    # From January 2026 (dc2e4982cb01).
    Probe("zs_obj_read_sg_begin", Role.BEGIN, (_HANDLE, ("mem_len", 4))),
    Probe("zs_obj_read_sg_end", Role.END, (_HANDLE,)),
)

HEADER: Final = "# zsemu:"
"""Begins the line in which :mod:`zsemu.traces.recorder` notes ``kernel=6.1.0 page_size=4096``."""

# Names of the event and of its two arguments, empty where it has fewer, to the probe.
_SHAPES = {
    tuple(
        name.encode() for name in [probe.name, *(name for name, _ in probe.arguments), "", ""][:3]
    ): number
    for number, probe in enumerate(PROBES)
}
_ROLES = np.array([probe.role for probe in PROBES])
_NUMBER = rb"(0x[\da-fA-F]{1,16}|0|[1-9]\d{0,18})"
# "  task-tid  [cpu] flags  seconds.fraction: event: ...": the kernel's print_trace_line() with
# the options of its default, or record-tgid; trace-cmd leaves out the flags.
_TASK = (
    rb" *.{0,64}?-(\d{1,9}) +(?:\( *[\d-]+\) +)?\[(\d{1,4})\](?: +[^\s:\d][^\s:]*)?"
    rb" +(\d{1,9})\.(\d{6})(\d{3})?: +"
)
_NAMES = "|".join(probe.name for probe in PROBES).encode()
_LINE = re.compile(
    rb"^(?:" + _TASK + rb"(" + _NAMES + rb"): +\([^()\n]*\)"
    rb"(?: (size|handle)=" + _NUMBER + rb")?(?: (mode|mem_len)=" + _NUMBER + rb")?[ \r]*|.*)$",
    re.MULTILINE,
)
_OTHER_EVENT = re.compile(_TASK + rb"(?!(?:" + _NAMES + rb"):)\S.*")
_LOST = re.compile(rb" *CPU: ?\d+ \[(?:LOST )?(\d*) ?EVENTS(?: DROPPED)?\][ \r]*")
_COMMENT = re.compile(rb"[ \r]*|#.*|(?:version = |cpus=)\d+[ \r]*|CPU \d+ is empty[ \r]*")
_BLOCK = 4 << 20


@dataclass(frozen=True)
class Events:
    """Columns of shape (n,), one row an event."""

    probe: Ints
    tid: Ints
    cpu: Ints
    time: Ints
    """nanoseconds"""
    first: NDArray[np.uint64]
    """handle or size"""
    second: NDArray[np.uint64]
    """mode or mem_len; 0 where there is none"""
    line: Ints
    gap: Ints
    """reports of lost events in the lines before"""

    def take(self, index: Ints) -> "Events":
        """Return the rows of the given numbers."""
        return Events(**{name: values[index] for name, values in vars(self).items()})

    def __len__(self) -> int:
        return len(self.line)

    @property
    def role(self) -> Ints:
        """As in :class:`Role`, shape (n,)."""
        return _ROLES[self.probe]


@dataclass
class Recording:
    """What the text of a recording holds beside events; lines are numbers counted from 1."""

    path: Path
    lines: int = 0
    """Number of all lines."""
    header: dict[str, str] = field(default_factory=dict)
    """What :mod:`zsemu.traces.recorder` noted."""
    cut: list[int] = field(default_factory=list)
    """The last line, if the text ends before the line does."""
    lost: list[int] = field(default_factory=list)
    """Lines that report lost events."""
    lost_events: int = 0
    """How many those report, where they do."""
    other: list[int] = field(default_factory=list)
    """Lines that hold some other event."""


def _open(path: Path) -> IO[bytes]:
    """Open a plain or compressed file for reading; told apart by content, not by name."""
    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic == b"\xfd7zXZ\0":
        return lzma.open(path, "rb")
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the file's text in blocks of whole lines; what follows the last newline by itself."""
    try:
        with _open(path) as stream:
            rest = b""
            while block := stream.read(_BLOCK):
                head, newline, rest = (rest + block).rpartition(b"\n")
                if newline:
                    yield head + newline
            if rest:
                yield rest
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise ZsemuError(
            f"{path}: the compressed file is cut short or damaged ({error}); "
            "unpack what there is with xz -dc or gzip -dc and import that"
        ) from error
    except OSError as error:
        raise ZsemuError(f"{path}: {error.strerror}; give the text of a recording") from error


def _other(recording: Recording, text: bytes, line: int) -> None:
    """Note a line that is no event of zsmalloc, or complain of it."""
    if lost := _LOST.fullmatch(text):
        recording.lost.append(line)
        recording.lost_events += int(lost[1] or b"0")
    elif _OTHER_EVENT.match(text):
        recording.other.append(line)
    elif text.startswith(HEADER.encode()):
        for word in text.decode(errors="replace").removeprefix(HEADER).split():
            name, _, value = word.partition("=")
            recording.header[name] = value
    elif not _COMMENT.fullmatch(text):
        raise ZsemuError(
            f"{recording.path}:{line}: expected an event as trace_pipe or trace-cmd report prints "
            "it, 'task-1 [000] ...1. 1.000000: zs_free: (zs_free+0x0) handle=0x1', "
            f"not {text[:80].decode(errors='replace')!a}"
        )


def _events(recording: Recording, block: bytes) -> Events:
    """Return the events in a block of whole lines, and note the other lines."""
    # Without the last newline, as "^" would match behind it once more.
    rows = _LINE.findall(block[:-1])
    probe = np.array([_SHAPES.get((row[5], row[6], row[8]), -1) for row in rows])
    above, gaps = recording.lines, len(recording.lost)
    (good,) = np.nonzero(probe >= 0)
    if len(good) < len(rows):
        texts = block.split(b"\n")
        for index in np.flatnonzero(probe < 0).tolist():
            _other(recording, texts[index], above + 1 + index)
        rows = [rows[index] for index in good.tolist()]
    recording.lines += len(probe)
    return Events(
        probe=probe[good],
        tid=np.array([int(row[0]) for row in rows], np.int64),
        cpu=np.array([int(row[1]) for row in rows], np.int64),
        time=np.array([int(row[2] + row[3] + (row[4] or b"000")) for row in rows], np.int64),
        first=np.array([int(row[7] or b"0", 0) for row in rows], np.uint64),
        second=np.array([int(row[9] or b"0", 0) for row in rows], np.uint64),
        line=good + (above + 1),
        gap=gaps + np.searchsorted(np.array(recording.lost[gaps:], np.int64), good + (above + 1)),
    )


def concatenate(parts: list[Events]) -> Events:
    """Return the rows of all parts, one behind the other."""
    return Events(
        **{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    )


def read(path: Path) -> tuple[Recording, Events]:
    """Return what the text of a recording holds; the events in the order of their lines.

    ZsemuError names the file, and the line and what was expected there, if a line other than the
    last is not of such a text, or no line is an event of :data:`PROBES`.
    """
    recording = Recording(path)
    parts = []
    for block in _blocks(path):
        if block.startswith(b"\x17\x08\x44tracing") and not recording.lines:
            raise ZsemuError(
                f"{path}: a trace.dat of trace-cmd; import the text that trace-cmd report prints"
            )
        if block.endswith(b"\n"):
            parts.append(_events(recording, block))
        else:
            # Whether it is complete cannot be told: a handle cut short is still a handle.
            recording.lines += 1
            recording.cut.append(recording.lines)
    if not any(len(part) for part in parts):
        raise ZsemuError(
            f"{path}: none of its {recording.lines} lines is an event of zsmalloc; expected the "
            "text of trace_pipe or trace-cmd report; see: zsemu trace record"
        )
    return recording, concatenate(parts)
