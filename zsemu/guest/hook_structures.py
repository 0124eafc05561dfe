# SPDX-License-Identifier: GPL-2.0-only
"""The structures of native/hooks.h, as ctypes and NumPy types, and its numbers.

Fields and their order are those of the C file. tests/guest/test_hook_structures.py compares both.
"""

import ctypes
from typing import Final

import numpy as np

from zsemu.counts import PHASES
from zsemu.guest.strategies import PROMISES

ENTRIES: Final = (
    "zs_settle",
    "zs_map_object",
    "zs_access_out",
    "zs_access_in",
    "zs_unmap_object",
)
"""the functions that the driver calls; with each of them a phase begins"""
BY_SPAN: Final = ("zs_access_out_by_span", "zs_access_in_by_span")
"""the functions of the access if it is judged by its spans, when one of them begins"""
DRIVER_PHASE: Final = len(PHASES)
"""``DRIVER``: the driver itself runs, in no phase"""
CALLS: Final = 4
"""calls that are remembered of a chain"""
MAX_FINDINGS: Final = 20
"""findings that are kept; the rest is only counted"""

STRAY, STRAY_LOAD, MISALIGNED, STALE, PROMISE = range(5)
"""what a finding is about; PROMISE + i is that strategies.PROMISES[i] is broken"""
NR_WHATS: Final = PROMISE + len(PROMISES)
TOO_LONG, TOO_MANY_BLOCKS, TOO_MUCH_MEMORY, NO_OPERATION = range(1, 5)
"""why a run was stopped"""

EXPECTED: Final = np.dtype(
    [
        ("scope", np.uint32),
        ("cpu", np.uint32),
        ("zspage", np.int64),
        ("low", np.uint64),
        ("high", np.uint64),
        ("caller", np.uint64),
        ("length", np.uint64),
        ("given", np.uint64),
        ("header", np.uint64),
        ("reads", np.uint64),
        ("part", np.uint64, 2),
        ("bytes", np.uint64, 2),
    ]
)
"""``struct expected``: what the host knows of an operation"""

FINDING: Final = np.dtype(
    [
        *((n, np.uint64) for n in ("what", "operation", "phase", "pc", "address", "size", "value")),
        ("calls", np.uint64, CALLS),
    ]
)
"""``struct finding``: something that the callbacks found wrong"""

BLOCK: Final = np.dtype([("address", np.uint64), ("size", np.uint32), ("next", np.uint32)])
"""``struct block``: a translated block"""

STEP_OFFSET, STEP_SIZE, STEP_STORE, STEP_PHASE, STEP_BASE = 0, 40, 47, 48, 50
"""the lowest bit of each part of a step: where in RAM, bytes, whether stored, phase, base"""

_SLOT: Final = 65536
_LEAF: Final = 65536
_LINE_TABLE: Final = 1 << 13

_u64 = ctypes.c_uint64
_pointer = ctypes.c_void_p


def _words(names: str) -> list[tuple[str, type[_u64]]]:
    return [(name, _u64) for name in names.split()]


def _pointers(names: str) -> list[tuple[str, type[_pointer]]]:
    return [(name, _pointer) for name in names.split()]


class NativeImage(ctypes.Structure):
    """``struct image``: the code that runs."""

    _fields_ = (
        *_words("text text_size word_bits"),
        *_pointers("kind class operand displacement"),
        *_words("operand_shift"),
    )


class NativeDriver(ctypes.Structure):
    """``struct driver``: where the driver's own code lies, and what enters it."""

    _fields_ = _words("start end")


class NativeMemory(ctypes.Structure):
    """``struct memory``: what lies where in guest RAM."""

    _fields_ = (
        *_pointers("ram"),
        *_words("start size page_shift"),
        *_pointers("region owner index"),
        *_words("zspages ops op_size data data_size buffers stride leaf leaf_stride"),
    )


class NativeRun(ctypes.Structure):
    """``struct run``: the limits of a run, and where it is."""

    _fields_ = (
        *_pointers("current phases"),
        *_words("phases_stride"),
        *_pointers("said expected"),
        *_words("operations budget"),
        *_pointers("stop"),
        *_words("stopped phase operation pc spent behind depth"),
        ("call", _u64 * CALLS),
        ("back", _u64 * CALLS),
    )


class NativeProfile(ctypes.Structure):
    """``struct profile``: what each instruction did."""

    _fields_ = (*_pointers("counts weight"),)


class NativeBlocks(ctypes.Structure):
    """``struct blocks``: how often each translated block ran."""

    _fields_ = (
        *_pointers("at block hits repeats"),
        *_words("number max cell previous previous_size previous_cell rounds"),
    )


class NativeRows(ctypes.Structure):
    """``struct rows``: what each operation cost, and the cache lines of the current one."""

    _fields_ = (
        *_pointers("row"),
        *_words("round zeroing last_pte pte_halves buffer_used epoch accessed"),
        ("lines", _u64 * (3 * _LINE_TABLE)),
    )


class NativeJudgement(ctypes.Structure):
    """``struct judgement``: what is held against an operation."""

    _fields_ = (
        *_words("promises nr_findings"),
        ("last_found", _u64 * NR_WHATS),
        ("findings", _u64 * (FINDING.itemsize // 8 * MAX_FINDINGS)),
        *_words("mapped watch watched_pc"),
        ("watched_calls", _u64 * CALLS),
        *_pointers("outside"),
        *_words("outside_first outside_end outside_of written_end"),
        ("slot", ctypes.c_uint8 * _SLOT),
        ("written", ctypes.c_uint8 * _SLOT),
    )


class NativeBySpan(ctypes.Structure):
    """``struct by_span``: what the user's accesses are judged by, if not one by one."""

    _fields_ = (*_words("access_out access_in"), *_pointers("spans"), *_words("direct judged"))


class NativeTranslations(ctypes.Structure):
    """``struct translations``: the page table of the windows."""

    _fields_ = (
        *_words("pte_size pte_present window window_ptes mmu_shift strict pte_pc"),
        *_pointers("read_register control"),
        ("served", ctypes.c_uint8 * _LEAF),
        ("stored", ctypes.c_uint8 * _LEAF),
    )


class NativeSequence(ctypes.Structure):
    """``struct sequence``: every access, in order."""

    _fields_ = (*_pointers("step end"), *_words("number max"))


class NativeHooks(ctypes.Structure):
    """``struct hooks``: everything that the callbacks of one CPU read and fill."""

    _fields_ = (
        ("image", NativeImage),
        ("driver", NativeDriver),
        ("memory", NativeMemory),
        ("run", NativeRun),
        ("profile", NativeProfile),
        ("blocks", NativeBlocks),
        ("rows", NativeRows),
        ("judgement", NativeJudgement),
        ("by_span", NativeBySpan),
        ("translations", NativeTranslations),
        ("sequence", NativeSequence),
    )
