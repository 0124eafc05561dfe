# SPDX-License-Identifier: GPL-2.0-only
"""zsemu compare --cache from the command line: tables, JSON, limits, the report, and bad use."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from samples import busy_trace

from zsemu.cli import main
from zsemu.counts import CACHE_COUNTS, PHASES, SCOPES
from zsemu.reports.cache_tables import cest, iai
from zsemu.results.document import load
from zsemu.traces.file import save

pytestmark = pytest.mark.usefixtures("in_process")

COMMON = ("compare", "--trace", "t.npz", "--arch", "arm", "--strategy", "copy,sg", "--jobs", "1")
CACHE = "l1=4K:4,l2=64K:8"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results with and without caches, and what was printed with them."""
    place = tmp_path_factory.mktemp("caches")
    save(busy_trace(300), place / "t.npz")
    return place


@pytest.fixture
def place(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    if not (folder / "with.json").exists():
        assert main([*COMMON, "--json", "without.json"]) == 0
        capsys.readouterr()
        assert main([*COMMON, "--cache", CACHE, "--json", "with.json"]) == 0
        (folder / "printed.txt").write_text(capsys.readouterr().out)
    return folder


def without_caches(data: Any) -> Any:  # noqa: ANN401
    """Return results as they are where no caches are modelled."""
    del data["provenance"]["cache"]
    for record in data["records"]:
        record["shapes"] = 0
        for scopes in record["counts"].values():
            for counts in scopes.values():
                counts.pop("cache", None)
    return data


def test_json_has_the_counts_and_is_the_same_without(place: Path) -> None:
    found = json.loads((place / "with.json").read_text())
    assert found["provenance"]["cache"] == CACHE
    for record in found["records"]:
        for phase in PHASES:
            for scope in SCOPES:
                cache = record["counts"][phase][scope]["cache"]
                assert tuple(cache) == CACHE_COUNTS
                assert cache["l1_misses"] >= cache["l2_misses"]
    plain = json.loads((place / "without.json").read_text())
    assert "cache" not in plain["provenance"]
    assert "cache" not in plain["records"][0]["counts"]["map"]["total"]
    plain["provenance"]["cache"] = ""
    assert without_caches(found) == without_caches(plain)
    record = load(place / "with.json").records[0]
    assert record.sum("cache.l1_misses") == sum(
        record.sum("cache.l1_misses", phases=(phase,)) for phase in PHASES
    )


def test_tables_have_the_means(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = (place / "printed.txt").read_text()
    assert CACHE in printed and max(map(len, printed.splitlines())) <= 80
    assert main([*COMMON, "--cache", CACHE, "--details"]) == 0
    details = capsys.readouterr().out
    for record in load(place / "with.json").records:
        means = [record.mean(f"cache.l{level}_misses") for level in (1, 2)]
        row = "{} +{:.1f}[* ]+{:.1f}".format(record.strategy, *means)
        assert re.search(row, printed), row
        own = record.mean("cache.l1_misses", phases=("settle", "map", "unmap"))
        assert re.search(f"{record.strategy} +{own:.1f} +{means[0]:.1f} ", details)
        estimates = iai(record, "total"), cest(record, "total")
        assert re.search(
            r"{} +{:.0f} \d.\d\dx {:.0f} ".format(record.strategy, *estimates), details
        )
    assert main([*COMMON, "--cache", CACHE, "--format", "markdown"]) == 0
    assert re.search(r"\| strategy *\| *arm", capsys.readouterr().out)


def test_the_estimates_by_hand(place: Path) -> None:
    record = load(place / "with.json").records[0]
    assert record.counts
    scale = 1 / record.maps
    sums = {name: record.sum(name) for name in ("instructions", "loads", "stores")}
    missed, memory = record.sum("cache.l1_misses"), record.sum("cache.l2_misses")
    hits = sum(sums.values()) - missed
    assert iai(record, "total") / scale == pytest.approx(hits + 5 * (missed - memory) + 35 * memory)
    by_hand = sums["instructions"] + 10 * missed + 100 * memory
    assert cest(record, "total") / scale == pytest.approx(by_hand)


def test_a_limit_on_misses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads((place / "with.json").read_text())
    data["records"][1]["counts"]["map"]["total"]["cache"]["l2_misses"] += 1000
    (place / "more.json").write_text(json.dumps(data))
    limit = ("--limit", "map.cache.l2_misses=+999")
    assert main(["diff", "with.json", "more.json", *limit]) == 3
    assert "map.cache.l2_misses=+999" in capsys.readouterr().out
    assert main(["diff", "with.json", "more.json", "--limit", "map.cache.l2_misses=+1000"]) == 0
    assert main(["diff", "with.json", "more.json", "--limit", "instructions=0%"]) == 0
    # Where one of the two has no caches, the rest is compared.
    assert main(["diff", "without.json", "with.json"]) == 0
    capsys.readouterr()
    assert main(["diff", "with.json", "without.json", *limit]) == 2
    assert "caches are modelled with --cache" in capsys.readouterr().err
    data["provenance"]["cache"] = "l1=8K:4,l2=64K:8"
    (place / "more.json").write_text(json.dumps(data))
    assert main(["diff", "with.json", "more.json"]) == 2
    assert f"caches: {CACHE} and l1=8K:4,l2=64K:8" in capsys.readouterr().err


def test_the_report_has_a_chapter(place: Path) -> None:
    for name, there in (("with", True), ("without", False)):
        assert main(["report", f"{name}.json", "-o", f"{name}.html"]) == 0
        page = (place / f"{name}.html").read_text()
        assert ("Caches: what misses in a model" in page) == there
        assert (f"--cache {CACHE}" in page) == there


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cache", "huge"), "--cache huge: not l1=SIZE:WAYS"),
        (("--cache", ""), "--cache : not l1=SIZE:WAYS"),
        (("--cache", "l1=5K:4,l2=64K:8"), "not a power of two of sets of 4 lines"),
    ],
)
def test_bad_use(
    options: tuple[str, ...], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMON, *options]) == 2
    assert says in capsys.readouterr().err


def test_damaged_results_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads((place / "with.json").read_text())
    data["records"][0]["counts"]["map"]["total"]["cache"]["l1_misses"] = -1
    (place / "damaged.json").write_text(json.dumps(data))
    assert main(["report", "damaged.json"]) == 2
    assert "cache.l1_misses: not a count" in capsys.readouterr().err
    del data["provenance"]["cache"]
    (place / "damaged.json").write_text(json.dumps(data))
    assert main(["report", "damaged.json"]) == 2
    assert "cache" in capsys.readouterr().err
