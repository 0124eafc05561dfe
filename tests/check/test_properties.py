# SPDX-License-Identifier: GPL-2.0-only
"""Properties: the table of the shipped strategies is what is known of them.

Known from the strategies' own descriptions and from the debate: of the copy, "Only one object can
be mapped per cpu at a time. There is no protection against nested mappings."
(1341263752-10210-2-git-send-email-sjenning@linux.vnet.ibm.com); of the swap, "you wouldn't be able
to map ob2 while ob1 was mapped" (4FFDE2E2.7050901@linux.vnet.ibm.com), and that the displaced bytes
are the neighbour's first ones, with its free-list link and header.
"""

import re
from functools import cache
from pathlib import Path

import pytest
from readme import REFERENCE
from samples import image

from zsemu.check.properties import Property, measure
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import PROMISES, names, strategy
from zsemu.guest.targets import target
from zsemu.reports import property_table
from zsemu.zsmalloc.geometry import geometry

BEHIND = tuple(
    f"while mapped, slot behind: {action}"
    for action in ("map", "write", "free (header, link)", "allocate (link, header)", "compaction")
)
BEFORE = tuple(f"while mapped, slot before: {action}" for action in ("map", "write", "compaction"))
NEIGHBOURS = "two neighbours on two CPUs"
SAME = "the same object on two CPUs"
PER_CPU = ("two objects nested on one CPU", "unmap on another CPU than map")
MOVED = "raw move to a slot split elsewhere"

KNOWN = {
    "pgtable": {*PER_CPU},
    "copy": {"ro-clean", *PER_CPU},
    "copy-modes": {"no-leak", *PER_CPU},
    "swap": {"ro-clean", "neighbour-clean", *BEHIND, NEIGHBOURS, SAME, MOVED},
    "swap-min": {"ro-clean", "neighbour-clean", *BEFORE, *BEHIND, NEIGHBOURS, SAME, MOVED},
    "swap-lazy": {*PROMISES, *BEHIND, NEIGHBOURS, MOVED},
    "readwrite": set(),
    "sg": set(),
}
"""what does not hold"""
UNALIGNED = "unaligned accesses of its own"
SLACK = "loads slack, which nobody wrote"
UNWRITTEN = "loads its buffer unwritten"
LOADS = {
    # Whole slots are copied, or exchanged.
    SLACK: {"copy", "copy-modes", "swap", "swap-min", "swap-lazy"},
    # What a writer has not written is copied out with the rest.
    UNWRITTEN: {"copy-modes"},
}
"""who loads what nobody wrote"""
HABITS = {UNALIGNED, *LOADS}
"""of which none is wrong"""

# measured() is cached in a process.
pytestmark = pytest.mark.xdist_group("properties")


@cache
def measured(name: str, arch: str = "aarch64") -> dict[str, Property]:
    machine = target(arch)
    one = geometry(
        "chain-8",
        page_size=4096,
        word_bits=machine.word_bits,
        physical_bits=machine.physical_bits,
    )
    return {found.name: found for found in measure(image(machine, name), one)}


@pytest.mark.parametrize("name", names())
def test_table_is_what_is_known(name: str) -> None:
    found = measured(name)
    lacking = {key for key, one in found.items() if one.value == "no"} - HABITS
    assert lacking == KNOWN[name]
    assert set().union(*KNOWN.values()) <= set(found)


def test_the_manual_shows_this_table() -> None:
    """It names the command, of which tests/cli/test_cli_check.py shows what it prints."""
    manual = REFERENCE.read_text()
    assert "`zsemu check --arch aarch64 -k properties`" in manual
    shown = re.search(r"^```\n(properties.*?)^```", manual, re.MULTILINE | re.DOTALL)
    assert shown
    found = {"aarch64": {name: tuple(measured(name).values()) for name in names()}}
    assert "\n".join(property_table.lines(found, 100)).startswith(shown[1].rstrip())
    assert len(shown[1].splitlines()) > 25


