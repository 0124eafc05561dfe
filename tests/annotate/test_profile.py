# SPDX-License-Identifier: GPL-2.0-only
"""What each instruction did: against block hits, counts of replays, and instructions by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faulty import FAULTY
from numpy.typing import NDArray
from samples import busy_trace, image, placed

from zsemu.annotate import profile
from zsemu.annotate.one_operation import parse
from zsemu.annotate.profile import InstructionCounter, Profile
from zsemu.counts import PHASES, PROFILE, SCOPES, UNCOUNTED
from zsemu.guest.image import KIND, STRING, Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.batch import Batch
from zsemu.replay.by_shape import EachLength
from zsemu.replay.observation import Listener
from zsemu.replay.placed_trace import PlacedStream
from zsemu.replay.replay import Replay
from zsemu.replay.script import ScriptBuilder
from zsemu.traces import file as trace_file
from zsemu.traces.file import TraceFile

each_target = pytest.mark.parametrize("arch", target_names())


def of_shape(one: Image, shape: str) -> Profile:
    builder = ScriptBuilder(placed(busy_trace(), one.target.name).geometry)
    operation = parse(shape).append(builder)
    return profile.of_operation(one, builder.placed(), operation, maps=True)


def at(found: Profile, one: Image, address: int, phase: str) -> tuple[int, ...]:
    """Return the counts of one instruction."""
    return tuple(found.counts[PHASES.index(phase), address - one.text[0]].tolist())


# --- The sums ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["copy-modes", "swap-lazy", "pgtable"])
@each_target
def test_adds_up_to_the_counts(arch: str, name: str) -> None:
    """Of all operations and of each scope, with every shape multiplied."""
    one, work = image(target(arch), name), placed(busy_trace(), arch)
    outcome = Replay(one, work).run()
    assert 0 < outcome.shapes < len(busy_trace())
    for scope in ("total", "spanning_write"):
        found = profile.of_trace(one, work, scope=scope)
        sums = outcome.sums[list(SCOPES[scope]), :, : len(PROFILE)].sum(axis=0)
        np.testing.assert_array_equal(found.totals, sums)
        np.testing.assert_array_equal(found.counts.sum(axis=1), sums)
        assert found.maps == work.scope_maps[scope] > 0
        assert sums[PHASES.index("access")].any()


def test_a_stream_is_as_a_whole(tmp_path: Path) -> None:
    one, work = image(target("arm"), "swap-lazy"), placed(busy_trace(), "arm")
    trace_file.save(busy_trace(), tmp_path / "t.npz")
    stream = PlacedStream(TraceFile(tmp_path / "t.npz"), work.geometry, 130)
    np.testing.assert_array_equal(
        profile.of_trace(one, stream).counts, profile.of_trace(one, work).counts
    )


def test_cost_that_is_no_function_of_the_shape(tmp_path: Path) -> None:
    """Then no shape is multiplied: a third of all maps executes the nop."""
    text = strategy("sg").path.read_text()
    moody = text.replace(
        "	if (loc->length <= first)",
        '	if (++area->private[0] % 3 == 0)\n		asm volatile("nop");\n'
        "	if (loc->length <= first)",
    )
    (tmp_path / "moody.c").write_text(moody)
    one, work = image(target("aarch64"), tmp_path / "moody.c"), placed(busy_trace(), "aarch64")
    found = profile.of_trace(one, work)
    np.testing.assert_array_equal(found.counts.sum(axis=1), found.totals)
    maps = busy_trace().maps
    third = sum(int(np.sum(busy_trace().cpu[maps] == cpu)) // 3 for cpu in (0, 1))
    nops = [a for a, i in one.instructions.items() if i.text == "nop"]
    assert sum(at(found, one, a, "map")[0] for a in nops) == third


def test_violations_are_handed_on(tmp_path: Path) -> None:
    (fault,) = (fault for fault in FAULTY if fault.name == "static-variable")
    one = image(target("arm"), fault.write(tmp_path))
    for found in (profile.of_trace(one, placed(busy_trace(), "arm")), of_shape(one, "read:1632/2")):
        assert found.violation_count >= len(found.violations) > 0
        assert not found.counts.any()


# --- Block hits --------------------------------------------------------------------------------


def by_blocks(replay: Replay, one: Image) -> NDArray[np.int64]:
    """Return the executions that block hits stand for, shape (phases, bytes of code)."""
    hooks, start = replay.machines.blocks, one.text[0]
    executions = np.zeros((len(PHASES), one.text[1] - start), np.int64)
    for block in hooks.block_hits():
        hits, repeats = (
            each[:, :UNCOUNTED].sum(axis=1).astype(np.int64) for each in (block.hits, block.repeats)
        )
        inside = [a for a in one.instructions if block.address <= a < block.address + block.size]
        for each in inside:
            executions[:, each - start] += hits
        if len(inside) == 1 and one.kinds[block.address - start] & KIND == STRING:
            executions[:, block.address - start] -= repeats
    return executions


@pytest.mark.parametrize("name", ["copy-modes", "swap-lazy", "pgtable"])
@each_target
def test_executions_are_block_hits(arch: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the operations that the fast machine ran: of each shape all but the first."""
    monkeypatch.setattr(Listener, "samples", 0)
    one, work = image(target(arch), name), placed(busy_trace(1500), arch)
    first = Replay(one, work, observe=EachLength)
    first.run()
    assert isinstance(first.observation, EachLength)
    measured, times = first.observation.occurrences()
    others = dict(zip(measured.tolist(), (times - 1).tolist(), strict=True))

    def weigh(batch: Batch) -> NDArray[np.integer]:
        return np.array([others.get(number, 0) for number in batch.index.tolist()])

    counter = InstructionCounter(weigh)
    Replay(one, work, observe=lambda subject: EachLength(subject, counter)).run()
    executions = counter.counts[:, :, 0].astype(np.int64)
    executions[PHASES.index("access")] = 0  # its blocks are not counted
    assert executions.sum() > 5000
    np.testing.assert_array_equal(executions, by_blocks(first, one))


