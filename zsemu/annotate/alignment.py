# SPDX-License-Identifier: GPL-2.0-only
"""Align two versions of a function, and mark where they differ.

Two strategies are aligned instruction by instruction, two architectures by source line.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

from zsemu.annotate.listing import Function, Row
from zsemu.guest.debug_lines import SourceLine


class Mark(StrEnum):
    """How the two sides of a pair differ, in the notation of ``diff -y``."""

    SAME = " "
    COUNTS = "*"
    """the same instruction, but not the same counts"""
    CHANGED = "|"
    LEFT = "<"
    RIGHT = ">"


@dataclass(frozen=True)
class Pair:
    """An instruction on one side or on both."""

    mark: Mark
    left: Row | None
    right: Row | None


@dataclass(frozen=True)
class Block:
    """The instructions of one line of C, or all of a function that were written in assembly."""

    place: SourceLine | None
    """None for assembly, and for what the compiler says of no line"""
    left: tuple[Row, ...]
    right: tuple[Row, ...]


Functions = tuple[Function | None, Function | None]
"""two functions of the same name; one may be missing"""


def name_of(pair: Functions) -> str:
    """Return the name of two functions."""
    return next(function.name for function in pair if function)


def pair_functions(left: Sequence[Function], right: Sequence[Function]) -> list[Functions]:
    """Pair functions by name: in the order of the left, then those that only the right has."""
    others = {function.name: function for function in right}
    pairs: list[Functions] = [(function, others.pop(function.name, None)) for function in left]
    return pairs + [(None, function) for function in others.values()]


def _rows(function: Function | None) -> tuple[Row, ...]:
    return function.rows if function else ()


def by_instruction(left: Function | None, right: Function | None) -> list[Pair]:
    """Align two functions so that as many instructions as possible are the same."""
    one, other = _rows(left), _rows(right)
    matcher = SequenceMatcher(
        None, [row.key for row in one], [row.key for row in other], autojunk=False
    )
    pairs = []
    for tag, first, end, first_right, end_right in matcher.get_opcodes():
        for a, b in zip_longest(one[first:end], other[first_right:end_right]):
            if tag == "equal":
                mark = Mark.SAME if a.counts == b.counts else Mark.COUNTS
            elif a and b:
                mark = Mark.CHANGED
            else:
                mark = Mark.LEFT if a else Mark.RIGHT
            pairs.append(Pair(mark, a, b))
    return _check_targets(pairs)


def _check_targets(pairs: list[Pair]) -> list[Pair]:
    """Mark branches as changed that look the same but go elsewhere."""
    left, right = (_next_common(pairs, side) for side in ("left", "right"))
    return [
        replace(pair, mark=Mark.CHANGED)
        if pair.mark in (Mark.SAME, Mark.COUNTS)
        and pair.left
        and pair.right
        and left.get(pair.left.target) != right.get(pair.right.target)
        else pair
        for pair in pairs
    ]


def _next_common(pairs: Sequence[Pair], side: str) -> dict[int | None, int]:
    """Return by offset on one side the number of the first pair from there that has both sides."""
    found: dict[int | None, int] = {}
    number = len(pairs)
    for index in reversed(range(len(pairs))):
        if pairs[index].left and pairs[index].right:
            number = index
        row: Row | None = getattr(pairs[index], side)
        if row:
            found[row.offset] = number
    return found


def by_line(left: Function | None, right: Function | None) -> list[Block]:
    """Return the instructions of both functions by source line, file by file and line by line."""
    one, other = _rows(left), _rows(right)
    files: dict[Path, int] = {}
    for row in (*one, *other):
        if row.place:
            files.setdefault(row.place.path, len(files))
    blocks: dict[Hashable, tuple[list[Row], list[Row]]] = {}
    for side, rows in enumerate((one, other)):
        for row in rows:
            blocks.setdefault(_line(row), ([], []))[side].append(row)
    found = []
    for mine, theirs in blocks.values():
        first = (mine + theirs)[0]
        assembly = first.place is not None and first.place.assembly
        found.append(Block(None if assembly else first.place, tuple(mine), tuple(theirs)))

    def order(block: Block) -> tuple[int, int]:
        return (files[block.place.path], block.place.line) if block.place else (len(files), 0)

    return sorted(found, key=order)


def _line(row: Row) -> Hashable:
    place = row.place
    return place and (place.assembly or (place.path, place.line))
