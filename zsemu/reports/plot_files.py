# SPDX-License-Identifier: GPL-2.0-only
"""Choose the charts that a document gives, name them, and write them as files."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.counts import REGIONS
from zsemu.paths import replacing
from zsemu.replay.spanning_costs import MODES
from zsemu.reports import charts
from zsemu.reports.break_even import PriceCurve, price_curve, unit, windows
from zsemu.reports.break_even_chart import Band, break_even_chart
from zsemu.reports.cost_chart import cost_chart
from zsemu.reports.cost_curves import cost_curves, crossings
from zsemu.reports.findings import COUNTS
from zsemu.reports.invalidate_costs import INVALIDATE_COSTS, RATES
from zsemu.reports.matrix import SCOPE_NAMES, USES, WHOLE, Matrix, Measure
from zsemu.reports.ratio_chart import RatioRow, ratio_chart
from zsemu.reports.traffic_chart import TrafficBar, traffic_chart
from zsemu.results.document import Record

IMAGES: Final[dict[str, Callable[[charts.Spec], bytes]]] = {
    "svg": lambda chart: charts.svg(chart).encode(),
    "png": charts.png,
}
"""what renders a chart, by the suffix of the file"""


@dataclass(frozen=True)
class Plot:
    """One chart."""

    name: str
    """of its file, without suffix"""
    title: str
    subtitle: str
    chart: charts.Spec


def all_plots(matrix: Matrix) -> Iterator[Plot]:
    """Yield the plots of ratios, of costs by where the page ends, of break-even, and of traffic."""
    for count in COUNTS:
        yield from ratio_plots(matrix, count)
    yield from cost_plots(matrix)
    yield from break_even_plots(matrix)
    yield from traffic_plots(matrix)


def ratio_plots(matrix: Matrix, count: str) -> Iterator[Plot]:
    """Yield a plot of every strategy's ratio to the base, of all maps, and of spanning ones if any.

    The two have the same axis. Where there is nothing to compare, there is nothing to plot.
    """
    rows = {
        scope: [_ratios(matrix, Measure(count, scope, WHOLE), name) for name in matrix.strategies]
        for scope in ("total", "spanning")
        if scope in matrix.scopes
    }
    ratios = [ratio for each in rows.values() for row in each for ratio in row.ratios.values()]
    if len(matrix.strategies) < 2 or not ratios:
        return
    for scope, each in rows.items():
        title = f"{_trace(matrix)}: {SCOPE_NAMES[scope]}"
        subtitle = f"{count} of {WHOLE}, ratio to {matrix.base}"
        chart = ratio_chart(
            each, matrix.archs, (min(ratios), max(ratios)), title=title, subtitle=subtitle
        )
        yield Plot(_name(matrix.name, "ratios", SCOPE_NAMES[scope], count), title, subtitle, chart)


def _ratios(matrix: Matrix, measure: Measure, name: str) -> RatioRow:
    ratios = {arch: matrix.ratio(measure, arch, name) for arch in matrix.archs}
    broken = [record.arch for record in matrix.broken if record.strategy == name]
    return RatioRow(name, {arch: one for arch, one in ratios.items() if one}, broken)


def cost_plots(matrix: Matrix) -> Iterator[Plot]:
    """Yield a plot of the costs by where the page ends for each mode, count and architecture.

    Where the page ends at the same place in all spanning slots, there is nothing to plot.
    """
    for mode in MODES:
        for count in COUNTS:
            for arch in matrix.archs:
                curves = cost_curves(_records(matrix, arch), mode, count)
                if not any(len(curve.share) > 1 for curve in curves.values()):
                    continue
                title = f"{arch}, {_trace(matrix)}: {mode}s"
                subtitle = f"{count} of map + unmap per byte of slot; circles: crossovers"
                chart = cost_chart(
                    curves, crossings(curves), matrix.strategies, title=title, subtitle=subtitle
                )
                yield Plot(_name(matrix.name, arch, mode, count), title, subtitle, chart)


def break_even_plots(matrix: Matrix) -> Iterator[Plot]:
    """Yield a plot of break-even prices for each strategy that invalidates, mode and architecture.

    Prices are in the unit of the architecture. Where all slots are of about one size, there is
    nothing to plot.
    """
    for more in windows(matrix):
        for mode in MODES:
            for arch in matrix.archs:
                curves = _price_curves(matrix, arch, more, mode)
                if not any(len(curve.size) > 1 for curve in curves.values()):
                    continue
                count = unit(arch)
                title = f"{arch}, {_trace(matrix)}: {more} in {mode}s"
                subtitle = f"{count} that cost what a TLB invalidate may; letters: sources"
                bands = [
                    Band(one.letter, *(RATES[count] * cycles for cycles in one.cycles))
                    for one in INVALIDATE_COSTS
                    if arch in one.archs
                ]
                size = matrix.document.records[0].page_size
                chart = break_even_chart(
                    curves, bands, matrix.strategies, size, title=title, subtitle=subtitle
                )
                name = _name(matrix.name, arch, mode, "break-even", more)
                yield Plot(name, title, subtitle, chart)


def _price_curves(matrix: Matrix, arch: str, more: str, mode: str) -> dict[str, PriceCurve]:
    """Return the curve of each strategy that one with more invalidates has a price with."""
    one = matrix.records.get((arch, more))
    found = {}
    for record in _records(matrix, arch):
        if one and (curve := price_curve(one, record, unit(arch), mode)):
            found[record.strategy] = curve
    return found


def traffic_plots(matrix: Matrix) -> Iterator[Plot]:
    """Yield a plot of the traffic by region for each of USES and each architecture.

    The plots are of spanning maps if there are any, else of all maps.
    """
    scope = "spanning" if "spanning" in matrix.scopes else "total"
    ways = ("bytes_loaded", "bytes_stored")
    for use, phases in USES.items():
        bars = {
            arch: [
                TrafficBar(
                    one.strategy,
                    {
                        region: sum(
                            one.mean(f"regions.{region}.{way}", scope, phases) for way in ways
                        )
                        for region in REGIONS
                    },
                )
                for one in _records(matrix, arch)
                if one.intact and one.scope_maps[scope]
            ]
            for arch in matrix.archs
        }
        all_bars = [bar for each in bars.values() for bar in each]
        touched = [region for region in REGIONS if any(bar.parts[region] for bar in all_bars)]
        for arch, each in bars.items():
            if not any(sum(bar.parts.values()) for bar in each):
                continue
            title = f"{arch}, {_trace(matrix)}: {SCOPE_NAMES[scope]}"
            subtitle = f"bytes of {use} by region, loaded and stored"
            chart = traffic_chart(each, touched, title=title, subtitle=subtitle)
            yield Plot(_name(matrix.name, arch, "regions", use), title, subtitle, chart)


def write(plots: Iterator[Plot], directory: Path, image: str) -> list[Path]:
    """Write plots into a directory in the format ``image``, one of IMAGES; return their files."""
    files = []
    for plot in plots:
        files.append(directory / f"{plot.name}.{image}")
        with replacing(files[-1]) as stream:
            stream.write(IMAGES[image](plot.chart))
    return files


def _records(matrix: Matrix, arch: str) -> list[Record]:
    return [record for record in matrix.document.records if record.arch == arch]


def _trace(matrix: Matrix) -> str:
    return matrix.document.records[0].trace


def _name(*parts: str) -> str:
    """Join parts that may hold any characters to the name of a file."""
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-.") for part in parts)
