# SPDX-License-Identifier: GPL-2.0-only
"""The self-test of a target: whether its hooks, MMU and TLB report and do what they must here.

A small image (arch/selftest/) runs through the same Memory, Machine and Hooks as every strategy. It
holds sequences of instructions whose events are known (arch/<target>/selftest.toml), accesses that
the MMU must refuse, and page-table entries that change with and without their invalidate, under
Unicorn's TLB and under the strict table that a replay may judge them by.
"""

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS, PHASES, TRAFFIC
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build, cache_folder
from zsemu.guest.hook_structures import EXPECTED, MISALIGNED, STALE, STRAY, STRAY_LOAD
from zsemu.guest.hooks import Hooks
from zsemu.guest.image import Image
from zsemu.guest.machine import Fault, Machine
from zsemu.guest.memory import RAM_BASE, Memory, Sizes
from zsemu.guest.strategies import Strategy
from zsemu.guest.structures import Kind, StopAt
from zsemu.guest.targets import Target
from zsemu.paths import ARCH, replacing

_PAGE_SHIFT: Final = 12
_PAGE: Final = 1 << _PAGE_SHIFT
_RUNS: Final = 128
_BUDGET: Final = 1 << 16
_SETTLE: Final = PHASES.index("settle")
_OLD: Final = 0xF0
_NEW: Final = 0x70
"""first words of the two pages between which a translation changes"""
_MOMENTS: Final = (
    "first page, mapped",
    "second page, mapped",
    "first page, entry changed",
    "second page, entry changed",
    "first page, invalidated",
    "second page, the first one's entry invalidated",
    "first page, both invalidated",
    "second page, both invalidated",
)
"""when probe_translation() of arch/selftest/selftest.c loads, in its order"""
_EVENTS: Final = [name for name in COLUMNS if "." not in name and not name.startswith("class_")]
"""the counts that are compared; a class of instructions follows from their text, and a region from
where the test has put its data"""


class Wrong(Exception):  # noqa: N818 - a finding, not an error
    """Something is not as it must be here; the message says what."""


@dataclass(frozen=True)
class Case:
    """A sequence of instructions with known events."""

    name: str
    code: str
    """assembly, an instruction a line"""
    events: dict[str, int]
    """by count; what is not named must be 0"""


@dataclass(frozen=True)
class SelfTestData:
    """What arch/<target>/selftest.toml says."""

    returns: str
    """the instruction that returns from a function"""
    drops_all: bool
    """whether an invalidate of one page drops all others, too, as Unicorn's ``sfence.vma`` does"""
    cases: tuple[Case, ...]


def data_file(target: Target) -> Path:
    """Return the file that says which events a target's instructions have."""
    return ARCH / target.folder / "selftest.toml"


def read_data(target: Target) -> SelfTestData:
    """Read the self-test of a target; ZsemuError names the file and what is wrong with it."""
    path = data_file(target)
    known = [*_EVENTS, "misaligned"]
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        # The first does nothing: its events are those of the call, which every case has.
        cases = [Case("return", "", {})]
        for case in data["case"]:
            cases.append(Case(case["name"], case["code"], case["events"]))
            if unknown := [name for name in case["events"] if name not in known]:
                raise ZsemuError(
                    f"{path}: {case['name']}: no event is called {unknown[0]!r}:"
                    f" there are {', '.join(known)}"
                )
        return SelfTestData(data["return"], data["invalidate"] == "all", tuple(cases))
    except OSError as error:
        raise ZsemuError(
            f"{path}: {error.strerror}: every target needs one; see arch/README.md"
        ) from error
    except (ValueError, KeyError) as error:
        raise ZsemuError(f"{path}: {error}: see those of the other targets") from error


def program() -> Path:
    """Return the C file behind which the cases of a target are compiled."""
    return ARCH / "selftest" / "selftest.c"


def _symbol(index: int) -> str:
    return f"zs_case_{index}"


def _image(target: Target, data: SelfTestData, page_shift: int) -> Image:
    """Compile arch/selftest/ with the target's cases behind it, if that has not been done."""
    text = program().read_text(encoding="utf-8")
    for index, case in enumerate(data.cases):
        name = _symbol(index)
        lines = [
            ".text",
            f".globl {name}",
            f".type {name}, %function",
            ".p2align 4",
            f"{name}:",
            *case.code.strip().splitlines(),
            data.returns,
            f".size {name}, . - {name}",
        ]
        text += "asm(" + "\n    ".join(f'"{line}\\n"' for line in lines) + ");\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = cache_folder("selftest") / f"{target.name}-{digest}.c"
    if not path.exists():
        with replacing(path) as stream:
            stream.write(text.encode())
    source = Strategy("selftest", path, "", (), own=False)
    return Image(build(target, source, page_shift=page_shift), target)


