# SPDX-License-Identifier: GPL-2.0-only
"""Run the scenes of a strategy in every schedule within bounds."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.memory import Memory
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import Target
from zsemu.race import schedule
from zsemu.race.findings import Failure, SceneResult, Wanted
from zsemu.race.machine import TwoCpus
from zsemu.race.pairs import MODES, PAIRS
from zsemu.race.scene import (
    PRIORS,
    SETTLED,
    SIZES,
    Scene,
    Script,
    load,
    script,
    swapped_contents,
)
from zsemu.race.schedule import Schedule
from zsemu.race.searched import Bounds, Searched
from zsemu.race.shapes import shapes
from zsemu.race.verdict import TORN, Judge
from zsemu.replay.batch import Batch
from zsemu.replay.judgement import Finding
from zsemu.replay.violations import FINAL_READ, Violation
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry, geometry

SAMPLES: Final = 2000
"""random schedules of a scene that has more than are run one after the other"""
GEOMETRY: Final = "chain-8"
"""the size classes of scenes: those of kernels from 6.3 on"""


def scenes(geometry: Geometry, *, settles: bool) -> list[Scene]:
    """Return all scenes of a geometry; ``settles``: of a strategy that defines zs_settle()."""
    return [
        Scene(shape, mode, pair, prior)
        for shape in shapes(geometry)
        for mode in MODES
        for pair in PAIRS
        if pair.applies(geometry, shape, mode) and (settles or not pair.settles)
        for prior in (PRIORS if settles else (SETTLED,))
    ]


class Bench:
    """A strategy's image on two CPUs, in which one scene after the other is set."""

    def __init__(self, image: Image, geometry: Geometry) -> None:
        self.image, self.geometry = image, geometry
        self.settles = image.has("zs_settle")
        memory = Memory(image, SIZES, geometry.page_size.bit_length() - 1)
        self.cpus = TwoCpus(memory)

    def scenes(self) -> list[Scene]:
        """Return all scenes of the strategy."""
        return scenes(self.geometry, settles=self.settles)

    def scene(self, name: str) -> Scene:
        """Return the scene of a name; ZsemuError if there is none."""
        for one in self.scenes():
            if one.name == name:
                return one
        raise ZsemuError(f"no scene {name!r}; zsemu race names the scene of each schedule")

    def set(self, scene: Scene) -> "Set":
        """Set a scene."""
        made = script(self.geometry, scene, settles=self.settles)
        batch = load(self.cpus, scene, made)
        swapped = None
        if scene.pair.torn:
            other = script(self.geometry, scene, settles=self.settles, swapped=True)
            swapped = swapped_contents(made, batch, other)
        return Set(self, scene, made, batch, Judge(self.cpus, made, batch, swapped))

    def explore(self, scene: Scene, wanted: Wanted) -> SceneResult:
        """Run a scene in every schedule that is wanted."""
        return self.set(scene).explore(wanted)


@dataclass(frozen=True)
class Set:
    """A scene that is set: both CPUs stand before their operations."""

    bench: Bench
    scene: Scene
    made: Script
    batch: Batch
    judge: Judge

    def explore(self, wanted: Wanted) -> SceneResult:
        """Run all schedules wanted, with the fewest preemptions first, up to one that fails."""
        cpus, scene = self.bench.cpus, self.scene
        searched = Searched(0, 0, True, ())
        for preemptions in range(wanted.preemptions + 1):
            searched = cpus.search(Bounds(preemptions, limit=wanted.limit), self.judge)
            if searched.failed or not searched.complete:
                break
        if wanted.exhaustive and not searched.failed and searched.complete:
            searched = cpus.search(Bounds(exhaustive=True, limit=wanted.limit), self.judge)
        torn = self._torn(searched)
        sampled = 0
        if not searched.complete and not searched.failed:
            more = cpus.sample(wanted.seed, SAMPLES, max(1, wanted.preemptions), self.judge)
            sampled = more.schedules
            searched = replace(searched, outcomes=more.outcomes)
        failure, alone = None, False
        if searched.failed:
            found = searched.failed[0]
            alone = scene.pair.lockable and not found.schedule.preemptions
            failure = Failure(
                scene.name, str(found.schedule), self.violation(self.judge.finding(found.verdict))
            )
        return SceneResult(
            scene=scene.name,
            group=scene.pair.group,
            lockable=scene.pair.lockable,
            excluded=self.made.lock,
            schedules=searched.schedules,
            pruned=searched.pruned,
            complete=searched.complete or failure is not None,
            sampled=sampled,
            torn=torn,
            failure=failure,
            alone=alone,
        )

    def _torn(self, searched: Searched) -> str:
        found = [
            one
            for one in searched.outcomes
            if one.verdict and self.judge.finding(one.verdict).kind == TORN
        ]
        simple = min(
            found, key=lambda one: (one.schedule.preemptions, one.schedule.steps), default=None
        )
        return str(simple.schedule) if simple else ""

    def replay(self, chosen: Schedule) -> tuple[Violation | None, int, NDArray[np.void]]:
        """Run one schedule; return what is wrong in the end, where in RAM, and all accesses.

        The offset in RAM is that of the first wrong byte, -1 if there is none; dtype STEP.
        """
        verdict, steps = self.bench.cpus.replay(chosen, self.judge)
        if not verdict:
            return None, -1, steps
        finding = self.judge.finding(verdict)
        return self.violation(finding), finding.offset, steps

    def owner(self, row: int) -> str:
        """Return whose an operation is: ``CPU A``, ``CPU B``, or empty: the host's."""
        parts = self.made.parts
        if row >= parts.reader:
            return ""
        return f"CPU {schedule.CPUS[row >= parts.b]}"

    def violation(self, finding: Finding) -> Violation:
        """Describe something wrong."""
        row, placed, image = finding.which, self.made.placed, self.bench.image
        pc = finding.place.pc if finding.place else None
        owner = self.owner(row)
        action = Operation(self.batch.operation[row]).name.lower()
        at = placed.placed
        return Violation(
            kind=finding.kind,
            operation=row,
            action=f"{action} on {owner}" if owner else FINAL_READ,
            object_number=int(placed.trace.object[row]),
            class_size=int(placed.geometry.sizes[at.class_index[row]]),
            slot=int(at.slot[row]),
            offset=int(at.offset[row]),
            detail=finding.detail,
            expected=finding.expected.hex(" "),
            found=finding.found.hex(" "),
            pc="" if pc is None else image.where(pc),
            instruction="" if pc is None else image.disassemble(pc),
        )


def bench(one: Target, strategy: Strategy, cc: str = "zig") -> Bench:
    """Compile a strategy, and return it on two CPUs."""
    sizes = geometry(GEOMETRY, word_bits=one.word_bits, physical_bits=one.physical_bits)
    return Bench(Image(build(one, strategy, cc=cc), one), sizes)
