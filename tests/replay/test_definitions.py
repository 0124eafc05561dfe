# SPDX-License-Identifier: GPL-2.0-only
"""The definitions of the counts (README.md), each on a handful of instructions a target.

A strategy calls one of many small functions in assembly, chosen by the object's length; what it
costs more than an empty one is known by construction and must be what is counted, in the phase that
called it, in the region where its accesses go, and in every scope that its operations belong to.

The file is long because it is a table: a probe for each definition, and what each counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import placed, replay, trace

from zsemu.counts import COLUMNS, PHASES, REGIONS, TRAFFIC, document
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.replay import Replay
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Trace

X86, RISCV = ("x86_64", "i386"), ("riscv64", "riscv32")


@dataclass(frozen=True)
class Probe:
    """Some instructions, and what they count; every column that is not named counts nothing.

    They find in the registers of the first three arguments the addresses of the per-CPU buffer, of
    the window's first page-table entry, and of the window. Totals over the regions are left out.
    """

    name: str
    code: Mapping[str, str]
    """by architecture; those not named do not have such a thing"""
    counts: Mapping[str, int]
    special: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """by architecture: what differs there"""


RETURN = dict.fromkeys(target_names(), "ret") | {"arm": "bx lr"}


def riscv(code: str) -> dict[str, str]:
    return dict.fromkeys(RISCV, code)


def buffer(loads: int = 0, loaded: int = 0, stores: int = 0, stored: int = 0) -> dict[str, int]:
    """Return the counts of accesses to the per-CPU buffer."""
    values = (loads, stores, loaded, stored)
    return {f"buffer.{name}": value for name, value in zip(TRAFFIC, values, strict=True)}


# String instructions keep their operands in registers that i386's callers want back.
def string(code: str) -> dict[str, str]:
    return {
        "x86_64": code,
        "i386": f"push %edi; push %esi; mov %eax, %edi; {code}; pop %esi; pop %edi",
    }


SAVED = {
    "instructions": 5,
    "stack.loads": 2,
    "stack.stores": 2,
    "stack.bytes_loaded": 8,
    "stack.bytes_stored": 8,
}


def strings(name: str, code: str, counts: Mapping[str, int]) -> Probe:
    saved = {key: counts.get(key, 0) + SAVED.get(key, 0) for key in {*counts, *SAVED}}
    return Probe(name, string(code), counts, {"i386": saved})


PROBES = (
    Probe("nothing", dict.fromkeys(target_names(), ""), {}),
    Probe("nop", dict.fromkeys(target_names(), "nop"), {"instructions": 1}),
    # A repeated string instruction is one; its rounds are counted apart.
    strings(
        "rep stosb",
        "mov $7, %ecx; rep stosb",
        {"instructions": 2, "string_iterations": 7, **buffer(stores=7, stored=7)},
    ),
    strings(
        "rep movsl",
        "mov %rdi, %rsi; mov $5, %ecx; rep movsl",
        {"instructions": 3, "string_iterations": 5, **buffer(5, 20, 5, 20)},
    ),
    strings(
        "rep of nothing",
        "xor %ecx, %ecx; rep stosb; rep stosb",
        {"instructions": 3},
    ),
    strings(
        "rep twice",
        "mov $1, %ecx; rep stosb; mov $2, %ecx; rep stosb",
        {"instructions": 4, "string_iterations": 3, **buffer(stores=3, stored=3)},
    ),
    strings(
        "repne scasb that finds",
        "movl $0x00636261, (%rdi); xor %eax, %eax; mov $9, %ecx; repne scasb",
        {"instructions": 4, "string_iterations": 4, **buffer(4, 4, 1, 4)},
    ),
    strings(
        "repne scasb that does not",
        "movl $0x01636261, (%rdi); xor %eax, %eax; mov $4, %ecx; repne scasb",
        {"instructions": 4, "string_iterations": 4, **buffer(4, 4, 1, 4)},
    ),
    # A read-modify-write, atomic or not, is a load and a store.
    Probe(
        "read-modify-write",
        {"x86_64": "addl $1, (%rdi)", "i386": "addl $1, (%eax)"},
        {"instructions": 1, **buffer(1, 4, 1, 4)},
    ),
    Probe(
        "lock xadd",
        {"x86_64": "lock xadd %eax, (%rdi)", "i386": "lock xadd %ecx, (%eax)"},
        {"instructions": 1, **buffer(1, 4, 1, 4)},
    ),
    Probe(
        "xchg",
        {"x86_64": "xchg %eax, (%rdi)", "i386": "xchg %ecx, (%eax)"},
        {"instructions": 1, **buffer(1, 4, 1, 4)},
    ),
    Probe(
        "lock cmpxchg that fails",
        {
            "x86_64": "movl $1, (%rdi); xor %eax, %eax; lock cmpxchg %ecx, (%rdi)",
            "i386": "mov %eax, %edx; movl $1, (%edx); xor %eax, %eax; lock cmpxchg %ecx, (%edx)",
        },
        # The processor writes back what it read.
        {"instructions": 3, **buffer(1, 4, 2, 8)},
        {"i386": {"instructions": 4, **buffer(1, 4, 2, 8)}},
    ),
    Probe(
        "amoadd",
        riscv("amoadd.w a3, a4, (a0)"),
        {"instructions": 1, **buffer(1, 4, 1, 4)},
    ),
    # A store-exclusive that succeeds is one store, one that fails is none.
    Probe(
        "exclusive",
        {
            "aarch64": "ldxr w3, [x0]; stxr w4, w3, [x0]",
            "arm": "ldrex r3, [r0]; strex r12, r3, [r0]",
            **riscv("lr.w a3, (a0); sc.w a4, a3, (a0)"),
        },
        {"instructions": 2, **buffer(1, 4, 1, 4)},
    ),
    Probe(
        "exclusive that fails",
        {
            "aarch64": "clrex; stxr w4, w3, [x0]",
            "arm": "clrex; strex r12, r3, [r0]",
            # The second has no reservation left.
            **riscv("sc.w a4, a3, (a0); sc.w a4, a3, (a0)"),
        },
        {"instructions": 2},
    ),
    # Of a pair or a list, every register is one access.
    Probe(
        "pair",
        {"aarch64": "ldp x3, x4, [x0]; stp w3, w4, [x0]"},
        {"instructions": 2, **buffer(2, 16, 2, 8)},
    ),
    Probe(
        "dc zva",
        {"aarch64": "dc zva, x0"},
        {"instructions": 1, **buffer(stores=1, stored=64)},
    ),
    Probe(
        "double word",
        {"arm": "push {r4, r5}; ldrd r4, r5, [r0]; strd r4, r5, [r0]; pop {r4, r5}"},
        {
            "instructions": 4,
            **buffer(2, 8, 2, 8),
            "stack.loads": 2,
            "stack.stores": 2,
            "stack.bytes_loaded": 8,
            "stack.bytes_stored": 8,
        },
    ),
    Probe(
        "list",
        {"arm": "ldm r0, {r1, r2, r3}; stm r0, {r1, r2}"},
        {"instructions": 2, **buffer(3, 12, 2, 8)},
    ),
    Probe(
        "push and pop",
        {
            "x86_64": "push %rax; pop %rcx",
            "i386": "push %eax; pop %ecx",
            "arm": "push {r1, r2, r3}; pop {r1, r2, r3}",
        },
        {
            "instructions": 2,
            "stack.loads": 1,
            "stack.stores": 1,
            "stack.bytes_loaded": 8,
            "stack.bytes_stored": 8,
        },
        {
            "i386": {
                "instructions": 2,
                "stack.loads": 1,
                "stack.stores": 1,
                "stack.bytes_loaded": 4,
                "stack.bytes_stored": 4,
            },
            "arm": {
                "instructions": 2,
                "stack.loads": 3,
                "stack.stores": 3,
                "stack.bytes_loaded": 12,
                "stack.bytes_stored": 12,
            },
        },
    ),
    # A predicated instruction is one whether or not it is carried out; then it accesses nothing.
    Probe(
        "predicated on",
        {"arm": "cmp r0, r0; ldreq r3, [r0]; strheq r3, [r0]; addeq r3, r3, #1"},
        {"instructions": 4, **buffer(1, 4, 1, 2)},
    ),
    Probe(
        "predicated off",
        {"arm": "cmp r0, r0; ldrne r3, [r0]; strne r3, [r0]; ldmne r0, {r1, r2};addne r3, r3, #1"},
        {"instructions": 5},
    ),
    # What moves nothing to or from a register is no access.
    Probe(
        "prefetch",
        {
            "x86_64": "prefetcht0 (%rdi)",
            "aarch64": "prfm pldl1keep, [x0]",
            "arm": "pld [r0]",
        },
        {"instructions": 1},
    ),
    # An access is one wherever it lies; the lines that it touches are counted by themselves.
    Probe(
        "across a line",
        {
            "x86_64": "mov 60(%rdi), %rax; mov %eax, (%rdi); mov %eax, 128(%rdi); mov %al, 1(%rdi)",
            "i386": "mov 62(%eax), %ecx; mov %ecx, (%eax); mov %ecx, 128(%eax); mov %cl, 1(%eax)",
            "aarch64": "ldr x3, [x0, #60]; str w3, [x0]; str w3, [x0, #128]; strb w3, [x0, #1]",
            "arm": "ldr r3, [r0, #62]; str r3, [r0]; str r3, [r0, #128]; strb r3, [r0, #1]",
        },
        {"instructions": 4, **buffer(1, 4, 3, 9), "lines_touched": 3, "lines_dirtied": 2},
        {
            arch: {"instructions": 4, **buffer(1, 8, 3, 9), "lines_touched": 3, "lines_dirtied": 2}
            for arch in ("x86_64", "aarch64")
        },
    ),
    # An entry of 8 bytes that takes two stores is one; the same half again is another entry.
    Probe(
        "PTE",
        {
            "x86_64": "movq $0, (%rsi); movq $0, (%rsi); movq $0, 8(%rsi)",
            "i386": "movl $0, 4(%edx); movl $0, (%edx); movl $0, (%edx); movl $0, 4(%edx);"
            "movl $0, 8(%edx); movl $0, 12(%edx)",
            "aarch64": "str xzr, [x1]; str xzr, [x1]; str xzr, [x1, #8]",
            "arm": "mov r3, #0; str r3, [r1]; str r3, [r1]; str r3, [r1, #4]",
            "riscv64": "sd zero, (a1); sd zero, (a1); sd zero, 8(a1)",
            "riscv32": "sw zero, (a1); sw zero, (a1); sw zero, 4(a1)",
        },
        {
            "instructions": 3,
            "pte_stores": 3,
            "pagetable.stores": 3,
            "pagetable.bytes_stored": 24,
        },
        {
            "i386": {
                "instructions": 6,
                "pte_stores": 3,
                "pagetable.stores": 6,
                "pagetable.bytes_stored": 24,
            },
            "arm": {
                "instructions": 4,
                "pte_stores": 3,
                "pagetable.stores": 3,
                "pagetable.bytes_stored": 12,
            },
            "riscv32": {
                "instructions": 3,
                "pte_stores": 3,
                "pagetable.stores": 3,
                "pagetable.bytes_stored": 12,
            },
        },
    ),
    Probe(
        "invalidate a page here",
        {
            "x86_64": "invlpg (%rdx)",
            "i386": "invlpg (%ecx)",
            "aarch64": "lsr x3, x2, #12; tlbi vaae1, x3",
            "arm": "nop; mcr p15, 0, r2, c8, c7, 1",
            **riscv("sfence.vma a2; sfence.vma a2, zero"),
        },
        {"instructions": 2, "tlb_page_local": 1},
        {
            **{arch: {"instructions": 1, "tlb_page_local": 1} for arch in X86},
            **{arch: {"instructions": 2, "tlb_page_local": 2} for arch in RISCV},
        },
    ),
    Probe(
        "invalidate a page everywhere",
        {
            "aarch64": "lsr x3, x2, #12; tlbi vaae1is, x3",
            "arm": "nop; mcr p15, 0, r2, c8, c3, 1",
        },
        {"instructions": 2, "tlb_page_broadcast": 1},
    ),
    Probe(
        "invalidate all here",
        {
            "x86_64": "mov %cr3, %rax; mov %rax, %cr3",
            "i386": "mov %cr3, %ecx; mov %ecx, %cr3",
            "aarch64": "tlbi vmalle1; nop",
            "arm": "mcr p15, 0, r2, c8, c7, 0; nop",
            **riscv("sfence.vma; nop"),
        },
        {"instructions": 2, "tlb_all_local": 1},
    ),
    Probe(
        "invalidate all everywhere",
        {"aarch64": "tlbi vmalle1is; nop", "arm": "mcr p15, 0, r2, c8, c3, 0; nop"},
        {"instructions": 2, "tlb_all_broadcast": 1},
    ),
)

WHERE = ("map", "unmap", "settle", "settle that map calls")
STEP = 64
"""bytes of length from one of WHERE to the next; and so on, over and over"""

SOURCE = """
/* Calls a probe, chosen by the length: which one, and where. Else as sg. */
#include "zs.h"

