# SPDX-License-Identifier: GPL-2.0-only
"""zsemu diff: what moved between two results, and whether that is a regression."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.cli.options import values
from zsemu.cli.terminal import emit

if TYPE_CHECKING:
    from zsemu.results.diff import Diff
    from zsemu.results.document import Document

REGRESSION: Final = 3


class DiffFormat(StrEnum):
    """How a diff is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="LIMIT",
        help="What is allowed: [ARCH/STRATEGY:][PHASE.]COUNT=BOUND, with a bound of 5% or +100"
        " above the base, or 10000 at most; then nothing else is a regression.",
    ),
]


def diff(
    base: Annotated[Path, typer.Argument(metavar="BASE.json", help="Results to compare with.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="Results to judge.")],
    limit: Limits = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="total, spanning, spanning_read, spanning_write, spanning_update."
            " [default: total]",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show what did not move, too.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Compare what should not be compared.")
    ] = False,
    format: Annotated[DiffFormat, typer.Option("--format")] = DiffFormat.TEXT,
) -> None:
    """Show what moved between two results, and fail if something rose.

    Rows are new|old (+-%) [factor]. Without limits it is a regression if a strategy's own
    instructions or bytes rise in settle, map or unmap; a violation that the base has not always is.

    Exit status: 0 no regression, 2 bad use, or results that must not be compared, 3 a regression.

    Example: zsemu diff base.json new.json --limit 'arm/*:map.instructions=5%' --limit stores=+100
    """
    from zsemu.results.document import load

    found = judge(load(base), load(new), limit, scopes=values(scope), force=force)
    show(found, format, everything=everything)
    if found.regressions:
        raise typer.Exit(REGRESSION)


def judge(
    base: "Document",
    new: "Document",
    limits: list[str] | None,
    *,
    scopes: list[str] | None = None,
    force: bool = False,
) -> "Diff":
    """Compare two documents under limits as they are given on the command line."""
    from zsemu.results.diff import diff
    from zsemu.results.limits import parse

    parsed = [parse(text) for text in values(limits)]
    return diff(base, new, limits=parsed, scopes=scopes or ["total"], force=force)


def show(found: "Diff", format: DiffFormat, *, everything: bool = False) -> None:
    """Print a diff."""
    from zsemu.reports.diff_text import FORMATS

    emit(FORMATS[format](found, everything=everything))
