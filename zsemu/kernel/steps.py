# SPDX-License-Identifier: GPL-2.0-only
"""Steps: what a kernel's allocator is made to do in a check, as data, as text, and run.

A case that ``zsemu check`` prints of a kernel's object, and that ``--case`` runs again::

    allocator page-order 0
       0 cpu 0: allocate 0 3064
       1 cpu 0: write 0 3064
         migrate 0
         compact
       2 cpu 1: read 0 3064
         refuse 4097
         refuse 700 after 2 pages

Objects are numbered from 0; the number before an operation may be left out. ``update N LENGTH`` and
``free N`` are operations, too. ``migrate N`` moves the page in which object N begins. ``refuse`` is
an allocation that must fail and leave nothing behind: of a length that fits no class, or because
there are only so many pages left. The page order is the seed by which page frames are handed out.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import unicorn
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest.machine import Machine
from zsemu.guest.memory import RAM_BASE
from zsemu.kernel.call_chain import CallChain
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.guest import Kind
from zsemu.kernel.judgement import Judge
from zsemu.kernel.operations import Operations
from zsemu.kernel.run import KernelRun
from zsemu.replay.placed_trace import PlacedTrace, place_in_memory
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc.geometry import Geometry

_OPERATIONS: Final = {one.name.lower(): one for one in Operation}
_ENOMEM, _EINVAL, _ENOSPC = 12, 22, 28

_HEAD: Final = re.compile(r"allocator page-order (\d+)")
_OPERATION: Final = re.compile(
    r"(?:\d+ +)?cpu (\d+): (?:(free) (\d+)|(allocate|read|write|update) (\d+) (\d+))"
)
_ACTION: Final = re.compile(r"(compact)|(migrate) (\d+)|(refuse) (\d+)(?: after (\d+) pages)?")


@dataclass(frozen=True)
class Step:
    """One operation as traces have them, or one of ``compact``, ``migrate`` and ``refuse``."""

    action: str
    object: int = 0
    length: int = 0
    """bytes: of the allocation, or that are read or written"""
    cpu: int = 0
    pages: int | None = None
    """of ``refuse``: how many there still are; None if the length is the reason"""

    @property
    def operates(self) -> bool:
        """Whether it is an operation as traces have them."""
        return self.action in _OPERATIONS

    def __str__(self) -> str:
        """Return it as a line of a case, without a number."""
        if self.action == "free":
            return f"cpu {self.cpu}: free {self.object}"
        if self.operates:
            return f"cpu {self.cpu}: {self.action} {self.object} {self.length}"
        if self.action == "migrate":
            return f"migrate {self.object}"
        if self.action == "refuse":
            after = "" if self.pages is None else f" after {self.pages} pages"
            return f"refuse {self.length}{after}"
        return self.action


class _Numbering:
    """Follows which objects are alive, and numbers them anew as they appear."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._total = 0

    def take(self, step: Step) -> Step | None:
        """Return a step with the new number; None if it is done to an object that is not alive."""
        if step.action == "allocate":
            if step.object in self._numbers:
                return None
            self._numbers[step.object] = self._total
            self._total += 1
        elif step.action in ("compact", "refuse"):
            return step if self._total else None
        number = self._numbers.get(step.object)
        if step.action == "free":
            self._numbers.pop(step.object, None)
        return None if number is None else replace(step, object=number)


def possible(steps: Iterable[Step]) -> list[Step]:
    """Return the steps that can be done, with objects numbered anew as they appear."""
    return [taken for taken in map(_Numbering().take, steps) if taken]


def as_trace(steps: Sequence[Step], geometry: Geometry, name: str = "case") -> Trace:
    """Return the operations among some steps as a trace."""
    rows = [
        (_OPERATIONS[step.action], step.object, step.length, step.cpu)
        for step in steps
        if step.operates
    ]
    columns = np.array(rows, np.int64).reshape(-1, 4)
    times = np.arange(len(rows), dtype=np.int64)
    return Trace(
        name,
        Metadata("none", geometry.name, geometry.page_size, f"generated: {name}"),
        columns[:, 0].astype(np.uint8),
        columns[:, 1].astype(np.uint32),
        columns[:, 2].astype(np.uint32),
        columns[:, 3].astype(np.uint16),
        times,
        times,
    )


