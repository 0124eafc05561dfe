# SPDX-License-Identifier: GPL-2.0-only
"""The trace file: round trip, every way it can be damaged, and the committed traces."""

import hashlib
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsemu import paths
from zsemu.errors import ZsemuError
from zsemu.traces import file as trace_file
from zsemu.traces import trace
from zsemu.traces.file import load, save
from zsemu.traces.operation import Operation
from zsemu.traces.trace import COLUMNS, Metadata, Trace
from zsemu.zsmalloc import geometry

ALLOCATE, FREE, READ, WRITE, UPDATE = Operation
Row = tuple[int, int, int, int, int, int]
METADATA = Metadata("6.1", "chain-4", 4096, "by hand", ("mended 1: nothing (line 3)",))
ROWS: list[Row] = [
    (ALLOCATE, 0, 100, 1, 5000, 5000),
    (WRITE, 0, 100, 1, 6000, 9000),
    (ALLOCATE, 1, 4096, 0, 6000, 6000),
    (READ, 0, 60, 1, 6000, 90000),
    (UPDATE, 1, 1, 0, 7000, 8000),
    (FREE, 0, 100, 300, 8000, 8000),
    (READ, 1, 4096, 0, 8000, 8000),
]


def make(rows: list[Row], metadata: Metadata = METADATA, name: str = "mine") -> Trace:
    table = np.array(rows, np.int64).reshape(-1, 6)
    columns: dict[str, Any] = {
        column: table[:, at].astype(dtype) for at, (column, dtype) in enumerate(COLUMNS.items())
    }
    return Trace(name, metadata, **columns)


