# SPDX-License-Identifier: GPL-2.0-only
"""zsemu check: whether strategies can be trusted, on every architecture."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.cli.common import (
    ARCHS,
    CC,
    JOBS,
    complete_geometry,
    complete_strategy,
    emit,
    values,
    width,
)

FAILED: Final = 1


if TYPE_CHECKING:
    from zsemu.guest.strategies import Strategy
    from zsemu.guest.targets import Target


class Format(StrEnum):
    """How the findings are written."""

    TEXT = "text"
    JSON = "json"
    KTAP = "ktap"
    JUNIT = "junit"


def check(
    strategy: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STRATEGY|FILE",
            help="Shipped ones by name, others by their C file. [default: all shipped]",
            show_default=False,
            autocompletion=complete_strategy,
        ),
    ] = None,
    arch: Annotated[list[str] | None, ARCHS] = None,
    page_size: Annotated[
        list[str] | None,
        typer.Option(metavar="BYTES", help="4096, 16384, 65536. [default: all]"),
    ] = None,
    geometry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Size classes of: 2012, chain-4, chain-8, chain-16."
            " [default: all with pages of 4096 bytes, chain-8 with larger ones]",
            autocompletion=complete_geometry,
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            "-k",
            metavar="TEXT",
            help="Only where 'ARCH STRATEGY SUITE' contains this; suites are, for instance,"
            " 'chain-8, 4 KiB pages', 'sequences, chain-8' and 'properties'.",
        ),
    ] = "",
    jobs: Annotated[int | None, JOBS] = None,
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="For reading, for programs, for kunit.py, or for CI services; properties: only"
            " text and json.",
        ),
    ] = Format.TEXT,
    case: Annotated[
        Path | None,
        typer.Option(
            "--case", metavar="FILE", help="Run these operations only: a case that check printed."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of the sequences: another one, others.")
    ] = 0,
    cc: Annotated[str, CC] = "zig",
) -> None:
    """Prove strategies right on every architecture, or show the smallest case in which they fail.

    Every size class, slot and map mode, random sequences with compaction and page migration, and
    the promises that a strategy makes. Options that take several values may be repeated, or given
    several with commas between them.

    Exit status: 0 all checks hold, 1 one fails, 2 bad use or input.

    Example: zsemu check ./mine.c --arch arm,riscv64 -k "chain-8, 4 KiB"
    """
    from zsemu.check.findings import Request
    from zsemu.check.suites import suites
    from zsemu.cli.progress import bar
    from zsemu.errors import ZsemuError
    from zsemu.guest import strategies, targets
    from zsemu.reports import check_text
    from zsemu.runs import doctor
    from zsemu.runs.check import run
    from zsemu.runs.request import label

    try:
        sizes = [int(size) for size in values(page_size)]
    except ValueError:
        raise ZsemuError(
            f"--page-size {','.join(values(page_size))}: not bytes: choose 4096, 16384 or 65536"
        ) from None
    chosen = [targets.target(name) for name in values(arch) or targets.names()]
    named = values(strategy) or strategies.names()
    if case:
        _case(case, chosen, [strategies.strategy(name) for name in named], cc)
        return
    request = Request(
        archs=tuple(one.name for one in chosen),
        strategies=label([strategies.strategy(name) for name in named]),
        suites=tuple(suites(values(geometry), sizes)),
        seed=seed,
        cc=cc,
        properties=format in (Format.TEXT, Format.JSON),
        only=only,
    )
    doctor.ensure(chosen)
    with bar() as watch:
        findings = run(request, jobs=jobs or os.cpu_count() or 1, watch=watch)
    if format == Format.TEXT:
        emit(check_text.text(findings, request, width=width()))
    elif format == Format.JSON:
        emit(check_text.as_json(findings, request))
    elif format == Format.KTAP:
        emit(check_text.ktap(findings, request))
    else:
        emit(check_text.junit(findings, request))
    if not findings.passed:
        raise typer.Exit(FAILED)


def _case(path: Path, targets: "list[Target]", chosen: "list[Strategy]", cc: str) -> None:
    """Run one case on every architecture, and say of each strategy what is wrong, if anything."""
    from zsemu.check.one_suite import run_case

    failed = False
    for target in targets:
        for strategy in chosen:
            outcome = run_case(target, strategy, path, cc=cc)
            where = f"{target.name} {strategy.name}"
            if not outcome.violation_count:
                emit(f"{where}: all checks hold\n")
            for violation in outcome.violations:
                emit(f"{where}: {violation}\n")
            failed |= outcome.violation_count > 0
    if failed:
        raise typer.Exit(FAILED)
