# SPDX-License-Identifier: GPL-2.0-only
"""The structures of arch/zs.h and arch/driver.h as NumPy types, for either word size.

No other module knows how the guest lays out its structures. tests/guest/test_structures.py compares
every offset with what the compiler says.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np

from zsemu.guest.targets import Target

MAX_PAGES: Final = 16
"""pages that a zspage can have"""
MAX_RANGES: Final = 16
"""ranges of physical memory that the guest can be told to map"""
ZSPAGE_SIZE: Final = 512
"""bytes of a zspage descriptor"""
ZSPAGE_PFNS: Final = 64
ZSPAGE_WORDS: Final = 256
"""offset in a descriptor of the words that strategies have, one for each page"""

_Field = tuple[str, object, int]
"""name, format as NumPy takes it, and offset in bytes"""


class Kind(IntEnum):
    """``zs_op.kind``, in addition to the kinds that a trace has (trace.Operation)."""

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
    EACH = 4


class StopAt(IntEnum):
    """``zs_batch.stop_at``: stop before a shape that is new, before a known one, or never."""

    NEW = 0
    KNOWN = 1
    NEVER = 2


@dataclass(frozen=True)
class Layout:
    """The structures of one target, each with the fields of its C structure."""

    word: np.dtype[np.unsignedinteger]
    """``unsigned long``"""
    range: np.dtype[np.void]
    """``struct zs_range``: memory that the guest maps"""
    boot: np.dtype[np.void]
    """``struct zs_boot``"""
    zspage: np.dtype[np.void]
    """``struct zspage``: a descriptor"""
    area: np.dtype[np.void]
    """``struct zs_area``: the per-CPU area"""
    op: np.dtype[np.void]
    """``struct zs_op``: the record of an operation; ``to_`` stands before its second location"""
    batch: np.dtype[np.void]
    """``struct zs_batch``: which operations the driver runs"""
    by_span: np.dtype[np.void]
    """``struct zs_by_span``: by what the user's accesses are judged, if not one by one"""


def _struct(size: int, fields: list[_Field]) -> np.dtype[np.void]:
    names, formats, offsets = zip(*fields, strict=True)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


def _align(size: int, to: int) -> int:
    return (size + to - 1) // to * to


def _words(word: str, names: str, start: int = 0) -> list[_Field]:
    """Return fields of a machine word each, from offset ``start`` on."""
    size = np.dtype(word).itemsize
    return [(name, word, start + index * size) for index, name in enumerate(names.split())]


def _only_words(word: str, names: str) -> np.dtype[np.void]:
    return _struct(np.dtype(word).itemsize * len(names.split()), _words(word, names))


def _boot(word: str, range_: np.dtype[np.void]) -> np.dtype[np.void]:
    head = _words(word, "stack_phys stack_virt root tables window window_leaf nr_ranges")
    start = len(head) * np.dtype(word).itemsize
    size = start + MAX_RANGES * range_.itemsize
    return _struct(size, [*head, ("range", (range_, MAX_RANGES), start)])


def _by_span(word: str) -> np.dtype[np.void]:
    size = np.dtype(word).itemsize
    head = _words(word, "wanted buffers buffers_size callers callers_size pool pool_size")
    at = len(head) * size
    return _struct(
        at + 5 * size,
        [
            *head,
            ("addr", (word, 2), at),
            ("length", (word, 2), at + 2 * size),
            ("each", word, at + 4 * size),
        ],
    )


def _zspage(word: str, u32: str) -> np.dtype[np.void]:
    return _struct(
        ZSPAGE_SIZE,
        [
            ("nr_pages", u32, 0),
            ("class_size", u32, 4),
            ("pfn", (word, MAX_PAGES), ZSPAGE_PFNS),
            ("word", (word, MAX_PAGES), ZSPAGE_WORDS),
        ],
    )


def _op(word: str, u32: str) -> np.dtype[np.void]:
    size = np.dtype(word).itemsize
    # struct zs_location: a pointer and five u32, padded to a word. There are two of them.
    location = _align(size + 5 * 4, size)
    words = 8 + 2 * location
    rest = words + 3 * size
    found = rest + 4 * 4
    last = found + 2 * size

    def fields_of(prefix: str, at: int) -> list[_Field]:
        names = ("slot", "page", "offset", "header", "length")
        numbers = [(prefix + n, u32, at + size + 4 * index) for index, n in enumerate(names)]
        return [(f"{prefix}zspage", word, at), *numbers]

    return _struct(
        _align(last + 3 * 4, 64),
        [
            ("kind", u32, 0),
            ("cpu", u32, 4),
            *fields_of("", 8),
            *fields_of("to_", 8 + location),
            *_words(word, "caller update handle", words),
            ("shape", u32, rest),
            ("flags", u32, rest + 4),
            ("mode", u32, rest + 8),
            ("held", u32, rest + 12),
            *_words(word, "found span", found),
            ("state", u32, last),
            ("error", u32, last + 4),
            ("phase", u32, last + 8),
        ],
    )


@cache
def layout(target: Target) -> Layout:
    """Return the structures as ``target`` has them."""
    order = {"little": "<", "big": ">"}[target.byte_order]
    word, u32 = f"{order}u{target.word}", f"{order}u4"
    range_ = _only_words(word, "virt phys pages run skip write exec")
    area = "cpu buffer window window_pte private0 private1 private2 private3"
    batch = "ops first last current stop_at known known_state known_mask nr_known area area_stride"
    return Layout(
        word=np.dtype(word),
        range=range_,
        boot=_boot(word, range_),
        zspage=_zspage(word, u32),
        area=_only_words(word, area),
        op=_op(word, u32),
        batch=_only_words(word, batch),
        by_span=_by_span(word),
    )
