# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel's allocator is put through beside traces: slots, sequences, limits, failures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from zsemu.kernel.steps import Step
from zsemu.zsmalloc.geometry import Geometry

_USES: Final = ("read", "write", "update")
_EACH: Final = (("write", 1), ("update", 0), ("read", 0))
"""uses of a slot, and the CPU of each: zspages are filled on one CPU and looked at on the other"""
_EVERY: Final = 40
"""operations of a sequence between which pages are moved"""


def slots(geometry: Geometry, uses: Sequence[tuple[str, int]] = _EACH) -> list[Step]:
    """Fill a zspage of every class, map every slot for each use, and free all."""
    steps: list[Step] = []
    number = 0
    for size in geometry.classes:
        length = min(size.size - size.header, geometry.page_size)
        if length + geometry.header > size.size and not size.huge:
            continue
        mine = range(number, number + size.objects)
        number += size.objects
        steps += [Step("allocate", one, length) for one in mine]
        for use, cpu in uses:
            steps += [Step(use, one, length, cpu) for one in mine]
        steps += [Step("free", one, cpu=1) for one in mine]
    return steps


def operations(geometry: Geometry, seed: int, number: int) -> list[Step]:
    """Return random operations on two CPUs, of few classes, so that zspages fill and empty."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, geometry.page_size + 1, size=6)
    live: dict[int, int] = {}
    steps: list[Step] = []
    objects = 0
    while len(steps) < number:
        cpu, choice = int(random.integers(2)), random.random()
        if not live or choice < (0.45 if len(live) < 150 else 0.2):
            length = int(random.choice(lengths))
            live[objects] = length
            steps += [Step(what, objects, length, cpu) for what in ("allocate", "write")]
            objects += 1
            continue
        chosen = int(random.choice(list(live)))
        if choice < 0.65:
            del live[chosen]
            steps.append(Step("free", chosen, cpu=cpu))
        else:
            steps.append(Step(_USES[random.integers(3)], chosen, live[chosen], cpu))
    return steps


def sequence(geometry: Geometry, seed: int, number: int) -> list[Step]:
    """Return random operations with zs_compact() and migrations of pages between them."""
    random = np.random.default_rng(seed + 1)
    live: dict[int, None] = {}
    steps: list[Step] = []
    for done, step in enumerate(operations(geometry, seed, number), 1):
        steps.append(step)
        if step.action == "free":
            del live[step.object]
        else:
            live[step.object] = None
        if done % _EVERY == 0:
            if random.random() < 0.5:
                steps.append(Step("compact"))
            for _ in range(int(random.integers(1, 4)) if live else 0):
                steps.append(Step("migrate", int(random.choice(list(live)))))
    return steps


def limits(geometry: Geometry) -> list[Step]:
    """Allocate sizes at the limits, and without pages, while other objects are alive."""
    extreme = [
        Step(action, number, length)
        for number, length in enumerate((1, geometry.page_size))
        for action in ("allocate", "write", "update", "read")
    ]
    others = operations(geometry, 1, 300)
    ordinary = [*extreme, *(replace(step, object=step.object + 2) for step in others)]
    used = {step.length for step in ordinary if step.action == "allocate"}
    probes = [Step("refuse"), Step("refuse", length=geometry.page_size + 1)]
    # At every step of building a zspage: of a class of more pages than there are.
    for pages in range(int(geometry.pages.max())):
        length = _unused(geometry, used, pages)
        if length:
            probes.append(Step("refuse", length=length, pages=pages))
    steps: list[Step] = []
    for first in range(0, len(ordinary), 100):
        steps += [*ordinary[first : first + 100], *probes]
    return steps


def _unused(geometry: Geometry, lengths: set[int], pages: int) -> int:
    """Return a length whose class has chains of more than so many pages and no zspage; 0 if none.

    ``lengths`` are those of other objects.
    """
    used = set(geometry.class_index(sorted(lengths)).tolist())
    for index, size in enumerate(geometry.classes):
        if index not in used and size.pages > pages and not size.huge:
            return size.size - geometry.header
    return 0
