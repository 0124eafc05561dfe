# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory around a kernel's object: what lies where, and where the kernel expects it.

As for strategies, RAM is one array, everything is apart from everything else, and of the pool's
frames the guest maps every second one only. What differs is the addresses: the pages of the pool
and their ``struct page`` appear where this kernel's code computes them to be.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest import structures
from zsemu.guest.fresh_pages import zeros
from zsemu.guest.memory import (
    BATCH,
    BUFFER,
    CALLER,
    CODE,
    NULL,
    OTHER,
    POOL,
    RAM_BASE,
    STACK,
    STATE,
    Range,
    is_mapped,
)
from zsemu.kernel.guest import CONFIG, RUNNERS, kernel_layout
from zsemu.kernel.layouts import Layouts
from zsemu.kernel.link import KernelImage
from zsemu.kernel.object import interface
from zsemu.kernel.target import AddressLayout

_ALIGN: Final = 1 << 16
"""the largest page of any target"""
_STACK: Final = 1 << 16
_UNIT: Final = 32
"""bytes of the smallest slab object"""
_SLAB: Final = 1 << 20
"""bytes for slab objects beside handles and zspages: caches, classes, pool"""
_BATCHES: Final = 1 << 12
"""bytes for batches of CPUs that run at once"""
_TASK: Final = 1 << 14
"""bytes of a CPU's task, of which the code looks at the first few thousand"""


@dataclass(frozen=True)
class KernelSizes:
    """How much of everything a run needs."""

    cpus: int
    operations: int
    arena: int
    pages: int
    """of the pool, at once"""
    objects: int
    """numbers of objects"""
    zspages: int
    """at once"""
    shapes: int = 1 << 20


