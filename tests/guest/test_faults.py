# SPDX-License-Identifier: GPL-2.0-only
"""Faults are told as an oops tells them: the access, the address, what lies there, who called."""

from pathlib import Path

import pytest
from faulty.cases import once

from zsemu.guest import watchdog
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names, target
from zsemu.replay.observation import Listener, StrictTranslations
from zsemu.replay.replay import Replay, Trial
from zsemu.replay.violations import FAULT, STRAY, Violation

_MAP = "	if (!zs_spans(loc))\n		return zs_one_span(span, zs_payload(loc), loc);\n"
_HELPER = """static __attribute__((noinline)) void helper(char *at)
{
	*(volatile char *)at = 1;
}

u32 zs_map_object("""


def planted(arch: str, code: str, folder: Path, first: str = "") -> Image:
    """Return ``copy`` with some code in its map, and ``first`` before its functions."""
    text = strategy("copy").path.read_text()
    assert text.count(_MAP) == text.count("u32 zs_map_object(") == 1
    path = folder / "planted.c"
    text = text.replace(_MAP, f"{_MAP}	{code}\n").replace(
        "u32 zs_map_object(", f"{first}\n{_HELPER}"
    )
    path.write_text(text)
    machine, checked = target(arch), strategy(str(path))
    return Image(build(machine, checked), machine)


def fault(arch: str, code: str, folder: Path, kind: type[Replay] = Trial) -> Violation:
    """Run planted() for one object on CPU 0; return what stops it."""
    image = planted(arch, code, folder)
    (found, *_) = kind(image, once.work(arch), observe=StrictTranslations).run().violations
    assert found.kind == FAULT
    return found


@pytest.mark.parametrize("arch", names())
@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "(void)*(volatile char *)(area->buffer + PAGE_SIZE + 8);",
            ("read at ", "the guard page behind the per-CPU buffer of CPU 0, byte 0x8"),
        ),
        (
            "*(volatile u32 *)(area->buffer + PAGE_SIZE) = 1;",
            ("write at ", "the guard page behind the per-CPU buffer of CPU 0, byte 0x0"),
        ),
        ("*(volatile char *)area->window = 1;", ("write at ", "window of CPU 0, page 0: not pr")),
        (
            "(void)area->window[2 * PAGE_SIZE];\n	(void)*(volatile char *)(area->window - 1);",
            ("read at ", "the guard page before the window of CPU 0"),
        ),
        ("((volatile char *)0)[16] = 1;", ("write at 0x10, ", "a null pointer's page")),
        ("*(volatile char *)zs_copy = 1;", ("write at ", "the code, byte ")),
        ("((void (*)(void))area->buffer)();", ("fetch at ", "the per-CPU buffer, CPU 0, byte 0x0")),
        (
            "(void)*(volatile char *)(zs_page_address(zspage, loc->page) + PAGE_SIZE + 1);",
            ("read at ", "the guard page behind page 0 of the pool, byte 0x1"),
        ),
    ],
    ids=["read", "write", "window", "guard", "null", "code", "fetch", "pool"],
)
def test_what_was_refused_and_what_lies_there(
    arch: str, code: str, told: tuple[str, str], tmp_path: Path
) -> None:
    found = fault(arch, code, tmp_path)
    assert found.detail.startswith(told[0])
    assert told[1] in found.detail
    function, _, line = found.pc.partition(" ")
    assert function.startswith("zs_map_object+0x")
    assert line.startswith("(planted.c:")
    assert found.calls == ()


@pytest.mark.parametrize("arch", names())
def test_the_chain_of_calls(arch: str, tmp_path: Path) -> None:
    found = fault(arch, "helper(area->buffer + PAGE_SIZE);", tmp_path)
    assert found.pc.startswith("helper+0x")
    (call,) = found.calls
    assert call.startswith("zs_map_object+0x")
    copied = fault(arch, "zs_copy(area->buffer + PAGE_SIZE, caller, 64);", tmp_path)
    assert copied.pc.startswith("zs_copy+0x")
    assert copied.calls[0].startswith("zs_map_object+0x")
    assert "write at" in copied.detail


@pytest.mark.parametrize("arch", names())
def test_no_memory_at_all(arch: str, tmp_path: Path) -> None:
    code = "__builtin_trap();"
    assert fault(arch, code, tmp_path).detail == "exception that is none of memory"


@pytest.mark.parametrize("number", ["~0UL", "~0UL / 512", "600"])
@pytest.mark.parametrize("arch", names())
def test_the_driver_has_lost_count(
    arch: str, number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stray store may change what says which operation runs, to anything."""
    code = (
        f"extern unsigned long zs_batch[];\n	((volatile unsigned long *)zs_batch)[3] = {number};"
    )
    image = planted(arch, code, tmp_path)
    stray, stop = Trial(image, once.work(arch), observe=StrictTranslations).run().violations
    assert stray.kind == STRAY and "static data" in stray.detail
    assert stop.kind == FAULT and "of its batch is overwritten" in stop.detail
    assert stop.operation == stray.operation
    # And where nobody observes it, as if all shapes were known.
    monkeypatch.setattr(Listener, "samples", 0)
    replay = Replay(image, once.work(arch))
    memory = replay.machines.memory
    memory.ram[memory.known : memory.known + 100] = 1
    (found,) = replay.run().violations
    assert (found.kind, found.detail, found.operation) == (stop.kind, stop.detail, stop.operation)


@pytest.mark.parametrize("kind", [Replay, Trial])
@pytest.mark.parametrize("arch", names())
def test_the_driver_ends_too_early(arch: str, kind: type[Replay], tmp_path: Path) -> None:
    """As if the batch had no more operations."""
    code = "extern unsigned long zs_batch[];\n	((volatile unsigned long *)zs_batch)[2] = 0;"
    stray, stop = kind(planted(arch, code, tmp_path), once.work(arch)).run().violations
    assert stray.kind == STRAY
    assert stop.kind == FAULT and "of its batch is overwritten" in stop.detail
    assert stop.operation == stray.operation + 1


@pytest.mark.parametrize("value", [0, 9, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("arch", names())
def test_whatever_a_stray_store_changes(
    arch: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the driver keeps, word by word: the run ends, and something is found wrong."""
    monkeypatch.setattr(watchdog, "PATIENCE", 0.2)
    monkeypatch.setattr(watchdog, "POLL", 0.05)
    code = f"if (mode == ZS_MM_WO)\n		*(volatile u32 *)stray = {value}U;"
    image = planted(arch, code, tmp_path, "extern struct zs_batch *zs_next_batch;\nchar *stray;")
    for name, words in (("zs_batch", 11), ("zs_next_batch", 1), ("zs_by_span", 12)):
        for at in range(words):
            replay = Trial(image, once.work(arch))
            memory = replay.machines.memory
            stray = memory.view_symbol("stray", memory.types.word)
            stray[0] = image.address(name) + at * memory.target.word
            assert replay.run().violation_count, (name, at)


def test_a_replay_by_shape_tells_the_same(tmp_path: Path) -> None:
    """The counting CPU does not know the instruction: a second replay does."""
    text = strategy("copy").path.read_text()
    path = tmp_path / "late.c"
    path.write_text(
        text.replace(
            _MAP, f"{_MAP}	if (mode == ZS_MM_RO)\n		area->buffer[PAGE_SIZE] = 1;\n"
        )
    )
    machine = target("riscv64")
    image = Image(build(machine, strategy(str(path))), machine)
    (found, *_) = Replay(image, once.work("riscv64")).run().violations
    assert "the guard page behind the per-CPU buffer of CPU 1" in found.detail
    assert "(late.c:" in found.pc
