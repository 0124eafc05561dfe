# SPDX-License-Identifier: GPL-2.0-only
"""Put into sentences what the counts of a document show.

The sentences say only what counts can say: which strategy needs fewer instructions or moves fewer
bytes, never which is faster. They are about map, access and unmap together, the figure to compare.
Counts are compared exactly; ratios are rounded only when they are written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from zsemu.counts import PHASES, SCOPES, STRATEGY_PHASES
from zsemu.replay.spanning_costs import MODES
from zsemu.replay.violations import check_of
from zsemu.reports.cost_curves import Crossing, cost_curves, crossings
from zsemu.reports.matrix import INSTRUCTIONS, OWN, SCOPE_NAMES, WHOLE, Matrix, Measure
from zsemu.reports.notes import every_cell, maps_in_words, repeats
from zsemu.reports.panels import times
from zsemu.reports.tables import trouble
from zsemu.reports.words import listed, span
from zsemu.results.limits import BYTES

COUNTS: Final = (BYTES, INSTRUCTIONS)
_FEWER: Final = "fewer"
_MORE: Final = "more"
_MODES: Final = tuple(scope for scope in SCOPES if scope.startswith("spanning_"))


@dataclass(frozen=True)
class Least:
    """Which strategies have the lowest count on some architectures."""

    strategies: tuple[str, ...]
    """several if their counts are equal"""
    archs: tuple[str, ...]
    ratios: tuple[float, ...]
    """ratio to the base on each of these architectures where the base has a count"""


@dataclass(frozen=True)
class Comparison:
    """Which strategies have the lowest counts by one measure."""

    measure: Measure
    of_all: tuple[Least, ...]
    of_movers: tuple[Least, ...]
    """the same among the strategies whose map and unmap move bytes of spanning objects; empty if
    there are none"""


@dataclass(frozen=True)
class Findings:
    """The sentences about a document, and the comparisons that they are made of."""

    headline: str
    integrity: str
    points: tuple[str, ...]
    """a sentence or two each"""
    comparisons: tuple[Comparison, ...]


def findings(matrix: Matrix) -> Findings:
    """Return what a document shows, which may have only one strategy, or no intact cell."""
    comparisons = tuple(
        _comparison(matrix, Measure(count, scope, use))
        for scope in matrix.distinct_scopes
        if matrix.same_maps(scope)
        for use in (WHOLE, OWN)
        for count in COUNTS
    )
    integrity, points = _integrity(matrix), _spanning(matrix)
    if not matrix.intact:
        nothing = "No cell is intact: there is nothing to compare."
        return Findings(nothing, integrity, tuple(points), ())
    if len({record.strategy for record in matrix.intact}) < 2:
        return Findings(_alone(matrix), integrity, tuple(points), ())
    points += [_of_movers(matrix, one) for one in comparisons if _is(one, BYTES, "total")]
    points += [_least(matrix, [one for one in comparisons if _is(one, INSTRUCTIONS, "total")])]
    for count in COUNTS:
        modes = [one for one in comparisons for scope in _MODES if _is(one, count, scope)]
        points += [_least(matrix, list(same)) for _, same in groupby(modes, key=_winners)]
    points += _disagreements(matrix)
    points += repeats(matrix.document)
    points += _left_to_others(matrix)
    points += _boundaries(matrix)
    headline = _headline(matrix, comparisons)
    return Findings(headline, integrity, tuple(filter(None, points)), comparisons)


# Words.


def _on(matrix: Matrix, archs: Sequence[str]) -> str:
    if len(archs) == len(matrix.archs) > 1:
        return f"on {'both' if len(archs) == 2 else f'all {len(archs)}'} architectures"
    others = [arch for arch in matrix.archs if arch not in archs]
    if others and len(archs) > 2 * len(others):
        return f"on all architectures but {listed(others)}"
    return f"on {listed(archs)}"


def _range(matrix: Matrix, ratios: Iterable[float]) -> str:
    """Return in parentheses from which ratio to which they reach; empty if there are none."""
    ordered = sorted(ratios)
    return f" ({span(list(map(times, ordered)))} of {matrix.base})" if ordered else ""


# Which cells are intact, and how much spans.


def _integrity(matrix: Matrix) -> str:
    records, broken = matrix.document.records, matrix.broken
    cells = f"{len(records)} cell{'s' * (len(records) != 1)}"
    if not broken:
        return (
            f"{every_cell(matrix.document)} intact: every byte that any access saw was right, and"
            " so was every object at the end."
        )
    told = [
        f"{record.arch} {record.strategy} ({trouble(record)}:"
        f" {listed(dict.fromkeys(map(check_of, record.violations)))})"
        for record in broken
    ]
    have = "has violations and therefore no counts" if len(broken) == 1 else None
    return f"{len(broken)} of {cells} {have or 'have violations and therefore no counts'}: " + (
        "; ".join(told) + "."
    )


def _spanning(matrix: Matrix) -> list[str]:
    maps = maps_in_words(matrix.document)
    if not maps.spanning:
        return [
            "No map is of a spanning object: these figures say nothing of how strategies handle"
            " one."
        ]
    why = ""
    if not matrix.same_maps("spanning"):
        why = (
            "; how many depends on the size classes, and a kernel's object has those of its kernel:"
            " so of spanning maps nothing is said here"
        )
    elif maps.differ:
        why = "; how many depends on the size classes, which are not the same on all architectures"
    return [f"Of {maps.total} maps, {maps.spanning} are of spanning objects ({maps.share}){why}."]


def _alone(matrix: Matrix) -> str:
    (name,) = {record.strategy for record in matrix.intact}
    parts = []
    for count in COUNTS:
        measure = Measure(count, "total", WHOLE)
        figures = [matrix.figure(measure, one.arch, name) for one in matrix.intact]
        ordered = sorted(figure for figure in figures if figure is not None)
        parts.append(f"{span([measure.show(figure) for figure in ordered])} {count}")
    return (
        f"Only {name} has counts: there is nothing to compare it with. It takes"
        f" {' and '.join(parts)} for map, access and unmap."
    )


# Which strategies have the lowest counts.


def _movers(matrix: Matrix) -> dict[str, list[str]]:
    """Return by architecture which strategies load or store pool bytes to map spanning objects."""
    movers: dict[str, list[str]] = {}
    for record in matrix.intact:
        if record.spanning_maps and _pool(record.arch, record.strategy, matrix, "spanning", OWN):
            movers.setdefault(record.arch, []).append(record.strategy)
    return movers


def _pool(arch: str, strategy: str, matrix: Matrix, scope: str, use: str) -> int:
    """Return how many bytes of the pool an intact cell loads and stores."""
    phases = STRATEGY_PHASES if use == OWN else PHASES
    record = matrix.records[arch, strategy]
    return sum(
        record.sum(f"regions.pool.bytes_{way}", scope, phases) for way in ("loaded", "stored")
    )


def _comparison(matrix: Matrix, measure: Measure) -> Comparison:
    everywhere = dict.fromkeys(matrix.archs, matrix.strategies)
    return Comparison(
        measure,
        _leasts(matrix, measure, everywhere),
        _leasts(matrix, measure, _movers(matrix)),
    )


def _leasts(
    matrix: Matrix, measure: Measure, among: Mapping[str, Sequence[str]]
) -> tuple[Least, ...]:
    """Return who has the lowest count where, first who has it on the most architectures."""
    archs: dict[tuple[str, ...], list[str]] = {}
    for arch, strategies in among.items():
        if least := matrix.least(measure, arch, strategies):
            archs.setdefault(tuple(least), []).append(arch)
    found = []
    for names, where in archs.items():
        ratios = [matrix.ratio(measure, arch, names[0]) for arch in where]
        found.append(Least(names, tuple(where), tuple(one for one in ratios if one is not None)))
    return tuple(sorted(found, key=lambda one: -len(one.archs)))


def told(matrix: Matrix, leasts: Sequence[Least]) -> str:
    """Say which strategies have the lowest count, where, and their ratio to the base."""
    return "; ".join(_each(matrix, leasts))


def _each(matrix: Matrix, leasts: Sequence[Least]) -> Iterator[str]:
    for one in leasts:
        ratio = "" if matrix.base in one.strategies else _range(matrix, one.ratios)
        yield f"{listed(one.strategies)} {_on(matrix, one.archs)}{ratio}"


def _headline(matrix: Matrix, comparisons: Sequence[Comparison]) -> str:
    """Say in one sentence who moves the fewest bytes, over all maps and over spanning ones."""
    parts = []
    for scope in ("total", "spanning"):
        for one in comparisons:
            if _is(one, BYTES, scope):
                whose = listed(f"by {each}" for each in _each(matrix, one.of_all))
                parts.append(f"over {SCOPE_NAMES[scope]} {whose}")
    return f"With the access included, the fewest bytes are loaded and stored {'; '.join(parts)}."


def _of_movers(matrix: Matrix, one: Comparison) -> str:
    """Say who has the lowest count of those that move the object's bytes; empty if it is known."""
    if not one.of_movers or one.of_movers == one.of_all:
        return ""
    return (
        f"Of the strategies that move the object's bytes, fewest {one.measure.count} over"
        f" {SCOPE_NAMES[one.measure.scope]}, access included: {told(matrix, one.of_movers)}."
    )