class KernelMemory:
    """The RAM of one run. Offsets are from its start; ``ram`` has dtype uint8."""

    def __init__(
        self,
        linked: KernelImage,
        layouts: Layouts,
        address: AddressLayout,
        sizes: KernelSizes,
        seed: int = 0,
    ) -> None:
        """Lay everything out; ``seed`` gives the order in which the pool's frames are used."""
        self.linked, self.image, self.sizes = linked, linked.image, sizes
        self.page_shift, self.page_size = linked.page_shift, 1 << linked.page_shift
        self.layouts, self.address = layouts, address
        self.target = target = linked.image.target
        self.types = kernel_layout(target)
        self._boot_types = structures.layout(target)
        self._ranges: list[Range] = []
        self._marks: list[tuple[int, int, int]] = []
        self._end = self.image.address("zs_data_end") - RAM_BASE
        self._map_image()
        self.stack = self._place(_STACK, STACK)
        self.percpu = self._place(sizes.cpus * _ALIGN, STATE)
        self.task = self._place(sizes.cpus * _ALIGN, STATE)
        operations = sizes.operations * self.types.op.itemsize
        self.ops = self._place(operations + _BATCHES, BATCH)
        self.batches = self.ops + operations
        """room for a batch of each CPU, if several run at once"""
        self.known = self._place(sizes.shapes, BATCH)
        self.handles = self._place(sizes.objects * target.word, BATCH)
        self.log = self._place((sizes.operations * 16 + 16) * 4, BATCH)
        self.frames = self._place(sizes.pages * 4, BATCH)
        self.arena = self._place(sizes.arena, CALLER)
        self.stream = self._place(self.page_size, CALLER)
        slab_pages = self._slab_pages()
        self.slab_state = self._place((slab_pages << self.page_shift) // _UNIT * 4, BATCH)
        self.slab = self._place(slab_pages << self.page_shift, STATE)
        self.pool = self._place(2 * sizes.pages << self.page_shift, POOL, apart=True)
        self.window_leaf, self.window_entries = self._take(_ALIGN), 0
        self.memmap = self._place_memmap()
        root = self._take(_ALIGN)
        # A leaf table maps 1 MiB or more.
        tables = self._take(((self._end >> 20) + 96) << self.page_shift)
        self.size = self._end
        if target.word_bits == 32 and address.linear + RAM_BASE + self.size > address.memmap:
            raise ZsemuError(
                f"the trace needs {self.size >> 20} MiB of memory on {target.name}, more than its"
                " linear map holds: choose fewer --operations"
            )
        self.ram: NDArray[np.uint8] = zeros(self.size, np.uint8)
        for start, content in self.image.sections.values():
            if start >= RAM_BASE:
                offset = start - RAM_BASE
                self.ram[offset : offset + len(content)] = np.frombuffer(content, np.uint8)
        self._describe_boot(root, tables)
        self._describe_cpus()
        self._describe_kernel(slab_pages, seed)
        self._set_variables()

    # Where things are.

    @property
    def mmu_shift(self) -> int:
        """Of the pages of the MMU: a kernel has no others."""
        return self.page_shift

    def _slab_pages(self) -> int:
        """Return how many pages slab objects may need; each size has pages of its own."""
        # Handles; zspages, of 64 or 128 bytes each; and a mapping buffer for each CPU.
        most = self.sizes.objects * _UNIT + self.sizes.zspages * 256 + _SLAB
        return (most >> self.page_shift) + self.page_shift + self.sizes.cpus

    def _map_image(self) -> None:
        image = self.image
        text, stop = image.address("zs_text_start"), image.address("zs_stop")
        data, data_end = image.address("zs_data_start"), image.address("zs_data_end")
        self._map(text, text - RAM_BASE, stop + _ALIGN - text, execute=True)
        self._map(data, data - RAM_BASE, data_end - data, write=True)
        self._mark(text - RAM_BASE, stop + _ALIGN - text, CODE)
        self._mark(data - RAM_BASE, data_end - data, OTHER)

    def _take(self, size: int) -> int:
        start = (self._end + 2 * _ALIGN - 1) // _ALIGN * _ALIGN
        self._end = (start + size + _ALIGN - 1) // _ALIGN * _ALIGN
        return start

    def _place(self, size: int, region: int, *, apart: bool = False) -> int:
        size = self._whole(max(size, 1))
        start = self._take(size)
        self._map(self.virtual(start), start, size, write=True, apart=apart)
        self._mark(start, size, region)
        return start

    def _whole(self, size: int) -> int:
        """Return a size or an address, rounded up to whole pages."""
        return (size + self.page_size - 1) // self.page_size * self.page_size

    def _place_memmap(self) -> int:
        """Place the ``struct page`` of the pool's frames, where the code expects them."""
        size = self.layouts.size("page")
        first = self.address.memmap + self._first_frame * size
        last = first + self.sizes.pages * 2 * size
        begin, end = first // self.page_size * self.page_size, self._whole(last)
        start = self._take(end - begin)
        self._map(begin, start, end - begin, write=True)
        self._mark(start, end - begin, STATE)
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
        pages = size >> self.page_shift
        run, skip = (1, 1) if apart else (pages, 0)
        row = (virtual, RAM_BASE + start, pages, run, skip, int(write), int(execute))
        self._ranges.append(row)

    def virtual(self, offset: int) -> int:
        """Return the address in the guest's linear map."""
        return self.address.linear + RAM_BASE + offset

    def offset(self, virtual: int) -> int:
        """Return the offset of an address in the guest's linear map."""
        return virtual - self.address.linear - RAM_BASE

    @property
    def _first_frame(self) -> int:
        """The number of the pool's first page frame."""
        return RAM_BASE + self.pool >> self.page_shift

    def linear(self, frames: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the addresses of page frames in the guest's linear map."""
        start = np.uint64(self.address.linear)
        return start + (frames.astype(np.uint64) << np.uint64(self.page_shift))

    def view(self, offset: int, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        """Return ``count`` items of ``dtype`` at ``offset``, in place."""
        return np.frombuffer(self.ram, dtype, count, offset)

    def view_symbol(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the variable ``name`` of the image, in place, shape (1,)."""
        return self.view(self.image.address(name) - RAM_BASE, dtype, 1)

    def word(self, virtual: int, size: int | None = None) -> int:
        """Return the word, or ``size`` bytes, at an address in the linear map."""
        at, size = self.offset(virtual), size or self.target.word
        return int.from_bytes(self.ram[at : at + size].tobytes(), "little")

    def mapped(self, address: int, *, write: bool = False, execute: bool = False) -> bool:
        """Return whether the guest has mapped an address so."""
        return is_mapped(self._ranges, self.mmu_shift, address, write=write, execute=execute)

    def in_window(self, address: int) -> bool:
        """Return whether an address is in a CPU's window, of which a kernel has none."""
        return False

    def describe_address(self, address: int) -> str:
        """Say in words what lies at a virtual address, which need not be mapped."""
        if address < NULL:
            return "a null pointer's page"
        if 0 <= address - RAM_BASE < self.image.address("zs_data_end") - RAM_BASE:
            symbol = self.image.name(address)
            return f"code or static data of the image: {symbol}"
        at = self.offset(address)
        pool = at - self.pool
        page, inside = divmod(pool, self.page_size)
        if 0 <= page < 2 * self.sizes.pages and page % 2:
            frame = (RAM_BASE + at >> self.page_shift) - 1
            return f"the page behind page frame {frame:#x} of the pool, byte {inside:#x}"
        if 0 <= at < self.size:
            return "the linear map, no page" if not self.mapped(address) else "the linear map"
        return "mapped by nothing"

    def describe(self, offset: int) -> str:
        """Say in words what lies at an offset in RAM."""
        word, page = self.target.word, self.layouts.size("page")
        pool, memmap = offset - self.pool, offset - self.memmap
        if 0 <= pool < self.sizes.pages * 2 * self.page_size:
            frame = RAM_BASE + offset >> self.page_shift
            return f"page frame {frame:#x} of the pool, byte {pool % self.page_size:#x}"
        if 0 <= memmap < self.sizes.pages * 2 * page + self.page_size:
            first = self.address.memmap + self._first_frame * page
            at = memmap - first % self.page_size
            frame = self._first_frame + at // page
            return f"struct page of page frame {frame:#x}, byte {at % page:#x}"
        if 0 <= offset - self.percpu < self.sizes.cpus * _ALIGN:
            cpu, at = divmod(offset - self.percpu, _ALIGN)
            return f"per-CPU data of CPU {cpu}, byte {at:#x}"
        if 0 <= offset - self.handles < self.sizes.objects * word:
            return f"the caller's handle of object {(offset - self.handles) // word}"
        buffers = [self.offset(start) for start in self.buffers()]
        for cpu, start in enumerate(buffers):
            if start <= offset < start + self.page_size:
                return f"the mapping buffer of CPU {cpu}, byte {offset - start:#x}"
        if offset >= self.slab:
            return f"slab memory at {self.virtual(offset):#x}"
        if 0 <= offset - self.arena < self.sizes.arena:
            return f"a caller's buffer, byte {offset - self.arena:#x}"
        return f"data of the stand-ins at {offset:#x} in RAM"

    def regions(self) -> NDArray[np.uint8]:
        """Return the region of every page of RAM, shape (pages of RAM,)."""
        shift = self.page_shift
        regions = np.full((self.size >> shift) + 1, OTHER, np.uint8)
        for start, size, region in self._marks:
            regions[start >> shift : (start + size - 1 >> shift) + 1] = region
        return regions

    def buffers(self) -> list[int]:
        """Return the addresses of the mapping buffers that mark_buffers() has found."""
        return [self.virtual(start) for start, _, region in self._marks if region == BUFFER]

    def mark_buffers(self) -> None:
        """Know the per-CPU mapping buffers that the initcall has allocated, if it has."""
        if "mapping_area" not in self.layouts.structs:
            return
        area = self.layouts.structs["mapping_area"].members
        symbol = self.linked.symbols.get("zs_map_area")
        if symbol is None or "vm_buf" not in area:
            return
        for cpu in range(self.sizes.cpus):
            at = self.percpu + cpu * _ALIGN + symbol + area["vm_buf"]
            raw = self.ram[at : at + self.target.word].tobytes()
            self._mark(self.offset(int.from_bytes(raw, "little")), self.page_size, BUFFER)

    # What the guest finds there.

    def _describe_boot(self, root: int, tables: int) -> None:
        self.boot = boot = self.view_symbol("zs_boot_info", self._boot_types.boot)
        boot["stack_phys"] = RAM_BASE + self.stack + _STACK
        boot["stack_virt"] = self.virtual(self.stack) + _STACK
        boot["root"], boot["tables"] = RAM_BASE + root, RAM_BASE + tables
        boot["window"] = self.target.window
        boot["window_leaf"] = RAM_BASE + self.window_leaf
        boot["nr_ranges"] = len(self._ranges)
        assert len(self._ranges) <= structures.MAX_RANGES
        for index, row in enumerate(self._ranges):
            boot["range"][0, index] = row

    def _describe_cpus(self) -> None:
        """Fill every CPU's per-CPU area from the image, and its task."""
        template = np.frombuffer(self.image.sections[".percpu"][1], np.uint8)
        word = self._boot_types.word
        offsets = self.view(self.image.address("__per_cpu_offset") - RAM_BASE, word, 256)
        for cpu in range(self.sizes.cpus):
            start = self.percpu + cpu * _ALIGN
            self.ram[start : start + len(template)] = template
            offsets[cpu] = self.virtual(start)
            if "this_cpu_off" in self.image.symbols:
                at = start + self.image.address("this_cpu_off")
                self.view(at, word, 1)[0] = self.virtual(start)
            for name in self.linked.kernel.target.current:
                at = start + self.image.address(name)
                self.view(at, word, 1)[0] = self.virtual(self.task + cpu * _ALIGN)
            for field in self.linked.kernel.target.task:
                at = self.task + cpu * _ALIGN
                for name in field.fields:
                    at += self.layouts.offset(*name.split("."))
                value = cpu if field.value is None else field.value
                self.view(at, np.dtype(f"<u{field.bytes}"), 1)[0] = value

    def _describe_kernel(self, slab_pages: int, seed: int) -> None:
        """Write ``zk_config`` and ``zk_batch``, and put the pool's frames on their stack."""
        layouts, linked = self.layouts, self.linked
        page, moves = "page", "movable_operations"
        has_list, has_work = ("scatterlist" in layouts.structs), ("work_struct" in layouts.structs)
        scatter = {
            name: layouts.offset("scatterlist", name) if has_list else 0
            for name in ("page_link", "offset", "length")
        }
        frames = self.view(self.frames, np.dtype("<u4"), self.sizes.pages)
        frames[:] = self._first_frame + 2 * np.random.default_rng(seed).permutation(
            self.sizes.pages
        )
        values = {
            "page_bytes": layouts.size(page),
            "page_flags": layouts.offset(page, "flags"),
            "page_mapping": layouts.offset(page, "mapping"),
            "page_refcount": layouts.offset(page, "_refcount"),
            "page_type": layouts.offset(page, "page_type", "_mapcount"),
            "locked": 1 << layouts.flags.get("PG_locked", 0),
            "isolated": 1 << layouts.flags["PG_isolated"] if "PG_isolated" in layouts.flags else 0,
            "isolate": layouts.offset(moves, "isolate_page"),
            "migrate": layouts.offset(moves, "migrate_page"),
            "putback": layouts.offset(moves, "putback_page"),
            "shrinker_bytes": layouts.size("shrinker", 512),
            "sg_bytes": layouts.size("scatterlist"),
            "sg_page": scatter["page_link"],
            "sg_offset": scatter["offset"],
            "sg_length": scatter["length"],
            "memmap": self.address.memmap,
            "linear": self.address.linear,
            "percpu": self.virtual(self.percpu),
            "percpu_stride": _ALIGN,
            "task": self.virtual(self.task),
            "task_stride": _ALIGN,
            "cpus": self.sizes.cpus,
            "slab": self.virtual(self.slab),
            "slab_pages": slab_pages,
            "slab_state": self.virtual(self.slab_state),
            "frames": self.virtual(self.frames),
            "nr_frames": self.sizes.pages,
            "all_frames": self.sizes.pages,
            "log": self.virtual(self.log),
            "handles": self.virtual(self.handles),
            "stream": self.virtual(self.stream),
            "api": int(interface(linked.kernel, layouts)),
            "init": linked.init,
            "exit": linked.exit,
            "fail_after": 0,
            "parallel": 0,
            "stack": self.virtual(self.stack) + _STACK,
            "work_func": layouts.offset("work_struct", "func") if has_work else 0,
        }
        assert set(values) == set(CONFIG.split())
        self.config = self.view_symbol("zk_config", self.types.config)
        for name, value in values.items():
            self.config[name] = value
        self.batch = self.view_symbol("zk_batch", self.types.batch)
        self.batch["ops"], self.batch["known"] = self.virtual(self.ops), self.virtual(self.known)
        self.state = self.view_symbol("zk_state", self.types.state)
        self.next_batch = self.view_symbol("zk_next_batch", self._boot_types.word)
        at = self.image.address("zk_locks") - RAM_BASE
        self.locks = self.view(at, self.types.locks, RUNNERS)
        """the locks of each emulated CPU, in place"""

    def _set_variables(self) -> None:
        """Give the kernel's variables the values that its address layout asks for."""
        word = self._boot_types.word
        for place, value in self.address.set.items():
            name, _, field = place.partition(":")
            struct = field.partition(".")[0]
            if name in self.image.symbols and (not field or struct in self.layouts.structs):
                offset = self.layouts.offset(*field.split(".")) if field else 0
                at = self.image.address(name) - RAM_BASE + offset
                self.view(at, word, 1)[0] = value
        for name, (struct, field, value) in self.address.fill.items():
            if name in self.image.symbols and struct in self.layouts.structs:
                step, offset = self.layouts.size(struct), self.layouts.offset(*field.split("."))
                start = self.image.address(name) - RAM_BASE + offset
                for index in range(self.image.symbols[name].size // step):
                    self.view(start + index * step, word, 1)[0] = value
