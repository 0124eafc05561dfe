# SPDX-License-Identifier: GPL-2.0-only
"""Measure whole commands, as a user waits for them: this checkout's, and another's beside it."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.checkouts import Checkout
from bench.resources import Took, measured
from zsemu.errors import ZsemuError
from zsemu.paths import ARCH

_EDIT: Final = "	if (!zs_spans(loc))\n		return;\n"
"""in copy.c, before it copies out"""
_KEPT: Final = "hooks"
"""the folder of a cache that is never removed: native hooks are compiled once an installation"""


@dataclass(frozen=True)
class Command:
    """A command, and the status that it must end with."""

    arguments: tuple[str, ...]
    status: int = 0
    what: str = ""
    code: str = ""
    """planted into mine.c, a copy of ``copy``"""
    builds: bool = True
    """whether it needs images and hooks"""

    @property
    def line(self) -> str:
        """What is printed of it; bench.targets knows it by that."""
        line = " ".join(("zsemu", *self.arguments))
        return f"{line}, {self.what}" if self.what else line

    @property
    def states(self) -> tuple[bool, ...]:
        """Whether all is cached, for each of the runs that take turns."""
        return (False, True) if self.builds else (True,)


_MINE = ("check", "./mine.c")
COMMANDS: Final = (
    Command(("--version",), builds=False),
    Command(_MINE, what="holds"),
    Command(_MINE, 1, "a wrong byte", "area->buffer[loc->header] ^= 1;"),
    Command(
        _MINE,
        1,
        "every 300th write wrong",
        "if (++area->private[0] % 300 == 0)\n		area->buffer[loc->header] ^= 1;",
    ),
    Command(
        _MINE,
        1,
        "wrong where a byte is 0x37",
        "if (area->buffer[loc->header + loc->length / 2] == 0x37)\n"
        "		area->buffer[loc->header] ^= 1;",
    ),
    Command(("check",)),
    Command(("compare",)),
    Command(("compare", "--trace", "sqlite-lzo-rle")),
    Command(("race", "--arch", "aarch64")),
)
_WARM: Final = Command(("check", "sg", "--arch", "x86_64", "-k", "2012"))
"""compiles the native hooks"""


@dataclass(frozen=True)
class Timed:
    """The runs of one command in one state."""

    line: str
    cached: bool
    """whether all that is compiled was there, or the native hooks alone"""
    runs: dict[str, list[Took]]
    """by the name of the checkout"""

    @property
    def title(self) -> str:
        """Return the command and the state."""
        return f"{self.line}: {'all cached' if self.cached else 'nothing cached but the hooks'}"


def chosen(text: str) -> list[Command]:
    """Return the commands whose line contains a text; ZsemuError if there is none."""
    found = [command for command in COMMANDS if text in command.line]
    if not found:
        lines = "\n".join(command.line for command in COMMANDS)
        raise ZsemuError(f"no command has {text!r} in its line: choose of these", detail=lines)
    return found


def compares(archs: Iterable[str], options: Sequence[str], first: int) -> list[Command]:
    """Return what replays on each architecture as the benchmark does: the whole trace, its start.

    ``options`` are those of ``compare``; ``first`` is how many operations the start has.
    """
    several = [(*options, "--operations", str(first)), tuple(options)]
    return [Command(("compare", "--arch", arch, *each)) for arch in archs for each in several]


def mine(code: str) -> str:
    """Return copy.c with something planted that is executed before it copies out."""
    text = (ARCH / "strategies" / "copy.c").read_text()
    if text.count(_EDIT) != 1:
        raise ZsemuError("copy.c: not as the benchmark expects it: see tests/bench/commands.py")
    # Nothing is promised, so that only what is planted fails.
    return text.replace("Promises:", "Promised:").replace(_EDIT, f"{_EDIT}\n	{code}\n")


def _run(checkout: Checkout, command: Command, folder: Path, *, cached: bool) -> Took:
    if not cached:
        for path in checkout.cache.iterdir():
            if path.name != _KEPT:
                shutil.rmtree(path)
    (folder / "mine.c").write_text(mine(command.code))
    line = (sys.executable, "-m", "zsemu", *command.arguments)
    return measured(line, command.status, folder, checkout.environment())


def measure(
    commands: Iterable[Command], found: list[Checkout], repeat: int, folder: Path
) -> Iterator[Timed]:
    """Yield each command's runs in ``folder``: checkouts take turns, then what is cached.

    ZsemuError with all output if a command does not end as it must.
    """
    warm = False
    for command in commands:
        if command.builds and not warm:
            for checkout in found:
                _run(checkout, _WARM, folder, cached=True)
            warm = True
        runs: dict[bool, dict[str, list[Took]]] = {
            cached: {checkout.name: [] for checkout in found} for cached in command.states
        }
        for number in range(repeat):
            sys.stderr.write(f"{command.line}: {number + 1} of {repeat}\n")
            for checkout in found:
                for cached in command.states:
                    took = _run(checkout, command, folder, cached=cached)
                    runs[cached][checkout.name].append(took)
        for cached, each in runs.items():
            yield Timed(command.line, cached, each)
