# SPDX-License-Identifier: GPL-2.0-only
"""Tests that the programs in zsemu/README.md run, and that its CI job does what it says.

Its test file for pytest is tested in tests/test_pytest_plugin.py.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from samples import versions

import zsemu

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "zsemu" / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


PROGRAMS = [block for block in blocks("python") if "def test_" not in block]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.c").write_text(versions()["good"])
    return tmp_path


def printed(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_name_is_in_the_table() -> None:
    (table,) = re.findall(r"^\| name \| what \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", README, re.MULTILINE)
    first = [row.split("|")[1] for row in table.splitlines()]
    named = [name for cell in first for name in re.findall(r"`(\w+)(?:\(\))?`", cell)]
    assert sorted(named) == sorted(zsemu.__all__)


def test_the_picture_shows_the_layers_that_are_enforced() -> None:
    """Row by row, every folder and module of the package."""
    rows = re.findall(r"^[^+\n]*?\| (.*)\|$", blocks("")[0], re.MULTILINE)
    shown = [re.findall(r"(?:^|\| )(\w+)(?:/|\.py) ", row) for row in rows]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (one for one in settings["contracts"] if one["type"] == "layers")
    assert shown == [re.split(" [:|] ", layer) for layer in contract["layers"]]
    for name in (name for row in shown for name in row):
        assert (ROOT / "zsemu" / name).is_dir() or (ROOT / "zsemu" / f"{name}.py").is_file()


def test_there_are_three_programs() -> None:
    assert len(PROGRAMS) == 3


def test_run(place: Path) -> None:
    out = printed(PROGRAMS[0])
    records = zsemu.load("new.json").records
    assert [(r.arch, r.strategy, r.operations) for r in records] == [
        (arch, name, 2000) for arch in ("arm", "riscv64") for name in ("copy", "mine.c")
    ]
    for record in records:
        cost = record.mean("instructions", "spanning", ("settle", "map", "unmap"))
        assert f"{record.arch} {record.strategy}: {cost:.1f} instructions" in out

    (place / "mine.c").write_text(versions()["broken"])
    out = printed(PROGRAMS[0])
    assert re.search(r"^arm mine\.c wrong bytes: operation \d+ ", out, re.MULTILINE)


def test_data_frame(place: Path) -> None:
    lines = [line.split() for line in printed(PROGRAMS[1]).splitlines()]
    assert lines[0] == ["phase", "access", "map", "settle", "unmap"]
    figures = {line[0]: line[1:] for line in lines[2:]}
    for record in zsemu.run("copy", "swap", "sg", arch="arm", operations=2000).records:
        for phase, figure in zip(lines[0][1:], figures[record.strategy], strict=True):
            moved = sum(
                record.mean(f"bytes_{way}", "spanning", (phase,)) for way in ("loaded", "stored")
            )
            assert float(figure) == pytest.approx(moved, abs=0.051)


def test_step_by_step(place: Path) -> None:
    first, *rest = printed(PROGRAMS[2]).splitlines()
    assert first == "0 violations"
    found = {line.split()[1]: int(line.split()[0]) for line in rest}
    (record,) = zsemu.run("copy-modes", arch="aarch64", operations=300).records
    # And the driver's, and those of the read-back.
    assert sum(found.values()) > record.sum("instructions")
    assert {"zs_map_object", "zs_unmap_object", "zs_copy"} <= found.keys()


# The job. What GitHub itself does is done here by hand, and only that.

(JOB,) = blocks("yaml")
INSTALL = 'pip install "$ZSEMU"'

# A small case instead of a large one; all else as in the file.
SHIM = """#!/bin/sh
case $1 in
check) set -- "$@" --jobs 1 -k "chain-4, 4 KiB" ;;
compare) set -- "$@" --jobs 1 --operations 1500 ;;
esac
exec {python} -m zsemu "$@"
"""


@dataclass
class GitHub:
    """Runs the job's steps in order, as long as none fails."""

    folder: Path
    kept: dict[str, bytes] = field(default_factory=dict)
    """of actions/cache: the file of each key, the newest last"""
    runs: int = 0

    def run(self, event: str, text: str) -> tuple[int, str, str]:
        """Return exit status, log and summary of a job for an event, with a mine.c of this text."""
        self.runs += 1
        work = self.folder / f"work{self.runs}"
        (work / "bin").mkdir(parents=True)
        shim = work / "bin" / "zsemu"
        shim.write_text(SHIM.format(python=sys.executable))
        shim.chmod(0o755)
        summary = work / "summary"
        job: dict[Any, Any] = yaml.safe_load(JOB)
        # YAML takes the key "on" for a boolean.
        assert job[True] == {"push": {"branches": ["main"]}, "pull_request": None}
        environment = {
            **os.environ,
            **job["env"],
            "ARCH": "arm",
            "PATH": f"{work / 'bin'}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        log, ((_, only),) = "", job["jobs"].items()
        for step in only["steps"]:
            condition = re.fullmatch(r"github\.event_name == '(\w+)'", step.get("if", ""))
            assert condition or "if" not in step
            if condition and condition[1] != event:
                continue
            if "uses" in step:
                self._use(step["uses"], step.get("with", {}), work, text)
            elif step["run"] != INSTALL:
                done = subprocess.run(
                    ["bash", "-e", "-c", step["run"]],
                    cwd=work,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    check=False,
                )
                log += f"# {step['name']}\n{done.stdout}"
                if done.returncode:
                    return done.returncode, log, summary.read_text() if summary.exists() else ""
        return 0, log, summary.read_text()

    def _use(self, action: str, options: dict[str, str], work: Path, text: str) -> None:
        def key(name: str) -> str:
            filled = options[name].replace("${{ github.run_id }}", str(self.runs))
            return re.sub(r"\$\{\{ hashFiles\(.*?\) \}\}", "content", filled)

        path = work / options.get("path", "")
        if action == "actions/checkout@v4":
            (work / "mine.c").write_text(text)
        elif action == "actions/cache/save@v4":
            self.kept[key("key")] = path.read_bytes()
        elif action == "actions/cache/restore@v4":
            assert key("key") not in self.kept
            found = [name for name in self.kept if name.startswith(key("restore-keys"))]
            if found:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.kept[found[-1]])
        elif action == "actions/cache@v4":
            images = self.folder / "images"
            images.mkdir(exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(images)
        else:
            assert action == "actions/setup-python@v5"


@pytest.mark.external  # bash
def test_ci(tmp_path: Path) -> None:
    good, more, broken = versions().values()
    github = GitHub(tmp_path)

    # A pull request before the main branch has ever run.
    status, log, summary = github.run("pull_request", good)
    assert status == 0, log
    assert "The main branch has no results yet." in summary and "### All maps: bytes" in summary
    assert github.kept == {}

    status, log, summary = github.run("push", good)
    assert status == 0, log
    assert len(github.kept) == 1 and "1 of 1 suites hold." in log

    status, log, summary = github.run("pull_request", good)
    assert status == 0, log
    assert summary.count("| mine.c ") >= 2 and "no regression" in summary

    status, log, summary = github.run("pull_request", more)
    assert status == 3
    (error,) = re.findall(r"^::error title=arm mine\.c compile-zstd::(.*)$", log, re.MULTILINE)
    base = zsemu.load(tmp_path / "work4" / ".zsemu" / "main.json").records
    (old,) = (one for one in base if one.strategy == "mine.c")
    was = old.sum("instructions", "total", ("map",))
    assert error.startswith(f"map instructions {was + old.maps}|{was} (+")
    row = f"| ❌ | arm mine.c compile-zstd | map | instructions | {was + old.maps} | {was} |"
    assert row in summary
    assert len(github.kept) == 1

    # Merged all the same, it is what counts from then on.
    assert github.run("push", more)[0] == 0
    assert github.run("pull_request", more)[0] == 0

    status, log, summary = github.run("pull_request", broken)
    assert status == 1
    assert "wrong bytes" in log and "# Compare" not in log


def repository(folder: Path) -> str:
    """Commit what pip needs of this checkout to a repository, and return the commit."""
    for name in ("zsemu", "arch", "traces"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "test"]):
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.external  # bash, git, and a package index for the build
@pytest.mark.parametrize("origin", ["Git address", "checkout"])
def test_the_job_installs_what_its_variable_names(origin: str, tmp_path: Path) -> None:
    """Its dependencies are left out; test_packaging.py installs them."""
    job = yaml.safe_load(JOB)
    (step,) = (step for step in job["jobs"]["zsemu"]["steps"] if step.get("name") == "Install")
    assert step["run"] == INSTALL
    assert re.fullmatch(r"git\+https://\S+@COMMIT", job["env"]["ZSEMU"])
    checkout = tmp_path / "checkout"
    commit = repository(checkout)
    address = f"git+file://{checkout}@{commit}" if origin == "Git address" else str(checkout)
    venv.create(tmp_path / "venv")
    python, folder = tmp_path / "venv" / "bin" / "python", tmp_path / "bin"
    folder.mkdir()
    shim = folder / "pip"
    # An option on the command line is not for the build, as a variable would be.
    pip = f"{sys.executable} -m pip --python {python}"
    shim.write_text(f'#!/bin/sh\nexec {pip} "$@" --quiet --no-deps\n')
    shim.chmod(0o755)
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "ZSEMU": address,
    }
    script = f"{step['run']} && cd / && {python} -c 'import zsemu; print(zsemu.__file__)'"
    done = subprocess.run(
        ["bash", "-e", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    package = Path(done.stdout.splitlines()[-1]).parent
    assert package.is_relative_to(tmp_path / "venv")
    assert (package / "data" / "arch" / "zs.h").is_file()
