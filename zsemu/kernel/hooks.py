# SPDX-License-Identifier: GPL-2.0-only
"""Builds native/counts.c for this machine and hangs its callbacks into Unicorn."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import unicorn
from numpy.typing import NDArray
from unicorn.unicorn_py3.unicorn import uclib

from zsemu.counts import PROFILE, SCOPE_COLUMNS
from zsemu.guest.block_histogram import BlockHistogram
from zsemu.guest.hook_structures import NativeBlocks
from zsemu.guest.memory import RAM_BASE
from zsemu.guest.native_library import load_library
from zsemu.kernel.counts import COLUMNS, ENTRIES, KINDS, PHASES
from zsemu.kernel.memory import KernelMemory

DRIVER_PHASE: Final = len(PHASES)
BUDGET: Final = 1 << 22
"""blocks, or instructions where those are hooked, that one phase of one operation may take"""
TOO_LONG, TOO_MANY_BLOCKS = 1, 2
_MAX_ENTRIES: Final = 12
_LINES: Final = 1 << 13
_SOURCE: Final = Path(__file__).parent / "native" / "counts.c"

_u64, _pointer = ctypes.c_uint64, ctypes.c_void_p


class _Counts(ctypes.Structure):
    """``struct counts``, field by field."""

    _fields_ = (
        *((name, _u64) for name in ("text", "text_size", "driver", "driver_end")),
        ("entry", _u64 * _MAX_ENTRIES),
        ("phase_of", _u64 * _MAX_ENTRIES),
        *((name, _pointer) for name in ("owner", "kind", "class")),
        ("word_bits", _u64),
        *((name, _pointer) for name in ("current", "scope")),
        *((name, _u64) for name in ("operations", "budget")),
        ("stop", _pointer),
        *((name, _u64) for name in ("phase", "spent", "exhausted", "operation", "pc", "epoch")),
        ("signature", _pointer),
        ("blocks", NativeBlocks),
        ("rows", _pointer),
        *((name, _u64) for name in ("ram", "ram_size", "page_shift")),
        ("region", _pointer),
        *((name, _u64) for name in ("round", "zeroing", "behind")),
        *((name, _pointer) for name in ("misaligned", "profile", "weight")),
        ("lines", _u64 * (3 * _LINES)),
    )


@cache
def build_library() -> ctypes.CDLL:
    """Return the native side, compiled if no cached one fits."""
    return load_library("counts", _SOURCE)


class Hooks:
    """The native side of one machine. Arrays given to it are kept alive as long as it is."""

    MAX_BLOCKS: Final = 1 << 13

    def __init__(self, memory: KernelMemory) -> None:
        image = memory.image
        self._library, self._memory = build_library(), memory
        self._kept: dict[str, NDArray[Any]] = {}
        self._handles: list[ctypes.c_size_t] = []
        self.raw = raw = _Counts()
        start, end = image.text
        raw.text, raw.text_size = start, end - start
        raw.driver = image.address("zs_driver_start")
        raw.driver_end = image.address("zs_driver_end")
        for index, (name, phase) in enumerate(ENTRIES):
            raw.entry[index] = image.symbols[name].address if image.has(name) else 0
            raw.phase_of[index] = PHASES.index(phase)
        self.owner = np.zeros(end - start, np.uint8)
        """kind of the code at each byte, as KINDS"""
        for first, behind, kind in memory.linked.kind_ranges():
            self.owner[first - start : behind - start] = kind
        access = image.address("zs_access_start") - start
        self.owner[access:] = KINDS.index("copy")
        self.point("owner", self.owner)
        self.point("kind", image.kinds)
        self.point("class", image.classes)
        raw.word_bits = image.target.word_bits
        raw.budget, raw.phase = BUDGET, DRIVER_PHASE
        raw.stop = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value
        self.point("current", memory.batch["current"])
        self._blocks = BlockHistogram(raw.blocks, image, most=self.MAX_BLOCKS, phases=len(PHASES))

    def point(self, field: str, array: NDArray[Any]) -> None:
        """Let a pointer of ``struct counts`` point at an array."""
        self._kept[field] = array
        setattr(self.raw, field, array.ctypes.data)

    def expect(self, scope: NDArray[np.uint8]) -> None:
        """Say to which scope each operation of a batch belongs, shape (operations,)."""
        self.point("scope", scope)
        self.raw.operations = len(scope)

    def observe(self, operations: int) -> NDArray[np.uint32]:
        """Prepare for attach_everything(); return the rows (operations, phases, kinds, columns)."""
        memory, raw = self._memory, self.raw
        self.point("region", memory.regions())
        self.misaligned = np.zeros(int(raw.text_size), np.uint8)
        """by byte of the code: whether an access there was not aligned as it must be"""
        self.point("misaligned", self.misaligned)
        raw.ram, raw.ram_size, raw.page_shift = RAM_BASE, memory.size, memory.page_shift
        rows = np.zeros((operations, len(PHASES), len(KINDS), len(COLUMNS)), np.uint32)
        self.point("rows", rows)
        return rows

    def profile(self) -> NDArray[np.uint64]:
        """Have each instruction counted, too; return shape (phases, bytes of code, PROFILE).

        ``weight`` must then be pointed at how often each operation counts.
        """
        found = np.zeros((len(PHASES), int(self.raw.text_size), len(PROFILE)), np.uint64)
        self.point("profile", found)
        return found

    def attach_blocks(self, uc: unicorn.Uc) -> None:
        """Count hits per block, but for those of the access, which is the last of the code."""
        last = self._memory.image.address("zs_access_start") - 1
        self._add(uc, unicorn.unicorn_const.UC_HOOK_BLOCK, self._library.on_block, last)

    def attach_everything(self, uc: unicorn.Uc) -> None:
        """Fill a row for every operation."""
        self._add(uc, unicorn.unicorn_const.UC_HOOK_CODE, self._library.on_code)
        kinds = unicorn.unicorn_const.UC_HOOK_MEM_READ | unicorn.unicorn_const.UC_HOOK_MEM_WRITE
        self._add(uc, kinds, self._library.on_memory)

    def _add(self, uc: unicorn.Uc, kind: int, callback: object, last: int | None = None) -> None:
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

    @property
    def exhausted(self) -> int:
        """Return the address of the word that says why the run was stopped, 0 if it was not."""
        return ctypes.addressof(self.raw) + int(_Counts.exhausted.offset)

    def instructions(self) -> NDArray[np.int64]:
        """Sum the instructions that the block hits stand for, shape (phases, kinds, scopes)."""
        total = np.zeros((len(PHASES), len(KINDS), SCOPE_COLUMNS), np.int64)
        start = self._memory.image.text[0]
        for address, retired in self._blocks.retired():
            total[:, self.owner[address - start]] += retired
        return total
