# SPDX-License-Identifier: GPL-2.0-only
"""Run one suite of one strategy on one architecture, and shrink what fails in it."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from zsemu.check.exhaustive import exhaustive
from zsemu.check.findings import Failure, Result
from zsemu.check.properties import Exhausted, exhaust
from zsemu.check.sequences import search
from zsemu.check.shrinking import failures, in_order
from zsemu.check.suites import Suite, applies, geometry_of
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import Target
from zsemu.replay import script_text
from zsemu.replay.by_shape import EachClass, EachLength
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.replay import Outcome, Replay
from zsemu.replay.violations import check_of

SEQUENCES: Final = 60
"""sequences that a search tries, of 50 steps each"""


def exhaust_suite(image: Image, suite: Suite, strategy: Strategy) -> Exhausted:
    """Replay every slot of every class under a suite's geometry and page order."""
    work, promises = (
        exhaustive(geometry_of(image.target, suite), suite.page_order),
        strategy.promises,
    )
    if suite.measures or strategy.needs_window:
        return exhaust(image, work, promises)
    replay = Replay(
        image, work, observe=EachClass if suite.brief else EachLength, promises=promises
    )
    return Exhausted(work, replay, replay.run())


def check(
    target_: Target,
    strategy: Strategy,
    suite: Suite,
    *,
    seed: int = 0,
    cc: str = "zig",
    done: Exhausted | None = None,
) -> Result:
    """Run one suite of one strategy on one architecture, unless its replay is ``done``."""
    page_shift = suite.page_size.bit_length() - 1
    result = Result(target_.name, strategy.name, suite.name)
    if not applies(target_, strategy, suite):
        skipped = f"not on this architecture: its MMU has no pages of {suite.page_size >> 10} KiB"
        return replace(result, skipped=skipped)
    image = Image(build(target_, strategy, cc=cc, page_shift=page_shift), target_)
    if suite.search:
        geometry = geometry_of(target_, suite)
        found = search(image, geometry, strategy.promises, seed=seed, sequences=SEQUENCES)
        by_check: dict[str, Failure] = {}
        for one in found.outcome.violations if found else []:
            assert found
            by_check.setdefault(check_of(one), Failure(check_of(one), one, found.lines))
        return replace(
            result,
            sequences=SEQUENCES,
            violation_count=found.outcome.violation_count if found else 0,
            failures=in_order(by_check),
        )
    done = done or exhaust_suite(image, suite, strategy)
    return replace(
        result,
        operations=len(done.work.trace),
        violation_count=done.outcome.violation_count,
        failures=failures(image, done.work, strategy.promises, done.outcome),
    )


def run_case(target_: Target, strategy: Strategy, path: Path, *, cc: str = "zig") -> Outcome:
    """Run a case that was printed (zsemu.replay.script_text) with everything checked."""
    builder = script_text.read(path, target_)
    page_shift = builder.geometry.page_size.bit_length() - 1
    image = Image(build(target_, strategy, cc=cc, page_shift=page_shift), target_)
    return Replay(
        image, builder.placed(), observe=StrictTranslations, promises=strategy.promises
    ).run()