class _Bench:
    """The image in memory, with an observing and a counting CPU as a replay has them."""

    def __init__(self, image: Image, page_shift: int, *, strict: bool = False) -> None:
        self.image, page = image, 1 << page_shift
        sizes = Sizes(
            cpus=1, operations=_RUNS, arena=2 * page, zspages=1, pages=2, shapes=1, states=1
        )
        self.memory = memory = Memory(image, sizes, page_shift)
        ops = memory.view(memory.ops, memory.types.op, _RUNS)
        ops["kind"] = Kind.SETTLE
        ops["zspage"] = memory.virtual(memory.zspages)
        self._runs = 0
        self._area = memory.view(memory.area, memory.types.area, 1)
        self.data = memory.virtual(memory.arena)
        """virtual address of two pages of a caller's"""
        self.window = int(self._area["window"][0])
        """virtual address of the CPU's window"""
        self._expected = np.zeros(_RUNS, EXPECTED)
        self._expected["high"] = self._expected["length"] = 2 * page
        self._expected["caller"] = memory.arena
        self._expected["part"], self._expected["bytes"] = memory.page_offset(np.arange(2)), page
        self.counting, self.observing = self._hooks(), self._hooks()
        # Every page is CPU 0's, and of zspage 0.
        frames = np.zeros((memory.size >> memory.page_shift) + 1, np.int32)
        self.observing.observe(frames, frames)
        self._rows = self.observing.rows(_RUNS)
        self.observer = Machine(memory, strict=self.observing if strict else None)
        self.observing.attach_everything(self.observer.uc)

    def _hooks(self) -> Hooks:
        made = Hooks(self.memory, budget=_BUDGET)
        made.expect(self._expected)
        return made

    def counter(self) -> Machine:
        """Return a machine that counts block hits."""
        machine = Machine(self.memory)
        self.counting.attach_blocks(machine.uc)
        return machine

    def run(self, machine: Machine, function: str, *arguments: int) -> int:
        """Call a function of the image in phase settle; return the number of this run.

        Fault if the guest cannot go on.
        """
        for index, value in enumerate((self.image.address(function), *arguments)):
            self._area[f"private{index}"] = value
        number, self._runs = self._runs, self._runs + 1
        control = self.memory.batch
        control["first"], control["last"], control["stop_at"] = number, number + 1, StopAt.NEVER
        machine.drive()
        if int(control["current"][0]) != number + 1:
            raise Wrong(f"{function} does not return")
        return number

    def counts(self, number: int) -> dict[str, int]:
        """Return what was observed of one run of the observer, by column of a row."""
        row = self._rows[number, _SETTLE, : len(COLUMNS)]
        return dict(zip(COLUMNS, row.tolist(), strict=True))

    def take_findings(self) -> list[tuple[int, int]]:
        """Return what was found wrong since the last call, and the address where.

        It is STRAY, STRAY_LOAD, MISALIGNED or STALE.
        """
        findings, _ = self.observing.take_findings()
        return [(int(one["what"]), int(one["address"])) for one in findings]

    def blocks(self) -> int:
        """Return the instructions that all block hits so far stand for."""
        return int(self.counting.instructions()[_SETTLE].sum())

    def words(self, offset: int) -> NDArray[Any]:
        """Return the machine words at an offset in RAM, in place, shape (8,)."""
        return self.memory.view(offset, self.memory.types.word, 8)


def _expect(found: dict[str, int], expected: dict[str, int], what: str) -> None:
    for name, number in found.items():
        if number != expected.get(name, 0):
            count = name.replace("_", " ")
            raise Wrong(f"{what}: {number} {count}, not {expected.get(name, 0)}")


@dataclass(frozen=True)
class Measured:
    """What the hooks report of one case."""

    counts: dict[str, int]
    """what was observed, by column of a row"""
    blocks: int
    """instructions that the block hits stand for"""
    findings: list[int]
    """what was found wrong: STRAY, STRAY_LOAD, MISALIGNED or STALE"""


def measure(target: Target, data: SelfTestData) -> Iterator[Measured]:
    """Run the cases one after the other, each on the observing and on the counting CPU.

    Wrong if a case does not end, Fault if the guest cannot go on.
    """
    bench = _Bench(_image(target, data, _PAGE_SHIFT), _PAGE_SHIFT)
    counter = bench.counter()
    for index, case in enumerate(data.cases):
        number = bench.run(bench.observer, _symbol(index), bench.data)
        findings = [what for what, _ in bench.take_findings()]
        before = bench.blocks()
        bench.run(counter, _symbol(index), bench.data)
        blocks = bench.blocks() - before
        if bench.counting.stopped or bench.observing.stopped:
            raise Wrong(f"{case.name}: does not end")
        yield Measured(bench.counts(number), blocks, findings)


def compare(cases: Iterable[Case], measured: Iterable[Measured]) -> None:
    """Compare what the hooks report of every case with its known events; Wrong if they differ."""
    common: Measured | None = None
    for case, found in zip(cases, measured, strict=True):
        if common is None:
            common = found
            if not found.counts["instructions"] or not found.counts["loads"]:
                raise Wrong(f"{case.name}: no event at all")
        own = {name: found.counts[name] - common.counts[name] for name in COLUMNS}
        events = {name: own[name] for name in _EVENTS}
        events["misaligned"] = found.findings.count(MISALIGNED)
        _expect(events, case.events, case.name)
        in_data = {name: own[f"caller.{name}"] for name in TRAFFIC}
        _expect(in_data, case.events, f"{case.name}: in the caller's buffer")
        by_blocks = {"instructions": found.blocks - common.blocks}
        _expect(by_blocks, case.events, f"{case.name}: by block hits")
        for what, access in ((STRAY, "store"), (STRAY_LOAD, "load")):
            if what in found.findings:
                raise Wrong(f"{case.name}: taken for a stray {access}")


