# SPDX-License-Identifier: GPL-2.0-only
"""Two emulated CPUs over one memory, and the native search that runs them in turn.

Each CPU is a Unicorn instance of its own over the same RAM, so it has its own registers and its own
TLB. The guest stores into one page table of the windows; each CPU's MMU reads a copy of its own, in
which an entry that was valid stays as it was until its invalidate: a local one on that CPU, or a
broadcast one on either.
"""

import ctypes
import mmap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
import unicorn
from numpy.typing import NDArray
from unicorn.unicorn_py3.unicorn import uclib

from zsemu.errors import ZsemuError
from zsemu.guest.hook_structures import ENTRIES, FINDING
from zsemu.guest.hooks import describe_places
from zsemu.guest.image import Image
from zsemu.guest.machine import Machine
from zsemu.guest.memory import RAM_BASE, Memory
from zsemu.guest.native_library import load_library
from zsemu.guest.structures import MAX_PAGES, StopAt
from zsemu.kernel.guest import STACK_SHIFT
from zsemu.kernel.memory import KernelMemory
from zsemu.race import schedule
from zsemu.race.native_structures import (
    BLOCK,
    BOUNDED,
    EXHAUSTIVE,
    LEAF_USED,
    MAX_BLOCKS,
    OUTCOME,
    OUTCOMES,
    STEP,
    NativeCpu,
    NativeEntries,
    NativeRace,
)
from zsemu.race.schedule import READER, Schedule
from zsemu.race.searched import LIMIT, Bounds, Outcome, Rules, Searched

M = TypeVar("M", Memory, KernelMemory)

SOURCE: Final = Path(__file__).parent / "native" / "race.c"
_LEAF_PAGE: Final = 1 << 16
"""the largest page of any target"""
BUDGET: Final = 1 << 16
"""instructions that a CPU may execute in one block"""
_STATES: Final = 1 << 20
"""states that an exhaustive search can tell apart"""
_STEPS: Final = 1 << 16

_UNICORN: Final = {
    "emu_start": "uc_emu_start",
    "emu_stop": "uc_emu_stop",
    "reg_read": "uc_reg_read",
    "ctl": "uc_ctl",
    "context_alloc": "uc_context_alloc",
    "context_free": "uc_context_free",
    "context_save": "uc_context_save",
    "context_restore": "uc_context_restore",
}
"""by field of struct race: the function of Unicorn's that it points to"""


@cache
def library() -> ctypes.CDLL:
    """Load the native side, which is compiled first if the cache does not have it."""
    found = load_library("race", SOURCE)
    found.race_replay.restype = found.race_count_before.restype = ctypes.c_uint64
    return found