typedef void probe_t(void *buffer, void *pte, void *window);
{declarations}
static probe_t *const probes[] = {{ {names} }};

asm(".text\\n"
{functions});

static u32 place(const struct zs_location *loc)
{{
	return loc->length / {step} % {places};
}}

static void probe(struct zs_area *area, const struct zs_location *loc, u32 where)
{{
	if (place(loc) == where)
		probes[loc->length % {step} - 1](area->buffer, area->window_pte, area->window);
}}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		enum zs_mapmode mode, void *caller, struct zs_span *span)
{{
	unsigned long first = PAGE_SIZE - loc->offset - loc->header;

	probe(area, loc, 0);
	if (place(loc) == 3)
		zs_settle(area, loc);
	if (loc->length <= first)
		return zs_one_span(span, zs_payload(loc), loc);
	span[0].addr = zs_payload(loc);
	span[0].length = first;
	span[1].addr = zs_page_address(loc->zspage, loc->page + 1);
	span[1].length = loc->length - first;
	return 2;
}}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		enum zs_mapmode mode, void *caller)
{{
	probe(area, loc, 1);
}}

void zs_settle(struct zs_area *area, const struct zs_location *loc)
{{
	probe(area, loc, 2);
	probe(area, loc, 3);
}}
"""


def assembly(arch: str, name: str, code: str) -> str:
    """Return a C string that defines a function."""
    lines = [f".type {name}, %function", f"{name}:", *code.split(";"), RETURN[arch]]
    return "\n".join(f'"{line.strip()}\\n"' for line in lines)


def write(arch: str, directory: Path) -> Path:
    """Write the strategy for one architecture."""
    functions, names = [], []
    for number, probe in enumerate(PROBES):
        names.append(f"probe_{number}")
        code = probe.code.get(arch, "")
        if arch == "i386":
            code = code.replace("%rdi", "%edi").replace("%rsi", "%esi")
        functions.append(assembly(arch, names[-1], code))
    path = directory / f"probes-{arch}.c"
    path.write_text(
        SOURCE.format(
            declarations="".join(f"extern probe_t {name};\n" for name in names),
            names=", ".join(names),
            functions="\n".join(functions),
            step=STEP,
            places=len(WHERE),
        )
    )
    return path


def length_of(number: int, where: str = "map", more: int = 0) -> int:
    """Return the length that chooses a probe and a place; ``more`` makes it longer."""
    return number + 1 + STEP * (WHERE.index(where) + len(WHERE) * more)


MAPS, SETTLES = 6, 3


def operations(length: int) -> Trace:
    """Return MAPS maps of objects of that length, and SETTLES times a settle."""
    return trace(
        [
            (Operation.ALLOCATE, 0, length, 0),
            (Operation.WRITE, 0, length, 0),
            (Operation.READ, 0, length, 0),
            (Operation.READ, 0, length, 0),
            (Operation.FREE, 0, length, 0),
            (Operation.ALLOCATE, 1, length, 0),
            (Operation.UPDATE, 1, length, 0),
            (Operation.WRITE, 1, length, 0),
            (Operation.READ, 1, length, 0),
        ]
    )


def measure(image: Image, trace_: Trace) -> NDArray[np.int64]:
    """Return the counts of a trace, shape (SCOPE_COLUMNS, phases, columns)."""
    outcome = Replay(image, placed(trace_, image.target.name)).run()
    assert [str(v) for v in outcome.violations] == []
    # Block hits said the same.
    assert outcome.shapes > 0
    return outcome.sums


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("definitions")


@cache
def probes(arch: str, directory: Path) -> Image:
    return Image(build(target(arch), strategy(str(write(arch, directory)))), target(arch))


@cache
def probe_sums(image: Image, length: int) -> NDArray[np.int64]:
    """Return the counts of all operations on objects of that length, shape (phases, columns)."""
    sums: NDArray[np.int64] = measure(image, operations(length)).sum(axis=0)
    return sums


def cost(image: Image, number: int, where: str = "map") -> NDArray[np.int64]:
    """Return what a probe costs more than an empty one, shape (phases, columns)."""
    empty = probe_sums(image, length_of(0, where))
    return probe_sums(image, length_of(number, where)) - empty


def expected(counts: Mapping[str, int]) -> dict[str, int]:
    """Add the totals over the regions."""
    totals = {
        name: sum(counts.get(f"{region}.{name}", 0) for region in REGIONS) for name in TRAFFIC
    }
    return {**totals, **counts}


def wrong(found: NDArray[np.int64], counts: Mapping[str, int], times: int) -> list[str]:
    """Name the columns, shape (columns,), that are not ``times`` the expected count.

    Lines are looked at if they are expected: what the stack touches depends on where it is. So are
    classes.
    """
    wanted = expected(counts)
    return [
        f"{column}: {found[at]}, should be {times * wanted.get(column, 0)}"
        for at, column in enumerate(COLUMNS)
        if found[at] != times * wanted.get(column, 0)
        and (column in wanted or not column.startswith(("lines_", "class_")))
    ]


def cases() -> list[object]:
    return [
        pytest.param(
            arch,
            number,
            id=f"{arch}-{probe.name}",
        )
        for number, probe in enumerate(PROBES)
        for arch in target_names()
        if arch in probe.code
    ]


@pytest.mark.parametrize(("arch", "number"), cases())
def test_counts(arch: str, number: int, directory: Path) -> None:
    """Every column: the map costs that much more, and neither settle nor unmap anything."""
    probe = PROBES[number]
    more = cost(probes(arch, directory), number)
    assert wrong(more[PHASES.index("map")], probe.special.get(arch, probe.counts), MAPS) == []
    for phase in ("settle", "unmap"):
        assert not more[PHASES.index(phase)].any()


def number_of(name: str) -> int:
    return next(number for number, probe in enumerate(PROBES) if probe.name == name)


@pytest.mark.parametrize(
    ("rule", "name", "archs"),
    [
        ("string", "rep stosb", X86),
        ("store_exclusive", "exclusive", ("aarch64", "arm", *RISCV)),
        ("tlb", "invalidate a page here", tuple(target_names())),
    ],
)
def test_without_its_rule_a_count_is_wrong(
    rule: str, name: str, archs: tuple[str, ...], directory: Path
) -> None:
    for arch in archs:
        image = probes(arch, directory)
        none = () if rule == "tlb" else None
        rules = replace(image.target.instructions, **{rule: none})  # type: ignore[arg-type]
        fooled = Image(image.path, replace(image.target, instructions=rules))
        probe = PROBES[number_of(name)]
        more = cost(fooled, number_of(name))[PHASES.index("map")]
        assert wrong(more, probe.special.get(arch, probe.counts), MAPS)


@pytest.mark.parametrize("arch", target_names())
def test_phases(arch: str, directory: Path) -> None:
    """An instruction belongs to the phase that was called, whoever calls whom after that."""
    image, nop = probes(arch, directory), number_of("nop")
    for where, counts in {
        "map": {"map": MAPS},
        "unmap": {"unmap": MAPS},
        "settle": {"settle": SETTLES},
        "settle that map calls": {"map": MAPS, "settle": SETTLES},
    }.items():
        more = cost(image, nop, where)
        for phase in ("settle", "map", "unmap"):
            times = counts.get(phase, 0)
            assert wrong(more[PHASES.index(phase)], {"instructions": 1}, times) == [], (
                where,
                phase,
            )


@pytest.mark.parametrize("arch", target_names())
def test_scopes(arch: str, directory: Path) -> None:
    """An operation counts in ``total`` and, if it spans, in ``spanning`` and that of its mode."""
    nop = number_of("nop")

    def run(number: int) -> Trace:
        length = length_of(number, more=7)
        rows = [(Operation.ALLOCATE, which, length, 0) for which in range(5)]
        for which in range(5):
            rows += [(Operation.WRITE, which, length, 0)] * 3
            rows += [(Operation.UPDATE, which, length, 0)] * 2
            rows += [(Operation.READ, which, length, 0)]
        return trace(rows)

    spanning = int(placed(run(nop), arch).placed.spans[:5].sum())
    assert 0 < spanning < 5
    before, after = (
        document(measure(probes(arch, directory), run(number)))["map"] for number in (0, nop)
    )
    for scope, number in {
        "total": 5 * 6,
        "spanning": spanning * 6,
        "spanning_read": spanning * 1,
        "spanning_write": spanning * 3,
        "spanning_update": spanning * 2,
    }.items():
        counted = after[scope]["instructions"], before[scope]["instructions"]
        assert isinstance(counted[0], int) and isinstance(counted[1], int)
        assert counted[0] - counted[1] == number, scope


CROSSING = {
    "x86_64": ("mov -4(%rdi), %rax; mov %rax, -4(%rdi)", 8),
    "i386": ("mov -2(%eax), %ecx; mov %ecx, -2(%eax)", 4),
    "aarch64": ("ldur x3, [x0, #-4]; stur x3, [x0, #-4]", 8),
    "arm": ("ldr r3, [r0, #-2]; str r3, [r0, #-2]", 4),
}
"""by architecture: an access across the end of the page before the first argument; bytes"""


@pytest.mark.parametrize("arch", CROSSING)
def test_across_a_page(arch: str, tmp_path: Path) -> None:
    """Through the window, over two frames that are not adjacent: one load, one store, two lines."""
    code, size = CROSSING[arch]
    source = strategy("pgtable").path.read_text()
    call = "\t(loc->length % 2 ? crossing : empty)(area->window + PAGE_SIZE);\n"
    before, last, after = source.partition("\treturn zs_one_span(span, area->window")
    path = tmp_path / "crossing.c"
    path.write_text(
        before.replace(
            '#include "zs.h"\n',
            '#include "zs.h"\nvoid crossing(void *page);\nvoid empty(void *page);\n'
            f"asm({assembly(arch, 'crossing', code)}\n{assembly(arch, 'empty', 'nop')});\n",
        )
        + call
        + last
        + after
    )
    image = Image(build(target(arch), strategy(str(path))), target(arch))

    def run(length: int) -> Trace:
        rows = [(Operation.ALLOCATE, which, length, 0) for which in range(4)]
        return trace([*rows, *((Operation.WRITE, which, length, 0) for which in range(4))])

    spanning = int(placed(run(3001), arch).placed.spans[4:].sum())
    assert spanning
    odd, even = (measure(image, run(n)).sum(axis=0)[PHASES.index("map")] for n in (3001, 3000))
    counts = {
        "instructions": 1,  # two instead of one
        "pool.loads": 1,
        "pool.stores": 1,
        "pool.bytes_loaded": size,
        "pool.bytes_stored": size,
        "lines_touched": 2,
        "lines_dirtied": 2,
    }
    assert wrong(odd - even, counts, spanning) == []


@pytest.mark.parametrize("arch", target_names())
def test_whoever_needs_it_undone_pays(arch: str) -> None:
    """swap-lazy: a displaced neighbour is undone at the cost of the operation that wants it."""
    length = 1700
    objects = [(Operation.ALLOCATE, which, length, 0) for which in range(5)]
    use = trace(objects)
    work = placed(use, arch)
    which = int(np.flatnonzero(work.placed.spans)[0])
    behind = which + 1
    assert not work.placed.spans[behind]
    header = int(work.geometry.headers[work.placed.class_index[which]])
    # Bytes in its first page, moved both ways.
    moved = 2 * (4096 - int(work.placed.offset[which]) - header)

    def loaded(phase: str, scope: str, *rows: tuple[Operation, int]) -> int:
        more = [(operation, number, length, 0) for operation, number in rows]
        outcome = replay(arch, "swap-lazy", trace([*objects, *more]))
        assert outcome.violation_count == 0
        regions = document(outcome.sums)[phase][scope]["regions"]
        assert isinstance(regions, dict)
        return int(regions["pool"]["bytes_loaded"])

    map_it, map_next = (Operation.WRITE, which), (Operation.WRITE, behind)
    free_next = (Operation.FREE, behind)
    assert loaded("map", "total", map_next) == 0
    assert loaded("map", "total", map_it) == moved
    assert loaded("map", "total", map_it, map_next) == 2 * moved
    assert loaded("map", "spanning", map_it, map_next) == moved
    assert loaded("settle", "total", free_next) == 0
    assert loaded("settle", "total", map_it, free_next) == moved
    assert loaded("settle", "spanning", map_it, free_next) == 0
