# SPDX-License-Identifier: GPL-2.0-only
"""The native hooks of one emulated CPU: compiled from native/, added to Unicorn, filled and read.

The callbacks are C, because a Python call for each event would cost more than the emulation.
"""

import ctypes
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import unicorn
from numpy.typing import NDArray
from unicorn.unicorn_py3.unicorn import uclib

from zsemu.counts import PHASES, PROFILE, ROW, SCOPE_COLUMNS
from zsemu.errors import ZsemuError
from zsemu.guest.block_histogram import BlockHistogram, BlockHits
from zsemu.guest.fresh_pages import zeros
from zsemu.guest.hook_structures import (
    BY_SPAN,
    CALLS,
    DRIVER_PHASE,
    FINDING,
    PROMISE,
    NativeHooks,
    NativeMemory,
)
from zsemu.guest.image import Image
from zsemu.guest.memory import RAM_BASE, Memory
from zsemu.guest.native_library import load_library
from zsemu.guest.strategies import PROMISES
from zsemu.guest.structures import MAX_PAGES
from zsemu.guest.unhooked_blocks import string_rounds, unhooked_blocks

SOURCES: Final = Path(__file__).parent / "native"
"""the folder of the C files; hooks.c includes the others"""
_NOWHERE: Final = (1 << 64) - 1


@cache
def library() -> ctypes.CDLL:
    """Load the callbacks, which are compiled first if the cache does not have them.

    ZsemuError with the compiler's message if they do not compile.
    """
    return load_library("hooks", SOURCES / "hooks.c")


def build_library() -> None:
    """Compile the callbacks if need be: once, before many processes want them."""
    library()


def describe_places(native: NativeMemory, memory: Memory) -> None:
    """Say where in RAM everything lies that operations may access; set no pointer."""
    native.start, native.size, native.page_shift = RAM_BASE, memory.size, memory.page_shift
    native.zspages, native.ops = memory.zspages, memory.ops
    native.op_size = memory.types.op.itemsize
    native.data, native.data_size = memory.data
    native.buffers, native.stride = memory.buffer, memory.area_stride
    native.leaf = memory.window_leaf
    native.leaf_stride = memory.WINDOW_PAGES * memory.target.pte_size


class Place(NamedTuple):
    """Where a guest was when something happened."""

    pc: int
    calls: tuple[int, ...] = ()
    """the calls that led there, the innermost first; at most CALLS"""


