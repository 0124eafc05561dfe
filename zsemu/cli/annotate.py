# SPDX-License-Identifier: GPL-2.0-only
"""zsemu annotate: what each instruction of a strategy did, beside its source."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.cli.compare import VIOLATION
from zsemu.cli.options import (
    Compiler,
    Operations,
    PageSize,
    complete_arch,
    complete_geometry,
    complete_strategy,
    complete_trace,
    values,
)
from zsemu.cli.terminal import emit, emit_lines, warn, width
from zsemu.errors import ZsemuError
from zsemu.paths import DEFAULT_TRACE

if TYPE_CHECKING:
    from zsemu.annotate.listing import Listing
    from zsemu.annotate.one_operation import Shape
    from zsemu.guest.strategies import Strategy
    from zsemu.runs.request import Request

GEOMETRY: Final = "chain-8"
"""of a shape"""


class Format(StrEnum):
    """How it is written."""

    TEXT = "text"
    JSON = "json"


def _complete_against(incomplete: str) -> list[str]:
    return [*complete_strategy(incomplete), *complete_arch(incomplete)]


Shown = Annotated[
    str,
    typer.Argument(
        metavar="STRATEGY|FILE",
        help="A shipped one, or your C file.",
        autocompletion=complete_strategy,
    ),
]
Arch = Annotated[
    list[str],
    typer.Option(
        metavar="ARCH",
        help="The architecture; as JSON also several.",
        autocompletion=complete_arch,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="STRATEGY|FILE|ARCH",
        help="Show another strategy, or this one on another architecture, beside it.",
        autocompletion=_complete_against,
    ),
]
Functions = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these functions.")]
Phases = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PHASE",
        help="settle, map, access, unmap. [default: all but access: what the strategy does]",
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(
        metavar="SCOPE",
        help="Only spanning, spanning_read, spanning_write or spanning_update operations."
        " [default: total]",
    ),
]
Traced = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help=f"What to replay. [default: {DEFAULT_TRACE}]",
        autocompletion=complete_trace,
    ),
]
OneShape = Annotated[
    str | None,
    typer.Option(
        metavar="SHAPE",
        help="Instead of a trace one operation: read, write, update, allocate or free, on an"
        " object of so many bytes in such a slot of a zspage of its own, with objects beside"
        " it: read:1632/2. A map of its first 800 bytes only: read:1632/2:800. Right after"
        " another map in the same zspage: read:3600/4,after=write/3.",
    ),
]
ShapeGeometry = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Size classes of: 2012, chain-4 (4.1 to 6.2), chain-8 (from 6.3), chain-16."
        " [default: of the kernel that the trace was recorded on; chain-8 for a shape]",
        autocompletion=complete_geometry,
    ),
]
Mca = Annotated[
    bool,
    typer.Option(
        "--mca",
        help="Show, too, what llvm-mca (of Debian's package llvm) says that the inner loops take:"
        " cycles per 64 bytes, on the CPUs that arch/ARCH/target.toml names.",
    ),
]
McaCpus = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CPU",
        help="Ask llvm-mca about these CPUs instead, named as by 'llvm-mc -triple=... -mcpu=help'.",
    ),
]
Hot = Annotated[
    bool,
    typer.Option("--hot", help="The hottest instructions first; with --against what differs most."),
]


def annotate(
    strategy: Shown,
    arch: Arch,
    against: Against = None,
    function: Functions = None,
    phase: Phases = None,
    scope: Scope = None,
    trace: Traced = None,
    shape: OneShape = None,
    geometry: ShapeGeometry = None,
    page_size: PageSize = None,
    operations: Operations = None,
    cc: Compiler = "zig",
    hot: Hot = False,
    mca: Mca = False,
    mca_cpu: McaCpus = None,
    format: Annotated[Format, typer.Option("--format")] = Format.TEXT,
) -> None:
    """Show what each instruction of a strategy did: source and disassembly interleaved.

    How often each was executed, its loads, stores and their bytes, as sums over a trace, or for one
    operation with --shape. Two strategies are aligned instruction by instruction and what differs
    is marked; two architectures line by line of C. They stand beside each other where the terminal
    is wide enough, some 160 columns. A trace is replayed twice; where that takes too long,
    --operations or --shape narrow it.

    Exit status: 0 fine, 1 the strategy has violations, 2 bad use or input.

    Example: zsemu annotate copy --arch arm --against ./mine.c --scope spanning --hot
    """
    from zsemu.annotate import annotation_text
    from zsemu.annotate.one_operation import parse
    from zsemu.counts import SCOPES
    from zsemu.runs.annotate import annotation as describe
    from zsemu.runs.request import request

    scope = _known("scope", [scope or "total"], SCOPES)[0]
    one = parse(shape) if shape else None
    if one and (trace or operations or scope != "total"):
        raise ZsemuError("--shape is one operation: leave out --trace, --operations and --scope")
    archs, labels = _cells(strategy, values(arch), against)
    if format == Format.TEXT and len(archs) * len(labels) > 2:
        raise ZsemuError("text shows two listings at most: leave some out, or use --format json")
    models = _models(archs, values(mca_cpu)) if mca or mca_cpu else None
    phases = _phases(values(phase), labels)
    asked = request(
        archs=archs,
        strategies=labels,
        trace=trace or DEFAULT_TRACE,
        operations=operations,
        geometry=geometry or (GEOMETRY if one else None),
        page_size=page_size,
        cc=cc,
    )
    listings = _list(asked, one, scope, phases, models)
    found = describe(asked, listings, shape=shape, phases=phases, with_loops=models is not None)
    functions = tuple(values(function))
    if format == Format.JSON:
        emit(annotation_text.as_json(found, functions=functions))
    else:
        emit_lines(annotation_text.text(found, functions=functions, hot=hot, width=width()))


def _phases(named: list[str], strategies: "Mapping[str, Strategy]") -> Sequence[str]:
    """Return the phases that are asked for; malloc and free only of kernels' objects."""
    from zsemu.counts import ALLOCATOR_PHASES, PHASES, STRATEGY_PHASES
    from zsemu.kernel.strategy import KernelStrategy

    kernels = all(isinstance(each, KernelStrategy) for each in strategies.values())
    there = (*PHASES, *ALLOCATOR_PHASES) if kernels else PHASES
    return _known("phase", named, there) or STRATEGY_PHASES


