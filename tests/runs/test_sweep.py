# SPDX-License-Identifier: GPL-2.0-only
"""Sweeps: the same bytes however they are computed, and nothing lost whatever dies."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import capstone
import numpy as np
import pytest
import unicorn
from joblib import delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from processes import until
from samples import busy_trace

import zsemu
from zsemu.errors import ZsemuError
from zsemu.guest import compiler as build_module
from zsemu.guest.compiler import OPTIMISATIONS, build, compiler
from zsemu.guest.image import Image
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.placed_trace import place
from zsemu.replay.replay import Replay
from zsemu.results.document import dumps, load
from zsemu.runs import cell_store, compare, sweep
from zsemu.runs import request as requests
from zsemu.runs.cell_store import Store, digest, identify
from zsemu.runs.cluster import Cluster, connect
from zsemu.runs.pool import Stages
from zsemu.runs.request import label
from zsemu.runs.sweep import Axes, plan, run, write
from zsemu.traces import file as trace_file
from zsemu.traces.file import TraceFile

OPERATIONS = 300


def axes(directory: Path, *archs: str, strategies: str = "copy,swap", **more: object) -> Axes:
    """Return a small sweep, of a trace in a directory that only this test has."""
    file = directory / "short.npz"
    if not file.exists():
        trace_file.save(busy_trace(OPERATIONS), file)
    chosen = label([strategy(name) for name in strategies.split(",")])
    made = Axes(archs or ("arm",), chosen, TraceFile(file), ("chain-8",))
    return replace(made, **more)  # type: ignore[arg-type]


class After(Stages):
    """Does something once some results are there."""

    def __init__(self, count: int, action: Callable[[], None]) -> None:
        self._left, self._action = count, action

    def advanced(self, name: str, amount: int) -> None:
        self._left -= 1
        if self._left == 0:
            self._action()


def swept(
    directory: Path,
    what: Axes,
    *,
    jobs: int = 1,
    cluster: Cluster | None = None,
    watch: Stages | None = None,
) -> tuple[sweep.Sweep, dict[str, bytes]]:
    """Run a sweep; return it and every file that it has written, cells included."""
    made = run(plan(what), Store(directory / "cells"), jobs=jobs, cluster=cluster, watch=watch)
    write(made, directory)
    files = {str(p.relative_to(directory)): p for p in directory.rglob("*") if p.is_file()}
    return made, {name: path.read_bytes() for name, path in sorted(files.items())}


# --- Optimisation levels ----------------------------------------------------------------------


@pytest.mark.parametrize("level", OPTIMISATIONS)
@pytest.mark.parametrize("arch", target_names())
def test_every_level(arch: str, level: str) -> None:
    """Each builds, with general registers only, and keeps every object intact."""
    one = target(arch)
    request = requests.Request((arch,), {}, busy_trace(200), "chain-8")
    placed = place(busy_trace(200), request.geometry_for(one))
    for name in strategy_names():
        image = Image(build(one, strategy(name), optimisation=level), one)
        texts = [instruction.text for instruction in image.instructions.values()]
        assert texts
        assert [text for text in texts if one.instructions.vector.search(text)] == []
        assert Replay(image, placed).run().violations == []


@pytest.mark.parametrize("arch", target_names())
def test_levels_are_different_images(arch: str) -> None:
    """Also O1 and O2, which zig takes for one; O3 may do nothing more here than O2."""
    one = target(arch)
    images = {
        level: Image(build(one, strategy("swap-lazy"), optimisation=level), one)
        for level in OPTIMISATIONS
    }
    code = {level: image.sections[".text"][1] for level, image in images.items()}
    assert len({code[level] for level in ("O0", "O1", "O2", "Os")}) == 4
    assert len({image.path for image in images.values()}) == len(OPTIMISATIONS)
    assert build(one, strategy("swap-lazy")) == images["O2"].path
    for level in OPTIMISATIONS:
        flags = build_module.options(compiler("zig", one), one, 12, level)
        assert {flag for flag in flags if flag.startswith("-O")} == {f"-{level}"}
    with pytest.raises(ZsemuError, match=r"'O4'.*O0, O1, O2, O3, Os"):
        build(one, strategy("swap"), optimisation="O4")


# --- What there is to compute -----------------------------------------------------------------


def test_plan_leaves_out_what_cannot_be(tmp_path: Path) -> None:
    made = plan(
        axes(
            tmp_path,
            "arm",
            "aarch64",
            strategies="copy,pgtable",
            page_sizes=(4096, 16384),
            optimisations=("O2", "Os"),
        )
    )
    assert [matrix.file for matrix in made.matrices] == [
        f"short-zig-{level}-chain-8-{size}.json" for level in ("O2", "Os") for size in (4096, 16384)
    ]
    # MMUs: the Armv7 one has no 16 KiB granule, the Armv8 one has.
    there = [(cell.arch, cell.strategy) for cell in made.matrices[1].cells]
    assert there == [("arm", "copy"), ("aarch64", "copy"), ("aarch64", "pgtable")]
    assert made.left_out == ("pgtable maps pages, and these have none of 16384 bytes: arm",)
    assert len(made.cells) == 2 * (4 + 3)
    assert len({digest(cell.key) for cell in made.cells}) == len(made.cells)
    assert len(made.warnings) == 1 and "16384" in made.warnings[0]


def test_large_objects_need_large_pages(tmp_path: Path) -> None:
    one = busy_trace(OPERATIONS)
    large = replace(
        one,
        metadata=replace(one.metadata, page_size=16384),
        length=np.where(one.object == 0, 9000, one.length).astype(np.uint32),
    )
    trace_file.save(large, tmp_path / "short.npz")
    made = plan(axes(tmp_path, "arm", "x86_64", page_sizes=(4096, 16384)))
    assert [matrix.request.page_size for matrix in made.matrices] == [16384]
    assert made.left_out == ("objects of up to 9000 bytes do not fit pages of 4096: arm, x86_64",)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"geometries": ("chain-5",)}, "geometry chain-5; .*2012, chain-4, chain-8, chain-16"),
        ({"page_sizes": (5000,)}, "page size 5000; .*4096, 16384, 65536"),
        ({"compilers": ("tcc",)}, "compiler tcc; .*zig, gcc, clang"),
        ({"optimisations": ("O2", "O9")}, "optimisation level O9; .*O0, O1, O2, O3, Os"),
        (
            {"strategies": "pgtable", "page_sizes": (65536,)},
            "nothing is left to compute: pgtable maps pages, .*: arm",
        ),
    ],
)
def test_what_cannot_be_swept(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(ZsemuError, match=says):
        plan(axes(tmp_path, **more))


def test_missing_compiler_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = axes(tmp_path, compilers=("zig", "gcc"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ZsemuError, match="apt-get install gcc-arm-linux-gnueabihf"):
        plan(what)


# --- The store --------------------------------------------------------------------------------


def test_results_are_those_of_compare(tmp_path: Path) -> None:
    """Each document is what compare makes, of the same bytes; the CSV holds all of them."""
    what = axes(
        tmp_path,
        "x86_64",
        "arm",
        geometries=("chain-8", "chain-4"),
        optimisations=("O2", "Os"),
    )
    made, _ = swept(tmp_path / "out", what)
    assert len(made.documents) == 4
    rows = list(csv.DictReader((tmp_path / "out" / "sweep.csv").open(newline="")))
    for matrix in made.plan.matrices:
        by_compare = compare.run(matrix.request, jobs=1)
        path = tmp_path / "out" / matrix.file
        assert path.read_text() == dumps(by_compare)
        assert load(path) == by_compare
        for row in by_compare.to_records():
            found = rows.pop(0)
            assert found.pop("compiler") == "zig"
            assert found.pop("optimisation") == matrix.request.optimisation
            assert found == {name: str(value) for name, value in row.items()}
    assert rows == []


def test_second_run_computes_what_is_missing(tmp_path: Path) -> None:
    small = axes(tmp_path)
    first, files = swept(tmp_path / "out", small)
    assert first.computed == 2
    again, same = swept(tmp_path / "out", small)
    assert again.computed == 0 and same == files
    more, _ = swept(tmp_path / "out", replace(small, archs=("x86_64", "arm")))
    assert more.computed == 2
    fresh, _ = swept(tmp_path / "fresh", replace(small, archs=("x86_64", "arm")))
    assert fresh.computed == 4
    assert [dumps(d) for d in more.documents] == [dumps(d) for d in fresh.documents]


def wrong_digit(content: bytes) -> bytes:
    at = content.index(b'"instructions": ') + len(b'"instructions": ')
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        wrong_digit,
        lambda content: content[:-100],
        lambda content: b"",
        lambda content: b"\xff" + content,
        lambda content: b"[1, 2]",
        lambda content: b"[" * 100000,
        lambda content: content.replace(b'"arch": "arm"', b'"arch": "ARM"'),
        lambda content: content.replace(b'"records": [', b'"records": [7, '),
    ],
)
def test_damaged_cell_is_computed_anew(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    _, files = swept(tmp_path / "out", axes(tmp_path))
    path = next((tmp_path / "out" / "cells").glob("arm-swap-*"))
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    again, mended = swept(tmp_path / "out", axes(tmp_path))
    assert again.computed == 1
    assert mended == files


def test_key_holds_all_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.c"
    file.write_text(strategy("copy").path.read_text() + '#include "mine.h"\n')
    (tmp_path / "mine.h").write_text("/* one */\n")
    replayed = busy_trace(OPERATIONS)
    one = requests.Request(("arm",), {"mine.c": strategy(str(file))}, replayed, "chain-8")

    def key(request: requests.Request = one, arch: str = "arm", name: str = "mine.c") -> str:
        return digest(identify(request, arch, name, request.trace.digest()))

    def patched(where: Any, name: str, value: object) -> str:  # noqa: ANN401
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            return key()

    keys = [
        key(),
        key(arch="aarch64"),
        key(replace(one, strategies={"other.c": strategy(str(file))}), name="other.c"),
        key(replace(one, trace=replayed.head(200))),
        key(replace(one, geometry="chain-4")),
        key(replace(one, page_size=16384)),
        key(replace(one, optimisation="Os")),
        patched(build_module, "_version", lambda command: "0.1"),
        patched(build_module, "FLAGS", ("-g0",)),
        patched(zsemu, "__version__", "99"),
        patched(unicorn, "__version__", "99"),
        patched(capstone, "__version__", "99"),
        patched(cell_store, "SCHEMA", 99),
        patched(cell_store, "_sources", lambda: "other"),
    ]
    (tmp_path / "mine.h").write_text("/* two */\n")
    keys.append(key())
    assert len(set(keys)) == len(keys)
    (tmp_path / "mine.h").write_text("/* one */\n")
    assert key() == keys[0]


def test_broken_strategy_is_a_result(tmp_path: Path) -> None:
    file = tmp_path / "mine.c"
    text = strategy("copy").path.read_text()
    file.write_text(text.replace("area->buffer + first,", "area->buffer,"))
    what = axes(tmp_path, strategies=f"copy,{file}")
    made, files = swept(tmp_path / "out", what)
    good, bad = made.documents[0].records
    assert good.intact and not bad.intact and bad.violations[0].kind == "wrong bytes"
    again, same = swept(tmp_path / "out", what)
    assert again.computed == 0 and same == files


def test_own_strategy_that_does_not_compile_stops_before_anything(tmp_path: Path) -> None:
    file = tmp_path / "mine.c"
    file.write_text("int wrong(void) { return nothing; }\n")
    what = axes(tmp_path, strategies=f"copy,{file}")
    with pytest.raises(ZsemuError, match=rf"^{file}:1: does not compile for arm"):
        run(plan(what), Store(tmp_path / "cells"), jobs=2)
    assert list((tmp_path / "cells").iterdir()) == []


# --- Processes of this machine ----------------------------------------------------------------


def children() -> list[int]:
    """Return the worker processes that loky has started here."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, path.read_text().split()):
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"popen_loky_posix" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
    return found


