# SPDX-License-Identifier: GPL-2.0-only
"""Cut the steps of every handle into objects, each from its allocation to its free.

The length of an object is what ``zs_malloc`` was asked for. If that call was not recorded, it is
the greatest ``mem_len`` with which the object was used. If there was none either, the length is
unknown, and the object is dropped with all that is done to it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zsemu.errors import ZsemuError
from zsemu.traces.events import Ints
from zsemu.traces.import_report import Entries
from zsemu.traces.operation import Operation
from zsemu.traces.pairing import Bools, Steps
from zsemu.traces.repair import first_of_handle


@dataclass(frozen=True)
class _Lives:
    """The objects that handles stood for: of each step its object, and of each object its steps."""

    of_step: Ints
    """Number of the object that each step belongs to, shape (steps,)."""
    first: Ints
    """Index of each object's first step, shape (objects,)."""
    last: Ints
    """Index of each object's last step, shape (objects,)."""
    follows: Bools
    """Whether another object has the same handle afterwards, shape (objects,)."""
    asked: Ints
    """Bytes that zs_malloc was asked for, 0 if unknown, shape (objects,)."""
    length: Ints
    """Bytes of each object, 0 if unknown, shape (objects,)."""


def _lives(steps: Steps) -> _Lives:
    """Find the objects: one begins with a handle, with an allocation, and behind a free."""
    allocates, frees = steps.operation == Operation.ALLOCATE, steps.operation == Operation.FREE
    new_handle = first_of_handle(steps.handle)
    starts = new_handle | allocates
    starts[1:] |= frees[:-1]
    (first,) = np.nonzero(starts)
    asked = np.where(allocates[first], steps.length[first], 0)
    longest = np.maximum.reduceat(np.where(allocates, 0, steps.length), first)
    return _Lives(
        of_step=np.cumsum(starts) - 1,
        first=first,
        last=np.append(first[1:], len(starts)) - 1,
        follows=np.append(~new_handle[first[1:]], False),
        asked=asked,
        length=np.where(asked > 0, asked, longest),
    )


def cut(steps: Steps, page_size: int, path: Path, entries: Entries) -> Steps:
    """Cut each handle's steps into objects; drop what is unknown, add what is missing.

    ``steps`` are sorted by handle. They are returned in the order of a trace; their ``handle`` is
    the serial number of an object. ZsemuError for an object that is larger than a page.
    """
    lives = _lives(steps)
    _refuse_long(steps, lives, page_size, path)
    kept = _drop(steps, lives, entries)
    parts = [
        replace(steps.take(kept), handle=lives.of_step[kept].astype(np.uint64)),
        _births(steps, lives, entries),
        _deaths(steps, lives, entries),
    ]
    steps = Steps(
        **{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(steps)}
    )
    length = lives.length[steps.handle.astype(np.int64)]
    short = (steps.operation >= Operation.READ) & (steps.length > 0)
    steps = replace(steps, length=np.where(short, steps.length, length))
    return steps.take(np.lexsort((steps.line, steps.position)))


def _refuse_long(steps: Steps, lives: _Lives, page_size: int, path: Path) -> None:
    """Raise ZsemuError, which names the first such line, if an object is larger than a page."""
    (long,) = np.nonzero(lives.length > page_size)
    if len(long):
        rows = lives.first[long]
        at = int(np.argmin(steps.line[rows]))
        raise ZsemuError(
            f"{path}:{steps.line[rows[at]]}: an object of {lives.length[long[at]]} bytes is larger"
            f" than a page of {page_size}; give the page size of the recording kernel with"
            " --page-size"
        )


def _drop(steps: Steps, lives: _Lives, entries: Entries) -> Ints:
    """Return the indices of the steps that are kept; note the others in ``entries``."""
    allocates, frees = steps.operation == Operation.ALLOCATE, steps.operation == Operation.FREE
    known, maps = (lives.length > 0)[lives.of_step], ~(allocates | frees)
    unasked = allocates[lives.first] & (lives.asked == 0)
    entries.add(
        "dropped",
        "zs_malloc_ret without its zs_malloc",
        steps.line[lives.first[unasked & (lives.length == 0)]],
    )
    entries.add(
        "mended",
        "zs_malloc_ret without its zs_malloc, length taken from mem_len",
        steps.line[lives.first[unasked & (lives.length > 0)]],
    )
    what = "an object of unknown length, allocated before the recording or in lost events"
    entries.add("dropped", f"map/unmap pair of {what}", steps.line[maps & ~known])
    entries.add("dropped", f"zs_free of {what}", steps.line[frees & ~known])
    over = maps & known & (steps.length > lives.length[lives.of_step])
    entries.add("dropped", "map/unmap pair longer than its object", steps.line[over])
    return np.flatnonzero(known & ~over)


def _births(steps: Steps, lives: _Lives, entries: Entries) -> Steps:
    """Return an allocation for each object whose own is missing, though its length is known."""
    allocated = steps.operation[lives.first] == Operation.ALLOCATE
    (found,) = np.nonzero((lives.length > 0) & ~allocated)
    added = steps.take(lives.first[found])
    what = "allocation before the recording or in lost events, length taken from mem_len"
    entries.add("mended", what, added.line)
    return _added(added, Operation.ALLOCATE, found)


def _deaths(steps: Steps, lives: _Lives, entries: Entries) -> Steps:
    """Return a free for each object whose own is missing, though its handle was returned again."""
    freed = steps.operation[lives.last] == Operation.FREE
    (lost,) = np.nonzero((lives.length > 0) & lives.follows & ~freed)
    added = steps.take(lives.first[(lost + 1) % len(lives.first)])
    entries.add("mended", "handle returned again, its zs_free is missing", added.line)
    return _added(added, Operation.FREE, lost)


def _added(before: Steps, operation: Operation, objects: Ints) -> Steps:
    """Return one step for each of the objects, directly before the given steps."""
    return replace(
        before,
        operation=np.full(len(objects), operation),
        handle=objects.astype(np.uint64),
        end=before.begin,
        position=before.position - 1,
    )
