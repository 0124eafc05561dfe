# SPDX-License-Identifier: GPL-2.0-only
"""Files and standard input, plain and compressed, whole and damaged, and what is no such text."""

import base64
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from zsemu.errors import ZsemuError
from zsemu.traces import text_blocks
from zsemu.traces.text_blocks import STANDARD_INPUT, blocks

TEXT = b"".join(b"line %d\n" % number for number in range(2000))

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
PACKED = [name for name in COMPRESS if name != "plain"]

BY_THE_COMMANDS = {
    "gzip": "H4sIAAAAAAAAA0vkSuICAJcqVxgEAAAA",
    "xz": "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQADYQpiCgBEjiy1raDNrAABHARvLJzBH7bzfQEAAAAABFla",
    "zstd": "KLUv/QRYIQAAYQpiCiVQsyM=",
}
"""What ``printf 'a\\nb\\n' | gzip -n`` and so on print, in base64."""


class Stdin:
    """Standard input that holds some bytes and, as a pipe, cannot go back."""

    def __init__(self, data: bytes) -> None:
        raw = io.BytesIO(data)
        raw.seekable = lambda: False  # type: ignore[method-assign]
        self.buffer = io.BufferedReader(raw)


def read(data: bytes, folder: Path) -> bytes:
    """Return the text of a file that holds these bytes, whose name tells nothing."""
    path = folder / "some.file"
    path.write_bytes(data)
    return b"".join(blocks(path))


@pytest.mark.parametrize("size", [1, 100, 1 << 18])
@pytest.mark.parametrize("name", COMPRESS)
def test_the_text_comes_in_blocks_of_whole_lines(
    tmp_path: Path, name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK", size)
    path = tmp_path / "some.file"
    path.write_bytes(COMPRESS[name](TEXT + b"cut"))
    *whole, last = blocks(path)
    assert b"".join(whole) == TEXT
    assert all(block.endswith(b"\n") for block in whole)
    assert last == b"cut"
    if name == "plain":
        assert len(whole) == {1: 2000, 100: 189, 1 << 18: 1}[size]

    monkeypatch.setattr("sys.stdin", Stdin(path.read_bytes()))
    assert list(blocks(STANDARD_INPUT)) == [*whole, last]


@pytest.mark.parametrize("name", PACKED)
def test_what_the_commands_write(tmp_path: Path, name: str) -> None:
    assert read(base64.b64decode(BY_THE_COMMANDS[name]), tmp_path) == b"a\nb\n"


@pytest.mark.parametrize("name", PACKED)
def test_several_streams_in_a_file(tmp_path: Path, name: str) -> None:
    """As ``cat a.xz b.xz`` and compressors with several threads write them, with zeros behind."""
    pack = COMPRESS[name]
    assert read(pack(TEXT) + pack(b"") + pack(b"end\n") + bytes(8), tmp_path) == TEXT + b"end\n"


@pytest.mark.parametrize("name", PACKED)
def test_damaged(tmp_path: Path, name: str) -> None:
    packed = COMPRESS[name](TEXT)
    for at, data in {
        "cut short": packed[:-3],
        "cut in the second stream": packed + packed[:20],
        "changed": packed[:60] + bytes([packed[60] ^ 255]) + packed[61:],
        "followed by something else": packed + b"something else",
    }.items():
        with pytest.raises(ZsemuError, match=r"some\.file: the compressed file is cut short or d"):
            pytest.fail(f"{at}: {read(data, tmp_path)[-20:]!r}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("\ufeffline\n".encode("utf-16-le"), "UTF-16; make .* iconv -f UTF-16LE -t UTF-8"),
        ("\ufeffline\n".encode("utf-16-be"), "UTF-16; make .* iconv -f UTF-16BE -t UTF-8"),
        ("line\n".encode("utf-16-le"), "UTF-16; .* -f UTF-16LE"),
        ("line\n".encode("utf-16-be"), "UTF-16; .* -f UTF-16BE"),
        (b"\x17\x08\x44tracing6\0\n", "a trace.dat of trace-cmd; import what trace-cmd report p"),
        (b"PERFILE2h\0\0\0\n", "a perf.data of perf; import what perf script prints of it"),
    ],
)
def test_what_is_no_such_text(tmp_path: Path, data: bytes, message: str) -> None:
    for name in COMPRESS:
        with pytest.raises(ZsemuError, match=message):
            read(COMPRESS[name](data), tmp_path)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert read("\ufeffline\n".encode(), tmp_path) == b"line\n"


def test_nothing(tmp_path: Path) -> None:
    assert list(blocks(Path("/dev/null"))) == []
    with pytest.raises(ZsemuError, match="none: No such file or directory; give the text of a rec"):
        list(blocks(tmp_path / "none"))
    with pytest.raises(ZsemuError, match="Is a directory"):
        list(blocks(tmp_path))