def events(target: Target) -> str:
    """Run sequences of instructions whose events are known.

    Like all parts, return in words what was tested; Wrong, Fault or ZsemuError if it failed.
    """
    data = read_data(target)
    compare(data.cases, measure(target, data))
    return f"{len(data.cases) - 1} sequences of instructions have their known events"


def mmu(target: Target) -> str:
    """Try accesses that the MMU must allow, then accesses that it must refuse."""
    image = _image(target, read_data(target), _PAGE_SHIFT)
    bench = _Bench(image, _PAGE_SHIFT)
    memory, code = bench.memory, image.address(_symbol(0))
    # A function that returns lies there, too: a jump into data that is not refused comes back.
    start = code - RAM_BASE
    memory.ram[memory.arena : memory.arena + 64] = memory.ram[start : start + 64]
    allowed = [("probe_call", code), ("probe_load", code)]
    for place in (memory.arena + _PAGE, memory.buffer, memory.pool):
        allowed += [("probe_load", memory.virtual(place)), ("probe_store", memory.virtual(place))]
    for function, address in allowed:
        bench.run(bench.observer, function, address)

    refused = (
        ("a jump into data", "probe_call", bench.data),
        ("a store into code", "probe_store", code),
        ("a load behind the per-CPU buffer", "probe_load", memory.virtual(memory.buffer) + _PAGE),
        ("a store behind the per-CPU buffer", "probe_store", memory.virtual(memory.buffer) + _PAGE),
        ("a store behind a page of the pool", "probe_store", memory.virtual(memory.pool) + _PAGE),
        ("a load from an empty window", "probe_load", bench.window),
    )
    for what, function, address in refused:
        try:
            # Each has a machine of its own, because one that had a fault may be in any state.
            bench.run(Machine(memory), function, address)
        except Fault:
            continue
        raise Wrong(f"{what} is not refused")
    return f"{len(refused)} kinds of wild access are refused, {len(allowed)} others are not"


def _translate(target: Target, page_shift: int, *, strict: bool) -> _Bench:
    """Change two entries, invalidate one after the other, and compare what loads saw meanwhile."""
    data = read_data(target)
    bench = _Bench(_image(target, data, page_shift), page_shift, strict=strict)
    memory = bench.memory
    old, new = memory.page_offset(np.arange(2)).tolist()
    old_pfn, new_pfn = memory.pfn(np.arange(2)).tolist()
    bench.words(old)[0], bench.words(new)[0] = _OLD, _NEW
    number = bench.run(bench.observer, "probe_translation", bench.data, old_pfn, new_pfn)

    drops = data.drops_all and not strict
    expected = [_OLD] * 4 + [_NEW, _NEW if drops else _OLD] + [_NEW] * 2
    names = {_OLD: "the old page", _NEW: "the new page"}
    seen = bench.words(memory.arena).tolist()
    for moment, found, wanted in zip(_MOMENTS, seen, expected, strict=True):
        if found != wanted:
            raise Wrong(f"{moment}: a load sees {names.get(found, hex(found))}")
    stores = [bench.words(page)[1:3].tolist() for page in (old, new)]
    if stores != [[1, 0], [0, 1]]:
        raise Wrong("a store does not go where a load does")
    counts = bench.counts(number)
    changes = {name: counts[name] for name in ("pte_stores", "tlb_page_local")}
    _expect(changes, {"pte_stores": 6, "tlb_page_local": 4}, "two entries set, changed, cleared")
    return bench


def tlb(target: Target) -> str:
    """Change entries of the page table under Unicorn's own TLB, for every size of page."""
    for shift in target.page_shifts:
        _translate(target, shift, strict=False)
    return f"a changed entry holds once invalidated, not before; pages of {_sizes(target)}"


def strict(target: Target) -> str:
    """Do the same with the strict table, and forget an invalidate, which must be found."""
    for shift in target.page_shifts:
        bench = _translate(target, shift, strict=True)
        if bench.take_findings():
            raise Wrong("a missing invalidate is found where there is none")
        pfn = int(bench.memory.pfn(np.arange(1))[0])
        bench.run(bench.observer, "probe_early_invalidate", bench.data, pfn)
        if bench.take_findings() != [(STALE, bench.window + (1 << shift))]:
            raise Wrong("an invalidate before the change of its entry is not found")
    return f"a missing invalidate is found, and only that; pages of {_sizes(target)}"


def _sizes(target: Target) -> str:
    return ", ".join(str(size >> 10) for size in target.page_sizes) + " KiB"


PARTS: Final[dict[str, Callable[[Target], str]]] = {
    "events": events,
    "mmu": mmu,
    "tlb": tlb,
    "strict": strict,
}
"""the parts of the self-test by name, in the order in which they run"""
