# SPDX-License-Identifier: GPL-2.0-only
"""Self-test: whether counts and checks can be trusted on this machine, a line for each part.

For every target a small image (arch/selftest/) runs through the same Memory, Machine and Hooks as
every strategy: sequences of instructions whose events are known (arch/<target>/selftest.toml),
accesses that its MMU must refuse, and page-table entries that change with and without their
invalidate, under Unicorn's TLB and under the strict table that a replay may judge them by.
"""

import hashlib
import os
import platform
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import capstone
import numpy as np
import unicorn
from numpy.typing import NDArray

import zsemu
from zsemu.counts import COLUMNS, PHASES, TRAFFIC
from zsemu.errors import ZsemuError
from zsemu.guest import hooks
from zsemu.guest.compiler import build, cache_folder, compiler
from zsemu.guest.hooks import EXPECTED, MISALIGNED, STALE, STRAY, Hooks
from zsemu.guest.image import Image
from zsemu.guest.machine import Fault, Machine
from zsemu.guest.memory import RAM_BASE, Memory, Sizes
from zsemu.guest.strategies import Strategy
from zsemu.guest.structures import Kind, StopAt
from zsemu.guest.targets import Target
from zsemu.paths import ARCH, replacing
from zsemu.paths import cache as cache_directory

LITTLE_MEMORY: Final = 2 << 30
"""free bytes below which a long trace may not fit"""

_PAGE_SHIFT: Final = 12
_PAGE: Final = 1 << _PAGE_SHIFT
_RUNS: Final = 128
_BUDGET: Final = 1 << 16
_SETTLE: Final = PHASES.index("settle")
_OLD, _NEW = 0xF0, 0x70
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
"""of probe_translation() in arch/selftest/selftest.c"""
_EVENTS: Final = [name for name in COLUMNS if "." not in name and not name.startswith("class_")]
"""counts of what happens; a class follows from the text of an instruction"""
_PIN: Final = re.compile(r"([\w.-]+)==([\w.]+)")
_MEMINFO = Path("/proc/meminfo")


class Verdict(StrEnum):
    """Whether a line says that counts can be trusted."""

    OK = "ok"
    WARNING = "warning"
    """they can, with what the line says"""
    FAILED = "FAILED"


@dataclass(frozen=True)
class Line:
    """What one part of the self-test found."""

    part: str
    arch: str
    """empty where it is about the machine"""
    verdict: Verdict
    text: str
    """what there is, or what is wrong"""

    @property
    def name(self) -> str:
        """Part and architecture."""
        return f"{self.part} {self.arch}".rstrip()


class _Wrong(Exception):  # noqa: N818 - a finding, not an error
    """Something is not as it must be; says what."""


class _Doubt(Exception):  # noqa: N818 - a finding, not an error
    """Something may mislead or fail later; says what."""


@dataclass(frozen=True)
class _Case:
    """A sequence of instructions with known events."""

    name: str
    code: str
    """assembly, an instruction a line"""
    events: dict[str, int]
    """by count; what is not named must be 0"""


@dataclass(frozen=True)
class _Data:
    """arch/<target>/selftest.toml."""

    returns: str
    """the instruction that returns from a function"""
    drops_all: bool
    """an invalidate of one page drops all others, too: Unicorn's ``sfence.vma``"""
    cases: tuple[_Case, ...]


def _data(target: Target) -> _Data:
    path = ARCH / target.name / "selftest.toml"
    known = [*_EVENTS, "misaligned"]
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        # First one that does nothing: what all others cost beside what is known.
        cases = [_Case("return", "", {})]
        for case in data["case"]:
            cases.append(_Case(case["name"], case["code"], case["events"]))
            if unknown := [name for name in case["events"] if name not in known]:
                raise ZsemuError(
                    f"{path}: {case['name']}: no event is called {unknown[0]!r}:"
                    f" there are {', '.join(known)}"
                )
        return _Data(data["return"], data["invalidate"] == "all", tuple(cases))
    except OSError as error:
        raise ZsemuError(
            f"{path}: {error.strerror}: every target needs one; see arch/README.md"
        ) from error
    except (ValueError, KeyError) as error:
        raise ZsemuError(f"{path}: {error}: see those of the other targets") from error


def _symbol(index: int) -> str:
    return f"zs_case_{index}"


