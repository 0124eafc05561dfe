# SPDX-License-Identifier: GPL-2.0-only
"""The data caches of some CPUs, as their vendors describe them.

Only sizes, ways and lines are the vendor's. The model's LRU, what it does with write-backs, and
that nothing is prefetched are zsemu's (model.py).
"""

from dataclasses import dataclass
from typing import Final

_INTEL: Final = "Intel 64 and IA-32 Architectures Optimization Reference Manual (248966)"


@dataclass(frozen=True)
class Preset:
    """The caches of a CPU. All lines have 64 bytes."""

    caches: str
    """as hierarchy.find() takes them"""
    what: str
    source: str


PRESETS: Final = {
    "sandy-bridge": Preset(
        "l1=32K:8,l2=256K:8",
        "Intel Sandy Bridge and Ivy Bridge, the x86 of 2012, without their L3",
        f"{_INTEL}, cache parameters of Sandy Bridge",
    ),
    "skylake": Preset(
        "l1=32K:8,l2=256K:4",
        "Intel Skylake, client, without its L3",
        f"{_INTEL}, cache parameters of Skylake client",
    ),
    "zen": Preset(
        "l1=32K:8,l2=512K:8",
        "AMD Zen, without its L3",
        "AMD Software Optimization Guide for Family 17h Processors (55723), caches",
    ),
    "cortex-a53": Preset(
        "l1=32K:4,l2=512K:16",
        "Arm Cortex-A53 with 32 KiB and 512 KiB, of the sizes that it can have",
        "Arm Cortex-A53 MPCore Technical Reference Manual (DDI 0500), level 1 and 2 memory systems",
    ),
    "cortex-a72": Preset(
        "l1=32K:2,l2=1M:16",
        "Arm Cortex-A72 with 1 MiB of L2, of the sizes that it can have",
        "Arm Cortex-A72 MPCore Technical Reference Manual (100095), level 1 and 2 memory systems",
    ),
    "cortex-a76": Preset(
        "l1=64K:4,l2=512K:8",
        "Arm Cortex-A76 with 512 KiB of L2, of the sizes that it can have, without an L3",
        "Arm Cortex-A76 Core Technical Reference Manual (100798), level 1 and 2 memory systems",
    ),
}
"""by name"""
