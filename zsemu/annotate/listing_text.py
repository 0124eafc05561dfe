# SPDX-License-Identifier: GPL-2.0-only
"""Write one listing as text: the costs of phases and functions, then instructions and source."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from zsemu.annotate import loop_text
from zsemu.annotate.listing import Counts, Function, Listing
from zsemu.annotate.text_columns import (
    ALONE,
    NOTHING,
    PLAIN,
    SOURCE,
    TITLE,
    Item,
    Layout,
    Line,
    cut,
    items,
    percent,
    table,
)

_NO_LINES: Final[Mapping[int, list[str]]] = MappingProxyType({})
_HEADERS = ("loads", "stores", "bytes loaded", "bytes stored")


def _traffic(counts: Counts) -> list[str]:
    return [
        str(value)
        for value in (counts.loads, counts.stores, counts.bytes_loaded, counts.bytes_stored)
    ]


def _phases(listing: Listing) -> list[str]:
    """Return a table of what each phase costs, and all of them together."""
    rows = [["phase", "instructions", "per map", *_HEADERS]]
    together = {"together": listing.counts} if len(listing.phases) > 1 else {}
    for name, counts in (listing.phases | together).items():
        mean = f"{counts.executions / listing.maps:.2f}" if listing.maps else "-"
        rows.append([name, str(counts.executions), mean, *_traffic(counts)])
    return table(rows)


def _functions(functions: Sequence[Function], listing: Listing) -> list[str]:
    """Return a table of what the functions cost, the dearest first; empty without functions."""
    if not functions:
        return []
    rows = [["function", "instructions", "%", *_HEADERS]]
    for one in sorted(functions, key=lambda function: -function.counts.executions):
        share = f"{percent(one.counts.executions, listing.counts.executions):.1f}"
        rows.append([one.name, str(one.counts.executions), share, *_traffic(one.counts)])
    return table(rows)


def _title(function: Function) -> str:
    """Name a function, and the phases in which it ran."""
    whole = function.counts.executions
    parts = [
        phase if number == whole else f"{phase} {percent(number, whole):.0f} %"
        for phase, number in function.phases.items()
    ]
    return f"{function.name} ({', '.join(parts)})"


def _heat(item: Item) -> tuple[int, int]:
    counts = item.counts
    return -counts.executions - counts.string_iterations, -counts.bytes


def body(listing: Listing, only: Sequence[str], width: int, *, hot: bool) -> list[Line]:
    """Return the lines for a listing, of all functions or of those named in ``only``.

    With ``hot`` the hottest instructions come first, without regard to functions. Lines of C are
    cut at ``width`` columns; an instruction that is wider is not.
    """
    functions = listing.only(only)
    lines = [(line, PLAIN) for line in [*_phases(listing), "", *_functions(functions, listing)]]
    if not functions:
        return [*lines, (NOTHING, PLAIN)]
    every = items(listing, functions)
    if hot:
        every = sorted((item for item in every if item.counts.executions), key=_heat)
    layouts = [Layout(columns, every, full=hot) for columns in ALONE]
    layout = next((layout for layout in layouts if layout.width <= width), layouts[-1])
    if hot:
        lines += [("", PLAIN), (layout.header(), TITLE)]
        return lines + _interleaved(layout, every, width)
    for function in functions:
        lines += [("", PLAIN), (_title(function), TITLE), (layout.header(), TITLE)]
        above = loop_text.above(listing, function, width)
        lines += _interleaved(layout, items(listing, [function]), width, above)
    return lines


def _interleaved(
    layout: Layout, every: Iterable[Item], width: int, above: Mapping[int, list[str]] = _NO_LINES
) -> list[Line]:
    """Return the instructions, and above each its line of C where that changes.

    ``above`` has other lines to print above an instruction, by its offset.
    """
    lines: list[Line] = []
    last: object = ()
    for item in every:
        if item.row.place != last and item.source:
            lines.append((cut(item.source, width), SOURCE))
        last = item.row.place
        lines += [(line, TITLE) for line in above.get(item.row.offset, ())]
        lines.append((layout.line(item, width), item.heat))
    return lines