# Running.


class _Run(KernelRun):
    """A run that does other things between operations.

    Nothing is counted, and placement is not compared, since the model knows nothing of those.
    """

    def __init__(self, facts: KernelFacts, steps: Sequence[Step], order: int) -> None:
        between: dict[int, list[Step]] = defaultdict(list)
        done = 0
        for step in steps:
            if step.operates:
                done += 1
            else:
                between[done].append(step)
        placed = place_in_memory(as_trace(steps, facts.geometry), facts.geometry)
        bounds = np.union1d(placed.bounds, [at for at in between if at])
        super().__init__(facts, replace(placed, bounds=bounds), seed=order)
        self._between = between
        self._stored: int | None = None
        self._behind = 0
        self.culprit: int | None = None
        """pc of the last store into what is watched, up to the end of the steps"""

    def learn(
        self,
        part: PlacedTrace,
        batch: Operations,
        ops: NDArray[np.void],
        observed: NDArray[np.bool_],
        scope: NDArray[np.uint8],
    ) -> None:
        """Do what comes behind a batch."""
        for step in self._between[part.first + int(batch.index[-1]) + 1]:
            if step.action == "compact":
                self.run_plain(Kind.COMPACT)
            elif step.action == "migrate":
                (op,) = self.run_plain(Kind.MIGRATE, frame=self.frame_of(step.object))
                if op["result"]:
                    self.complain(f"migration fails with {int(op['result']):#x}", "migrate")
            else:
                self._refuse(step)
        self.culprit = self._stored

    def _refuse(self, step: Step) -> None:
        state = self.memory.state
        before = int(state["pages_out"][0]), int(state["objects_out"][0])
        errors: tuple[int, ...] = (_EINVAL, _ENOSPC)
        why = f"of {step.length} bytes"
        if step.pages is not None:
            errors, why = (_ENOMEM,), f"after {step.pages} pages"
            self.memory.config["fail_after"] = max(before[0] + step.pages, 1)
        (op,) = self.run_plain(Kind.ALLOCATE, length=step.length)
        self.memory.config["fail_after"] = 0
        bits = self.facts.linked.image.target.word_bits
        if int(op["handle"]) not in (0, *((1 << bits) - error for error in errors)):
            self.complain(f"zs_malloc() {why} returns {int(op['handle']):#x}", "allocate")
        if (int(state["pages_out"][0]), int(state["objects_out"][0])) != before:
            self.complain(f"zs_malloc() {why} leaks", "allocate")

    def hook_code(self, callback: Callable[[unicorn.Uc, int, int, object], None]) -> None:
        """Call back before every instruction, which is slow."""
        for machine in (self._fast, self._slow):
            machine.uc.hook_add(unicorn.UC_HOOK_CODE, callback)
            machine.uc.ctl_flush_tb()

    def watch(self, address: int) -> None:
        """Find out which instruction of the object stores last into a byte of the linear map.

        If it is a stand-in that stores, as memcpy() does, it is the object's call of it. What the
        driver stores for the user into a mapped object is nobody's fault.
        """
        # Hooks of memory accesses have physical addresses.
        physical = RAM_BASE + self.memory.offset(address)
        text, image = self.facts.linked.own, self.facts.linked.image
        driver = range(image.address("zs_driver_start"), image.address("zs_driver_end"))
        arena = self.memory.offset(address) - self.memory.arena
        buffers = 0 <= arena < self.sizes.arena

        def block(uc: unicorn.Uc, start: int, size: int, _: object) -> None:
            if start in text:
                self._behind = start + size
            elif start in driver:
                self._behind = 0

        def store(
            machine: Machine, uc: unicorn.Uc, access: int, at: int, size: int, *_: object
        ) -> None:
            if not at <= physical < at + size:
                return
            pc = int(uc.reg_read(machine.memory.target.pc))
            if pc in text:
                self._stored = pc
            elif self._behind:
                self._stored = self.judge.call(self._behind)
            elif not buffers:
                self._stored = None

        for machine in (self._fast, self._slow):
            machine.uc.hook_add(unicorn.UC_HOOK_BLOCK, block)
            reach = (physical - 15, physical)
            write = unicorn.UC_HOOK_MEM_WRITE
            machine.uc.hook_add(write, partial(store, machine), None, *reach)
            machine.uc.ctl_flush_tb()


