# SPDX-License-Identifier: GPL-2.0-only
"""Give each zspage a descriptor and pages of the pool in guest memory.

The placement model numbers zspages serially. In guest memory a zspage is a descriptor and the pages
that it names; both are used again once the zspage is freed.
"""

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.memory import Memory
from zsemu.guest.structures import MAX_PAGES
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace


class Zspages:
    """Gives zspages their descriptors and pages, and takes them back."""

    def __init__(self, placed: PlacedTrace | PlacedStream, memory: Memory) -> None:
        self._placed, self._memory = placed, memory
        # The zspages that there are: serial numbers, ascending, and their descriptors.
        self._serial = np.empty(0, np.int64)
        self._descriptor = np.empty(0, np.int64)
        # Taken from the end: the first zspage gets the lowest.
        self._free_descriptors = np.arange(placed.zspages)[::-1].copy()
        pages = np.arange(placed.pages)
        if placed.page_order == "scattered":
            np.random.default_rng(0).shuffle(pages)
        self._free_pages = (pages if placed.page_order == "descending" else pages[::-1]).copy()
        self.pages = np.full((placed.zspages, MAX_PAGES), -1, np.int64)
        """pages of the pool that each descriptor's zspage has, in order; -1 behind the last"""
        frames = (memory.size >> memory.page_shift) + 1
        self.owner = np.full(frames, -1, np.int32)
        """by page of RAM: the CPU whose it is, or the descriptor of a pool page's zspage"""
        self.index = np.zeros(frames, np.int32)
        """by page of RAM: which page of its zspage it is"""
        shift = memory.page_shift
        for cpu in range(memory.sizes.cpus):
            for start in (memory.area, memory.buffer):
                self.owner[(start + cpu * memory.area_stride) >> shift] = cpu

    def descriptors(self, zspage: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the descriptors of zspages that there are, given their serial numbers."""
        at = np.searchsorted(self._serial, zspage)
        found: NDArray[np.int64] = self._descriptor[at]
        return found

    def free_pfns(self, count: int) -> NDArray[np.int64]:
        """Return the page frame numbers of the pages that are given out next, shape (count,)."""
        return self._memory.pfn(self._free_pages[::-1][:count])

    def open(self, part: PlacedTrace) -> None:
        """Give the zspages that a part opens their descriptors and pages."""
        memory = self._memory
        opening = np.flatnonzero(part.placed.opens)
        if not len(opening):
            return
        class_index = part.placed.class_index[opening]
        descriptors = self._free_descriptors[-len(opening) :][::-1].copy()
        self._free_descriptors = self._free_descriptors[: -len(opening)]
        serial = part.placed.zspage[opening]
        at = np.searchsorted(self._serial, serial)
        order = np.argsort(serial)
        self._serial = np.insert(self._serial, at[order], serial[order])
        self._descriptor = np.insert(self._descriptor, at[order], descriptors[order])
        chain = part.geometry.pages[class_index].astype(np.int64)
        total = int(chain.sum())
        pages = self._free_pages[-total:][::-1].copy()
        self._free_pages = self._free_pages[:-total]
        zspage = np.repeat(descriptors, chain)
        which = np.arange(total) - np.repeat(np.cumsum(chain) - chain, chain)
        self.pages[zspage, which] = pages
        frame = memory.page_offset(pages) >> memory.page_shift
        self.owner[frame] = zspage
        self.index[frame] = which

        table = memory.view(memory.zspages, memory.types.zspage, self._placed.zspages)
        table["nr_pages"][descriptors] = chain
        table["class_size"][descriptors] = part.geometry.sizes[class_index]
        table["pfn"][zspage, which] = memory.pfn(pages)

    def close(self, part: PlacedTrace) -> None:
        """Take back what the zspages had that a part closes, for the next batch."""
        closing = np.flatnonzero(part.placed.closes)
        if not len(closing):
            return
        at = np.searchsorted(self._serial, part.placed.zspage[closing])
        descriptors = self._descriptor[at]
        self._serial = np.delete(self._serial, at)
        self._descriptor = np.delete(self._descriptor, at)
        chain = part.geometry.pages[part.placed.class_index[closing]]
        pages = self.pages[descriptors][np.arange(MAX_PAGES) < chain[:, np.newaxis]]
        self._free_descriptors = np.concatenate([self._free_descriptors, descriptors[::-1]])
        self._free_pages = np.concatenate([self._free_pages, pages[::-1]])

    def migrate(self, zspage: int, which: int) -> None:
        """Follow the guest, which has moved a page of a zspage to the next free frame."""
        memory = self._memory
        (descriptor,) = self.descriptors(np.array([zspage]))
        old, new = self.pages[descriptor, which], self._free_pages[-1]
        self._free_pages = np.insert(self._free_pages[:-1], 0, old)
        self.pages[descriptor, which] = new
        # A store into the old frame is a stray one from here on.
        self.owner[memory.page_offset(old) >> memory.page_shift] = -1
        frame = memory.page_offset(new) >> memory.page_shift
        self.owner[frame], self.index[frame] = descriptor, which
