# SPDX-License-Identifier: GPL-2.0-only
"""What is kept on disk: made once, told apart, and made anew where it is damaged."""

from pathlib import Path

import pytest

from zsemu import kept as module
from zsemu.kept import kept


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of these files."""
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path))
    return tmp_path / "results"


def refuse() -> bytes:
    raise AssertionError("was made once more")


@pytest.mark.parametrize("content", [b"", b"\0", b"something"])
def test_is_made_once(content: bytes, folder: Path) -> None:
    assert kept("one", "of", lambda: content) == content
    (file,) = folder.iterdir()
    assert kept("one", "of", refuse) == content
    assert list(folder.iterdir()) == [file]


def test_whatever_it_depends_on_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept("one", "of", lambda: b"1") == b"1"
    assert kept("other", "of", lambda: b"2") == b"2"
    assert kept("one", "other", lambda: b"3") == b"3"
    monkeypatch.setattr(module, "sources_digest", lambda: "other")
    assert kept("one", "of", lambda: b"4") == b"4"
    monkeypatch.undo()


def test_a_damaged_file_is_made_anew(folder: Path) -> None:
    kept("one", "of", lambda: b"made")
    (file,) = folder.iterdir()
    good = file.read_bytes()
    flipped = [
        good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
        for at in range(len(good))
        for bit in range(8)
    ]
    for damaged in (b"", good[:-1], good + b"\0", *flipped):
        file.write_bytes(damaged)
        assert kept("one", "of", lambda: b"again") == b"again"
        file.unlink()


def test_nothing_is_kept_where_nothing_was_made(folder: Path) -> None:
    assert kept("one", "of", lambda: None) is None
    assert kept("one", "of", lambda: b"made") == b"made"
    assert len(list(folder.iterdir())) == 1


def test_nothing_is_kept_where_nothing_can_be_written(folder: Path) -> None:
    folder.write_text("in the way")
    assert kept("one", "of", lambda: b"1") == b"1"
    assert kept("one", "of", lambda: b"2") == b"2"
    assert folder.read_text() == "in the way"
