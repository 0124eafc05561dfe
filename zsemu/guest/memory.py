# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory: what lies where in RAM, what the guest maps of it, and the host's views of it.

RAM is one NumPy array that Unicorn maps in place. Between any two regions lie pages that the guest
does not map, and so between any two pages of the pool, so that a stray access faults.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest.fresh_pages import zeros
from zsemu.guest.image import Image
from zsemu.guest.structures import MAX_RANGES, ZSPAGE_SIZE, layout

RAM_BASE: Final = 0x4000_0000
"""physical address of the RAM, and physical and virtual address of the image: arch/image.lds"""

# Regions of memory as native/hooks.h has them: those of counts.REGIONS, and zspage descriptors.
POOL, BUFFER, CALLER, PAGETABLE, STATE, BATCH, STACK, CODE, OTHER, _, ZSPAGE = range(11)

_NAMES: Final = {
    POOL: "the pool",
    BUFFER: "the per-CPU buffer",
    CALLER: "a caller's buffer",
    PAGETABLE: "the windows' page table",
    STATE: "the per-CPU area",
    BATCH: "the batch's records",
    STACK: "the stack",
    CODE: "the code",
    OTHER: "static data",
    ZSPAGE: "the zspage descriptor",
}
"""what a violation calls each region"""

_APART: Final = (POOL, BUFFER, STATE)
"""regions of which every second page is mapped, and the others are guards"""
_ALIGN: Final = 1 << 16
"""the largest page of any target"""
_STACK: Final = 1 << 16
"""bytes"""
_ROOT: Final = 1 << 16
"""bytes of the root of the page tables, whatever the target"""
NULL: Final = 1 << 16
"""addresses below which a pointer is taken for a null pointer with something added"""
_MAX_WINDOW_PAGES: Final = 256
"""page-table entries of windows that one table has on every target"""


Range = tuple[int, int, int, int, int, int, int]
"""what the guest maps, as ``struct zs_range`` has it"""


def is_mapped(
    ranges: Iterable[Range], shift: int, address: int, *, write: bool, execute: bool
) -> bool:
    """Return whether ranges, of pages of ``1 << shift`` bytes, map an address so."""
    for virtual, _, pages, run, skip, writable, executable in ranges:
        page = address - virtual >> shift
        if 0 <= page < pages:
            allowed = (writable or not write) and (executable or not execute)
            return bool(allowed and page % (run + skip) < run)
    return False


@dataclass(frozen=True)
class Sizes:
    """How much memory a run needs of each kind."""

    cpus: int
    operations: int
    """in a batch"""
    arena: int
    """bytes of callers' buffers in a batch"""
    zspages: int
    """descriptors"""
    pages: int
    """of the pool"""
    shapes: int = 1 << 22
    """for which the guest notes, a byte each, whether they are known"""
    states: int = 1 << 20
    """pairs (shape, state); a power of two"""


