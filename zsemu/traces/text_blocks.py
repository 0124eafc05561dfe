# SPDX-License-Identifier: GPL-2.0-only
"""Read the text of a file or of standard input, plain or compressed, in blocks of whole lines."""

import codecs
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final, Protocol

import zstandard

from zsemu.errors import ZsemuError

BLOCK = 1 << 18
"""Bytes of text that are read at a time: as many as fit in a processor's cache with their rows."""
_PIECE: Final = 1 << 16
"""Bytes of a compressed file that are unpacked at a time; they may hold a hundred times as much."""
STANDARD_INPUT: Final = Path("-")


class _Decompressor(Protocol):
    """Unpacks one stream of a compressed file; it may have several, one behind the other."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


# By the first bytes of a file; its name may say something else.
_COMPRESSED: Final[dict[bytes, Callable[[], _Decompressor]]] = {
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_MAGIC: Final = max(map(len, _COMPRESSED))
# How what is no such text begins, and what to do with it. UTF-16 has a byte order mark or has not.
_OTHER: Final = {
    rb"\x17\x08\x44tracing": "a trace.dat of trace-cmd; import what trace-cmd report prints of it",
    rb"PERFILE2": "a perf.data of perf; import what perf script prints of it",
    rb"\xff\xfe|(?:[^\0]\0){4}": "UTF-16; make UTF-8 of it with: iconv -f UTF-16LE -t UTF-8",
    rb"\xfe\xff|(?:\0[^\0]){4}": "UTF-16; make UTF-8 of it with: iconv -f UTF-16BE -t UTF-8",
}


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield the bytes of the file, or of standard input, in pieces."""
    stream = nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb")
    with stream as opened:
        while piece := opened.read(min(BLOCK, _PIECE)):
            yield piece


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces as they are, or what they hold if they are compressed."""
    piece = next(pieces, b"")
    while 0 < len(piece) < _MAGIC and (more := next(pieces, b"")):
        piece += more
    new = next((new for magic, new in _COMPRESSED.items() if piece.startswith(magic)), None)
    if new is None:
        yield piece
        yield from pieces
        return
    stream = new()
    while piece:
        if stream.eof:
            stream = new()
        yield stream.decompress(piece)
        # Zeros may fill up a file behind its last stream.
        piece = stream.unused_data.lstrip(b"\0") if stream.eof else b""
        piece = piece or next(pieces, b"")
    if not stream.eof:
        raise EOFError("it ends within a stream")


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks of whole lines, and by itself what follows the last newline."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK:
            head, newline, rest = b"".join(waiting).rpartition(b"\n")
            if newline:
                yield head + newline
            waiting, size = [rest], len(rest)
    head, newline, rest = b"".join(waiting).rpartition(b"\n")
    yield from filter(None, (head + newline, rest))


def blocks(path: Path) -> Iterator[bytes]:
    """Yield the text of a file, or of standard input for "-", as :func:`_whole_lines` does.

    ZsemuError says what to do if it cannot be read, or if its first bytes are those of no text.
    """
    try:
        for number, block in enumerate(_whole_lines(_unpacked(_pieces(path)))):
            if number == 0:
                for beginning, what in _OTHER.items():
                    if re.match(beginning, block):
                        raise ZsemuError(f"{path}: {what}")
                block = block.removeprefix(codecs.BOM_UTF8)
            yield block
    except (EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError) as error:
        raise ZsemuError(
            f"{path}: the compressed file is cut short or damaged ({error}); "
            "unpack what there is with xz -dc, gzip -dc or zstd -dc and import that"
        ) from error
    except OSError as error:
        raise ZsemuError(f"{path}: {error.strerror}; give the text of a recording") from error
