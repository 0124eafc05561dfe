# SPDX-License-Identifier: GPL-2.0-only
"""Every strategy on every architecture: intact, and moving exactly what its definition says."""

from pathlib import Path

import numpy as np
import pytest
from faulty import FAULTY, Faulty
from model import STRATEGIES, Case
from samples import busy_trace, placed, replay, replayed

from zsemu import counts
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.replay import violations
from zsemu.replay.replay import Outcome
from zsemu.traces.operation import Operation
from zsemu.traces.trace import zsmapbench

ARCHS = target_names()

# What was replayed is kept in a process.
pytestmark = pytest.mark.xdist_group("replay")


def case(arch: str, geometry: str = "chain-8") -> Case:
    """Say where the objects of the busy trace lie."""
    work = placed(busy_trace(), arch, geometry)
    at = work.placed
    return Case(
        operation=work.trace.operation.astype(np.int64),
        zspage=at.zspage.astype(np.int64),
        slot=at.slot.astype(np.int64),
        page=at.page.astype(np.int64),
        offset=at.offset.astype(np.int64),
        class_size=work.geometry.sizes[at.class_index].astype(np.int64),
        header=work.geometry.headers[at.class_index].astype(np.int64),
        length=work.trace.length.astype(np.int64),
        page_size=4096,
    )


def measured(outcome: Outcome, phase: str, scope: str, column: str) -> int:
    """Return one count."""
    chosen = list(counts.SCOPES[scope])
    phase_index, at = counts.PHASES.index(phase), counts.COLUMNS.index(column)
    return int(outcome.sums[chosen, phase_index, at].sum())


def test_the_model_covers_every_strategy() -> None:
    assert set(STRATEGIES) == set(strategy_names())


@pytest.mark.parametrize("geometry", ["2012", "chain-8"])
@pytest.mark.parametrize("name", strategy_names())
@pytest.mark.parametrize("arch", ARCHS)
def test_intact_and_bytes_as_defined(arch: str, name: str, geometry: str) -> None:
    """All objects stay intact, and bytes moved by phase, mode and region equal the model's."""
    outcome = replayed(arch, name, busy_trace(), geometry)
    assert [str(v) for v in outcome.violations] == []
    assert outcome.violation_count == 0
    here = case(arch, geometry)
    assert here.spans.sum() > 50
    expected = STRATEGIES[name](here)
    scopes = {
        "total": np.ones(len(here.operation), bool),
        "spanning": here.spans,
        "spanning_read": here.spans & (here.operation == Operation.READ),
        "spanning_write": here.spans & (here.operation == Operation.WRITE),
        "spanning_update": here.spans & (here.operation == Operation.UPDATE),
    }
    for scope, chosen in scopes.items():
        for phase in counts.PHASES:
            for region in ("pool", "buffer", "caller"):
                for way in ("loads", "stores"):
                    wanted = expected.get((phase, f"{region}.{way}"))
                    number = 0 if wanted is None else int(wanted[chosen].sum())
                    column = f"{region}.bytes_{'loaded' if way == 'loads' else 'stored'}"
                    found = measured(outcome, phase, scope, column)
                    assert found == number, (scope, phase, column)


@pytest.mark.parametrize("name", strategy_names())
@pytest.mark.parametrize("arch", ARCHS)
def test_shapes_sum_up_to_a_full_count(arch: str, name: str) -> None:
    """Every count, not only instructions, is the same with every operation observed."""
    quick = replayed(arch, name, busy_trace())
    full = replayed(arch, name, busy_trace(), full=True)
    assert 0 < quick.shapes < len(busy_trace())
    np.testing.assert_array_equal(quick.sums, full.sums)


@pytest.mark.parametrize("arch", ARCHS)
def test_page_table_entries_and_invalidates(arch: str) -> None:
    """pgtable: two stores at map; two and two one-page invalidates at unmap. Others: none."""
    spanning = int((case(arch).spans & busy_trace().maps).sum())
    for name in strategy_names():
        outcome = replayed(arch, name, busy_trace())
        number = 2 * spanning if name == "pgtable" else 0
        for phase, stores, invalidates in (("map", number, 0), ("unmap", number, number)):
            assert measured(outcome, phase, "spanning", "pte_stores") == stores
            assert measured(outcome, phase, "total", "pte_stores") == stores
            assert measured(outcome, phase, "total", "tlb_page_local") == invalidates
            for kind in ("page_broadcast", "all_local", "all_broadcast"):
                assert measured(outcome, phase, "total", f"tlb_{kind}") == 0


