# SPDX-License-Identifier: GPL-2.0-only
"""Renders the figures in the READMEs from results that documented commands write.

The results are ``NAME.json`` beside this file: what is shown (kept.py) of what this writes::

    zsemu compare --trace NAME --json NAME.json

Of the other recordings, only what it writes with ``--arch aarch64`` is kept.

The inner loops, and what llvm-mca says of them, are ``loops.json``, a part of what this writes::

    zsemu annotate copy --against swap --arch x86_64,i386,aarch64,arm,riscv64,riscv32
        --trace sqlite-lzo-rle --mca --format json > loops.json

What misses in a model of caches is in ``NAME-caches.json``, a part of what this writes::

    zsemu compare --trace NAME --arch aarch64 --cache l1=32K:8,l2=512K:8 --json NAME-caches.json

What copy primitives cost is in ``zsmapbench-variants.json``, all of what this writes::

    zsemu compare --trace zsmapbench --arch x86_64,x86_64-movsb,x86_64-words
        --strategy copy,swap,swap-min,readwrite --json zsmapbench-variants.json

What kernels' objects cost is measured by ``python -m fidelity``. The plot is ``boundary.svg``, one
of those that this writes::

    zsemu report sqlite-lzo-rle.json --format svg -o DIR

``python -m readme NAME.json ...`` brings both here, and the figures into the READMEs.

A block stands in one of PAGES behind a line ``<!-- readme: BLOCK -->``, with one of BLOCKS.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import fidelity

from readme import kept, recordings
from zsemu.annotate.text_columns import table
from zsemu.counts import PHASES, STRATEGY_PHASES
from zsemu.paths import replacing
from zsemu.reports import break_even_text, glance_text, plot_files
from zsemu.reports.details_text import text
from zsemu.reports.implied_costs import implied
from zsemu.reports.matrix import Matrix
from zsemu.reports.throughput_table import throughput_table
from zsemu.results.document import Document, Record
from zsemu.results.throughput import Throughput, load_all

HERE: Final = Path(__file__).parent
README: Final = HERE.parent.parent / "README.md"
REFERENCE: Final = README.parent / "zsemu" / "README.md"
KERNELS: Final = README.parent / "arch" / "kernel" / "README.md"
PAGES: Final = (README, REFERENCE, KERNELS)
"""files that hold blocks"""
PLOT: Final = HERE / "boundary.svg"
PLOTTED: Final = f"sqlite-lzo-rle-{kept.PLOTTED_ARCH}-{kept.PLOTTED_MODE}-bytes.svg"
PLOTTED_TRACE: Final = "sqlite-lzo-rle"
LOOPS: Final = "loops"
RECORDINGS: Final = ("sqlite-lzo-rle", "compile-zstd")
CACHE: Final = "l1=32K:8,l2=512K:8"
"""the caches that were modelled over the recordings"""
VARIANTS: Final = "zsmapbench-variants"
BYTES: Final = ("bytes_loaded", "bytes_stored")
MISSES: Final = ("cache.l1_misses", "cache.l2_misses")
_BLOCK: Final = re.compile(
    r"(<!-- readme: ([\w-]+) -->\n```\n).*?(?=^```$)", re.DOTALL | re.MULTILINE
)


@cache
def results(trace: str) -> Document:
    """Return what was measured on a trace."""
    return kept.load(HERE / f"{trace}.json")


def ratios(record: Record, base: Record, scope: str) -> tuple[float, float]:
    """Return instructions, and bytes loaded and stored, of map and unmap, over those of another."""
    instructions, moved = (
        [sum(one.sum(name, scope, STRATEGY_PHASES) for name in names) for one in (record, base)]
        for names in (("instructions",), ("bytes_loaded", "bytes_stored"))
    )
    return instructions[0] / instructions[1], moved[0] / moved[1]


def records(trace: str) -> dict[tuple[str, str], Record]:
    """Return the cells of a trace by architecture and strategy."""
    return {(record.arch, record.strategy): record for record in results(trace).records}


def costs(trace: str, arch: str) -> str:
    """Return what ``zsemu compare --arch --details`` prints above the definitions."""
    whole = results(trace)
    shown = replace(whole, records=tuple(r for r in whole.records if r.arch == arch))
    return text(shown, relative_to="copy", width=80).partition("\n\nAll figures")[0] + "\n"


def glance(trace: str) -> str:
    """Return what ``zsemu compare`` prints."""
    return glance_text.text(Matrix(results(trace), "copy"), count="bytes", width=80)


def break_even(trace: str) -> str:
    """Return what ``zsemu compare --break-even`` prints."""
    return break_even_text.text(Matrix(results(trace), "copy"), width=80, details=False)


def implied_costs(trace: str) -> str:
    """Return what the mails' cycles imply with the bytes of a trace, a row for each mail."""
    rows = [("cycles", "pgtable", "copy", "bytes/cycle", "tie", "invalidate")]
    for one in implied(Matrix(results(trace))):
        assert one.mail.cycles and (one.mail.one, one.mail.other) == ("pgtable", "copy")
        mine, other = map(str, one.mail.cycles)
        figures = (f"{one.rate:.1f}", f"{one.tie:.0f}", f"{one.cost:.0f}")
        rows.append((one.mail.platform, mine, other, *figures))
    wide = max(len(row[0]) for row in rows)
    return "".join(
        f"{platform:{wide}} {mine:>8} {other:>5} {rate:>12} {tie:>5} {cost:>11}\n"
        for platform, mine, other, rate, tie, cost in rows
    )