def _models(archs: Sequence[str], chosen: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the CPUs that llvm-mca is asked about, by architecture."""
    from zsemu.annotate import llvm_mca
    from zsemu.guest import targets

    if chosen and len(archs) > 1:
        raise ZsemuError(f"--mca-cpu {','.join(chosen)}: CPUs of one --arch; here are several")
    return {arch: llvm_mca.models(targets.target(arch), chosen) for arch in archs}


def _list(
    asked: "Request",
    shape: "Shape | None",
    scope: str,
    phases: Sequence[str],
    models: Mapping[str, Sequence[str]] | None,
) -> "tuple[Listing, ...]":
    """Replay and list each cell of a request; exit if one has violations, after saying so."""
    from zsemu.cli.progress import bar
    from zsemu.guest import targets
    from zsemu.runs import doctor
    from zsemu.runs.annotate import annotate as run
    from zsemu.runs.request import check, warnings

    check(asked)
    for line in () if shape else warnings(asked):
        warn(line)
    doctor.ensure(map(targets.target, asked.archs))
    with bar() as watch:
        listings = run(asked, shape=shape, scope=scope, phases=phases, models=models, watch=watch)
    broken = [listing for listing in listings if not listing.intact]
    for listing in broken:
        first = f"{listing.violation_count} violations, first {listing.violations[0]}"
        emit(f"{listing.title}: BROKEN: {first}; zsemu check has more\n")
    if broken:
        raise typer.Exit(VIOLATION)
    return listings


def _known(what: str, names: Sequence[str], there: Iterable[str]) -> tuple[str, ...]:
    """Return the names; ZsemuError if one is not there."""
    for name in names:
        if name not in there:
            raise ZsemuError(f"no {what} {name!r}: there are {', '.join(there)}")
    return tuple(names)


def _cells(
    strategy: str, archs: list[str], against: str | None
) -> "tuple[tuple[str, ...], dict[str, Strategy]]":
    """Return the architectures and strategies to show; ``against`` is one more of either."""
    from zsemu.guest import strategies, targets
    from zsemu.kernel.strategy import strategy as named
    from zsemu.runs.request import label

    for arch in archs:
        targets.target(arch)
    chosen = [named(strategy)]
    if against is None:
        return tuple(archs), label(chosen)
    if against in targets.known():
        archs.append(against)
    elif against in strategies.names() or against.endswith((".c", ".o", ".ko")) or "/" in against:
        chosen.append(named(against))
    else:
        raise ZsemuError(
            f"--against {against}: no strategy ({', '.join(strategies.names())}, or the path of a"
            f" C file) and no architecture ({', '.join(targets.known())})"
        )
    labels = label(chosen)
    if len(set(archs)) < len(archs) or len(set(archs)) * len(labels) < 2:
        raise ZsemuError(f"--against {against}: the same again, of which nothing could differ")
    return tuple(archs), labels
