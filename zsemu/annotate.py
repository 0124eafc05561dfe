# SPDX-License-Identifier: GPL-2.0-only
"""Annotate: replays one cell of the matrix, or two, and lists what each instruction did."""

from collections.abc import Sequence

from zsemu import profile
from zsemu.build import build, inputs
from zsemu.compare import Request
from zsemu.image import Image
from zsemu.listing import Listing, listing
from zsemu.oneshape import Shape
from zsemu.pool import Stages
from zsemu.profile import Profile
from zsemu.script import Builder
from zsemu.targets import target
from zsemu.work import work


def annotate(
    request: Request,
    *,
    shape: Shape | None = None,
    scope: str = "total",
    phases: Sequence[str],
    watch: Stages | None = None,
) -> tuple[Listing, ...]:
    """Return a listing for each architecture and strategy of a request.

    What is counted is the operations of one of counts.SCOPES in the request's trace, or one
    ``shape`` instead. ZsemuError for a strategy that does not compile, or no such slot.
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
    placed = work(request.trace, request.geometry_for(image.target))
    found = profile.of_trace(image, placed, scope=scope, progress=progress)
    maps = placed.scope_maps
    if scope == "total":
        return found, f"all operations: {maps[scope]} maps, {maps['spanning']} of them spanning"
    return (
        found,
        f"{scope.replace('_', ' ')} operations only: {maps[scope]} of {maps['total']} maps",
    )


def _shape(request: Request, image: Image, shape: Shape) -> tuple[Profile, str]:
    builder = Builder(request.geometry_for(image.target))
    operation = shape.append(builder)
    found = profile.of_operation(image, builder.work(), operation, maps=shape.maps)
    return found, f"one {shape.describe(builder.geometry)}"
