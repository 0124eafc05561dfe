# SPDX-License-Identifier: GPL-2.0-only
"""Builds native/hooks.c for this machine and hangs its callbacks into Unicorn."""

import ctypes
import hashlib
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import unicorn
from numpy.typing import NDArray
from unicorn.unicorn_py3.unicorn import uclib

from zsemu.counts import PHASES, PROFILE, ROW, SCOPE_COLUMNS
from zsemu.guest.compiler import cache_folder, compile_to, zig
from zsemu.guest.image import ALIGNED, STRING, Image
from zsemu.guest.memory import RAM_BASE, Memory
from zsemu.guest.strategies import PROMISES

ENTRIES = ("zs_settle", "zs_map_object", "zs_access_out", "zs_access_in", "zs_unmap_object")
DRIVER_PHASE = len(PHASES)
MAX_FINDINGS = 20
_SLOT = _LEAF = 65536
_LINE_TABLE = 1 << 13
_SOURCE = Path(__file__).parent / "native" / "hooks.c"
_FLAGS = ("-O2", "-shared", "-fPIC", "-mcpu=baseline", "-Wall", "-fno-sanitize=undefined")

EXPECTED = np.dtype(
    [
        ("scope", np.uint32),
        ("cpu", np.uint32),
        ("zspage", np.int64),
        ("low", np.uint64),
        ("high", np.uint64),
        ("caller", np.uint64),
        ("length", np.uint64),
        ("reads", np.uint64),
        ("part", np.uint64, 2),
        ("bytes", np.uint64, 2),
    ]
)
"""What the host knows of an operation: struct expected."""

FINDING = np.dtype(
    [(name, np.uint64) for name in ("what", "operation", "phase", "pc", "address", "size", "value")]
)
"""Something that the callbacks found wrong: struct finding; ``what`` is one of the following."""
STRAY, MISALIGNED, STALE, PROMISE = range(4)
"""PROMISE + i: that strategies.PROMISES[i] is broken"""
TOO_LONG, TOO_MANY_BLOCKS, TOO_MUCH_MEMORY = range(1, 4)
"""why a run was stopped: ``raw.exhausted``"""
_WHATS = PROMISE + len(PROMISES)

_BLOCK = np.dtype([("address", np.uint64), ("size", np.uint32), ("next", np.uint32)])

_NOWHERE = (1 << 64) - 1

_u64, _pointer = ctypes.c_uint64, ctypes.c_void_p


