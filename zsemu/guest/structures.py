# SPDX-License-Identifier: GPL-2.0-only
"""The structures of arch/zs.h and arch/driver.h as NumPy types, for either word size.

The one place where the host knows how the guest lays out memory. ``tests/test_guest.py`` holds
every offset against what the compiler says.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np

from zsemu.guest.targets import Target

MAX_PAGES = 16
MAX_RANGES = 16
ZSPAGE_SIZE = 512
ZSPAGE_WORDS = 256


class Kind(IntEnum):
    """``zs_op.kind`` beyond those of a trace (trace.Operation)."""

    SETTLE = 5
    MOVE = 6
    MIGRATE = 7
    HOLD = 8
    RELEASE = 9
    ACCESS = 10


class Mode(IntEnum):
    """``enum zs_mapmode``."""

    RW = 0
    RO = 1
    WO = 2


class Flag(IntEnum):
    """``zs_op.flags``."""

    OPENS = 1
    CHECK = 2


class StopAt(IntEnum):
    """``zs_batch.stop_at``: before a shape that is new, one that is known, or never."""

    NEW = 0
    KNOWN = 1
    NEVER = 2


@dataclass(frozen=True)
class Layout:
    """The structures of one target."""

    word: np.dtype[np.unsignedinteger]
    range: np.dtype[np.void]
    boot: np.dtype[np.void]
    zspage: np.dtype[np.void]
    area: np.dtype[np.void]
    op: np.dtype[np.void]
    batch: np.dtype[np.void]


def _struct(size: int, fields: list[tuple[str, object, int]]) -> np.dtype[np.void]:
    names, formats, offsets = zip(*fields, strict=True)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


def _words(word: str, size: int, names: str) -> np.dtype[np.void]:
    fields = names.split()
    return _struct(
        size * len(fields), [(name, word, index * size) for index, name in enumerate(fields)]
    )


@cache
def layout(target: Target) -> Layout:
    """Return the structures as ``target`` has them."""
    order = {"little": "<", "big": ">"}[target.byte_order]
    size = target.word
    word, u32 = f"{order}u{size}", f"{order}u4"
    range_ = _words(word, size, "virt phys pages run skip write exec")
    head = ["stack_phys", "stack_virt", "root", "tables", "window", "window_leaf", "nr_ranges"]
    boot = _struct(
        len(head) * size + MAX_RANGES * range_.itemsize,
        [
            *((name, word, index * size) for index, name in enumerate(head)),
            ("range", (range_, MAX_RANGES), len(head) * size),
        ],
    )
    zspage = _struct(
        ZSPAGE_SIZE,
        [
            ("nr_pages", u32, 0),
            ("class_size", u32, 4),
            ("pfn", (word, MAX_PAGES), 64),
            ("word", (word, MAX_PAGES), ZSPAGE_WORDS),
        ],
    )

    def location(name: str, at: int) -> list[tuple[str, object, int]]:
        fields: list[tuple[str, object, int]] = [(f"{name}zspage", word, at)]
        for index, field in enumerate(("slot", "page", "offset", "header", "length")):
            fields.append((name + field, u32, at + size + 4 * index))
        return fields

    # struct zs_location, twice: a pointer and five u32, padded to a word.
    bytes_ = (size + 5 * 4 + size - 1) // size * size
    pointers = 8 + 2 * bytes_
    rest = pointers + 3 * size
    op = _struct(
        (rest + 4 * 4 + 2 * size + 2 * 4 + 63) // 64 * 64,
        [
            ("kind", u32, 0),
            ("cpu", u32, 4),
            *location("", 8),
            *location("to_", 8 + bytes_),
            ("caller", word, pointers),
            ("update", word, pointers + size),
            ("handle", word, pointers + 2 * size),
            ("shape", u32, rest),
            ("flags", u32, rest + 4),
            ("mode", u32, rest + 8),
            ("held", u32, rest + 12),
            ("found", word, rest + 16),
            ("span", word, rest + 16 + size),
            ("state", u32, rest + 16 + 2 * size),
            ("error", u32, rest + 20 + 2 * size),
        ],
    )
    return Layout(
        word=np.dtype(word),
        range=range_,
        boot=boot,
        zspage=zspage,
        area=_words(word, size, "cpu buffer window window_pte private0 private1 private2 private3"),
        op=op,
        batch=_words(
            word,
            size,
            "ops first last current stop_at known known_state known_mask nr_known area area_stride",
        ),
    )
