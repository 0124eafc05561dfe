# SPDX-License-Identifier: GPL-2.0-only
"""The self-test: all well here, and a planted fault for every part, seen by that part."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
import unicorn

from zsemu.cli import main
from zsemu.errors import ZsemuError
from zsemu.guest import compiler, targets
from zsemu.guest.targets import Target, target
from zsemu.paths import ARCH
from zsemu.runs import doctor
from zsemu.runs.doctor import Line, Verdict, ensure, examine

each_target = pytest.mark.parametrize("arch", targets.names())

Edit = Callable[[str, str, str], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Change a file of a copy of arch/, which is then used instead: file, old text, new text."""
    copy = tmp_path / "arch"
    shutil.copytree(ARCH, copy)
    for module in (compiler, targets, doctor):
        monkeypatch.setattr(module, "ARCH", copy)
    targets.target.cache_clear()

    def change(file: str, old: str, new: str) -> None:
        text = (copy / file).read_text()
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times: plant it anew"
        (copy / file).write_text(text.replace(old, new))

    yield change
    targets.target.cache_clear()


def lines(arch: str) -> dict[str, Line]:
    return {line.part: line for line in examine([target(arch)])}


def failed(arch: str) -> dict[str, str]:
    """Return what the failed lines of one target say, by part."""
    return {p: line.text for p, line in lines(arch).items() if line.verdict == Verdict.FAILED}


# --- All is well -------------------------------------------------------------------------------


def test_all_is_well_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "Counts and checks can be trusted here."
    names = [line[:14].rstrip() for line in out[:-1]]
    parts = ("events", "mmu", "tlb", "strict")
    assert names == [
        *("cache", "compiler", "versions", "machine"),
        *(f"{part} {arch}" for arch in targets.names() for part in parts),
    ]
    assert not any(" FAILED " in line for line in out)
    assert f"Unicorn {unicorn.__version__}, " in out[2]
    assert all(len(line) <= 100 for line in out[1:])


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--arch", "arm,riscv32", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["trusted"] is True
    assert {line["arch"] for line in document["lines"]} == {"", "arm", "riscv32"}
    assert {line["verdict"] for line in document["lines"]} <= {"ok", "warning"}


def test_unknown_architecture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--arch", "abacus"]) == 2
    assert capsys.readouterr().err.startswith("zsemu: no architecture 'abacus': there are x86_64")


# --- Events ------------------------------------------------------------------------------------


