# SPDX-License-Identifier: GPL-2.0-only
"""What is asked for every day loads none of the packages that take long to load."""

import pytest
import unicorn
from test_api import loaded

from zsemu.cli.list import version
from zsemu.guest.compiler import compiler
from zsemu.guest.targets import target


def printing(*arguments: str) -> str:
    """Return a program that runs a command, which must print something."""
    return f"""
import contextlib, io
from zsemu.cli import main

with contextlib.redirect_stdout(io.StringIO()) as printed:
    main({list(arguments)!r})
assert printed.getvalue()
"""


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("annotate", "--help")])
def test_loads_nothing_that_takes_long(arguments: tuple[str, ...]) -> None:
    assert loaded(printing(*arguments)) == set()


def test_completes_architectures_without_them() -> None:
    program = 'from zsemu.cli.options import complete_arch\nassert complete_arch("aar")'
    assert loaded(program) == set()


def test_would_find_what_is_loaded() -> None:
    assert loaded(printing("list")) >= {"numpy", "unicorn", "capstone"}


def test_the_packages_have_the_versions_of_what_they_hold() -> None:
    """What --version takes from the packages is what Unicorn and zig say themselves."""
    said = version().splitlines()
    assert f"compiler {compiler('zig', target('arm')).version}" in said
    assert f"Unicorn {unicorn.__version__}" in said
