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
from typing import Any

import numpy as np
import pytest
from bench import __main__ as command_line
from bench import against, commands, comparison
from bench import rounds as string_rounds
from bench.checkouts import Checkout
from bench.figures import COUNTED, PYTHON, UNHOOKED, ratios
from bench.measure import Level, Run, turns
from bench.programs import PROGRAMS
from bench.replays import Counting, Scripted, Unhooked
from bench.resources import measured
from bench.targets import SECONDS, Target, as_fast
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


def part(instructions: int, **levels: tuple[list[float], list[float]]) -> dict[str, Any]:
    """Return a part of a document: the seconds of whole replays and in the emulator, by level."""
    return {
        "operations": 9,
        "maps": 4,
        "instructions": instructions,
        "levels": {
            name.replace("_", " "): {"rounds": 1, "whole_seconds": w, "emulation_seconds": e}
            for name, (w, e) in levels.items()
        },
    }


NO_HOOK = ([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
ALL_COUNTS = ([1.1, 4.0, 3.3], [1.0, 1.0, 1.0])
SCRIPT = ([9.0, 9.0, 9.0], [8.0, 33.0, 30.0])


def measured_parts(**more: tuple[list[float], list[float]]) -> dict[str, Any]:
    both = {"no_hook": NO_HOOK, "block_hits_and_shapes": ALL_COUNTS}
    return {"whole_trace": part(1000, **both), "first_operations": part(100, **both, **more)}


def test_ratios_and_verdicts() -> None:
    """Of neighbouring runs for the whole replay; per instruction for the others."""
    found = list(ratios("arm", measured_parts(Python_hooks=SCRIPT)))
    # Medians: 1.1 of 1.1, 2 and 1.1; 30 of 8, 33 and 30 seconds, for a tenth of the instructions.
    assert [(round(one.value, 9), one.verdict) for one in found] == [
        (1.1, "at most 1.2: holds"),
        (round(30 * 10 / 3.3, 9), "at least 100: missed"),
        (300.0, "at least 100: holds"),
        (round(30 / 3.3, 9), ""),
        (30.0, ""),
    ]
    assert as_fast("x86_64", "qemu-user, and memory by region")[1].number == 1.7
    assert as_fast("arm", "qemu-user, and memory by region")[1].number == 2
    assert Target(2).holds(2) and not Target(2).holds(2.1)


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
        assert [(one["what"], one["value"] > 0) for one in cell["figures"]] == [
            ("all counts over no hook", True),
            *[(f"times as fast as {PYTHON}", True)] * 4,
        ]
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
        (("--commands", "none-such"), "no command has 'none-such' in its line"),
        (("--commands", "", "--against", "bench"), "no checkout of zsemu"),
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


def test_whole_commands_of_two_checkouts(tmp_path: Path) -> None:
    output, line = tmp_path / "commands.json", "zsemu --version"
    root = str(TESTS.parent)
    arguments = ("--commands", line, "--repeat", "1", "--against", root, "--json", str(output))
    done = bench(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"medians of 1; this: {root}, other: {root}\n")
    for name in ("this", "other", "other / this"):
        assert re.search(rf"\n +{name}( +\d+\.\d\d){{2}} +[-.0-9]+\n", done.stdout)
    assert f"seconds, at most {SECONDS[line]}: " in done.stdout
    (found,) = json.loads(output.read_text())["commands"]
    assert found["command"] == line and set(found["runs"]) == {"this", "other"}
    assert found["runs"]["other"][0]["processor"] > 0


BUSY = """
import subprocess, sys, time
held = bytearray(b"1") * (48 << 20)
if len(sys.argv) < 2:
    other = subprocess.Popen([sys.executable, "-c", sys.argv[0], "child"])
while time.process_time() < 0.2:
    pass
time.sleep(0.6)
len(sys.argv) < 2 and other.wait()
"""


def test_what_a_command_and_its_processes_take(tmp_path: Path) -> None:
    """Two processes that hold and compute as much as each other; a limit below that is missed."""
    code = BUSY.replace("sys.argv[0]", repr(BUSY))
    took = measured((sys.executable, "-c", code), 0, tmp_path, os.environ)
    assert took.seconds > 0.6 and took.processor > 0.4
    assert 96 < took.memory < 192
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "SECONDS", {"slow": 0.5})
        patch.setattr(comparison, "MEMORY", {"slow": 1024})
        lines = list(comparison.timed_lines(commands.Timed("slow", True, {"this": [took]})))
    assert lines[-2:] == [
        "    seconds, at most 0.5: missed",
        "    MiB, at most 1024: holds",
    ]


def test_a_command_that_does_not_end_as_it_must(tmp_path: Path) -> None:
    """Its output is shown, whether it was written there or to stderr."""
    here = Checkout("this", TESTS.parent, tmp_path / "cache")
    wrong = commands.Command(("list", "none"), builds=False)
    with pytest.raises(ZsemuError, match=r"exit status 2, and not 0: .* list none") as caught:
        list(commands.measure([wrong], [here], 1, tmp_path))
    assert "none" in caught.value.detail


def test_the_commands_are_those_with_targets() -> None:
    assert [command.line for command in commands.COMMANDS] == list(SECONDS)
    for command in commands.COMMANDS:
        assert f"{commands._EDIT}\n	{command.code}\n" in commands.mine(command.code)


def planted_checkout(folder: Path, bench_: str | None) -> Checkout:
    """Return this package under another path, with a benchmark of which this is the source."""
    (folder / "tests" / "bench").mkdir(parents=True)
    (folder / "zsemu").symlink_to(TESTS.parent / "zsemu")
    if bench_ is not None:
        (folder / "tests" / "bench" / "measure.py").touch()
        (folder / "tests" / "bench" / "__main__.py").write_text(bench_)
    return Checkout(folder.name, folder, folder / "cache")


SLEEPER = """
import json, sys, time
start = time.perf_counter()
time.sleep(0.3)
assert time.perf_counter() - start < 0.25, "this is wall time"
json.dump({{"archs": {{"arm": {found}}}}}, open(sys.argv[sys.argv.index("--json") + 1], "w"))
"""


def test_replays_of_two_checkouts(tmp_path: Path) -> None:
    """Each is measured by its own benchmark, in CPU time; one that replays less is refused."""
    slow = measured_parts()
    slow["first_operations"]["levels"][COUNTED]["whole_seconds"] = [16.5]
    both = [
        planted_checkout(tmp_path / name, SLEEPER.format(found=found))
        for name, found in (("this", measured_parts(Python_hooks=SCRIPT)), ("other", slow))
    ]
    for one in both:
        one.ensure()
    taken = against.measure(both, "arm", (), 2, tmp_path)
    assert len(taken["this"]["whole_trace"]["levels"][UNHOOKED]["whole_seconds"]) == 6
    rows = {(row.what, row.where): row for row in against.rows("arm", taken)}
    first = rows["CPU seconds with all counts", "first operations, whole replay"]
    assert first.values == (3.3, 16.5) and first.verdict == "at least 4: holds"
    assert rows["times as fast as Python hooks", "whole trace, whole replay"].values[1] is None
    assert "\n    first operations, whole replay        " in "\n".join(
        comparison.row_lines("arm", list(rows.values()))
    )

    slow["whole_trace"]["maps"] = 3
    planted = SLEEPER.format(found=slow)
    (both[1].tests / "bench" / "__main__.py").write_text(planted)
    with pytest.raises(ZsemuError, match=r"does not replay the same there: .* and 3 maps"):
        against.measure(both, "arm", (), 1, tmp_path)
    (both[1].tests / "bench" / "__main__.py").write_text("raise SystemExit('no such module')")
    with pytest.raises(ZsemuError, match="exit status 1") as caught:
        against.measure(both, "arm", (), 1, tmp_path)
    assert "no such module" in caught.value.detail


def test_without_a_benchmark_there_commands_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def measure(which: list[commands.Command], *_: object) -> list[commands.Timed]:
        asked.extend(command.line for command in which)
        return []

    monkeypatch.setattr(commands, "measure", measure)
    old = planted_checkout(tmp_path / "old", None)
    command_line.main(arch=["arm"], operations=9000, against=old.path)
    assert "whole commands are compared instead" in capsys.readouterr().out
    line = "zsemu compare --arch arm --strategy copy --trace sqlite-lzo-rle --operations 9000"
    assert asked == [f"{line} --operations 2048", line]


def test_the_share_of_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    """Of made-up times; and each primitive has the rounds that its description says."""
    # 2 + 5 seconds for 10 rounds, 2 + 40 for 80, and 4 without; then the same with noise.
    found = string_rounds.costs([(7.0, 8.0, 7.0), (42.0, 42.0, 42.0), (4.2, 4.2, 4.2)], (10, 80, 0))
    assert found == pytest.approx((0.5, 5 / 7, 0.4))
    string_rounds.main(operations=300, repeat=1)
    lines = capsys.readouterr().out.splitlines()
    words, bytes_, none = (int(line.split()[1]) for line in lines[2:5])
    assert none == 0 and 7 * words < bytes_ <= 8 * words
    assert lines[1] == UNHOOKED and lines[7] == COUNTED
