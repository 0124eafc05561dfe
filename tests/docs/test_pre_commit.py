# SPDX-License-Identifier: GPL-2.0-only
"""Tests that pre-commit runs what .ci/run checks before its tests, and fetches nothing."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_hooks_are_the_checks_of_ci() -> None:
    """The commands stand in .ci/run in a block of their own, which is waited for."""
    ci = (ROOT / ".ci" / "run").read_text()
    block, _, _ = ci.partition('} >"$scratch/checked"')
    checks = [line.strip() for line in block.rpartition("\n{\n")[2].splitlines()]
    assert 'wait "$checking" || ' in ci
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = configuration["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == checks
    for hook in local["hooks"]:
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)
