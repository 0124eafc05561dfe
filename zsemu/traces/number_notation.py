# SPDX-License-Identifier: GPL-2.0-only
"""Read the numbers of a recording, whether decimal or hexadecimal, with or without 0x.

An argument of an event has one notation throughout a recording. It may have another one in another
event: a kernel that knows the type of a return value from BTF (6.12 does, 6.1 does not; see
parse_btf_arg() in kernel/trace/trace_probe.c) prints the handle that zs_malloc returns in decimal,
and with 0x where it is an argument.

Without 0x, an argument is hexadecimal if one of its numbers has a letter, be it in another event.
That letter may come late; :meth:`Numbers.settle` corrects what was read as decimal before it.
"""

from enum import Enum, auto
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.traces.events import Events, Ints
from zsemu.traces.probes import PROBES


class _Kind(Enum):
    """What the characters of a number say about its notation."""

    ZERO = auto()
    """Nothing: C's "%#x" prints 0 without 0x."""
    PREFIXED = auto()
    """It has 0x."""
    DIGIT = auto()
    """One digit behind zeros: it is the same number in either notation without 0x."""
    DIGITS = auto()
    """More digits, up to 16: it is decimal or hexadecimal."""
    DECIMAL = auto()
    """More digits than 64 bits have in hexadecimal, or a minus sign, as "%d" prints it."""
    LETTERS = auto()
    """It is hexadecimal without 0x."""


def _kind(text: bytes) -> _Kind:
    """Return the kind of a number as the patterns of text_formats.py let it through."""
    if text.startswith(b"0x"):
        return _Kind.PREFIXED
    if not text.lstrip(b"-").isdigit():
        return _Kind.LETTERS
    if len(text) > 16 or text.startswith(b"-"):
        return _Kind.DECIMAL
    return (_Kind.ZERO, _Kind.DIGIT, _Kind.DIGITS)[min(len(text.lstrip(b"0")), 2)]


# An argument has numbers of the kinds on the left, or of those on the right.
_CONTRADICTIONS: Final = (
    ({_Kind.PREFIXED}, {_Kind.DIGIT, _Kind.DIGITS, _Kind.DECIMAL, _Kind.LETTERS}),
    ({_Kind.DECIMAL}, {_Kind.LETTERS}),
)


class _Argument:
    """What the numbers of one argument of one event have shown so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        # The line and the text of the first number of each kind.
        self.seen: dict[_Kind, tuple[int, str]] = {}
        # The line before which numbers without 0x were read as decimal.
        self.decimal_before = 2**63 - 1

    def read(self, path: Path, texts: list[bytes], line: Ints) -> NDArray[np.uint64]:
        """Return the values of some more numbers, as :meth:`Numbers.column` does."""
        # Nearly always true, and much faster than to look at each.
        prefixed = b" ".join(texts).count(b"x") == len(texts)
        kinds = {_Kind.PREFIXED} if prefixed else set(map(_kind, set(texts)))
        for kind in kinds - self.seen.keys():
            at = next(at for at, text in enumerate(texts) if _kind(text) is kind)
            self.seen[kind] = int(line[at]), f"{self.name}={texts[at].decode()}"
            self._refuse_contradiction(path)
        if _Kind.LETTERS in self.seen:
            self.decimal_before = min(self.decimal_before, int(line[0]))
        base = 16 if self.seen.keys() & {_Kind.PREFIXED, _Kind.LETTERS} else 10
        values = [int(text, base) for text in texts]
        try:
            return np.array(values, np.uint64)
        except OverflowError:
            for at, value in enumerate(values):
                if not -(2**63) <= value < 2**64:
                    raise ZsemuError(
                        f"{path}:{line[at]}: {texts[at].decode()} does not fit in 64 bits; the line"
                        " is damaged, remove it"
                    ) from None
            return np.array([value % 2**64 for value in values], np.uint64)

    def _refuse_contradiction(self, path: Path) -> None:
        """Raise ZsemuError, which names two lines, if there are two notations."""
        for ones, others in _CONTRADICTIONS:
            one = [first for kind, first in self.seen.items() if kind in ones]
            other = [first for kind, first in self.seen.items() if kind in others]
            if one and other:
                (before, first), (line, text) = sorted([min(one), min(other)])
                raise ZsemuError(
                    f"{path}:{line}: {text} is in another notation than {first} in line {before};"
                    f" import a recording in which each event has one notation for its {self.name}"
                )


class Numbers:
    """Reads the arguments of the events of one recording."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arguments = [[_Argument(name) for name, _ in probe.arguments] for probe in PROBES]

    def column(self, at: int, probe: Ints, texts: list[bytes], line: Ints) -> NDArray[np.uint64]:
        """Return the first (``at`` 0) or second (1) argument of events, 0 where there is none.

        ``probe`` and ``line`` are those of the events, ``texts`` their numbers; all have shape
        (n,). ZsemuError names the line of a number that contradicts an earlier one of its argument
        or does not fit in 64 bits.
        """
        values = np.zeros(len(texts), np.uint64)
        for number, arguments in enumerate(self._arguments):
            (rows,) = np.nonzero(probe == number)
            if len(rows) and at < len(arguments):
                chosen = [texts[row] for row in rows.tolist()]
                values[rows] = arguments[at].read(self._path, chosen, line[rows])
        return values

    def settle(self, events: Events) -> None:
        """Correct, at the end of the recording, what was read before the first letter.

        ZsemuError names the line of a number that may be decimal or hexadecimal.
        """
        hexadecimal = {
            argument.name: argument.seen[_Kind.LETTERS]
            for arguments in self._arguments
            for argument in arguments
            if _Kind.LETTERS in argument.seen
        }
        if not hexadecimal:
            return
        for number, arguments in enumerate(self._arguments):
            for argument, values in zip(arguments, (events.first, events.second), strict=False):
                if argument.seen.keys() & {_Kind.PREFIXED, _Kind.DECIMAL}:
                    continue
                if argument.name in hexadecimal:
                    rows = (events.probe == number) & (events.line < argument.decimal_before)
                    values[rows] = [int(str(value), 16) for value in values[rows].tolist()]
                elif argument.name != "handle" and _Kind.DIGITS in argument.seen:
                    # Of a handle only the identity matters, which is the same either way.
                    self._refuse_ambiguous(argument.seen[_Kind.DIGITS], min(hexadecimal.values()))

    def _refuse_ambiguous(self, digits: tuple[int, str], letters: tuple[int, str]) -> None:
        """Raise ZsemuError for a number, as another argument is hexadecimal without 0x."""
        (line, text), (before, other) = digits, letters
        raise ZsemuError(
            f"{self._path}:{line}: {text} may be decimal or hexadecimal, since {other} in line"
            f" {before} is hexadecimal without 0x; put 0x before what is hexadecimal, for instance"
            f" with: sed 's/{other.partition('=')[0]}=/&0x/'"
        )
