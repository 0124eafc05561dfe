# SPDX-License-Identifier: GPL-2.0-only
"""Synthetic traces: valid, seeded, and as the recording is by measures that know nothing of synth.

The measures follow each object through the trace one operation at a time and compare empirical
distributions by their greatest distance (Kolmogorov and Smirnov's).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import trace as rows
from typer.testing import CliRunner

from zsemu import cli
from zsemu.cli.trace import app
from zsemu.errors import ZsemuError
from zsemu.traces import file as trace_file
from zsemu.traces import synthesis, trace
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Trace

A, F, R, W, U = Operation
RECORDED = "compile-zstd"


@cache
def recorded(name: str = RECORDED) -> Trace:
    return trace_file.load(trace_file.find(name))


@cache
def synthetic(operations: int | None = None, seed: int = 1) -> Trace:
    return synthesis.synthesise(recorded(), operations=operations, seed=seed)


def distributions(shown: Trace) -> dict[str, list[int]]:
    """Return what is compared, from a walk over the operations."""
    found: dict[str, list[int]] = defaultdict(list)
    born: dict[int, int] = {}
    last: dict[int, int] = {}
    maps: dict[int, int] = {}
    columns = (shown.operation, shown.object, shown.length, shown.cpu)
    for row, (kind, number, length, cpu) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        if kind == A:
            found["length"].append(length)
            born[number], maps[number] = row, 0
        else:
            found["gap"].append(row - last[number])
        if kind == F:
            found["lifetime"].append(row - born.pop(number))
            found["maps of an object"].append(maps[number])
        if kind >= R:
            maps[number] += 1
            found["mode"].append(kind)
        last[number] = row
        found["kind"].append(kind)
        found["cpu"].append(cpu)
        found["live"].append(len(born))
    return found


def distance(one: list[int], other: list[int]) -> float:
    """Return the greatest distance of two empirical distributions: 0 for equal, 1 for disjoint."""
    values = np.unique(one + other)
    shares = [np.searchsorted(np.sort(side), values, "right") / len(side) for side in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def distances(one: Trace, other: Trace) -> dict[str, float]:
    """Return the distance of each distribution, and of the courses of live objects.

    The latter is the greatest difference at 64 points, as part of the first trace's peak.
    """
    ours, theirs = distributions(one), distributions(other)
    result = {name: distance(ours[name], theirs[name]) for name in ours}
    course = [
        np.array(side["live"])[np.linspace(0, len(side["live"]) - 1, 64).astype(int)]
        for side in (ours, theirs)
    ]
    result["course"] = float(np.abs(course[0] - course[1]).max() / course[0].max())
    return result


CLOSE = 0.1
"""Objects are drawn one by one, so what came in batches is blurred: gaps are 0.07 apart."""


def far(one: Trace, other: Trace) -> set[str]:
    return {name for name, value in distances(one, other).items() if value > CLOSE}


def test_the_distance_is_that_of_the_definition() -> None:
    assert distance([1, 2, 3], [3, 1, 2]) == 0
    assert distance([1, 1], [2]) == 1
    assert distance([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5


@pytest.mark.parametrize("seed", [1, 2])
def test_as_the_recording_is(seed: int) -> None:
    assert len(synthetic(seed=seed)) == len(recorded())
    assert far(recorded(), synthetic(seed=seed)) == set()


def test_not_the_recording_again() -> None:
    assert not np.array_equal(synthetic().length, recorded().length)
    assert not np.array_equal(synthetic().operation, recorded().operation)


def shorter(shown: Trace) -> Trace:
    return replace(shown, length=np.maximum(shown.length * 9 // 10, 1).astype(np.uint32))


def reads_as_writes(shown: Trace) -> Trace:
    operation = shown.operation.copy()
    operation[np.flatnonzero(operation == R)[::3]] = W
    return replace(shown, operation=operation)


def one_cpu(shown: Trace) -> Trace:
    return replace(shown, cpu=np.zeros_like(shown.cpu))


def chosen(shown: Trace, row: NDArray[np.int64]) -> Trace:
    return replace(shown, **{name: getattr(shown, name)[row] for name in trace.COLUMNS})


def later_frees(shown: Trace) -> Trace:
    """Move frees back by a few hundred operations."""
    row = np.arange(len(shown))
    return chosen(shown, np.argsort(row + 900 * (shown.operation == F), kind="stable"))


def fewer_maps(shown: Trace) -> Trace:
    """Leave out some reads."""
    reads = np.flatnonzero(shown.operation == R)
    return chosen(shown, np.setdiff1d(np.arange(len(shown)), reads[::4]))


@pytest.mark.parametrize(
    ("fault", "shows"),
    [
        (shorter, {"length"}),
        (reads_as_writes, {"mode"}),
        (one_cpu, {"cpu"}),
        (later_frees, {"lifetime", "gap", "course"}),
        (fewer_maps, {"maps of an object"}),
    ],
)
def test_the_measures_find(fault: Callable[[Trace], Trace], shows: set[str]) -> None:
    assert shows <= far(recorded(), fault(recorded()))
    assert shows <= far(recorded(), fault(synthetic()))


def test_a_longer_one_repeats_the_recorded_course() -> None:
    """Live objects stay bounded, and what is drawn is still as recorded."""
    rounds = 5
    long = synthetic(rounds * len(recorded()))
    found = distances(recorded(), long)
    assert {name for name, value in found.items() if value > CLOSE} == {"course"}
    live, once = (np.array(distributions(shown)["live"]) for shown in (long, recorded()))
    assert live.max() < 1.1 * once.max()
    # Rounds are a little longer than the recording, for the frees at their ends.
    period = len(recorded()) + int((once[-1:]).sum())
    for number in range(rounds - 1):
        middle = number * period + len(recorded()) // 2
        assert live[middle] == pytest.approx(once[len(recorded()) // 2], rel=0.15)
        assert live[number * period :][: period // 16].min() < once.max() / 4


def test_what_follows_directly_still_does() -> None:
    """An object's first write is the operation after its allocate, as in the recording."""

    def share(shown: Trace) -> float:
        born = np.flatnonzero(shown.operation[:-1] == A)
        direct = (shown.object[born + 1] == shown.object[born]) & (shown.operation[born + 1] == W)
        return float(direct.mean())

    assert share(recorded()) > 0.9
    assert share(synthetic()) == pytest.approx(share(recorded()), abs=0.01)


