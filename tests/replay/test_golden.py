# SPDX-License-Identifier: GPL-2.0-only
"""The golden counts: nothing has moved, and what moves is named."""

from pathlib import Path

import golden
import pytest
from golden import COUNTS, SHAPES, Counts

from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.paths import ARCH
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import geometry

ARCHS = target_names()


def expect_nothing_moved(old: Counts, new: Counts) -> None:
    lines = list(golden.moved(old, new))
    if lines:
        pytest.fail("\n".join([*lines, f"{len(lines)} moved; {golden.REMEDY}"]), pytrace=False)


@pytest.mark.parametrize("name", strategy_names())
@pytest.mark.parametrize("arch", ARCHS)
def test_counts(arch: str, name: str) -> None:
    """Every count is as in the file."""
    expect_nothing_moved(golden.cell(golden.load(), arch, name), golden.measure(arch, name))


def test_the_file_has_what_there_is_and_no_more() -> None:
    """A line for every architecture, strategy, shape and phase; sorted, and of this form."""
    assert set(golden.load()) == {
        (arch, name, shape.name, phase)
        for arch in ARCHS
        for name in strategy_names()
        for shape in SHAPES
        for phase in shape.phases
    }
    assert golden.text(golden.load()) == golden.FILE.read_text()
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def planted(directory: Path, name: str, edits: dict[str, str]) -> Path:
    text = (ARCH / "strategies" / f"{name}.c").read_text()
    for old, new in edits.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = directory / f"{name}-planted.c"
    path.write_text(text)
    return path


MAP = "enum zs_mapmode mode, void *caller, struct zs_span *span)\n{\n"
NOP = '	asm volatile("nop");\n'


# Where the compiler changes nothing else for it: in sg on aarch64 it saves one instead.
@pytest.mark.parametrize("name", ["copy", "copy-modes", "swap-lazy"])
@pytest.mark.parametrize("arch", ARCHS)
def test_an_instruction_more_is_named(arch: str, name: str, tmp_path: Path) -> None:
    """One instruction at the start of map: one line for every map, with one more, and no other."""
    path = planted(tmp_path, name, {MAP: MAP + NOP})
    old = golden.cell(golden.load(), arch, name)
    lines = list(golden.moved(old, golden.measure(arch, name, path)))
    assert lines == [
        f"{arch} {name}: {shape}: map instructions: {values[0]} -> {values[0] + 1}"
        for (_, _, shape, phase), values in sorted(old.items())
        if phase == "map"
    ]
    assert len(lines) > 30


@pytest.mark.parametrize("arch", ARCHS)
def test_an_instruction_more_in_settle_is_named(arch: str, tmp_path: Path) -> None:
    settle = "void zs_settle(struct zs_area *area, const struct zs_location *loc)\n{\n"
    path = planted(tmp_path, "swap-lazy", {settle: settle + NOP})
    old = golden.cell(golden.load(), arch, "swap-lazy")
    lines = list(golden.moved(old, golden.measure(arch, "swap-lazy", path)))
    assert lines == [
        f"{arch} swap-lazy: {shape}: settle instructions: {values[0]} -> {values[0] + 1}"
        for (_, _, shape, phase), values in sorted(old.items())
        if phase == "settle"
    ]
    assert len(lines) == 6


def test_a_store_more_is_named(tmp_path: Path) -> None:
    """A byte stored in unmap of one mode: instructions apart, store and byte are named there."""
    unmap = "enum zs_mapmode mode, void *caller)\n{\n"
    store = "	if (mode == ZS_MM_WO)\n		*(volatile unsigned char *)area->buffer = 1;\n"
    path = planted(tmp_path, "sg", {unmap: unmap + store})
    old = golden.cell(golden.load(), "riscv64", "sg")
    lines = [
        line
        for line in golden.moved(old, golden.measure("riscv64", "sg", path))
        if " stores:" in line or " bytes_stored:" in line
    ]
    writes = sorted(shape.name for shape in SHAPES if shape.operation == Operation.WRITE)
    assert lines == [
        f"riscv64 sg: {shape}: unmap {count}: 0 -> 1"
        for shape in writes
        for count in ("stores", "bytes_stored")
    ]


def test_what_moved_is_named_for_every_count() -> None:
    old = golden.cell(golden.load(), "arm", "pgtable")
    key = ("arm", "pgtable", "3600/1 read", "unmap")
    for at, name in enumerate(COUNTS):
        values = list(old[key])
        values[at] += 7
        assert list(golden.moved(old, old | {key: tuple(values)})) == [
            f"arm pgtable: 3600/1 read: unmap {name}: {old[key][at]} -> {old[key][at] + 7}"
        ]
    less = {other: values for other, values in old.items() if other != key}
    assert list(golden.moved(old, less)) == ["arm pgtable: 3600/1 read: unmap: no longer measured"]
    assert list(golden.moved(less, old)) == ["arm pgtable: 3600/1 read: unmap: not in counts.csv"]
    with pytest.raises(pytest.fail.Exception, match=r"1 moved; .* python -m golden"):
        expect_nothing_moved(old, less)


def test_accepting_is_writing_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been accepted is read back as it was, and from then on nothing has moved."""
    counts = golden.load()
    monkeypatch.setattr(golden, "FILE", tmp_path / "counts.csv")
    assert golden.load() == {}
    golden.save(counts)
    expect_nothing_moved(golden.load(), counts)
    assert [path.name for path in tmp_path.iterdir()] == ["counts.csv"]


@pytest.mark.parametrize("arch", ARCHS)
def test_the_shapes_are_what_they_are_called(arch: str) -> None:
    """The operations measured are those named, and slots span as the module's table says."""
    work, at = golden.placed(arch)
    trace, placed = work.trace, work.placed
    assert [(int(trace.operation[row]), int(placed.slot[row])) for row in at] == [
        (shape.operation, shape.slot) for shape in SHAPES
    ]
    # Bytes in the first and in the second page.
    parts = {
        (360, 11): (48, 320),
        (360, 77): (336, 32),
        (1632, 2): (736, 944),
        (1632, 4): (1472, 208),
        (3600, 1): (464, 3168),
        (3600, 4): (1856, 1776),
        (3600, 7): (3248, 384),
        (700, 5): (496, 224) if target(arch).word_bits == 64 else (576, 128),
    }
    assert work.geometry is geometry(
        "chain-8", word_bits=target(arch).word_bits, physical_bits=target(arch).physical_bits
    )
    for shape, row in zip(SHAPES, at, strict=True):
        offset = int(placed.offset[row])
        end = offset + int(work.geometry.sizes[placed.class_index[row]])
        part = parts.get((shape.kind, shape.slot))
        assert (end > 4096) == (part is not None)
        if part:
            assert (4096 - offset, end - 4096) == part
            crosses = offset + work.geometry.header + int(trace.length[row]) > 4096
            assert crosses == (shape.length != "short")
