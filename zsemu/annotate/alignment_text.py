# SPDX-License-Identifier: GPL-2.0-only
"""Write two listings as text: their totals and differences, then the aligned instructions of both.

The two sides stand beside each other if the width allows it, else below each other as in a unified
diff.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Final

from zsemu.annotate.alignment import (
    Functions,
    Mark,
    by_instruction,
    by_line,
    name_of,
    pair_functions,
)
from zsemu.annotate.listing import Function, Listing, Row, require
from zsemu.annotate.text_columns import (
    BESIDE,
    COLD,
    HOT,
    NOTHING,
    PLAIN,
    SOURCE,
    TITLE,
    WARM,
    Item,
    Layout,
    Line,
    cut,
    items,
    table,
)

_GUTTER: Final = 3
"""columns between the two sides"""
_MARKED: Final[dict[Mark | None, str]] = {
    Mark.COUNTS: "magenta",
    Mark.CHANGED: "yellow",
    Mark.LEFT: "red",
    Mark.RIGHT: "green",
}

Both = tuple[Item | None, Item | None]


def names(left: Listing, right: Listing) -> tuple[str, str]:
    """Return what tells two listings apart: their strategies, or else their architectures."""
    return (left.strategy, right.strategy) if left.arch == right.arch else (left.arch, right.arch)


def _difference(left: int, right: int) -> str:
    if left == right:
        return "="
    percent = f" ({100 * (right - left) / left:+.1f} %)" if left else ""
    return f"{right - left:+d}{percent}"


def _totals(left: Listing, right: Listing) -> list[str]:
    """Return what both cost by phase, and how much more the right side costs."""
    rows = [["", *names(left, right), "difference"]]
    one, other = dict(left.phases), dict(right.phases)
    if len(one) > 1:
        one["together"], other["together"] = left.counts, right.counts
    for phase, counts in one.items():
        for field, mine in vars(counts).items():
            theirs = getattr(other[phase], field)
            if mine or theirs:
                name = "instructions" if field == "executions" else field.replace("_", " ")
                rows.append([f"{phase} {name}", str(mine), str(theirs), _difference(mine, theirs)])
    return table(rows)


def _functions(pairs: Sequence[Functions], left: Listing, right: Listing) -> list[str]:
    rows = [["instructions of", *names(left, right), "difference"]]
    for pair in pairs:
        a, b = (function.counts.executions if function else 0 for function in pair)
        rows.append([name_of(pair), str(a), str(b), _difference(a, b)])
    return table(rows)


# What is printed, and in which order.


@dataclass(frozen=True)
class _Entry:
    """An instruction on one side or on both."""

    mark: Mark | None
    """None for two that do not correspond"""
    both: Both
    source: tuple[str, str] = ("", "")
    """lines of C to print before it, one for each side"""


_Group = Sequence[_Entry]
"""entries that stay together when sorted: one instruction, or those of a line of C"""


def _item(listing: Listing, function: Function | None, row: Row | None) -> Item | None:
    return Item(listing, function, row) if function and row else None


def _instructions(left: Listing, right: Listing, pair: Functions) -> list[_Group]:
    """Align two functions of one architecture."""
    return [
        [_Entry(each.mark, (_item(left, pair[0], each.left), _item(right, pair[1], each.right)))]
        for each in by_instruction(*pair)
    ]


def _sourced(groups: Iterable[_Group]) -> Iterator[_Entry]:
    """Add to each instruction its line of C where it differs from the one before on that side."""
    last: list[object] = [(), ()]
    for entry in chain.from_iterable(groups):
        texts = ["", ""]
        for side, item in enumerate(entry.both):
            if item and item.row.place != last[side]:
                last[side], texts[side] = item.row.place, item.source
        yield replace(entry, source=(texts[0], texts[1]))


def _blocks(left: Listing, right: Listing, pair: Functions) -> list[_Group]:
    """Pair the instructions of two functions of two architectures by lines of C."""
    groups: list[_Group] = []
    for block in by_line(*pair):
        mine = [_item(left, pair[0], row) for row in block.left]
        theirs = [_item(right, pair[1], row) for row in block.right]
        entries = [_Entry(None, both) for both in zip_longest(mine, theirs)]
        sums = (sum(item.counts.executions for item in side if item) for side in (mine, theirs))
        source = next(item.source for item in mine + theirs if item)
        title = f"{' | '.join(map(str, sums))}  {source}" if source else ""
        groups.append([replace(entries[0], source=(title, "")), *entries[1:]])
    return groups


def _differs(group: _Group) -> bool:
    return any(entry.mark != Mark.SAME for entry in group)


def _rise(group: _Group) -> tuple[int, int]:
    """Return a sort key: how much the sides differ in executions, then in bytes, most first."""
    executions = bytes_ = 0
    for entry in group:
        for sign, item in zip((-1, 1), entry.both, strict=True):
            if item:
                executions += sign * item.counts.executions
                bytes_ += sign * item.counts.bytes
    return -abs(executions), -abs(bytes_)


# How it is printed. The two views have the same methods.


def _heat(both: Both) -> str:
    """Return the style of the hotter of two."""
    order = (HOT, WARM, PLAIN, COLD)
    return min((item.heat for item in both if item), key=order.index)


class _Beside:
    """The left side on the left, the right side on the right."""

    def __init__(self, layouts: Sequence[Layout], width: int) -> None:
        self._layouts, self._width = layouts, width
        self._half = (width - _GUTTER) // 2

    def _join(self, left: str, mark: str, right: str) -> str:
        return f"{left:{self._half}} {mark} {right}".rstrip()

    def header(self, names: tuple[str, str]) -> list[Line]:
        left, right = (layout.header() for layout in self._layouts)
        return [(self._join(names[0], " ", names[1]), TITLE), (self._join(left, " ", right), TITLE)]

    def lines(self, entries: Iterable[_Entry]) -> list[Line]:
        lines = []
        for entry in entries:
            left, right = entry.source
            if left and not right:
                lines.append((cut(left, self._width), SOURCE))
            elif right:
                lines.append(
                    (self._join(cut(left, self._half), " ", cut(right, self._half)), SOURCE)
                )
            left, right = (
                layout.line(item, self._half, cut_rounds=True) if item else ""
                for layout, item in zip(self._layouts, entry.both, strict=True)
            )
            style = _MARKED.get(entry.mark, "") or _heat(entry.both)
            lines.append((self._join(left, entry.mark or " ", right), style))
        return lines


class _Below:
    """What is the same stands in one line, what differs in lines with - and +, as in diff -u."""

    def __init__(self, every: Sequence[Item], width: int, *, full: bool) -> None:
        self._width, self._full = width, full
        self._headers = ("exec -", "exec +", "bytes -", "bytes +")
        executions = max(len(str(item.counts.executions)) for item in every)
        bytes_ = max(len(str(item.counts.bytes)) for item in every)
        numbers = (executions, executions, bytes_, bytes_)
        self._widths = [max(len(h), n) for h, n in zip(self._headers, numbers, strict=True)]
        self._at = max(len(item.at(full=full)) for item in every)

    def _columns(self, texts: Sequence[str]) -> str:
        return " ".join(t.rjust(w) for t, w in zip(texts, self._widths, strict=True))

    def header(self, names: tuple[str, str]) -> list[Line]:
        return [
            (cut(f"- {names[0]}, + {names[1]}", self._width), TITLE),
            (f"{self._columns(self._headers)}   at", TITLE),
        ]

    def _source(self, entry: _Entry) -> list[Line]:
        left, right = entry.source
        if left == right or entry.mark is None:
            texts = [left] if left else []
        else:
            texts = [f"{mark} {text}" for mark, text in (("-", left), ("+", right)) if text]
        return [(cut(text, self._width), SOURCE) for text in texts]

    def _line(self, mark: str, both: Both) -> str:
        item = next(item for item in reversed(both) if item)
        figures = [str(each.counts.executions) if each else "" for each in both]
        figures += [str(each.counts.bytes or "") if each else "" for each in both]
        at = f"{item.at(full=self._full):{self._at}}"
        return f"{self._columns(figures)} {mark} {at}  {item.row.text}{item.rounds}"

    def lines(self, entries: Iterable[_Entry]) -> list[Line]:
        lines: list[Line] = []
        added: list[Line] = []
        for entry in entries:
            same = entry.mark in (Mark.SAME, Mark.COUNTS)
            if same or any(entry.source):
                lines += added
                added = []
            lines += self._source(entry)
            if same:
                style = _MARKED.get(entry.mark, "") or _heat(entry.both)
                lines.append((self._line(entry.mark or " ", entry.both), style))
                continue
            left, right = entry.both
            if left:
                lines.append((self._line("-", (left, None)), _MARKED[Mark.LEFT]))
            if right:
                added.append((self._line("+", (None, right)), _MARKED[Mark.RIGHT]))
        return lines + added


def _view(
    left: Sequence[Item], right: Sequence[Item], width: int, *, full: bool
) -> _Beside | _Below:
    """Return the view for a width: beside each other if that fits."""
    half = (width - _GUTTER) // 2
    for columns in BESIDE:
        layouts = [Layout(columns, side, full=full) for side in (left, right)]
        if all(layout.width <= half for layout in layouts):
            return _Beside(layouts, width)
    return _Below([*left, *right], width, full=full)


def body(
    left: Listing, right: Listing, only: Sequence[str], width: int, *, hot: bool
) -> list[Line]:
    """Return the lines for two listings, of all functions or of those named in ``only``.

    With ``hot`` only what differs is shown, the greatest difference in executions first. ZsemuError
    if neither listing has a function of such a name.
    """
    pairs = pair_functions(left.functions, right.functions)
    require(only, map(name_of, pairs), f"{left.title} and {right.title} execute")
    pairs = [pair for pair in pairs if not only or name_of(pair) in only]
    tables = [*_totals(left, right), "", *_functions(pairs, left, right)]
    printed = [(line, PLAIN) for line in tables]
    mine = items(left, [pair[0] for pair in pairs if pair[0]])
    theirs = items(right, [pair[1] for pair in pairs if pair[1]])
    if not mine and not theirs:
        return [*printed, ("", PLAIN), (NOTHING, PLAIN)]
    view = _view(mine, theirs, width, full=hot)
    whose = names(left, right)
    same_arch = left.arch == right.arch

    def lines(groups: Iterable[_Group]) -> list[Line]:
        entries = _sourced(groups) if same_arch else chain.from_iterable(groups)
        return [*view.header(whose), *view.lines(entries)]

    align = _instructions if same_arch else _blocks
    aligned = [(name_of(pair), align(left, right, pair)) for pair in pairs]
    if hot:
        different = [group for _, groups in aligned for group in groups if _differs(group)]
        if not different:
            return [*printed, ("", PLAIN), ("No instruction differs.", PLAIN)]
        return [*printed, ("", PLAIN), *lines(sorted(different, key=_rise))]
    for name, groups in aligned:
        printed += [("", PLAIN), (name, TITLE), *lines(groups)]
    return printed
