# SPDX-License-Identifier: GPL-2.0-only
"""One emulated CPU, whose MMU is on, over the memory of a run."""

from types import ModuleType
from typing import Final, Protocol

import numpy as np
import unicorn
from numpy.typing import NDArray
from unicorn import arm64_const, arm_const
from unicorn.unicorn_const import (
    UC_ARCH_ARM64,
    UC_CTL_IO_WRITE,
    UC_CTL_TLB_FLUSH,
    UC_PROT_ALL,
)

from zsemu.guest.hooks import Hooks
from zsemu.guest.image import Image
from zsemu.guest.memory import RAM_BASE
from zsemu.guest.targets import Target

_CODE_BUFFER: Final = 32 << 20
"""bytes for translated code, of which Unicorn reserves 1 GiB unless told otherwise"""


class Ram(Protocol):
    """What a machine must know of guest memory: that of strategies, or of a kernel's object."""

    ram: NDArray[np.uint8]
    size: int
    image: Image
    target: Target
    window_leaf: int
    window_entries: int

    @property
    def mmu_shift(self) -> int:
        """Of the pages of the MMU."""


class Fault(Exception):  # noqa: N818 - the field's word
    """The guest could not go on; the message is Unicorn's."""


class Machine:
    """A CPU that has booted: paging is on and ``zs_driver`` can be called.

    Several machines over the same memory see each other's stores, but each has a TLB of its own. A
    machine therefore flushes its TLB when another one has changed the windows' page table.
    """

    def __init__(
        self, memory: Ram, strict: Hooks | None = None, leaf: NDArray[np.uint8] | None = None
    ) -> None:
        """Boot; ``strict`` hooks, if there are any, serve the windows' page table as a device.

        ``leaf`` is memory of this machine alone, right behind the RAM.
        """
        target = memory.target
        self.memory = memory
        self.uc = unicorn.Uc(target.unicorn_arch, target.unicorn_mode)
        self.uc.ctl_set_cpu_model(target.unicorn_cpu)
        self.uc.ctl_set_tcg_buffer_size(_CODE_BUFFER)
        if target.set_page_size:
            self.uc.ctl_set_page_size(1 << memory.mmu_shift)
        if strict is None:
            self._map(0, memory.size)
        else:
            table, page = memory.window_leaf, 1 << memory.mmu_shift
            self._map(0, table)
            strict.attach_leaf(self.uc, RAM_BASE + table, page)
            self._map(table + page, memory.size)
        if leaf is not None:
            end = RAM_BASE + memory.size
            self.uc.mem_map_ptr(end, leaf.size, UC_PROT_ALL, leaf.ctypes.data)
        for register in target.coprocessor:
            self.uc.reg_write(_coprocessor(target.unicorn_arch), register)
        self.run_from = memory.image.address("zs_start_driver")
        """the address at which the guest is entered for a batch"""
        self.run_to = memory.image.address("zs_stop")
        """the address at which every run ends"""
        self.table = memory.ram[memory.window_leaf :][: memory.window_entries]
        """the windows' page table, in place, shape (bytes in use,)"""
        self._run(memory.image.address("zs_start_boot"))
        self.entries = self.table.copy()
        """the same as this CPU saw it last"""

    def drive(self) -> bool:
        """Run ``zs_driver`` over the batch in memory; return whether it returned.

        It does not if a hook stops the CPU, or an instruction such as x86's ``hlt``. Fault if the
        guest cannot go on.
        """
        if self.table.tobytes() != self.entries.tobytes():
            self.flush_tlb()
        self._run(self.run_from)
        self.entries[:] = self.table
        return bool(self.uc.reg_read(self.memory.target.pc) == self.run_to)

    def raise_of_hook(self) -> None:
        """Raise what a hook in Python has raised, and Unicorn's binding kept to raise it later.

        Uc.emu_start() does so by itself.
        """
        raised, self.uc._hook_exception = self.uc._hook_exception, None
        if raised is not None:
            raise raised

    @property
    def pc(self) -> int:
        """Where the CPU is, or was when an exception ended its run."""
        target = self.memory.target
        mask = (1 << target.word_bits) - 1
        return int(self.uc.reg_read(target.pc)) - target.exception_pc & mask

    def flush_tlb(self) -> None:
        """Have the next access of each page walk the page tables."""
        self.uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)

    def _map(self, start: int, end: int) -> None:
        address = self.memory.ram.ctypes.data + start
        self.uc.mem_map_ptr(RAM_BASE + start, end - start, UC_PROT_ALL, address)

    def _run(self, start: int) -> None:
        try:
            self.uc.emu_start(start, self.run_to)
        except unicorn.UcError as error:
            raise Fault(str(error)) from error


def _coprocessor(arch: int) -> int:
    """Return Unicorn's number of the pseudo-register that writes system registers."""
    module: ModuleType = arm64_const if arch == UC_ARCH_ARM64 else arm_const
    prefix = "UC_ARM64" if module is arm64_const else "UC_ARM"
    return int(getattr(module, f"{prefix}_REG_CP_REG"))
