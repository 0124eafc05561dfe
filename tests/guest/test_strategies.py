# SPDX-License-Identifier: GPL-2.0-only
"""The shipped strategies' first comments, and a user's own file."""

import re
from pathlib import Path

import pytest

from zsemu.errors import ZsemuError
from zsemu.guest import strategies
from zsemu.guest.strategies import strategy
from zsemu.paths import ARCH

# What users' gates rely on: a promise is not dropped or added in passing.
PROMISED = {
    "pgtable": ("ro-clean", "neighbour-clean", "stateless", "no-leak"),
    "copy": ("neighbour-clean", "stateless", "no-leak"),
    "copy-modes": ("ro-clean", "neighbour-clean", "stateless"),
    "swap": ("stateless", "no-leak"),
    "swap-min": ("stateless", "no-leak"),
    "swap-lazy": (),
    "readwrite": ("ro-clean", "neighbour-clean", "stateless", "no-leak"),
    "sg": ("ro-clean", "neighbour-clean", "stateless", "no-leak"),
}
# Found by zsemu race; tests/race/test_shipped.py finds it again.
NEEDED = {
    "pgtable": "slot",
    "copy": "slot",
    "copy-modes": "slot",
    "swap": "neighbours",
    "swap-min": "neighbours",
    "swap-lazy": "neighbours",
    "readwrite": "slot",
    "sg": "slot",
}
each_strategy = pytest.mark.parametrize("name", PROMISED)


def test_names_and_promises() -> None:
    assert strategies.names() == tuple(PROMISED)
    assert {name: strategy(name).promises for name in strategies.names()} == PROMISED
    assert {name: strategy(name).needs for name in strategies.names()} == NEEDED


@each_strategy
def test_first_comment_says_it_all(name: str) -> None:
    """Whose idea, what it moves, keeps and forbids, and what it promises, in that order."""
    shipped = strategy(name)
    assert not shipped.own
    assert shipped.path == ARCH / "strategies" / f"{name}.c"
    text = shipped.path.read_text()
    assert text.startswith("// SPDX-License-Identifier: GPL-2.0-only\n/*\n * ")
    comment = text[text.index("/*") : text.index("*/")]
    parts = re.findall(r"^ \* ([A-Z][a-z]+):(?: |$)", comment, re.MULTILINE)
    assert parts == ["Whose", "Moves", "Keeps", "Forbids", "Needs", "Promises"]
    said = re.split(r"(?:Whose|Moves|Keeps|Forbids|Needs|Promises):", comment)[1:5]
    assert all(part.strip(" *\n").endswith(".") for part in said)
    # A mail by its Message-ID, a commit, or the kernels that had it.
    assert re.search(r"\d{5,}-\d|@|\b[0-9a-f]{7,12}\b|\b\d\.\d+\b", said[0])

    first = comment.split("\n")[1].removeprefix(" * ")
    assert shipped.summary == first
    assert first[0].isupper()
    assert first.endswith(".")
    assert len(first) <= 80


@pytest.mark.parametrize("name", ["kmap", "", "Copy", "copy-mode", "swap lazy"])
def test_unknown_names_list_the_valid_ones(name: str) -> None:
    with pytest.raises(ZsemuError) as caught:
        strategy(name)
    assert str(caught.value) == (
        f"no strategy {name!r}: there are pgtable, copy, copy-modes, swap, swap-min, swap-lazy,"
        " readwrite, sg, or the path of a C file"
    )


@pytest.mark.parametrize("name", ["nowhere.c", "./nowhere.c", "no/where", "directory.c"])
def test_no_such_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory.c").mkdir()
    with pytest.raises(ZsemuError, match=rf"^{re.escape(name)}: no such C file$"):
        strategy(name)


def own(folder: Path, text: str) -> strategies.Strategy:
    file = folder / "mine.c"
    file.write_text(text)
    return strategy(str(file))


