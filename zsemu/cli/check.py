# SPDX-License-Identifier: GPL-2.0-only
"""zsemu check: whether strategies can be trusted, on every architecture."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.cli.formats import Format, written
from zsemu.cli.options import (
    Archs,
    Compiler,
    Jobs,
    complete_geometry,
    complete_strategy,
    page_sizes,
    values,
)
from zsemu.cli.terminal import emit, note

FAILED: Final = 1


if TYPE_CHECKING:
    from zsemu.check.findings import Result
    from zsemu.guest.strategies import Strategy
    from zsemu.guest.targets import Target


Named = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STRATEGY|FILE",
        help="Shipped ones by name, others by their C file; or a kernel's zsmalloc.o, or a"
        " folder of ARCH/zsmalloc.o. [default: all shipped]",
        show_default=False,
        autocompletion=complete_strategy,
    ),
]
PageSizes = Annotated[
    list[str] | None, typer.Option(metavar="BYTES", help="4096, 16384, 65536. [default: all]")
]
Geometries = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Size classes of: 2012, chain-4, chain-8, chain-16."
        " [default: all with pages of 4096 bytes, chain-8 with larger ones]",
        autocompletion=complete_geometry,
    ),
]
Only = Annotated[
    str,
    typer.Option(
        "-k",
        metavar="TEXT",
        help="Only where 'ARCH STRATEGY SUITE' contains this; suites are, for instance,"
        " 'chain-8, 4 KiB pages', 'sequences, chain-8' and 'properties'.",
    ),
]
WrittenAs = Annotated[
    Format,
    typer.Option(
        "--format",
        help="For reading, for programs, for kunit.py, or for CI services; properties: only"
        " text and json.",
    ),
]
Case = Annotated[
    Path | None,
    typer.Option(
        "--case", metavar="FILE", help="Run these operations only: a case that check printed."
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, metavar="N", help="Of the sequences: another one, others.")
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast", help="End with the first suite that fails; which that is depends on time."
    ),
]


def check(
    strategy: Named = None,
    arch: Archs = None,
    page_size: PageSizes = None,
    geometry: Geometries = None,
    only: Only = "",
    jobs: Jobs = None,
    format: WrittenAs = Format.TEXT,
    case: Case = None,
    seed: Seed = 0,
    cc: Compiler = "zig",
    fail_fast: FailFast = False,
) -> None:
    """Prove strategies right on every architecture, or show the smallest case in which they fail.

    Every size class, slot and map mode, random sequences with compaction and page migration, and
    the promises that a strategy makes. Of a kernel's object, also where it puts each object, and
    what it does at the limits of sizes and of memory. Options that take several values may be
    repeated, or given several with commas between them.

    Exit status: 0 all checks hold, 1 one fails, 2 bad use or input.

    Example: zsemu check ./mine.c --arch arm,riscv64 -k "chain-8, 4 KiB"
    """
    from zsemu.check.findings import Request
    from zsemu.check.suites import suites
    from zsemu.cli.progress import bar
    from zsemu.cli.subjects import subjects
    from zsemu.reports import check_text
    from zsemu.runs import doctor
    from zsemu.runs.check import run
    from zsemu.runs.request import label

    sizes = page_sizes(page_size)
    chosen, named = subjects(values(arch), values(strategy))
    if case:
        _case(case, chosen, named, cc)
        return
    request = Request(
        archs=tuple(one.name for one in chosen),
        strategies=label(named),
        suites=tuple(suites(values(geometry), sizes)),
        seed=seed,
        cc=cc,
        properties=format in (Format.TEXT, Format.JSON),
        only=only,
    )
    doctor.ensure(chosen)
    with bar() as watch:
        first = _First(fail_fast, format == Format.TEXT)
        jobs = jobs or os.cpu_count() or 1
        findings = run(request, jobs=jobs, watch=watch, failed=first.heard)
    emit(written(check_text, findings, request, format))
    if not findings.passed:
        raise typer.Exit(FAILED)


class _First:
    """Tells the first failure as soon as it is there: the whole report may take minutes."""

    def __init__(self, ends: bool, told: bool) -> None:
        """Take whether nothing more is checked after it, and whether it is told at all."""
        self._ends, self._told = ends, told

    def heard(self, result: "Result") -> bool:
        """Hear of a suite that failed; return whether that is enough."""
        if self._told:
            where = f"{result.arch} {result.strategy} ({result.suite})"
            note(f"zsemu: first failure, {where}: {result.failures[0].violation}\n")
        self._told = False
        return self._ends


def _case(path: Path, targets: "list[Target]", chosen: "list[Strategy]", cc: str) -> None:
    """Run one case on every architecture, and say of each strategy what is wrong, if anything."""
    from zsemu.check import allocator
    from zsemu.check.run_suite import run_case
    from zsemu.kernel.strategy import KernelStrategy

    failed = False
    for target in targets:
        for strategy in chosen:
            if not isinstance(strategy, KernelStrategy):
                found = run_case(target, strategy, path, cc=cc).violations
            elif target.name in strategy.archs:
                found = list(allocator.run_case(target, strategy, path).violations)
            else:
                continue
            where = f"{target.name} {strategy.name}"
            if not found:
                emit(f"{where}: all checks hold\n")
            for violation in found:
                emit(f"{where}: {violation}\n")
            failed |= bool(found)
    if failed:
        raise typer.Exit(FAILED)