# --- By hand -----------------------------------------------------------------------------------

# Instructions, and of each: executions, rounds, loads, stores, bytes loaded, bytes stored.
ONE = (1, 0, 0, 0, 0, 0)
CODE: dict[str, list[tuple[str, tuple[int, ...]]]] = {
    "x86_64": [
        ("push %rdi", (1, 0, 0, 1, 0, 8)),
        ("push %rsi", (1, 0, 0, 1, 0, 8)),
        ("push %rcx", (1, 0, 0, 1, 0, 8)),
        ("sub $64, %rsp", ONE),
        ("mov %rsp, %rdi", ONE),
        ("lea 32(%rsp), %rsi", ONE),
        ("mov $3, %ecx", ONE),
        ("rep movsl", (1, 3, 3, 3, 12, 12)),
        ("rep movsb", ONE),
        ("addl $1, (%rsp)", (1, 0, 1, 1, 4, 4)),
        ("mov $5, %ecx", ONE),
        ("1: dec %ecx", (5, 0, 0, 0, 0, 0)),
        ("jnz 1b", (5, 0, 0, 0, 0, 0)),
        ("add $64, %rsp", ONE),
        ("pop %rcx", (1, 0, 1, 0, 8, 0)),
        ("pop %rsi", (1, 0, 1, 0, 8, 0)),
        ("pop %rdi", (1, 0, 1, 0, 8, 0)),
    ],
    "i386": [
        ("push %edi", (1, 0, 0, 1, 0, 4)),
        ("push %ecx", (1, 0, 0, 1, 0, 4)),
        ("sub $64, %esp", ONE),
        ("mov %esp, %edi", ONE),
        ("mov $7, %ecx", ONE),
        ("rep stosb", (1, 7, 0, 7, 0, 7)),
        ("add $64, %esp", ONE),
        ("pop %ecx", (1, 0, 1, 0, 4, 0)),
        ("pop %edi", (1, 0, 1, 0, 4, 0)),
    ],
    "aarch64": [
        ("sub sp, sp, #128", ONE),
        ("add x15, sp, #63", ONE),
        ("and x15, x15, #-64", ONE),
        ("dc zva, x15", (1, 0, 0, 1, 0, 64)),
        ("ldp x13, x14, [x15]", (1, 0, 2, 0, 16, 0)),
        ("stp w13, w14, [x15]", (1, 0, 0, 2, 0, 8)),
        ("ldxr x13, [x15]", (1, 0, 1, 0, 8, 0)),
        ("stxr w14, x13, [x15]", (1, 0, 0, 1, 0, 8)),
        ("mov x13, #5", ONE),
        ("1: subs x13, x13, #1", (5, 0, 0, 0, 0, 0)),
        ("b.ne 1b", (5, 0, 0, 0, 0, 0)),
        ("cbz xzr, 2f", ONE),
        ("nop", (0, 0, 0, 0, 0, 0)),
        ("2: add sp, sp, #128", ONE),
    ],
    "arm": [
        ("push {r4, r5, r6}", (1, 0, 0, 3, 0, 12)),
        ("cmp sp, sp", ONE),
        ("ldreq r4, [sp]", (1, 0, 1, 0, 4, 0)),
        ("ldrne r4, [sp]", ONE),
        ("strheq r4, [sp]", (1, 0, 0, 1, 0, 2)),
        ("ldrex r4, [sp]", (1, 0, 1, 0, 4, 0)),
        ("strex r5, r4, [sp]", (1, 0, 0, 1, 0, 4)),
        ("ldrd r4, r5, [sp]", (1, 0, 2, 0, 8, 0)),
        ("pop {r4, r5, r6}", (1, 0, 3, 0, 12, 0)),
    ],
    **{
        arch: [
            ("addi sp, sp, -16", ONE),
            ("sw t3, 4(sp)", (1, 0, 0, 1, 0, 4)),
            ("lhu t3, 4(sp)", (1, 0, 1, 0, 2, 0)),
            ("amoadd.w t4, t3, (sp)", (1, 0, 1, 1, 4, 4)),
            ("lr.w t4, (sp)", (1, 0, 1, 0, 4, 0)),
            ("sc.w t5, t4, (sp)", (1, 0, 0, 1, 0, 4)),
            ("li t4, 5", ONE),
            ("1: addi t4, t4, -1", (5, 0, 0, 0, 0, 0)),
            ("bnez t4, 1b", (5, 0, 0, 0, 0, 0)),
            ("addi sp, sp, 16", ONE),
        ]
        for arch in ("riscv64", "riscv32")
    },
}


