# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark: what it compares has done the same, and what it says of that is complete.

No test here is about time.
"""

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench import commands
from bench.measure import COUNTED, PYTHON, UNHOOKED, Cell, Level, Part, Run, turns
from bench.programs import PROGRAMS
from bench.replays import Counting, Scripted, Unhooked
from bench.report import targets
from faulty import FAULTY, Faulty
from outside.counting import call, qemu_command, qemu_rows
from outside.process import Process
from samples import busy_trace, image, placed

from zsemu.counts import COLUMNS, PHASES, REGIONS, TRAFFIC
from zsemu.errors import ZsemuError
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay import violations
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Replay

ARCHS = target_names()
TESTS = Path(__file__).parent
OURS = (
    UNHOOKED,
    COUNTED,
    "all observed",
    "all observed, strict TLB",
    "profile of instructions, 2 replays",
    PYTHON,
)
CONTENTS = (violations.WRONG_BYTES, violations.HEADER, violations.LINK)

each_arch = pytest.mark.parametrize("arch", ARCHS)


def batch(arch: str) -> PlacedTrace:
    """Return a batch without a read-back."""
    return replace(placed(busy_trace(300), arch), live=np.empty(0, np.int64))


def bench(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=TESTS,
        env=os.environ | ({} if path is None else {"PATH": path}),
        capture_output=True,
        text=True,
        check=False,
    )


@each_arch
def test_without_hooks_all_operations_run(arch: str) -> None:
    """Those of the trace and the read-back; nothing is counted of them."""
    work = placed(busy_trace(), arch)
    replay = Unhooked(image(target(arch), "swap-lazy"), work)
    outcome = replay.run()
    assert outcome.violation_count == 0
    assert replay.operations == len(work.trace) + len(work.live) > len(work.trace)
    assert not list(replay.machines.blocks.block_hits())
    assert not outcome.sums.any()


@pytest.mark.parametrize(
    "fault", [f for f in FAULTY if f.finds in CONTENTS], ids=lambda fault: fault.name
)
@pytest.mark.parametrize("arch", ["x86_64", "riscv32"])
def test_without_hooks_contents_are_judged(arch: str, fault: Faulty, tmp_path: Path) -> None:
    """A strategy that loses bytes is found, and where it shows, for what is wrong with it."""
    replay = Unhooked(image(target(arch), fault.write(tmp_path)), placed(busy_trace(), arch))
    outcome = replay.run()
    assert outcome.violation_count > 0
    assert fault.finds in {violation.kind for violation in outcome.violations}
    first = outcome.violations[0]
    assert busy_trace().object[first.operation] == first.object_number
    assert "+0x" in first.pc


@each_arch
def test_a_script_counts_the_same(arch: str) -> None:
    """By phase instructions, by phase and region accesses and bytes; the driver is on top."""
    image_, work = image(target(arch), "swap"), batch(arch)
    script = Scripted(image_, work)
    assert script.run().violation_count == 0
    sums = Replay(image_, work, full=True).run().sums.sum(axis=0)
    columns = ("instructions", *(f"{region}.{name}" for region in REGIONS for name in TRAFFIC))
    expected = {
        (phase, column): int(sums[at, COLUMNS.index(column)])
        for at, phase in enumerate(PHASES)
        for column in columns
    }
    found = dict.fromkeys(expected, 0) | script.counted()
    assert found == expected
    counting = Counting(image_, work)
    assert counting.run().violation_count == 0
    # The script counts what the driver takes without any operation.
    assert sum(script.instructions.values()) == counting.instructions + counting.idle
    assert 0 < counting.idle < 100 < sums[:, 0].sum() < counting.instructions


def level(name: str, number: int) -> Level:
    return Level(name, lambda: (Run(2.0, 1.0), ("things", number)))


def test_runs_that_did_not_do_the_same_are_refused() -> None:
    ran = turns([level("one", 5), level("other", 5)], 2, "title", {})
    assert [len(one.runs) for one in ran.values()] == [2, 2]
    with pytest.raises(ZsemuError, match="other: 6 things, and not 5: "):
        turns([level("one", 5), level("other", 6)], 2, "title", {})
    with pytest.raises(ZsemuError, match="one: 5 things, and not 4: "):
        turns([level("one", 5)], 2, "title", {"things": 4})


def test_ratios_and_verdicts() -> None:
    """Of neighbouring runs for the whole replay; per instruction for the others."""

    def ran(name: str, *runs: tuple[float, float]) -> Level:
        return Level(name, lambda: (Run(0, 0), None), runs=[Run(*one) for one in runs])

    unhooked = ran(UNHOOKED, (1, 0.5), (2, 0.5), (3, 0.5))
    counted = ran(COUNTED, (1.4, 1), (4, 1), (3.3, 1))
    trace = Part(9, 4, 1000, {UNHOOKED: unhooked, COUNTED: counted})
    levels = {UNHOOKED: unhooked, COUNTED: counted, PYTHON: ran(PYTHON, (9, 8), (9, 30), (9, 9))}
    found = list(targets(Cell("arm", trace, Part(9, 4, 100, levels), ())))
    # Medians: 1.4 of 1.4, 2 and 1.1; 9 of 8, 30 and 9 seconds, for a tenth of the instructions.
    assert [(round(one.value, 9), one.verdict) for one in found] == [
        (1.4, "holds"),
        (round(9 * 10 / 3.3, 9), "missed"),
        (90.0, "missed"),
        (round(9 / 3.3, 9), "missed"),
        (9.0, "missed"),
    ]


def test_the_command(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    done = bench(
        *("--arch", "aarch64,riscv32", "--operations", "300", "--repeat", "2"),
        *("--without-outside", "--json", str(output)),
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(output.read_text())
    assert list(content["archs"]) == ["aarch64", "riscv32"]
    assert content["strategy"] == "copy"
    assert content["provenance"]["traces"]["sqlite-lzo-rle"]["sha256"]
    for arch, cell in content["archs"].items():
        assert f"{arch}: copy, sqlite-lzo-rle: medians of 2" in done.stdout
        assert tuple(cell["whole_trace"]["levels"]) == OURS[:2]
        assert tuple(cell["first_operations"]["levels"]) == OURS
        for part in (cell["whole_trace"], cell["first_operations"]):
            assert part["operations"] == 300 > part["maps"] > 0
            assert part["instructions"] > 300
            for one in part["levels"].values():
                assert one["rounds"] == 1
                assert len(one["whole_seconds"]) == len(one["emulation_seconds"]) == 2
                for whole, emulation in zip(
                    one["whole_seconds"], one["emulation_seconds"], strict=True
                ):
                    assert 0 < emulation < whole
        # The read-back is in the one alone.
        assert cell["whole_trace"]["instructions"] > cell["first_operations"]["instructions"]
        assert {one["verdict"] for one in cell["targets"]} <= {"goal reached", "holds", "missed"}
    for name in OURS:
        assert f"\n{name} " in done.stdout


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """All else is printed, and the exit status tells."""
    done = bench("--arch", "riscv32", "--operations", "50", "--repeat", "1", path=str(tmp_path))
    assert done.returncode == 2
    assert "left out: no qemu-riscv32: install it with 'apt-get install qemu-user'" in done.stdout
    assert f"\n{PYTHON} " in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--arch", "vax"), "vax"),
        (("--strategy", "none-such"), "none-such"),
        (("--repeat", "0"), "repeat"),
        (("--json", "no/such/place.json"), "no place for a file"),
    ],
)
def test_bad_use(arguments: tuple[str, ...], complaint: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_strategy_that_is_not_intact_is_not_measured(tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTY if fault.name == "copy-in-short")
    done = bench("--arch", "arm", "--operations", "900", "--strategy", str(fault.write(tmp_path)))
    assert done.returncode == 2
    assert "is not intact" in done.stderr
    assert done.stdout == ""


@pytest.mark.external
@each_arch
def test_the_fast_plugin_counts_the_same(arch: str, tmp_path: Path) -> None:
    """Every load and store by phase and region, and all instructions; the same in every round."""
    image_, work = image(target(arch), "copy"), batch(arch)
    sums = Replay(image_, work, full=True).run().sums.sum(axis=0)
    counting = Counting(image_, work)
    assert counting.run().violation_count == 0
    program, rows = tmp_path / "process", tmp_path / "rows"
    moved = [at for at, column in enumerate(COLUMNS) if "." in column]
    for name, columns in (("instructions", []), ("regions", moved)):
        totals = []
        for rounds in (0, 1, 2, 3):
            process = Process(image_, work, max(rounds, 1))
            process.write(program, None if rounds else 0)
            call(qemu_command(process, program, rows, name))
            (found,), everything = qemu_rows(process, rows)
            totals.append(everything)
            compared = [COLUMNS.index("instructions"), *columns]
            np.testing.assert_array_equal(found[:, compared], rounds * sums[:, compared])
        one, two, three = np.diff(totals).tolist()
        assert one == counting.instructions
        # The driver begins and ends once.
        assert two == three and 0 <= one - two < 16


@pytest.mark.external
@pytest.mark.parametrize("arch", sorted({"riscv32", platform.machine()} & set(ARCHS)))
def test_the_command_with_programs(arch: str, tmp_path: Path) -> None:
    """All that runs there counts the same instructions, or it would not end well."""
    output = tmp_path / "bench.json"
    done = bench("--arch", arch, "--operations", "200", "--repeat", "1", "--json", str(output))
    assert done.returncode == 0, done.stderr
    content = json.loads(output.read_text())
    names = [p.name for p in PROGRAMS if not p.native or arch == platform.machine()]
    assert list(content["archs"][arch]["first_operations"]["levels"]) == [*OURS, *names]
    assert content["archs"][arch]["left_out"] == []
    assert f"qemu-{arch}" in content["programs"]


def test_whole_commands_of_two_checkouts() -> None:
    done = bench("--commands", "--version", "--repeat", "1", "--against", str(TESTS.parent))
    assert done.returncode == 0, done.stderr
    head, line = done.stdout.splitlines()
    assert head.count(TESTS.parent.name) == 2
    assert re.fullmatch(r"zsemu --version +0\.15( +\d\.\d \( +\d\.\d\)){2}", line)


def test_a_command_that_does_not_end_as_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = commands.Command(("list", "none"), 0, 1, builds=False)
    monkeypatch.setattr(commands, "COMMANDS", (wrong,))
    with pytest.raises(ZsemuError, match="zsemu list none exits with 2"):
        list(commands.lines("", 1, None))


def test_what_the_commands_plant_can_be_planted() -> None:
    for command in commands.COMMANDS:
        assert f"{commands._EDIT}\n	{command.code}\n" in commands._mine(command.code)