@pytest.mark.parametrize("operations", [1, 2, 1000, 18_943, 40_000])
def test_valid_and_of_the_length_asked_for(operations: int, tmp_path: Path) -> None:
    """The file is taken by the checks that every trace has to pass."""
    trace_file.save(synthetic(operations), tmp_path / "made.npz")
    assert len(trace_file.load(tmp_path / "made.npz")) == operations


@pytest.mark.parametrize(
    "small",
    [
        rows([(A, 0, 7, 0)]),
        rows([(A, 0, 7, 0), (F, 0, 7, 1)]),
        rows([(A, 0, 100, 0), (W, 0, 99, 1), (A, 1, 4096, 0), (F, 0, 100, 0), (U, 1, 4096, 0)]),
    ],
    ids=["never freed", "never mapped", "short map"],
)
def test_of_a_small_recording(small: Trace, tmp_path: Path) -> None:
    made = synthesis.synthesise(small, operations=3000)
    trace_file.save(made, tmp_path / "made.npz")
    assert len(made) == 3000

    def histories(shown: Trace) -> set[tuple[tuple[int, ...], ...]]:
        """Return what befell the objects, but for frees that end a round."""
        what = defaultdict(list)
        for kind, number, length, cpu in zip(
            *(column.tolist() for column in (shown.operation, shown.object)),
            *(column.tolist() for column in (shown.length, shown.cpu)),
            strict=True,
        ):
            if kind != F:
                what[number].append((kind, length, cpu))
        return {tuple(events) for events in what.values()}

    whole = synthesis.synthesise(small, operations=3001)
    assert histories(small) <= histories(whole)
    # The last ones may be cut short.
    assert all(
        any(full[: len(events)] == events for full in histories(small))
        for events in histories(made)
    )


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for number, seed in enumerate((5, 5, 6)):
        made = synthesis.synthesise(recorded(), seed=seed, update_share=0.3)
        trace_file.save(made, tmp_path / str(number))
        files.append((tmp_path / str(number)).read_bytes())
    assert files[0] == files[1] != files[2]
    other = synthesis.synthesise(recorded(), seed=6)
    assert not np.array_equal(synthesis.synthesise(recorded(), seed=5).object, other.object)


