# SPDX-License-Identifier: GPL-2.0-only
"""The places of a trace's objects, kept on disk: used, told apart, and made anew if damaged."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from zsemu import kept
from zsemu.replay import placement_store
from zsemu.traces.trace import Trace, zsmapbench
from zsemu.zsmalloc.geometry import geometry
from zsemu.zsmalloc.placement import Placed, Placer

SIZES = geometry("chain-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the places of all traces, short ones too."""
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path))
    monkeypatch.setattr(placement_store, "LONG", 1)
    return tmp_path / "results"


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Return a trace whose zspages are opened and closed."""
    random = np.random.default_rng(0)
    operations = [(0, number, int(random.integers(1, 4000))) for number in range(60)]
    operations += [(number % 3 + 2, number, 1) for number in range(60)]
    operations += [(1, number, 1) for number in random.permutation(60)[:50].tolist()]
    operation, object_, length = np.array(operations).T
    return replace(
        zsmapbench(len(operations) - 3),
        operation=operation.astype(np.uint8),
        object=object_.astype(np.uint32),
        length=length.astype(np.uint32),
    )


def equal(one: Placed, other: Placed) -> bool:
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in fields(Placed))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def test_what_is_kept_is_what_was_chosen(
    trace: Trace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Placer(SIZES).place(trace.operation, trace.object, trace.length)
    assert chosen.opens.any() and chosen.closes.any() and chosen.spans.any()
    assert equal(placement_store.place(trace, SIZES), chosen)
    (file,) = folder.iterdir()
    # From here on nobody can choose.
    monkeypatch.delattr(placement_store, "Placer")
    assert equal(placement_store.place(trace, SIZES), chosen)
    assert list(folder.iterdir()) == [file]


def test_whatever_places_depend_on_is_in_the_name(
    trace: Trace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = trace.length.copy()
    length[0] ^= 1
    placement_store.place(trace, SIZES)
    placement_store.place(trace, geometry("chain-8", word_bits=32, physical_bits=40))
    placement_store.place(replace(trace, length=length), SIZES)
    placement_store.place(trace.head(150), SIZES)
    # It may choose in another way.
    monkeypatch.setattr(kept, "sources_digest", lambda: "of other sources")
    placement_store.place(trace, SIZES)
    assert len(list(folder.iterdir())) == 5


def test_a_damaged_file_is_made_anew(trace: Trace, folder: Path) -> None:
    chosen = placement_store.place(trace, SIZES)
    (file,) = folder.iterdir()
    good = file.read_bytes()
    flips = [(6, 1), (8, 0x20), *((at, 0x10) for at in range(0, len(good), 97))]
    unread = 0
    for at, bit in flips:
        bad = bytearray(good)
        bad[at] ^= bit
        file.write_bytes(bad)
        assert equal(placement_store.place(trace, SIZES), chosen)
        unread += file.read_bytes() == bad
    assert unread < len(flips) / 4
    for damaged in (b"", b"no archive", good[: len(good) // 2]):
        file.write_bytes(damaged)
        assert equal(placement_store.place(trace, SIZES), chosen)
        assert file.read_bytes() == good


def test_a_short_trace_is_not_kept(
    trace: Trace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement_store, "LONG", len(trace) + 1)
    placement_store.place(trace, SIZES)
    assert not folder.exists()


def test_goes_on_where_nothing_can_be_written(trace: Trace, folder: Path) -> None:
    folder.write_text("no folder")
    chosen = Placer(SIZES).place(trace.operation, trace.object, trace.length)
    assert equal(placement_store.place(trace, SIZES), chosen)
