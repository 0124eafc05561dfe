# SPDX-License-Identifier: GPL-2.0-only
"""Compute a geometry: the size classes of one kernel, and where their slots lie in a zspage.

A geometry follows from the generation of zsmalloc, the page size, the word size and the number of
bits of a physical address. placement.py chooses the zspage and the slot of an object.

The generations:

=========  ==========  ====================================================================
name       kernels     source
=========  ==========  ====================================================================
2012       staging     drivers/staging/zsmalloc of 3.6 and zsmalloc_int.h (61989a80fb3a ff.)
chain-4    4.1 to 6.2  mm/zsmalloc.c since handles are separate (2e40e163a25a)
chain-8    from 6.3    CONFIG_ZSMALLOC_CHAIN_SIZE at its default
chain-16   from 6.3    CONFIG_ZSMALLOC_CHAIN_SIZE at its limit
=========  ==========  ====================================================================

An object *spans* when its slot crosses a page end: ``offset + class_size > page_size``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zsemu.errors import ZsemuError

PAGE_SIZES = (4096, 16384, 65536)


def best_used(size: int, page_size: int, longest: int) -> int:
    """Return the pages per zspage of a class of ``size`` bytes in kernels up to 6.2.

    The chain with the highest share of used bytes, in whole per cent, is taken; of several with the
    same share, the shortest (get_pages_per_zspage).
    """

    def used(pages: int) -> int:
        total = pages * page_size
        return (total - total % size) * 100 // total

    return max(range(1, longest + 1), key=used)


def least_waste(size: int, page_size: int, longest: int) -> int:
    """Return the pages per zspage of a class of ``size`` bytes in kernels from 6.3 on.

    The chain with the fewest unused bytes at its end is taken; of several with equally few, the
    shortest. A class whose size is a power of two always has one page
    (calculate_zspage_chain_size).
    """
    if size & (size - 1) == 0:
        return 1
    return min(range(1, longest + 1), key=lambda pages: pages * page_size % size)


@dataclass(frozen=True)
class Rules:
    """The rules by which one generation of zsmalloc makes its size classes."""

    name: str
    longest: int
    """Pages in the longest chain: ZS_MAX_PAGES_PER_ZSPAGE."""
    chain: Callable[[int, int, int], int]
    """Pages per zspage, from a class's size, the page size and ``longest``."""
    handle: bool
    """Whether a slot begins with the handle, one machine word (2e40e163a25a, 4.1)."""
    merge: bool
    """Whether neighbouring classes with equally many pages and objects are merged into one.

    The kernel does so since 1411976727-29421-1-git-send-email-iamjoonsoo.kim@lge.com of 2014.
    """
    tag_bits: int
    """How many bits OBJ_TAG_BITS takes from the index of an object in its zspage.

    It takes none in 2012, and one since 4.1. It was two bits in 6.2 to 6.5 with CONFIG_ZPOOL, and
    stopped taking an index bit in 2024 (20240227030045.3443702-1). The figures known for 32-bit
    kernels with chain 8 (i386 PAE: 105 classes, riscv32: 117) follow from one bit.
    """


RULES = {
    rules.name: rules
    for rules in (
        Rules("2012", 4, best_used, handle=False, merge=False, tag_bits=0),
        Rules("chain-4", 4, best_used, handle=True, merge=True, tag_bits=1),
        Rules("chain-8", 8, least_waste, handle=True, merge=True, tag_bits=1),
        Rules("chain-16", 16, least_waste, handle=True, merge=True, tag_bits=1),
    )
}
NAMES = ("2012", "chain-4", "chain-8", "chain-16")


@dataclass(frozen=True)
class SizeClass:
    """One size class. Sizes are in bytes."""

    size: int
    pages: int
    """Pages per zspage."""
    objects: int
    """Slots per zspage."""
    header: int
    """Bytes of a slot before the payload, which hold the handle; 0 in 2012 and in a huge class."""

    @property
    def huge(self) -> bool:
        """Whether a zspage is one page with one object; its handle is kept in struct page."""
        return self.pages == 1 and self.objects == 1