def rows_of(one: Trace) -> list[Row]:
    return list(zip(*(getattr(one, name).tolist() for name in COLUMNS), strict=True))


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    save(make(ROWS), path)
    loaded = load(path)
    assert rows_of(loaded) == ROWS
    assert loaded.metadata == METADATA
    assert loaded.name == "other"
    for name, dtype in COLUMNS.items():
        assert getattr(loaded, name).dtype == dtype
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_trace_gives_the_same_bytes(tmp_path: Path) -> None:
    save(make(ROWS), tmp_path / "a")
    save(make(ROWS, name="else"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for member in zipfile.ZipFile(tmp_path / "a").infolist():
        assert member.date_time == (1980, 1, 1, 0, 0, 0)
        assert member.compress_type == zipfile.ZIP_LZMA


def test_the_documented_format(tmp_path: Path) -> None:
    """NumPy alone reads the file, and the docstring's rules give the columns back."""
    save(make(ROWS), tmp_path / "a")
    with np.load(tmp_path / "a") as file:
        assert int(file["zsemu_trace"]) == 1
        assert json.loads(str(file["metadata"]))["kernel"] == "6.1"
        tick = int(file["tick"])
        begin = end = newest = -1
        begin = 0
        whole: dict[int, int] = {}
        found: list[Row] = []
        for operation, age, short, cpu, delta, duration in zip(
            *(
                file[name].tolist()
                for name in (
                    "operation",
                    "object_age",
                    "length_short",
                    "cpu",
                    "begin_delta",
                    "duration",
                )
            ),
            strict=True,
        ):
            begin += delta * tick
            end = begin + duration * tick
            if operation == ALLOCATE:
                newest += 1
                whole[newest] = short
                found.append((operation, newest, short, cpu, begin, end))
            else:
                number = newest + 1 - age
                found.append((operation, number, whole[number] - short, cpu, begin, end))
    assert found == ROWS
    assert tick == 1000


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    alive: dict[int, int] = {}
    time = 0
    for _ in range(draw(st.integers(1, 40))):
        time += draw(st.sampled_from([0, 1, 1000, 2**40]))
        cpu = draw(st.sampled_from([0, 1, 65535]))
        kind = draw(st.sampled_from(list(Operation))) if alive else ALLOCATE
        if kind == ALLOCATE:
            number = sum(row[0] == ALLOCATE for row in rows)
            alive[number] = draw(st.integers(1, 4096))
            rows.append((kind, number, alive[number], cpu, time, time))
            continue
        number = draw(st.sampled_from(sorted(alive)))
        if kind == FREE:
            rows.append((kind, number, alive.pop(number), cpu, time, time))
        else:
            length = draw(st.integers(1, alive[number]))
            rows.append((kind, number, length, cpu, time, time + draw(st.integers(0, 2**33))))
    return rows


@settings(deadline=None, max_examples=60)
@given(histories())
def test_any_history_survives(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    path = tmp_path_factory.mktemp("trace") / "a.npz"
    save(make(rows), path)
    loaded = load(path)
    assert rows_of(loaded) == rows
    assert rows_of(loaded.head(3)) == rows[:3]


def changed(at: int, **values: int) -> list[Row]:
    row = dict(zip(COLUMNS, ROWS[at], strict=True)) | values
    return [*ROWS[:at], tuple(row[name] for name in COLUMNS), *ROWS[at + 1 :]]  # type: ignore[list-item]


CONTRADICTIONS: list[tuple[list[Row], str]] = [
    ([], "it holds no operation"),
    (changed(3, operation=5), "operation 3: unknown code 5; codes are 0 to 4"),
    (changed(2, object=2), "operation 2: allocates object 2, the next is 1"),
    (changed(2, object=0), "operation 2: allocates object 0, the next is 1"),
    (changed(1, object=7), "operation 1: write of object 7, never allocated"),
    (changed(1, object=1), "operation 1: write of object 1, not yet allocated"),
    ([*ROWS, (FREE, 0, 100, 0, 9000, 9000)], "operation 7: free of object 0, already freed"),
    ([*ROWS, (READ, 0, 100, 0, 9000, 9000)], "operation 7: read of object 0, already freed"),
    (changed(0, length=0), "operation 0: length 0, not 1 to 4096"),
    (changed(4, length=0), "operation 4: length 0, not 1 to 4096"),
    (changed(2, length=4097), "operation 2: length 4097, not 1 to 4096"),
    (changed(3, length=101), "operation 3: length 101 of an object of 100 bytes"),
    (changed(5, length=99), "operation 5: free with length 99 of an object of 100 bytes"),
    (changed(4, begin=5999), "operation 4: begins at 5999 ns, before the one above it"),
    (changed(0, begin=-1, end=-1), "operation 0: begins at -1 ns"),
    (changed(4, end=6999), "operation 4: ends before it begins"),
    (changed(5, end=9000), "operation 5: free that takes time"),
    (changed(0, end=9000), "operation 0: allocate that takes time"),
]


@pytest.mark.parametrize(("rows", "message"), CONTRADICTIONS)
def test_a_contradiction_is_not_saved(tmp_path: Path, rows: list[Row], message: str) -> None:
    with pytest.raises(ZsemuError, match=message):
        save(make(rows), tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (make(ROWS, replace(METADATA, geometry="chain-5")), "geometry 'chain-5' is not one of"),
        (make(ROWS, replace(METADATA, page_size=4095)), "page size 4095 is not one of"),
        (replace(make(ROWS), cpu=np.zeros(3, np.uint16)), r"column cpu is uint16 of shape \(3,\)"),
        (replace(make(ROWS), cpu=np.zeros(7, np.int64)), "column cpu is int64"),
    ],
)
def test_other_contradictions(tmp_path: Path, one: Trace, message: str) -> None:
    with pytest.raises(ZsemuError, match=f"trace mine: {message}"):
        save(one, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def rewrite(path: Path, **members: object) -> None:
    """Save a good trace and replace members of its file; None removes one."""
    save(make(ROWS), path)
    with np.load(path) as file:
        columns: dict[str, Any] = dict(file)
    columns.update(members)
    with path.open("wb") as stream:
        np.savez(stream, **{name: value for name, value in columns.items() if value is not None})


def u8(*values: int) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"zsemu_trace": None}, "an archive, but not a trace file"),
        ({"zsemu_trace": np.uint8(2)}, "trace version 2, this zsemu reads up to 1"),
        ({"cpu": None}, "inconsistent: column 'cpu' is missing"),
        ({"cpu": u8(1, 2)}, r"inconsistent: unequal columns: .*cpu \(2,\)"),
        ({"cpu": np.zeros(7)}, "not of unsigned integers"),
        ({"cpu": np.full(7, 65536, np.uint32)}, "times or CPU numbers out of range"),
        ({"operation": np.full((7, 1), 3, np.uint8)}, "unequal columns"),
        ({"operation": u8(0, 3, 0, 5, 4, 1, 2)}, "operation 3: unknown code 5"),
        # Object 1 where only object 0 is allocated; one before the first.
        ({"object_age": u8(0, 0, 0, 2, 1, 2, 1)}, "operation 1: write of an object that has not"),
        ({"object_age": u8(0, 9, 0, 2, 1, 2, 1)}, "operation 1: write of an object that has not"),
        ({"object_age": u8(3, 1, 0, 2, 1, 2, 1)}, "operation 0: allocate of an object"),
        # A read of the freed object 0 at the end.
        ({"object_age": u8(0, 1, 0, 2, 1, 2, 2)}, "operation 6: read of object 0, already freed"),
        ({"length_short": u8(100, 0, 200, 100, 0, 0, 0)}, "operation 3: length 0"),
        ({"length_short": u8(100, 0, 200, 101, 0, 0, 0)}, "operation 3: length -1"),
        ({"length_short": u8(100, 0, 200, 0, 0, 1, 0)}, "operation 5: free with length 99"),
        ({"begin_delta": np.full(7, 2**63, np.uint64)}, "times or CPU numbers out of range"),
        ({"duration": np.full(7, 2**63, np.uint64)}, "times or CPU numbers out of range"),
        ({"duration": u8(1, 0, 0, 0, 0, 0, 0)}, "operation 0: allocate that takes time"),
        ({"tick": np.uint64(2**63)}, "times or CPU numbers out of range"),
        ({"metadata": np.array("{")}, "inconsistent"),
        ({"metadata": np.array("[]")}, "metadata with other fields"),
        ({"metadata": np.array('{"kernel": "6.1"}')}, "metadata with other fields"),
    ],
)
def test_inconsistent_files(tmp_path: Path, members: dict[str, object], message: str) -> None:
    path = tmp_path / "bad.npz"
    rewrite(path, **members)
    with pytest.raises(ZsemuError, match=message) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("kernel", 6), ("page_size", "4096"), ("page_size", 4095), ("geometry", "x"), ("notes", [1])],
)
def test_metadata_of_another_type(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "bad.npz"
    save(make(ROWS), path)
    with np.load(path) as file:
        metadata = json.loads(str(file["metadata"]))
    rewrite(path, metadata=np.array(json.dumps(metadata)))
    load(path)
    rewrite(path, metadata=np.array(json.dumps(metadata | {field: value})))
    with pytest.raises(ZsemuError, match="inconsistent"):
        load(path)


def test_truncated_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    save(make(ROWS), path)
    whole = path.read_bytes()
    # Every length near the end, where the archive's directory is; before it every seventh.
    for size in {*range(1, len(whole), 7), *range(len(whole) - 120, len(whole))}:
        path.write_bytes(whole[:size])
        with pytest.raises(ZsemuError, match=r"cut\.npz: (not a trace file|truncated or damaged)"):
            load(path)


def test_a_flipped_byte_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    """Every member has a checksum; bytes outside of them mean nothing to a trace."""
    path = tmp_path / "flipped.npz"
    save(make(ROWS), path)
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            assert rows_of(load(path)) == ROWS
        except ZsemuError:
            refused += 1
    assert refused > len(whole) // 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty, not a trace file"),
        (b"zs_malloc: something", "not a trace file; make one with: zsemu trace import"),
        (b"PK\x03\x04", "truncated or damaged"),
        (b"PK" + bytes(100), "truncated or damaged"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(ZsemuError, match=f"foreign: {message}"):
        load(path)


def test_other_archives(tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(ZsemuError, match="an archive, but not a trace file"):
        load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("zsemu_trace.npy", "hello")
    with pytest.raises(ZsemuError, match=r"truncated or damaged|not a trace"):
        load(path)
    stream = io.BytesIO()
    np.savez(stream, zsemu_trace=np.array([{}], dtype=object))
    path.write_bytes(stream.getvalue())
    with pytest.raises(ZsemuError, match="truncated or damaged"):
        load(path)
    np.save(tmp_path / "foreign.npy", np.zeros(3))
    with pytest.raises(ZsemuError, match="not a trace file"):
        load(tmp_path / "foreign.npy")
    with pytest.raises(ZsemuError, match="Is a directory"):
        load(tmp_path)


def test_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ZsemuError, match="none/a: cannot be written: No such file or directory"):
        save(make(ROWS), tmp_path / "none" / "a")


def test_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(make(ROWS), tmp_path / "b.npz")
    save(make(ROWS), tmp_path / "a.npz")
    (tmp_path / "README.md").write_text("no trace")
    monkeypatch.setattr(paths, "TRACES", tmp_path)
    assert trace_file.names() == ["a", "b"]
    assert trace_file.find("a") == tmp_path / "a.npz"
    assert trace_file.find(tmp_path / "README.md") == tmp_path / "README.md"
    with pytest.raises(ZsemuError, match=r"c: no such trace; .* one of a, b"):
        trace_file.find("c")
    with pytest.raises(ZsemuError, match="no such trace"):
        trace_file.find(tmp_path)


def test_digest_follows_the_content() -> None:
    digest = make(ROWS).digest()
    assert make(ROWS, replace(METADATA, notes=()), "other").digest() == digest
    assert make(ROWS, replace(METADATA, geometry="2012")).digest() != digest
    assert make(ROWS[:-1]).digest() != digest
    for at, name in enumerate(COLUMNS):
        row = list(ROWS[3])
        row[at] += 1
        other = make([*ROWS[:3], tuple(row), *ROWS[4:]])  # type: ignore[list-item]
        assert other.digest() != digest, name


# Objects, frees, reads, writes, updates, as counted in the recordings by other means.
TOTALS = {
    "compile-zstd": (5144, 4831, 3824, 5144, 0),
    "numpy-16k": (85970, 83477, 55387, 85970, 0),
    "redis-zswap": (64589, 52653, 52613, 64589, 0),
    "sqlite-lzo-rle": (424298, 374851, 374163, 424298, 0),
    "zsmapbench": (3, 0, 0, 0, 1000),
}
# Kernel, geometry, page size, and the least length that zram stores as a whole page.
RECORDED = {
    "compile-zstd": ("6.1.176", "chain-4", 4096, 3257),
    "numpy-16k": ("6.12.117+deb13-arm64-16k", "chain-8", 16384, 14553),
    # zswap stores any length as it is.
    "redis-zswap": ("6.12.117+deb13-amd64", "chain-8", 4096, None),
    "sqlite-lzo-rle": ("6.1.176", "chain-4", 4096, 3257),
}


@pytest.mark.parametrize("name", TOTALS)
def test_committed_traces(name: str) -> None:
    one = load(trace_file.find(name))
    assert one.name == name
    assert tuple(np.bincount(one.operation, minlength=5).tolist()) == TOTALS[name]
    assert trace_file.find(name).stat().st_size < 4 << 20
    if name == "zsmapbench":
        return
    maps, metadata = sum(TOTALS[name][2:]), one.metadata
    assert int(one.maps.sum()) == maps
    assert f"{maps} map/unmap pairs, {maps} imported" in metadata.notes[0]
    kernel, chain, page_size, huge = RECORDED[name]
    assert (metadata.kernel, metadata.geometry, metadata.page_size) == (kernel, chain, page_size)
    lengths = one.length[one.operation == Operation.ALLOCATE]
    assert lengths.max() == page_size
    if huge is not None:
        assert geometry.geometry(chain, page_size=page_size).huge_class_size == huge
    between = (lengths >= (huge or 3257)) & (lengths < page_size)
    assert between.any() == (huge is None)
    assert set(one.cpu.tolist()) == {0, 1}
    # Every object is written before it is read.
    first = np.full(int(one.object.max()) + 1, -1)
    mapped = np.flatnonzero(one.maps)[::-1]
    first[one.object[mapped]] = mapped
    assert (one.operation[first[first >= 0]] == Operation.WRITE).all()


@pytest.mark.parametrize("name", RECORDED)
def test_the_readme_shows_the_committed_recordings(name: str) -> None:
    """Their row of the table, what the importer reported, and the command that imports them."""
    readme = (paths.TRACES / "README.md").read_text()
    metadata = trace_file.TraceFile(trace_file.find(name)).metadata
    objects, _, reads, writes, updates = TOTALS[name]
    figures = (objects, reads + writes + updates, reads, writes, updates)
    kernel, pages = metadata.kernel.partition("+")[0], f"{metadata.page_size >> 10} KiB"
    row = f"| `{name}` | {kernel} | {pages} | `{metadata.geometry}` | "
    assert row + " | ".join(f"{figure:,}" for figure in figures) + " |\n" in readme
    assert "".join(f"    {note}\n" for note in metadata.notes) in readme
    assert f'--provenance "{metadata.provenance}"\n' in readme
    if kernel.startswith("6.12"):
        digest = hashlib.sha256(trace_file.find(name).read_bytes()).hexdigest()
        assert re.search(rf"^\| `{name}` \| [\d,]+ \| `\w{{64}}` \| `{digest}` \|$", readme, re.M)


def test_the_committed_traces_are_all(tmp_path: Path) -> None:
    assert trace_file.names() == sorted(TOTALS)
    assert sum(path.stat().st_size for path in paths.TRACES.iterdir()) < 8 << 20


def test_zsmapbench_is_what_the_function_makes() -> None:
    committed, made = load(trace_file.find("zsmapbench")), trace.zsmapbench()
    assert rows_of(committed) == rows_of(made)
    assert committed.metadata == made.metadata
    assert committed.metadata.geometry == "2012"
    assert made.operation.tolist() == [ALLOCATE] * 3 + [UPDATE] * 1000
    assert made.object.tolist() == [0, 1] + [2] * 1001
    assert set(made.length.tolist()) == {1632}
    assert set(made.cpu.tolist()) == {0}
    assert len(trace.zsmapbench(5)) == 8
