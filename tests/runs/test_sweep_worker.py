# SPDX-License-Identifier: GPL-2.0-only
"""A worker of a sweep: it gets all that it needs, and refuses what would differ there."""

from pathlib import Path

import pytest
import unicorn

from runs.small_sweep import axes
from zsemu.errors import ZsemuError
from zsemu.guest.strategies import strategy
from zsemu.runs.sweep_plan import plan
from zsemu.runs.sweep_worker import compute, find_strategy, task


def test_strategy_travels_as_content(tmp_path: Path) -> None:
    folder = tmp_path / "here" / "deep"
    folder.mkdir(parents=True)
    own = folder / "mine.c"
    own.write_text(strategy("copy").path.read_text() + '#include "../mine.h"\n')
    (tmp_path / "here" / "mine.h").write_text("/* above it */\n")
    laid_out = plan(axes(tmp_path, strategies=str(own)))
    sent = task(laid_out, laid_out.cells[0])
    before = compute(sent)
    assert find_strategy(sent).path == own
    # Something else is there, then nothing.
    own.write_text("int other;\n")
    assert compute(sent) == before
    own.unlink()
    assert compute(sent) == before
    assert find_strategy(sent).path.name == "mine.c"


def test_worker_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = plan(axes(tmp_path))
    sent = task(laid_out, laid_out.cells[0])
    monkeypatch.setattr(unicorn, "__version__", "2.0.0")
    with pytest.raises(ZsemuError, match=r"version of Unicorn is '2\.0\.0' there and '.*' here"):
        compute(sent)