class _Hooks(ctypes.Structure):
    """``struct hooks``, field by field."""

    _fields_ = (
        *((name, _u64) for name in ("text", "text_size", "driver", "driver_end")),
        ("entry", _u64 * len(ENTRIES)),
        ("word_bits", _u64),
        ("current", _pointer),
        ("expected", _pointer),
        ("budget", _u64),
        ("stop", _pointer),
        *((name, _u64) for name in ("phase", "spent", "exhausted", "operation", "pc")),
        *((name, _pointer) for name in ("block_at", "blocks", "hits", "repeats")),
        *((name, _u64) for name in ("nr_blocks", "max_blocks", "cell")),
        *((name, _u64) for name in ("previous", "previous_size", "previous_cell")),
        ("kind", _pointer),
        ("class", _pointer),
        ("rows", _pointer),
        *((name, _u64) for name in ("ram", "ram_size", "page_shift")),
        *((name, _pointer) for name in ("region", "owner", "index")),
        *((name, _u64) for name in ("window_leaf", "pte_size", "window_ptes", "zspages")),
        *((name, _u64) for name in ("buffers", "stride")),
        *((name, _u64) for name in ("last_pte", "pte_halves", "round", "zeroing")),
        *((name, _u64) for name in ("epoch", "accessed")),
        ("lines", _u64 * (3 * _LINE_TABLE)),
        ("promises", _u64),
        ("nr_findings", _u64),
        ("last_found", _u64 * _WHATS),
        ("findings", _u64 * (FINDING.itemsize // 8 * MAX_FINDINGS)),
        ("memory", _pointer),
        *((name, _u64) for name in ("mapped", "buffer_used", "watch", "watched_pc")),
        ("slot", ctypes.c_uint8 * _SLOT),
        *((name, _u64) for name in ("strict", "pte_present", "window", "mmu_shift", "pte_pc")),
        *((name, _pointer) for name in ("read_register", "control", "operand", "displacement")),
        ("operand_shift", _u64),
        ("served", ctypes.c_uint8 * _LEAF),
        ("stored", ctypes.c_uint8 * _LEAF),
        *((name, _pointer) for name in ("profile", "weight")),
    )


@cache
def _library() -> ctypes.CDLL:
    """Load the compiled callbacks, compiled first if this source never was on such a machine."""
    digest = hashlib.sha256()
    digest.update("\0".join((*_FLAGS, platform.system(), platform.machine())).encode())
    digest.update(_SOURCE.read_bytes())
    library = cache_folder("hooks") / f"hooks-{digest.hexdigest()[:24]}.so"
    if not library.exists():
        command = [*zig(), "cc", *_FLAGS, str(_SOURCE)]
        compile_to(library, command, "the native hooks do not compile here")
    return ctypes.CDLL(str(library))


def build_library() -> None:
    """Compile the callbacks if that has not been done: once, before many processes want them."""
    _library()


class Hooks:
    """The native side of one machine. Arrays given to it are kept alive as long as it is."""

    MAX_BLOCKS = 1 << 14

    def __init__(self, memory: Memory, *, budget: int) -> None:
        """Know the image in ``memory``; ``budget`` is the blocks that one phase may take.

        Where every instruction is hooked, it is the instructions.
        """
        image = memory.image
        self._library = _library()
        self._memory = memory
        self._kept: dict[str, NDArray[Any]] = {}
        self._handles: list[ctypes.c_size_t] = []
        self.raw = _Hooks()
        start, end = image.text
        raw = self.raw
        raw.text, raw.text_size = start, end - start
        raw.driver, raw.driver_end = (
            image.address("zs_driver_start"),
            image.address("zs_driver_end"),
        )
        for index, name in enumerate(ENTRIES):
            # A strategy need not have zs_settle(): then nothing ever runs at that address.
            raw.entry[index] = image.symbols[name].address if name in image.symbols else 0
        raw.word_bits = image.target.word_bits
        raw.budget = budget
        raw.stop = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value
        raw.phase = DRIVER_PHASE
        field = memory.types.batch.fields["current"]  # type: ignore[index]
        current = image.address("zs_batch") - RAM_BASE + field[1]
        self.point("current", memory.ram[current:])
        cells = (self.MAX_BLOCKS, len(PHASES), SCOPE_COLUMNS)
        self.blocks = np.zeros(self.MAX_BLOCKS, _BLOCK)
        self.hits = np.zeros(cells, np.uint64)
        self.repeats = np.zeros(cells, np.uint64)
        raw.max_blocks = self.MAX_BLOCKS
        self.point("block_at", np.zeros(end - start, np.uint32))
        self.point("blocks", self.blocks)
        self.point("hits", self.hits)
        self.point("repeats", self.repeats)

    def point(self, field: str, array: NDArray[Any]) -> None:
        """Let a pointer of ``struct hooks`` point at an array."""
        self._kept[field] = array
        setattr(self.raw, field, array.ctypes.data)

    def observe(
        self,
        owner: NDArray[np.int32],
        index: NDArray[np.int32],
        promises: Sequence[str] = (),
        watch: int = -1,
    ) -> None:
        """Prepare for attach_everything().

        ``owner`` and ``index`` say, by page of RAM, which CPU or zspage it belongs to and which of
        its pages it is. ``watch`` is the offset of a byte of RAM, or -1.
        """
        memory, image, raw = self._memory, self._memory.image, self.raw
        target = image.target
        self.point("memory", memory.ram)
        self.point("kind", image.kinds)
        self.point("class", image.classes)
        self.point("region", memory.regions())
        self.point("owner", owner)
        self.point("index", index)
        register, displacement = image.operands
        self.point("operand", register)
        self.point("displacement", displacement)
        raw.operand_shift = target.instructions.tlb_operand_shift
        raw.ram, raw.ram_size, raw.page_shift = RAM_BASE, memory.size, memory.page_shift
        raw.zspages, raw.window_leaf = memory.zspages, memory.window_leaf
        raw.buffers, raw.stride = memory.buffer, memory.area_stride
        raw.pte_size, raw.pte_present = target.pte_size, target.pte_present
        raw.window, raw.window_ptes = target.window, memory.WINDOW_PAGES
        raw.mmu_shift = memory.mmu_shift
        for promise in promises:
            raw.promises |= 1 << PROMISE + PROMISES.index(promise)
        raw.watch = watch & _NOWHERE

    def attach_blocks(self, uc: unicorn.Uc) -> None:
        """Count hits per block, but for those of the access, which is the last of the code."""
        last = self._memory.image.address("zs_access_start") - 1
        self._add(uc, unicorn.unicorn_const.UC_HOOK_BLOCK, self._library.on_block, last=last)

    def attach_everything(self, uc: unicorn.Uc) -> None:
        """Fill a row for every operation and judge every store."""
        self._add(uc, unicorn.unicorn_const.UC_HOOK_CODE, self._library.on_code)
        memory = unicorn.unicorn_const.UC_HOOK_MEM_READ | unicorn.unicorn_const.UC_HOOK_MEM_WRITE
        self._add(uc, memory, self._library.on_memory)

    def attach_leaf(self, uc: unicorn.Uc, address: int, size: int) -> None:
        """Serve the windows' page table as a device: a changed entry only after its invalidate."""
        raw = self.raw
        raw.strict = 1
        raw.read_register = ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value
        raw.control = ctypes.cast(uclib.uc_ctl, ctypes.c_void_p).value
        status = uclib.uc_mmio_map(
            uc._uch,
            ctypes.c_uint64(address),
            ctypes.c_size_t(size),
            ctypes.cast(self._library.leaf_read, ctypes.c_void_p),
            ctypes.byref(raw),
            ctypes.cast(self._library.leaf_write, ctypes.c_void_p),
            ctypes.byref(raw),
        )
        if status:
            raise unicorn.UcError(status)

    def _add(self, uc: unicorn.Uc, kind: int, callback: object, last: int | None = None) -> None:
        """Hang a callback in; for code up to an address, or for everything."""
        # Past the binding's own hook_add(): that would call Python for every event.
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            uc._uch,
            ctypes.byref(handle),
            ctypes.c_int(kind),
            ctypes.cast(callback, ctypes.c_void_p),  # type: ignore[arg-type]
            ctypes.byref(self.raw),
            ctypes.c_uint64(1 if last is None else 0),
            ctypes.c_uint64(last or 0),
        )
        if status:
            raise unicorn.UcError(status)
        self._handles.append(handle)

    def findings(self) -> NDArray[np.void]:
        """Return the first things found wrong, dtype FINDING, at most MAX_FINDINGS."""
        kept = min(self.raw.nr_findings, MAX_FINDINGS)
        return np.frombuffer(self.raw.findings, FINDING)[:kept].copy()

    def rows(self, operations: int) -> NDArray[np.uint32]:
        """Make room for a row per operation, shape (operations, phases, columns), all zero."""
        rows = np.zeros((operations, len(PHASES), len(ROW)), np.uint32)
        self.point("rows", rows)
        return rows

    def profile(self) -> NDArray[np.uint64]:
        """Make room for what each instruction does, all zero: (phases, bytes of code, PROFILE).

        Every operation then needs a ``weight``, dtype uint64: how often it is to be counted.
        """
        profile = np.zeros((len(PHASES), int(self.raw.text_size), len(PROFILE)), np.uint64)
        self.point("profile", profile)
        return profile

    def instructions(self, image: Image) -> NDArray[np.int64]:
        """Sum the instructions that the block hits stand for, shape (phases, SCOPE_COLUMNS).

        A rep-prefixed instruction is a block of its own from its second round on, and retired once.
        """
        total = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
        start = image.text[0]
        for index in range(self.raw.nr_blocks):
            address, size = int(self.blocks[index]["address"]), int(self.blocks[index]["size"])
            number = image.count(address, size)
            total += self.hits[index].astype(np.int64) * number
            if number == 1 and image.kinds[address - start] & (ALIGNED - 1) == STRING:
                total -= self.repeats[index].astype(np.int64)
        return total
