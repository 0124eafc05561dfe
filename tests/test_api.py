# SPDX-License-Identifier: GPL-2.0-only
"""The names for programs: they are there, cost nothing, and do what the command line does."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import unicorn
from samples import busy_trace, trace

import zsemu
from zsemu import counts
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.results.document import dumps
from zsemu.runs import compare
from zsemu.runs import request as requests
from zsemu.traces.file import TraceFile, save
from zsemu.traces.operation import Operation

HEAVY = {"numpy", "unicorn", "capstone", "elftools", "rich.console", "pytest", "dask"}


def loaded(program: str) -> set[str]:
    """Run a program in a process of its own and return which of HEAVY it has loaded."""
    program += f"\nimport sys\nprint(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_every_name_is_there() -> None:
    assert len(set(zsemu.__all__)) == len(zsemu.__all__) > 15
    for name in zsemu.__all__:
        one = getattr(zsemu, name)
        assert one.__name__ == {"Work": "PlacedTrace"}.get(name, name)
        assert one.__doc__
        assert name in dir(zsemu)
    # A submodule would take its name as soon as somebody imports it.
    package = Path(zsemu.__file__).parent
    assert not {path.stem for path in package.iterdir()} & set(zsemu.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        zsemu.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_same() -> None:
    tree = ast.parse(Path(zsemu.__file__).read_text())
    (block,) = (
        node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == zsemu._HOMES


def test_importing_costs_nothing() -> None:
    assert loaded("import zsemu") == set()
    assert loaded("import zsemu.cli.app") == set()
    assert loaded("import zsemu; zsemu.ZsemuError") == set()
    assert "unicorn" in loaded("import zsemu; zsemu.run")


def test_run_gives_what_compare_does(tmp_path: Path) -> None:
    own = tmp_path / "mine.c"
    own.write_text(zsemu.strategy("swap").path.read_text())
    chosen = requests.label([zsemu.strategy(str(own)), zsemu.strategy("sg")])
    save(busy_trace(), tmp_path / "t.npz")
    asked = requests.Request(("arm", "x86_64"), chosen, TraceFile(tmp_path / "t.npz"), "chain-8")
    document = compare.run(asked, jobs=2)
    archs = ["arm", "x86_64", "arm"]
    here = zsemu.run(own, "sg", arch=archs, trace=tmp_path / "t.npz")
    assert dumps(here) == dumps(document)
    assert here.records[0].strategy == "mine.c"
    workers = zsemu.run(str(own), "sg", arch=iter(archs), trace=str(tmp_path / "t.npz"), jobs=2)
    assert dumps(workers) == dumps(document)

    zsemu.save(here, str(tmp_path / "out.json"))
    assert zsemu.load(tmp_path / "out.json") == document
    with pytest.raises(zsemu.ZsemuError, match=r"none/out\.json: cannot be written: No such"):
        zsemu.save(here, tmp_path / "none" / "out.json")


def test_run_with_options() -> None:
    (record,) = zsemu.run(
        zsemu.strategy("sg"),
        arch="arm",
        trace=busy_trace(),
        operations=150,
        geometry="2012",
        optimisation="Os",
    ).records
    assert (record.arch, record.strategy, record.geometry) == ("arm", "sg", "2012")
    assert record.operations == 150
    everything = zsemu.run(arch="arm", trace=busy_trace().head(20))
    assert len(everything.records) == 8
    with pytest.warns(UserWarning, match="4096") as caught:
        larger = zsemu.run("sg", arch="arm", trace=busy_trace().head(20), page_size=16384)
    assert caught[0].filename == __file__
    assert larger.records[0].page_size == 16384


def test_bad_use(tmp_path: Path) -> None:
    (tmp_path / "wrong.c").write_text("int wrong(void) { return nothing; }\n")
    for call, says in (
        (lambda: zsemu.run("copie", arch="arm"), "no strategy 'copie'"),
        (lambda: zsemu.run("copy", arch="mips"), "no architecture 'mips'"),
        (lambda: zsemu.run("copy", arch="arm", trace="none"), "none: no such trace"),
        (lambda: zsemu.run("copy", arch="arm", operations=-3), "-3 operations"),
        (lambda: zsemu.run("copy", arch="arm", operations=1), "map nothing"),
        (lambda: zsemu.run("copy", arch="arm", geometry="chain-5"), "unknown geometry 'chain-5'"),
        (lambda: zsemu.run("pgtable", arch="arm", page_size=16384), "pgtable maps pages"),
        (lambda: zsemu.run(tmp_path / "wrong.c", arch="arm"), "does not compile for arm"),
        (lambda: zsemu.build_image("copy", "arm", cc="tcc"), "no compiler 'tcc'"),
        (lambda: zsemu.place("none", "arm"), "none: no such trace"),
    ):
        with pytest.raises(zsemu.ZsemuError, match=says):
            call()


@pytest.mark.parametrize("arch", ["x86_64", "riscv32"])
def test_step_by_step(arch: str) -> None:
    """Image, placement and replay by themselves: the counts of run()."""
    image = zsemu.build_image("swap-lazy", arch)
    assert image.has("zs_settle")
    work = zsemu.place(busy_trace(), arch)
    outcome = zsemu.Replay(image, work).run()
    (record,) = zsemu.run("swap-lazy", arch=arch, trace=busy_trace()).records
    assert outcome.violation_count == 0
    assert counts.document(outcome.sums) == record.counts
    assert isinstance(work, PlacedTrace)
    assert work.scope_maps == record.scope_maps


def test_hooks_of_ones_own() -> None:
    """The observing machine takes them; all objects are freed, so that nothing is read back."""
    rows = [(Operation.ALLOCATE, i, 1632, 0) for i in range(6)]
    rows += [(Operation.READ, i, 1632, 0) for i in range(6)]
    rows += [(Operation.FREE, i, 1632, 0) for i in range(6)]
    image = zsemu.build_image("sg", "arm")
    replay = zsemu.Replay(image, zsemu.place(trace(rows), "arm"), full=True)
    executed: Counter[str] = Counter()

    def count(uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        executed[image.where(address).partition("+")[0]] += 1

    assert isinstance(replay.observer, zsemu.Machine)
    replay.observer.uc.hook_add(unicorn.UC_HOOK_CODE, count)
    replay.run()
    (record,) = zsemu.run("sg", arch="arm", trace=trace(rows)).records
    # Both are leaves.
    for phase in ("map", "unmap"):
        counted = record.sum("instructions", "total", (phase,))
        assert executed[f"zs_{phase}_object"] == counted > 0


def test_diff_results() -> None:
    old = zsemu.run("copy", arch="arm", trace=busy_trace(), optimisation="O1")
    new = zsemu.run("copy", arch="arm", trace=busy_trace())
    with pytest.raises(zsemu.ZsemuError, match="flags of arm: -O1"):
        zsemu.diff_results(old, new)
    found = zsemu.diff_results(old, new, force=True, limits=["instructions=0"], scopes=["spanning"])
    assert isinstance(found, zsemu.Diff)
    assert [row.regression for row in found.moved if row.regression] == ["instructions=0"]
    assert zsemu.diff_results(new, new).moved == ()
    with pytest.raises(zsemu.ZsemuError, match="no scope 'all'"):
        zsemu.diff_results(new, new, scopes=["all"])


def test_data_frames(tmp_path: Path) -> None:
    """What to_records() gives, pandas takes, a broken cell among it; sums are sums still."""
    import pandas as pd

    broken = tmp_path / "broken.c"
    text = zsemu.strategy("copy").path.read_text()
    assert "class_size - first" in text
    broken.write_text(text.replace("class_size - first", "class_size - first - 1"))
    document = zsemu.run(broken, "sg", arch=["arm", "i386"], trace=busy_trace())
    frame = pd.DataFrame(document.to_records())
    assert len(frame) == 2 * 2 * 4 * 5
    assert set(frame[frame.violations > 0].strategy) == {"broken.c"}
    assert frame[frame.violations > 0]["instructions"].isna().all()
    spanning = frame[(frame.scope == "spanning") & (frame.phase == "map")].set_index("arch")
    means = (
        spanning[spanning.strategy == "sg"]["bytes_loaded"] / spanning.maps.groupby("arch").max()
    )
    for record in document.records:
        if record.intact:
            assert means[record.arch] == record.mean("bytes_loaded", "spanning", ("map",))
