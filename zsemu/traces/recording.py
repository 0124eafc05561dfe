# SPDX-License-Identifier: GPL-2.0-only
"""Read the file of a recording, plain or compressed, in blocks of whole lines."""

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from zsemu.errors import ZsemuError
from zsemu.traces import ftrace_text
from zsemu.traces.events import Events, Recording, concatenate

BLOCK = 4 << 20
"""Bytes of text that are read at a time."""
_TRACE_DAT = b"\x17\x08\x44tracing"
"""The binary file of trace-cmd begins so."""


def _open(path: Path) -> IO[bytes]:
    """Open a plain or compressed file for reading; the content tells which, not the name."""
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
            while block := stream.read(BLOCK):
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


def read(path: Path) -> tuple[Recording, Events]:
    """Return what the text of a recording holds; the events in the order of their lines.

    ZsemuError names the file, and the line and what was expected there, if a line other than the
    last is not of such a text, or if no line is an event of zsmalloc.
    """
    recording = Recording(path)
    parts = []
    for block in _blocks(path):
        if block.startswith(_TRACE_DAT) and not recording.lines:
            raise ZsemuError(
                f"{path}: a trace.dat of trace-cmd; import the text that trace-cmd report prints"
            )
        if block.endswith(b"\n"):
            parts.append(ftrace_text.parse(recording, block))
        else:
            # Nobody can tell whether it is complete: a handle that is cut short is still a handle.
            recording.lines += 1
            recording.cut.append(recording.lines)
    if not any(len(part) for part in parts):
        raise ZsemuError(
            f"{path}: none of its {recording.lines} lines is an event of zsmalloc; expected the "
            "text of trace_pipe or trace-cmd report; see: zsemu trace record"
        )
    return recording, concatenate(parts)
