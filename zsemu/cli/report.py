# SPDX-License-Identifier: GPL-2.0-only
"""zsemu report: results as one page, as plots, and as a summary for CI."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.cli.terminal import emit
from zsemu.errors import ZsemuError

if TYPE_CHECKING:
    from zsemu.reports.matrix import Matrix

PAGE: Final = Path("report.html")
PLOTS: Final = Path("plots")


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MARKDOWN = "markdown"
    SVG = "svg"
    PNG = "png"


Results = Annotated[
    list[Path],
    typer.Argument(metavar="RESULT.json", help="What 'zsemu compare --json' wrote."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR",
        help="Where to: a file, and of svg and png a directory."
        " [default: report.html; Markdown: printed; plots: plots]",
        show_default=False,
    ),
]
WrittenAs = Annotated[
    Form,
    typer.Option(
        "--format",
        help="A page, a summary for CI, or each plot of the page as a file.",
    ),
]
PropertiesFile = Annotated[
    Path | None,
    typer.Option(
        "--properties",
        metavar="FILE",
        help="Show these, too: what 'zsemu check -k properties --format json' printed.",
    ),
]
LoopFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--mca",
        metavar="FILE",
        help="Show inner loops, too: what 'zsemu annotate --mca --format json' printed.",
    ),
]
RaceFile = Annotated[
    Path | None,
    typer.Option(
        "--race",
        metavar="FILE",
        help="Show which locks strategies need, too: what 'zsemu race --format json' printed.",
    ),
]
RelativeTo = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The strategy that ratios are to. [default: copy]"),
]


def report(
    results: Results,
    output: Output = None,
    format: WrittenAs = Form.HTML,
    properties: PropertiesFile = None,
    mca: LoopFiles = None,
    race: RaceFile = None,
    relative_to: RelativeTo = None,
) -> None:
    """Show results so that they need no explanation: the finding, the matrix, plots, limits.

    The page is one file that needs no network. Plots can be read on white and on dark.

    Exit status: 0 done, whatever the results hold; 2 bad use or input.

    Example: zsemu report out.json -o report.html
    """
    from zsemu.reports import property_table
    from zsemu.results.throughput import load_all

    for option, given in (("--properties", properties), ("--race", race)):
        if given and format != Form.HTML:
            raise ZsemuError(f"{option}: only the page has them, not --format {format.value}")
    if mca and format not in (Form.HTML, Form.MARKDOWN):
        raise ZsemuError(f"--mca: only text has loops, not the plots of --format {format.value}")
    runs = _runs(results, relative_to)
    measured = property_table.load(properties) if properties else None
    raced = property_table.load(race, property_table.RACED) if race else None
    loops = load_all(mca) if mca else None
    if format == Form.MARKDOWN:
        from zsemu.reports.summary import markdown

        text = markdown(runs, loops)
        if output:
            _write(text, output)
        else:
            emit(text)
    elif format == Form.HTML:
        from zsemu.reports.html_page import html

        _write(html(runs, measured, loops, raced), output or PAGE)
    else:
        from zsemu.reports import plot_files

        directory = output or PLOTS
        directory.mkdir(parents=True, exist_ok=True)
        for run in runs:
            for file in plot_files.write(plot_files.all_plots(run), directory, format.value):
                emit(f"{file}\n")


def _runs(paths: list[Path], relative_to: str | None) -> "list[Matrix]":
    from zsemu.reports.matrix import Matrix
    from zsemu.results.document import load

    names = [path.stem for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ZsemuError(f"two results are called {name}: give their files different names")
    return [Matrix(load(path), relative_to, name=path.stem) for path in paths]


def _write(text: str, path: Path) -> None:
    from zsemu.paths import replacing

    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ZsemuError(f"{path}: no place for a file: give -o one in a directory that exists")
    with replacing(path) as stream:
        stream.write(text.encode())
    emit(f"{path}\n")
