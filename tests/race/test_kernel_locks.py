# SPDX-License-Identifier: GPL-2.0-only
"""Real kernels need each of their locks: with all nothing goes wrong, and without one it does."""

from pathlib import Path

import pytest
from kernel.objects import ARCHS, OLDER_ARCHS, RealKernel

from race.kernel_locks import NEWER, OLDER, Switched
from zsemu.guest.targets import target
from zsemu.kernel.strategy import strategy
from zsemu.race.benches import bench
from zsemu.race.findings import Wanted
from zsemu.race.kernel_bench import KernelBench

pytestmark = [
    pytest.mark.external,
    pytest.mark.xdist_group("kernel-locks"),  # two objects are made once in a process
]

MAP_MIGRATION = "read of the object that stays | migration of page 1 of the object that stays"
MAP_COMPACTION = "read of the object that moves | compaction"
FREES = "free of the slot behind | free of another object"
FREE_COMPACTION = "free of the object that moves | compaction"
FREE_MIGRATION = "free of the object that moves | migration of page 1 of the object that moves"
ALLOCATE_MIGRATION = "allocation | migration of page 1 of the object that stays"
ALLOCATE_COMPACTION = "allocation | compaction"
ALLOCATIONS = "allocation | allocation"

SHOWN_BY = {
    "map: pool->migrate_lock": MAP_MIGRATION,
    "map: zspage->lock": MAP_COMPACTION,
    "malloc: class->lock": ALLOCATIONS,
    "free: pool->migrate_lock": FREE_COMPACTION,
    "free: class->lock": FREES,
    "free: page lock": FREE_MIGRATION,
    "migrate: pool->migrate_lock": MAP_MIGRATION,
    "migrate: class->lock": ALLOCATE_MIGRATION,
    "migrate: zspage->lock": MAP_MIGRATION,
    "compact: pool->migrate_lock": MAP_COMPACTION,
    "compact: class->lock": ALLOCATE_COMPACTION,
    "compact: zspage->lock": MAP_COMPACTION,
}
"""by lock of 6.12: a scene that goes wrong without it"""
OLDER_SHOWN_BY = {
    "map: pool->lock": MAP_MIGRATION,
    "map: zspage->lock": MAP_COMPACTION,
    "malloc: pool->lock": ALLOCATIONS,
    "free: pool->lock": FREES,
    "free: page lock": FREE_MIGRATION,
    "isolate: pool->lock": ALLOCATE_MIGRATION,
    "migrate: pool->lock": MAP_MIGRATION,
    "migrate: zspage->lock": MAP_MIGRATION,
    "compact: pool->lock": MAP_COMPACTION,
    "compact: source's zspage->lock": MAP_COMPACTION,
}
"""the same of 6.1"""
_NEWER_ARCH, _OLDER_ARCH = "aarch64", "riscv32"
"""on which every lock is taken away; on the others, two are"""


@pytest.fixture(scope="module")
def newer(kernel: RealKernel, tmp_path_factory: pytest.TempPathFactory) -> Switched:
    return Switched(kernel, _NEWER_ARCH, NEWER, tmp_path_factory.mktemp("newer"))


@pytest.fixture(scope="module")
def older(older_kernel: RealKernel, tmp_path_factory: pytest.TempPathFactory) -> Switched:
    return Switched(older_kernel, _OLDER_ARCH, OLDER, tmp_path_factory.mktemp("older"))


def found(switched: Switched, lock: str, scene: str) -> None:
    """Assert that a scene goes wrong without a lock, but not alone, and not with all locks."""
    result = switched.explore(lock, scene)
    assert result.failure
    assert not result.alone
    assert not switched.explore("", scene).failure


@pytest.mark.parametrize("lock", SHOWN_BY)
def test_needed(newer: Switched, lock: str) -> None:
    found(newer, lock, SHOWN_BY[lock])


@pytest.mark.parametrize("lock", OLDER_SHOWN_BY)
def test_needed_by_the_older(older: Switched, lock: str) -> None:
    found(older, lock, OLDER_SHOWN_BY[lock])