def test_same_bytes_when_processes_die(tmp_path: Path) -> None:
    what = axes(tmp_path, "arm", "x86_64", strategies=",".join(strategy_names()))
    _, serial = swept(tmp_path / "serial", what)
    total, outstanding = 16, []

    def kill() -> None:
        outstanding.append(total - len(list((tmp_path / "dying" / "cells").iterdir())))
        for pid in children():
            os.kill(pid, signal.SIGKILL)
            outstanding.append(pid)

    _, dying = swept(tmp_path / "dying", what, jobs=2, watch=After(4, kill))
    assert outstanding[0] == 12 and len(outstanding) > 1
    assert dying == serial


def _die(task: object) -> object:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_processes_that_always_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_compute_one", _die)
    with pytest.raises(ZsemuError, match=r"workers died 3 times .* 2 cells .* fewer --jobs"):
        run(plan(axes(tmp_path)), Store(tmp_path / "cells"), jobs=2)


# --- A cluster --------------------------------------------------------------------------------


@contextmanager
def scheduler(directory: Path, *, workers: int, failures: int = 3) -> Iterator[str]:
    """Run a scheduler and its workers, processes of their own; yield its address."""
    file = directory / "scheduler.json"
    environment = os.environ | {
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(failures),
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
    }
    python = (sys.executable, "-m")
    common = ("--no-dashboard", "--scheduler-file", str(file))
    commands: list[tuple[str, ...]] = [
        (*python, "distributed.cli.dask_scheduler", "--port", "0", *common)
    ]
    commands += [
        (
            *(*python, "distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", *common),
            *("--local-directory", str(directory / f"worker{number}")),
        )
        for number in range(workers)
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            started.append(
                subprocess.Popen(command, cwd=directory, env=environment, stderr=subprocess.DEVNULL)
            )
            until(file.exists, "a scheduler")
        address: str = json.loads(file.read_text())["address"]
        yield address
    finally:
        for one in started:
            one.kill()
        for one in started:
            one.wait()


def test_worker_of_a_cluster_is_killed(tmp_path: Path) -> None:
    """Nothing is lost, and the result has the same bytes as computed here one by one."""
    own = tmp_path / "mine.c"
    own.write_text(strategy("copy").path.read_text() + '#include "mine.h"\n')
    (tmp_path / "mine.h").write_text("/* beside it */\n")
    what = axes(tmp_path, strategies=f"{','.join(strategy_names())},{own}")
    _, serial = swept(tmp_path / "serial", what)
    killed: list[tuple[int, int]] = []

    with scheduler(tmp_path, workers=2) as address, connect(address) as cluster:
        client = cluster._client
        client.wait_for_workers(2, timeout=30)
        victim, pid = next(iter(client.run(os.getpid).items()))

        def kill() -> None:
            # Stopped, it finishes nothing more: what it has then is lost with it.
            os.kill(pid, signal.SIGSTOP)
            until(lambda: bool(client.processing()[victim]), "a cell on the worker")
            missing = 9 - len(list((tmp_path / "clustered" / "cells").iterdir()))
            killed.append((len(client.processing()[victim]), missing))
            os.kill(pid, signal.SIGKILL)

        made, clustered = swept(tmp_path / "clustered", what, cluster=cluster, watch=After(3, kill))
        until(lambda: len(client.nthreads()) == 1, "one worker left")
    assert made.computed == 9
    ((processing, missing),) = killed
    # One built beforehand, two computed.
    assert processing >= 1 and missing == 7
    assert clustered == serial


def test_workers_without_the_files(tmp_path: Path) -> None:
    """A worker that does not see the trace is brought it, wherever it joins in."""
    what = axes(tmp_path)
    laid_out = plan(what)
    source = replace(sweep._source(laid_out), file="/nowhere/short.npz")
    with scheduler(tmp_path, workers=1) as address, connect(address) as cluster:
        client = cluster._client
        with pytest.raises(ZsemuError, match=r"/nowhere/short\.npz: has changed"):
            client.submit(sweep._trace, source).result()
        sweep._deliver(laid_out, cluster)
        found = client.submit(sweep._trace, source, pure=False).result()
        assert found.path != what.trace.path and found.name == "short"
        assert found.digest() == what.trace.digest()
        task = sweep._task(laid_out, laid_out.cells[0])
        elsewhere = replace(task, trace=source)
        which, record = client.submit(sweep._compute_one, elsewhere).result()
    assert (which, record) == sweep._compute_one(task)


def test_strategy_travels_as_content(tmp_path: Path) -> None:
    folder = tmp_path / "here" / "deep"
    folder.mkdir(parents=True)
    own = folder / "mine.c"
    own.write_text(strategy("copy").path.read_text() + '#include "../mine.h"\n')
    (tmp_path / "here" / "mine.h").write_text("/* above it */\n")
    laid_out = plan(axes(tmp_path, strategies=str(own)))
    task = sweep._task(laid_out, laid_out.cells[0])
    before = sweep._compute_one(task)
    assert sweep._strategy(task).path == own
    # Something else is there, then nothing.
    own.write_text("int other;\n")
    assert sweep._compute_one(task) == before
    own.unlink()
    assert sweep._compute_one(task) == before
    assert sweep._strategy(task).path.name == "mine.c"


def test_worker_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = plan(axes(tmp_path))
    task = sweep._task(laid_out, laid_out.cells[0])
    monkeypatch.setattr(unicorn, "__version__", "2.0.0")
    with pytest.raises(ZsemuError, match=r"version of Unicorn is '2\.0\.0' there and '.*' here"):
        sweep._compute_one(task)


def test_one_worker_is_a_cluster_too(tmp_path: Path) -> None:
    with scheduler(tmp_path, workers=1) as address, connect(address) as cluster:
        found = set(cluster.parallel()(delayed(os.getpid)() for _ in range(3)))
        assert found == set(cluster._client.run(os.getpid).values())
    assert os.getpid() not in found


def test_given_up_task_is_no_endless_wait(tmp_path: Path) -> None:
    """Dask gives up a task of which too many workers have died; joblib's backend is not told."""
    with (
        scheduler(tmp_path, workers=2, failures=0) as address,
        connect(address) as cluster,
        pytest.raises(TerminatedWorkerError, match="worker"),
    ):
        list(cluster.parallel()([delayed(os.abort)()]))


def test_workers_without_zsemu(tmp_path: Path) -> None:
    """What they cannot import is said, where joblib's backend would wait."""
    with (
        scheduler(tmp_path, workers=1) as address,
        connect(address) as cluster,
        pytest.raises(ZsemuError, match="the same zsemu is installed there"),
    ):
        # Of this module, which is not where they look for modules.
        list(cluster.parallel()([delayed(_die)(0)]))


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zsemu.cluster._PATIENCE", 1)
    says = r"tcp://127\.0\.0\.1:9: no Dask scheduler answers"
    with pytest.raises(ZsemuError, match=says), connect("tcp://127.0.0.1:9"):
        pass


def test_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zsemu.cluster._PATIENCE", 1)
    with (
        scheduler(tmp_path, workers=0) as address,
        pytest.raises(ZsemuError, match=r"no scheduler with workers answers .* dask worker"),
        connect(address),
    ):
        pass
