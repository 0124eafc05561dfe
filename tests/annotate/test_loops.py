# SPDX-License-Identifier: GPL-2.0-only
"""Inner loops: those of the primitives as their sources say, and planted ones of every kind."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from samples import image

from annotate.test_listing import listed
from zsemu.annotate import profile
from zsemu.annotate.listing import Function, Listing, listing
from zsemu.annotate.loops import Loop, loops
from zsemu.annotate.one_operation import parse
from zsemu.counts import STRATEGY_PHASES
from zsemu.guest.compiler import inputs
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.script import ScriptBuilder
from zsemu.zsmalloc.geometry import geometry

HERE = Path(__file__).parent
each_target = pytest.mark.parametrize("arch", target_names())

# Bytes loaded and stored by a round, as copy.S and swap.S say: of whole blocks, then of words.
COPY = {
    "x86_64": [16],
    "x86_64-movsb": [2],
    "x86_64-words": [64],
    "i386": [8],
    "aarch64": [128],
    "arm": [64],
    "riscv64": [128, 16],
    "riscv32": [64, 8],
}
SWAP = {
    "x86_64": [256],
    "i386": [128],
    "aarch64": [256],
    "arm": [128],
    "riscv64": [128, 32],
    "riscv32": [64, 16],
}


def found(arch: str, name: str | Path, of: Listing) -> dict[str, list[Loop]]:
    one = image(target(arch), name)
    by_function = {function.name: loops(one, function) for function in of.functions}
    return {name: each for name, each in by_function.items() if each}


@pytest.mark.parametrize("arch", COPY)
def test_those_of_the_primitives(arch: str) -> None:
    """And no others: a branch back to the end of a function, as readwrite has one, is no loop."""
    for name, function, rounds in (
        ("copy-modes", "zs_copy", COPY[arch]),
        ("swap-lazy", "zs_swap", SWAP[target(arch).folder]),
    ):
        ((found_in, inner),) = found(arch, name, listed(arch, name)).items()
        assert found_in == function
        assert [
            sum(row.counts.bytes for row in one.body) / one.iterations for one in inner
        ] == rounds
        for one in inner:
            repeated = "rep movs" in one.body[0].text
            assert bool(one.trouble) == repeated == ("one latency" in one.trouble)
            times = {row.counts.string_iterations or row.counts.executions for row in one.body}
            assert times == {one.iterations}
            assert len(one.code) > one.body[-1].offset - one.body[0].offset
    for function in found(arch, "readwrite", listed(arch, "readwrite")):
        assert function == "zs_copy"


@cache
def planted(arch: str) -> Listing:
    """List one operation of the strategy in loops.c, each of whose loops makes 16 rounds."""
    machine, file = target(arch), strategy(str(HERE / "loops.c"))
    builder = ScriptBuilder(geometry("chain-8", page_size=4096, word_bits=machine.word_bits))
    operation = parse("read:1632/2").append(builder)
    one = image(machine, HERE / "loops.c")
    return listing(
        one,
        inputs(machine, file),
        profile.of_operation(one, builder.placed(), operation, maps=True),
        strategy="loops.c",
        counted="one",
        phases=STRATEGY_PHASES,
    )


def kinds(arch: str, function: str) -> list[tuple[int, str]]:
    """Return the rounds and the trouble of the loops of a function of loops.c."""
    every = found(arch, HERE / "loops.c", planted(arch))
    return [(one.iterations, one.trouble) for one in every.get(function, ())]


@each_target
def test_planted_ones(arch: str) -> None:
    assert kinds(arch, "plain") == kinds(arch, "slow") == [(16, "")]
    assert kinds(arch, "nested") == [(256, "")]  # not the outer one
    assert kinds(arch, "idle") == []  # which loads and stores nothing
    ((rounds, trouble),) = kinds(arch, "calls")
    assert (rounds, trouble.rpartition(" ")[0]) == (16, "llvm-mca does not follow")
    ((rounds, trouble),) = kinds(arch, "skips")
    by_predicates = arch == "arm"  # which has no branch there
    assert rounds == 16 and by_predicates == (trouble == "")
    assert by_predicates or "branch" in trouble
    ((rounds, trouble),) = kinds(arch, "fences")
    assert (rounds, trouble.partition(" know what ")[0]) == (16, "llvm-mca does not")


@pytest.mark.parametrize(("arch", "access"), [("aarch64", "stxr"), ("arm", "strex")])
def test_an_atomic_addition(arch: str, access: str) -> None:
    """A loop that only another CPU could make turn."""
    ((rounds, trouble),) = kinds(arch, "adds")
    assert rounds == 1 and trouble in (
        f"llvm-mca does not know what {access} waits for",
        f"llvm-mca does not know what {access.replace('st', 'ld')} waits for",
    )


def test_rounds_that_differ() -> None:
    """Where an instruction inside is executed less often, no one sequence is what is executed."""
    one = image(target("aarch64"), HERE / "loops.c")
    (plain,) = (each for each in planted("aarch64").functions if each.name == "plain")
    (loop,) = loops(one, plain)
    index = plain.rows.index(loop.body[1])

    def executed(times: int) -> Function:
        row = plain.rows[index]
        changed = replace(row, counts=replace(row.counts, executions=times))
        return replace(plain, rows=(*plain.rows[:index], changed, *plain.rows[index + 1 :]))

    (less,) = loops(one, executed(15))
    assert "not executed equally often" in less.trouble
    assert len(less.code) == len(loop.code)
    assert loops(one, executed(0)) == []  # it cannot be got round, so this is no loop
