# SPDX-License-Identifier: GPL-2.0-only
"""Read a script from text: a case that zsemu check printed of a failure, for --case.

::

    geometry chain-8 page-size 4096 ascending
    zspage 0 class 3072
       0 cpu 0: allocate 0 3064 zspage 0 slot 1
       1 cpu 0: write 0 3064
       2 cpu 1: read 0 3064

Further operations: ``update N LENGTH``, ``free N``, ``settle N``, ``compact N to zspage Z slot S``,
``migrate zspage Z page P``, ``map N RO|WO|RW as M``, ``unmap M``. Zspages are numbered from 0 in
the order in which they appear. An object has any number, from which its content follows. The number
before an operation may be left out.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from zsemu.errors import ZsemuError
from zsemu.guest.structures import Mode
from zsemu.guest.targets import Target
from zsemu.replay.placed_trace import PAGE_ORDERS
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc import geometry as geometries

_GEOMETRY = re.compile(rf"geometry (\S+) page-size (\d+) ({'|'.join(PAGE_ORDERS)})")
_ZSPAGE = re.compile(r"zspage (\d+) class (\d+)")
_OPERATION = re.compile(r"(?:\d+ +)?cpu (\d+): (.+)")
_ACTIONS = {
    "allocate": re.compile(r"(\d+) (\d+) zspage (\d+) slot (\d+)"),
    "read": re.compile(r"(\d+) (\d+)"),
    "write": re.compile(r"(\d+) (\d+)"),
    "update": re.compile(r"(\d+) (\d+)"),
    "free": re.compile(r"(\d+)"),
    "settle": re.compile(r"(\d+)"),
    "compact": re.compile(r"(\d+) to zspage (\d+) slot (\d+)"),
    "migrate": re.compile(r"zspage (\d+) page (\d+)"),
    "map": re.compile(r"(\d+) (RO|WO|RW) as (\d+)"),
    "unmap": re.compile(r"(\d+)"),
}


class _Reader:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._builder: ScriptBuilder | None = None
        self._zspages: dict[int, int] = {}
        self._objects: dict[int, int] = {}
        """number -> index in the builder"""

    @property
    def builder(self) -> ScriptBuilder:
        if self._builder is None:
            raise ValueError("'geometry NAME page-size BYTES ORDER' first")
        return self._builder

    @property
    def empty(self) -> bool:
        """Whether no operation has been read."""
        return self._builder is None or not len(self._builder)

    def take(self, line: str) -> None:
        """Take one line; ValueError says what was expected instead."""
        if match := _GEOMETRY.fullmatch(line):
            shape = geometries.geometry(
                match[1],
                page_size=int(match[2]),
                word_bits=self._target.word_bits,
                physical_bits=self._target.physical_bits,
            )
            self._builder = ScriptBuilder(shape, match[3])
        elif match := _ZSPAGE.fullmatch(line):
            sizes = self.builder.geometry.sizes.tolist()
            if int(match[2]) not in sizes:
                raise ValueError(f"a size class of {self.builder.geometry.name}, not {match[2]}")
            self._zspages[int(match[1])] = self.builder.zspage(sizes.index(int(match[2])))
        elif match := _OPERATION.fullmatch(line):
            self._operate(int(match[1]), match[2])
        else:
            raise ValueError("'geometry ...', 'zspage N class BYTES' or 'cpu N: OPERATION'")

    def _operate(self, cpu: int, text: str) -> None:
        action, _, rest = text.partition(" ")
        if action not in _ACTIONS:
            raise ValueError(f"one of {', '.join(_ACTIONS)}")
        match = _ACTIONS[action].fullmatch(rest)
        if match is None:
            raise ValueError(f"'{action} {_ACTIONS[action].pattern}'")
        builder, values, objects = self.builder, match.groups(), self._objects
        if action == "allocate":
            number, length, zspage, slot = map(int, values)
            if number in objects:
                raise ValueError(f"another number than {number}, which an object before it has")
            objects[number] = builder.allocate(self._zspages[zspage], slot, length, cpu, number)
        elif action in ("read", "write", "update"):
            builder.use(Operation[action.upper()], objects[int(values[0])], int(values[1]), cpu)
        elif action == "free":
            builder.free(objects[int(values[0])], cpu)
        elif action == "settle":
            builder.settle(objects[int(values[0])], cpu)
        elif action == "compact":
            zspage = self._zspages[int(values[1])]
            builder.compact(objects[int(values[0])], zspage, int(values[2]), cpu)
        elif action == "migrate":
            builder.migrate(self._zspages[int(values[0])], int(values[1]), cpu)
        elif action == "map":
            builder.hold(objects[int(values[0])], Mode[values[1]], int(values[2]), cpu)
        else:
            builder.release(int(values[0]), cpu)


def read(path: Path, target: Target) -> ScriptBuilder:
    """Read a case for an architecture; ZsemuError names file, line and what was expected."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ZsemuError(f"{path}: cannot be read: {error}") from error
    return parse(lines, target, str(path))


def parse(lines: Iterable[str], target: Target, source: str) -> ScriptBuilder:
    """Return the script that lines stand for; ZsemuError as for read(), naming their ``source``."""
    reader = _Reader(target)
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            reader.take(text)
        except ValueError as error:
            raise ZsemuError(f"{source}:{number}: expected {error}: {text!r}") from error
        except (KeyError, IndexError, ZsemuError) as error:
            raise ZsemuError(f"{source}:{number}: not possible here: {text!r}") from error
    if reader.empty:
        raise ZsemuError(f"{source}: holds no operation; it begins with 'geometry NAME ...'")
    return reader.builder