@pytest.mark.parametrize("name", names())
def test_promises_are_kept(name: str) -> None:
    for promise in strategy(name).promises:
        assert measured(name)[promise].value == "yes"


@pytest.mark.parametrize("name", names())
def test_every_no_is_shown(name: str) -> None:
    for key, one in measured(name).items():
        if key in HABITS:
            assert bool(one.shown_by) == (one.value == "yes")
        else:
            assert bool(one.shown_by) == (one.value == "no"), key


def test_all_strategies_have_the_same_properties_in_the_same_order() -> None:
    assert len({tuple(measured(name)) for name in names()}) == 1


def test_per_cpu_memory() -> None:
    # The largest class that spans: 3632 bytes (chain-8); header and payload of it are copied.
    for name in names():
        found = measured(name)
        buffer = found["per-CPU buffer, bytes"].value
        assert buffer == ("3632" if name in ("copy", "copy-modes") else "0"), name
        window = found["per-CPU window, pages"].value
        assert window == ("2" if name == "pgtable" else "0"), name
        assert found["per-CPU words"].value == "0", name


def edited(path: Path, code: str) -> dict[str, Property]:
    """Measure ``sg`` with some more code at the beginning of its map, on AArch64."""
    text = strategy("sg").path.read_text()
    old = "	if (loc->length <= first)\n"
    assert text.count(old) == 1
    path.write_text(text.replace(old, f"	{code}\n{old}"))
    machine = target("aarch64")
    one = geometry("chain-8", physical_bits=machine.physical_bits)
    built = Image(build(machine, strategy(str(path))), machine)
    return {found.name: found for found in measure(built, one)}


@pytest.mark.usefixtures("few_classes")
def test_unaligned_accesses_are_shown(tmp_path: Path) -> None:
    load = "(void)*(volatile unsigned long *)(zs_payload(loc) + 1)"
    found = edited(tmp_path / "odd.c", f"if (loc->length > 16 && first > 16)\n		{load};")
    assert found[UNALIGNED].value == "yes"
    assert found[UNALIGNED].shown_by == "write of slot 0 of class 32"


@pytest.mark.usefixtures("few_classes")
def test_what_a_strategy_does_not_get_to_is_not_told(tmp_path: Path) -> None:
    found = edited(tmp_path / "wild.c", "if (loc->length == 1)\n		*(volatile char *)0 = 1;")
    for name in (*PROMISES, *HABITS, "per-CPU words"):
        assert found[name].value == "?"
        assert found[name].shown_by.startswith("fault, ")


@pytest.mark.parametrize("habit", LOADS)
def test_loads_of_what_nobody_wrote(habit: str) -> None:
    assert {name for name in names() if measured(name)[habit].value == "yes"} == LOADS[habit]


@pytest.mark.usefixtures("few_classes")
def test_loads_of_slack_and_buffer_are_shown(tmp_path: Path) -> None:
    free = "loc->header + loc->length < loc->zspage->class_size && !zs_spans(loc)"
    slack = f"if ({free})\n		(void)*(volatile char *)(zs_payload(loc) + loc->length);"
    found = edited(tmp_path / "slack.c", slack)
    assert (found[SLACK].value, found[UNWRITTEN].value) == ("yes", "no")
    used = "area->buffer[0] = 1;\n	(void)*(volatile char *)(area->buffer + %d)"
    assert edited(tmp_path / "unwritten.c", f"{used % 1};")[UNWRITTEN].value == "yes"
    assert edited(tmp_path / "written.c", f"{used % 0};")[UNWRITTEN].value == "no"


def test_none_makes_unaligned_accesses() -> None:
    assert {measured(name)[UNALIGNED].value for name in names()} == {"no"}


@pytest.mark.parametrize("name", ["copy", "swap-min", "sg"])
def test_other_architectures_agree(name: str) -> None:
    values = [one.value for one in measured(name, "arm").values()]
    assert values == [one.value for one in measured(name).values()]
