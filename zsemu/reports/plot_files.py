# SPDX-License-Identifier: GPL-2.0-only
"""Plots: which charts there are of a document, and writing them as files."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.counts import REGIONS
from zsemu.paths import replacing
from zsemu.replay.spanning_costs import MODES
from zsemu.reports import charts
from zsemu.reports.cost_curves import crossings, curves
from zsemu.reports.findings import COUNTS
from zsemu.reports.matrix import SCOPE_NAMES, USES, Matrix
from zsemu.results.document import Record

IMAGES: Final[dict[str, Callable[[charts.Spec], bytes]]] = {
    "svg": lambda chart: charts.svg(chart).encode(),
    "png": charts.png,
}
"""how charts are written, by the suffix of their files"""


@dataclass(frozen=True)
class Plot:
    """One chart."""

    name: str
    """of its file, without suffix"""
    title: str
    subtitle: str
    chart: charts.Spec


def every(matrix: Matrix) -> Iterator[Plot]:
    """Yield all of them."""
    yield from boundary(matrix)
    yield from regions(matrix)


def boundary(matrix: Matrix) -> Iterator[Plot]:
    """Yield the costs by where the page ends: by mode, count and architecture.

    There is none of what has spanning maps with the page's end in one place only.
    """
    for mode in MODES:
        for count in COUNTS:
            for arch in matrix.archs:
                found = curves(_records(matrix, arch), mode, count)
                if not any(len(curve.share) > 1 for curve in found.values()):
                    continue
                title = f"{arch}, {_trace(matrix)}: {mode}s"
                subtitle = f"{count} of map + unmap per byte of slot; circles: crossovers"
                chart = charts.curves(
                    found, crossings(found), matrix.strategies, title=title, subtitle=subtitle
                )
                yield Plot(_name(matrix.name, arch, mode, count), title, subtitle, chart)


def regions(matrix: Matrix) -> Iterator[Plot]:
    """Yield the traffic by region, of spanning maps if there are any: by use and architecture."""
    scope = "spanning" if "spanning" in matrix.scopes else "total"
    ways = ("bytes_loaded", "bytes_stored")
    for use, phases in USES.items():
        bars = {
            arch: [
                charts.Bar(
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
        every = [bar for each in bars.values() for bar in each]
        touched = [region for region in REGIONS if any(bar.parts[region] for bar in every)]
        for arch, each in bars.items():
            if not any(sum(bar.parts.values()) for bar in each):
                continue
            title = f"{arch}, {_trace(matrix)}: {SCOPE_NAMES[scope]}"
            subtitle = f"bytes of {use} by region, loaded and stored"
            chart = charts.regions(each, touched, title=title, subtitle=subtitle)
            yield Plot(_name(matrix.name, arch, "regions", use), title, subtitle, chart)


def write(plots: Iterator[Plot], directory: Path, image: str) -> list[Path]:
    """Write charts into a directory, as one of IMAGES; return their files."""
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
    """Return a file's name of parts that may hold anything."""
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-.") for part in parts)
