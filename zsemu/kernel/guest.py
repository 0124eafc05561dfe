# SPDX-License-Identifier: GPL-2.0-only
"""The structures of arch/kernel/kernel.h as NumPy types, for either word size."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np

from zsemu.guest.targets import Target

MAX_ERRORS = 20
RUNNERS = 3
"""emulated CPUs that can run at once, the host's included"""
STACK_SHIFT = 14
"""bytes of the stack of each, as a power of two"""
MAX_TAKEN = 16
MAX_ORDERS = 32
GONE = (1 << 32) - 2
"""result of a migration of a page that is free, or locked by somebody else"""
CONFIG = (
    "page_bytes page_flags page_mapping page_refcount page_type locked isolated isolate migrate"
    " putback shrinker_bytes sg_bytes sg_page sg_offset sg_length memmap linear percpu"
    " percpu_stride task task_stride cpus slab slab_pages slab_state frames nr_frames all_frames"
    " log handles stream api init exit fail_after parallel stack work_func"
)
"""the fields of ``struct zk_config``, each a word"""


class Kind(IntEnum):
    """``enum zk_kind``: those of trace.Operation, and what the allocator does beside."""

    ALLOCATE = 0
    FREE = 1
    READ = 2
    WRITE = 3
    UPDATE = 4
    INIT = 5
    CREATE = 6
    DESTROY = 7
    EXIT = 8
    COMPACT = 9
    MIGRATE = 10
    SETTLE = 11


class Cause(IntEnum):
    """``enum zk_cause``: what a stand-in found wrong."""

    NOTHING = 0
    LOCK_TAKEN = 1
    LOCK_NOT_HELD = 2
    LOCK_LEFT = 3
    LOCK_FREED = 4
    LOCK_MANY = 5
    SLAB_DOUBLE = 6
    SLAB_FOREIGN = 7
    SLAB_CACHE = 8
    SLAB_LEFT = 9
    SLAB_LARGE = 10
    PAGE_ORDER = 11
    PAGE_DOUBLE = 12
    PAGE_FOREIGN = 13
    PAGE_USED = 14
    PAGE_LOCKED = 15
    PAGE_MOVABLE = 16
    PAGE_UNLOCKED = 17
    LIST = 18
    STATISTICS = 19
    PRINTS = 20
    WARNS = 21
    DEFERS = 22
    NEVER = 23
    BAD_RESULT = 24


WORDS: dict[Cause, str] = {
    Cause.LOCK_TAKEN: "takes a lock that is held: a deadlock",
    Cause.LOCK_NOT_HELD: "releases a lock that is not held",
    Cause.LOCK_LEFT: "ends with a lock held",
    Cause.LOCK_FREED: "frees memory in which a lock is held",
    Cause.LOCK_MANY: "takes more locks than the stand-ins can follow",
    Cause.SLAB_DOUBLE: "frees a slab object that is free",
    Cause.SLAB_FOREIGN: "frees what is no slab object",
    Cause.SLAB_CACHE: "frees a slab object into another cache than its own",
    Cause.SLAB_LEFT: "destroys a cache that has objects",
    Cause.SLAB_LARGE: "asks kmalloc() for more than a page",
    Cause.PAGE_ORDER: "allocates or frees more than one page at a time",
    Cause.PAGE_DOUBLE: "frees a page that is free",
    Cause.PAGE_FOREIGN: "frees what is no page of the pool",
    Cause.PAGE_USED: "frees a page with a wrong reference count",
    Cause.PAGE_LOCKED: "frees a page that is locked",
    Cause.PAGE_MOVABLE: "frees a page that can still be migrated",
    Cause.PAGE_UNLOCKED: "unlocks a page that is not locked",
    Cause.LIST: "finds a list whose links do not fit each other",
    Cause.STATISTICS: "counts a zone's pages below zero",
    Cause.PRINTS: "prints a message of the kernel",
    Cause.WARNS: "reaches a WARN()",
    Cause.DEFERS: "queues work for later: it could not lock a page",
    Cause.NEVER: "enters a function that must never be entered",
    Cause.BAD_RESULT: "gives no address of the object",
}
"""each cause as a predicate, of which the operation is the subject"""


@dataclass(frozen=True)
class KernelLayout:
    """The structures of one target."""

    config: np.dtype[np.void]
    state: np.dtype[np.void]
    op: np.dtype[np.void]
    batch: np.dtype[np.void]
    locks: np.dtype[np.void]
    """of one emulated CPU"""


def _words(word: str, size: int, names: str) -> list[tuple[str, Any, int]]:
    return [(name, word, index * size) for index, name in enumerate(names.split())]


def _struct(fields: list[tuple[str, Any, int]], size: int) -> np.dtype[np.void]:
    names, formats, offsets = zip(*fields, strict=True)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


@cache
def kernel_layout(target: Target) -> KernelLayout:
    """Return the structures as ``target`` has them."""
    size = target.word
    word = f"<u{size}"
    config = _words(word, size, CONFIG)
    error = _struct(_words(word, size, "cause operation object caller"), 4 * size)
    behind = size * (1 + 4 * MAX_ERRORS)
    state = [
        ("nr_errors", word, 0),
        ("error", (error, MAX_ERRORS), size),
        *(
            (name, word, behind + index * size)
            for index, name in enumerate(
                ("pages_out", "objects_out", "logged", "statistics", "pool", "movable", "work")
            )
        ),
    ]
    at = 16 + 2 * size
    op = [
        ("kind", "<u4", 0),
        ("cpu", "<u4", 4),
        ("object", "<u4", 8),
        ("length", "<u4", 12),
        ("caller", word, 16),
        ("update", word, 16 + size),
        ("shape", "<u4", at),
        ("mode", "<u4", at + 4),
        ("handle", word, at + 8),
        ("obj", word, at + 8 + size),
        ("address", word, at + 8 + 2 * size),
        ("logged", "<u4", at + 8 + 3 * size),
        ("result", "<u4", at + 12 + 3 * size),
    ]
    batch = _words(word, size, "ops first last current stop_at known")
    return KernelLayout(
        config=_struct(config, len(config) * size),
        state=_struct(state, behind + 7 * size),
        op=_struct(op, (at + 16 + 3 * size + 63) // 64 * 64),
        batch=_struct(batch, len(batch) * size),
        locks=_locks(word, size),
    )


def _locks(word: str, size: int) -> np.dtype[np.void]:
    """Return ``struct zk_locks``."""
    taken = _struct(_words(word, size, "lock type ticket"), 3 * size)
    order = _struct(_words(word, size, "outer inner gate"), 3 * size)
    behind = size * (3 + 3 * MAX_TAKEN)
    fields: list[tuple[str, Any, int]] = [
        *_words(word, size, "waits ticket nr_taken"),
        ("taken", (taken, MAX_TAKEN), 3 * size),
        ("nr_orders", word, behind),
        ("order", (order, MAX_ORDERS), behind + size),
    ]
    return _struct(fields, behind + size + 3 * size * MAX_ORDERS)
