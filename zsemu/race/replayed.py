# SPDX-License-Identifier: GPL-2.0-only
"""Run one schedule of one scene, and keep what is needed to tell of it."""

import shlex
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.compiler import inputs
from zsemu.guest.debug_lines import SourceLines
from zsemu.guest.image import Image
from zsemu.guest.memory import Memory
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import target
from zsemu.kernel.memory import KernelMemory
from zsemu.kernel.strategy import LSE, KernelStrategy
from zsemu.race import schedule
from zsemu.race.benches import bench
from zsemu.race.schedule import Schedule
from zsemu.replay.violations import Violation


@dataclass(frozen=True)
class Replayed:
    """A schedule that was run."""

    scene: str
    schedule: Schedule
    violation: Violation | None
    byte: int
    """the first wrong byte, an offset in RAM; -1 if there is none"""
    steps: NDArray[np.void]
    """its accesses, dtype STEP"""
    image: Image
    memory: Memory | KernelMemory
    lines: SourceLines


def replay(arch: str, strategy: Strategy, scene: str, text: str, *, cc: str = "zig") -> Replayed:
    """Run one schedule of one scene; ZsemuError if there is no such scene or schedule."""
    one, chosen = target(arch), schedule.parse(text)
    made = bench(one, strategy, cc)
    violation, byte, steps = made.replay(scene, chosen)
    sources = () if isinstance(strategy, KernelStrategy) else inputs(one, strategy)
    lines = SourceLines(made.image, sources)
    return Replayed(scene, chosen, violation, byte, steps, made.image, made.cpus.memory, lines)


def command(arch: str, strategy: Strategy, scene: str, text: str, cc: str = "zig") -> str:
    """Return the command that runs a schedule again, as it can be pasted into a shell."""
    name = str(strategy.path) if strategy.own else strategy.name
    if isinstance(strategy, KernelStrategy) and strategy.lse:
        name += LSE
    words = ["zsemu", "race", name, "--arch", arch, "--scene", scene, "--schedule", text]
    return shlex.join([*words, "--cc", cc] if cc != "zig" else words)
