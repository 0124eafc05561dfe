# SPDX-License-Identifier: GPL-2.0-only
"""Put what a user names on two CPUs: a strategy, or a kernel's own object."""

from typing import Any, Final

from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import Target
from zsemu.kernel.strategy import KernelStrategy
from zsemu.race.exploration import SceneBench
from zsemu.race.explore import Bench
from zsemu.race.kernel_bench import KernelBench
from zsemu.zsmalloc.geometry import geometry

GEOMETRY: Final = "chain-8"
"""the size classes of a strategy's scenes: those of kernels from 6.3 on"""


def strategy_bench(one: Target, strategy: Strategy, cc: str = "zig") -> Bench:
    """Compile a strategy, and return it on two CPUs."""
    sizes = geometry(GEOMETRY, word_bits=one.word_bits, physical_bits=one.physical_bits)
    return Bench(Image(build(one, strategy, cc=cc), one), sizes)


def bench(one: Target, strategy: Strategy, cc: str = "zig") -> SceneBench[Any]:
    """Return a strategy, or a kernel's own object, on two CPUs.

    ZsemuError if it does not compile, or there is no object of the architecture.
    """
    if isinstance(strategy, KernelStrategy):
        return KernelBench(strategy.facts(one.name))
    return strategy_bench(one, strategy, cc)
