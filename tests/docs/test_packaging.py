# SPDX-License-Identifier: GPL-2.0-only
"""What pip installs: everything it takes, nothing else, and no need of a checkout."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from zsemu.guest.targets import names as target_names

pytestmark = [
    pytest.mark.external,  # the build and the empty environment need a package index
    pytest.mark.xdist_group("packaging"),  # both are made once in a process
]

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("zsemu", "arch", "traces")
WHEEL_ONLY = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def checkout(folder: Path) -> Path:
    """Copy what the project consists of: a build may leave nothing in the real one."""
    copy = folder / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=ignore)
    shutil.copy(ROOT / ".gitignore", copy)
    return copy


def build(source: Path, folder: Path, *options: str) -> Path:
    """Return the wheel, which is made of an sdist beside it unless options say otherwise."""
    command = [sys.executable, "-m", "build", *options, "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("zsemu-*-py3-none-any.whl")
    return wheel


def wheel_faults(wheel: Path, source: Path) -> set[str]:
    """Return the wheel's files that are missing, changed or not wanted there."""
    wanted = {}
    for name in NEEDED:
        for path in (source / name).rglob("*"):
            if path.is_file():
                inside = path.relative_to(source)
                target = inside if name == "zsemu" else Path("zsemu/data") / inside
                wanted[target.as_posix()] = path.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    metadata = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    ours = {name: content for name, content in held.items() if not name.startswith(metadata)}
    return {
        *(name for name in wanted.keys() | ours.keys() if wanted.get(name) != ours.get(name)),
        *({f"{metadata}/{name}" for name in WHEEL_ONLY} ^ (held.keys() - ours.keys())),
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return sdist, and the wheel that is made of that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    wheel = build(source, folder)
    (sdist,) = folder.glob("zsemu-*.tar.gz")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin directory of an environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    command = [*pip, "install", "--quiet", "--no-compile", str(built[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin"


def run(*command: str | Path, where: Path) -> str:
    """Run in an empty directory, with an empty cache, and return what was printed."""
    where.mkdir(exist_ok=True)
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment["ZSEMU_CACHE"] = str(where.parent / "cache")
    done = subprocess.run(
        command, cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_holds_what_it_should(source: Path, built: tuple[Path, Path]) -> None:
    assert wheel_faults(built[1], source) == set()
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert {"zsemu/data/arch/zs.h", "zsemu/guest/native/hooks.c", "zsemu/py.typed"} <= names
    assert any(name.startswith("zsemu/data/traces/") and name.endswith(".npz") for name in names)
    assert "\nLicense-Expression: GPL-2.0-only\n" in text
    assert text.rstrip().endswith((source / "README.md").read_text().rstrip())


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"arch" = "zsemu/data/arch"\n', "", "zsemu/data/arch/zs.h"),
        ('packages = ["zsemu"]', 'packages = ["zsemu", "tests"]', "tests/docs/test_packaging.py"),
        ('license-files = ["LICENSE"]\n', "license-files = []\n", "licenses/LICENSE"),
    ],
)
def test_finds_planted_fault(old: str, new: str, fault: str, source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    text = (copy / "pyproject.toml").read_text()
    assert text.count(old) == 1, f"pyproject.toml has no {old!r} any more: plant it another way"
    (copy / "pyproject.toml").write_text(text.replace(old, new))
    wheel = build(copy, tmp_path, "--wheel")
    assert any(name.endswith(fault) for name in wheel_faults(wheel, copy))


def test_sdist_holds_the_tests(source: Path, built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        path.relative_to(source).as_posix()
        for folder in (*NEEDED, "tests")
        for path in (source / folder).rglob("*")
        if path.is_file()
    }
    assert wanted | {"pyproject.toml", "LICENSE", "README.md"} <= names


def test_nothing_of_the_checkout_is_used(installed: Path, tmp_path: Path) -> None:
    program = "import zsemu.paths as p; print(p.__file__, p.ARCH, p.TRACES, sep='\\n')"
    lines = run(installed / "python", "-c", program, where=tmp_path / "empty").splitlines()
    assert len(lines) == 3
    for line in lines:
        assert Path(line).is_relative_to(installed.parent)
        assert not Path(line).is_relative_to(ROOT)


def test_list(installed: Path, tmp_path: Path) -> None:
    said = run(installed / "zsemu", "list", where=tmp_path / "empty")
    for name in (*target_names(), "pgtable", "swap-lazy", "sg", "compile-zstd", "zsmapbench"):
        assert name in said


def test_compare(installed: Path, tmp_path: Path) -> None:
    """It compiles, replays and reports where there is nothing but the wheel."""
    options = ["--operations", "200", "--arch", "aarch64", "--strategy", "copy"]
    where = tmp_path / "empty"
    said = run(installed / "zsemu", "compare", *options, "--json", "out.json", where=where)
    assert "aarch64" in said
    (record,) = json.loads((where / "out.json").read_text())["records"]
    assert (record["arch"], record["strategy"], record["operations"]) == ("aarch64", "copy", 200)
    assert record["violation_count"] == 0
    assert record["maps"] > 0
    assert [path.name for path in where.iterdir()] == ["out.json"]
    images = sorted((tmp_path / "cache" / "images").iterdir())
    assert [path.suffix for path in images] == [".elf", ".elf"]
    assert ["selftest" in path.name for path in images].count(True) == 1
