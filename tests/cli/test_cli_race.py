# SPDX-License-Identifier: GPL-2.0-only
"""zsemu race: its report, its formats, one schedule, and what comes of an interruption."""

import json
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import ktap
import pytest
from kernel.objects import compiled
from processes import ZSEMU, until
from race.planted import RACES

from zsemu.cli import main
from zsemu.paths import cache
from zsemu.reports.property_table import RACED, load

pytestmark = pytest.mark.usefixtures("in_process")

_FEW = ("-k", "less in page 2: read | read of the")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["race", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    race = next(race for race in RACES if race.name == "buffer-without-lock")
    return race.write(tmp_path_factory.mktemp("broken"))


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "swap,sg", "--arch", "aarch64", *_FEW, "--jobs", "1")
    assert status == 0
    assert "  swap  needs neighbours in these scenes; states neighbours\n" in out
    # It is a migration that needs a lock.
    assert "  sg    needs nothing in these scenes; states slot\n" in out
    assert re.search(r"all schedules of at most 2 preemptions: \d+ run, \d+ pruned .*that was", out)
    assert "\nMemory is sequentially consistent.\n" in out
    table = out[out.index("weakest lock") :]
    assert re.search(r"slot behind:\n  map +neighbours  nothing\n", table)


def test_failure_is_shown(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, str(broken), "--arch", "arm", *_FEW, "--jobs", "1")
    assert status == 1
    assert "buffer-without-lock.c  FAILED: states slot, needs zspage\n" in out
    assert "CPU A" in out
    assert re.search(r"expected( [0-9a-f]{2})+\n", out)
    assert re.search(r"stored last by CPU [AB] at copy\.S:\d+ zs_copy\+0x[0-9a-f]+: stm", out)
    (again,) = re.findall(r"again: (zsemu race .*)", out)
    words = shlex.split(again)
    status, shown, _ = run(capsys, *words[2:])
    assert status == 1
    assert f"again: {again}\n" in shown
    # Unless it is preempted, nothing goes wrong.
    calm = [*words[2:-1], "A,B"]
    status, shown, _ = run(capsys, *calm)
    assert status == 0
    assert "nothing goes wrong" in shown


