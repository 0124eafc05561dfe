# SPDX-License-Identifier: GPL-2.0-only
"""Replay one cell of the matrix, or two, and list what each instruction did."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from zsemu.annotate import profile
from zsemu.annotate.annotation_text import Annotation
from zsemu.annotate.kernel_profile import of_kernel, sources
from zsemu.annotate.listing import Listing, listing
from zsemu.annotate.llvm_mca import version
from zsemu.annotate.one_operation import Shape
from zsemu.annotate.profile import Profile
from zsemu.annotate.throughput import modelled
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build, inputs
from zsemu.guest.image import Image
from zsemu.guest.targets import target
from zsemu.kernel.strategy import KernelStrategy
from zsemu.replay.placed_trace import place
from zsemu.replay.script import ScriptBuilder
from zsemu.runs.pool import Stages
from zsemu.runs.request import Request, provenance


def annotate(
    request: Request,
    *,
    shape: Shape | None = None,
    scope: str = "total",
    phases: Sequence[str],
    models: Mapping[str, Sequence[str]] | None = None,
    watch: Stages | None = None,
) -> tuple[Listing, ...]:
    """Return a listing for each architecture and strategy of a request.

    The operations of one of counts.SCOPES in the request's trace are counted, or one ``shape``
    instead. ``models`` are CPUs by architecture, of which llvm-mca is asked what inner loops take.
    ZsemuError for a strategy that does not compile, or no such slot.
    """
    watch = watch or Stages()
    cells = [(arch, name) for arch in request.archs for name in request.strategies]
    watch.stage("replaying", 0 if shape else 2 * len(request.trace) * len(cells))
    found = []
    for arch, name in cells:
        image, listing = _cell(request, arch, name, shape, scope, phases, watch)
        cpus = models[arch] if models else ()
        found.append(replace(listing, loops=modelled(image, listing, cpus)) if cpus else listing)
    return tuple(found)


def _cell(
    request: Request,
    arch: str,
    name: str,
    shape: Shape | None,
    scope: str,
    phases: Sequence[str],
    watch: Stages,
) -> tuple[Image, Listing]:
    one, strategy, cell = target(arch), request.strategies[name], f"{arch} {name}"
    watch.started(cell)
    if isinstance(strategy, KernelStrategy):
        if shape:
            raise ZsemuError(
                f"{name}: it decides itself where an object is, so there is no --shape of it: use"
                " --trace and --scope"
            )
        return _kernel(request, strategy, cell, scope, phases, watch)
    path = build(
        one,
        strategy,
        cc=request.cc,
        page_shift=request.page_shift,
        optimisation=request.optimisation,
    )
    image = Image(path, one)
    if shape:
        found, counted = _shape(request, image, shape)
    else:
        found, counted = _trace(request, image, scope, lambda more: watch.advanced(cell, more))
    watch.finished(cell)
    return image, listing(
        image, inputs(one, strategy), found, strategy=name, counted=counted, phases=phases
    )


def _kernel(
    request: Request,
    strategy: KernelStrategy,
    cell: str,
    scope: str,
    phases: Sequence[str],
    watch: Stages,
) -> tuple[Image, Listing]:
    """List a kernel's object; its source is shown if the files that it was made of are here."""
    arch, _, name = cell.partition(" ")
    facts = strategy.facts(arch)
    image, placed = facts.linked.image, place(request.trace, facts.geometry)
    found = of_kernel(
        facts, placed, scope=scope, progress=lambda more: watch.advanced(cell, 2 * more)
    )
    watch.finished(cell)
    return image, listing(
        image,
        sources(image),
        found,
        strategy=name,
        counted=f"{_counted(scope, placed.scope_maps)}; under its own size classes,"
        f" {facts.geometry.name}; made by {facts.linked.kernel.compiler or 'a compiler not named'}",
        phases=phases,
    )


def _trace(
    request: Request, image: Image, scope: str, progress: profile.Progress
) -> tuple[Profile, str]:
    placed = place(request.trace, request.geometry_for(image.target))
    found = profile.of_trace(image, placed, scope=scope, progress=progress)
    return found, _counted(scope, placed.scope_maps)


def _counted(scope: str, maps: dict[str, int]) -> str:
    """Say of which operations the counts are."""
    if scope == "total":
        return f"all operations: {maps[scope]} maps, {maps['spanning']} of them spanning"
    return f"{scope.replace('_', ' ')} operations only: {maps[scope]} of {maps['total']} maps"


def _shape(request: Request, image: Image, shape: Shape) -> tuple[Profile, str]:
    builder = ScriptBuilder(request.geometry_for(image.target))
    operation = shape.append(builder)
    found = profile.of_operation(image, builder.placed(), operation, maps=shape.maps)
    return found, f"one {shape.describe(builder.geometry)}"


def annotation(
    request: Request,
    listings: tuple[Listing, ...],
    *,
    shape: str | None,
    phases: Sequence[str],
    with_loops: bool = False,
) -> Annotation:
    """Return the listings of a request with what was replayed for them.

    ``with_loops`` says that llvm-mca was asked about their inner loops.
    """
    made = provenance(request)
    if shape:
        made, subject = replace(made, traces={}), f"shape {shape}"
    else:
        trace = request.trace
        kernel = made.traces[trace.name].recorded_on
        subject = f"trace {trace.name} ({kernel}): {len(trace)} operations"
    return Annotation(
        listings=listings,
        subject=subject,
        geometry=request.geometry,
        page_size=request.page_size,
        phases=tuple(phases),
        optimisation=request.optimisation,
        provenance=made,
        llvm_mca=version() if with_loops else "",
    )
