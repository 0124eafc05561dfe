# SPDX-License-Identifier: GPL-2.0-only
"""zsemu annotate --mca: against llvm-mca called by hand on what objdump prints."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from readme import loops as kept

from zsemu.annotate import llvm_mca
from zsemu.annotate.llvm_mca import NotModelled
from zsemu.cli import main
from zsemu.guest.compiler import build
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target

PLANTED = Path(__file__).parents[1] / "annotate" / "loops.c"
SHAPE = ("--shape", "read:1632/2")
each_target = pytest.mark.parametrize("arch", target_names())


def annotate(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is printed, which nothing on stderr is."""
    assert main(["annotate", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def listings(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    found = json.loads(annotate(capsys, *arguments, "--mca", "--format", "json"))
    assert found["llvm_mca"] == llvm_mca.version()
    each: list[dict[str, Any]] = found["listings"]
    return each


# --- Against others ----------------------------------------------------------------------------


@cache
def objdump(arch: str, name: str) -> dict[str, list[tuple[int, str]]]:
    """Return offset and text of the instructions of each function, as GNU binutils have them."""
    machine = target(arch)
    own = "" if arch in ("x86_64", "i386") else machine.build.gcc.removesuffix("gcc")
    told = subprocess.run(
        [
            f"{own}objdump",
            "-d",
            "-j",
            ".text",
            "--no-show-raw-insn",
            build(machine, strategy(name)),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[str, list[tuple[int, str]]] = {}
    for start, function, body in re.findall(r"(?m)^([0-9a-f]+) <(\w+)>:\n((?:.+\n)+)", told):
        rows = re.findall(r"(?m)^ *([0-9a-f]+):\t(.+)$", body)
        found[function] = [(int(at, 16) - int(start, 16), text) for at, text in rows]
    return found


def by_hand(arch: str, name: str, loop: dict[str, Any], cpu: str) -> tuple[int, int]:
    """Return the instructions and cycles that llvm-mca prints for a loop as objdump shows it."""
    lines = [
        re.sub(r"\s*(//|[;@#] ).*$", "", text)
        for offset, text in objdump(arch, name)[loop["function"]]
        if loop["first"] <= offset <= loop["last"]
    ]
    # Where it branches to, objdump writes as an address.
    lines[-1] = re.sub(r"[0-9a-f]+ <\S+>$", "again", lines[-1])
    assert lines[-1].endswith("again")
    said = subprocess.run(
        ["llvm-mca", f"-mtriple={target(arch).models.triple}", f"-mcpu={cpu}", "-iterations=1000"],
        input="again:\n" + "\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    figures = [re.findall(rf"{what}: +(\d+)", said)[0] for what in ("Instructions", "Total Cycles")]
    return int(figures[0]) // 1000, int(figures[1])


@pytest.mark.external
@each_target
def test_as_by_hand(capsys: pytest.CaptureFixture[str], arch: str) -> None:
    """Of copying and of exchanging, on every model; and the README's figures are these."""
    compared = []
    for listing in listings(capsys, "copy", "--arch", arch, "--against", "swap", *SHAPE):
        for loop in listing["loops"]:
            for cpu, cycles in loop["cycles"].items():
                if cycles is None:
                    assert "rep movs" in loop["unmodelled"][cpu]
                    continue
                theirs = by_hand(arch, listing["strategy"], loop, cpu)
                assert theirs == (len(loop["assembly"]), cycles)
                compared.append(loop["function"])
        found = {(one["function"], one["first"]): one["cycles"] for one in listing["loops"]}
        (shown,) = (
            one
            for one in kept().listings
            if (one.arch, one.strategy) == (arch, listing["strategy"])
        )
        assert {(one.function, one.first): one.cycles for one in shown.loops} == found
    repeated = arch in ("x86_64", "i386")
    assert set(compared) == {"zs_swap"} if repeated else {"zs_copy", "zs_swap"}
    assert kept().llvm_mca == llvm_mca.version()


@pytest.mark.external
@each_target
def test_a_slower_loop(capsys: pytest.CaptureFixture[str], arch: str) -> None:
    """With a chain of multiplications planted: more cycles on every model, for as many bytes."""
    (listing,) = listings(capsys, str(PLANTED), "--arch", arch, *SHAPE)
    loops = {one["function"]: one for one in listing["loops"]}
    plain, slow = loops["plain"], loops["slow"]
    for name in ("iterations", "bytes_loaded", "bytes_stored"):
        assert plain[name] == slow[name]
    assert plain["cycles"].keys() == dict(target(arch).models.cpus).keys()
    for cpu, cycles in plain["cycles"].items():
        assert slow["cycles"][cpu] > cycles, cpu
    for name in ("calls", "fences"):
        assert set(loops[name]["cycles"].values()) == {None} and not loops[name]["assembly"]


# --- What is printed ---------------------------------------------------------------------------


@pytest.mark.external
def test_beside_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("copy", "--arch", "aarch64", "--function", "zs_copy", *SHAPE)
    page = annotate(capsys, *arguments, "--mca")
    (loop,) = listings(capsys, *arguments)[0]["loops"]
    each = loop["bytes_loaded"] + loop["bytes_stored"]
    assert each == loop["iterations"] * 128
    figures = {cpu: f"{cycles / 1000 / 128 * 64:.2f}" for cpu, cycles in loop["cycles"].items()}
    together = ", ".join(f"{cpu} {figure}" for cpu, figure in figures.items())
    above, _, behind = page.partition(f"\nloop +0x8..+0x2c, cycles per 64 bytes: {together[:30]}")
    assert above.splitlines()[-1].endswith("+0x4   b.lo +0x30  ; copy.S:24")
    assert together[30:].split()[-1] in behind.splitlines()[1]
    assert "+0x8   ldp x3, x4, [x1], #0x10" in behind.splitlines()[2]
    rows = [line.split() for line in page.splitlines()]
    assert ["loop", "iterations", "bytes", *figures] in rows
    assert ["zs_copy+0x8..+0x2c", str(loop["iterations"]), "128", *figures.values()] in rows
    told = " ".join(page.split())
    assert f"By llvm-mca {llvm_mca.version()}. Cycles are llvm-mca's total of 1000" in told
    assert "cortex-a53 issues in order. " in told and "cortex-a57 issues out of order. " in told
    assert all(len(line) <= 80 for line in page.splitlines())
    # Of two strategies, and by heat, only the tables.
    for more in (("--against", "swap", "--function", "zs_swap"), ("--hot",)):
        other = annotate(capsys, *arguments, "--mca", *more)
        assert "\nloop +" not in other and "\ncopy on aarch64: cycles per 64 bytes\n" in other


@pytest.mark.external
def test_what_is_not_modelled_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    page = annotate(capsys, "copy", "--arch", "x86_64", "--mca-cpu", "skylake", *SHAPE)
    assert "\nloop +0xa, cycles per 64 bytes: not modelled\n" in page
    told = " ".join(page.split())
    assert "zs_copy+0xa 420 16 - zs_copy+0xa is not modelled: llvm-mca gives rep movsq" in told
    assert "issues" not in told
    cpus = ("--mca-cpu", "cortex-a9,cortex-a57")
    told = " ".join(annotate(capsys, "copy", "--arch", "arm", *cpus, *SHAPE).split())
    assert "loop iterations bytes cortex-a9 cortex-a57 zs_copy+0x18..+0x24 104 64 - 8.01" in told
    assert re.search(r"zs_copy\S+ is not modelled on cortex-a9: ldm .*: unable to resolve", told)
    none = annotate(capsys, "sg", "--arch", "arm", "--mca", *SHAPE)
    assert "\nsg on arm: No inner loop that loads or stores was executed.\n" in none


@pytest.mark.external
def test_its_calls_can_be_pasted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZSEMU_VERBOSE", "1")
    arguments = ["swap", "--arch", "arm", *SHAPE, "--mca", "--format", "json"]
    assert main(["annotate", *arguments]) == 0
    out, err = capsys.readouterr()
    (loop,) = json.loads(out)["listings"][0]["loops"]
    *_, call = re.findall(r"(?ms)^llvm-mca -mtriple.*?^END\n", err)
    said = subprocess.run(["bash", "-c", call], capture_output=True, text=True, check=True).stdout
    assert loop["cycles"] == {"cortex-a57": int(re.findall(r'"TotalCycles": (\d+)', said)[0])}


@pytest.mark.external
def test_models_that_mislead() -> None:
    """What zsemu/README.md says of some models, and target.toml of those that are left out."""
    arm, riscv = target("arm"), target("riscv64")
    for cpu in ("swift", "cortex-r52"):
        two, eight = (
            llvm_mca.cycles(arm, cpu, [f"ldm r0, {{{regs}}}"])
            for regs in ("r3, r4", "r3, r4, r5, r6, r7, r8, r12, lr")
        )
        assert two == eight
    assert isinstance(llvm_mca.disassemble(arm, b"\xff" * 4), NotModelled)
    found = llvm_mca.cycles(arm, "cortex-a9", ["stm r0!, {r3, r4}"])
    assert isinstance(found, NotModelled) and "unable to resolve" in found.reason
    load, store, both = (
        llvm_mca.cycles(riscv, "sifive-u74", lines)
        for lines in (
            ["ld a0, 0(a1)"],
            ["sd a2, 0(a3)"],
            ["ld a0, 0(a1)", "sd a2, 0(a3)"],
        )
    )
    assert isinstance(load, int) and isinstance(store, int) and isinstance(both, int)
    assert load < 1010 and store < 1010 and both > 2900


# --- Around it ---------------------------------------------------------------------------------


@pytest.mark.external
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--arch", "arm", "--mca-cpu", "arm9000"), "no model of a CPU 'arm9000' of arm: there"),
        (("--arch", "arm", "--mca-cpu", "cortex-a8"), "are cortex-a57, and some of .*mcpu=help"),
        (("--arch", "arm,i386", "--mca-cpu", "atom", "--format", "json"), "of one --arch"),
    ],
)
def test_other_cpus(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert main(["annotate", "copy", *arguments, *SHAPE]) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.search(says, err) and err.count("\n") == 1


def test_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, and not after a replay of minutes."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["annotate", "copy", "--arch", "arm", "--mca"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "zsemu: no llvm-mca, for --mca: install it with 'apt-get install llvm'\n"


def test_several_architectures_are_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["annotate", "copy", "--arch", "arm,i386,riscv32", *SHAPE]) == 2
    assert "text shows two listings at most" in capsys.readouterr().err
    found = json.loads(
        annotate(
            capsys, "copy", "--against", "sg", "--arch", "arm,i386", *SHAPE, "--format", "json"
        )
    )
    cells = [(one["arch"], one["strategy"]) for one in found["listings"]]
    assert cells == [(arch, name) for arch in ("arm", "i386") for name in ("copy", "sg")]
    assert "alignment" not in found and "llvm_mca" not in found
