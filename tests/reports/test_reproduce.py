# SPDX-License-Identifier: GPL-2.0-only
"""The commands that make results again, of documents made up by hand.

That they do make them again is in test_cli_report.py.
"""

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from documents import document

from zsemu.check.properties import Property
from zsemu.reports.reproduce import check_command, command, digest, needs
from zsemu.results.document import Document, dumps, loads, save


def changed(**values: Any) -> Document:  # noqa: ANN401
    """Return the document with all compilers and all records changed so."""
    data = json.loads(dumps(document()))
    for one in data["provenance"]["compilers"].values():
        one |= {key: value for key, value in values.items() if key in one}
    for one in data["records"]:
        one |= {key: value for key, value in values.items() if key in one}
    if "trace" in values:
        traces = data["provenance"]["traces"]
        traces[values["trace"]] = traces.pop("made")
    return loads(json.dumps(data), "changed.json")


def split(command: str) -> list[str]:
    """Return the words as a shell takes them; shlex knows no continuation of lines."""
    return shlex.split(command.replace("\\\n", ""))


def options(words: str) -> dict[str, str]:
    verb, *rest = split(words)[1:]
    return {"": verb} | dict(zip(rest[::2], rest[1::2], strict=True))


def test_command() -> None:
    assert options(command(document(), "copy", "out.json")) == {
        "": "compare",
        "--trace": "./made.npz",
        "--operations": "500",
        "--geometry": "chain-8",
        "--page-size": "4096",
        "--arch": "x86_64,arm",
        "--strategy": "pgtable,copy,./mine.c",
        "--relative-to": "copy",
        "--json": "out.json",
    }


@pytest.mark.parametrize(
    ("version", "cc"),
    [
        ("zig 0.17.1", "zig"),
        ("Debian clang version 14.0.6", "clang"),
        ("arm-linux-gnueabihf-gcc (Debian 12.2.0-14) 12.2.0", "gcc"),
        ("gcc (GCC) 15.1.0", "gcc"),
    ],
)
def test_compilers(version: str, cc: str) -> None:
    assert options(command(changed(version=version), "copy", "x"))["--cc"] == cc


def test_other_levels_are_of_sweeps() -> None:
    found = options(command(changed(flags=["-std=gnu11", "-Os", "-g"]), "copy", "out.json"))
    assert (found[""], found["--optimisation"], found["--output"]) == ("sweep", "Os", "out")
    assert "--json" not in found and "--relative-to" not in found


def test_shipped_traces_and_odd_names() -> None:
    assert options(command(changed(trace="zsmapbench"), "copy", "x"))["--trace"] == "zsmapbench"
    made = command(changed(strategy="a b&.c@0123abcd"), "a b&.c@0123abcd", "x y.json")
    assert options(made)["--strategy"] == "./a b&.c"
    assert options(made)["--relative-to"] == "./a b&.c"
    assert options(made)["--json"] == "x y.json"


def test_needs() -> None:
    assert needs(document()) == [
        "zsemu 0.0, Unicorn 9.9, cc 1",
        f"made.npz: a trace of sha256 {'ab' * 32} (of its columns)",
        f"mine.c: a C file of sha256 {'cd' * 32}",
    ]
    assert len(needs(changed(trace="compile-zstd"))) == 2


def test_digest_is_that_of_the_file(tmp_path: Path) -> None:
    save(document(), tmp_path / "out.json")
    content = (tmp_path / "out.json").read_bytes()
    assert digest(document()) == hashlib.sha256(content).hexdigest()


def test_check_command() -> None:
    properties = {"arm": {"copy": (Property("x", "yes", ""),), "mine.c": ()}, "i386": {}}
    assert split(check_command(properties, "p.json")) == shlex.split(
        "zsemu check copy ./mine.c --arch arm,i386 -k properties --format json > p.json"
    )
