# SPDX-License-Identifier: GPL-2.0-only
"""A recording that is ended or killed: what it has put up is removed, whichever process ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from traces.fake_kernel import OLD, act, fake

RECORD = """
import sys
from pathlib import Path
from zsemu.errors import ZsemuError
from zsemu.traces import recorder, supervisor, survey

folder = Path(sys.argv[1])
kernel = survey.survey(kallsyms=folder / "kallsyms", tracefs=folder / "tracing", machine="x86_64")
try:
    supervisor.run(
        recorder.script(recorder.Job(kernel, folder / "out")), recorder.removal(kernel)
    )
except ZsemuError as error:
    sys.exit(str(error))
"""


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when the condition holds, which is soon; fail if it does not."""
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("waited for half a minute in vain")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """Start a recording, whose reader waits at a trace_pipe in which there is nothing yet."""
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch)
    (tmp_path / "instance/trace_pipe").unlink()
    os.mkfifo(tmp_path / "instance/trace_pipe")
    enabled = tracefs / "instances/zsemu/events/zsemu/enable"
    command = [sys.executable, "-c", RECORD, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: enabled.exists() and enabled.read_text() == "1\n")
        yield process
        process.kill()


def assert_removed(tmp_path: Path) -> None:
    """Wait until the script's instance and kprobes are gone, and the reader, too."""
    tracefs = tmp_path / "tracing"
    wait_for(lambda: not (tracefs / "instances/zsemu").exists())
    wait_for(lambda: (tracefs / "kprobe_events").read_text().endswith("-:zsemu/zs_unmap_object\n"))
    readers = [path for path in Path("/proc").glob("[0-9]*") if _reads(path, tracefs)]
    assert not readers


def _reads(process: Path, tracefs: Path) -> bool:
    """Return whether a process is a cat that has been started in the fake tracefs."""
    try:
        return (process / "comm").read_text() == "cat\n" and (process / "cwd").readlink() == tracefs
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(
    recording: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    recording.send_signal(number)
    assert "0 events in" in recording.communicate(timeout=30)[1]
    assert recording.returncode == 0
    assert_removed(tmp_path)
    assert (tmp_path / "out").read_text().endswith("# zsemu: events=0\n")


def test_the_supervisor_removes_what_a_killed_script_has_put_up(
    recording: subprocess.Popen[str], tmp_path: Path
) -> None:
    (script,) = children(recording.pid)
    os.kill(script, signal.SIGKILL)
    assert "killed by SIGKILL, and is incomplete" in recording.communicate(timeout=30)[1]
    assert recording.returncode == 1
    assert_removed(tmp_path)


def test_the_script_ends_in_order_if_its_supervisor_is_killed(
    recording: subprocess.Popen[str], tmp_path: Path
) -> None:
    recording.kill()
    assert_removed(tmp_path)
    assert (tmp_path / "out").read_text().endswith("# zsemu: events=0\n")
