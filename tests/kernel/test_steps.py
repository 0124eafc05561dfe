# SPDX-License-Identifier: GPL-2.0-only
"""Steps of a check of a kernel's allocator: as text and back, numbered anew, shrunk, blamed."""

import re
from pathlib import Path

import pytest

from kernel.objects import ALLOCATOR, compiled
from zsemu.check import allocator
from zsemu.cli import main
from zsemu.errors import ZsemuError
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.kernel import exercise, steps
from zsemu.kernel.steps import Step
from zsemu.kernel.strategy import KernelStrategy, strategy
from zsemu.replay.violations import ALLOCATOR as BROKEN
from zsemu.replay.violations import FAULT, HALTS, WRONG_BYTES
from zsemu.zsmalloc.geometry import geometry

GEOMETRY = geometry("chain-8")
CASE = """allocator page-order 3
   0 cpu 0: allocate 0 3064
   1 cpu 1: write 0 3064
     migrate 0
     compact
   2 cpu 1: read 0 3064
   3 cpu 0: update 0 3064
     refuse 4097
     refuse 700 after 2 pages
   4 cpu 0: free 0
"""


def read(text: str, folder: Path) -> tuple[list[Step], int]:
    path = folder / "case.txt"
    path.write_text(text)
    return steps.read(path, GEOMETRY)


def test_text_and_back(tmp_path: Path) -> None:
    found, order = read(CASE, tmp_path)
    assert (len(found), order) == (9, 3)
    assert found[0] == Step("allocate", 0, 3064, 0)
    assert found[7] == Step("refuse", length=700, pages=2)
    assert "\n".join(steps.lines(found, order)) + "\n" == CASE
    bare = "\n".join(line.lstrip(" 0123456789") for line in CASE.splitlines())
    assert read(f"# mine\n\n{bare}", tmp_path) == (found, order)


@pytest.mark.parametrize("make", [exercise.slots, exercise.limits])
def test_everything_that_a_check_does_can_be_a_case(make: object, tmp_path: Path) -> None:
    assert callable(make)
    some = make(GEOMETRY)
    assert read("\n".join(steps.lines(some, 0)), tmp_path) == (steps.possible(some), 0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "allocator page-order 3",
            "geometry chain-8 page-size 4096 ascending",
            ":1: .*begins with",
        ),
        ("compact", "compcat", ":5: expected .*'migrate OBJECT'.*'compcat'"),
        ("migrate 0", "migrate 1", ":4: not possible here: 'migrate 1'"),
        ("cpu 1: read 0 3064", "cpu 1: read 0", ":6: expected"),
        ("cpu 1: read 0 3064", "cpu 1: allocate 0 3064", ":6: not possible"),
        ("allocate 0 3064", "allocate 0 4097", ":2: no object has 4097 bytes"),
        ("allocate 0 3064", "allocate 0 0", ":2: no object has 0 bytes"),
    ],
)
def test_what_is_no_case_is_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert CASE.count(old) == 1
    with pytest.raises(ZsemuError, match=rf"case\.txt{says}"):
        read(CASE.replace(old, new), tmp_path)


def test_an_empty_file_is_no_case(tmp_path: Path) -> None:
    with pytest.raises(ZsemuError, match="holds no operation"):
        read("# nothing\n", tmp_path)
    with pytest.raises(ZsemuError, match="cannot be read"):
        steps.read(tmp_path / "none.txt", GEOMETRY)


def test_what_is_possible_is_numbered_as_it_appears() -> None:
    some = [
        Step("compact"),
        Step("read", 7, 10),
        Step("allocate", 9, 10),
        Step("allocate", 4, 20),
        Step("free", 9),
        Step("write", 9, 10),
        Step("migrate", 4),
        Step("compact"),
    ]
    assert steps.possible(some) == [
        Step("allocate", 0, 10),
        Step("allocate", 1, 20),
        Step("free", 0),
        Step("migrate", 1),
        Step("compact"),
    ]


SHORT = "memcpy(buffer + part, address(place.page[1]), bytes - part);"