def run(facts: KernelFacts, steps: Sequence[Step], order: int = 0) -> Judge:
    """Do steps, which must be possible, and return the judge of what was done."""
    one = _Run(facts, steps, order)
    one.go()
    return one.judge


def culprit(facts: KernelFacts, steps: Sequence[Step], order: int) -> tuple[str, str] | None:
    """Return what stored last, up to the end of some steps, into the first byte found wrong.

    It is a place and an instruction, as violations have them; None if there is no such store.
    """
    address = run(facts, steps, order).wrong_at
    if not address:
        return None
    one = _Run(facts, steps, order)
    one.watch(address)
    one.go()
    if one.culprit is None:
        return None
    return one.judge.place(one.culprit), facts.linked.image.disassemble(one.culprit)


def calls(facts: KernelFacts, steps: Sequence[Step], order: int) -> list[int]:
    """Return the pcs of the calls that led to where the guest could not go on.

    The innermost comes first; there is none if the guest got through all steps.
    """
    one, chain = _Run(facts, steps, order), CallChain(facts.linked.image)
    one.hook_code(chain.code)
    return [] if one.go() else chain.pcs


# Text.


def lines(steps: Sequence[Step], order: int) -> list[str]:
    """Return steps as a case that :func:`read` reads."""
    text, number = [f"allocator page-order {order}"], 0
    for step in steps:
        text.append(f"{number if step.operates else '':>4} {step}")
        number += step.operates
    return text


def _step(line: str) -> Step:
    """Return the step of one line; ValueError says what was expected instead."""
    if found := _OPERATION.fullmatch(line):
        cpu, free, freed, action, object_, length = found.groups()
        if free:
            return Step(free, int(freed), cpu=int(cpu))
        return Step(action, int(object_), int(length), int(cpu))
    if found := _ACTION.fullmatch(line):
        compact, migrate, moved, refuse, length, pages = found.groups()
        if refuse:
            return Step(refuse, length=int(length), pages=None if pages is None else int(pages))
        return Step(compact or migrate, int(moved or 0))
    raise ValueError(
        "'cpu N: allocate|read|write|update OBJECT LENGTH', 'cpu N: free OBJECT', 'compact',"
        " 'migrate OBJECT' or 'refuse LENGTH [after N pages]'"
    )


def read(path: Path, geometry: Geometry) -> tuple[list[Step], int]:
    """Read a case: its steps, and the page order.

    ZsemuError names file and line, and says what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ZsemuError(f"{path}: cannot be read: {error}") from error
    order: int | None = None
    steps: list[Step] = []
    numbering = _Numbering()
    for number, line in enumerate(map(str.strip, text), 1):
        if not line or line.startswith("#"):
            continue
        if order is None:
            head = _HEAD.fullmatch(line)
            if not head:
                raise ZsemuError(
                    f"{path}:{number}: a case of a kernel's object begins with"
                    f" 'allocator page-order N', not with {line!r}"
                )
            order = int(head[1])
            continue
        try:
            step = _step(line)
        except ValueError as error:
            raise ZsemuError(f"{path}:{number}: expected {error}: {line!r}") from error
        if step.operates and step.action != "free" and not bool(geometry.fits(step.length)):
            raise ZsemuError(f"{path}:{number}: no object has {step.length} bytes: {line!r}")
        taken = numbering.take(step)
        if taken is None:
            raise ZsemuError(f"{path}:{number}: not possible here: {line!r}")
        steps.append(taken)
    if order is None or not steps:
        raise ZsemuError(f"{path}: holds no operation; it begins with 'allocator page-order N'")
    return steps, order
