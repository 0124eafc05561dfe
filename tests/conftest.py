# SPDX-License-Identifier: GPL-2.0-only
"""What several tests use, and what pytest says at the end of a run."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from processes import start_none
from samples import exhaust_few_classes

from zsemu.caches import native_structures
from zsemu.guest import compiler, hooks, selftest, targets
from zsemu.paths import ARCH
from zsemu.race import machine
from zsemu.replay import oracle
from zsemu.runs import doctor

_left_out: Counter[str] = Counter()


def _replace_once(folder: Path, old: str, new: str) -> None:
    """Replace a text that stands once in all files of a folder of native sources."""
    texts = {path: path.read_text() for path in folder.iterdir()}
    times = sum(text.count(old) for text in texts.values())
    assert times == 1, f"native/ has {old!r} {times} times: plant it anew"
    for path, text in texts.items():
        path.write_text(text.replace(old, new))


@pytest.fixture
def edit_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Change a copy of zsemu/guest/native/, which is then used instead: old text, new text."""
    copy = tmp_path / "native"
    shutil.copytree(hooks.SOURCES, copy)
    monkeypatch.setattr(hooks, "SOURCES", copy)

    def change(old: str, new: str) -> None:
        _replace_once(copy, old, new)
        hooks.library.cache_clear()

    yield change
    hooks.library.cache_clear()


def _edit(
    owner: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Yield what changes a copy of the native sources of a module, which it then uses instead."""
    source: Path = owner.SOURCE
    copy = folder / source.parent.parent.name / "native"
    shutil.copytree(source.parent, copy)
    shutil.copytree(hooks.SOURCES, folder / "guest" / "native")

    def change(old: str, new: str) -> None:
        _replace_once(copy, old, new)
        monkeypatch.setattr(owner, "SOURCE", copy / source.name)
        owner.library.cache_clear()

    yield change
    owner.library.cache_clear()


@pytest.fixture
def edit_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Change a copy of zsemu/caches/native/, which is then used instead: old text, new text."""
    yield from _edit(native_structures, tmp_path, monkeypatch)


@pytest.fixture
def edit_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Change a copy of zsemu/race/native/, which is then used instead: old text, new text."""
    yield from _edit(machine, tmp_path, monkeypatch)


@pytest.fixture
def edit_oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Change a copy of zsemu/replay/native/, which is then used instead: old text, new text."""
    yield from _edit(oracle, tmp_path, monkeypatch)


@pytest.fixture
def edit_arch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str, str], None]]:
    """Change a copy of arch/, which is then used instead: file in it, old text, new text."""
    copy = tmp_path / "arch"
    shutil.copytree(ARCH, copy)
    for module in (compiler, targets, selftest, doctor):
        monkeypatch.setattr(module, "ARCH", copy)
    targets.target.cache_clear()

    def change(file: str, old: str, new: str) -> None:
        text = (copy / file).read_text()
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times: plant it anew"
        (copy / file).write_text(text.replace(old, new))

    yield change
    targets.target.cache_clear()


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """See tests/processes.py."""
    start_none(monkeypatch)


@pytest.fixture
def few_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """See tests/samples.py."""
    exhaust_few_classes(monkeypatch)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Remember which tests are left out for want of a tool from outside Python."""
    _left_out.update(
        item.path.name for item in items if item.get_closest_marker("external") is not None
    )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Learn it from a worker of pytest-xdist: each of them has left out the same."""
    if not _left_out:
        _left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell it, in such a worker."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(_left_out)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which they were."""
    if _left_out and "not external" in config.getoption("markexpr"):
        files = ", ".join(f"{number} of {name}" for name, number in sorted(_left_out.items()))
        terminalreporter.write_line(
            f"left out: tests marked external, which need tools from outside Python: {files};"
            " .ci/run installs those tools and runs them"
        )