@pytest.mark.parametrize("arch", ["x86_64", "riscv32"])
def test_a_copy_of_too_few_bytes(
    arch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shrunk, its case shows it again, and the call that stored last is named."""
    text = ALLOCATOR.read_text()
    assert text.count(SHORT) == 1
    wrong = text.replace(SHORT, SHORT.replace("buffer + part", "buffer + part - 1"))
    path = compiled(tmp_path, arch, wrong)
    mine = strategy(str(path))
    assert isinstance(mine, KernelStrategy)
    result = allocator.check(target(arch), mine, allocator.SLOTS)
    (failure,) = result.failures
    assert failure.check == WRONG_BYTES
    assert len(failure.case) <= 5
    assert failure.violation.pc.partition("+")[0] in ("read", "zs_obj_read_begin")
    (tmp_path / "case.txt").write_text("\n".join(failure.case))
    capsys.readouterr()
    command = ["check", str(path), "--case", str(tmp_path / "case.txt")]
    assert main([*command, "--arch", arch]) == 1
    again = capsys.readouterr().out
    assert again == f"{arch} zsmalloc.o: {failure.violation}\n"
    (tmp_path / "good").mkdir()
    good = compiled(tmp_path / "good", arch)
    assert main(["check", str(good), *command[2:]]) == 0
    assert capsys.readouterr().out == f"{arch} zsmalloc.o: all checks hold\n"


WAITS = """
#if defined(__x86_64__) || defined(__i386__)
	asm volatile("hlt");
#else
	asm volatile("wfi");
#endif
"""


@pytest.mark.parametrize("arch", target_names())
def test_an_object_that_waits_for_an_interrupt(arch: str, tmp_path: Path) -> None:
    text = ALLOCATOR.read_text()
    path = compiled(tmp_path, arch, text.replace(SHORT, WAITS + SHORT))
    mine = strategy(str(path))
    assert isinstance(mine, KernelStrategy)
    (failure,) = allocator.check(target(arch), mine, allocator.SLOTS).failures
    assert failure.check == HALTS
    assert failure.violation.instruction.split()[0] in ("hlt", "wfi")
    assert len(failure.case) <= 5


# What the kernels' BUG() is; of ARM's, the instruction that BUG_INSTR_VALUE is.
BUG = """
#if defined(__x86_64__) || defined(__i386__)
	asm volatile("ud2");
#elif defined(__aarch64__)
	asm volatile("brk #0x800");
#elif defined(__arm__)
	asm volatile(".inst 0xe7f001f2");
#else
	asm volatile("ebreak");
#endif
"""


@pytest.mark.parametrize("arch", target_names())
@pytest.mark.parametrize(
    ("code", "kind", "detail"),
    [
        ("*(volatile int *)16 = 1;", FAULT, "write at 0x10, a null pointer's page"),
        (
            "(void)*(volatile char *)(address(place.page[0]) + PAGE);",
            FAULT,
            "read at 0x[0-9a-f]+, the page behind page frame 0x[0-9a-f]+ of the pool, byte 0x0",
        ),
        (BUG, BROKEN, r"it reaches a BUG\(\) or a WARN\(\)"),
    ],
    ids=["null", "pool", "trap"],
)
def test_what_a_fault_was_about(
    arch: str, code: str, kind: str, detail: str, tmp_path: Path
) -> None:
    text = ALLOCATOR.read_text()
    path = compiled(tmp_path, arch, text.replace(SHORT, f"{code}\n\t\t{SHORT}"))
    mine = strategy(str(path))
    assert isinstance(mine, KernelStrategy)
    failures = allocator.check(target(arch), mine, allocator.SLOTS).failures
    (failure,) = (one for one in failures if one.check == kind)
    assert re.fullmatch(detail, failure.violation.detail)
    function = failure.violation.pc.partition("+")[0]
    chain = [call.partition("+")[0] for call in failure.violation.calls]
    # Where the compiler has not inlined it.
    assert [function, *chain] in (["read", "zs_obj_read_begin"], ["zs_obj_read_begin"])


def test_the_calls_that_led_to_a_fault(tmp_path: Path) -> None:
    helper = (
        "static __attribute__((noinline)) void deep(int *at)\n{\n\t*(volatile int *)at = 1;\n}\n"
    )
    text = ALLOCATOR.read_text()
    begin = text.index("static void *read(")
    text = text[:begin] + helper + text[begin:]
    path = compiled(tmp_path, "riscv64", text.replace(SHORT, f"deep((int *)16);\n\t\t{SHORT}"))
    mine = strategy(str(path))
    assert isinstance(mine, KernelStrategy)
    (failure,) = allocator.check(target("riscv64"), mine, allocator.SLOTS).failures
    assert failure.violation.pc.startswith("deep+0x")
    assert failure.violation.calls
    assert failure.violation.calls[-1].startswith("zs_obj_read_begin+0x")


@pytest.mark.parametrize("arch", target_names())
def test_a_fault_in_a_stand_in_names_the_call_of_it(arch: str, tmp_path: Path) -> None:
    wrong = f"memcpy((void *)16, buffer, bytes);\n\t\t{SHORT}"
    path = compiled(tmp_path, arch, ALLOCATOR.read_text().replace(SHORT, wrong))
    mine = strategy(str(path))
    assert isinstance(mine, KernelStrategy)
    (failure,) = allocator.check(target(arch), mine, allocator.SLOTS).failures
    found = failure.violation
    assert found.detail.startswith("write at 0x10, a null pointer's page, in a stand-in: ")
    function, *chain = (place.partition("+")[0] for place in (found.pc, *found.calls))
    assert [function, *chain] in (["read", "zs_obj_read_begin"], ["zs_obj_read_begin"])
