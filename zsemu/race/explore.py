# SPDX-License-Identifier: GPL-2.0-only
"""Run the scenes of a strategy in every schedule within bounds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.guest import debug_lines
from zsemu.guest.image import Image
from zsemu.guest.memory import Memory
from zsemu.race.exploration import SceneBench, explore
from zsemu.race.findings import SceneResult, Wanted
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
from zsemu.race.searched import Searched
from zsemu.race.shapes import shapes
from zsemu.race.verdict import TORN, Judge
from zsemu.replay.batch import Batch
from zsemu.replay.judgement import Finding
from zsemu.replay.violations import FINAL_READ, Violation
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry


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


class Bench(SceneBench[Scene]):
    """A strategy's image on two CPUs, in which one scene after the other is set."""

    def __init__(self, image: Image, geometry: Geometry) -> None:
        self.image, self.geometry = image, geometry
        self.settles = image.has("zs_settle")
        memory = Memory(image, SIZES, geometry.page_size.bit_length() - 1)
        self.cpus = TwoCpus(memory)

    def scenes(self) -> list[Scene]:
        """Return all scenes of the strategy."""
        return scenes(self.geometry, settles=self.settles)

    def set(self, scene: Scene) -> "Set":
        """Set a scene."""
        made = script(self.geometry, scene, settles=self.settles)
        batch = load(self.cpus, scene, made)
        swapped = None
        if scene.pair.torn:
            other = script(self.geometry, scene, settles=self.settles, swapped=True)
            swapped = swapped_contents(made, batch, other)
        return Set(self, scene, made, batch, Judge(self.cpus, made, batch, swapped))


@dataclass(frozen=True)
class Set:
    """A scene that is set: both CPUs stand before their operations."""

    bench: Bench
    scene: Scene
    made: Script
    batch: Batch
    judge: Judge

    def explore(self, wanted: Wanted) -> SceneResult:
        """Run all schedules wanted, as SetScene does."""
        scene, explored = self.scene, explore(self.bench.cpus, self.judge, wanted)
        told = SceneResult(
            scene=scene.name,
            group=scene.pair.group,
            lockable=scene.pair.lockable,
            excluded=self.made.lock,
            torn=self._torn(explored.searched),
        )
        return explored.result(told, lambda verdict: self.violation(self.judge.finding(verdict)))

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
        """Run one schedule, as SetScene does."""
        verdict, steps = self.bench.cpus.replay(chosen, self.judge)
        if not verdict:
            return None, -1, steps
        finding = self.judge.finding(verdict)
        return self.violation(finding), finding.offset, steps

    def violation(self, finding: Finding) -> Violation:
        """Describe something wrong."""
        row, placed, image = finding.which, self.made.placed, self.bench.image
        pc = finding.place.pc if finding.place else None
        owner = self.made.parts.owner(row)
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
            pc="" if pc is None else debug_lines.where(image, pc),
            instruction="" if pc is None else image.disassemble(pc),
        )
