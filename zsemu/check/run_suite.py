# SPDX-License-Identifier: GPL-2.0-only
"""Run one suite of one strategy on one architecture."""

from dataclasses import replace
from pathlib import Path

from zsemu.check.exhaustive import exhaustive
from zsemu.check.findings import Failure, Result, firsts, in_order
from zsemu.check.properties import Exhausted, exhaust
from zsemu.check.sequences import search
from zsemu.check.suites import Suite, geometry_of
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import Target
from zsemu.replay import script_text
from zsemu.replay.by_shape import EachClass, EachLength
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.replay import Outcome, Replay, Trial


def exhaust_suite(image: Image, suite: Suite, strategy: Strategy) -> Exhausted:
    """Replay every slot of every class under a suite's geometry and page order."""
    work, promises = (
        exhaustive(geometry_of(image.target, suite), suite.page_order),
        strategy.promises,
    )
    if suite.measures or strategy.needs_window:
        return exhaust(image, work, promises)
    replay = Trial(image, work, observe=EachClass if suite.brief else EachLength, promises=promises)
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
    """Run one suite of one strategy on one architecture, unless its replay is ``done``.

    What fails in it has no case yet: see zsemu.check.shrinking.
    """
    page_shift = suite.page_size.bit_length() - 1
    result = Result(target_.name, strategy.name, suite.name)
    if not strategy.runs_on(target_, suite.page_size):
        skipped = f"not on this architecture: its MMU has no pages of {suite.page_size >> 10} KiB"
        return replace(result, skipped=skipped)
    image = Image(build(target_, strategy, cc=cc, page_shift=page_shift), target_)
    if suite.search:
        geometry = geometry_of(target_, suite)
        ran, found = search(image, geometry, strategy.promises, seed=seed)
        return _failed(replace(result, sequences=ran), found)
    done = done or exhaust_suite(image, suite, strategy)
    return _failed(replace(result, operations=len(done.work.trace)), done.outcome)


def _failed(result: Result, outcome: Outcome | None) -> Result:
    """Return a result with what an outcome says has failed."""
    if outcome is None:
        return result
    first = firsts(outcome.violations)
    found = {check: Failure(check, violation, []) for check, violation in first.items()}
    return replace(result, violation_count=outcome.violation_count, failures=in_order(found))


def run_case(target_: Target, strategy: Strategy, path: Path, *, cc: str = "zig") -> Outcome:
    """Run a case that was printed (zsemu.replay.script_text) with everything checked."""
    builder = script_text.read(path, target_)
    page_shift = builder.geometry.page_size.bit_length() - 1
    image = Image(build(target_, strategy, cc=cc, page_shift=page_shift), target_)
    return Replay(
        image, builder.placed(), observe=StrictTranslations, promises=strategy.promises
    ).run()
