# SPDX-License-Identifier: GPL-2.0-only
"""Run the scenes of a strategy in every schedule within bounds."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest import debug_lines
from zsemu.guest.image import Image
from zsemu.guest.memory import Memory
from zsemu.race.exploration import explore
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

    def replay(
        self, scene: str, chosen: Schedule
    ) -> tuple[Violation | None, int, NDArray[np.void]]:
        """Run one schedule of a scene, as the scene that is set does."""
        return self.set(self.scene(scene)).replay(chosen)

    def run(self, names: Collection[str], wanted: Wanted) -> list[SceneResult]:
        """Run the scenes of some names in every schedule that is wanted."""
        return [self.explore(one, wanted) for one in self.scenes() if one.name in names]

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
        scene, explored = self.scene, explore(self.bench.cpus, self.judge, wanted)
        failure, alone = None, False
        if found := explored.failed:
            alone = scene.pair.lockable and not found.schedule.preemptions
            violation = self.violation(self.judge.finding(found.verdict))
            failure = Failure(scene.name, str(found.schedule), violation)
        return explored.result(
            SceneResult(
                scene=scene.name,
                group=scene.pair.group,
                lockable=scene.pair.lockable,
                excluded=self.made.lock,
                torn=self._torn(explored.searched),
                failure=failure,
                alone=alone,
            )
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