class Memory:
    """The RAM of one run: ``ram``, dtype uint8.

    ``stack``, ``area``, ``buffer``, ``ops``, ``known``, ``states``, ``zspages``, ``arena``,
    ``window_leaf`` and ``pool`` are the offsets in it at which regions begin.
    """

    WINDOW_PAGES: Final = 4
    """pages of window address space that each CPU has: two to map, and two that stay empty"""

    def __init__(self, image: Image, sizes: Sizes, page_shift: int) -> None:
        """Lay out the RAM for an image; ZsemuError if the target cannot hold as much.

        ``page_shift`` is that of the pages that zsmalloc sees.
        """
        self.image, self.sizes, self.target = image, sizes, image.target
        self.types = layout(image.target)
        self.page_shift = page_shift
        self.page_size = 1 << page_shift
        # Where the MMU has no such page, zsmalloc's page is several of the MMU's.
        self.mmu_shift = page_shift if page_shift in self.target.page_shifts else 12
        self._ranges: list[Range] = []
        self._marks: list[tuple[int, int, int]] = []
        """start, size and region of what is in use"""
        self._end = 0
        """of what has been laid out"""
        fit = _MAX_WINDOW_PAGES // self.WINDOW_PAGES
        if sizes.cpus > fit:
            raise ZsemuError(f"the trace has {sizes.cpus} CPUs; at most {fit} fit")
        self._lay_out_image()
        self._lay_out_regions()
        self._lay_out_tables()
        self.size = self._end
        if self.target.word_bits == 32 and self.virtual(self.size) > 1 << 32:
            raise ZsemuError(
                f"the trace needs {self.size >> 20} MiB of memory on {self.target.name}, more than"
                " its direct map holds: choose fewer --operations"
            )

        self.ram: NDArray[np.uint8] = zeros(self.size, np.uint8)
        self._load()
        self._fill_boot_info()
        self._fill_batch()
        self._fill_by_span()
        self._fill_areas()

    def _lay_out_image(self) -> None:
        """Let code and data be where the linker has put them."""
        image = self.image
        text, data = image.address("zs_text_start"), image.address("zs_data_start")
        text_size = image.address("zs_stop") + _ALIGN - text
        data_size = image.address("zs_data_end") - data
        self._map(text, text - RAM_BASE, text_size, execute=True)
        self._map(data, data - RAM_BASE, data_size, write=True)
        self._mark(text - RAM_BASE, text_size, CODE)
        self._mark(data - RAM_BASE, data_size, OTHER)
        self.data = (data - RAM_BASE, data_size)
        """offset and size of the image's static data"""
        self._end = data + data_size - RAM_BASE

    def _lay_out_regions(self) -> None:
        """Place everything that the guest sees in the direct map."""
        sizes, page = self.sizes, self.page_size
        self.stack = self._place(_STACK, STACK)
        self.area_stride = 2 * page
        """bytes from one CPU's area, or buffer, to the next one's"""
        self.area = self._place(sizes.cpus * self.area_stride, STATE)
        self.buffer = self._place(sizes.cpus * self.area_stride, BUFFER)
        self.ops = self._place(sizes.operations * self.types.op.itemsize, BATCH)
        self.known = self._place(sizes.shapes, BATCH)
        self.states = self._place(sizes.states * 8, BATCH)
        self.zspages = self._place(sizes.zspages * ZSPAGE_SIZE, ZSPAGE)
        self.arena = self._place(sizes.arena, CALLER)
        self.window_leaf = self._place(_ALIGN, PAGETABLE)
        self.window_entries = sizes.cpus * self.WINDOW_PAGES * self.target.pte_size
        """bytes in use of the windows' page table"""
        self.pool = self._place(sizes.pages * 2 * page, POOL)

    def _lay_out_tables(self) -> None:
        """Reserve what the guest makes its page tables of, without mapping it."""
        self.root = self._take(_ROOT)
        # A leaf table maps 2 MiB or more, except the ARM's: 1 MiB, in a page of its own.
        tables = (self._end >> 20) + 64
        self.tables = self._take(tables << max(self.mmu_shift, 12))

    def _take(self, size: int) -> int:
        """Return the offset of ``size`` new bytes, behind a gap that nothing maps."""
        start = (self._end + 2 * _ALIGN - 1) // _ALIGN * _ALIGN
        self._end = (start + size + _ALIGN - 1) // _ALIGN * _ALIGN
        return start

    def _place(self, size: int, region: int) -> int:
        """Take and map a region read-write; of those in _APART, every second page only."""
        size = (max(size, 1) + self.page_size - 1) // self.page_size * self.page_size
        start = self._take(size)
        self._map(self.virtual(start), start, size, write=True, apart=region in _APART)
        self._mark(start, size, region)
        return start

    def _mark(self, start: int, size: int, region: int) -> None:
        self._marks.append((start, size, region))

    def _map(
        self,
        virtual: int,
        start: int,
        size: int,
        *,
        write: bool = False,
        execute: bool = False,
        apart: bool = False,
    ) -> None:
        """Have the guest map some RAM; ``apart`` leaves out every second page of zsmalloc's."""
        pages = size >> self.mmu_shift
        run = (self.page_size >> self.mmu_shift) if apart else pages
        self._ranges.append(
            (virtual, RAM_BASE + start, pages, run, run if apart else 0, int(write), int(execute))
        )

    def _load(self) -> None:
        """Copy the sections of the image to where they belong."""
        for address, content in self.image.sections.values():
            offset = address - RAM_BASE
            self.ram[offset : offset + len(content)] = np.frombuffer(content, np.uint8)

    def _fill_boot_info(self) -> None:
        """Tell boot.c what to map, and where its stack and tables are."""
        self.boot = boot = self.view_symbol("zs_boot_info", self.types.boot)
        boot["stack_phys"] = RAM_BASE + self.stack + _STACK
        boot["stack_virt"] = self.virtual(self.stack) + _STACK
        boot["root"] = RAM_BASE + self.root
        boot["tables"] = RAM_BASE + self.tables
        boot["window"] = self.target.window
        boot["window_leaf"] = RAM_BASE + self.window_leaf
        boot["nr_ranges"] = len(self._ranges)
        assert len(self._ranges) <= MAX_RANGES
        for index, row in enumerate(self._ranges):
            boot["range"][0, index] = row
        self.view_symbol("zs_direct_map", self.types.word)[0] = self.target.direct_map

    def _fill_batch(self) -> None:
        """Tell the driver where everything is that it uses."""
        self.batch = batch = self.view_symbol("zs_batch", self.types.batch)
        self.next_batch = self.view_symbol("zs_next_batch", self.types.word)
        self.batches = self.states
        """room for a batch of each CPU, if several run at once and no states are kept"""
        batch["ops"] = self.virtual(self.ops)
        batch["known"] = self.virtual(self.known)
        batch["known_state"] = self.virtual(self.states)
        batch["known_mask"] = self.sizes.states - 1
        batch["area"] = self.virtual(self.area)
        batch["area_stride"] = self.area_stride

    def _fill_by_span(self) -> None:
        """Tell the driver where the user's accesses can be judged by their spans."""
        self.by_span = self.view_symbol("zs_by_span", self.types.by_span)
        starts = {"buffers": self.buffer, "callers": self.arena, "pool": self.pool}
        sizes = {start: size for start, size, _ in self._marks}
        for name, start in starts.items():
            self.by_span[name] = self.virtual(start)
            self.by_span[f"{name}_size"] = sizes[start]

    def _fill_areas(self) -> None:
        """Give every CPU its buffer and its window."""
        for cpu in range(self.sizes.cpus):
            area = self.view(self.area + cpu * self.area_stride, self.types.area, 1)
            area["cpu"] = cpu
            area["buffer"] = self.virtual(self.buffer + cpu * self.area_stride)
            # The first page of each CPU's four stays empty, so that windows have guards.
            page = cpu * self.WINDOW_PAGES + 1
            area["window"] = self.target.window + (page << self.mmu_shift)
            area["window_pte"] = self.virtual(self.window_leaf) + page * self.target.pte_size

    def view(self, offset: int, dtype: np.dtype[np.generic], count: int) -> NDArray[Any]:
        """Return ``count`` items of ``dtype`` at ``offset``, in place."""
        return np.frombuffer(self.ram, dtype, count, offset)

    def view_symbol(self, name: str, dtype: np.dtype[np.generic]) -> NDArray[Any]:
        """Return the variable ``name`` of the image, in place, shape (1,)."""
        return self.view(self.image.address(name) - RAM_BASE, dtype, 1)

    def virtual(self, offset: int) -> int:
        """Return the address in the guest's direct map."""
        return self.target.direct_map + RAM_BASE + offset

    def describe(self, offset: int) -> str:
        """Say in words what lies at an offset in RAM."""
        for start, size, region in self._marks:
            if start <= offset < start + size:
                local = offset - start
                if region in _APART:
                    number = local // (2 * self.page_size)
                    what = "page" if region == POOL else "CPU"
                    local -= number * 2 * self.page_size
                    return f"{_NAMES[region]}, {what} {number}, byte {local:#x}"
                return f"{_NAMES[region]}, byte {local:#x}"
        return "memory that is nobody's"

    def mapped(self, address: int, *, write: bool = False, execute: bool = False) -> bool:
        """Return whether the guest has mapped an address so at boot, which leaves windows out."""
        return is_mapped(self._ranges, self.mmu_shift, address, write=write, execute=execute)

    def in_window(self, address: int) -> bool:
        """Return whether a virtual address is in a CPU's window, or beside it."""
        pages = self.sizes.cpus * self.WINDOW_PAGES
        return 0 <= address - self.target.window < pages << self.mmu_shift

    def describe_address(self, address: int) -> str:
        """Say in words what lies at a virtual address, which need not be mapped."""
        if self.in_window(address):
            page = address - self.target.window >> self.mmu_shift
            cpu, page = divmod(page, self.WINDOW_PAGES)
            guard = {0: "the guard page before ", 3: "the guard page behind "}
            name = f"{guard.get(page, '')}the window of CPU {cpu}"
            return name if page in guard else f"{name}, page {page - 1}: not present"
        if address < NULL:
            return "a null pointer's page"
        direct = address - self.virtual(0)
        if 0 <= direct < self.size:
            return self._describe_direct(direct)
        image = address - RAM_BASE
        if 0 <= image < self._end:
            return f"{self.describe(image)}, by its physical address"
        return "mapped by nothing"

    def _describe_direct(self, offset: int) -> str:
        """Say what lies at an offset in the direct map: a region, or which one it is behind."""
        before = [
            mark for mark in self._marks if mark[0] <= offset and mark[2] not in (CODE, OTHER)
        ]
        if not before:
            return "the direct map of the image, which has none"
        start, size, region = before[-1]
        local, name = offset - start, _NAMES[region]
        if local >= size:
            return f"the direct map, no page: {local - size:#x} bytes behind {name}"
        number, inside = divmod(local, 2 * self.page_size)
        if region in _APART and inside >= self.page_size:
            what = f"page {number} of the pool" if region == POOL else f"{name} of CPU {number}"
            return f"the guard page behind {what}, byte {inside - self.page_size:#x}"
        return self.describe(offset)

    def page_offset(self, pages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the offsets in RAM of pages of the pool."""
        return self.pool + pages * 2 * self.page_size

    def pfn(self, pages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the page frame numbers of pages of the pool."""
        return (RAM_BASE + self.page_offset(pages)) >> self.page_shift

    def regions(self) -> NDArray[np.uint8]:
        """Return the region of every page of RAM, OTHER for guard pages, shape (pages of RAM,)."""
        regions = np.full((self.size >> self.page_shift) + 1, OTHER, np.uint8)
        for start, size, region in self._marks:
            step = 2 if region in _APART else 1
            end = (start + size - 1 >> self.page_shift) + 1
            regions[start >> self.page_shift : end : step] = region
        return regions
