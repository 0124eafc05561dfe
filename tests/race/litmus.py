# SPDX-License-Identifier: GPL-2.0-only
"""Small programs for two CPUs, whose outcomes are known from the literature."""

from dataclasses import dataclass, field
from pathlib import Path

from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.memory import RAM_BASE, Memory, Sizes
from zsemu.guest.strategies import strategy
from zsemu.guest.structures import Kind
from zsemu.guest.targets import target
from zsemu.race.machine import TwoCpus
from zsemu.race.schedule import Schedule
from zsemu.race.searched import Bounds, Rules, Searched

_PROGRAM = Path(__file__).with_suffix(".c")
_DOES = "/* WHAT EACH CPU DOES */"

Result = tuple[int, ...]


@dataclass
class Litmus:
    """A program that both CPUs run, and what can be in its variables at the end."""

    arch: str
    text: str
    folder: Path
    watched: tuple[str, ...] = ("result",)
    """the variables, of which each word is looked at"""
    entries: tuple[tuple[int, int], tuple[int, int]] = ((0, 32), (32, 64))
    """bytes of the windows' page table that are each CPU's own"""
    outcomes: dict[Result, int] = field(default_factory=dict)
    """what was seen, and its verdict"""

    def __post_init__(self) -> None:
        file = self.folder / "litmus.c"
        file.write_text(_PROGRAM.read_text().replace(_DOES, self.text))
        one = target(self.arch)
        self.image = Image(build(one, strategy(str(file))), one)
        sizes = Sizes(cpus=3, operations=2, arena=4096, zspages=1, pages=2, shapes=1, states=64)
        self.cpus = TwoCpus(Memory(self.image, sizes, 12), budget=1 << 10)
        memory = self.cpus.memory
        self.cpus.reset()
        ops = memory.view(memory.ops, memory.types.op, 2)
        ops["kind"], ops["cpu"] = Kind.SETTLE, (0, 1)
        ops["zspage"] = memory.virtual(memory.zspages)
        for who, entries in enumerate(self.entries):
            self.cpus.begin(who, who, who + 1, entries)
        self.cpus.ready(Rules())

    def words(self) -> Result:
        """Return how the CPUs have ended, and the variables that are looked at."""
        memory, found = self.cpus.memory, [self.cpus.ended(0), self.cpus.ended(1)]
        for name in self.watched:
            symbol = self.image.symbols[name]
            word = memory.types.word
            count = symbol.size // word.itemsize
            found += memory.view(symbol.address - RAM_BASE, word, count).tolist()
        return tuple(found)

    def judge(self) -> int:
        """Give each result a verdict of its own."""
        return self.outcomes.setdefault(self.words(), len(self.outcomes) + 1)

    def search(self, bounds: Bounds) -> Searched:
        """Search, and forget what was seen before."""
        self.outcomes.clear()
        return self.cpus.search(bounds, self.judge)

    def replay(self, schedule: Schedule) -> Result:
        """Run one schedule; return what it ends with."""
        self.outcomes.clear()
        self.cpus.replay(schedule, self.judge)
        (found,) = self.outcomes
        return found
