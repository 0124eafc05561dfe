# SPDX-License-Identifier: GPL-2.0-only
"""Building images: that they are what a kernel's compiler makes, and that none is built twice.

The file is long because its tests share a cache into which nothing else compiles.
"""

import bisect
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bare
import pytest
from elftools.elf.elffile import ELFFile
from samples import busy_trace, placed

from zsemu.errors import ZsemuError
from zsemu.guest import compiler as build_module
from zsemu.guest import hooks
from zsemu.guest.compiler import COMPILERS, build, compiler
from zsemu.guest.image import Image
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import Target, target
from zsemu.guest.targets import names as target_names
from zsemu.paths import ARCH, cache
from zsemu.replay.replay import Replay

Edit = Callable[[str, str], None]

each_target = pytest.mark.parametrize("arch", target_names())
each_compiler = pytest.mark.parametrize(
    "cc",
    [pytest.param(cc, marks=pytest.mark.external if cc != "zig" else ()) for cc in COMPILERS],
)


def require(cc: str, target: Target) -> None:
    if cc != "zig":
        try:
            compiler(cc, target)
        except ZsemuError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def usual_cache() -> Path:
    """Return the cache that all other modules use."""
    return cache()


@pytest.fixture(scope="module", autouse=True)
def own_cache(usual_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let this module compile every image itself, once."""
    folder = tmp_path_factory.mktemp("cache")
    # But the hooks only if nobody has: test_hooks_are_built_once() looks at how they are compiled.
    hooks.build_library()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZSEMU_CACHE", str(folder))
        yield folder


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give one test a cache that nothing is in."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ZSEMU_CACHE", str(folder))
    return folder


@dataclass(frozen=True)
class Shipped:
    """An image of a shipped strategy, just compiled."""

    path: Path
    said: list[str]
    """what the compiler wrote, by run"""
    written: set[Path]
    """what is new in the folder of images"""


class Compiled:
    """Compiles shipped strategies, each once, in a cache that nothing else is compiled into."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._known: dict[tuple[str, str, str], Shipped] = {}

    def __call__(self, arch: str, name: str, cc: str) -> Shipped:
        key = (arch, name, cc)
        if key not in self._known:
            self._known[key] = self._compile(*key)
        return self._known[key]

    def _compile(self, arch: str, name: str, cc: str) -> Shipped:
        said = []
        really_run = build_module.run

        def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
            done = really_run(command)
            said.append(done.stdout + done.stderr)
            return done

        compiler(cc, target(arch))  # asks for the version, once a process
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ZSEMU_CACHE", str(self.cache))
            patch.setattr(build_module, "run", run)
            before = set(self.cache.glob("images/*"))
            path = build(target(arch), strategy(name), cc=cc)
        return Shipped(path, said, set(self.cache.glob("images/*")) - before)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return Compiled(tmp_path_factory.mktemp("compiled"))


class FakeCompiler:
    """Stands in for zsemu.guest.compiler.run(): succeeds without doing anything."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(command))
        return subprocess.CompletedProcess(command, 0, stdout="1.0\n", stderr="")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCompiler:
    compiler("zig", target("x86_64"))  # asks for the version, once a process
    stand_in = FakeCompiler()
    monkeypatch.setattr(build_module, "run", stand_in)
    return stand_in


# --- What is in an image ----------------------------------------------------------------------

# Below the stack pointer, and not a push: what an interrupt on the same stack would overwrite.
RED_ZONE = {
    "x86_64": r"\[[re]sp - ",
    "i386": r"\[[re]sp - ",
    "aarch64": r"\[sp, #-\w+\](?!!)",
    "arm": r"\[sp, #-\w+\](?!!)",
    "riscv64": r"-\w+\(sp\)",
    "riscv32": r"-\w+\(sp\)",
}
LINKERS_OWN = {"_GLOBAL_OFFSET_TABLE_", "__global_pointer$"}


def faults(image: Image) -> set[str]:
    """Return what a kernel's image would not have, each as ``rule: what``.

    Everything but the decoding of instructions is read from the file by pyelftools here.
    """
    found = set()
    with image.path.open("rb") as stream:
        elf: Any = ELFFile(stream)
        if elf["e_type"] != "ET_EXEC":
            found.add(f"type: {elf['e_type']}")
        for section in elf.iter_sections():
            if section["sh_flags"] & 2 and section.name not in {".text", ".stop", ".data"}:
                found.add(f"section: {section.name}")
        text = elf.get_section_by_name(".text")
        symbols = list(elf.get_section_by_name(".symtab").iter_symbols())

    marks = sorted((s["st_value"], s.name[:2]) for s in symbols if re.match(r"\$[adtx]", s.name))

    def is_literal(address: int) -> bool:
        index = bisect.bisect_right(marks, (address, "$z")) - 1
        return index >= 0 and marks[index][1] == "$d"

    for symbol in symbols:
        is_global = symbol["st_info"]["bind"] != "STB_LOCAL"
        if is_global and not symbol.name.startswith("zs_") and symbol.name not in LINKERS_OWN:
            found.add(f"symbol: {symbol.name}")
        if symbol.name and symbol["st_shndx"] == "SHN_UNDEF" and symbol.name != "zs_settle":
            found.add(f"undefined: {symbol.name}")
        if symbol["st_info"]["type"] == "STT_FUNC" and text["sh_addr"] <= symbol["st_value"]:
            address, end = symbol["st_value"], symbol["st_value"] + symbol["st_size"]
            while address < end:
                instruction = image.instructions.get(address)
                if instruction is None and not is_literal(address):
                    # It could be anything, so it could be what is looked for.
                    found.add(f"unknown: {symbol.name}")
                address += instruction.size if instruction else 1

    for instruction in image.instructions.values():
        if image.target.instructions.vector.search(instruction.text):
            found.add(f"vector: {instruction.text}")
        if re.search(RED_ZONE[image.target.name], instruction.text):
            found.add(f"red zone: {instruction.text}")
    return found


@each_compiler
@pytest.mark.parametrize("name", strategy_names())
@each_target
def test_every_image(arch: str, name: str, cc: str, compiled: Compiled) -> None:
    """It compiles without a warning and holds nothing that a kernel's image would not."""
    require(cc, target(arch))
    image = compiled(arch, name, cc)
    assert image.said == [""]
    assert image.written == {image.path}
    assert faults(Image(image.path, target(arch))) == set()


TEMPTING = """
#define GLOBAL(name) __attribute__((noinline)) name; __attribute__((noinline)) name
GLOBAL(void zs_vectors(u32 *restrict a, const u32 *restrict b))
{
        for (u32 i = 0; i < 1024; i++) a[i] += 3 * b[i];
}
GLOBAL(void zs_copies(char *a, const char *restrict b, unsigned long n))
{
        for (unsigned long i = 0; i < n; i++) a[i] = b[i];
}
GLOBAL(void zs_fills(char *a, unsigned long n))
{
        for (unsigned long i = 0; i < n; i++) a[i] = 0;
}
GLOBAL(u32 zs_red_zone(u32 n)) { volatile u32 a[4]; a[n & 3] = n; return a[0]; }
GLOBAL(char zs_protector(u32 n)) { char a[64]; zs_fills(a, n); return a[n]; }
"""
TEMPTED = (
    "zs_vectors(caller, (u32 *)area->buffer); zs_copies(caller, area->buffer, loc->length);"
    "area->private[0] = zs_red_zone(loc->slot) + zs_protector(loc->length)"
)


@each_compiler
@each_target
def test_where_the_compiler_is_tempted(arch: str, cc: str, tmp_path: Path) -> None:
    """Code of which it would make vectors, library calls or use of the red zone if it could."""
    require(cc, target(arch))
    file = tmp_path / "tempting.c"
    file.write_text(bare.source(TEMPTED).replace("u32 zs_map", f"{TEMPTING}u32 zs_map", 1))
    image = Image(build(target(arch), strategy(str(file)), cc=cc), target(arch))
    assert faults(image) == set()
    for name in re.findall(r"GLOBAL\(\w+ (\w+)", TEMPTING):
        assert image.symbols[name].size > 0


@each_compiler
@each_target
def test_every_page_size(arch: str, cc: str) -> None:
    require(cc, target(arch))
    images = {
        build(target(arch), strategy("copy"), cc=cc, page_shift=shift)
        for shift in (12, 14, 16)
        if shift in target(arch).page_shifts
    }
    assert len(images) == len(target(arch).page_shifts)


@each_compiler
@each_target
def test_every_image_runs(arch: str, cc: str, compiled: Compiled) -> None:
    """What each compiler makes of every strategy keeps all objects of a small trace intact."""
    require(cc, target(arch))
    for name in strategy_names():
        image = Image(compiled(arch, name, cc).path, target(arch))
        outcome = Replay(image, placed(busy_trace(200), arch)).run()
        assert [str(violation) for violation in outcome.violations] == []
        assert outcome.violation_count == 0


@pytest.mark.parametrize(
    ("arch", "assembly", "fault"),
    [
        ("x86_64", "movups (%rsi), %xmm0", "vector: movups xmm0, xmmword ptr [rsi]"),
        ("x86_64", "vzeroupper", "vector: vzeroupper"),
        ("x86_64", "fninit", "vector: fninit"),
        ("i386", "movq (%edx), %mm3", "vector: movq mm3, qword ptr [edx]"),
        ("i386", "faddp", "vector: faddp st(1)"),
        ("i386", "emms", "vector: emms"),
        ("aarch64", ".arch_extension fp; ldr q0, [x1]", "vector: ldr q0, [x1]"),
        ("aarch64", ".inst 0x1e6e1000", "vector: fmov d0, #1.00000000"),
        ("aarch64", ".inst 0x2518e3e0", "vector: ptrue p0.b"),
        ("arm", ".fpu neon; vld1.8 {d0}, [r1]", "vector: vld1.8 {d0}, [r1]"),
        ("arm", ".inst 0xeef1fa10", "vector: vmrs apsr_nzcv, fpscr"),
        ("riscv64", ".option arch, +d; fld fa0, (a1)", "vector: c.fld fa0, 0(a1)"),
        ("riscv64", ".insn 0x022180d7", "unknown: zs_map_object"),  # vadd.vv v1, v2, v3
        ("riscv32", ".option arch, +f; flw fa0, (a1)", "vector: c.flw fa0, 0(a1)"),
        ("riscv32", ".option arch, +f; frcsr a0", "vector: frcsr a0"),
        ("x86_64", "movq %rax, -8(%rsp)", "red zone: mov qword ptr [rsp - 8], rax"),
        ("i386", "movl %eax, -4(%esp)", "red zone: mov dword ptr [esp - 4], eax"),
        ("aarch64", "str x0, [sp, #-8]", "red zone: stur x0, [sp, #-8]"),
        ("arm", "str r0, [sp, #-4]", "red zone: str r0, [sp, #-4]"),
        ("riscv64", "sd a0, -8(sp)", "red zone: sd a0, -8(sp)"),
        ("riscv32", "sw a0, -4(sp)", "red zone: sw a0, -4(sp)"),
        (
            "x86_64",
            'mov 1f(%rip), %eax; .section .extra, "a"; 1: .long 1; .text',
            "section: .extra",
        ),
        ("arm", ".globl memcpy; memcpy:", "symbol: memcpy"),
        (
            "riscv64",
            ".weak __stack_chk_fail; la a0, __stack_chk_fail",
            "symbol: __stack_chk_fail + undefined: __stack_chk_fail",
        ),
    ],
)
def test_finds_planted_instruction(arch: str, assembly: str, fault: str, tmp_path: Path) -> None:
    found = faults(bare.image(arch, assembly, tmp_path))
    assert found == set(fault.split(" + "))


@pytest.mark.parametrize(
    ("arch", "assembly", "vector"),
    [
        ("arm", "b 1f; .long 0xf421070f; 1:", "vld1.8 {d0}, [r1]"),
        ("aarch64", "b 1f; .long 0x3dc00020; 1:", "ldr q0, [x1]"),
        ("riscv64", "j 1f; .long 0x0005b507; 1:", "fld fa0, 0(a1)"),
    ],
)
def test_literals_are_no_instructions(
    arch: str, assembly: str, vector: str, tmp_path: Path
) -> None:
    assert faults(bare.image(arch, assembly, tmp_path)) == set()
    as_code = assembly.replace(".long", ".insn" if arch == "riscv64" else ".inst")
    assert faults(bare.image(arch, as_code, tmp_path)) == {f"vector: {vector}"}


# --- Nothing is built twice -------------------------------------------------------------------


@each_target
def test_second_build_compiles_nothing(
    arch: str, compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {name: compiled(arch, name, "zig").path for name in strategy_names()}
    monkeypatch.setenv("ZSEMU_CACHE", str(compiled.cache))
    times = {path: path.stat().st_mtime_ns for path in first.values()}

    def refuse(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        raise AssertionError(f"compiled again: {command}")

    monkeypatch.setattr(build_module, "run", refuse)
    assert {name: build(target(arch), strategy(name)) for name in strategy_names()} == first
    assert {path: path.stat().st_mtime_ns for path in first.values()} == times
    with pytest.raises(AssertionError, match="compiled again"):
        build(target(arch), strategy("copy"), page_shift=13)


@pytest.mark.parametrize(
    "file",
    [
        "zs.h",
        "driver.h",
        "driver.c",
        "boot.c",
        "image.lds",
        "riscv64/entry.S",
        "riscv64/copy.S",
        "riscv64/swap.S",
        "riscv64/pgtable.h",
        "riscv/copy-common.h",
        "strategies/copy.c",
    ],
)
def test_sources_are_in_the_key(
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_cache: Path,
    fake: FakeCompiler,
) -> None:
    copy = tmp_path / "arch"
    shutil.copytree(ARCH, copy)
    monkeypatch.setattr(build_module, "ARCH", copy)
    mine = replace(strategy("copy"), path=copy / "strategies" / "copy.c")
    before = build(target("riscv64"), mine)
    original = (copy / file).read_bytes()
    (copy / file).write_bytes(original + b"\n")
    assert build(target("riscv64"), mine) != before
    (copy / file).write_bytes(original)
    assert build(target("riscv64"), mine) == before
    assert len(fake.commands) == 2


def test_flags_and_version_are_in_the_key(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path, fake: FakeCompiler
) -> None:
    machine, copy = target("aarch64"), strategy("copy")

    def with_build(**changes: object) -> Target:
        return replace(machine, build=replace(machine.build, **changes))  # type: ignore[arg-type]

    keys = [
        build(machine, copy),
        build(machine, copy, page_shift=16),
        build(target("arm"), copy),
        build(machine, strategy("swap")),
        build(with_build(flags=("-mno-unaligned-access",)), copy),
        build(with_build(cpu="cortex_a53"), copy),
        build(with_build(triple="aarch64_be-freestanding-none"), copy),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "FLAGS", ("-O3",))
        keys.append(build(machine, copy))
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "LINK_FLAGS", ("-static",))
        keys.append(build(machine, copy))
    for version in ("0.17.0", "0.17.2"):
        with monkeypatch.context() as patch:
            patch.setattr(build_module, "version_of", lambda _command, v=version: v)
            keys.append(build(machine, copy))
    assert len(set(keys)) == len(keys) == len(fake.commands)
    assert build(machine, copy) == keys[0]


def test_local_headers_are_in_the_key(
    tmp_path: Path, empty_cache: Path, fake: FakeCompiler
) -> None:
    files = {
        "mine.c": '#include "zs.h"\n #  include "sub/outer.h"\n#include <stddef.h>\n',
        "sub/outer.h": '#include "inner.h"\n',
        "sub/inner.h": "#define INNER 1\n",
        "inner.h": "not included: the one beside outer.h is\n",
        "other.c": "nobody's\n",
    }
    (tmp_path / "sub").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    mine = strategy(str(tmp_path / "mine.c"))
    before = build(target("i386"), mine)
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
        changes = build(target("i386"), mine) != before
        assert changes == (name in ("mine.c", "sub/outer.h", "sub/inner.h")), name
        (tmp_path / name).write_text(text)
    # A header that appears and hides one of arch/ is another source, too.
    shutil.copy(ARCH / "zs.h", tmp_path)
    assert build(target("i386"), mine) != before


@pytest.mark.parametrize("how", ["fails", "interrupted", "does not compile"])
def test_a_broken_build_leaves_nothing(
    how: str, tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler("zig", target("i386"))

    def broken(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        output = Path(command[command.index("-o") + 1])
        output.write_bytes(b"\x7fELF half of it")
        if how == "interrupted":
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, 1, stdout="", stderr="no")

    name = "copy"
    if how == "does not compile":
        (tmp_path / "mine.c").write_text("int")
        name = str(tmp_path / "mine.c")
    else:
        monkeypatch.setattr(build_module, "run", broken)
    with pytest.raises(KeyboardInterrupt if how == "interrupted" else ZsemuError):
        build(target("i386"), strategy(name))
    assert list((empty_cache / "images").iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("ZSEMU_CACHE", str(empty_cache))
    assert build(target("i386"), strategy("copy")).read_bytes().startswith(b"\x7fELF\x01")


def test_no_place_for_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path / "file"))
    with pytest.raises(ZsemuError, match="set ZSEMU_CACHE"):
        build(target("i386"), strategy("copy"))


def test_hooks_are_built_once(
    usual_cache: Path, empty_cache: Path, edit_hooks: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # zig keeps a cache of its own, which this test is not about; filling another takes seconds.
    empty_cache.mkdir()
    (empty_cache / "zig").symlink_to(usual_cache / "zig")
    really_run = build_module.run
    commands = []

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return really_run(command)

    def libraries() -> list[Path]:
        hooks.library.cache_clear()  # as a new process would start
        hooks.build_library()
        return sorted(path for path in empty_cache.rglob("*") if path.suffix == ".so")

    monkeypatch.setattr(build_module, "run", run)
    assert len(libraries()) == 1
    assert len(libraries()) == 1
    assert len(commands) == 1
    for number, part in enumerate(("SETTLE, MAP, ACCESS, UNMAP, PHASES", "touch(h, uc, row, last")):
        edit_hooks(part, f"{part} ")  # in a header, and in a file that another one includes
        assert len(libraries()) == number + 2
        assert len(commands) == number + 2
    edit_hooks("uint64_t low, high;", "uint64_t low, high")
    with pytest.raises(ZsemuError, match="do not compile") as caught:
        libraries()
    assert "error: " in caught.value.detail
    assert len(list((empty_cache / "hooks").iterdir())) == 3


# --- A user's own strategy --------------------------------------------------------------------


@each_compiler
@each_target
def test_own_strategy_in_a_directory_with_spaces(
    arch: str, cc: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(cc, target(arch))
    folder = tmp_path / "my own; $HOME 'files'"
    folder.mkdir()
    (folder / "answer to all.h").write_text("#define ANSWER 42\n")
    file = folder / "mine too.c"
    file.write_text('#include "answer to all.h"\n' + bare.source("area->private[0] = ANSWER"))
    monkeypatch.chdir(folder)
    image = Image(build(target(arch), strategy("./mine too.c"), cc=cc), target(arch))
    assert image.path.name.startswith(f"{arch}-mine too-")
    assert sorted(path.name for path in folder.iterdir()) == ["answer to all.h", "mine too.c"]
    monkeypatch.chdir("/")
    assert build(target(arch), strategy(str(file)), cc=cc) == image.path


ERRORS: dict[str, tuple[str, str, str]] = {
    # name: (text, the line that must be printed, what of the compiler's message must follow)
    "syntax": (
        bare.source("int x = "),
        rf"{{file}}:{bare.LINE}: does not compile for {{arch}}: ",
        rf"mine\.c:{bare.LINE}(:\d+)?: error: ",
    ),
    "undeclared": (
        bare.source("no_such_thing()"),
        rf"{{file}}:{bare.LINE}: does not compile for {{arch}}: .*no_such_thing",
        r"error: .*no_such_thing",
    ),
    "header": (
        '#include "nowhere.h"\n',
        r"{file}:1: does not compile for {arch}: .*nowhere\.h",
        r"nowhere\.h",
    ),
    "no unmap": (
        bare.source().partition("void zs_unmap")[0],
        r"{file}: does not define zs_unmap_object, as arch/zs\.h asks",
        r"undefined .*zs_unmap_object",
    ),
    "neither": (
        '#include "zs.h"\n',
        r"{file}: does not define zs_map_object and zs_unmap_object, as arch/zs\.h asks",
        r"undefined .*zs_map_object",
    ),
    "library": (
        "extern int sprintf(char *, const char *, ...);\n" + bare.source('sprintf(caller, "x")'),
        r"{file}: needs sprintf, which the guest does not have",
        r"undefined .*sprintf",
    ),
    "builtin": (
        "struct big { char c[4000]; } big_a, big_b;\n" + bare.source("big_a = big_b"),
        r"{file}: needs memcpy, which the guest does not have",
        r"undefined .*memcpy",
    ),
}


@each_compiler
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, cc: str, tmp_path: Path, own_cache: Path) -> None:
    """One line that names the file, the command, which can be pasted, and the compiler's words."""
    text, line, message = ERRORS[name]
    machine = target("aarch64")
    require(cc, machine)
    file = tmp_path / "mine.c"
    file.write_text(text)
    with pytest.raises(ZsemuError) as caught:
        build(machine, strategy(str(file)), cc=cc)
    expected = line.format(file=re.escape(str(file)), arch="aarch64")
    assert re.match(expected, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    command, said = caught.value.detail.split("\n", 1)
    assert re.search(message, said), said

    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(own_cache / "zig")}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            shell=True,
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    again = run()
    assert again.returncode != 0
    assert re.search(message, again.stderr)
    file.write_text(bare.source())
    mended = run()
    assert mended.returncode == 0, mended.stderr
    arguments = shlex.split(command)
    output = Path(arguments[arguments.index("-o") + 1])
    assert faults(Image(output, machine)) == set()
    output.unlink()


# --- Compilers --------------------------------------------------------------------------------


def missing(cc: str, arch: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """Return the program that is missing where there is none, and the packages named for it."""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(ZsemuError) as caught:
            compiler(cc, target(arch))
    found = re.fullmatch(r"no (\S+): install it with 'apt-get install (.*)'", str(caught.value))
    assert found
    return found[1], found[2].split()


@pytest.mark.parametrize(
    ("machine", "arch", "program", "package"),
    [
        ("x86_64", "x86_64", "x86_64-linux-gnu-gcc", "gcc"),
        ("x86_64", "i386", "i686-linux-gnu-gcc", "gcc-i686-linux-gnu"),
        ("x86_64", "aarch64", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("x86_64", "arm", "arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
        ("x86_64", "riscv64", "riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
        ("x86_64", "riscv32", "riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
        ("aarch64", "aarch64", "aarch64-linux-gnu-gcc", "gcc"),
        ("aarch64", "x86_64", "x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
    ],
)
def test_missing_gcc_is_named_with_its_package(
    machine: str, arch: str, program: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert missing("gcc", arch, monkeypatch) == (program, [package])


@each_target
def test_missing_clang_is_named_with_its_packages(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing("clang", arch, monkeypatch) == ("clang", ["clang", "lld"])
    (tmp_path / "clang").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZsemuError, match=r"no ld\.lld: .*clang lld"):
        compiler("clang", target(arch))


@pytest.mark.external
@pytest.mark.parametrize("cc", ["gcc", "clang"])
@each_target
def test_packages_have_the_programs(arch: str, cc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's own list says which package a program on this machine came with."""
    require(cc, target(arch))
    program, packages = missing(cc, arch, monkeypatch)
    for name in (program, "ld.lld") if cc == "clang" else (program,):
        path = shutil.which(name)
        owner = subprocess.run(
            ["dpkg", "-S", str(path)], capture_output=True, text=True, check=True
        ).stdout
        assert owner.partition(":")[0] in packages


def test_unknown_compiler() -> None:
    with pytest.raises(ZsemuError, match="no compiler 'tcc': there are zig, gcc, clang"):
        build(target("arm"), strategy("copy"), cc="tcc")


@pytest.mark.parametrize("lines", [0, 3])
def test_compiler_that_does_not_run(
    lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "riscv64-linux-gnu-gcc"
    program.write_text(f"#!/bin/sh\nseq {lines} >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    build_module.version_of.cache_clear()
    with pytest.raises(ZsemuError, match="does not run: riscv64-linux-gnu-gcc") as caught:
        compiler("gcc", target("riscv32"))
    build_module.version_of.cache_clear()
    assert caught.value.detail.split() == [str(n + 1) for n in range(lines)]