def test_every_lock_is_taken_away() -> None:
    """The README says of how many something goes wrong, and names the others."""
    assert len(NEWER) + len(OLDER) == 25
    assert len(SHOWN_BY) + len(OLDER_SHOWN_BY) == 22
    names = [lock.name for lock in NEWER if lock.name not in SHOWN_BY]
    assert names == ["map: local lock"]
    names = [lock.name for lock in OLDER if lock.name not in OLDER_SHOWN_BY]
    assert names == ["map: local lock", "compact: destination's zspage->lock"]


def _holds(switched: Switched, lock: str, scenes: tuple[str, ...]) -> None:
    for scene in scenes:
        result = switched.explore(lock, scene)
        assert result.complete
        assert not result.failure


def test_the_local_lock_cannot_be_missed(newer: Switched, older: Switched) -> None:
    """Each CPU has a mapping area of its own, so another CPU never touches it.

    Another task on the same CPU cannot, either: read_lock() of the zspage disables preemption
    before local_lock() does, and read_unlock() enables it after local_unlock().
    """
    for switched in (newer, older):
        text = switched.text
        assert text.index("migrate_read_lock(zspage);\n\t") < text.index("local_lock(&zs_map_area")
        unlock = text.index("local_unlock(&zs_map_area")
        assert 0 < text.index("migrate_read_unlock(zspage);", unlock) - unlock < 80
        _holds(switched, "map: local lock", (MAP_MIGRATION, MAP_COMPACTION))


def test_the_lock_of_the_destination_cannot_be_missed(older: Switched) -> None:
    """Compaction changes nothing in a destination that a map of one of its objects looks at.

    It fills free slots, and changes the list, the count and the fullness of the zspage; all others
    who look at those hold pool->lock. A map looks at page chain, class and magic, which stay.
    """
    scenes = tuple(one.name for one in older.bench.scenes() if "compaction" in one.name)
    stays = tuple(name for name in scenes if "that stays | compaction" in name)
    assert len(stays) == 3
    _holds(older, "compact: destination's zspage->lock", (*stays, MAP_COMPACTION))


def _bench(kernel: RealKernel, arch: str) -> KernelBench:
    made = bench(target(arch), strategy(str(kernel.object(arch))))
    assert isinstance(made, KernelBench)
    return made


def right(made: KernelBench, names: tuple[str, ...]) -> None:
    results = made.run(names, Wanted())
    assert len(results) == len(names)
    assert [one.failure for one in results if one.failure] == []
    assert all(one.complete and one.schedules > 1 for one in results)


def test_all_scenes(kernel: RealKernel) -> None:
    made = _bench(kernel, _NEWER_ARCH)
    right(made, tuple(scene.name for scene in made.scenes()))


def test_all_scenes_of_the_older(older_kernel: RealKernel) -> None:
    made = _bench(older_kernel, _OLDER_ARCH)
    right(made, tuple(scene.name for scene in made.scenes()))


_SOME = (MAP_MIGRATION, MAP_COMPACTION, FREES, FREE_MIGRATION, ALLOCATE_COMPACTION)


@pytest.mark.parametrize("arch", [arch for arch in ARCHS if arch != _NEWER_ARCH])
def test_other_architectures(kernel: RealKernel, arch: str, tmp_path: Path) -> None:
    right(_bench(kernel, arch), _SOME)
    switched = Switched(kernel, arch, NEWER, tmp_path)
    found(switched, "map: zspage->lock", MAP_COMPACTION)
    found(switched, "malloc: class->lock", ALLOCATIONS)


@pytest.mark.parametrize("arch", [arch for arch in OLDER_ARCHS if arch != _OLDER_ARCH])
def test_other_architectures_of_the_older(
    older_kernel: RealKernel, arch: str, tmp_path: Path
) -> None:
    right(_bench(older_kernel, arch), _SOME)
    switched = Switched(older_kernel, arch, OLDER, tmp_path)
    found(switched, "map: zspage->lock", MAP_COMPACTION)
    found(switched, "malloc: pool->lock", ALLOCATIONS)