def _image(target: Target, data: _Data, page_shift: int) -> Image:
    """Compile arch/selftest/ with the target's cases behind it, if that has not been done."""
    text = (ARCH / "selftest" / "selftest.c").read_text(encoding="utf-8")
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
    """The image in memory, and hooks of both kinds as a replay has them."""

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
        self.counting, self.observing = self._hooks(), self._hooks()
        # Every page is CPU 0's, and of zspage 0.
        frames = np.zeros((memory.size >> memory.page_shift) + 1, np.int32)
        self.observing.observe(frames, frames)
        self._rows = self.observing.rows(_RUNS)
        self.observer = Machine(memory, strict=self.observing if strict else None)
        self.observing.attach_everything(self.observer.uc)

    def _hooks(self) -> Hooks:
        made = Hooks(self.memory, budget=_BUDGET)
        made.point("expected", self._expected)
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
            raise _Wrong(f"{function} does not return")
        return number

    def counts(self, number: int) -> dict[str, int]:
        """Return what was observed of one run of the observer, by column of a row."""
        row = self._rows[number, _SETTLE, : len(COLUMNS)]
        return dict(zip(COLUMNS, row.tolist(), strict=True))

    def found(self, number: int) -> list[int]:
        """Return what was found wrong with one run: STRAY, MISALIGNED or STALE."""
        findings = self.observing.findings()
        return [int(one["what"]) for one in findings if one["operation"] == number]

    def blocks(self) -> int:
        """Return the instructions that all block hits so far stand for."""
        return int(self.counting.instructions(self.image)[_SETTLE].sum())

    def words(self, offset: int) -> NDArray[Any]:
        """Return the machine words at an offset in RAM, in place, shape (8,)."""
        return self.memory.view(offset, self.memory.types.word, 8)


def _compare(found: dict[str, int], expected: dict[str, int], what: str) -> None:
    for name, number in found.items():
        if number != expected.get(name, 0):
            count = name.replace("_", " ")
            raise _Wrong(f"{what}: {number} {count}, not {expected.get(name, 0)}")


def _events(target: Target) -> str:
    """Compare what both kinds of hooks report of every case with what is known."""
    data = _data(target)
    bench = _Bench(_image(target, data, _PAGE_SHIFT), _PAGE_SHIFT)
    counter = bench.counter()
    common: dict[str, int] = {}
    common_blocks = 0
    for index, case in enumerate(data.cases):
        number = bench.run(bench.observer, _symbol(index), bench.data)
        counts, found = bench.counts(number), bench.found(number)
        before = bench.blocks()
        bench.run(counter, _symbol(index), bench.data)
        blocks = bench.blocks() - before
        if bench.counting.raw.exhausted or bench.observing.raw.exhausted:
            raise _Wrong(f"{case.name}: does not end")
        if not common:
            # What everything that follows costs beside its own events.
            common, common_blocks = counts, blocks
            if not common["instructions"] or not common["loads"]:
                raise _Wrong(f"{case.name}: no event at all")
        own = {name: counts[name] - common[name] for name in COLUMNS}
        events = {name: own[name] for name in _EVENTS}
        events["misaligned"] = found.count(MISALIGNED)
        _compare(events, case.events, case.name)
        in_data = {name: own[f"caller.{name}"] for name in TRAFFIC}
        _compare(in_data, case.events, f"{case.name}: in the caller's buffer")
        by_blocks = {"instructions": blocks - common_blocks}
        _compare(by_blocks, case.events, f"{case.name}: by block hits")
        if STRAY in found:
            raise _Wrong(f"{case.name}: taken for a stray store")
    return f"{len(data.cases) - 1} sequences of instructions have their known events"


def _mmu(target: Target) -> str:
    """Try what the MMU must refuse, each after what it must not."""
    image = _image(target, _data(target), _PAGE_SHIFT)
    bench = _Bench(image, _PAGE_SHIFT)
    memory, code = bench.memory, image.address(_symbol(0))
    # So that a jump into data returns, unless it is refused.
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
            # A machine of its own, as one that had a fault may be in any state.
            bench.run(Machine(memory), function, address)
        except Fault:
            continue
        raise _Wrong(f"{what} is not refused")
    return f"{len(refused)} kinds of wild access are refused, {len(allowed)} others are not"


def _translate(target: Target, page_shift: int, *, strict: bool) -> _Bench:
    """Change two entries, invalidate one after the other, and judge what was seen meanwhile."""
    data = _data(target)
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
            raise _Wrong(f"{moment}: a load sees {names.get(found, hex(found))}")
    stores = [bench.words(page)[1:3].tolist() for page in (old, new)]
    if stores != [[1, 0], [0, 1]]:
        raise _Wrong("a store does not go where a load does")
    counts = bench.counts(number)
    changes = {name: counts[name] for name in ("pte_stores", "tlb_page_local")}
    _compare(changes, {"pte_stores": 6, "tlb_page_local": 4}, "two entries set, changed, cleared")
    return bench


def _tlb(target: Target) -> str:
    for shift in target.page_shifts:
        _translate(target, shift, strict=False)
    return f"a changed entry holds once invalidated, not before; pages of {_sizes(target)}"


def _strict(target: Target) -> str:
    for shift in target.page_shifts:
        bench = _translate(target, shift, strict=True)
        if bench.observing.findings().size:
            raise _Wrong("a missing invalidate is found where there is none")
        pfn = int(bench.memory.pfn(np.arange(1))[0])
        bench.run(bench.observer, "probe_early_invalidate", bench.data, pfn)
        found = [(int(f["what"]), int(f["address"])) for f in bench.observing.findings()]
        if found != [(STALE, bench.window + (1 << shift))]:
            raise _Wrong("an invalidate before the change of its entry is not found")
    return f"a missing invalidate is found, and only that; pages of {_sizes(target)}"


