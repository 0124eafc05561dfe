# SPDX-License-Identifier: GPL-2.0-only
"""The doctor: all is well here; what it says of this machine; and what ensure() remembers."""

import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import unicorn

from zsemu.cli import main
from zsemu.errors import ZsemuError
from zsemu.guest import compiler, selftest, targets
from zsemu.guest.targets import Target, target
from zsemu.runs import doctor
from zsemu.runs.doctor import Line, Verdict, ensure, examine

Edit = Callable[[str, str, str], None]


def lines(arch: str) -> dict[str, Line]:
    return {line.part: line for line in examine([target(arch)])}


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


# --- The machine -------------------------------------------------------------------------------


def test_exit_status_and_verdict(
    edit_arch: Edit, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_arch("arm/selftest.toml", 'invalidate = "page"', 'invalidate = "all"')
    assert main(["doctor", "--arch", "arm"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if " FAILED " in line] == [
        "tlb arm         FAILED   second page, the first one's entry invalidated:"
        " a load sees the old page"
    ]
    assert out[-1] == "Neither counts nor checks can be trusted here: tlb arm"
    assert main(["doctor", "--arch", "arm", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["trusted"] is False


def test_a_guest_that_cannot_go_on(edit_arch: Edit) -> None:
    edit_arch("arm/selftest.toml", '"""\nldr r1, [r0]\nstr', '"""\nldr r1, [r1, -r1]\nstr')
    line = lines("arm")["events"]
    assert line.verdict == Verdict.FAILED
    assert line.text.startswith("the guest cannot go on: ")


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
    assert doctor.cache() == str(tmp_path)
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
    assert {name for name, _ in doctor.pinned()} == {"unicorn", "ziglang"}


def test_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:       16000000 kB\nMemAvailable:    1048576 kB\n")
    monkeypatch.setattr(doctor, "MEMINFO", file)
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
    real = selftest.events

    def noted(one: Target) -> str:
        found.append(one.name)
        return real(one)

    folder = tmp_path / "passes"
    folder.mkdir()
    real_folder = compiler.cache_folder
    monkeypatch.setattr(selftest, "events", noted)
    monkeypatch.setattr(
        doctor, "cache_folder", lambda name: folder if name == "selftest" else real_folder(name)
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
    edit_arch: Edit,
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
    edit_arch("arm/selftest.toml", "[r0, #64]", "[r0, #128]")
    assert run() == 1
    edit_arch("i386/selftest.toml", "64(%eax)", "128(%eax)")
    assert run() == 0


def test_ensure_refuses(runs: list[str], edit_arch: Edit) -> None:
    edit_arch("arm/target.toml", "store_exclusive = '^strex'", "store_exclusive = ''")
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
    edit_hooks("row[LOADS + a->store]++;", "row[LOADS + a->store] += a->size != 1;")
    with pytest.raises(ZsemuError, match=r"rep movsb, 100 rounds: 0 loads, not 100;"):
        ensure([target("x86_64")])


def test_ensure_passes_on_what_the_compiler_says(runs: list[str], edit_arch: Edit) -> None:
    edit_arch("arm/selftest.toml", "clrex", "abacus")
    with pytest.raises(ZsemuError, match="does not compile for arm") as caught:
        ensure([target("arm")])
    assert "abacus" in caught.value.detail
