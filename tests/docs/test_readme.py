# SPDX-License-Identifier: GPL-2.0-only
"""Tests that the READMEs show the results' figures, and that their commands print what they say."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import readme
import typer
from readme import (
    PAGES,
    README,
    REFERENCE,
    kept,
    ratios,
    recordings,
    records,
    rendered,
    results,
)

from zsemu.caches.hierarchy import find as find_caches
from zsemu.caches.presets import PRESETS
from zsemu.cli import main
from zsemu.cli.app import app
from zsemu.guest.strategies import names, strategy
from zsemu.guest.targets import known as known_targets
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.access_sequence import AccessSequence
from zsemu.replay.placed_trace import MAX_OPERATIONS
from zsemu.reports.implied_costs import implied
from zsemu.reports.invalidate_costs import INVALIDATE_COSTS
from zsemu.reports.matrix import Matrix
from zsemu.results.document import Document
from zsemu.runs import compare
from zsemu.runs.compare import run_here, single
from zsemu.runs.request import Request
from zsemu.traces.file import TraceFile, find

TEXTS = {path: path.read_text() for path in PAGES}
FRONT, MANUAL = TEXTS[README], TEXTS[REFERENCE]
WORDS = " ".join(MANUAL.split())
X86, OTHERS = ("x86_64", "i386"), ("aarch64", "arm", "riscv64", "riscv32")
ZRAM, LOOP = ("spanning_read", "spanning_write"), ("spanning_update",)


_COMPARED: dict[tuple[tuple[str, ...], tuple[str, ...]], Document] = {}
"""what was compared, by architectures and strategies"""

Printed = Callable[[str], str]
"""a command of zsemu to what it prints, 80 columns wide"""


@pytest.fixture
def printed(
    in_process: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Printed:
    """Return a function that runs commands in this process, and replays for each table once."""

    def once(request: Request, **_: object) -> Document:
        key = (request.archs, tuple(request.strategies))
        if key not in _COMPARED:
            _COMPARED[key] = run_here(request)
        return _COMPARED[key]

    monkeypatch.setattr(compare, "run", once)
    monkeypatch.setenv("COLUMNS", "80")

    def print_(command: str) -> str:
        capsys.readouterr()
        assert main(command.split()) == 0
        return capsys.readouterr().out

    return print_


def test_figures_are_those_of_the_results() -> None:
    for text in TEXTS.values():
        assert rendered(text) == text
        changed = text.replace("0.51", "0.15").replace("0.66x", "0.99x").replace("1.44x", "9.99x")
        assert changed != text
        assert rendered(changed) == text.replace("0.51 to", "0.15 to")
    marks = re.findall(r"<!-- readme: (\S+) -->", "".join(TEXTS.values()))
    assert sorted(marks) == sorted(readme.BLOCKS)


def words(text: str) -> str:
    """Return what is left of a table without its figures, and of a text without spaces."""
    return re.sub(r"[\d.*x<\s-]", "", re.sub(r"sha256 \w+", "sha256", text))


@pytest.mark.xdist_group("readme")
@pytest.mark.parametrize(
    ("page", "command"),
    [
        (README, "compare --trace sqlite-lzo-rle"),
        (REFERENCE, "compare --trace sqlite-lzo-rle --break-even"),
        (README, "compare --trace sqlite-lzo-rle --arch aarch64 --details"),
        (REFERENCE, "compare --trace sqlite-lzo-rle --arch x86_64 --details"),
    ],
)
def test_the_commands_print_what_is_shown(page: Path, command: str, printed: Printed) -> None:
    """All but the figures, which are of fewer operations here."""
    _, _, rest = TEXTS[page].partition(f"`zsemu {command}`")
    block = rest.partition("```\n")[2].partition("```")[0]
    assert len(block.splitlines()) > 20
    assert words(printed(f"{command} --operations 3000")).startswith(words(block))


def test_the_plot_is_that_of_the_results() -> None:
    assert readme.PLOT.read_bytes() == readme.plot()
    assert f"]({readme.PLOT.relative_to(README.parent)})" in FRONT


def request(trace: str) -> Request:
    return Request(
        archs=target_names(),
        strategies={name: strategy(name) for name in names()},
        trace=TraceFile(find(trace)),
        geometry=TraceFile(find(trace)).metadata.geometry,
        page_size=TraceFile(find(trace)).metadata.page_size,
    )


def test_results_are_what_the_command_writes() -> None:
    """All of the short one, and of the long one a cell: all cells would take minutes."""
    again = kept.text(run_here(request("zsmapbench")), plotted=False)
    assert again == (readme.HERE / "zsmapbench.json").read_text()
    long = results("sqlite-lzo-rle")
    assert long.provenance == replace(
        results("zsmapbench").provenance, traces=long.provenance.traces
    )
    assert [(r.arch, r.strategy) for r in long.records] == [
        (arch, name) for arch in target_names() for name in names()
    ]
    for trace in recordings.RECORDINGS:
        found = results(trace)
        made, other = found.provenance, long.provenance
        assert made.unicorn == other.unicorn
        # The flags hold the page size.
        versions = [one.compilers[recordings.ARCH].version for one in (made, other)]
        assert versions[0] == versions[1]
        # Cells that take the least.
        name = "sg" if trace == "sqlite-lzo-rle" else "copy"
        one = single(request(trace), recordings.ARCH, name)
        plotted = trace == readme.PLOTTED_TRACE
        _, line = kept.text(Document(found.provenance, (one,)), plotted=plotted).splitlines()
        assert line in (readme.HERE / f"{trace}.json").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "trace", "scopes", "archs", "count", "says"),
    [
        ("pgtable", "sqlite-lzo-rle", ZRAM, X86, 0, "executes {} of the instructions of `copy`"),
        (
            "pgtable",
            "sqlite-lzo-rle",
            ZRAM,
            OTHERS,
            0,
            "on the other architectures {}. That is one reason",
        ),
        (
            "swap",
            "sqlite-lzo-rle",
            ZRAM,
            target_names(),
            1,
            "moves what `copy` moves, {} times its bytes",
        ),
        ("swap-min", "zsmapbench", LOOP, target_names(), 1, "moves {} (this read-write object)"),
        ("swap-min", "sqlite-lzo-rle", ZRAM, target_names(), 1, "and {} (the recording)"),
        ("copy-modes", "sqlite-lzo-rle", ZRAM, target_names(), 1, "moves {} of what `copy` moves"),
        ("swap-lazy", "sqlite-lzo-rle", ZRAM[:1], target_names(), 1, "{} of the bytes of `copy`"),
        ("swap-lazy", "sqlite-lzo-rle", ("total",), target_names(), 1, "over all maps it is {}"),
        (
            "copy-modes",
            "sqlite-lzo-rle",
            ("total",),
            target_names(),
            1,
            "where `copy-modes` is {}.",
        ),
    ],
)
def test_figures_in_the_text(
    name: str, trace: str, scopes: tuple[str, ...], archs: tuple[str, ...], count: int, says: str
) -> None:
    cells = records(trace)
    found = [
        ratios(cells[arch, name], cells[arch, "copy"], scope)[count]
        for arch in archs
        for scope in scopes
    ]
    assert says.format(f"{min(found):.2f} to {max(found):.2f}") in WORDS


def test_what_the_text_says_of_the_exchanges() -> None:
    """In words there, in figures here."""
    for trace, scopes in (("sqlite-lzo-rle", ZRAM), ("zsmapbench", LOOP)):
        cells = records(trace)

        def ratio(arch: str, name: str, scope: str, count: int) -> float:
            return ratios(cells[arch, name], cells[arch, "copy"], scope)[count]  # noqa: B023

        for scope in scopes:
            for arch in target_names():
                assert 0.98 < ratio(arch, "swap", scope, 1) < 1.07
                assert ratio(arch, "sg", scope, 1) <= ratio(arch, "pgtable", scope, 1) < 0.04
            assert ratio("aarch64", "swap", scope, 0) < 0.9
            assert all(0.95 < ratio(f"riscv{bits}", "swap", scope, 0) < 1.05 for bits in (32, 64))
            assert ratio("arm", "swap", scope, 0) > 1.1
            assert min(ratio(arch, "swap", scope, 0) for arch in X86) > 8
            for arch in target_names():
                less = ratio(arch, "swap-min", scope, 1) - ratio(arch, "copy-modes", scope, 1)
                assert less > 0.1 if scope in ZRAM else less < 0
    loop = records("zsmapbench")
    for arch in target_names():
        assert ratios(loop[arch, "swap-lazy"], loop[arch, "copy"], LOOP[0])[1] < 0.04
        assert ratios(loop[arch, "copy-modes"], loop[arch, "copy"], LOOP[0])[1] < 1.02
    for cells in (records("sqlite-lzo-rle"), records("zsmapbench")):
        for arch in target_names():
            with_access = {
                name: cells[arch, name].sum("bytes_loaded", "spanning")
                + cells[arch, name].sum("bytes_stored", "spanning")
                for name in ("pgtable", "readwrite", "sg")
            }
            assert max(with_access.values()) < 1.06 * min(with_access.values())


def test_what_the_text_says_of_the_recordings() -> None:
    """The figures in the sentences below the table, and what they conclude."""
    words = " ".join(FRONT.split())
    matrices = {name: Matrix(results(name), "copy") for name in recordings.RECORDINGS}
    for matrix in matrices.values():
        first = [name for name, _ in recordings.ranked(matrix, "total")[:3]]
        assert first == ["sg", "pgtable", "readwrite"]
    spans = [recordings.maps_that_span(matrix) for matrix in matrices.values()]
    for two, says in (
        (spans[:2], "{} to {} of the maps of 6.1 are"),
        (spans[2:], "{} to {} of those of 6.12."),
    ):
        less, more = map(recordings.share, sorted(two))
        assert says.format(less.removesuffix(" %"), more) in words
    small, large = "redis-zswap", "numpy-16k"
    slots = {name: recordings.share(recordings.slots_that_span(name)) for name in (small, large)}
    assert (
        f"fewer slots of the same geometry span ({slots[large]} instead of {slots[small]})" in words
    )
    bytes_of = {
        name: f"{recordings.mean(matrices[name], 'spanning', 'copy'):.0f}"
        for name in (small, large)
    }
    assert f"`copy` moves {bytes_of[large]} bytes for a map of one, and {bytes_of[small]}" in words
    ratios_of = {
        name: dict(recordings.ranked(matrices[name], "spanning")) for name in (small, large)
    }
    lazy = {name: ratios_of[name].pop("swap-lazy") for name in ratios_of}
    apart = max(abs(ratios_of[small][one] - ratios_of[large][one]) for one in ratios_of[small])
    assert f"differs by more than {math.ceil(apart * 100) / 100:.2f} between" in words
    assert f"`swap-lazy` ({lazy[small]:.2f} and {lazy[large]:.2f})" in words
    assert abs(lazy[small] - lazy[large]) > 2 * apart


def test_what_must_have_been_true_in_july_2012() -> None:
    """The figures in the text of the front page, and what it concludes from them."""
    words = " ".join(FRONT.split())
    found = {one.mail.platform: one for one in implied(Matrix(results("zsmapbench")))}
    guest, x86, pi = (
        found[platform]
        for platform in ("x86, KVM guest (cover letter)", "x86, bare metal", "Raspberry Pi, ARMv6")
    )
    exits = next(one for one in INVALIDATE_COSTS if "exit to KVM" in one.what)
    for says in (
        f"On x86, `copy` loaded and stored {x86.rate:.1f} bytes in a cycle.",
        f"if an invalidate had cost less than {x86.tie:.0f} cycles. It must have cost"
        f" {x86.cost:.0f} on bare metal, and {guest.cost:.0f} in the KVM guest.",
        f"On the Raspberry Pi, `copy` moved {pi.rate:.1f} bytes in a cycle.",
        f"an invalidate cost less than {pi.tie:.0f} cycles: it must have cost {pi.cost:.0f}.",
        f"an invalidate cost {pi.cost / x86.cost:.1f} times as many cycles on the Raspberry Pi",
        f"copying a byte took {x86.rate / pi.rate:.1f} times as many:",
        f"measured at {exits.said} on a CPU of that time. An invalidate of {guest.cost:.0f} cycles",
    ):
        assert says in words
    assert guest.cost > x86.cost > x86.tie and pi.cost < pi.tie
    assert guest.cost < exits.least / 2


def test_break_even_by_hand() -> None:
    """The figures of the example are those that the front page shows, and give the price shown."""
    spanning = readme.costs("sqlite-lzo-rle", "aarch64").partition("spanning maps")[2]
    cells = {line.split()[0]: line.split() for line in spanning.split("\n")[3:] if line}
    more, fewer, tlb = cells["pgtable"], cells["copy-modes"], float(cells["pgtable"][6])
    assert f"`pgtable` executes {more[7]} instructions per spanning map" in WORDS
    assert f"and `copy-modes` {fewer[7]}" in WORDS and f"has {tlb:.2f} invalidates" in WORDS
    for place, digits in ((7, 2), (9, 0)):
        price = (float(fewer[place]) - float(more[place])) / tlb
        assert f"({fewer[place]} - {more[place]}) / {tlb:.2f} = {price:.{digits}f}" in WORDS


def test_what_the_text_says_of_inner_loops() -> None:
    """Its figures, which are of the kept loops and of the recording, and what it concludes."""
    spanning = {
        arch: readme.costs("sqlite-lzo-rle", arch).partition("spanning maps")[2]
        for arch in ("x86_64", "aarch64")
    }
    ratio = {
        arch: re.search(r"^swap +\S+ (\S+)x +\S+ (\S+)x", text, re.MULTILINE)
        for arch, text in spanning.items()
    }
    x86, aarch64 = ratio["x86_64"], ratio["aarch64"]
    assert x86 and aarch64
    cycles, rates, rounds = {}, {}, {}
    for listing in readme.loops().listings:
        loop = listing.loops[0]
        rounds[listing.arch, loop.function] = loop
        for cpu, each in loop.cycles.items():
            cycles[listing.arch, cpu, loop.function] = each
            rates[listing.arch, cpu, loop.function] = loop.rate(cpu)
    price = [
        copied / exchanged
        for (arch, cpu, name), copied in rates.items()
        if name == "zs_copy" and copied and (exchanged := rates[arch, cpu, "zs_swap"])
    ]
    a57 = cycles["aarch64", "cortex-a57", "zs_copy"]
    assert a57 and rounds["aarch64", "zs_copy"].bytes == 128
    (x86_swap,) = {
        each and f"{each / 1000:.2f}"
        for (arch, _, name), each in cycles.items()
        if (arch, name) == ("x86_64", "zs_swap")
    }
    exchange = rounds["x86_64", "zs_swap"].assembly
    stores = sum(line.endswith(")") for line in exchange)
    for says in (
        f"by LLVM {readme.loops().llvm_mca}.",
        f"{x86[2]} times the bytes of `copy` on x86_64 with {x86[1]} times the instructions, and"
        f" {aarch64[2]} times the bytes on aarch64 with {aarch64[1]} times the instructions",
        f"exchanged takes {min(price):.2f} to {max(price):.2f} times the cycles",
        f"the loop of `zs_swap` has {len(exchange)} instructions, {stores} of which store a word,"
        f" and takes {x86_swap} cycles",
        f"1000 rounds of `zs_copy` take {a57} cycles",
        f"That is 128 / {a57 / 1000:.3f} = {128 / a57 * 1000:.2f} bytes in a cycle.",
    ):
        assert says in WORDS
    (row,) = re.findall(r"^copy-modes .*$", readme.break_even("sqlite-lzo-rle"), re.MULTILINE)
    price_of_one = row.split()[5:7]
    assert (
        f"on aarch64 where an invalidate costs {price_of_one[0]} instructions, or the time to load"
        f" and store {price_of_one[1]} bytes"
    ) in WORDS


def test_what_the_text_says_of_copy_primitives() -> None:
    """Its figures, what it computes by hand, and the results: all are measured again."""
    strategies = {name: strategy(name) for name in ("copy", "swap", "swap-min", "readwrite")}
    archs = tuple(arch for arch in known_targets() if target(arch).folder == "x86_64")
    asked = replace(request("zsmapbench"), archs=archs, strategies=strategies)
    again = kept.text(run_here(asked), plotted=False)
    assert again == (readme.HERE / f"{readme.VARIANTS}.json").read_text()
    rows = {
        row[0]: row[1:] for row in map(str.split, readme.variants(readme.VARIANTS).splitlines())
    }
    copy, swap = rows["copy"], rows["swap"]
    assert 2 * (26 * 12 + 7 + 25 * 12 + 7) == 1252
    for says in (
        f"`swap` costs {swap[1]} times as much as `copy` where that has `rep movsq`, and {swap[9]}"
        f" times as much where it has words; of the bytes, `swap` moves"
        f" {int(swap[-1]) / int(copy[-1]):.2f} times as many",
        "2 · (26 · 12 + 7 + 25 · 12 + 7) = 1252",
        f"{copy[8]} - {copy[0]} = 1252 - 28",
    ):
        assert says in WORDS
    assert int(copy[8]) - int(copy[0]) == 1252 - 28
    for arch in archs:
        assert f"`{arch}`" in WORDS


def test_what_the_text_says_of_caches() -> None:
    """Its figures, ranks that it explains, and the table of CPUs."""
    for name, preset in PRESETS.items():
        assert f"| `{name}` | `{preset.caches}` | {preset.what} | {preset.source} |" in MANUAL
    long, short = (readme.ranked(trace) for trace in readme.RECORDINGS)
    for ranks in (long, short):
        last = len(ranks)
        place = {name: tuple(rank for _, _, rank in row) for name, row in ranks.items()}
        assert place["copy"][0] == last and max(place["copy"][1:]) <= 6
        assert abs(ranks["copy"][1][1] - ranks["copy-modes"][1][1]) < 0.005
        assert place["swap-lazy"][1:] == (last, last)
        assert place["swap"][0] < place["copy"][0] and place["swap"][2] > place["copy"][2]
        assert place["swap-min"][1] < place["copy-modes"][1]
        assert all(
            place[one][at] < place["pgtable"][at] for one in ("readwrite", "sg") for at in (1, 2)
        )
    moved = [ranks["swap-min"][0][0] < ranks["copy-modes"][0][0] for ranks in (long, short)]
    assert moved == [False, True]
    copy, pgtable = (
        {one.strategy: one for one in results("sqlite-lzo-rle-caches").records}[name]
        for name in ("copy", "pgtable")
    )
    ratio = [one[1] / other[1] for one, other in zip(long["copy"], long["pgtable"], strict=True)]
    l1, l2 = (copy.mean(m, "spanning") - pgtable.mean(m, "spanning") for m in readme.MISSES)
    for says in (
        f"`copy` moves {ratio[0]:.2f} times the bytes of `pgtable`, and misses L1 {ratio[1]:.2f}"
        f" times as often and L2 {ratio[2]:.2f} times",
        f"Of the {l1:.1f} L1 misses that a spanning map of `copy` has more than one of `pgtable`,"
        f" all but {l2:.1f} hit L2",
        f"{AccessSequence.samples} operations of each batch of {MAX_OPERATIONS} or fewer",
        f"for `copy`, {copy.mean(readme.MISSES[0], 'spanning'):.1f}.",
    ):
        assert says in WORDS


def test_misses_are_what_the_command_writes() -> None:
    """Of the short recording a cell."""
    kept_results = results("compile-zstd-caches")
    asked = replace(request("compile-zstd"), archs=("aarch64",), caches=find_caches(readme.CACHE))
    assert kept_results.provenance.cache == readme.CACHE
    cell = Document(kept_results.provenance, (single(asked, "aarch64", "swap-lazy"),))
    again = kept.text(cell, plotted=False).splitlines()[1]
    assert again in (readme.HERE / "compile-zstd-caches.json").read_text().splitlines()
    for name in readme.RECORDINGS:
        assert results(f"{name}-caches").provenance.cache == readme.CACHE


def test_the_example_is_a_strategy(tmp_path: Path, printed: Printed) -> None:
    """As it stands there: it compiles, holds every check, keeps its promises and is compared."""
    found = re.search(r"^```c\n(.*?)^```", FRONT, re.MULTILINE | re.DOTALL)
    assert found
    own = tmp_path / "mine.c"
    own.write_text(found[1])
    assert set(strategy(str(own)).promises) == {
        "ro-clean",
        "neighbour-clean",
        "stateless",
        "no-leak",
    }
    for commands in ("zsemu check ./mine.c", "zsemu compare --strategy ./mine.c,copy-modes"):
        assert f"\n    {commands}\n" in FRONT
    said = printed(f"check {own} --arch i386,aarch64 -k chain-4")
    assert re.search(r"^(\d+) of \1 suites hold\.$", said, re.MULTILINE)
    said = printed(f"compare --strategy {own},copy-modes --arch i386 --operations 3000")
    assert "All 3 cells are intact." in said and "\nmine.c " in said


def test_every_strategy_is_named_with_its_promises() -> None:
    for name in names():
        assert re.search(rf"^\| `{name}` \| [^|]+ \|$", FRONT, re.MULTILINE)
        row = re.search(rf"^\| `{name}` \|([^|]*)\|$", MANUAL, re.MULTILINE)
        assert row
        assert tuple(filter(None, row[1].strip().split(", "))) == strategy(name).promises


def test_every_command_is_named() -> None:
    group = typer.main.get_command(app)
    there = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        there |= {f"{name} {verb}" for verb in getattr(command, "commands", {})} or {name}
    listed = MANUAL.partition("\n## Commands\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^    zsemu ((?:(?:kernel|trace) )?[a-z]+)", listed, re.MULTILINE))
    assert named == there


def test_every_count_is_defined() -> None:
    from zsemu.counts import CLASSES, REGIONS
    from zsemu.results.document import SCALARS

    for name in (*SCALARS, "tlb_invalidates", "classes", *CLASSES, "regions", *REGIONS):
        assert f"`{name}`" in MANUAL
