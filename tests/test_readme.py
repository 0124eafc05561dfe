# SPDX-License-Identifier: GPL-2.0-only
"""The README against what the commands in it print."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def printed(command: str, columns: int) -> str:
    """Run a command of zsemu and return what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "zsemu", *command.split()],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": str(columns)},
    ).stdout


def test_the_table_is_what_the_command_prints() -> None:
    command = re.search(r"^`zsemu (compare [^`]*)`, without", README, re.MULTILINE)
    table = re.search(r"^```\n(compile-zstd.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert command
    assert table
    assert printed(command[1], 80).startswith(table[1])
    assert len(table[1].splitlines()) > 40


def test_the_properties_are_what_the_command_prints() -> None:
    command = re.search(r"`zsemu (check [^`]*-k properties)` prints", README)
    table = re.search(r"^```\n(properties.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert command
    assert table
    assert printed(command[1], 100).startswith(table[1])
    assert len(table[1].splitlines()) > 25


def test_every_strategy_is_named_with_its_promises() -> None:
    from zsemu.strategies import names, strategy

    for name in names():
        row = re.search(rf"^\| `{name}` \|[^|]*\|([^|]*)\|$", README, re.MULTILINE)
        assert row
        assert tuple(filter(None, row[1].strip().split(", "))) == strategy(name).promises


def test_every_count_is_defined() -> None:
    from zsemu.counts import REGIONS
    from zsemu.results import SCALARS
    from zsemu.targets import CLASSES

    for name in (*SCALARS, "tlb_invalidates", "classes", *CLASSES, "regions", *REGIONS):
        assert f"`{name}`" in README