class Hooks:
    """The native hooks of one CPU. Arrays given to it are kept alive as long as it is."""

    MAX_BLOCKS: Final = 1 << 14

    def __init__(self, memory: Memory, *, budget: int) -> None:
        """Prepare for the image in ``memory``.

        ``budget`` is the number of blocks that one phase of an operation may take, or of
        instructions with attach_everything().
        """
        self._library = library()
        self._memory = memory
        self._kept: dict[tuple[type, str], NDArray[Any]] = {}
        self._handles: list[ctypes.c_size_t] = []
        self._native = NativeHooks()
        self._describe_image(memory.image)
        run = self._native.run
        self._point(run, "current", memory.batch["current"])
        self._phases = memory.view(memory.ops, memory.types.op, memory.sizes.operations)["phase"]
        self._point(run, "phases", self._phases)
        run.phases_stride = memory.types.op.itemsize
        run.budget, run.phase = budget, DRIVER_PHASE
        run.stop = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value
        self._blocks = BlockHistogram(
            self._native.blocks, memory.image, most=self.MAX_BLOCKS, phases=len(PHASES)
        )

    def _describe_image(self, image: Image) -> None:
        native = self._native.image
        start, end = image.text
        native.text, native.text_size = start, end - start
        native.word_bits = image.target.word_bits
        # What enters the driver lies before it.
        self._native.driver.start = start
        self._native.driver.end = image.address("zs_driver_end")

    def _point(self, structure: ctypes.Structure, field: str, array: NDArray[Any]) -> None:
        """Let a pointer of a native structure point at an array."""
        self._kept[type(structure), field] = array
        setattr(structure, field, array.ctypes.data)

    # --- What the callbacks are given --------------------------------------------------------

    def expect(self, expected: NDArray[np.void]) -> None:
        """Say what the operations of a batch may do, dtype EXPECTED, shape (operations,).

        None of them has begun.
        """
        self._point(self._native.run, "expected", expected)
        run = self._native.run
        run.operations, run.operation, run.phase = len(expected), 0, DRIVER_PHASE
        self._phases[: len(expected)] = 0

    def weigh(self, weights: NDArray[np.uint64]) -> None:
        """Say how often each operation of a batch counts in the profile, shape (operations,)."""
        self._point(self._native.profile, "weight", weights)

    def observe(
        self,
        owner: NDArray[np.int32],
        index: NDArray[np.int32],
        promises: Sequence[str] = (),
        watch: int = -1,
    ) -> None:
        """Prepare for attach_everything().

        ``owner`` and ``index`` say, by page of RAM, which CPU or zspage it belongs to and which of
        its pages it is. ``promises`` are those of PROMISES to which the strategy is held. ``watch``
        is the offset in RAM of a byte whose last store is wanted, or -1.
        """
        memory, native = self._memory, self._native
        image, target = memory.image, memory.target
        register, displacement = image.operands
        self._point(native.image, "kind", image.kinds)
        self._point(native.image, "class", image.classes)
        self._point(native.image, "operand", register)
        self._point(native.image, "displacement", displacement)
        native.image.operand_shift = target.instructions.tlb_operand_shift

        layout = native.memory
        self._point(layout, "ram", memory.ram)
        self._point(layout, "region", memory.regions())
        self._point(layout, "owner", owner)
        self._point(layout, "index", index)
        describe_places(layout, memory)
        self._point(native.by_span, "spans", memory.by_span["addr"])
        native.by_span.direct = memory.virtual(0)
        native.by_span.access_out, native.by_span.access_in = map(image.address, BY_SPAN)

        table = native.translations
        table.window = target.window
        table.pte_size, table.pte_present = target.pte_size, target.pte_present
        table.window_ptes, table.mmu_shift = memory.WINDOW_PAGES, memory.mmu_shift

        outside = zeros(MAX_PAGES << memory.page_shift, np.uint32)
        self._point(native.judgement, "outside", outside)
        native.judgement.watch = watch & _NOWHERE
        for promise in promises:
            native.judgement.promises |= 1 << PROMISE + PROMISES.index(promise)

    def rows(self, operations: int) -> NDArray[np.uint32]:
        """Make room for a row per operation, shape (operations, phases, columns), all zero."""
        rows = zeros((operations, len(PHASES), len(ROW)), np.uint32)
        self._point(self._native.rows, "row", rows)
        return rows

    def profile(self) -> NDArray[np.uint64]:
        """Make room for what each instruction does, all zero: (phases, bytes of code, PROFILE).

        From then on weigh() must be called for every batch.
        """
        size = int(self._native.image.text_size)
        profile = np.zeros((len(PHASES), size, len(PROFILE)), np.uint64)
        self._point(self._native.profile, "counts", profile)
        return profile

    def keep_sequence(self, operations: int, steps: int) -> None:
        """Keep every access from now on, of batches of at most so many operations.

        ``steps`` is how many accesses there is room for between two calls of take_sequence().
        """
        self._point(self._native.sequence, "step", zeros(steps, np.uint64))
        self._point(self._native.sequence, "end", np.zeros(operations, np.uint64))
        self._native.sequence.max = steps

    # --- Unicorn -----------------------------------------------------------------------------

    def attach_blocks(self, uc: unicorn.Uc) -> None:
        """Count hits per block of the strategy: between the code of the driver and the access.

        The CPU has booted, and has run nothing else.
        """
        image = self._memory.image
        some = image.address("zs_driver_end"), image.address("zs_access_start") - 1
        self._translate(uc, string_rounds(image))
        self._add(uc, unicorn.unicorn_const.UC_HOOK_BLOCK, self._library.on_block, some)

    def attach_all_blocks(self, uc: unicorn.Uc) -> None:
        """Count hits of all blocks, the driver's included, as if one endless phase had them all."""
        native = self._native
        native.driver.start = native.driver.end = 0
        native.run.phase, native.run.budget = 0, _NOWHERE
        # What the driver says is that it is in this phase of this operation, whatever happens.
        self._point(native.run, "said", np.ones(1, np.uint32))
        self._point(native.run, "current", np.zeros(1, np.uint64))
        self._add(uc, unicorn.unicorn_const.UC_HOOK_BLOCK, self._library.on_block)

    def attach_everything(self, uc: unicorn.Uc) -> None:
        """Fill a row for every operation and judge every access.

        The CPU has booted, and has run nothing else.
        """
        code = unicorn.unicorn_const.UC_HOOK_CODE
        accesses = unicorn.unicorn_const.UC_HOOK_MEM_READ | unicorn.unicorn_const.UC_HOOK_MEM_WRITE
        image = self._memory.image
        self._translate(uc, unhooked_blocks(image))
        self._add(uc, code, self._library.on_code)
        self._add(uc, accesses, self._library.on_memory)

    def attach_leaf(self, uc: unicorn.Uc, address: int, size: int) -> None:
        """Serve the windows' page table as a device: a changed entry only after its invalidate.

        ``address`` and ``size`` are those of the table in physical memory.
        """
        table = self._native.translations
        table.strict = 1
        table.read_register = ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value
        table.control = ctypes.cast(uclib.uc_ctl, ctypes.c_void_p).value
        status = uclib.uc_mmio_map(
            uc._uch,
            ctypes.c_uint64(address),
            ctypes.c_size_t(size),
            ctypes.cast(self._library.leaf_read, ctypes.c_void_p),
            ctypes.byref(self._native),
            ctypes.cast(self._library.leaf_write, ctypes.c_void_p),
            ctypes.byref(self._native),
        )
        if status:
            raise unicorn.UcError(status)

    def _translate(self, uc: unicorn.Uc, addresses: Sequence[int]) -> None:
        """Have the blocks at some addresses translated before there are hooks."""
        array = np.array(addresses, np.uint64)
        status = self._library.translate(
            uc._uch,
            ctypes.cast(uclib.uc_ctl, ctypes.c_void_p),
            array.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(len(array)),
        )
        if status:
            raise unicorn.UcError(status)

    def _add(
        self, uc: unicorn.Uc, kind: int, callback: object, some: tuple[int, int] = (1, 0)
    ) -> None:
        """Add a callback, for ``some`` addresses from the first to the last, or for everything."""
        # Past the binding's own hook_add(): that would call Python for every event.
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            uc._uch,
            ctypes.byref(handle),
            ctypes.c_int(kind),
            ctypes.cast(callback, ctypes.c_void_p),  # type: ignore[arg-type]
            ctypes.byref(self._native),
            ctypes.c_uint64(some[0]),
            ctypes.c_uint64(some[1]),
        )
        if status:
            raise unicorn.UcError(status)
        self._handles.append(handle)

    # --- What the callbacks have found -------------------------------------------------------

    @property
    def stopped(self) -> int:
        """Why the run was stopped: one of enum reason, or 0."""
        return int(self._native.run.stopped)

    @property
    def stopped_at(self) -> int:
        """The address of the word that is ``stopped``, for native code."""
        run = self._native.run
        return ctypes.addressof(run) + int(type(run).stopped.offset)

    @property
    def operation(self) -> int:
        """The operation of the batch of which a phase began last."""
        return int(self._native.run.operation)

    @property
    def phase(self) -> str:
        """What is running: one of counts.PHASES, or the driver."""
        return "the driver" if self.in_driver else PHASES[self._native.run.phase]

    @property
    def in_driver(self) -> bool:
        """Whether the driver itself runs, whose blocks show no instructions."""
        return bool(self._native.run.phase == DRIVER_PHASE)

    @property
    def place(self) -> Place:
        """Where the guest is; its pc is 0 without attach_everything()."""
        run = self._native.run
        kept = min(int(run.depth), CALLS)
        return Place(int(run.pc), tuple(reversed(run.call[:kept])))

    @property
    def watched(self) -> Place | None:
        """Where the watched byte was changed last, if it was."""
        judgement = self._native.judgement
        pc = int(judgement.watched_pc)
        return Place(pc, tuple(filter(None, judgement.watched_calls))) if pc else None

    @property
    def buffer_used(self) -> int:
        """Bytes of a per-CPU buffer, up to the last one that was ever stored into."""
        return int(self._native.rows.buffer_used)

    def take_findings(self) -> tuple[NDArray[np.void], int]:
        """Return what was found wrong since the last call, and forget it.

        The first MAX_FINDINGS findings, dtype FINDING, and the number of all of them.
        """
        judgement = self._native.judgement
        number = int(judgement.nr_findings)
        judgement.nr_findings = 0
        return np.frombuffer(judgement.findings, FINDING)[:number].copy(), number

    def take_sequence(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the accesses since the last call, and forget them.

        The steps, as native/step.h has them: a view, good until the guest runs again. And by
        operation the number of steps up to its last one, 0 if it has none. ZsemuError if there were
        more than there is room for.
        """
        sequence = self._native.sequence
        number, most = int(sequence.number), int(sequence.max)
        if number > most:
            raise ZsemuError(
                f"a batch of operations has {number} accesses, and caches are modelled for at most"
                f" {most}: leave out --cache"
            )
        steps, ends = (self._kept[type(sequence), name] for name in ("step", "end"))
        found = ends.astype(np.int64)
        sequence.number = 0
        ends[:] = 0
        return steps[:number], found

    def block_hits(self) -> Iterator[BlockHits]:
        """Yield how often each translated block has run."""
        return iter(self._blocks)

    def instructions(self) -> NDArray[np.int64]:
        """Sum the instructions that the block hits stand for, shape (phases, SCOPE_COLUMNS)."""
        total = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
        for _, retired in self._blocks.retired():
            total += retired
        return total
