# SPDX-License-Identifier: GPL-2.0-only
"""Run the scenes of a kernel's own object in every schedule within bounds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest.image import Image
from zsemu.guest.machine import Machine
from zsemu.kernel import facts as kernel_facts
from zsemu.kernel import records
from zsemu.kernel.facts import KernelFacts, complaint
from zsemu.kernel.guest import Kind
from zsemu.kernel.memory import KernelMemory, KernelSizes
from zsemu.race import kernel_scenes
from zsemu.race.exploration import SceneBench, explore
from zsemu.race.findings import SceneResult, Wanted
from zsemu.race.kernel_scenes import SCENES, KernelScene, KernelScript
from zsemu.race.kernel_verdict import Empty, KernelJudge
from zsemu.race.locks import NEVER
from zsemu.race.machine import TwoCpus
from zsemu.race.schedule import READER, Schedule
from zsemu.race.searched import Rules
from zsemu.replay.oracle import Versions
from zsemu.replay.violations import Violation

SIZES: Final = KernelSizes(
    cpus=3, operations=1024, arena=1 << 20, pages=24, objects=256, zspages=8, shapes=16
)
"""that are enough for every scene"""
_BUDGET: Final = 1 << 18
"""instructions that a CPU may execute in one block; setting a scene is one"""


class KernelBench(SceneBench[KernelScene]):
    """A kernel's object on two CPUs, in which one scene after the other is set."""

    def __init__(self, facts: KernelFacts) -> None:
        self.facts = facts
        self.image: Image = facts.linked.image
        self.zspages = kernel_scenes.choose(facts.geometry)
        memory = KernelMemory(facts.linked, facts.layouts, facts.address, SIZES)
        kernel_facts.run(memory, Machine(memory), Kind.INIT, Kind.CREATE)
        memory.mark_buffers()
        size = facts.geometry.classes[self.zspages.class_index].size
        field = facts.layouts.offset("size_class", "size")
        for one in kernel_facts.addresses_of_classes(memory):
            if memory.word(one + field, 4) == size:
                self._empty = _empty(memory, one)
            else:
                _pass_over(memory, one)
        address = self.image.address
        step = range(address("zs_driver_start"), address("zk_waits_start"))
        self.cpus = TwoCpus(memory, budget=_BUDGET, step=step)

    def scenes(self) -> tuple[KernelScene, ...]:
        """Return all scenes of what this kernel can do."""
        lacks = set()
        if not self.image.has("zs_compact"):
            lacks.add("compaction")
        if "zs_page_migrate" not in self.facts.linked.symbols:
            lacks.add("migration")
        return tuple(one for one in SCENES if lacks.isdisjoint((one.a.group, one.b.group)))

    def set(self, scene: KernelScene) -> "KernelSet":
        """Set a scene; ZsemuError if the kernel does not even get there."""
        cpus, memory = self.cpus, self.cpus.memory
        made = kernel_scenes.script(self.zspages, scene)
        cpus.reset()
        ops, buffers, words = records.write(memory, Versions(SIZES.objects), made.operations)
        ops["kind"] = made.kinds
        cpus.set_up(0, made.parts.a)
        if wrong := complaint(memory):
            raise ZsemuError(f"before the scene it {wrong}: run zsemu check first")
        memory.config["parallel"] = 1
        # In the order of the log, the pages of one zspage come after those of the other.
        pages = self.facts.geometry.classes[self.zspages.class_index].pages
        log = memory.view(memory.log, np.dtype("<u4"), 2 * pages)
        for row, (zspage, page) in enumerate(made.pages):
            if zspage >= 0:
                ops["handle"][row] = log[zspage * pages + page]
        cpus.begin(0, made.parts.a, made.parts.b, (0, 0))
        cpus.begin(1, made.parts.b, made.parts.reader, (0, 0))
        cpus.batch(READER, made.parts.reader, made.parts.end)
        cpus.ready(Rules())
        judge = KernelJudge(self.facts, cpus, made, ops, buffers, words, self._empty)
        return KernelSet(self, scene, made, judge)


def _pass_over(memory: KernelMemory, one: int) -> None:
    """Have compaction pass over a size class, as it does over merged ones.

    It is empty, so that compaction would only take and release its locks, which multiplies
    schedules.
    """
    if "index" not in memory.layouts.structs["size_class"].members:
        return
    index = memory.offset(one) + memory.layouts.offset("size_class", "index")
    memory.view(index, np.dtype("<u4"), 1)[0] = 0xFFFF


def _empty(memory: KernelMemory, one: int) -> Empty:
    """Return what a pool is like that holds no object.

    A lock, which stands before the lists, may count its holders. The first of the statistics, how
    many zspages are empty, says nothing: async_free_zspage() of 6.1 does not lower it.
    """
    struct, word = memory.layouts.structs["size_class"], memory.target.word
    first = struct.members.get("fullness_list", struct.size)
    statistics = struct.members.get("stats", struct.size)
    inside = np.arange(first, struct.size)
    places = memory.offset(one) + inside[(inside < statistics) | (inside >= statistics + word)]
    return Empty(int(memory.state["objects_out"][0]), places, memory.ram[places].copy())


@dataclass(frozen=True)
class KernelSet:
    """A scene that is set: both CPUs stand before their operations."""

    bench: KernelBench
    scene: KernelScene
    made: KernelScript
    judge: KernelJudge

    def explore(self, wanted: Wanted) -> SceneResult:
        """Run all schedules wanted, as SetScene does."""
        scene, explored = self.scene, explore(self.bench.cpus, self.judge, wanted)
        told = SceneResult(scene=scene.name, group=scene.group, lockable=True, excluded=NEVER)
        return explored.result(told, self.judge.violation)

    def replay(self, chosen: Schedule) -> tuple[Violation | None, int, NDArray[np.void]]:
        """Run one schedule, as SetScene does."""
        verdict, steps = self.bench.cpus.replay(chosen, self.judge)
        if not verdict:
            return None, -1, steps
        return self.judge.violation(verdict), self.judge.byte(verdict), steps
