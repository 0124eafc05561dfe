# SPDX-License-Identifier: GPL-2.0-only
"""Write at which price of a TLB invalidate strategies tie, as a table with its definitions below.

The first table is of all spanning maps and fits a screen. In detail there is one for each mode, and
behind them what sources say that an invalidate costs.
"""

from collections.abc import Iterator
from typing import Final

from zsemu.counts import NOT_CYCLES, PHASES
from zsemu.reports.break_even import COUNTS, INVALIDATES, of_cell, scopes, unit, windows
from zsemu.reports.glance_text import (
    Cell,
    Glance,
    integrity_lines,
    tables_markdown,
    tables_text,
)
from zsemu.reports.implied_costs import implied
from zsemu.reports.invalidate_costs import CLOCKS, INVALIDATE_COSTS
from zsemu.reports.matrix import SCOPE_NAMES, Matrix
from zsemu.reports.reproduce import provenance_in_short
from zsemu.reports.words import listed, span
from zsemu.results.limits import BYTES

BELOW: Final = "<0"
"""what stands for a price below zero"""
_LABELS: Final = ("inst", "byte")
"""what stands above the prices in each of COUNTS"""
_NONE: Final = "-"
NOTHING: Final = (
    "No strategy invalidates a TLB entry more often than another: there is no price to break even"
    " at."
)
_MORE: Final = "More: --details (each mode, and what sources say that an invalidate costs)."


def _shown_price(price: float | None) -> str:
    """Return a price as text: whole, or BELOW."""
    if price is None:
        return _NONE
    return BELOW if price < 0 else f"{price:.0f}"


def tables(matrix: Matrix, scope: str) -> list[Glance]:
    """Return a table for each strategy that invalidates: prices by the others and architectures."""
    found = []
    for more in windows(matrix):
        rows = {
            fewer: [
                Cell(
                    tuple(
                        _shown_price(of_cell(matrix, arch, more, fewer, count, scope))
                        for count in COUNTS
                    ),
                    broken=any(
                        (one.arch, one.strategy) in ((arch, more), (arch, fewer))
                        for one in matrix.broken
                    ),
                )
                for arch in matrix.archs
            ]
            for fewer in matrix.strategies
            if fewer != more
        }
        if all(cell.figures == (_NONE, _NONE) for row in rows.values() for cell in row):
            continue
        title = f"break-even of {more}, {SCOPE_NAMES[scope]}: price of one TLB invalidate"
        found.append(Glance(title, _LABELS, matrix.archs, rows, False))
    return found


def definitions(matrix: Matrix) -> list[str]:
    """Say what a price is, and how it is computed; a line each."""
    lines = [f"{BELOW}: the strategy of the row is ahead at any price."]
    for more in windows(matrix):
        lines.append(
            f"{more} is ahead while one of its TLB invalidates ({_per_map(matrix, more)} a map)"
            " costs less than so many instructions, or the time to load and store so many bytes."
        )
        lines.append(
            f"price: (row - {more}) / (invalidates of {more} - row), with access; beyond the"
            " invalidate's own instructions and PTE stores, which are counted."
        )
    if repeat := [arch for arch in matrix.archs if unit(arch) == BYTES]:
        lines.append(
            f"{', '.join(repeat)}: take {_LABELS[1]}: one rep-prefixed instruction moves any number"
            " of bytes."
        )
    shown = [one for scope in scopes(matrix) for one in tables(matrix, scope)]
    cells = (cell for one in shown for row in one.rows.values() for cell in row)
    if any(_NONE in cell.figures and not cell.broken for cell in cells):
        lines.append(f"{_NONE}: no such cell, not the same maps, or no more invalidates than it.")
    return lines


def _per_map(matrix: Matrix, name: str) -> str:
    means = sorted(
        one.mean(INVALIDATES, "spanning", PHASES)
        for one in matrix.intact
        if one.strategy == name and one.scope_maps["spanning"]
    )
    return span([f"{mean:.4g}" for mean in means])


def _sources() -> list[str]:
    """Say what sources say that an invalidate costs, a line each."""
    return [
        f"{listed(one.archs)}: {one.said} ({one.kind}): {one.what}. {one.machine}."
        f" {one.source}, {one.date}."
        for one in INVALIDATE_COSTS
    ]


def _implied_lines(matrix: Matrix) -> list[str]:
    """Say what the mails' cycles imply, a line each; nothing without read-write maps."""
    return [
        f"{one.mail.who}, {one.mail.date}, {one.mail.platform} ({one.mail.said}): at"
        f" {one.rate:.1f} bytes a cycle the tie is {one.tie:.0f} cycles, and an invalidate of"
        f" {one.mail.one} must have cost {one.cost:.0f}."
        for one in implied(matrix)
    ]


def _published(matrix: Matrix) -> list[str]:
    lines = [
        f"Published costs of an invalidate. 1 ns is {CLOCKS[0]} to {CLOCKS[1]} cycles at"
        f" {CLOCKS[0]} to {CLOCKS[1]} GHz:",
        *_sources(),
    ]
    if mails := _implied_lines(matrix):
        lines += [
            "What cycles that were measured in 2012 imply, with the bytes of this run:",
            *mails,
        ]
    return lines


def _shown(matrix: Matrix, *, details: bool) -> Iterator[Glance]:
    for scope in scopes(matrix)[: None if details else 1]:
        yield from tables(matrix, scope)


def _below(matrix: Matrix, *, details: bool) -> list[str]:
    """Say what stands below the tables; where there are none, why."""
    integrity = integrity_lines(matrix)
    if not any(tables(matrix, scope) for scope in scopes(matrix)):
        return [*integrity, NOTHING]
    lines = definitions(matrix)
    if not matrix.broken:
        lines[0] = f"{integrity.pop()} {lines[0]}"
    return [*integrity, *lines, *(_published(matrix) if details else [])]


def _made_by(matrix: Matrix, *, more: bool) -> list[str]:
    return [provenance_in_short(matrix.document), NOT_CYCLES, *([_MORE] if more else [])]


def text(matrix: Matrix, *, width: int, details: bool) -> str:
    """Return the tables and what stands around them, as text."""
    shown = list(_shown(matrix, details=details))
    made_by = _made_by(matrix, more=bool(shown) and not details)
    return tables_text(matrix, shown, _below(matrix, details=details), made_by, width)


def markdown(matrix: Matrix, *, details: bool) -> str:
    """Return what text() does as GitHub's Markdown."""
    shown = list(_shown(matrix, details=details))
    made_by = _made_by(matrix, more=bool(shown) and not details)
    return tables_markdown(matrix, shown, _below(matrix, details=details), made_by)
