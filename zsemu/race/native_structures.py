# SPDX-License-Identifier: GPL-2.0-only
"""The structures of native/race.h, as ctypes and NumPy types, and its numbers.

Fields and their order are those of the C file. tests/race/test_native_structures.py compares both.
"""

import ctypes
from typing import Final

import numpy as np

from zsemu.guest.hook_structures import CALLS, ENTRIES, NativeMemory

MAX_BLOCKS: Final = 512
"""blocks that a schedule can have"""
OUTCOMES: Final = 1 << 15
"""places for distinct final states, of which half can be used"""
FAILS: Final = 1 << 32
"""bit of a verdict that is a failure"""
LEAF_USED: Final = 1024
"""bytes of the windows' page table that a CPU's MMU reads"""
TO_END: Final = (1 << 64) - 1
"""instructions of a block in which a CPU runs to its end"""

RUNS, DONE, FAULT, HALTS, ENDLESS = range(5)
"""how a CPU has ended"""
BOUNDED, EXHAUSTIVE = range(2)
"""how a search goes"""

_u64 = ctypes.c_uint64
_pointer = ctypes.c_void_p

BLOCK: Final = np.dtype([("cpu", np.uint64), ("instructions", np.uint64)])
"""``struct block``: a part of a schedule"""
STEP: Final = np.dtype(
    [
        (name, np.uint64)
        for name in ("cpu", "pc", "before", "offset", "size", "store", "value", "shared")
    ]
)
"""``struct step``: an access of a schedule that is traced"""
OUTCOME: Final = np.dtype(
    [
        ("key", np.uint64),
        ("verdict", np.uint64),
        ("number", np.uint64),
        ("length", np.uint64),
        ("steps", np.uint64),
    ]
)
"""``struct outcome``: a final state"""


def _words(names: str) -> list[tuple[str, type[_u64]]]:
    return [(name, _u64) for name in names.split()]


def _pointers(names: str) -> list[tuple[str, type[_pointer]]]:
    return [(name, _pointer) for name in names.split()]


class NativeFinding(ctypes.Structure):
    """``struct finding``, which hook_structures.FINDING is as well."""

    _fields_ = (
        *_words("what operation phase pc address size value"),
        ("calls", _u64 * CALLS),
    )


class NativeCpu(ctypes.Structure):
    """``struct cpu``."""

    _fields_ = (
        *_pointers("race uc"),
        *_words("number pc count step inside until stopped ended first read last fault"),
        *_words("calm wait_pc wait_offset waited passed next_mark"),
        *_words("phase operation nr_outside outside_first outside_of"),
        ("stray", NativeFinding),
        *_pointers("served"),
    )


class NativeEntries(ctypes.Structure):
    """``struct entries``: where the driver's own code lies, and what it calls."""

    _fields_ = (*_words("driver driver_end"), ("entry", _u64 * len(ENTRIES)))


class NativeRace(ctypes.Structure):
    """``struct race``: everything that the native side reads and fills."""

    _fields_ = (
        ("cpu", NativeCpu * 2),
        *_words("text text_size stop_address step_text step_size"),
        *_pointers("kind operand displacement"),
        *_words("operand_shift word_bits pc_register"),
        ("entries", NativeEntries),
        ("memory", NativeMemory),
        *_pointers("accessed"),
        *_words("pool pool_end leaf_size pte_size pte_present window mmu_shift"),
        ("entry_first", _u64 * 2),
        ("entry_end", _u64 * 2),
        *_pointers("expected"),
        *_words("operations"),
        ("current", _u64 * 2),
        ("outside", _pointer * 2),
        ("max_outside", _u64 * 2),
        *_pointers("stored"),
        *_words("budget limit best nested one_tlb after mode quiet"),
        *_pointers("judge"),
        *_pointers("emu_start emu_stop reg_read ctl"),
        *_pointers("context_alloc context_free context_save context_restore"),
        *_words("schedules pruned gave_up grown entries_shared"),
        ("points", _u64 * 2),
        *_pointers("outcome simplest"),
        *_words("nr_outcomes state result"),
        *_pointers("log"),
        *_words("nr_log max_log"),
        *_pointers("event"),
        *_words("nr_events max_events"),
        *_pointers("step"),
        *_words("nr_steps max_steps"),
        *_pointers("seen"),
        *_words("nr_seen seen_mask"),
        ("schedule", _u64 * (2 * MAX_BLOCKS)),
        *_words("length"),
        ("snapshot", _pointer * MAX_BLOCKS),
        *_words("random"),
    )
