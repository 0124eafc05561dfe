# SPDX-License-Identifier: GPL-2.0-only
"""The self-test of a target: for every part a planted fault, which that part finds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import unicorn

from zsemu.errors import ZsemuError
from zsemu.guest import selftest, targets
from zsemu.guest.machine import Fault
from zsemu.guest.selftest import PARTS, Wrong
from zsemu.guest.targets import target

each_target = pytest.mark.parametrize("arch", targets.names())

Edit = Callable[[str, str, str], None]


def failed(arch: str, *parts: str) -> dict[str, str]:
    """Run some parts of the self-test, or all; return by part what those say that fail."""
    found = {}
    for part in parts or PARTS:
        try:
            assert PARTS[part](target(arch))
        except Fault as fault:
            found[part] = f"fault: {fault}"
        except (Wrong, ZsemuError, unicorn.UcError) as error:
            found[part] = str(error)
    return found


# --- Events ------------------------------------------------------------------------------------


@each_target
def test_every_expected_event_is_compared(arch: str) -> None:
    """A single wrong number in the data is found, and named; so is one that should be there."""
    good = selftest.read_data(target(arch))
    measured = list(selftest.measure(target(arch), good))
    selftest.compare(good.cases, measured)
    planted = 0
    for index, case in enumerate(good.cases):
        for event in (
            {**case.events, "string_iterations": 0, "tlb_all_broadcast": 0} if index else {}
        ):
            known = case.events.get(event, 0)
            wrong = replace(case, events={**case.events, event: known + 1})
            cases = (*good.cases[:index], wrong, *good.cases[index + 1 :])
            with pytest.raises(Wrong) as caught:
                selftest.compare(cases, measured)
            text = str(caught.value)
            assert text.startswith(f"{case.name}: ")
            assert f"{known} {event.replace('_', ' ')}, not {known + 1}" in text
            planted += 1
    assert planted > 25


@pytest.mark.parametrize(
    ("arch", "old", "new", "text"),
    [
        # Everything dropped, then one thing after the other.
        (
            "arm",
            "if (h->run.phase == DRIVER || h->by_span.judged)\n\t\treturn;\n\t/* A",
            "return;\n\t/* A",
            "no event at all",
        ),
        (
            "aarch64",
            "if (!a.store && (kind & KIND) == STORE_EXCLUSIVE)",
            "if (0)",
            "ldxr, and stxr that succeeds: 2 loads, not 1",
        ),
        (
            "x86_64",
            "if (kind == STRING && h->run.pc == address)",
            "if (0)",
            "rep movsb, 100 rounds: 103 instructions, not 3",
        ),
        (
            "i386",
            "if (blocks->previous + blocks->previous_size == address + size)",
            "if (0)",
            "rep movsb that a branch goes to, 100 rounds: by block hits: 10 instructions, not 9",
        ),
        (
            "x86_64",
            "blocks->repeats[blocks->previous_cell] += blocks->rounds;",
            "",
            "rep movsb that a branch goes to, 100 rounds: by block hits: 104 instructions, not 5",
        ),
        (
            "riscv64",
            "\tblocks->hits[cell]++;",
            "\tblocks->hits[cell] += blocks->number > 2;",
            "by block hits",
        ),
        (
            "riscv32",
            "row[BYTES_LOADED + a->store] += a->size;",
            "row[BYTES_LOADED + a->store] += a->size & 3;",
            "a load and a store: 0 bytes loaded, not 4",
        ),
        (
            "arm",
            "if (kind & ALIGNED && a.address % a.size)",
            "if (0)",
            "ldm at an odd address: 0 misaligned, not 1",
        ),
        (
            "aarch64",
            "traffic = row + REGIONS + 4 * region;",
            "traffic = row + REGIONS + 4 * OTHER;",
            "a load and a store: in the caller's buffer: 0 loads, not 1",
        ),
        (
            "i386",
            "return within(a, e->caller, e->length)",
            "return !a->store",
            "taken for a stray store",
        ),
        (
            "aarch64",
            "return within(a, e->caller, e->length)",
            "return a->store",
            "taken for a stray load",
        ),
        (
            "riscv64",
            "row[TLB_PAGE_LOCAL + kind - TLB]++;",
            ";",
            "sfence.vma of a page: 0 tlb page local, not 1",
        ),
        (
            "x86_64",
            "if (last != first)",
            "if (0)",
            "a load and a store across two pages: 1 lines touched, not 2",
        ),
    ],
)
def test_finds_broken_hooks(
    arch: str, old: str, new: str, text: str, edit_hooks: Callable[..., None]
) -> None:
    edit_hooks(old, new)
    assert text in failed(arch, "events")["events"]


@pytest.mark.parametrize(
    ("arch", "old", "new", "text"),
    [
        ("x86_64", "string = '^rep'", "string = ''", "rep movsb, 100 rounds"),
        ("arm", "store_exclusive = '^strex'", "store_exclusive = ''", "strex that succeeds"),
        ("arm", "(ldm|stm|", "(stm|", "ldm at an odd address: 0 misaligned, not 1"),
        ("aarch64", "(is|os),'", "(is|os)x,'", "tlbi vaae1is: 0 tlb page broadcast, not 1"),
    ],
)
def test_finds_wrong_patterns(arch: str, old: str, new: str, text: str, edit_arch: Edit) -> None:
    edit_arch(f"{arch}/target.toml", old, new)
    assert text in failed(arch, "events")["events"]


def test_code_that_does_not_assemble(edit_arch: Edit) -> None:
    edit_arch("riscv64/selftest.toml", "amoadd.d a1, a1, (a0)", "amoabacus a1, a1, (a0)")
    assert "does not compile for riscv64" in failed("riscv64", "events")["events"]


def test_a_case_that_faults(edit_arch: Edit) -> None:
    edit_arch("arm/selftest.toml", '"""\nldr r1, [r0]\nstr', '"""\nldr r1, [r1, -r1]\nstr')
    assert failed("arm", "events")["events"].startswith("fault: ")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("loads = 2, stores = 2", "load = 2, stores = 2", "no event is called 'load': there are"),
        ('return = "ret"', "", "'return': see those of the other targets"),
        ('return = "ret"', "return = ret", "Invalid value"),
    ],
)
def test_malformed_data(old: str, new: str, text: str, edit_arch: Edit) -> None:
    edit_arch("aarch64/selftest.toml", old, new)
    found = failed("aarch64", "events")["events"]
    assert text in found
    assert "aarch64/selftest.toml: " in found


def test_no_data(tmp_path: Path, edit_arch: Edit) -> None:
    (tmp_path / "arch" / "arm" / "selftest.toml").unlink()
    assert "every target needs one" in failed("arm", "events")["events"]


# --- MMU ---------------------------------------------------------------------------------------

EXEC, STORE = "a jump into data is not refused", "a store into code is not refused"


@pytest.mark.parametrize(
    ("arch", "file", "old", "new", "text"),
    [
        ("x86_64", "x86_64/pgtable.h", "(exec ? 0 : PTE_NX)", "0", EXEC),
        ("x86_64", "x86_64/pgtable.h", "(write ? PTE_WRITE : 0)", "PTE_WRITE", STORE),
        ("x86_64", "x86_64/entry.S", "0x80010001", "0x80000001", STORE),
        ("i386", "i386/pgtable.h", "(exec ? 0 : PTE_NX)", "0", EXEC),
        ("aarch64", "aarch64/pgtable.h", "(exec ? 0 : PTE_PXN)", "0", EXEC),
        ("aarch64", "aarch64/pgtable.h", "(write ? 0 : PTE_RDONLY)", "0", STORE),
        ("arm", "arm/pgtable.h", "(exec ? 0 : PTE_XN)", "0", EXEC),
        ("arm", "arm/entry.S", "mov\tr4, #1\n", "mov\tr4, #3\n", EXEC),  # a manager's domain
        ("arm", "arm/pgtable.h", "(write ? 0 : PTE_RDONLY)", "0", STORE),
        ("riscv64", "riscv/pgtable-common.h", "(exec ? PTE_X : 0)", "PTE_X", EXEC),
        ("riscv32", "riscv/pgtable-common.h", "(write ? PTE_W : 0)", "PTE_W", STORE),
        ("arm", "boot.c", "page += range->skip;", "", "behind the per-CPU buffer is not refused"),
        (
            "riscv64",
            "boot.c",
            "\treturn zs_boot_info.root;",
            "\t*entry_at(zs_boot_info.window + (1UL << MMU_PAGE_SHIFT), PGTABLE_LEVELS - 1) =\n"
            "\t\tpgtable_leaf(zs_boot_info.root, 1, 0);\n"
            "\treturn zs_boot_info.root;",
            "a load from an empty window is not refused",
        ),
        # Too much is refused.
        ("x86_64", "x86_64/pgtable.h", "(write ? PTE_WRITE : 0)", "0", "fault: "),
    ],
)
def test_finds_broken_mmu(
    arch: str, file: str, old: str, new: str, text: str, edit_arch: Edit
) -> None:
    edit_arch(file, old, new)
    assert text in failed(arch, "mmu")["mmu"]


# --- TLB ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "file", "old", "new", "text"),
    [
        (
            "x86_64",
            "x86_64/pgtable.h",
            '"invlpg (%0)"',
            '"nop" ',
            "first page, invalidated: a load sees the old page",
        ),
        (
            "aarch64",
            "aarch64/pgtable.h",
            '"dsb ishst\\n\\tisb"',
            '"dsb ishst\\n\\ttlbi vmalle1\\n\\tisb"',
            "first page, entry changed: a load sees the new page",
        ),
        (
            "i386",
            "i386/pgtable.h",
            '"invlpg (%0)" : : "r" (addr) :',
            '"mov %%cr3, %%eax; mov %%eax, %%cr3" : : "r" (addr) : "eax",',
            "second page, the first one's entry invalidated: a load sees the new page",
        ),
        (
            "arm",
            "arm/target.toml",
            "set_page_size = true",
            "set_page_size = false",
            "second page, the first one's entry invalidated: a load sees the new page",
        ),
        (
            "riscv32",
            "riscv/pgtable-common.h",
            "pgtable_leaf(pfn << MMU_PAGE_SHIFT, 1, 0)",
            "pgtable_leaf((pfn + 2) << MMU_PAGE_SHIFT, 1, 0)",
            "first page, mapped: a load sees the new page",
        ),
    ],
)
def test_finds_broken_tlb(
    arch: str, file: str, old: str, new: str, text: str, edit_arch: Edit
) -> None:
    edit_arch(file, old, new)
    assert text in failed(arch, "tlb")["tlb"]


@each_target
def test_what_an_invalidate_drops_is_known(arch: str, edit_arch: Edit) -> None:
    """Unicorn drops everything on RISC-V, elsewhere one page: said otherwise, it is wrong."""
    drops = "all" if arch.startswith("riscv") else "page"
    other = "page" if drops == "all" else "all"
    edit_arch(f"{arch}/selftest.toml", f'invalidate = "{drops}"', f'invalidate = "{other}"')
    found = failed(arch)
    assert set(found) == {"tlb"}
    assert found["tlb"].startswith("second page, the first one's entry invalidated: ")


# --- The strict table --------------------------------------------------------------------------

FIRST = "first page, invalidated: a load sees the old page"
SECOND = "second page, the first one's entry invalidated: a load sees the new page"


@pytest.mark.parametrize(
    ("arch", "old", "new", "text"),
    [
        ("arm", "invalidate_page(t, (address - t->window)", "(void)((address - t->window)", FIRST),
        ("riscv64", "0 : load(t->served + offset", "0 : load(t->stored + offset", SECOND),
        (
            "riscv32",
            "\tif (at < LEAF_MAX)\n\t\tserve(t, at);",
            "\tmemcpy(t->served, t->stored, LEAF_MAX);",
            SECOND,
        ),
        (
            "aarch64",
            "if (load(t->served + at, t->pte_size) != stored)",
            "if (0)",
            "an invalidate before the change of its entry is not found",
        ),
        (
            "x86_64",
            "if (load(t->served + at, t->pte_size) != stored)",
            "if (load(t->served + at, t->pte_size) == stored)",
            "a missing invalidate is found where there is none",
        ),
        ("i386", "if (pte != rows->last_pte || ", "if (1 || ", "12 pte stores, not 6"),
    ],
)
def test_finds_broken_strict_table(
    arch: str, old: str, new: str, text: str, edit_hooks: Callable[..., None]
) -> None:
    edit_hooks(old, new)
    found = failed(arch, "strict", "mmu", "events")
    assert text in found.pop("strict")
    assert not found


@pytest.mark.parametrize(
    ("arch", "old", "new"),
    [
        ("aarch64", "tlb_operand_shift = 12 ", "tlb_operand_shift = 13 "),
        ("x86_64", "pte_present = 1 ", "pte_present = 512 "),
    ],
)
def test_finds_wrong_description_of_entries(arch: str, old: str, new: str, edit_arch: Edit) -> None:
    edit_arch(f"{arch}/target.toml", old, new)
    assert set(failed(arch)) == {"strict"}
