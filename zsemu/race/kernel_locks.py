# SPDX-License-Identifier: GPL-2.0-only
"""Tell of a kernel's locks: what each is called, who holds what, and in which order."""

from zsemu.kernel.facts import addresses_of_classes
from zsemu.kernel.memory import KernelMemory
from zsemu.race.schedule import CPUS


class LockNames:
    """Names the locks of a pool in guest memory as the kernel's source does."""

    def __init__(self, memory: KernelMemory) -> None:
        structs, pool = memory.layouts.structs, int(memory.state["pool"][0])
        self._known = {
            pool + at: f"pool->{name}" for name, at in structs["zs_pool"].members.items()
        }
        members = structs["size_class"].members
        for one in addresses_of_classes(memory):
            self._known |= {one + offset: f"class->{name}" for name, offset in members.items()}
        self._zspage = structs["zspage"].members.get("lock", 0) if "zspage" in structs else 0

    def __call__(self, address: int) -> str:
        """Name the lock at an address."""
        if address in self._known:
            return self._known[address]
        return f"zspage->lock of the zspage {address - self._zspage:#x}"


def holding(memory: KernelMemory, names: LockNames) -> str:
    """Say which locks each CPU has taken, and for which it waits."""
    told = []
    for who, one in enumerate(memory.locks[: len(CPUS)]):
        taken = [int(row["lock"]) for row in one["taken"][: int(one["nr_taken"])]]
        held = f"holds {', '.join(map(names, taken))}" if taken else "holds no lock"
        waits = f" and waits for {names(int(one['waits']))}" if one["waits"] else ""
        told.append(f"CPU {CPUS[who]} {held}{waits}")
    return "; ".join(told)


def inversion(memory: KernelMemory) -> tuple[int, int] | None:
    """Return two locks that each CPU takes inside the other; None if there are none.

    Those that are only taken while a third is held, which nobody else can hold, are no danger.
    """
    orders = [
        [
            (int(row["outer"]), int(row["inner"]), int(row["gate"]))
            for row in one["order"][: int(one["nr_orders"])]
        ]
        for one in memory.locks[: len(CPUS)]
    ]
    every = [*orders[0], *orders[1]]
    for outer, inner, gate in every:
        for other, own, another in every:
            if (outer, inner) == (own, other) and not (gate and gate == another):
                return outer, inner
    return None
