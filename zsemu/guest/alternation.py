# SPDX-License-Identifier: GPL-2.0-only
"""Run batches on two CPUs in turns: one that counts, and one that observes what is new.

To change from one to the other takes longer in Python than in the guest: native/alternate.h does.
"""

import ctypes
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from unicorn.unicorn_py3.unicorn import uclib

from zsemu.guest.machine import Machine

HALTED: Final = -1
"""what run() returns if a CPU waits for an interrupt"""
OBSERVING: Final = 1
"""whose turn it is if it is not the counting CPU's, which is 0"""

_u64, _pointer = ctypes.c_uint64, ctypes.c_void_p


class NativeTurn(ctypes.Structure):
    """``struct turn``: one of the CPUs."""

    _fields_ = tuple((name, _pointer) for name in ("uc", "stopped", "entries"))


class NativeAlternation(ctypes.Structure):
    """``struct alternation``: both, and what they share."""

    _fields_ = (
        ("turn", NativeTurn * 2),
        *((name, _pointer) for name in ("first", "last", "current", "stop_at", "by_span")),
        ("word_bits", _u64),
        ("table", _pointer),
        ("table_size", _u64),
        *((name, _pointer) for name in ("start", "read", "control")),
        *((name, _u64) for name in ("pc", "begin", "until")),
        ("observed", _pointer),
        ("which", _u64),
    )


class Alternation:
    """Two CPUs over the same memory."""

    def __init__(
        self,
        library: ctypes.CDLL,
        machines: tuple[Machine, Machine],
        stopped: tuple[int, int],
        control: NDArray[np.void],
        by_span: NDArray[Any] | None = None,
    ) -> None:
        """Prepare to run batches on a counting CPU and an observing one.

        ``library`` includes native/alternate.h. ``stopped`` are the addresses of the words by which
        the hooks of each say that they have stopped it. ``control`` is the guest's batch, shape
        (1,), and ``by_span`` its word that says whether accesses are judged by their spans in the
        turns of the observing CPU.
        """
        self._library, self._machines = library, machines
        self._native = native = NativeAlternation()
        for turn, machine, word in zip(native.turn, machines, stopped, strict=True):
            turn.uc, turn.stopped = machine.uc._uch, word
            turn.entries = machine.entries.ctypes.data
        for name in ("first", "last", "current", "stop_at"):
            setattr(native, name, control[name].ctypes.data)
        native.by_span = None if by_span is None else by_span.ctypes.data
        table, target = machines[0].table, machines[0].memory.target
        native.table, native.table_size = table.ctypes.data, table.size
        native.word_bits, native.pc = target.word_bits, target.pc
        for name, function in (("start", "emu_start"), ("read", "reg_read"), ("control", "ctl")):
            address = ctypes.cast(getattr(uclib, f"uc_{function}"), _pointer).value
            setattr(native, name, address)
        native.begin, native.until = machines[0].run_from, machines[0].run_to

    def run(self, observed: NDArray[np.uint8]) -> int:
        """Run the batch in memory; return Unicorn's error, HALTED, or 0.

        ``observed``, shape (n,), becomes 1 for each operation that the observing CPU has run. What
        a hook in Python has raised is raised again.
        """
        self._native.observed = observed.ctypes.data
        error = int(self._library.alternate(ctypes.byref(self._native)))
        for machine in self._machines:
            machine.raise_of_hook()
        return error

    @property
    def which(self) -> int:
        """Whose turn it was when a batch ended before its end: OBSERVING, or 0."""
        return int(self._native.which)
