# SPDX-License-Identifier: GPL-2.0-only
"""Lines of source: against binutils' addr2line, and on statements whose lines are known."""

import re
import shutil
import subprocess
from pathlib import Path

import bare
import pytest

from zsemu.errors import ZsemuError
from zsemu.guest.compiler import COMPILERS, build, compiler, inputs
from zsemu.guest.debug_lines import SourceLines
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy, strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target


def code(image: Image) -> list[int]:
    """Return the addresses of all instructions of functions that have a size."""
    found = ((a, image.function(a)) for a in sorted(image.instructions))
    return [a for a, symbol in found if symbol and a < symbol.address + symbol.size]


def addr2line(image: Image, addresses: list[int]) -> list[str]:
    """Return ``file:line`` of each, or ``?`` where it knows none."""
    tool = image.target.build.gcc.removesuffix("gcc") + "addr2line"
    told = subprocess.run(
        [tool, "-e", str(image.path), *map(hex, addresses)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    bare_ = [re.sub(r" \(discriminator \d+\)$", "", Path(line).name) for line in told]
    return ["?" if re.search(r":(0|\?)$", line) else line for line in bare_]


@pytest.mark.external
@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("arch", target_names())
def test_as_addr2line_has_them(arch: str, cc: str) -> None:
    machine, one = target(arch), strategy("pgtable")
    try:
        compiler(cc, machine)
        compiler("gcc", machine)
    except ZsemuError as error:
        pytest.skip(str(error))
    image = Image(build(machine, one, cc=cc), machine)
    lines = SourceLines(image, inputs(machine, one))
    addresses = code(image)
    if cc == "clang":
        # Of assembly with an #include its DWARF 5 names two files; addr2line 2.40 takes the wrong.
        addresses = [a for a in addresses if not ((p := lines.at(a)) and p.assembly)]
    ours = [place.name if (place := lines.at(address)) else "?" for address in addresses]
    assert ours == addr2line(image, addresses)
    files = {name.partition(":")[0] for name in ours}
    assert {"pgtable.c", "zs.h", "driver.c"} <= files
    assert len(set(ours)) > 100


@pytest.mark.parametrize("arch", target_names())
def test_a_statement_is_where_it_was_written(arch: str, tmp_path: Path) -> None:
    image = bare.image(arch, "nop", tmp_path)
    one = strategy(str(tmp_path / "bare.c"))
    lines = SourceLines(image, inputs(image.target, one))
    start = image.address("zs_map_object")
    nops = [a for a in code(image) if image.instructions[a].mnemonic in ("nop", "c.nop")]
    (place,) = {lines.at(a) for a in nops if image.function(a) == image.function(start)}
    assert place
    assert (place.path, place.line, place.assembly) == (tmp_path / "bare.c", bare.LINE, False)
    assert lines.text(place) == 'asm volatile("nop");'
    # What is inlined is where it was written, too.
    inlined = {p.path.name for a in code(image) if (p := lines.at(a)) and not p.assembly}
    assert "zs.h" in inlined


@pytest.mark.parametrize("arch", target_names())
def test_assembly_is_known_as_such(arch: str) -> None:
    one, machine = strategy("swap"), target(arch)
    image = Image(build(machine, one), machine)
    lines = SourceLines(image, inputs(machine, one))
    for address in code(image):
        place, symbol = lines.at(address), image.function(address)
        assert symbol
        copies = ("zs_swap", "zs_copy", "zs_access_copy", "zs_copy_by_span")
        written = symbol.name in copies or symbol.name.startswith("zs_start")
        if written:
            assert place, hex(address)
            assert place.assembly
            mnemonic = lines.text(place).split()[0]
            assert not mnemonic.startswith(("/*", ".")), lines.text(place)
        elif place:
            assert not place.assembly


def other(one: Strategy, folder: Path) -> Strategy:
    """Return a strategy's file in another place."""
    folder.mkdir()
    return strategy(str(shutil.copy(one.path, folder / one.path.name)))


def test_a_file_is_found_where_it_lies_now(tmp_path: Path) -> None:
    """The image is the cached one of a build elsewhere, of which nothing is left."""
    machine = target("aarch64")
    first = other(strategy("swap"), tmp_path / "first")
    first.path.write_text(first.path.read_text() + "/* made elsewhere */\n")
    second = other(first, tmp_path / "second")
    path = build(machine, first)
    shutil.rmtree(first.path.parent)
    assert build(machine, second) == path
    image = Image(path, machine)
    lines = SourceLines(image, inputs(machine, second))
    places = [p for a in code(image) if (p := lines.at(a)) and p.path.name == "swap.c"]
    assert {p.path for p in places} == {second.path}
    texts = {lines.text(p) for p in places}
    assert "if (zs_spans(loc))" in texts
    assert texts <= {" ".join(line.split()) for line in second.path.read_text().split("\n")}


def test_a_file_that_is_not_known_has_no_text() -> None:
    machine, one = target("arm"), strategy("swap")
    image = Image(build(machine, one), machine)
    lines = SourceLines(image, [])
    place = next(p for a in code(image) if (p := lines.at(a)))
    assert place.line
    assert lines.text(place) == ""


def test_headers_of_the_same_name_are_told_apart() -> None:
    """Each architecture has a pgtable.h: the one that was compiled is shown."""
    for arch in target_names():
        machine, one = target(arch), strategy("pgtable")
        image = Image(build(machine, one), machine)
        lines = SourceLines(image, inputs(machine, one))
        paths = {p.path for a in code(image) if (p := lines.at(a)) and p.path.name == "pgtable.h"}
        assert {path.parent.name for path in paths} <= {arch}