def loops() -> Throughput:
    """Return what llvm-mca says of the loops of copy and of swap."""
    return load_all([HERE / f"{LOOPS}.json"])


def throughput() -> str:
    """Return bytes per cycle of copying and exchanging, on every model."""
    rows = throughput_table(loops()).cells()
    return "".join(f"{line}\n" for line in table(rows))


def by_mode(trace: str, scope: str) -> str:
    """Return ratios to copy of every strategy on every architecture, for one scope."""
    cells = records(trace)
    archs = list(dict.fromkeys(arch for arch, _ in cells))
    names = list(dict.fromkeys(name for _, name in cells))
    maps = {cells[arch, "copy"].scope_maps[scope] for arch in archs}
    number = "-".join(map(str, sorted(maps)))
    what = {
        "spanning_read": "read-only",
        "spanning_write": "write-only",
        "spanning_update": "read-write",
    }[scope]
    lines = [
        f"{trace}: {number} {what} maps of spanning objects",
        "            instructions/bytes of map + unmap, relative to copy",
        "".join(["strategy    ", *(f"{arch:>11}" for arch in archs)]),
    ]
    for name in names:
        row = [f"{name:12}"]
        for arch in archs:
            pair = ratios(cells[arch, name], cells[arch, "copy"], scope)
            row.append(f"{'/'.join(f'{ratio:.2f}' for ratio in pair):>11}")
        lines.append("".join(row))
    return "\n".join(lines) + "\n"


