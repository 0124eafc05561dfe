# SPDX-License-Identifier: GPL-2.0-only
"""The cells of a race: the scenes of every strategy on every architecture, in parallel.

What is done is stored in the cache, so that a race that was interrupted can go on.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import unicorn

from zsemu.errors import ZsemuError
from zsemu.guest.compiler import cache_folder
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import target
from zsemu.kernel.strategy import KernelStrategy
from zsemu.paths import replacing
from zsemu.race import machine
from zsemu.race.benches import bench
from zsemu.race.exploration import SceneBench
from zsemu.race.findings import Findings, Request, Result, SceneResult, merged
from zsemu.results.document import parse
from zsemu.runs.cell_store import image_of
from zsemu.runs.pool import Pool, Report, Stages
from zsemu.sources import sources_digest


@dataclass(frozen=True)
class _Part:
    """The scenes of one strategy on an architecture that one worker runs."""

    arch: str
    strategy: str
    title: str
    scenes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.arch} {self.strategy} {self.title}"


@dataclass(frozen=True)
class _Done:
    """What came of a part."""

    part: _Part
    scenes: list[SceneResult]


@lru_cache(maxsize=1)
def _bench(arch: str, strategy: Strategy, cc: str) -> SceneBench[Any]:
    """Return a strategy on two CPUs; a worker does all its parts one after the other."""
    return bench(target(arch), strategy, cc)


def _build(request: Request, cell: tuple[str, str], report: Report) -> dict[str, list[str]]:
    """Compile one image; return the names of its scenes by part."""
    arch, name = cell
    made = _bench(arch, request.strategies[name], request.cc)
    found: dict[str, list[str]] = {}
    for scene in made.scenes():
        if request.only in f"{arch} {name} {scene.name}":
            found.setdefault(scene.part, []).append(scene.name)
    report(1)
    return found


def _build_native(request: Request, nothing: None, report: Report) -> None:
    machine.library()


def _run(request: Request, part: _Part, report: Report) -> _Done:
    made = _bench(part.arch, request.strategies[part.strategy], request.cc)
    done = made.run(set(part.scenes), request.wanted)
    _store(request, part, done)
    report(len(done))
    return _Done(part, done)


# The store.


def _path(request: Request, part: _Part) -> Path:
    """Return the file of what a part finds, named after all that it depends on."""
    strategy, size = request.strategies[part.strategy], 4096
    if isinstance(strategy, KernelStrategy):
        size = strategy.page_size(part.arch)
    image = image_of(strategy, part.arch, page_shift=size.bit_length() - 1, cc=request.cc)
    key = [image, sources_digest(), unicorn.__version__, repr(request.wanted), *part.scenes]
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()
    return cache_folder("race") / f"{part.arch}-{part.strategy}-{digest[:24]}.json"


def _store(request: Request, part: _Part, scenes: list[SceneResult]) -> None:
    with replacing(_path(request, part)) as stream:
        stream.write(json.dumps([asdict(scene) for scene in scenes]).encode())


def _stored(request: Request, part: _Part) -> list[SceneResult] | None:
    path = _path(request, part)
    try:
        rows = json.loads(path.read_bytes())
        return [parse(SceneResult, row, str(path)) for row in rows]
    except (FileNotFoundError, ValueError, TypeError, ZsemuError):
        return None


# Runs.


def _parts(found: dict[tuple[str, str], dict[str, list[str]]]) -> list[_Part]:
    return [
        _Part(arch, name, title, tuple(scenes))
        for (arch, name), parts in found.items()
        for title, scenes in parts.items()
    ]


def _results(
    request: Request, parts: Iterable[_Part], done: dict[str, list[SceneResult]]
) -> tuple[Result, ...]:
    """Return what was done, in the order of the request."""
    by_cell: dict[tuple[str, str], list[Result]] = {}
    for part in parts:
        if part.name in done:
            strategy, scenes = request.strategies[part.strategy], tuple(done[part.name])
            own = isinstance(strategy, KernelStrategy)
            stated, bound = strategy.needs, str(request.wanted)
            result = Result(part.arch, part.strategy, stated, bound, scenes, own_locks=own)
            by_cell.setdefault((part.arch, part.strategy), []).append(result)
    return tuple(merged(results) for results in by_cell.values())


def run(request: Request, *, jobs: int, watch: Stages | None = None) -> Findings:
    """Run all scenes that are asked for; on Ctrl-C, return what is done by then.

    ZsemuError if nothing has a name that ``request.only`` asks for, or an image does not build.
    """
    watch = watch or Stages()
    done: dict[str, list[SceneResult]] = {}

    def note(one: _Done) -> bool:
        done[one.part.name] = one.scenes
        return False

    with Pool(jobs, request) as pool:
        cells = {
            f"{arch} {name}": (arch, name)
            for arch in request.archs
            for name, one in request.strategies.items()
            if not isinstance(one, KernelStrategy) or arch in one.archs
        }
        watch.stage("building", len(cells))
        pool.run(_build_native, {"native": None})
        found = pool.run(_build, cells, watch)
        parts = _parts({cells[name]: titles for name, titles in found.items()})
        if not parts:
            raise ZsemuError(f"nothing to run: no 'ARCH STRATEGY SCENE' contains {request.only!r}")
        if request.resume:
            for part in parts:
                if (scenes := _stored(request, part)) is not None:
                    done[part.name] = scenes
        left = {part.name: part for part in parts if part.name not in done}
        watch.stage("running schedules", sum(len(part.scenes) for part in left.values()))
        try:
            pool.run(_run, left, watch, note)
        except KeyboardInterrupt:
            pool.close()
    return Findings(_results(request, parts, done), left_out=len(parts) - len(done))