@pytest.mark.parametrize("arch", ARCHS)
def test_lazy_swap_never_moves_more_than_swap(arch: str) -> None:
    lazy, eager = (replayed(arch, name, busy_trace()) for name in ("swap-lazy", "swap"))

    def moved(outcome: Outcome) -> int:
        return sum(
            measured(outcome, phase, "total", "pool.bytes_loaded")
            for phase in ("settle", "map", "unmap")
        )

    assert 0 < moved(lazy) < moved(eager)


@pytest.mark.parametrize(
    ("name", "bytes_"), [("copy", 3264), ("swap", 3328), ("swap-min", 3200), ("sg", 0)]
)
@pytest.mark.parametrize("arch", ARCHS)
def test_zsmapbench(arch: str, name: str, bytes_: int) -> None:
    """The loop of 2012: bytes loaded from pool and buffer per map and unmap."""
    outcome = replay(arch, name, zsmapbench(50), "2012")
    assert outcome.violation_count == 0
    found = sum(
        measured(outcome, phase, "spanning_update", f"{region}.bytes_loaded")
        for phase in ("map", "unmap")
        for region in ("pool", "buffer")
    )
    assert found == 50 * bytes_


@pytest.mark.parametrize("fault", FAULTY, ids=lambda fault: fault.name)
@pytest.mark.parametrize("arch", ARCHS)
def test_finds(arch: str, fault: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong strategy is found, for what is wrong with it, and the report is complete."""
    # For each that is kept the trace is replayed once more; the first of every check always is.
    monkeypatch.setattr(violations, "KEPT", 2)
    outcome = replay(arch, fault.write(tmp_path), busy_trace())
    assert outcome.violation_count >= len(outcome.violations) > 0
    kinds = {violation.kind for violation in outcome.violations}
    assert fault.finds in kinds, [str(v) for v in outcome.violations]
    first = next(v for v in outcome.violations if v.kind == fault.finds)
    row = busy_trace()
    assert first.object_number == row.object[first.operation]
    assert first.class_size >= row.length[first.operation]
    assert first.pc
    if fault.name != "wild-jump":
        assert "+0x" in first.pc
        assert first.instruction != "?"
    if fault.finds in (violations.WRONG_BYTES, violations.HEADER, violations.LINK):
        assert first.expected != first.found
        assert len(first.expected) == len(first.found) > 0


def test_only_so_many_violations_are_kept(tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTY if fault.name == "static-variable")
    outcome = replay("aarch64", fault.write(tmp_path), busy_trace())
    maps = int(busy_trace().maps.sum())
    assert len(outcome.violations) == violations.KEPT
    assert violations.KEPT < outcome.violation_count <= maps


@pytest.mark.parametrize("arch", ["x86_64", "riscv32"])
def test_endless_loop_stops_at_the_same_instruction(arch: str, tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTY if fault.name == "endless-map")
    path = fault.write(tmp_path)
    first, second = (replay(arch, path, busy_trace()).violations for _ in range(2))
    assert first == second


def test_cost_that_is_no_function_of_the_shape(tmp_path: Path) -> None:
    """A strategy whose cost depends on what it read long ago is counted in full, and exactly."""
    source = tmp_path / "moody.c"
    shipped = strategy("sg").path.read_text()
    source.write_text(
        shipped.replace(
            "	if (loc->length <= first)",
            "	if (++area->private[0] % 3 == 0)\n"
            '		asm volatile("nop");\n'
            "	if (loc->length <= first)",
        )
    )
    outcome = replay("aarch64", source, busy_trace())
    full = replay("aarch64", source, busy_trace(), full=True)
    assert outcome.violation_count == 0
    assert outcome.shapes == 0
    np.testing.assert_array_equal(outcome.sums, full.sums)


def test_a_phase_that_runs_through_all_memory_is_stopped(tmp_path: Path) -> None:
    """However fast it is with its blocks: by the lines that it touches."""
    source = tmp_path / "greedy.c"
    source.write_text(
        strategy("sg")
        .path.read_text()
        .replace(
            "	if (loc->length <= first)",
            "	for (unsigned long i = 0; i < 3UL << 20; i += 64)\n"
            "		(void)*(volatile char *)((char *)caller + i);\n"
            "	if (loc->length <= first)",
        )
    )
    outcome = replay("aarch64", source, busy_trace())
    kinds = [violation.kind for violation in outcome.violations]
    assert kinds[-1] == violations.ENDLESS
    assert "more memory" in outcome.violations[-1].detail
