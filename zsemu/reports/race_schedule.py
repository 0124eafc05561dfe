# SPDX-License-Identifier: GPL-2.0-only
"""Lay out a schedule for reading: a column for each CPU, and how the wrong byte came to be."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from zsemu.race.native_structures import TO_END
from zsemu.race.replayed import Replayed
from zsemu.race.schedule import CPUS
from zsemu.race.trail import trail
from zsemu.replay.violations import HEADER, LINK

_READER = 2


def _where(replayed: Replayed, pc: int) -> str:
    place = replayed.lines.at(pc)
    name = replayed.image.where(pc)
    return f"{place.name} {name}" if place else name


def _traffic(replayed: Replayed, some: NDArray[np.void]) -> Iterator[str]:
    """Yield what some accesses load and store, by kind and page."""
    memory = replayed.memory
    pages = some["offset"].astype(np.int64) >> memory.page_shift
    keys = list(zip(some["store"].tolist(), pages.tolist(), strict=True))
    for store, page in dict.fromkeys(keys):
        own = some[(some["store"] == store) & (pages == page)]
        first = int(own["offset"].min())
        size = len(_bytes(own))
        verb = "stores" if store else "loads"
        yield f"  {verb} {size} shared bytes: {memory.describe(first)}"


def _bytes(some: NDArray[np.void]) -> set[int]:
    """Return the distinct bytes that some accesses are to."""
    return {
        offset + i
        for offset, size in zip(some["offset"].tolist(), some["size"].tolist(), strict=True)
        for i in range(size)
    }


def _entries(replayed: Replayed, some: NDArray[np.void]) -> Iterator[str]:
    """Yield lines that tell of the shared accesses of one block."""
    image = replayed.image
    functions = [image.function(pc) for pc in some["pc"].tolist()]
    start = 0
    for function, group in groupby(functions):
        number = len(list(group))
        own = some[start : start + number]
        start += number
        pc = int(own["pc"][0])
        source = ""
        place = replayed.lines.at(pc)
        if place and not place.assembly:
            source = replayed.lines.text(place)
        yield f"{function.name if function else '?'}()"
        yield f"  {place.name if place else '?'}{': ' + source if source else ''}"
        yield f"  {image.disassemble(pc)}"
        last = int(own["pc"][-1])
        if last != pc:
            yield f"  to {_where(replayed, last)}"
            yield f"  {image.disassemble(last)}"
        yield from _traffic(replayed, own)


def _fit(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."


def columns(replayed: Replayed, width: int) -> Iterator[str]:
    """Yield the shared accesses of a schedule in two columns, within ``width`` characters."""
    half = (width - 3) // 2
    steps = replayed.steps[(replayed.steps["cpu"] != _READER) & (replayed.steps["shared"] == 1)]
    yield f"{'CPU A':{half}} | CPU B"
    done = [0, 0]
    for cpu, number in replayed.schedule.blocks:
        behind = None if number == TO_END else done[cpu] + number
        own = steps[(steps["cpu"] == cpu) & (steps["before"] >= done[cpu])]
        if behind is not None:
            own = own[own["before"] < behind]
            done[cpu] = behind
        lines = list(_entries(replayed, own))
        count = f"{number} instructions" if behind is not None else "to its end"
        for line in [f"-- {count} --", *lines]:
            shown = _fit(line, half)
            yield (f"{shown:{half}} |" if cpu == 0 else f"{'':{half}} | {shown}").rstrip()


def _actor(cpu: int) -> str:
    return "the host" if cpu == _READER else f"CPU {CPUS[cpu]}"


def _until(replayed: Replayed) -> int:
    """Return how many accesses there were when the wrong byte was noticed."""
    found, steps = replayed.violation, replayed.steps
    if found is None or found.kind not in (HEADER, LINK):
        return len(steps)
    # The allocator's load of the word, behind which it overwrites it.
    word = int.from_bytes(bytes.fromhex(found.found), replayed.memory.target.byte_order)
    loads = np.flatnonzero(
        (steps["store"] == 0)
        & (steps["offset"] <= replayed.byte)
        & (replayed.byte < steps["offset"] + steps["size"])
        & (steps["value"] == np.uint64(word))
    )
    return int(loads[-1]) if len(loads) else len(steps)


def story(replayed: Replayed) -> Iterator[str]:
    """Yield lines that say how the first wrong byte came to be."""
    memory = replayed.memory
    if replayed.byte < 0:
        return
    steps = replayed.steps[: _until(replayed)]
    hops = list(trail(steps, replayed.byte))
    # What the host moved when it looked at the objects afterwards says nothing.
    hops = [hop for hop in hops if steps["cpu"][hop.store] != _READER] or hops
    for hop in hops:
        step = steps[hop.store]
        where = _where(replayed, int(step["pc"]))
        yield (
            f"{memory.describe(hop.byte)}: stored last by {_actor(int(step['cpu']))} at {where}:"
            f" {replayed.image.disassemble(int(step['pc']))}"
        )
        if hop.source is not None:
            yield f"  which had loaded it from {memory.describe(hop.source)}"
    if hops and hops[-1].source is not None:
        yield "  where nobody had stored it in this schedule"
    if not hops:
        yield f"{memory.describe(replayed.byte)}: not stored in this schedule"


def explain(replayed: Replayed, command: str, width: int) -> list[str]:
    """Return lines that show a schedule, what went wrong, and the command that runs it again."""
    lines = [f"{replayed.scene}, schedule {replayed.schedule}"]
    found = replayed.violation
    if found is None:
        lines.append("nothing goes wrong")
    else:
        lines.append(f"{found.kind}: {found.detail}")
        lines.append(f"  in {found.subject}")
        if found.expected or found.found:
            lines += [f"  expected {found.expected or '-'}", f"  found    {found.found or '-'}"]
        if found.pc:
            lines.append(f"  at {found.pc}: {found.instruction}")
    lines += ["", *columns(replayed, width), ""]
    lines += story(replayed)
    return [*lines, "", f"again: {command}"]