@pytest.mark.parametrize("share", [0, 0.2, 0.75, 1])
def test_update_share(share: float) -> None:
    made = synthesis.synthesise(recorded(), operations=50_000, seed=3, update_share=share)
    plain = synthesis.synthesise(recorded(), operations=50_000, seed=3)
    updates = made.operation == U
    assert updates[made.maps].mean() == pytest.approx(share, abs=0.01)
    # Of reads and writes alike, and nothing else is different.
    for kind in (R, W):
        assert updates[plain.operation == kind].mean() == pytest.approx(share, abs=0.02)
    np.testing.assert_array_equal(made.operation[~updates], plain.operation[~updates])
    np.testing.assert_array_equal(made.object, plain.object)


def test_updates_that_were_recorded_remain() -> None:
    made = synthesis.synthesise(recorded("zsmapbench"), operations=5000, update_share=0.1)
    assert (made.operation[made.maps] == U).all()


@pytest.mark.parametrize(("size", "factor"), [(16384, 4), (65536, 16)])
def test_lengths_of_larger_pages(size: int, factor: int, tmp_path: Path) -> None:
    made = synthesis.synthesise(recorded(), seed=1, page_size=size)
    np.testing.assert_array_equal(made.length, synthetic().length * factor)
    assert made.metadata.page_size == size
    assert [note for note in made.metadata.notes if "no measurement" in note]
    assert not [note for note in synthetic().metadata.notes if "no measurement" in note]
    trace_file.save(made, tmp_path / "made.npz")
    # And back, to at least a byte.
    large = replace(made, length=np.where(made.length > 999, made.length, 3).astype(np.uint32))
    back = synthesis.synthesise(large, page_size=4096)
    assert back.length.min() == 1
    trace_file.save(back, tmp_path / "made.npz")


def test_provenance() -> None:
    made = synthesis.synthesise(
        recorded(), operations=77, seed=9, update_share=0.25, page_size=16384
    )
    text = made.metadata.provenance
    assert text.startswith("synthetic, not recorded")
    assert "--operations 77 --seed 9 --update-share 0.25 --page-size 16384" in text
    assert f"from {RECORDED} (kernel 6.1.176, sha256 {recorded().digest()})" in text
    assert made.metadata.kernel == "none"
    assert made.metadata.geometry == recorded().metadata.geometry
    assert recorded().metadata.provenance in made.metadata.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--operations", "0"], "0 operations: give 1 to"),
        (["--operations", "1000000000"], "1000000000 operations: give 1 to"),
        (["--seed", "-1"], "seed -1: give 0 or more"),
        (["--update-share", "1.5"], "update share 1.5: give 0 to 1"),
        (["--update-share", "nan"], "update share nan: give 0 to 1"),
        (["--page-size", "8192"], "page size 8192; choose one of 4096, 16384, 65536"),
        (["--seed", "x"], "value for '--seed'"),
    ],
)
def test_bad_options(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["trace", "synth", RECORDED, "-o", str(tmp_path / "out.npz"), *options])
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_command(tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    arguments = ["synth", RECORDED, "-o", str(output), "--operations", "500", "--seed", "4"]
    result = CliRunner().invoke(app, [*arguments, "--update-share", "0.2"])
    assert result.exit_code == 0, result.output
    loaded = trace_file.load(output)
    assert len(loaded) == 500
    assert result.stdout.splitlines() == [
        loaded.metadata.provenance,
        *loaded.metadata.notes,
        f"500 operations written to {output}",
    ]
    np.testing.assert_array_equal(
        loaded.operation,
        synthesis.synthesise(recorded(), operations=500, seed=4, update_share=0.2).operation,
    )

    again = CliRunner().invoke(app, ["synth", str(output), "-o", str(output)])
    assert isinstance(again.exception, ZsemuError)
    assert "is the trace drawn from" in str(again.exception)
    assert len(trace_file.load(output)) == 500


def test_a_file_of_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text("none")
    for name in ("nowhere", str(tmp_path / "in.txt")):
        assert cli.main(["trace", "synth", name, "-o", str(tmp_path / "out")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