@each_target
def test_instructions_by_hand(arch: str, tmp_path: Path) -> None:
    """In the unmap of one operation, and of all in a trace."""
    code = "; ".join(text for text, _ in CODE[arch])
    text = strategy("sg").path.read_text()
    assert text.endswith("{\n}\n")
    probe = f'	asm volatile(".globl zs_probe; zs_probe: {code}");'
    (tmp_path / "probe.c").write_text(text.removesuffix("}\n") + probe + "\n}\n")
    one = image(target(arch), tmp_path / "probe.c")
    start = one.address("zs_probe")
    addresses = sorted(a for a in one.instructions if a >= start)[: len(CODE[arch])]
    maps = int(busy_trace().maps.sum())
    for found, times in (
        (of_shape(one, "read:1632/2"), 1),
        (profile.of_trace(one, placed(busy_trace(), arch)), maps),
    ):
        assert [str(v) for v in found.violations] == []
        for address, (text, expected) in zip(addresses, CODE[arch], strict=True):
            assert at(found, one, address, "unmap") == tuple(times * n for n in expected), text
            for phase in ("settle", "map", "access"):
                assert not any(at(found, one, address, phase)), text


@pytest.mark.parametrize(("shape", "parts"), [("read:1632/2", (736, 944)), ("read:1632/4", None)])
def test_the_block_loop_of_a_copy(shape: str, parts: tuple[int, int] | None) -> None:
    """zs_copy() on aarch64 moves 64 bytes in a round; copy maps class_size bytes in two parts."""
    one = image(target("aarch64"), "copy")
    found = of_shape(one, shape)
    first, second = parts or (1680 - 208, 208)
    assert first + second == 1680
    start = one.address("zs_copy")
    inside = [i for a, i in sorted(one.instructions.items()) if 0 <= a - start < 132]
    (loop,) = [i for i in inside if i.text == f"b.hs #{start + 8:#x}"]
    rounds = first // 64 + second // 64
    assert at(found, one, loop.address, "map") == (rounds, 0, 0, 0, 0, 0)
    assert at(found, one, start + 8, "map") == (rounds, 0, 2 * rounds, 0, 16 * rounds, 0)
    assert inside[2].text.startswith("ldp")
    # The tail: what is left, by the bits of its length.
    (word,) = [i for i in inside if i.text == "ldr x3, [x1], #8"]
    eights = sum(length // 8 % 2 for length in (first, second))
    assert at(found, one, word.address, "map") == (eights, 0, eights, 0, 8 * eights, 0)


# --- Planted faults ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("attribute(h, INSTRUCTIONS, 1);", "if (address & 8) attribute(h, INSTRUCTIONS, 1);", 0),
        ("attribute(h, STRING_ITERATIONS, h->rows.round);", "", 1),
        ("attribute(h, LOADS + a->store, 1);", "attribute(h, LOADS, 1);", 2),
        ("attribute(h, BYTES_LOADED + a->store,", "attribute(h, BYTES_LOADED,", 4),
        ("h->profile.weight[run->operation];", "1;", 0),
    ],
)
def test_finds_planted_fault(
    old: str, new: str, column: int, edit_hooks: Callable[..., None]
) -> None:
    edit_hooks(old, new)
    one, work = image(target("x86_64"), "copy"), placed(busy_trace(), "x86_64")
    found = profile.of_trace(one, work)
    differs = (found.counts.sum(axis=1) != found.totals).any(axis=0)
    assert differs[column]