def _sizes(target: Target) -> str:
    return ", ".join(str(1 << shift >> 10) for shift in target.page_shifts) + " KiB"


def _cache() -> str:
    written = cache_folder("selftest") / "written"
    with replacing(written):
        pass
    written.unlink()
    return str(cache_directory())


def _compiler(targets: Sequence[Target]) -> str:
    return ", ".join(sorted({compiler("zig", target).version for target in targets}))


def _versions() -> str:
    """Name the versions; what is installed must be what the figures published were made with."""
    number = int(unicorn.uc_version()[2])
    library = f"{number >> 24}.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}"
    if library != unicorn.__version__:
        raise _Wrong(
            f"Unicorn's binding {unicorn.__version__} has loaded a library {library}:"
            " unset LIBUNICORN_PATH, or reinstall it"
        )
    for name, wanted in _pinned():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise _Wrong(f"{name} is not installed; pip install {name}=={wanted}") from None
        if installed != wanted:
            raise _Doubt(
                f"{name} {installed}, not {wanted}: figures of others may differ;"
                f" pip install {name}=={wanted}"
            )
    return (
        f"zsemu {zsemu.__version__}, Python {platform.python_version()}, NumPy {np.__version__},"
        f" Unicorn {unicorn.__version__}, Capstone {capstone.__version__}"
    )


def _pinned() -> list[tuple[str, str]]:
    """Return name and version of what zsemu needs in exactly one version."""
    try:
        needs = metadata.requires("zsemu") or []
    except metadata.PackageNotFoundError:
        return []  # not installed: run from its sources
    return [(match[1], match[2]) for need in needs if (match := _PIN.fullmatch(need))]


def _free_memory() -> int | None:
    """Return the bytes that can be had without swapping, or None where that is not told."""
    try:
        text = _MEMINFO.read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable: +(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) << 10 if found else None


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = _free_memory()
    if free is None:
        return f"{cores} cores, {platform.machine()}"
    text = f"{cores} cores, {platform.machine()}, {free / (1 << 30):.1f} GiB of memory free"
    if free < LITTLE_MEMORY:
        raise _Doubt(f"{text}: too little for a long trace; choose fewer --operations or --jobs")
    return text


def _line(part: str, arch: str, test: Callable[[], str]) -> Line:
    try:
        return Line(part, arch, Verdict.OK, test())
    except _Doubt as doubt:
        return Line(part, arch, Verdict.WARNING, str(doubt))
    except Fault as fault:
        return Line(part, arch, Verdict.FAILED, f"the guest cannot go on: {fault}")
    except (_Wrong, ZsemuError, unicorn.UcError, OSError) as error:
        return Line(part, arch, Verdict.FAILED, str(error))


_PARTS: Final = {"events": _events, "mmu": _mmu, "tlb": _tlb, "strict": _strict}


def examine(targets: Sequence[Target]) -> Iterator[Line]:
    """Yield what each part of the self-test finds, as it is found; no error is raised."""
    yield _line("cache", "", _cache)
    yield _line("compiler", "", lambda: _compiler(targets))
    yield _line("versions", "", _versions)
    yield _line("machine", "", _machine)
    for target in targets:
        for part, test in _PARTS.items():
            yield _line(part, target.name, partial(test, target))


def verdict(lines: Iterable[Line]) -> str:
    """Return in one sentence what the lines say together."""
    failed = [line.name for line in lines if line.verdict == Verdict.FAILED]
    if failed:
        return f"Neither counts nor checks can be trusted here: {', '.join(failed)}"
    return "Counts and checks can be trusted here."


def _digest(target: Target) -> str:
    """Digest all that the events of a target depend on here."""
    digest = hashlib.sha256()
    versions = (zsemu.__version__, unicorn.__version__, capstone.__version__)
    digest.update("\0".join((*versions, platform.system(), platform.machine())).encode())
    guest = Path(hooks.__file__).parent
    for path in (
        Path(__file__),
        *sorted([*guest.glob("*.py"), *guest.glob("native/*")]),
        ARCH / "selftest" / "selftest.c",
        *(ARCH / target.name / f"{name}.toml" for name in ("target", "selftest")),
    ):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def ensure(targets: Iterable[Target]) -> None:
    """Run the event part, unless it has passed here with these versions, before anything counts.

    ZsemuError with what failed. What passed is noted in the cache directory.
    """
    folder = cache_folder("selftest")
    for target in targets:
        passed = folder / f"{target.name}-{_digest(target)}.passed"
        if passed.exists():
            continue
        try:
            text = _events(target)
        except (_Wrong, Fault, unicorn.UcError) as error:
            raise ZsemuError(
                f"self-test: events {target.name}: {error};"
                " so no count can be trusted here: see zsemu doctor"
            ) from error
        with replacing(passed) as stream:
            stream.write(f"{text}\n".encode())
