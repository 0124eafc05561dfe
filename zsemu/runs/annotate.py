# SPDX-License-Identifier: GPL-2.0-only
"""Replay one cell of the matrix, or two, and list what each instruction did."""

from collections.abc import Sequence
from dataclasses import replace

from zsemu.annotate import profile
from zsemu.annotate.annotation_text import Annotation
from zsemu.annotate.listing import Listing, listing
from zsemu.annotate.one_operation import Shape
from zsemu.annotate.profile import Profile
from zsemu.guest.compiler import build, inputs
from zsemu.guest.image import Image
from zsemu.guest.targets import target
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
    watch: Stages | None = None,
) -> tuple[Listing, ...]:
    """Return a listing for each architecture and strategy of a request.

    The operations of one of counts.SCOPES in the request's trace are counted, or one ``shape``
    instead. ZsemuError for a strategy that does not compile, or no such slot.
    """
    watch = watch or Stages()
    cells = [(arch, name) for arch in request.archs for name in request.strategies]
    watch.stage("replaying", 0 if shape else 2 * len(request.trace) * len(cells))
    return tuple(_cell(request, arch, name, shape, scope, phases, watch) for arch, name in cells)


def _cell(
    request: Request,
    arch: str,
    name: str,
    shape: Shape | None,
    scope: str,
    phases: Sequence[str],
    watch: Stages,
) -> Listing:
    one, strategy, cell = target(arch), request.strategies[name], f"{arch} {name}"
    watch.started(cell)
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
    return listing(
        image, inputs(one, strategy), found, strategy=name, counted=counted, phases=phases
    )


def _trace(
    request: Request, image: Image, scope: str, progress: profile.Progress
) -> tuple[Profile, str]:
    placed = place(request.trace, request.geometry_for(image.target))
    found = profile.of_trace(image, placed, scope=scope, progress=progress)
    maps = placed.scope_maps
    if scope == "total":
        return found, f"all operations: {maps[scope]} maps, {maps['spanning']} of them spanning"
    return (
        found,
        f"{scope.replace('_', ' ')} operations only: {maps[scope]} of {maps['total']} maps",
    )


def _shape(request: Request, image: Image, shape: Shape) -> tuple[Profile, str]:
    builder = ScriptBuilder(request.geometry_for(image.target))
    operation = shape.append(builder)
    found = profile.of_operation(image, builder.placed(), operation, maps=shape.maps)
    return found, f"one {shape.describe(builder.geometry)}"


def annotation(
    request: Request, listings: tuple[Listing, ...], *, shape: str | None, phases: Sequence[str]
) -> Annotation:
    """Return the listings of a request with what was replayed for them."""
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
    )
