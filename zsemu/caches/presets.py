# SPDX-License-Identifier: GPL-2.0-only
"""The data caches of some CPUs, each by a source that states size, ways and line of both levels.

Only these are the source's. The model's LRU, what it does with write-backs, and that nothing is
prefetched are zsemu's (model.py).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Preset:
    """The caches of a CPU. All lines have 64 bytes."""

    caches: str
    """as hierarchy.find() takes them"""
    what: str
    source: str
    """a device tree gives sets in place of ways: ways = size / (sets * line)"""


PRESETS: Final = {
    "skylake": Preset(
        "l1=32K:8,l2=256K:4",
        "Intel Skylake, client, without its L3",
        "Intel 64 and IA-32 Architectures Optimization Reference Manual (248966), the table of the"
        " Skylake Client's cache parameters, read in a translation",
    ),
    "zen": Preset(
        "l1=32K:8,l2=512K:8",
        "AMD EPYC of the first Zen, without its L3",
        "QEMU 7.2, `epyc_cache_info` in target/i386/cpu.c",
    ),
    "cortex-a53": Preset(
        "l1=32K:4,l2=512K:16",
        "Arm Cortex-A53 of the Raspberry Pi 3",
        "linux-6.12/arch/arm/boot/dts/broadcom/bcm2837.dtsi",
    ),
    "cortex-a72": Preset(
        "l1=32K:2,l2=1M:16",
        "Arm Cortex-A72 of the Raspberry Pi 4",
        "linux-6.12/arch/arm/boot/dts/broadcom/bcm2711.dtsi",
    ),
    "cortex-a76": Preset(
        "l1=64K:4,l2=512K:8",
        "Arm Cortex-A76 of the Raspberry Pi 5, without its L3",
        "linux-6.12/arch/arm64/boot/dts/broadcom/bcm2712.dtsi",
    ),
    "fu740": Preset(
        "l1=32K:8,l2=2M:16",
        "SiFive FU740 of the HiFive Unmatched, RISC-V",
        "linux-6.12/arch/riscv/boot/dts/sifive/fu740-c000.dtsi",
    ),
}
"""by name"""