@pytest.mark.parametrize(
    ("text", "summary", "promises"),
    [
        ("int x;\n", "", ()),
        ("/* Short. */\nint x;\n", "Short.", ()),
        ("/* One. */\n/* Another. Promises: no-leak */\n", "One.", ()),
        (
            "// SPDX-License-Identifier: MIT\n/*\n * Mine.\n *\n * Promises: ro-clean\n */\n",
            "Mine.",
            ("ro-clean",),
        ),
        (
            "/* SPDX-License-Identifier: MIT */\n/*\n * Mine.\n * Promises: no-leak.\n */\n",
            "Mine.",
            ("no-leak",),
        ),
        # Over two lines, as the line length makes it; in any order.
        (
            "/*\n * Mine.\n * Promises: stateless,\n * neighbour-clean, ro-clean\n */\n",
            "Mine.",
            ("stateless", "neighbour-clean", "ro-clean"),
        ),
        ("/*\n * Mine.\n * Promises:\n */\n", "Mine.", ()),
        # A sentence that goes on is shown as far as its first line goes.
        ("/*\n * A long sentence that\n * goes on.\n */\n", "A long sentence that", ()),
        ("/**\n * Doxygen.\n **/\n", "Doxygen.", ()),
    ],
)
def test_own_comment(text: str, summary: str, promises: tuple[str, ...], tmp_path: Path) -> None:
    mine = own(tmp_path, text)
    assert (mine.name, mine.own, mine.path) == ("mine", True, tmp_path / "mine.c")
    assert (mine.summary, mine.promises) == (summary, promises)


@pytest.mark.parametrize("promise", ["fast", "stateles", "ro-clean, fast", "RO-CLEAN", "no leak"])
def test_unknown_promise(promise: str, tmp_path: Path) -> None:
    with pytest.raises(ZsemuError) as caught:
        own(tmp_path, f"/*\n * Mine.\n * Promises: {promise}\n */\n")
    wrong = promise.removeprefix("ro-clean, ")
    assert str(caught.value).startswith(
        f"{tmp_path / 'mine.c'}: promises {wrong!r},"
        " which is none of ro-clean, neighbour-clean, stateless, no-leak"
    )


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_bytes(b"/* \xff\xfe */")
    with pytest.raises(ZsemuError, match=r"mine\.c: not a readable C file: .*utf-8"):
        strategy(str(tmp_path / "mine.c"))


def test_digest(tmp_path: Path) -> None:
    # FIPS 180-4's example message "abc"; a file is named by what it holds, not by where it lies.
    mine = own(tmp_path, "abc")
    assert mine.digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "other").mkdir()
    assert own(tmp_path / "other", "abc").digest == mine.digest
    assert own(tmp_path / "other", "abcd").digest != mine.digest


def test_what_lies_beside_counts_too(tmp_path: Path) -> None:
    mine = own(tmp_path, '#include "zs.h"\n#include "mine.h"\n')
    alone = mine.digest
    assert not mine.needs_window
    (tmp_path / "mine.h").write_text("#define ENTRIES area->window_pte\n")
    assert mine.needs_window
    assert mine.digest != alone
    (tmp_path / "mine.h").write_bytes(b"/* \xff */")
    (tmp_path / "zs.h").write_bytes((ARCH / "zs.h").read_bytes())
    assert not mine.needs_window


def test_own_file_is_found_again_in_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.c").write_text(f"/* {folder} */")
        monkeypatch.chdir(tmp_path / folder)
        assert strategy("./mine.c").summary == folder
        assert strategy("mine.c").path == tmp_path / folder / "mine.c"


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("Needs: slot", "slot"),
        ("Needs: neighbours.", "neighbours"),
        ("Needs:   pool  ", "pool"),
        ("Needs: nothing", "nothing"),
        ("It needs: a lock", ""),
    ],
)
def test_needs(line: str, needs: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.c"
    path.write_text(f"/*\n * Mine.\n *\n * {line}\n * Promises: stateless\n */\n")
    mine = strategy(str(path))
    assert (mine.needs, mine.promises) == (needs, ("stateless",))
    # Behind the promises, it is none of them.
    path.write_text(f"/*\n * Mine.\n * Promises: stateless\n * {line}\n */\n")
    if needs:
        mine = strategy(str(path))
        assert (mine.needs, mine.promises) == (needs, ("stateless",))


@pytest.mark.parametrize("wrong", ["page", "", "Slot", "slot, zspage"])
def test_unknown_need(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.c"
    path.write_text(f"/*\n * Mine.\n * Needs: {wrong}\n */\n")
    with pytest.raises(ZsemuError) as caught:
        strategy(str(path))
    assert str(caught.value) == (
        f"{path}: needs {wrong!r}, which is none of nothing, slot, neighbours, zspage, pool:"
        " say in the first comment what must be locked from map to unmap"
    )
