# SPDX-License-Identifier: GPL-2.0-only
"""A copy of a kernel's zsmalloc.c from which each lock of its paths can be taken away.

Each line that takes or releases one of these locks is made to depend on a variable, so that one
compilation serves all of them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from kernel.objects import RealKernel

from zsemu.guest.memory import RAM_BASE
from zsemu.guest.targets import target
from zsemu.kernel.strategy import strategy
from zsemu.race.benches import bench
from zsemu.race.findings import SceneResult, Wanted
from zsemu.race.kernel_bench import KernelBench

_WITHOUT: Final = "zsemu_without"


@dataclass(frozen=True)
class Lock:
    """One lock of some paths."""

    name: str
    functions: tuple[str, ...]
    lines: tuple[str, ...]
    """statements in these functions; what stands in a condition is its operand"""


def _function(text: str, name: str) -> tuple[int, int]:
    """Return where the definition of a function begins and ends."""
    found = re.search(rf"^[a-z][^\n]*[ *]{name}\([^;{{]*\)[^;{{]*\n\{{.*?^\}}", text, re.M | re.S)
    assert found, f"no function {name}()"
    return found.span()


def switchable(text: str, locks: tuple[Lock, ...]) -> str:
    """Return a text in which each lock can be taken away by setting its bit of a variable."""
    for number, lock in enumerate(locks):
        there = f"!({_WITHOUT} & {1 << number})"
        for line in lock.lines:
            times = 0
            for function in lock.functions:
                start, end = _function(text, function)
                body = text[start:end]
                times += body.count(line)
                new = f"if ({there}) {line}" if line.endswith(";") else f"{there} && {line}"
                text = text[:start] + body.replace(line, new) + text[end:]
            assert times, f"{lock.name}: no {line!r}"
    last = [found.end() for found in re.finditer(r"^#include.*\n", text, re.M)][-1]
    return f"{text[:last]}\nunsigned long {_WITHOUT};\n{text[last:]}"


class Switched:
    """A kernel's object with these switches, on two CPUs."""

    def __init__(
        self, kernel: RealKernel, arch: str, locks: tuple[Lock, ...], folder: Path
    ) -> None:
        self.text = (kernel.tree / "mm" / "zsmalloc.c").read_text()
        path = kernel.changed(folder, arch, switchable(self.text, locks))
        self.locks = locks
        made = bench(target(arch), strategy(str(path)))
        assert isinstance(made, KernelBench)
        self.bench = made
        memory = made.cpus.memory
        at = made.image.address(_WITHOUT) - RAM_BASE
        self._pristine = made.cpus.pristine[at : at + memory.target.word]

    def explore(self, without: str, scene: str) -> SceneResult:
        """Run a scene without a lock; with all of them if there is none of this name."""
        bits = sum(1 << n for n, lock in enumerate(self.locks) if lock.name == without)
        raw = bits.to_bytes(len(self._pristine), "little")
        self._pristine[:] = np.frombuffer(raw, np.uint8)
        return self.bench.explore(self.bench.scene(scene), Wanted())


def _pair(lock: str, verbs: tuple[str, str]) -> tuple[str, str]:
    return f"{verbs[0]}({lock});", f"{verbs[1]}({lock});"


_SPIN: Final = ("spin_lock", "spin_unlock")
_READ: Final = ("read_lock", "read_unlock")
_WRITE: Final = ("write_lock", "write_unlock")
_ZS_READ: Final = ("migrate_read_lock", "migrate_read_unlock")
_ZS_WRITE: Final = ("migrate_write_lock", "migrate_write_unlock")
_LOCAL: Final = ("local_lock", "local_unlock")
_MAP: Final = ("zs_map_object", "zs_unmap_object")
_ASSERTED: Final = "assert_spin_locked(&class->lock);"
_POOL_ASSERTED: Final = "assert_spin_locked(&pool->lock);"
_PAGE: Final = Lock(
    "free: page lock",
    ("trylock_zspage", "__free_zspage"),
    ("!trylock_page(cursor)", "unlock_page(page);", "VM_BUG_ON_PAGE(!PageLocked(page), page);"),
)

NEWER: Final = (
    Lock("map: pool->migrate_lock", _MAP, _pair("&pool->migrate_lock", _READ)),
    Lock("map: zspage->lock", _MAP, _pair("zspage", _ZS_READ)),
    Lock("map: local lock", _MAP, _pair("&zs_map_area.lock", _LOCAL)),
    Lock("malloc: class->lock", ("zs_malloc",), _pair("&class->lock", _SPIN)),
    Lock("free: pool->migrate_lock", ("zs_free",), _pair("&pool->migrate_lock", _READ)),
    Lock(
        "free: class->lock",
        ("zs_free", "__free_zspage"),
        (*_pair("&class->lock", _SPIN), _ASSERTED),
    ),
    _PAGE,
    Lock("migrate: pool->migrate_lock", ("zs_page_migrate",), _pair("&pool->migrate_lock", _WRITE)),
    Lock("migrate: class->lock", ("zs_page_migrate",), _pair("&class->lock", _SPIN)),
    Lock("migrate: zspage->lock", ("zs_page_migrate",), _pair("zspage", _ZS_WRITE)),
    Lock("compact: pool->migrate_lock", ("__zs_compact",), _pair("&pool->migrate_lock", _WRITE)),
    Lock(
        "compact: class->lock",
        ("__zs_compact", "__free_zspage"),
        (*_pair("&class->lock", _SPIN), _ASSERTED),
    ),
    Lock("compact: zspage->lock", ("__zs_compact",), _pair("src_zspage", _ZS_WRITE)),
)
"""of 6.12"""
_POOL: Final = _pair("&pool->lock", _SPIN)
OLDER: Final = (
    Lock("map: pool->lock", _MAP, _POOL),
    Lock("map: zspage->lock", _MAP, _pair("zspage", _ZS_READ)),
    Lock("map: local lock", _MAP, _pair("&zs_map_area.lock", _LOCAL)),
    Lock("malloc: pool->lock", ("zs_malloc",), _POOL),
    Lock("free: pool->lock", ("zs_free", "__free_zspage"), (*_POOL, _POOL_ASSERTED)),
    _PAGE,
    Lock("isolate: pool->lock", ("zs_page_isolate",), _POOL),
    Lock("migrate: pool->lock", ("zs_page_migrate",), _POOL),
    Lock("migrate: zspage->lock", ("zs_page_migrate",), _pair("zspage", _ZS_WRITE)),
    Lock("compact: pool->lock", ("__zs_compact", "__free_zspage"), (*_POOL, _POOL_ASSERTED)),
    Lock("compact: source's zspage->lock", ("__zs_compact",), _pair("src_zspage", _ZS_WRITE)),
    Lock(
        "compact: destination's zspage->lock",
        ("__zs_compact",),
        ("migrate_write_lock_nested(dst_zspage);", "migrate_write_unlock(dst_zspage);"),
    ),
)
"""of 6.1"""
