# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in a copy of a kernel's zsmalloc.c: zsemu check finds each of them."""

import re
from pathlib import Path

import pytest

from kernel.objects import ARCHS, OLDER_ARCHS, RealKernel
from zsemu import run
from zsemu.check import allocator
from zsemu.check.findings import Failure
from zsemu.check.suites import Suite
from zsemu.guest.targets import target
from zsemu.kernel.strategy import KernelStrategy, strategy
from zsemu.replay.violations import check_of

FAULTS = {
    "a copy too short": (r"(/\* copy object to per-cpu buffer)", r"sizes[1] -= 8; \1"),
    "a part from the wrong page": (
        r"(pages\[)1(\]\);\s+memcpy\(buf \+ sizes)",
        r"\g<1>0\2",
    ),
    "a lost header": (r"buf = buf \+ ZS_HANDLE_SIZE;\s+size -= \w+;\s+off \+= \w+;", ""),
    "a missing unlock": (
        r"(local_unlock\(&zs_map_area\.lock\);\s+)migrate_read_unlock\(zspage\);",
        r"\1",
    ),
    "a leak at free": (r"(unlock\(&class->lock\);\s+)cache_free_handle\(pool, handle\);", r"\1"),
    "a wrong class on the way back": (
        r"obj_free\(class->size, obj\);(\s+fullness = fix)",
        r"obj_free(class->size + 16, obj);\1",
    ),
    "a migration that forgets the second page": (
        r"(\treplace_sub_page\(class, zspage, newpage, page\);)",
        r"\tif (page == get_first_page(zspage))\n\t\1",
    ),
    "a migration that forgets objects": (
        r"(obj_idx\);\s+)(record_obj\(handle, new_obj\);)",
        r"\1if (addr == s_addr + offset) \2",
    ),
}
"""what is wrong, and how the source is changed for it: a pattern and its replacement"""


FAULTY = (("kernel", "x86_64"), ("larger_pages", "aarch64"), ("kernel", "riscv64"))
"""fixture and architecture of the objects that they are planted in"""
LONGEST = 60
"""lines that a case of one of them may have"""


def _strategy(path: Path) -> KernelStrategy:
    one = strategy(str(path))
    assert isinstance(one, KernelStrategy)
    return one


def _failures(path: Path, arch: str) -> list[Failure]:
    """Return what the first suite finds that finds anything."""
    for suite in (allocator.SEQUENCES, allocator.SLOTS, allocator.LIMITS):
        found = allocator.check(target(arch), _strategy(path), suite).failures
        if found:
            return found
    return []


@pytest.mark.external
@pytest.mark.parametrize(("kernel_name", "arch"), FAULTY)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(
    kernel_name: str, arch: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kernel: RealKernel = request.getfixturevalue(kernel_name)
    text = (kernel.tree / "mm" / "zsmalloc.c").read_text()
    changed, number = re.subn(*FAULTS[name], text, count=1)
    assert number == 1
    path = kernel.changed(tmp_path, arch, changed)
    found = _failures(path, arch)
    assert found
    for failure in found:
        # Few operations show it, and show it again.
        assert len(failure.case) <= LONGEST
        case = tmp_path / "case.txt"
        case.write_text("\n".join(failure.case))
        again = allocator.run_case(target(arch), _strategy(path), case)
        assert failure.check in map(check_of, again.violations)


@pytest.mark.external
def test_a_violation_names_the_line_of_the_source(kernel: RealKernel, tmp_path: Path) -> None:
    text = (kernel.tree / "mm" / "zsmalloc.c").read_text()
    changed, number = re.subn(*FAULTS["a wrong class on the way back"], text, count=1)
    assert number == 1
    (failure,) = _failures(kernel.changed(tmp_path, "aarch64", changed), "aarch64")
    assert re.fullmatch(r"\w+\+0x[0-9a-f]+ \(zsmalloc\.[ch]:\d+\)", failure.violation.pc)


@pytest.mark.external
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("suite", allocator.SUITES, ids=lambda suite: suite.name)
def test_the_unchanged_object_holds(kernel: RealKernel, arch: str, suite: Suite) -> None:
    assert allocator.check(target(arch), _strategy(kernel.object(arch)), suite).failures == []


@pytest.mark.external
@pytest.mark.parametrize("suite", allocator.SUITES, ids=lambda suite: suite.name)
def test_an_object_with_larger_pages_holds(larger_pages: RealKernel, suite: Suite) -> None:
    path = larger_pages.object("aarch64")
    result = allocator.check(target("aarch64"), _strategy(path), suite)
    assert result.failures == []
    assert result.operations > 0


@pytest.mark.external
@pytest.mark.parametrize("arch", OLDER_ARCHS)
def test_an_older_object_holds(older_kernel: RealKernel, arch: str) -> None:
    """All suites, and a recording of that kernel: where each object is, is what it decided."""
    path = older_kernel.object(arch)
    for suite in allocator.SUITES:
        result = allocator.check(target(arch), _strategy(path), suite)
        assert result.failures == []
        assert result.operations > 0
    (record,) = run(path, arch=arch, trace="compile-zstd").records
    assert record.intact
    assert record.geometry == "chain-4"
