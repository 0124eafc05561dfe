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
from zsemu.reports.cost_curves import cost_curves, crossings
from zsemu.reports.findings import COUNTS
from zsemu.reports.matrix import SCOPE_NAMES, USES, Matrix
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
    """Yield the plots of costs, then those of traffic."""
    yield from cost_plots(matrix)
    yield from traffic_plots(matrix)


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
                chart = charts.cost_chart(
                    curves, crossings(curves), matrix.strategies, title=title, subtitle=subtitle
                )
                yield Plot(_name(matrix.name, arch, mode, count), title, subtitle, chart)


def traffic_plots(matrix: Matrix) -> Iterator[Plot]:
    """Yield a plot of the traffic by region for each of USES and each architecture.

    The plots are of spanning maps if there are any, else of all maps.
    """
    scope = "spanning" if "spanning" in matrix.scopes else "total"
    ways = ("bytes_loaded", "bytes_stored")
    for use, phases in USES.items():
        bars = {
            arch: [
                charts.TrafficBar(
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
            chart = charts.traffic_chart(each, touched, title=title, subtitle=subtitle)
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
