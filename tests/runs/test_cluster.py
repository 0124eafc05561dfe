# SPDX-License-Identifier: GPL-2.0-only
"""A cluster of Dask workers: nothing is lost, whatever dies, and what is wrong is said."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from joblib import delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from processes import until

from runs.small_sweep import After, axes, swept
from zsemu.errors import ZsemuError
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.runs import cluster as clusters
from zsemu.runs.cluster import connect
from zsemu.runs.sweep import deliver_trace
from zsemu.runs.sweep_plan import plan
from zsemu.runs.sweep_worker import compute, find_trace, task


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
        client = cluster.client
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
    here = task(laid_out, laid_out.cells[0])
    source = replace(here.trace, file="/nowhere/short.npz")
    with scheduler(tmp_path, workers=1) as address, connect(address) as cluster:
        client = cluster.client
        with pytest.raises(ZsemuError, match=r"/nowhere/short\.npz: has changed"):
            client.submit(find_trace, source).result()
        deliver_trace(laid_out, cluster)
        found = client.submit(find_trace, source, pure=False).result()
        assert found.path != what.trace.path and found.name == "short"
        assert found.digest() == what.trace.digest()
        elsewhere = replace(here, trace=source)
        which, record = client.submit(compute, elsewhere).result()
    assert (which, record) == compute(here)


def test_one_worker_is_a_cluster_too(tmp_path: Path) -> None:
    with scheduler(tmp_path, workers=1) as address, connect(address) as cluster:
        found = set(cluster.parallel()(delayed(os.getpid)() for _ in range(3)))
        assert found == set(cluster.client.run(os.getpid).values())
    assert os.getpid() not in found


def test_given_up_task_is_no_endless_wait(tmp_path: Path) -> None:
    """Dask gives up a task of which too many workers have died; joblib's backend is not told."""
    with (
        scheduler(tmp_path, workers=2, failures=0) as address,
        connect(address) as cluster,
        pytest.raises(TerminatedWorkerError, match="worker"),
    ):
        list(cluster.parallel()([delayed(os.abort)()]))


def _unknown_there() -> None:
    """Do nothing; only this process can import it."""


def test_workers_without_zsemu(tmp_path: Path) -> None:
    """What they cannot import is said, where joblib's backend would wait."""
    with (
        scheduler(tmp_path, workers=1) as address,
        connect(address) as cluster,
        pytest.raises(ZsemuError, match="the same zsemu is installed there"),
    ):
        # A function of this module, which workers do not find.
        list(cluster.parallel()([delayed(_unknown_there)()]))


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    says = r"tcp://127\.0\.0\.1:9: no Dask scheduler answers"
    with pytest.raises(ZsemuError, match=says), connect("tcp://127.0.0.1:9"):
        pass


def test_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    with (
        scheduler(tmp_path, workers=0) as address,
        pytest.raises(ZsemuError, match=r"no scheduler with workers answers .* dask worker"),
        connect(address),
    ):
        pass
