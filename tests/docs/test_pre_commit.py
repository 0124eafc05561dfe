# SPDX-License-Identifier: GPL-2.0-only
"""Tests that pre-commit runs what .ci/run checks before its tests, and fetches nothing."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_hooks_are_the_checks_of_ci() -> None:
    """The commands stand in .ci/run between installing the package and its first test."""
    ci = (ROOT / ".ci" / "run").read_text()
    _, installed, rest = ci.partition("\npython -m pip install --quiet '.[dev]'\n")
    assert installed
    checks = rest.partition("\n\n#")[0].split("\n")
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = configuration["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == [line for line in checks if line]
    for hook in local["hooks"]:
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)
