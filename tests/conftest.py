# SPDX-License-Identifier: GPL-2.0-only
"""What pytest says at the end of a run."""

from collections import Counter
from collections.abc import Sequence

import pytest

_left_out: Counter[str] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Remember which tests are left out for want of a tool from outside Python."""
    _left_out.update(
        item.path.name for item in items if item.get_closest_marker("external") is not None
    )


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