def test_stray_access_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tell of it as check does, with the schedule in which it happens, which runs it again."""
    race = next(race for race in RACES if race.name == "looks-beside-while-mapped")
    some = (str(race.write(tmp_path)), "--arch", "aarch64", *_FEW, "--jobs", "1")
    told = "map loads 1 bytes from the pool, page "
    status, out, _ = run(capsys, *some, "--format", "json")
    assert status == 1
    failure = json.loads(out)["results"][0]["failures"][0]
    violation = failure["violation"]
    assert violation["kind"] == "stray load"
    assert violation["detail"].startswith(told)
    assert f"{race.name}.c:" in violation["pc"]
    assert violation["instruction"].startswith("ldrb")
    one = (*some[:3], "--scene", failure["scene"], "--schedule", failure["schedule"])
    status, out, _ = run(capsys, *one)
    assert status == 1
    assert f"stray load: {violation['detail']}\n" in out
    assert f"  at {violation['pc']}: ldrb" in out
    for form in ("ktap", "junit"):
        status, out, _ = run(capsys, *some, "--format", form)
        assert status == 1
        assert f"stray load: operation {violation['operation']}" in out
        assert violation["detail"] in out


def test_formats(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = (str(broken), "--arch", "riscv64", *_FEW, "--jobs", "1")
    status, out, _ = run(capsys, *some, "--format", "json")
    assert status == 1
    data = json.loads(out)
    assert data["memory"] == "Memory is sequentially consistent."
    (result,) = data["results"]
    assert (result["stated"], result["needs"], result["complete"]) == ("slot", "zspage", True)
    assert result["failures"][0]["violation"]["kind"] == "wrong bytes"
    assert result["schedules"] == sum(scene["schedules"] for scene in result["scenes"])
    # From this file zsemu report makes its table.
    path = tmp_path / "race.json"
    path.write_text(out)
    (rows,) = load(path, RACED).properties["riscv64"].values()
    assert "zspage" in {one.value for one in rows}
    assert any(", schedule " in one.shown_by for one in rows)

    status, out, _ = run(capsys, *some, "--format", "ktap")
    assert status == 1
    points = ktap.parse(out)
    assert points
    assert "not ok" in out

    status, out, _ = run(capsys, *some, "--format", "junit")
    assert status == 1
    suites = ElementTree.fromstring(out)
    assert int(suites.get("failures", 0)) == len(suites.findall(".//failure")) > 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("swap", "--arch", "arm", "--schedule", "A,B"), "--scene and --schedule belong together"),
        (("swap", "--scene", "x", "--schedule", "A,B"), "one strategy and one --arch"),
        (("swap", "--arch", "arm", "--scene", "x", "--schedule", "A,B"), "no scene 'x'"),
        (("swap", "--arch", "arm", "--scene", "x", "--schedule", "A0,C"), "'A0' is no CPU"),
        (("swap", "--arch", "arm", "-k", "nowhere"), "contains 'nowhere'"),
        (("nothing.c",), "no such C file"),
    ],
)
def test_bad_use(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) == 1


def test_goes_on_after_an_interruption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Interrupt a race, which tells what it has, and let it go on: it does only what is left."""
    # Not as another test's, or an earlier run of this one, whose results are in the cache.
    mine = tmp_path / f"mine-{time.time_ns()}.c"
    text = (Path(__file__).parent.parent / "race/strategies/counted.c").read_text()
    mine.write_text(f"{text}/* {mine.name} */\n")
    # Of each shape a third of the scenes: enough to be interrupted in between.
    arguments = [str(mine), "--arch", "riscv64", "--jobs", "1", "-k", ": read |"]
    store = cache() / "race"

    def stored() -> set[Path]:
        return set(store.glob(f"riscv64-{mine.name}-*.json"))

    command = [*ZSEMU, "race", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # When the second part is stored, the first has also been handed over.
    until(lambda: len(stored()) > 1, "two parts are done")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on" in err
    assert re.search(r"Interrupted: [1-9]\d* parts were not run\.", out)
    assert re.search(rf"riscv64\n  {mine.name}  (needs|states)", out)

    kept = {path: path.stat().st_mtime_ns for path in stored()}
    assert kept
    status, whole, _ = run(capsys, *arguments, "--resume")
    assert status == 0
    assert "Interrupted" not in whole
    assert f"{mine.name}  needs slot in these scenes; states slot\n" in whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    # And all of it again gives the same.
    assert run(capsys, *arguments, "--resume")[1] == whole


def test_a_kernels_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled(tmp_path / "none", "riscv64")
    some = ("--jobs", "1", "-k", "allocation")
    status, out, _ = run(capsys, str(path), *some)
    assert status == 1
    assert "zsmalloc.o  FAILED: its own locks are not enough" in out
    assert "a kernel's own locks are enough     zsmalloc.o" in out
    assert re.search(r"^allocation against:\n(  .*\n)*  allocation +no$", out, re.MULTILINE)
    # The schedule is shown with source lines, and can be run again.
    assert "zsmalloc.c:" in out
    (again,) = re.findall(r"again: zsemu (race .*)", out)
    status, shown, _ = run(capsys, *shlex.split(again)[1:])
    assert status == 1
    assert f"again: zsemu {again}\n" in shown
    # What was stored is taken, and says the same.
    assert run(capsys, str(path), *some, "--resume")[1] == out
    status, out, _ = run(capsys, str(path), *some, "--format", "ktap")
    assert (status, "not ok" in out) == (1, True)

    path = compiled(tmp_path / "locked", "riscv64", None, "-DLOCKED")
    status, out, _ = run(capsys, str(path), *some, "--format", "json")
    assert status == 0
    data = json.loads(out)
    assert data["locks"] == {}
    (own,) = data["own_locks"]["riscv64"].values()
    assert {one["value"] for one in own} == {"yes"}
    assert all(one["complete"] for one in data["results"])
    arguments = (str(path), "--arch", "arm")
    assert run(capsys, *arguments)[0] == 2