@dataclass(frozen=True, eq=False)
class Slots:
    """Where slots lie: five arrays of the same shape.

    The *reach* of a slot is what a strategy that displaces neighbours may have to store into when
    it maps the slot. Mapping a spanning object displaces bytes of the slots beside it. If one of
    those spans too, bytes of it may already be displaced, and have to be put back first. So the
    reach is the smallest run of slots that contains this slot, both neighbours of every spanning
    slot in it, and every spanning neighbour of a slot in it.
    """

    page: NDArray[np.int32]
    """Index in the zspage of the page in which the slot starts."""
    offset: NDArray[np.int32]
    """Bytes from the start of that page to the slot."""
    spans: NDArray[np.bool_]
    """Whether the slot crosses the end of that page."""
    low: NDArray[np.int32]
    """First byte of the reach, counted from the start of the zspage's first page as if its pages
    were contiguous."""
    high: NDArray[np.int32]
    """The byte behind the reach, counted in the same way."""

    def __len__(self) -> int:
        return len(self.page)

    def __getitem__(self, index: slice | NDArray[np.integer]) -> "Slots":
        return Slots(
            self.page[index],
            self.offset[index],
            self.spans[index],
            self.low[index],
            self.high[index],
        )


@dataclass(frozen=True)
class Geometry:
    """The size classes of one kernel build; made by :func:`geometry`.

    ``classes`` are those that remain after merging, ascending by size. Everywhere in zsemu a class
    is named by its index in ``classes`` (the kernel's own ``class->index`` counts before merging).
    """

    name: str
    page_size: int
    word_bits: int
    physical_bits: int = field(compare=False)
    """What the smallest class follows from. Geometries with the same classes are equal."""
    header: int
    """Bytes of the handle before an object's payload: 0 in 2012, else the word size.

    In a huge class there is no handle before the payload: see :attr:`SizeClass.header` and
    :attr:`headers`.
    """
    classes: tuple[SizeClass, ...]

    @cached_property
    def sizes(self) -> NDArray[np.int32]:
        """Slot size of each class in bytes, shape (classes,)."""
        return np.array([c.size for c in self.classes], np.int32)

    @cached_property
    def pages(self) -> NDArray[np.int32]:
        """Pages per zspage of each class, shape (classes,)."""
        return np.array([c.pages for c in self.classes], np.int32)

    @cached_property
    def objects(self) -> NDArray[np.int32]:
        """Slots per zspage of each class, shape (classes,)."""
        return np.array([c.objects for c in self.classes], np.int32)

    @cached_property
    def headers(self) -> NDArray[np.int32]:
        """Bytes before the payload in a slot of each class, shape (classes,)."""
        return np.array([c.header for c in self.classes], np.int32)

    @property
    def huge_class_size(self) -> int:
        """The smallest length that gets a whole page, as zs_huge_class_size() returns it.

        It is the size of the largest class that is not huge, less the handle, plus one
        (20180314081833.1096-2).
        """
        largest = max((c.size for c in self.classes if not c.huge), default=self.header)
        return largest - self.header + 1

    def fits(self, length: ArrayLike) -> NDArray[np.bool_]:
        """Return for each length whether zs_malloc accepts it: from 1 byte to the page size."""
        length = np.asarray(length)
        return np.asarray((length >= 1) & (length <= self.page_size))

    def class_index(self, length: ArrayLike) -> NDArray[np.intp]:
        """Return the class of each requested length (in bytes, without the header); same shape.

        As in the kernel, the handle is added before the class is chosen, even where that gives a
        huge class, which has no handle in its slots. A length that exceeds the page size only with
        the handle belongs to the last class (zs_malloc, get_size_class_index). ZsemuError if a
        length does not fit.
        """
        length = np.asarray(length)
        fits = self.fits(length)
        if not fits.all():
            wrong = np.extract(~fits, length)[0]
            raise ZsemuError(
                f"{wrong} bytes fit no size class of {self.name}; "
                f"the length of an object is 1 to {self.page_size}"
            )
        return np.asarray(self._class_of_length[length])

    @cached_property
    def _class_of_length(self) -> NDArray[np.intp]:
        padded = np.minimum(np.arange(self.page_size + 1) + self.header, self.page_size)
        return np.searchsorted(self.sizes, padded)

    @cached_property
    def slots(self) -> Slots:
        """All slots of one zspage of every class, one class after the other; see :attr:`first`."""
        class_index = np.repeat(np.arange(len(self.classes)), self.objects)
        size = self.sizes[class_index]
        slot = (np.arange(len(class_index)) - self.first[class_index]).astype(np.int32)
        page, offset = np.divmod(slot * size, np.int32(self.page_size))
        spans = offset + size > self.page_size

        # Slots k and k+1 reach each other if one of them spans. A run of such pairs has one reach.
        apart = np.ones(len(slot) + 1, np.bool_)
        apart[1:-1] = (slot[1:] == 0) | ~(spans[1:] | spans[:-1])
        run = np.cumsum(apart[:-1]) - 1
        bounds = np.flatnonzero(apart)
        low, last = bounds[:-1][run], bounds[1:][run] - 1
        return Slots(page, offset, spans, slot[low] * size, (slot[last] + 1) * size)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Index in :attr:`slots` of slot 0 of each class, and at the end the number of all slots.

        The shape is (classes + 1,).
        """
        return np.concatenate(([0], np.cumsum(self.objects, dtype=np.int64)))

    def slots_of(self, class_index: int) -> Slots:
        """Return the slots of one zspage of a class, in order: shape (objects,)."""
        return self.slots[slice(self.first[class_index], self.first[class_index + 1])]

    def locate(self, class_index: NDArray[np.integer], slot: NDArray[np.integer]) -> Slots:
        """Return where slot ``slot[i]`` of class ``class_index[i]`` lies, for every i."""
        return self.slots[self.first[class_index] + slot]


def derive(rules: Rules, *, page_size: int, word_bits: int, physical_bits: int) -> Geometry:
    """Return the geometry that follows from ``rules``, which need not be those of a real kernel.

    ZsemuError if so few bits are left for an object's index that no size class fits in a page.
    """
    # As OBJ_INDEX_BITS and ZS_MIN_ALLOC_SIZE in the kernel: every object of the smallest class must
    # have an index of its own (1330968804-8098-5-git-send-email-sjenning@linux.vnet.ibm.com).
    page_bits = page_size.bit_length() - 1
    index_bits = word_bits - (physical_bits - page_bits) - rules.tag_bits
    smallest = max(32, rules.longest * page_size >> index_bits) if index_bits > 0 else page_size + 1
    if smallest > page_size:
        raise ZsemuError(
            f"geometry {rules.name} has no size class with {word_bits}-bit words, {physical_bits} "
            f"bits of physical address and {page_size}-byte pages; use fewer address bits or a "
            "shorter chain"
        )
    # The last class is the page itself. Kernels before
    # 1416837820-6914-1-git-send-email-opensource.ganesh@gmail.com of 2014 round the number of
    # classes down, and so lack this class if the division is not exact. With pages of 4 KiB it is
    # exact.
    delta = page_size >> 8
    header = word_bits // 8 if rules.handle else 0
    classes = []
    for size in [*range(smallest, page_size, delta), page_size]:
        pages = rules.chain(size, page_size, rules.longest)
        objects = pages * page_size // size
        huge = pages == 1 and objects == 1
        classes.append(SizeClass(size, pages, objects, 0 if huge else header))
    if rules.merge:
        # The kernel makes the largest class first. A class that equals the one above it shares it.
        classes = [
            one
            for one, above in pairwise(classes)
            if (one.pages, one.objects) != (above.pages, above.objects)
        ] + classes[-1:]
    return Geometry(rules.name, page_size, word_bits, physical_bits, header, tuple(classes))


@lru_cache
def geometry(
    name: str, *, page_size: int = 4096, word_bits: int = 64, physical_bits: int | None = None
) -> Geometry:
    """Return the geometry of a kernel generation, one of :data:`NAMES`.

    ``physical_bits`` is the kernel's MAX_POSSIBLE_PHYSMEM_BITS (in older kernels
    MAX_PHYSMEM_BITS): 36 for i386 with PAE, 34 for riscv32, 32 for arm without LPAE, 40 for arm
    with it. It determines the smallest class with 32-bit words; with 64-bit words no value up to 56
    changes anything. The default is 32 with 32-bit words, and 52 with 64-bit words. ZsemuError for
    an unknown name, page size or word size, and as for :func:`derive`.
    """
    if name not in RULES:
        raise ZsemuError(f"unknown geometry '{name}'; choose one of {', '.join(NAMES)}")
    if page_size not in PAGE_SIZES:
        choices = ", ".join(map(str, PAGE_SIZES))
        raise ZsemuError(f"unknown page size {page_size}; choose one of {choices}")
    if word_bits not in (32, 64):
        raise ZsemuError(f"unknown word size {word_bits}; choose 32 or 64 bits")
    if physical_bits is None:
        physical_bits = 32 if word_bits == 32 else 52
    return derive(
        RULES[name], page_size=page_size, word_bits=word_bits, physical_bits=physical_bits
    )
