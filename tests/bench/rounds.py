# SPDX-License-Identifier: GPL-2.0-only
"""How much of a replay's time the rounds of ``rep movs`` take: ``python -m bench.rounds``.

Unicorn runs a block for each round. The same operations are replayed on x86_64 and on its variants,
in turns. All do the same but for the copy primitive. So the time of one round is how much longer
the variant takes that copies by bytes, by the rounds that it has more; what that makes for all
rounds on x86_64 is their share. Of the variant without any such instruction follows an upper bound:
what it saves is the rounds less the instructions that it has instead.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Annotated, Final

import numpy as np
import typer

from bench.figures import COUNTED, UNHOOKED
from bench.measure import Level, Subject
from zsemu.counts import COLUMNS
from zsemu.guest.compiler import build
from zsemu.guest.hooks import build_library
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import target
from zsemu.replay.placed_trace import PlacedTrace, place
from zsemu.replay.replay import Replay
from zsemu.runs.request import request

ARCHS: Final = ("x86_64", "x86_64-movsb", "x86_64-words")


def _subject(arch: str, operations: int) -> tuple[Subject, int]:
    """Return what is replayed on an architecture, and how many rounds that has."""
    machine, copy = target(arch), strategy("copy")
    asked = request(
        archs=[arch], strategies={"copy": copy}, trace="sqlite-lzo-rle", operations=operations
    )
    placed = place(asked.trace, asked.geometry_for(machine))
    assert isinstance(placed, PlacedTrace)
    # No read-back: its rounds are not counted.
    placed = replace(placed, live=np.empty(0, np.int64))
    subject = Subject(f"{arch} copy", build(machine, copy), machine, placed)
    sums = Replay(subject.image, placed).run().sums
    return subject, int(sums[:, :, COLUMNS.index("string_iterations")].sum())


def main(
    operations: Annotated[int, typer.Option(min=1)] = 60_000,
    repeat: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print CPU seconds by architecture, with no hook and with all counts, and the share."""
    build_library()
    levels: dict[tuple[str, str], Level] = {}
    rounds: dict[str, int] = {}
    for arch in ARCHS:
        subject, rounds[arch] = _subject(arch, operations)
        levels[arch, UNHOOKED] = subject.level(UNHOOKED, subject.unhooked)
        levels[arch, COUNTED] = subject.level(COUNTED, subject.replay)
    for _ in range(repeat):
        for level in levels.values():
            level.runs.append(level.run()[0])
    print(f"copy, the first {operations} operations of sqlite-lzo-rle: CPU seconds, of {repeat}")
    for what in (UNHOOKED, COUNTED):
        print(what)
        for arch in ARCHS:
            runs = levels[arch, what].runs
            replayed, emulated = (
                median(getattr(run, name) for run in runs) for name in ("whole", "emulation")
            )
            print(f"    {arch:14}{rounds[arch]:12} rounds{replayed:9.3f}, emulation{emulated:9.3f}")
        emulations = [[run.emulation for run in levels[arch, what].runs] for arch in ARCHS]
        one, share, saved = costs(emulations, list(rounds.values()))
        print(f"    a round: {one * 1e9:.1f} ns; all on {ARCHS[0]}: {share:.0%} of the emulation")
        print(f"    {ARCHS[2]} saves {saved:.0%} of it")


def costs(runs: Sequence[Sequence[float]], rounds: Sequence[int]) -> tuple[float, float, float]:
    """Return seconds of a round, the share of all, and what a copy without rounds saves.

    ``runs`` are seconds and ``rounds`` numbers of ARCHS, in that order. Figures are medians over
    the runs that took turns.
    """
    each, shares, saved = [], [], []
    for own, bytewise, without in zip(*runs, strict=True):
        one = (bytewise - own) / (rounds[1] - rounds[0])
        each.append(one)
        shares.append(one * rounds[0] / own)
        saved.append(1 - without / own)
    return median(each), median(shares), median(saved)


if __name__ == "__main__":
    typer.run(main)