def _is(one: Comparison, count: str, scope: str) -> bool:
    return one.measure == Measure(count, scope, WHOLE)


def _winners(one: Comparison) -> list[list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """Return who has the lowest count where, without the ratios."""
    return [
        [(least.strategies, least.archs) for least in leasts]
        for leasts in (one.of_all, one.of_movers)
    ]


def _merged(comparisons: Sequence[Sequence[Least]]) -> list[Least]:
    """Merge comparisons that differ only in the ratios: return one with the ratios of all."""
    return [
        replace(same[0], ratios=tuple(ratio for one in same for ratio in one.ratios))
        for same in zip(*comparisons, strict=True)
    ]


def _least(matrix: Matrix, same: Sequence[Comparison]) -> str:
    """Say who has the lowest counts in several scopes, in which the same strategies have them."""
    scopes = listed(SCOPE_NAMES[one.measure.scope] for one in same)
    of_all = _merged([one.of_all for one in same])
    of_movers = _merged([one.of_movers for one in same])
    sentence = (
        f"Over {scopes}, access included, fewest {same[0].measure.count}: {told(matrix, of_all)}."
    )
    if not of_movers or of_movers == of_all:
        return sentence
    return f"{sentence} Of the strategies that move the object's bytes: {told(matrix, of_movers)}."


# Where architectures disagree.


def _disagreements(matrix: Matrix) -> list[str]:
    """Say which strategies need more than the base on some architectures, and less on others."""
    if len(matrix.archs) < 2:
        return []
    sentences = []
    for count in COUNTS:
        measure = Measure(count, "total", WHOLE)
        compared, parts = False, []
        for name in matrix.strategies:
            sides: dict[str, dict[str, float]] = {}
            for arch in matrix.archs:
                ratio = matrix.ratio(measure, arch, name)
                if ratio is not None and name != matrix.base:
                    sides.setdefault(_side(ratio), {})[arch] = ratio
            compared |= bool(sides)
            if {_FEWER, _MORE} <= sides.keys():
                each = [
                    f"{side} {_on(matrix, list(ratios))}"
                    f" ({span([times(r) for r in sorted(ratios.values())])})"
                    for side, ratios in sides.items()
                ]
                parts.append(f"{name} needs {listed(each)}")
        if parts:
            sentences.append(
                f"By {count} over all maps, architectures disagree how strategies compare with"
                f" {matrix.base}: {'; '.join(parts)}."
            )
        elif compared:
            sentences.append(
                f"By {count} over all maps, architectures agree which strategies need fewer than"
                f" {matrix.base} and which more."
            )
    return sentences


def _side(ratio: float) -> str:
    if times(ratio) == times(1):
        return "about as many"
    return _FEWER if ratio < 1 else _MORE


# What falls on others.


def _left_to_others(matrix: Matrix) -> list[str]:
    """Say which strategies work on the pool in operations on objects that do not span."""
    shares: dict[str, dict[str, float]] = {}
    for arch in matrix.archs:
        beside = {
            record.strategy: _pool(arch, record.strategy, matrix, "total", WHOLE)
            - _pool(arch, record.strategy, matrix, "spanning", WHOLE)
            for record in matrix.intact
            if record.arch == arch and record.spanning_maps and not record.is_allocator
        }
        for name, amount in beside.items():
            own = _pool(arch, name, matrix, "total", OWN)
            # What the strategy with the lowest amount takes is due to the accesses themselves.
            if own and amount > min(beside.values()):
                shares.setdefault(name, {})[arch] = (amount - min(beside.values())) / own
    sentences = []
    for name, share in shares.items():
        percent = span([f"{100 * one:.0f} %" for one in sorted(share.values())])
        sentence = (
            f"{name} works on the pool where nothing spans, too: {percent} of the bytes that its"
            " settle, map and unmap load and store there fall on operations of objects that do not"
            " span, such as the neighbours of one that does"
        )
        ratios = []
        for scope in ("spanning", "total"):
            each = [matrix.ratio(Measure(BYTES, scope, OWN), arch, name) for arch in share]
            known = [times(one) for one in sorted(one for one in each if one is not None)]
            if known and name != matrix.base:
                ratios.append(f"{span(known)} over {SCOPE_NAMES[scope]}")
        if ratios:
            sentence += f"; of {matrix.base}'s bytes its own are {listed(ratios)}"
        sentences.append(f"{sentence}.")
    return sentences


# Where the page ends.


def crossings_of(matrix: Matrix, arch: str, mode: str, count: str) -> list[Crossing]:
    """Return where the cost curves of one architecture cross, for a mode and a count."""
    records = [record for record in matrix.document.records if record.arch == arch]
    return crossings(cost_curves(records, mode, count))


def _boundaries(matrix: Matrix) -> list[str]:
    """Say at what share of the slot in the first page strategies cross the base, by bytes."""
    found: dict[tuple[str, str], list[float]] = {}
    for mode in MODES:
        for arch in matrix.archs:
            for one in crossings_of(matrix, arch, mode, BYTES):
                if matrix.base in (one.below, one.above):
                    found.setdefault((one.below, one.above), []).append(one.share)
    sentences = []
    for (below, above), shares in found.items():
        percent = span([f"{100 * one:.0f} %" for one in sorted(shares)])
        sentences.append(
            f"Where the page ends decides between {below} and {above}: by bytes of map + unmap"
            f" {below} needs fewer while less than {percent} of the slot is in the first page,"
            f" {above} beyond that."
        )
    return sentences