class TwoCpus(Generic[M]):
    """Two CPUs that have booted, over one memory: a strategy's, or that of a kernel's object.

    Arrays given to it are kept alive as long as it is.
    """

    def __init__(self, memory: M, *, budget: int = BUDGET, step: range = range(0)) -> None:
        """Boot; of ``memory.sizes.cpus``, which are at least three, READER is the host's.

        ``budget`` is the number of instructions that a CPU may execute in one block. ``step`` are
        addresses of code that is not divided: from its entry until it is left.
        """
        self._library = library()
        self.memory: M = memory
        image = memory.image
        self._arrays: dict[str, NDArray[Any]] = {}
        self._hooks: list[ctypes.c_size_t] = []
        self._native = NativeRace()
        memory.boot["window_leaf"] = RAM_BASE + memory.size
        self._leaves = [mmap.mmap(-1, _LEAF_PAGE) for _ in range(2)]
        self.served = [np.frombuffer(leaf, np.uint8) for leaf in self._leaves]
        """what the MMU of each CPU reads, instead of the windows' page table"""
        self.machines = [Machine(memory, leaf=leaf) for leaf in self.served]
        self._describe_code(image, step)
        self._describe_memory()
        self._native.budget = budget
        self._describe_cpus()
        self._attach()
        self.pristine = memory.ram.copy()
        """the memory after boot"""

    def __del__(self) -> None:
        if hasattr(self, "pristine"):
            self._library.race_free(ctypes.byref(self._native))

    def _point(
        self, field: str, array: NDArray[Any], structure: ctypes.Structure | None = None
    ) -> None:
        """Let a pointer of the native structure, or of one inside it, point at an array."""
        self._arrays[field] = array
        setattr(structure or self._native, field, array.ctypes.data)

    def _describe_code(self, image: Image, step: range) -> None:
        native, target = self._native, image.target
        native.step_text, native.step_size = step.start, len(step)
        start, end = image.text
        native.text, native.text_size = start, end - start
        native.stop_address = image.address("zs_stop")
        register, displacement = image.operands
        self._point("kind", image.kinds)
        self._point("operand", register)
        self._point("displacement", displacement)
        native.operand_shift = target.instructions.tlb_operand_shift
        native.word_bits, native.pc_register = target.word_bits, target.pc

    def _describe_memory(self) -> None:
        memory = self.memory
        native, target = self._native, memory.target
        places = native.memory
        places.start, places.size, places.page_shift = RAM_BASE, memory.size, memory.page_shift
        places.leaf = memory.window_leaf
        self._point("ram", memory.ram, places)
        self._point("region", memory.regions(), places)
        self.accessed = np.zeros(memory.size, np.uint8)
        self._point("accessed", self.accessed)
        native.pool = memory.pool
        native.pool_end = memory.pool + memory.sizes.pages * 2 * memory.page_size
        native.leaf_size = memory.window_entries
        assert memory.window_entries <= LEAF_USED
        native.pte_size, native.pte_present = target.pte_size, target.pte_present
        native.window, native.mmu_shift = target.window, memory.mmu_shift
        self._outcomes = np.zeros(OUTCOMES, OUTCOME)
        self._point("outcome", self._outcomes)
        self._simplest = np.zeros((OUTCOMES, MAX_BLOCKS), BLOCK)
        self._point("simplest", self._simplest)
        self._steps = np.zeros(_STEPS, STEP)

    def _describe_cpus(self) -> None:
        native = self._native
        for number, (machine, served) in enumerate(zip(self.machines, self.served, strict=True)):
            cpu = native.cpu[number]
            cpu.race, cpu.uc = ctypes.addressof(native), machine.uc._uch.value
            cpu.number, cpu.served = number, served.ctypes.data
        for field, function in _UNICORN.items():
            address = ctypes.cast(getattr(uclib, function), ctypes.c_void_p).value
            setattr(native, field, address)

    def _attach(self) -> None:
        constants = unicorn.unicorn_const
        accesses = constants.UC_HOOK_MEM_READ | constants.UC_HOOK_MEM_WRITE
        for number in range(2):
            cpu = ctypes.byref(self._native, NativeRace.cpu.offset + number * _cpu_size())
            for kind, callback in (
                (constants.UC_HOOK_CODE, self._library.on_code),
                (accesses, self._library.on_memory),
            ):
                handle = ctypes.c_size_t()
                status = uclib.uc_hook_add(
                    self.machines[number].uc._uch,
                    ctypes.byref(handle),
                    ctypes.c_int(kind),
                    ctypes.cast(callback, ctypes.c_void_p),
                    cpu,
                    ctypes.c_uint64(1),
                    ctypes.c_uint64(0),
                )
                if status:
                    raise unicorn.UcError(status)
                self._hooks.append(handle)

    # --- A scene ------------------------------------------------------------------------------

    def reset(self) -> None:
        """Make everything as it was after boot."""
        native, memory = self._native, self.memory
        memory.ram[:] = self.pristine
        native.nr_log = native.state = native.result = 0
        native.nr_outcomes = native.entries_shared = 0
        self._outcomes["key"] = 0
        self._outcomes["number"] = 0
        self.accessed[:] = 0
        for served, machine in zip(self.served, self.machines, strict=True):
            served[:] = 0
            machine.flush_tlb()

    def permit(
        self, expected: NDArray[np.void], owner: NDArray[np.int32], index: NDArray[np.int32]
    ) -> None:
        """Judge from now on where operations load and store; for a strategy's memory only.

        ``expected`` says what each may access, dtype EXPECTED; ``owner`` and ``index``, by page of
        RAM, which CPU or zspage it belongs to and which of its pages it is.
        """
        memory, native = self.memory, self._native
        assert isinstance(memory, Memory)
        _describe_entries(native.entries, memory.image)
        describe_places(native.memory, memory)
        self._point("owner", owner, native.memory)
        self._point("index", index, native.memory)
        self._point("expected", expected)
        native.operations = len(expected)
        if not native.stored:
            self._point("stored", np.zeros(MAX_PAGES << memory.page_shift, np.uint8))

    def forget_log(self) -> None:
        """Let what was done so far stay."""
        self._native.nr_log = self._native.state = self._native.result = 0

    def batch(self, who: int, first: int, last: int) -> int:
        """Give a CPU, or READER, the operations of its own; return the offset of its batch."""
        memory = self.memory
        kind = memory.batch.dtype
        offset = memory.batches + who * ((kind.itemsize + 63) // 64 * 64)
        own = memory.view(offset, kind, 1)
        own[:] = memory.batch
        own["first"], own["last"], own["known"] = first, last, 0
        own["stop_at"] = StopAt.NEVER
        if who == READER:
            self.reader_batch = offset
        # A quarter of the stack for each.
        top = memory.virtual(memory.stack) + (4 << STACK_SHIFT)
        memory.boot["stack_virt"] = top - (who << STACK_SHIFT)
        memory.next_batch[0] = memory.virtual(offset)
        return offset

    def run(self, who: int) -> int:
        """Run a CPU over the batch given last, to its end; return how it ended."""
        start = self.memory.image.address("zs_start_driver")
        self._library.race_run(
            ctypes.byref(self._native), ctypes.c_uint64(who), ctypes.c_uint64(start)
        )
        return int(self._native.cpu[who].ended)

    def set_up(self, first: int, last: int) -> None:
        """Run operations on the first CPU before the scene begins; ZsemuError if they fail."""
        self._native.quiet = 1
        self.batch(0, first, last)
        ended = self.run(0)
        self._native.quiet = 0
        if ended != 1:
            raise ZsemuError("the operations before the scene do not end: run zsemu check first")
        self.forget_log()

    def begin(self, who: int, first: int, last: int, entries: tuple[int, int]) -> None:
        """Let a CPU stand before its operations; ``entries`` are the window's bytes it owns."""
        native = self._native
        offset = self.batch(who, first, last)
        fields = self.memory.batch.dtype.fields
        assert fields
        start = self.memory.image.address("zs_start_driver")
        native.current[who] = offset + fields["current"][1]
        if not self._library.race_begin(
            ctypes.byref(native),
            ctypes.c_uint64(who),
            ctypes.c_uint64(start),
            ctypes.c_uint64(offset + fields["first"][1]),
        ):
            raise ZsemuError("a CPU does not start: a bug in zsemu")
        native.entry_first[who], native.entry_end[who] = entries

    def count_before(self, who: int, offset: int) -> int:
        """Return how many instructions a CPU executes before it accesses a byte of RAM."""
        return int(
            self._library.race_count_before(
                ctypes.byref(self._native), ctypes.c_uint64(who), ctypes.c_uint64(offset)
            )
        )

    def ready(self, rules: Rules) -> None:
        """Take what the CPUs did up to here as the beginning."""
        native = self._native
        self.forget_log()
        self.accessed[:] = 0
        native.nested, native.one_tlb = int(rules.nested), int(rules.one_tlb)
        native.after = rules.after

    # --- Schedules ----------------------------------------------------------------------------

    def search(self, bounds: Bounds, judge: Callable[[], int]) -> Searched:
        """Run all schedules within bounds; ``judge`` is called for each distinct final state.

        Its result is the verdict. What it does to memory through run() is undone. After a failure,
        only schedules are run that may fail in fewer steps.
        """
        native = self._native
        self._judge(judge)
        native.mode = EXHAUSTIVE if bounds.exhaustive else BOUNDED
        native.limit = bounds.limit
        if bounds.exhaustive and not native.seen:
            self._point("seen", np.zeros(_STATES, np.uint64))
            native.seen_mask = _STATES - 1
        preemptions = len(native.snapshot) if bounds.exhaustive else bounds.preemptions
        while True:
            self._outcomes["number"] = 0
            again = self._library.race_search(ctypes.byref(native), ctypes.c_uint64(preemptions))
            self._reraise()
            if not again or native.gave_up:
                break
        return self._searched()

    def sample(self, seed: int, number: int, switches: int, judge: Callable[[], int]) -> Searched:
        """Run random schedules with so many switches, after a search that has learnt accesses."""
        native = self._native
        self._judge(judge)
        native.random, native.schedules, native.pruned, native.gave_up = seed, 0, 0, 0
        native.limit = LIMIT
        self._outcomes["number"] = 0
        accesses = max(1, sum(native.points))
        self._library.race_sample(
            ctypes.byref(native),
            *(ctypes.c_uint64(value) for value in (number, switches, accesses)),
        )
        self._reraise()
        return self._searched()

    def replay(self, chosen: Schedule, judge: Callable[[], int]) -> tuple[int, NDArray[np.void]]:
        """Run one schedule; return its verdict and all its accesses, dtype STEP.

        Those of the judge, which come last, are CPU 2's.
        """
        native = self._native
        blocks = np.array(chosen.blocks, np.uint64)
        verdict = 0
        # The first time, it is learnt which accesses are shared.
        for trace in (False, True):
            self._outcomes["key"] = 0
            self._outcomes["number"] = 0
            native.nr_outcomes = native.nr_steps = 0
            native.max_steps = len(self._steps)
            native.step = self._steps.ctypes.data if trace else None
            self._judge(judge)
            verdict = self._library.race_replay(
                ctypes.byref(native),
                ctypes.c_void_p(blocks.ctypes.data),
                ctypes.c_uint64(len(blocks)),
            )
            native.step = None
            self._reraise()
        return int(verdict), self._steps[: self._traced].copy()

    def entries(self, who: int) -> range:
        """Return the bytes of the windows' page table that are a CPU's own."""
        return range(self._native.entry_first[who], self._native.entry_end[who])

    def ended(self, who: int) -> int:
        """Return how a CPU has ended; for judges."""
        return int(self._native.cpu[who].ended)

    def last(self, who: int) -> int:
        """Return the address of the last instruction that a CPU has executed; for judges."""
        return int(self._native.cpu[who].last)

    def strays(self) -> NDArray[np.void]:
        """Return the first access of each CPU that it may not make, dtype FINDING; for judges."""
        both = np.concatenate([np.frombuffer(cpu.stray, FINDING) for cpu in self._native.cpu])
        found: NDArray[np.void] = both[both["pc"] != 0]
        return found

    def _judge(self, judge: Callable[[], int]) -> None:
        self._error: BaseException | None = None

        def called() -> int:
            try:
                verdict = judge()
            except BaseException as error:  # ctypes would only print it
                self._error = error
                self._native.gave_up = 1
                return 0
            # Returning to where the schedule began cuts the trace.
            self._traced = int(self._native.nr_steps)
            return verdict

        callback = ctypes.CFUNCTYPE(ctypes.c_uint64)(called)
        self._callback = callback
        self._native.judge = ctypes.cast(callback, ctypes.c_void_p).value

    def _reraise(self) -> None:
        if self._error is not None:
            raise self._error

    def _searched(self) -> Searched:
        native = self._native
        found = np.flatnonzero((self._outcomes["key"] != 0) & (self._outcomes["number"] > 0))
        outcomes = tuple(
            Outcome(
                int(one["verdict"]),
                int(one["number"]),
                schedule.of(self._simplest[at, : int(one["length"])].tolist()),
            )
            for at, one in zip(found.tolist(), self._outcomes[found], strict=True)
        )
        return Searched(int(native.schedules), int(native.pruned), not native.gave_up, outcomes)


def _cpu_size() -> int:
    return ctypes.sizeof(NativeCpu)


def _describe_entries(native: NativeEntries, image: Image) -> None:
    """Say where the driver's own code lies, and what it calls."""
    native.driver = image.address("zs_driver_start")
    native.driver_end = image.address("zs_driver_end")
    for index, name in enumerate(ENTRIES):
        # A strategy need not have zs_settle(): then nothing ever runs at that address.
        native.entry[index] = image.symbols[name].address if name in image.symbols else 0
