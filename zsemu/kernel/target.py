# SPDX-License-Identifier: GPL-2.0-only
"""What is known of an architecture's kernels: the table ``[kernel]`` of its ``target.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from zsemu.errors import ZsemuError
from zsemu.guest.targets import Target, names, target
from zsemu.paths import ARCH


@dataclass(frozen=True)
class AddressLayout:
    """Where a kernel expects ``struct page`` and the linear map; one of a few that it may have."""

    name: str
    page_shift: int
    """of the pages of the kernels that have it"""
    memmap: int
    """virtual address of the ``struct page`` of page frame 0"""
    linear: int
    """virtual address at which physical address 0 appears"""
    set: Mapping[str, int]
    """words to store: at ``symbol``, or at ``symbol:struct.field``, if the kernel has such"""
    fill: Mapping[str, tuple[str, str, int]]
    """arrays to fill: the symbol; its element's struct, the field, and the word to store there"""


@dataclass(frozen=True)
class TaskField:
    """A field of the current task that must not be zero."""

    fields: tuple[str, ...]
    """``struct.field``, each inside the one before"""
    value: int | None
    """None: the number of the CPU"""
    bytes: int


@dataclass(frozen=True)
class Patch:
    """What the kernel makes at boot of an instruction that refers to a symbol."""

    symbol: str
    back: int
    """bytes from the instruction to its relocation"""
    expect: bytes
    """what the instruction begins with"""
    code: bytes
    """what it is replaced by"""


@dataclass(frozen=True)
class KernelTarget:
    """The kernels of one target."""

    target: Target
    machine: str
    """e_machine of their objects, as pyelftools writes it"""
    make_arch: str
    """``ARCH=`` of their makefile"""
    config: str
    """the configuration that ``zsemu kernel build`` takes unless told otherwise"""
    page_options: Mapping[int, str]
    """by page size in bytes: the option that chooses it, where a configuration has a choice"""
    cross: str
    """``CROSS_COMPILE=``; empty where the machine that builds is of this architecture"""
    cross_package: str
    """Debian's package that has this compiler"""
    copies: tuple[str, ...]
    """objects of their makefile that have memcpy() and copy_page()"""
    flags: tuple[str, ...]
    """options for the C compiler beside those for strategies"""
    lse_cpu: str
    """Unicorn's name of a CPU that has atomic instructions, where kernels choose at boot"""
    layouts: tuple[AddressLayout, ...]
    """the address layouts that are tried, in order"""
    current: tuple[str, ...]
    """per-CPU variables that begin with the address of the current task"""
    task: tuple[TaskField, ...]
    patches: tuple[Patch, ...]
    jump_nops: Mapping[bytes, bytes]
    """by opcode: what a branch of a static key becomes where objtool has not been at work"""


def _layout(data: dict[str, Any]) -> AddressLayout:
    fill = {name: (row[0], row[1], row[2]) for name, row in data.get("fill", {}).items()}
    shift = data.get("page_shift", 12)
    return AddressLayout(data["name"], shift, data["memmap"], data["linear"], data["set"], fill)


def _task(data: dict[str, Any]) -> TaskField:
    value = None if data["value"] == "cpu" else int(data["value"])
    return TaskField(tuple(data["field"]), value, data["bytes"])


def _patch(data: dict[str, Any]) -> Patch:
    expect, code = bytes.fromhex(data["expect"]), bytes.fromhex(data["code"])
    return Patch(data["symbol"], data["back"], expect, code)


@cache
def kernel_target(name: str) -> KernelTarget:
    """Read what is known of the kernels of one architecture; ZsemuError if nothing is."""
    known = target(name)
    if known.folder != name:
        raise ZsemuError(
            f"{name}: a kernel's object has a memcpy() of its own: name {known.folder}"
        )
    with (ARCH / name / "target.toml").open("rb") as stream:
        data = tomllib.load(stream).get("kernel")
    if data is None:
        raise ZsemuError(
            f"arch/{name}/target.toml: no table [kernel], so {name} cannot run a kernel's object;"
            " arch/README.md says what belongs into it"
        )
    nops = data.get("jump_nops", {})
    return KernelTarget(
        target=known,
        machine=data["machine"],
        make_arch=data["make_arch"],
        config=data["config"],
        page_options={int(key): value for key, value in data.get("page_options", {}).items()},
        cross=data["cross"],
        cross_package=data["cross_package"],
        copies=tuple(data.get("copies", ())),
        flags=tuple(data.get("flags", ())),
        lse_cpu=data.get("lse_cpu", ""),
        layouts=tuple(_layout(row) for row in data["layout"]),
        current=tuple(data.get("current", ())),
        task=tuple(_task(row) for row in data.get("task", ())),
        patches=tuple(_patch(row) for row in data.get("patch", ())),
        jump_nops={bytes.fromhex(key): bytes.fromhex(value) for key, value in nops.items()},
    )


def of_machine(machine: str, word_bits: int) -> KernelTarget | None:
    """Return the target of an ELF header's machine and class; None if there is none."""
    for name in names():
        known = kernel_target(name)
        if known.machine == machine and known.target.word_bits == word_bits:
            return known
    return None
