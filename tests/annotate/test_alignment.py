# SPDX-License-Identifier: GPL-2.0-only
"""Alignment on listings made up by hand: what is the same, what is not, and where branches go."""

from pathlib import Path

from zsemu.annotate.alignment import Mark, by_instruction, by_line, name_of, pair_functions
from zsemu.annotate.listing import Counts, Function, Row
from zsemu.guest.debug_lines import SourceLine


def row(key: str, target: int | None = None, times: int = 1, line: int = 0) -> Row:
    place = SourceLine(Path("/x/a.c"), line, assembly=False) if line else None
    return Row(0, key, key, target, place, "", Counts(times, 0, 0, 0, 0, 0))


def function(*rows: Row, name: str = "f") -> Function:
    """Return a function with an instruction at every offset from 0 on."""
    placed = tuple(
        Row(offset, r.text, r.key, r.target, r.place, r.source, r.counts)
        for offset, r in enumerate(rows)
    )
    return Function(name, 0, placed, Counts(0, 0, 0, 0, 0, 0), {})


def marks(left: Function | None, right: Function | None) -> str:
    return "".join(pair.mark for pair in by_instruction(left, right))


A, B, C, D = (row(key) for key in "abcd")


def test_the_same() -> None:
    one = function(A, B, C)
    assert marks(one, function(A, B, C)) == "   "
    assert [(p.left, p.right) for p in by_instruction(one, one)] == [(r, r) for r in one.rows]


def test_other_counts() -> None:
    assert marks(function(A, row("b"), C), function(A, row("b", times=2), C)) == " * "


def test_one_more_one_less_and_another() -> None:
    assert marks(function(A, B), function(A, C, B)) == " > "
    assert marks(function(A, C, B), function(A, B)) == " < "
    assert marks(function(A, C, B), function(A, D, B)) == " | "
    assert marks(function(A, C, C, B), function(A, D, B)) == " |< "
    assert marks(None, function(A, B)) == ">>"
    assert marks(function(A, B), None) == "<<"


def test_many_of_one_kind() -> None:
    """Not even the commonest instruction is passed over."""
    rows = [row("nop")] * 300
    assert marks(function(*rows), function(*rows, A)) == " " * 300 + ">"


def test_branches() -> None:
    """The same if they go to the same instruction, or the next that both sides have."""
    there, back = row("jmp +", target=3), row("jmp +", target=0)
    one = function(A, there, B, C, back)
    assert marks(one, one) == "     "
    # One more between: all the same, though targets are other offsets.
    longer = function(A, row("jmp +", target=4), D, B, C, back)
    assert marks(one, longer) == "  >   "
    # To what is only on one side, and so on.
    skips = function(A, row("jmp +", target=3), B, D, C, back)
    assert marks(one, skips) == "   >  "
    # Elsewhere.
    elsewhere = function(A, row("jmp +", target=2), B, C, back)
    assert marks(one, elsewhere) == " |   "
    counted = function(A, row("jmp +", target=2, times=5), B, C, back)
    assert marks(one, counted) == " |   "


def test_functions_are_paired_by_name() -> None:
    f, g, h = (function(A, name=name) for name in "fgh")
    pairs = pair_functions([f, g], [h, g])
    assert [name_of(pair) for pair in pairs] == ["f", "g", "h"]
    assert pairs == [(f, None), (g, g), (None, h)]


def test_by_line() -> None:
    left = function(row("a", line=7), row("b", line=5), row("c", line=7), row("d"))
    right = function(row("x", line=5), row("y", line=9))
    blocks = by_line(left, right)
    found = [
        (b.place and b.place.line, [r.key for r in b.left], [r.key for r in b.right])
        for b in blocks
    ]
    assert found == [(5, ["b"], ["x"]), (7, ["a", "c"], []), (9, [], ["y"]), (None, ["d"], [])]


def test_assembly_is_one_block() -> None:
    def written(key: str, file: str, line: int) -> Row:
        return Row(
            0, key, key, None, SourceLine(Path(file), line, True), "", Counts(1, 0, 0, 0, 0, 0)
        )

    left = function(written("a", "/x/copy.S", 3), written("b", "/x/copy.S", 4))
    right = function(written("c", "/y/copy.S", 3))
    (block,) = by_line(left, right)
    assert block.place is None
    assert (len(block.left), len(block.right)) == (2, 1)
    assert Mark(" ") is Mark.SAME
