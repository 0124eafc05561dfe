# SPDX-License-Identifier: GPL-2.0-only
"""The store of computed cells: damage is noticed, and a key holds all that a record depends on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import capstone
import pytest
import unicorn
from samples import busy_trace

import zsemu
from runs.small_sweep import OPERATIONS, axes, swept
from zsemu.caches.hierarchy import find
from zsemu.guest import compiler as build_module
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.runs import cell_store
from zsemu.runs.cell_store import digest, identify
from zsemu.runs.request import Request


def wrong_digit(content: bytes) -> bytes:
    at = content.index(b'"instructions": ') + len(b'"instructions": ')
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGE: Final[tuple[Callable[[bytes], bytes], ...]] = (
    wrong_digit,
    lambda content: content[:-100],
    lambda content: b"",
    lambda content: b"\xff" + content,
    lambda content: b"[1, 2]",
    lambda content: b"[" * 100000,
    lambda content: content.replace(b'"arch": "arm"', b'"arch": "ARM"'),
    lambda content: content.replace(b'"records": [', b'"records": [7, '),
)


def test_damaged_cells_are_computed_anew(tmp_path: Path) -> None:
    """Each of eight cells is damaged in another way; a ninth is whole and not computed again."""
    own = tmp_path / "whole.c"
    own.write_text(strategy("copy").path.read_text())
    what = axes(tmp_path, strategies=",".join([*strategy_names(), str(own)]))
    _, files = swept(tmp_path / "out", what)
    cells = sorted((tmp_path / "out" / "cells").glob("arm-*"))
    shipped = [path for path in cells if not path.name.startswith("arm-whole.c")]
    assert len(cells) == len(shipped) + 1
    for path, damage in zip(shipped, DAMAGE, strict=True):
        content = path.read_bytes()
        assert damage(content) != content
        path.write_bytes(damage(content))
    again, mended = swept(tmp_path / "out", what)
    assert again.computed == len(DAMAGE)
    assert mended == files


def test_key_holds_all_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.c"
    file.write_text(strategy("copy").path.read_text() + '#include "mine.h"\n')
    (tmp_path / "mine.h").write_text("/* one */\n")
    replayed = busy_trace(OPERATIONS)
    one = Request(("arm",), {"mine.c": strategy(str(file))}, replayed, "chain-8")

    def key(request: Request = one, arch: str = "arm", name: str = "mine.c") -> str:
        return digest(identify(request, arch, name, request.trace.digest()))

    def patched(where: Any, name: str, value: object) -> str:  # noqa: ANN401
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            return key()

    keys = [
        key(),
        key(arch="aarch64"),
        key(replace(one, strategies={"other.c": strategy(str(file))}), name="other.c"),
        key(replace(one, trace=replayed.head(200))),
        key(replace(one, geometry="chain-4")),
        key(replace(one, page_size=16384)),
        key(replace(one, optimisation="Os")),
        key(replace(one, caches=find("zen"))),
        patched(build_module, "version_of", lambda command: "0.1"),
        patched(build_module, "FLAGS", ("-g0",)),
        patched(zsemu, "__version__", "99"),
        patched(unicorn, "__version__", "99"),
        patched(capstone, "__version__", "99"),
        patched(cell_store, "SCHEMA", 99),
        patched(cell_store, "sources_digest", lambda: "other"),
    ]
    (tmp_path / "mine.h").write_text("/* two */\n")
    keys.append(key())
    assert len(set(keys)) == len(keys)
    (tmp_path / "mine.h").write_text("/* one */\n")
    assert key() == keys[0]
