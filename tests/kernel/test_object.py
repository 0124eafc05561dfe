# SPDX-License-Identifier: GPL-2.0-only
"""What is said of objects that cannot run."""

from pathlib import Path

import pytest

from kernel.objects import ALLOCATOR, compiled
from zsemu.errors import ZsemuError
from zsemu.kernel.facts import discover
from zsemu.kernel.link import link
from zsemu.kernel.object import load
from zsemu.kernel.target import kernel_target


def _calling(name: str) -> str:
    """Return the allocator with a call at the beginning of zs_free()."""
    first = "	find(handle, &place);\n	*slot"
    text = ALLOCATOR.read_text()
    assert first in text
    text = text.replace(first, f"	{name}();\n{first}")
    return text.replace("struct place {", f"void {name}(void);\n\nstruct place {{", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"int main(void);\n", "not an object file"),
        (b"", "not an object file"),
        (b"\x7fELF\x02\x01\x01", "truncated or damaged"),
    ],
)
def test_a_file_that_is_no_object(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "zsmalloc.o"
    path.write_bytes(content)
    with pytest.raises(ZsemuError, match=message):
        load(path)


def test_a_truncated_object(tmp_path: Path) -> None:
    path = compiled(tmp_path, "x86_64")
    content = path.read_bytes()
    for length in (100, len(content) // 2, len(content) - 100):
        path.write_bytes(content[:length])
        with pytest.raises(ZsemuError, match="truncated or damaged"):
            load(path)


def test_an_object_of_another_architecture(tmp_path: Path) -> None:
    path = compiled(tmp_path, "arm")
    with pytest.raises(ZsemuError, match="an object of arm, not of aarch64"):
        load(path, "aarch64")


def test_an_object_that_is_no_zsmalloc(tmp_path: Path) -> None:
    path = compiled(tmp_path, "x86_64", "int zs_malloc_not;\n")
    with pytest.raises(ZsemuError, match="no zsmalloc"):
        load(path)


def test_an_import_without_a_stand_in_names_who_needs_it(tmp_path: Path) -> None:
    path = compiled(tmp_path, "x86_64", _calling("something_new"))
    with pytest.raises(ZsemuError, match=r"needs something_new, for zs_free\(\)"):
        link(load(path), 12)


def test_an_object_that_makes_no_pool(tmp_path: Path) -> None:
    text = ALLOCATOR.read_text()
    assert text.count("return pool;") == 1
    path = compiled(tmp_path, "x86_64", text.replace("return pool;", "return 0;"))
    with pytest.raises(ZsemuError, match="does not run: when it makes a pool, it gets none"):
        discover(load(path))


@pytest.mark.parametrize(
    ("symbol", "option"),
    [("__asan_load8_noabort", "KASAN"), ("rt_spin_lock", "PREEMPT_RT"), ("__tsan_read8", "KCSAN")],
)
def test_configurations_that_cannot_run_are_named(tmp_path: Path, symbol: str, option: str) -> None:
    path = compiled(tmp_path, "x86_64", _calling(symbol))
    with pytest.raises(ZsemuError, match=f"CONFIG_{option}"):
        load(path)


def test_without_debug_information_the_option_is_named(tmp_path: Path) -> None:
    path = compiled(tmp_path, "x86_64", None, "-g0")
    with pytest.raises(ZsemuError, match="CONFIG_DEBUG_INFO_DWARF5"):
        discover(load(path))


def test_a_variant_of_an_architecture_has_no_objects() -> None:
    with pytest.raises(ZsemuError, match=r"has a memcpy\(\) of its own: name x86_64$"):
        kernel_target("x86_64-words")
