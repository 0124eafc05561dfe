# SPDX-License-Identifier: GPL-2.0-only
"""Runs what is to be compared in turns, and holds what each has counted against the others."""

import gc
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from bench.clock import processor
from bench.figures import COUNTED, PYTHON, UNHOOKED
from bench.programs import Ready, prepare
from bench.replays import Counting, Scripted, Unhooked, emulation
from zsemu.annotate import profile
from zsemu.annotate.profile import Profile
from zsemu.counts import COLUMNS, INSTRUCTIONS, PHASES
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.targets import Target, target
from zsemu.replay.by_shape import EachShape
from zsemu.replay.observation import EveryOperation, StrictTranslations
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace, place
from zsemu.replay.replay import Observe, Outcome, Replay
from zsemu.runs.request import Request

FIRST: Final = 1 << 11
"""operations that all levels run: more would mean to wait for Python hooks"""

Evidence = tuple[str, int]
"""what a run has counted, and how many: all that count the same must agree"""


@dataclass(frozen=True)
class Run:
    """Seconds of CPU time, as bench.clock has it."""

    whole: float
    """of the replay, or of the process"""
    emulation: float
    """of the emulator alone, or of the process less its start and end"""


@dataclass
class Level:
    """One way to run the operations."""

    name: str
    run: Callable[[], tuple[Run, Evidence | None]] = field(repr=False)
    rounds: int = 1
    """times that a run runs them"""
    replays: bool = True
    """whether ``whole`` is a replay, with its contents judged"""
    runs: list[Run] = field(default_factory=list)

    @property
    def whole(self) -> float:
        """Return the median of the seconds, for one round."""
        return median(run.whole for run in self.runs) / self.rounds

    @property
    def emulation(self) -> float:
        """Return the median of those of the emulation alone."""
        return median(run.emulation for run in self.runs) / self.rounds


@dataclass(frozen=True)
class Part:
    """Levels that have run the same operations."""

    operations: int
    maps: int
    instructions: int
    """of the guest, the driver's included"""
    levels: dict[str, Level]


@dataclass(frozen=True)
class Cell:
    """What was measured on one architecture."""

    arch: str
    trace: Part
    """the whole trace and the read-back"""
    batch: Part
    """its first operations, in one batch"""
    missing: tuple[str, ...]
    """what there was no program for, and how to get it"""


def measure(request: Request, arch: str, *, repeat: int, outside: bool) -> Cell:
    """Measure the one strategy of a request on one architecture."""
    machine = target(arch)
    ((name, strategy),) = request.strategies.items()
    path = build(machine, strategy, page_shift=request.page_shift)
    geometry = request.geometry_for(machine)
    placed = place(request.trace, geometry)
    first = min(FIRST, int(next(iter(placed.parts())).bounds[1]))
    head = place(request.trace.head(first), geometry)
    assert isinstance(head, PlacedTrace)
    # No read-back: a process outside has none.
    batch = replace(head, live=np.empty(0, np.int64))

    subject = Subject(f"{arch} {name}", path, machine, placed)
    levels = [
        subject.level(UNHOOKED, subject.unhooked),
        subject.level(COUNTED, subject.replay),
    ]
    whole = _part(subject, len(request.trace), levels, repeat, f"{arch}: whole trace")
    subject = replace(subject, placed=batch)
    levels = [
        subject.level(UNHOOKED, subject.unhooked),
        subject.level(COUNTED, subject.replay),
        subject.level("all observed", partial(subject.replay, observe=EveryOperation)),
        subject.level(
            "all observed, strict TLB", partial(subject.replay, observe=StrictTranslations)
        ),
        subject.level("profile of instructions, 2 replays", subject.profile),
        subject.level(PYTHON, subject.scripted),
    ]
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as directory:
        if outside:
            there, missing = prepare(subject.image, batch, Path(directory))
            sums = Replay(subject.image, batch).run().sums
            string_rounds = int(sums[:, :, COLUMNS.index("string_iterations")].sum())
            levels += [_outside(one, string_rounds) for one in there]
        some = _part(subject, first, levels, repeat, f"{arch}: first operations")
    return Cell(arch, whole, some, tuple(missing))


