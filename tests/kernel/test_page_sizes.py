# SPDX-License-Identifier: GPL-2.0-only
"""Objects of kernels whose pages are larger than 4 KiB, or whose chains have another length."""

import re
import shutil
from pathlib import Path

import pytest

import zsemu
from kernel.objects import ALLOCATOR, compiled
from zsemu.check import allocator
from zsemu.cli import main
from zsemu.errors import ZsemuError
from zsemu.guest.targets import names, target
from zsemu.kernel.facts import discover
from zsemu.kernel.object import load
from zsemu.kernel.steps import Step, as_trace
from zsemu.kernel.strategy import KernelStrategy, strategy
from zsemu.kernel.target import AddressLayout, kernel_target
from zsemu.replay.violations import FAULT, WRONG_BYTES
from zsemu.zsmalloc.geometry import geometry

ARCH = "aarch64"
SHORT = "memcpy(buffer + part, address(place.page[1]), bytes - part);"


def _strategy(path: Path) -> KernelStrategy:
    one = strategy(str(path))
    assert isinstance(one, KernelStrategy)
    return one


@pytest.mark.parametrize("page_shift", [14, 16])
def test_it_tells_its_pages_and_is_compared_on_them(page_shift: int, tmp_path: Path) -> None:
    page = 1 << page_shift
    path = compiled(tmp_path, ARCH, page_shift=page_shift)
    classes = geometry("chain-8", page_size=page)
    lengths = [page // 40, page // 4, classes.huge_class_size - 1, page]
    steps = [
        Step(action, number, lengths[number % len(lengths)], number % 2)
        for number in range(60)
        for action in ("allocate", "write", "update", "read")
    ]
    trace = as_trace(steps, classes)
    document = zsemu.run("copy-modes", f"mine={path}", arch=ARCH, trace=trace, page_size=page)
    assert document.intact, [str(v) for record in document.records for v in record.violations]
    ours, mine = document.records
    assert (mine.page_size, mine.geometry) == (page, "chain-8")
    assert ours.scope_maps == mine.scope_maps
    # Every byte is copied twice out of the pool and twice into it, and each access is told apart.
    moved = 2 * sum(lengths) * 60 // len(lengths)
    for phases, source, destination in (
        (("map", "access"), "pool", "caller"),
        (("unmap",), "caller", "pool"),
    ):
        assert mine.sum(f"copy.regions.{source}.bytes_loaded", phases=phases) == moved
        assert mine.sum(f"copy.regions.{destination}.bytes_stored", phases=phases) == moved


@pytest.mark.parametrize(
    ("wrong", "check", "detail"),
    [
        (SHORT.replace("buffer + part", "buffer + part - 1"), WRONG_BYTES, ".*"),
        (
            f"(void)*(volatile char *)(address(place.page[0]) + PAGE);\n{SHORT}",
            FAULT,
            "read at 0x[0-9a-f]+, the page behind page frame 0x[0-9a-f]+ of the pool, byte 0x0",
        ),
    ],
    ids=["one byte too few", "one byte behind the page"],
)
def test_a_planted_fault_is_found(wrong: str, check: str, detail: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, ARCH, ALLOCATOR.read_text().replace(SHORT, wrong), page_shift=14)
    found = allocator.check(target(ARCH), _strategy(path), allocator.SLOTS).failures
    (failure,) = (one for one in found if one.check == check)
    assert re.fullmatch(detail, failure.violation.detail)
    assert len(failure.case) <= 5


@pytest.mark.parametrize(
    ("chain", "name"), [(4, "chain-4-of-6.3"), (6, "chain-6"), (16, "chain-16")]
)
def test_it_tells_the_length_of_its_chains(chain: int, name: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, ARCH, None, f"-DCHAIN={chain}", page_shift=14)
    facts = discover(load(path))
    assert (facts.geometry.name, facts.geometry.page_size) == (name, 16384)
    assert allocator.check(target(ARCH), _strategy(path), allocator.LIMITS).failures == []


@pytest.mark.parametrize(
    ("arch", "page_shift", "message"),
    [
        (
            ARCH,
            13,
            "largest size class has 8192 bytes, and aarch64 has pages of 4096, 16384, 65536",
        ),
        ("x86_64", 14, "largest size class has 16384 bytes, and x86_64 has pages of 4096$"),
    ],
)
def test_pages_that_the_mmu_has_not(
    arch: str, page_shift: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ZsemuError, match=message):
        discover(load(compiled(tmp_path, arch, page_shift=page_shift)))


def test_another_page_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled(tmp_path / "mine" / ARCH, ARCH, page_shift=14)
    compiled(tmp_path / "mine" / "arm", "arm")
    named = ["compare", "--strategy", str(tmp_path / "mine")]
    assert main(named) == 2
    assert "on aarch64, a kernel with pages of 16384 bytes, not of 4096" in capsys.readouterr().err
    assert main([*named, "--page-size", "16384"]) == 2
    assert "on arm, a kernel with pages of 4096 bytes, not of 16384" in capsys.readouterr().err
    assert main(["kernel", "show", str(tmp_path / "mine" / ARCH / "zsmalloc.o")]) == 0
    assert re.search("^pages +16384 bytes$", capsys.readouterr().out, re.MULTILINE)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what looks like a kernel's source, where all tools seem to be installed."""
    (tmp_path / "mm").mkdir()
    (tmp_path / "mm" / "zsmalloc.c").touch()
    (tmp_path / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n")
    monkeypatch.setattr(shutil, "which", lambda program: program)
    return str(tmp_path)


def test_build_chooses_the_pages(tree: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "build", tree, "-o", "out", "-n", "--page-size", "16384"]) == 0
    told = capsys.readouterr().out
    assert "-d ARM64_4K_PAGES -e ARM64_16K_PAGES -d ARM64_64K_PAGES" in told
    assert re.findall(r"^# .*/out/(.*)$", told, re.MULTILINE) == ["aarch64/zsmalloc.o"]
    assert main(["kernel", "build", tree, "-o", "out", "-n"]) == 0
    told = capsys.readouterr().out
    assert "K_PAGES" not in told
    assert told.count("\n# ") == len(names())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--page-size", "16384", "--arch", "arm"],
            "arm has no pages of 16384 bytes, only of 4096",
        ),
        (["--page-size", "8192"], "no architecture has pages of 8192 bytes"),
        (["--page-size", "16384", "--config", "mine"], "leave out --page-size"),
    ],
)
def test_build_refuses_other_pages(
    tree: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kernel", "build", tree, "-o", "out", "-n", *options]) == 2
    assert message in capsys.readouterr().err


# Where arm64 kernels expect struct page.


def _memmap(va_bits: int, page_shift: int, since_6_9: bool, memstart: int) -> int:
    """Return the address of the ``struct page`` of frame 0: arch/arm64/include/asm/memory.h.

    VMEMMAP_START of 6.1 and of 6.12, and vmemmap, which moves it by memstart_addr.
    """
    page = 64
    smallest = (47 if page_shift == 14 else 48) if va_bits == 52 else va_bits
    begin, end = -(1 << va_bits), -(1 << smallest - 1)
    if since_6_9:
        start = -(1 << 30) - (end - begin >> page_shift) * page
    else:
        start = -(1 << va_bits - (page_shift - 6))
    return start - (memstart >> page_shift) * page


@pytest.mark.parametrize("layout", kernel_target(ARCH).layouts, ids=lambda layout: layout.name)
def test_address_layouts_are_those_of_the_kernel(layout: AddressLayout) -> None:
    found = re.fullmatch(r"VA_BITS=(\d+)(?:, (\d+) KiB)?, (from 6\.9|to 6\.8)", layout.name)
    assert found
    va_bits, pages = int(found[1]), int(found[2] or 4) << 10
    assert layout.page_shift == pages.bit_length() - 1
    memstart = layout.set["memstart_addr"] - (1 << 64)  # an s64
    assert layout.linear == (-(1 << va_bits) - memstart) % (1 << 64)
    known = _memmap(va_bits, layout.page_shift, found[3] == "from 6.9", memstart)
    assert layout.memmap == known % (1 << 64)