def misses(*traces: str) -> str:
    """Return bytes and misses per map of all maps, and the ranks of strategies by both."""
    lines = []
    for trace in traces:
        rows = ranked(trace)
        (record, *_) = results(f"{trace}-caches").records
        lines.append(f"{trace}: {record.arch}, all {record.maps} maps, with access")
        lines.append("strategy    bytes ratio rank  L1 misses ratio rank  L2 misses ratio rank")
        for name, columns in rows.items():
            cells = (
                f"{mean:.{place > 0:d}f} {ratio:.2f} {rank}"
                for place, (mean, ratio, rank) in enumerate(columns)
            )
            bytes_, l1, l2 = (cell.split() for cell in cells)
            lines.append(
                f"{name:10} {bytes_[0]:>6} {bytes_[1]:>5} {bytes_[2]:>4}"
                + "".join(f"  {mean:>9} {ratio:>5} {rank:>4}" for mean, ratio, rank in (l1, l2))
            )
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def variants(name: str) -> str:
    """Return instructions of map and unmap, then with the access, by copy primitive."""
    cells = records(name)
    archs = list(dict.fromkeys(arch for arch, _ in cells))
    lines = [
        "instructions of a map, ratio to copy; bytes loaded and stored of map + unmap",
        "".join([" " * 10, *(f"  {f' {arch} ':-^24}" for arch in archs)]),
        "".join(["strategy  ", *["  map + unmap  with access"] * len(archs), "   bytes"]),
    ]
    for strategy in dict.fromkeys(strategy for _, strategy in cells):
        row = [f"{strategy:10}"]
        for arch in archs:
            for phases in (STRATEGY_PHASES, PHASES):
                mean, base = (
                    cells[arch, one].mean("instructions", "spanning", phases)
                    for one in (strategy, "copy")
                )
                row.append(f"{mean:7.0f} {mean / base:5.2f}")
        moved = {
            sum(cells[arch, strategy].mean(way, "spanning", STRATEGY_PHASES) for way in BYTES)
            for arch in archs
        }
        row.append(f"{moved.pop():8.0f}")
        assert not moved, "a primitive moves more than another"
        lines.append("".join(row))
    return "\n".join(lines) + "\n"


def ranked(trace: str) -> dict[str, list[tuple[float, float, int]]]:
    """Return mean, ratio to copy and rank of bytes, L1 misses and L2 misses, by strategy."""
    cells = {one.strategy: one for one in results(f"{trace}-caches").records}
    columns = []
    for names in (("bytes_loaded", "bytes_stored"), *((path,) for path in MISSES)):
        means = {name: sum(map(one.mean, names)) for name, one in cells.items()}
        order = sorted(f"{mean:.1f}".rjust(9) for mean in means.values())
        columns.append(
            {
                name: (mean, mean / means["copy"], 1 + order.index(f"{mean:.1f}".rjust(9)))
                for name, mean in means.items()
            }
        )
    return {name: [column[name] for column in columns] for name in cells}


BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "glance": lambda: glance("sqlite-lzo-rle"),
    "break-even": lambda: break_even("sqlite-lzo-rle"),
    "throughput": throughput,
    "misses": lambda: misses(*RECORDINGS),
    "variants": lambda: variants(VARIANTS),
    "implied": lambda: implied_costs("zsmapbench"),
    "recordings": lambda: recordings.table(results),
    "costs": lambda: costs("sqlite-lzo-rle", "aarch64"),
    "costs-x86_64": lambda: costs("sqlite-lzo-rle", "x86_64"),
    "zsmapbench": lambda: by_mode("zsmapbench", "spanning_update"),
    "reads": lambda: by_mode("sqlite-lzo-rle", "spanning_read"),
    "writes": lambda: by_mode("sqlite-lzo-rle", "spanning_write"),
    "kernel": lambda: fidelity.instructions("linux-6.12", modes=("read", "write")),
    "fidelity": fidelity.everything,
}


def keep(trace: str, document: Document) -> None:
    """Write what is shown of a trace's results beside this file."""
    with replacing(HERE / f"{trace}.json") as stream:
        stream.write(kept.text(document, plotted=trace == PLOTTED_TRACE).encode())
    results.cache_clear()


def keep_loops(found: Throughput) -> None:
    """Write the inner loops beside this file, one a line."""
    first, *listings = (
        json.dumps(part)
        for part in (found.llvm_mca, *(asdict(listing) for listing in found.listings))
    )
    lines = ",\n".join(listings)
    with replacing(HERE / f"{LOOPS}.json") as stream:
        stream.write(f'{{"llvm_mca": {first}, "listings": [\n{lines}\n]}}\n'.encode())


def plot() -> bytes:
    """Return the plot that the README shows."""
    with TemporaryDirectory() as place:
        run = Matrix(results("sqlite-lzo-rle"), None, name="sqlite-lzo-rle")
        plot_files.write(plot_files.all_plots(run), Path(place), "svg")
        return (Path(place) / PLOTTED).read_bytes()


def rendered(page: str) -> str:
    """Return a page with its blocks as the results have them; KeyError for an unknown block."""
    return _BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]](), page)