@dataclass(frozen=True)
class Subject:
    """An image and what it is to replay."""

    name: str
    path: Path
    target: Target
    placed: PlacedTrace | PlacedStream

    @property
    def image(self) -> Image:
        """Return the image as it is read anew."""
        return Image(self.path, self.target)

    def level(
        self, name: str, replay: Callable[[Image], tuple[Outcome | Profile, Evidence]]
    ) -> Level:
        """Return the level that does as ``zsemu compare``: from the image to the outcome."""

        def run() -> tuple[Run, Evidence]:
            with emulation() as clock:
                start = processor()
                outcome, evidence = replay(self.image)
                seconds = processor() - start
            self._ensure_intact(outcome)
            return Run(seconds, clock.seconds), evidence

        return Level(name, run)

    def _ensure_intact(self, outcome: Outcome | Profile) -> None:
        if outcome.violation_count:
            raise ZsemuError(f"{self.name} is not intact: {outcome.violations[0]}")

    def unhooked(self, image: Image) -> tuple[Outcome, Evidence]:
        replay = Unhooked(image, self.placed)
        return replay.run(), ("operations", replay.operations)

    def replay(self, image: Image, *, observe: Observe = EachShape) -> tuple[Outcome, Evidence]:
        outcome = Replay(image, self.placed, observe=observe).run()
        return outcome, _instructions(outcome.sums[:, :, INSTRUCTIONS].sum())

    def profile(self, image: Image) -> tuple[Profile, Evidence]:
        found = profile.of_trace(image, self.placed)
        return found, _instructions(found.counts[:, :, INSTRUCTIONS].sum())

    def scripted(self, image: Image) -> tuple[Outcome, Evidence]:
        replay = Scripted(image, self.placed)
        outcome, counted = replay.run(), replay.counted()
        return outcome, _instructions(sum(counted[phase, "instructions"] for phase in PHASES))

    def instructions(self) -> int:
        """Count the guest's instructions, the driver's included."""
        counting = Counting(self.image, self.placed)
        self._ensure_intact(counting.run())
        return counting.instructions


def _instructions(number: np.int64 | int) -> Evidence:
    return "instructions of the phases", int(number)


def _part(subject: Subject, operations: int, levels: list[Level], repeat: int, title: str) -> Part:
    instructions = subject.instructions()
    maps = subject.placed.scope_maps["total"]
    levels_ = turns(levels, repeat, title, {"instructions of the guest": instructions})
    return Part(operations, maps, instructions, levels_)


def turns(levels: list[Level], repeat: int, title: str, known: dict[str, int]) -> dict[str, Level]:
    """Run all of them in turns; ZsemuError if one counts other than ``known``, or another."""
    for number in range(repeat):
        sys.stderr.write(f"{title}: {number + 1} of {repeat}\n")
        for level in levels:
            gc.collect()
            run, evidence = level.run()
            level.runs.append(run)
            if evidence and known.setdefault(*evidence) != evidence[1]:
                raise ZsemuError(
                    f"{level.name}: {evidence[1]} {evidence[0]}, and not {known[evidence[0]]}:"
                    " these runs have not done the same, or one of them counts wrong"
                )
    return {level.name: level for level in levels}


def _outside(here: Ready, string_rounds: int) -> Level:
    program = here.program

    def run() -> tuple[Run, Evidence | None]:
        whole, net, counted = here.run()
        if counted is None:
            return Run(whole, net), None
        # The driver begins and ends once: fewer instructions than there are rounds, if several.
        number, rest = divmod(counted, program.rounds)
        number += rest - string_rounds * program.native
        return Run(whole, net), ("instructions of the guest", number)

    return Level(program.name, run, program.rounds, replays=False)
