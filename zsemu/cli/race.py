# SPDX-License-Identifier: GPL-2.0-only
"""zsemu race: which lock a strategy needs when two CPUs use it at once."""

import os
import signal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.cli.formats import Format, written
from zsemu.cli.options import Archs, Compiler, Jobs, complete_strategy, values
from zsemu.cli.terminal import emit, note, width
from zsemu.errors import ZsemuError

FAILED: Final = 1
INTERRUPTED: Final = 128 + signal.SIGINT

if TYPE_CHECKING:
    from zsemu.race.findings import Request

Named = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STRATEGY|FILE",
        help="Shipped ones by name, others by their C file. [default: all shipped]",
        show_default=False,
        autocompletion=complete_strategy,
    ),
]
Preemptions = Annotated[
    int, typer.Option(min=0, max=100, metavar="N", help="At most so many in a schedule.")
]
Exhaustive = Annotated[
    bool, typer.Option("--exhaustive", help="All schedules, however many preemptions they have.")
]
Limit = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Schedules of one scene; if there are more, the others are drawn at random.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Of schedules drawn at random.")]
Only = Annotated[
    str, typer.Option("-k", metavar="TEXT", help="Only where 'ARCH STRATEGY SCENE' contains this.")
]
SceneName = Annotated[
    str, typer.Option("--scene", metavar="NAME", help="With --schedule: a scene that race printed.")
]
ScheduleText = Annotated[
    str,
    typer.Option(
        "--schedule",
        metavar="TEXT",
        help="Run this schedule of --scene only, and show it: A57,B,A is 57 instructions of CPU A,"
        " then all of B, then the rest of A.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Take what an interrupted run has found already.")
]
WrittenAs = Annotated[
    Format, typer.Option("--format", help="For reading, for programs, for kunit.py, or for CI.")
]


def race(
    strategy: Named = None,
    arch: Archs = None,
    preemptions: Preemptions = 2,
    exhaustive: Exhaustive = False,
    limit: Limit = 200_000,
    seed: Seed = 0,
    only: Only = "",
    scene: SceneName = "",
    schedule: ScheduleText = "",
    jobs: Jobs = None,
    format: WrittenAs = Format.TEXT,
    cc: Compiler = "zig",
    resume: Resume = False,
) -> None:
    """Find which lock a strategy needs: map an object on one CPU while another CPU does something.

    The two are interleaved at every access to memory that both make, in every order that makes a
    difference. Memory is sequentially consistent. A strategy whose first comment says 'Needs:'
    fails if something goes wrong with that lock; the others are told what they need.

    Exit status: 0 all is right, 1 a lock is not enough, 2 bad use or input.

    Example: zsemu race ./mine.c --arch arm,riscv64 -k "slot behind"
    """
    from zsemu.cli.progress import bar
    from zsemu.cli.subjects import subjects
    from zsemu.race.findings import Request, Wanted
    from zsemu.reports import race_text
    from zsemu.runs import doctor
    from zsemu.runs.race import run
    from zsemu.runs.request import label

    chosen, named = subjects(values(arch), values(strategy))
    request = Request(
        archs=tuple(one.name for one in chosen),
        strategies=label(named),
        wanted=Wanted(preemptions, exhaustive, seed, limit),
        cc=cc,
        only=only,
        resume=resume,
    )
    if scene or schedule:
        _show(request, scene, schedule)
        return
    doctor.ensure(chosen)
    with bar() as watch:
        findings = run(request, jobs=jobs or os.cpu_count() or 1, watch=watch)
    emit(written(race_text, findings, request, format))
    if findings.left_out:
        note("zsemu: interrupted; --resume goes on where it stopped\n")
        raise typer.Exit(INTERRUPTED)
    if not findings.passed:
        raise typer.Exit(FAILED)


def _show(request: "Request", scene: str, schedule: str) -> None:
    """Run one schedule and show it."""
    from zsemu.race.replayed import command, replay
    from zsemu.reports.race_schedule import explain

    if not (scene and schedule):
        raise ZsemuError("--scene and --schedule belong together: race prints both")
    if len(request.archs) != 1 or len(request.strategies) != 1:
        raise ZsemuError("--schedule is for one strategy and one --arch: its numbers are theirs")
    (arch,), ((_, strategy),) = request.archs, request.strategies.items()
    replayed = replay(arch, strategy, scene, schedule, cc=request.cc)
    again = command(arch, strategy, scene, schedule, request.cc)
    emit("\n".join([*explain(replayed, again, width()), ""]))
    if replayed.violation is not None:
        raise typer.Exit(FAILED)