@each_target
def test_every_expected_event_is_compared(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single wrong number in the data is found, and named; so is one that should be there."""
    good = doctor._data(target(arch))
    planted = 0
    for index, case in enumerate(good.cases):
        for event in (
            {**case.events, "string_iterations": 0, "tlb_all_broadcast": 0} if index else {}
        ):
            known = case.events.get(event, 0)
            wrong = replace(case, events={**case.events, event: known + 1})
            cases = (*good.cases[:index], wrong, *good.cases[index + 1 :])
            monkeypatch.setattr(doctor, "_data", lambda _, c=cases: replace(good, cases=c))
            line = doctor._line("events", arch, lambda: doctor._events(target(arch)))
            assert line.verdict == Verdict.FAILED
            assert line.text.startswith(f"{case.name}: ")
            assert f"{known} {event.replace('_', ' ')}, not {known + 1}" in line.text
            planted += 1
    assert planted > 25


@pytest.mark.parametrize(
    ("arch", "old", "new", "text"),
    [
        # Everything dropped, then one thing after the other.
        (
            "arm",
            "if (h->phase == DRIVER)\n\t\treturn;\n\t/* A",
            "return;\n\t/* A",
            "no event at all",
        ),
        (
            "aarch64",
            "if (!store && (kind & KIND) == STORE_EXCLUSIVE)",
            "if (0)",
            "ldxr, and stxr that succeeds: 2 loads, not 1",
        ),
        (
            "x86_64",
            "if (kind == STRING && h->pc == address)",
            "if (0)",
            "rep movsb, 100 rounds: 103 instructions, not 3",
        ),
        (
            "i386",
            "if (h->previous + h->previous_size == address + size)",
            "if (0)",
            "rep movsb, 100 rounds: by block hits: 8 instructions, not 7",
        ),
        (
            "x86_64",
            "h->repeats[h->previous_cell]++;",
            "",
            "rep movsb, 100 rounds: by block hits: 102 instructions, not 3",
        ),
        (
            "riscv64",
            "\th->hits[cell]++;",
            "\th->hits[cell] += h->nr_blocks > 2;",
            "by block hits",
        ),
        (
            "riscv32",
            "r[BYTES_LOADED + store] += size;",
            "r[BYTES_LOADED + store] += size & 3;",
            "a load and a store: 0 bytes loaded, not 4",
        ),
        (
            "arm",
            "if (kind & ALIGNED && address % size)",
            "if (0)",
            "ldm at an odd address: 0 misaligned, not 1",
        ),
        (
            "aarch64",
            "c = r + REGIONS + 4 * counted;",
            "c = r + REGIONS + 4 * OTHER;",
            "a load and a store: in the caller's buffer: 0 loads, not 1",
        ),
        ("i386", "return offset >= e->caller &&", "return 0 &&", "taken for a stray store"),
        (
            "riscv64",
            "r[TLB_PAGE_LOCAL + kind - TLB]++;",
            ";",
            "sfence.vma of a page: 0 tlb page local, not 1",
        ),
        (
            "x86_64",
            "if ((offset + size - 1) >> LINE_SHIFT != offset >> LINE_SHIFT)",
            "if (0)",
            "a load and a store across two pages: 1 lines touched, not 2",
        ),
    ],
)
def test_finds_broken_hooks(
    arch: str, old: str, new: str, text: str, edit_hooks: Callable[..., None]
) -> None:
    edit_hooks(old, new)
    assert text in failed(arch)["events"]


@pytest.mark.parametrize(
    ("arch", "old", "new", "text"),
    [
        ("x86_64", "string = '^rep'", "string = ''", "rep movsb, 100 rounds"),
        ("arm", "store_exclusive = '^strex'", "store_exclusive = ''", "strex that succeeds"),
        ("arm", "(ldm|stm|", "(stm|", "ldm at an odd address: 0 misaligned, not 1"),
        ("aarch64", "(is|os),'", "(is|os)x,'", "tlbi vaae1is: 0 tlb page broadcast, not 1"),
    ],
)
def test_finds_wrong_patterns(arch: str, old: str, new: str, text: str, edit: Edit) -> None:
    edit(f"{arch}/target.toml", old, new)
    assert text in failed(arch)["events"]


def test_code_that_does_not_assemble(edit: Edit) -> None:
    edit("riscv64/selftest.toml", "amoadd.d a1, a1, (a0)", "amoabacus a1, a1, (a0)")
    assert "does not compile for riscv64" in failed("riscv64")["events"]


def test_a_case_that_faults(edit: Edit) -> None:
    edit("arm/selftest.toml", '"""\nldr r1, [r0]\nstr', '"""\nldr r1, [r1, -r1]\nstr')
    assert "the guest cannot go on" in failed("arm")["events"]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("loads = 2, stores = 2", "load = 2, stores = 2", "no event is called 'load': there are"),
        ('return = "ret"', "", "'return': see those of the other targets"),
        ('return = "ret"', "return = ret", "Invalid value"),
    ],
)
def test_malformed_data(old: str, new: str, text: str, edit: Edit) -> None:
    edit("aarch64/selftest.toml", old, new)
    found = failed("aarch64")["events"]
    assert text in found
    assert "aarch64/selftest.toml: " in found


def test_no_data(tmp_path: Path, edit: Edit) -> None:
    (tmp_path / "arch" / "arm" / "selftest.toml").unlink()
    assert "every target needs one" in failed("arm")["events"]


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
        ("x86_64", "x86_64/pgtable.h", "(write ? PTE_WRITE : 0)", "0", "the guest cannot go on"),
    ],
)
def test_finds_broken_mmu(arch: str, file: str, old: str, new: str, text: str, edit: Edit) -> None:
    edit(file, old, new)
    assert text in failed(arch)["mmu"]


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
def test_finds_broken_tlb(arch: str, file: str, old: str, new: str, text: str, edit: Edit) -> None:
    edit(file, old, new)
    assert text in failed(arch)["tlb"]


@each_target
def test_what_an_invalidate_drops_is_known(arch: str, edit: Edit) -> None:
    """Unicorn drops everything on RISC-V, elsewhere one page: said otherwise, it is wrong."""
    drops = "all" if arch.startswith("riscv") else "page"
    other = "page" if drops == "all" else "all"
    edit(f"{arch}/selftest.toml", f'invalidate = "{drops}"', f'invalidate = "{other}"')
    found = failed(arch)
    assert set(found) == {"tlb"}
    assert found["tlb"].startswith("second page, the first one's entry invalidated: ")


# --- The strict table --------------------------------------------------------------------------

FIRST = "first page, invalidated: a load sees the old page"
SECOND = "second page, the first one's entry invalidated: a load sees the new page"


@pytest.mark.parametrize(
    ("arch", "old", "new", "text"),
    [
        ("arm", "invalidate(h, (address - h->window)", "(void)((address - h->window)", FIRST),
        ("riscv64", "0 : load(h->served + offset", "0 : load(h->stored + offset", SECOND),
        (
            "riscv32",
            "memcpy(h->served + at, h->stored + at, h->pte_size);\n}\n\nstatic void on_tlb",
            "memcpy(h->served, h->stored, LEAF_MAX);\n}\n\nstatic void on_tlb",
            SECOND,
        ),
        (
            "aarch64",
            "if (load(h->served + at, h->pte_size) !=\n",
            "if (0 && load(h->served + at, h->pte_size) !=\n",
            "an invalidate before the change of its entry is not found",
        ),
        (
            "x86_64",
            "if (load(h->served + at, h->pte_size) !=\n",
            "if (load(h->served + at, h->pte_size) ==\n",
            "a missing invalidate is found where there is none",
        ),
        ("i386", "if (pte != h->last_pte || ", "if (1 || ", "12 pte stores, not 6"),
    ],
)
def test_finds_broken_strict_table(
    arch: str, old: str, new: str, text: str, edit_hooks: Callable[..., None]
) -> None:
    edit_hooks(old, new)
    found = failed(arch)
    assert text in found["strict"]
    assert "mmu" not in found
    assert "events" not in found


@pytest.mark.parametrize(
    ("arch", "old", "new"),
    [
        ("aarch64", "tlb_operand_shift = 12 ", "tlb_operand_shift = 13 "),
        ("x86_64", "pte_present = 1 ", "pte_present = 512 "),
    ],
)
def test_finds_wrong_description_of_entries(arch: str, old: str, new: str, edit: Edit) -> None:
    edit(f"{arch}/target.toml", old, new)
    assert set(failed(arch)) == {"strict"}


# --- The machine -------------------------------------------------------------------------------


def test_exit_status_and_verdict(
    edit: Edit, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("arm/selftest.toml", 'invalidate = "page"', 'invalidate = "all"')
    assert main(["doctor", "--arch", "arm"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if " FAILED " in line] == [
        "tlb arm         FAILED   second page, the first one's entry invalidated:"
        " a load sees the old page"
    ]
    assert out[-1] == "Neither counts nor checks can be trusted here: tlb arm"
    assert main(["doctor", "--arch", "arm", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["trusted"] is False


def test_no_place_for_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["doctor", "--arch", "arm"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("cache           FAILED   ")
    assert first.endswith("set ZSEMU_CACHE to a directory that can be written to")


def test_the_cache_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path))
    assert doctor._cache() == str(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    command = (sys.executable, "-c", "raise SystemExit('no zig')")
    monkeypatch.setattr(compiler, "zig", lambda: command)
    line = lines("arm")["compiler"]
    assert line.verdict == Verdict.FAILED
    assert line.text.startswith("the compiler does not run: ")


def test_another_library_than_the_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unicorn, "uc_version", lambda: (2, 0, 0x020001FF))
    line = lines("arm")["versions"]
    assert line.verdict == Verdict.FAILED
    assert line.text.startswith(
        f"Unicorn's binding {unicorn.__version__} has loaded a library 2.0.1"
    )


def test_another_version_than_the_pinned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs = ["numpy>=2.0", "ziglang==0.0.7", 'ruff==1; extra == "dev"']
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    assert main(["doctor", "--arch", "arm"]) == 0
    line = capsys.readouterr().out.splitlines()[2]
    installed = metadata.version("ziglang")
    assert line.startswith(f"versions        warning  ziglang {installed}, not 0.0.7: ")

    monkeypatch.setattr(metadata, "requires", lambda name: ["abacus==1.0"])
    assert lines("arm")["versions"].verdict == Verdict.FAILED


def test_installed_versions_are_looked_at() -> None:
    assert {name for name, _ in doctor._pinned()} == {"unicorn", "ziglang"}


def test_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:       16000000 kB\nMemAvailable:    1048576 kB\n")
    monkeypatch.setattr(doctor, "_MEMINFO", file)
    assert main(["doctor", "--arch", "arm"]) == 0
    line = capsys.readouterr().out.splitlines()[3]
    assert line.startswith("machine         warning ")
    assert "1.0 GiB of memory free: too little" in line
    file.write_text(file.read_text().replace("1048576", "2097152"))
    assert lines("arm")["machine"].verdict == Verdict.OK
    file.unlink()
    assert "memory" not in lines("arm")["machine"].text


# --- ensure() ----------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each run of the event part, with a cache of passes of its own."""
    found: list[str] = []
    real = doctor._events

    def noted(one: Target) -> str:
        found.append(one.name)
        return real(one)

    folder = tmp_path / "passes"
    folder.mkdir()
    real_folder = compiler.cache_folder
    monkeypatch.setattr(doctor, "_events", noted)
    monkeypatch.setattr(
        "zsemu.doctor.cache_folder",
        lambda name: folder if name == "selftest" else real_folder(name),
    )
    return found


def test_ensure_is_remembered(runs: list[str]) -> None:
    both = [target("arm"), target("x86_64")]
    ensure(both[:1])
    assert runs == ["arm"]
    ensure(both)
    ensure(both)
    assert runs == ["arm", "x86_64"]


def test_ensure_runs_again(
    runs: list[str],
    edit: Edit,
    edit_hooks: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On another Unicorn, zsemu, machine, hooks or data; not on another target's data."""

    def run() -> int:
        before = len(runs)
        ensure([target("arm")])
        ensure([target("arm")])
        return len(runs) - before

    assert run() == 1
    monkeypatch.setattr("zsemu.__version__", "0.0.0")
    assert run() == 1
    monkeypatch.setattr(unicorn, "__version__", "2.9.9")
    assert run() == 1
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    assert run() == 1
    edit_hooks("enum phase {", "enum phase  {")
    assert run() == 1
    edit("arm/selftest.toml", "[r0, #64]", "[r0, #128]")
    assert run() == 1
    edit("i386/selftest.toml", "64(%eax)", "128(%eax)")
    assert run() == 0


def test_ensure_refuses(runs: list[str], edit: Edit) -> None:
    edit("arm/target.toml", "store_exclusive = '^strex'", "store_exclusive = ''")
    for times in (1, 2):  # what failed is not remembered
        with pytest.raises(ZsemuError) as caught:
            ensure([target("x86_64"), target("arm")])
        assert str(caught.value) == (
            "self-test: events arm: ldrex, and strex that succeeds: 2 loads, not 1;"
            " so no count can be trusted here: see zsemu doctor"
        )
        assert runs.count("arm") == times
    assert runs.count("x86_64") == 1


def test_ensure_notices_hooks_that_drop_events(
    runs: list[str], edit_hooks: Callable[..., None]
) -> None:
    ensure([target("x86_64")])
    edit_hooks("r[LOADS + store]++;", "r[LOADS + store] += size != 1;")
    with pytest.raises(ZsemuError, match=r"rep movsb, 100 rounds: 0 loads, not 100;"):
        ensure([target("x86_64")])


def test_ensure_passes_on_what_the_compiler_says(runs: list[str], edit: Edit) -> None:
    edit("arm/selftest.toml", "clrex", "abacus")
    with pytest.raises(ZsemuError, match="does not compile for arm") as caught:
        ensure([target("arm")])
    assert "abacus" in caught.value.detail
