# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel does to its own text at boot, done to an object before it is linked.

A count is the kernel's only with it. By data of the target: calls of the function tracer become
nops, jumps to the return thunk returns, branches of static keys nops where objtool has not made
them so. arm64 chooses between two kinds of atomics: those of ARMv8.0 (LL/SC) are in the text as
built, and those of ARMv8.1 (LSE) come in by its alternatives, all of one capability.
"""

import re
import struct
from typing import Final

import capstone

from zsemu.errors import ZsemuError
from zsemu.kernel.object import KernelFile, Relocation

_LSE: Final = re.compile(r"^(ld(add|clr|eor|set)|st(add|clr|eor|set)|cas|swp)")
_LOOK: Final = 24
"""bytes behind a site among which its LSE instruction is"""
_CALLBACK: Final = 0x8000
"""ARM64_CB_BIT: an alternative that a function of the kernel writes"""
_ALTERNATIVE: Final = struct.Struct("<iiHBB")
_NOP: Final = bytes.fromhex("1f2003d5")


def patched(kernel: KernelFile, *, lse: bool = False) -> bytes:
    """Return the object as its kernel would have it after boot.

    ZsemuError if ``lse`` is asked for where there is nothing to choose, or if a call of what is to
    be patched does not look as it should.
    """
    content = bytearray(kernel.content)
    for relocation in kernel.relocations:
        _patch(kernel, content, relocation)
    if kernel.target.jump_nops:
        _static_keys(kernel, content)
    if lse:
        _alternatives(kernel, content)
    return bytes(content)


def _patch(kernel: KernelFile, content: bytearray, relocation: Relocation) -> None:
    for patch in kernel.target.patches:
        if relocation.symbol != patch.symbol:
            continue
        start = _place(kernel, relocation.section, relocation.offset - patch.back)
        if bytes(content[start : start + len(patch.expect)]) != patch.expect:
            raise ZsemuError(
                f"{kernel.path}: a reference to {patch.symbol} that is no call:"
                " zsemu does not know what the kernel makes of it"
            )
        content[start : start + len(patch.code)] = patch.code
        # No architecture's relocation type 0 does anything.
        word = relocation.size // (3 if relocation.size in (12, 24) else 2)
        content[relocation.at + word : relocation.at + 2 * word] = bytes(word)


def _place(kernel: KernelFile, section: int, offset: int) -> int:
    """Return the offset in the file of a place in a section."""
    return kernel.sections[section][1] + offset


def _table(kernel: KernelFile, name: str) -> tuple[bytes, dict[int, Relocation]]:
    """Return the content of a section and its relocations by their offsets; empty without it."""
    for number, (found, start, size) in enumerate(kernel.sections):
        if found == name:
            entries = {r.offset: r for r in kernel.relocations if r.section == number}
            return kernel.content[start : start + size], entries
    return b"", {}


def _site(kernel: KernelFile, relocation: Relocation) -> int:
    """Return the offset in the file of the text that a table's entry speaks of."""
    for number, (name, _, _) in enumerate(kernel.sections):
        if name == relocation.symbol:
            return _place(kernel, number, relocation.addend)
    raise ZsemuError(f"{kernel.path}: a table of its text names {relocation.symbol}")


def _static_keys(kernel: KernelFile, content: bytearray) -> None:
    """As objtool does (add_jump_table_alts() in tools/objtool/check.c): bit 1 of a key's address.

    Every key is taken to be as it was built, which leaves the other branches as they are.
    """
    word = kernel.target.target.word
    table, relocations = _table(kernel, "__jump_table")
    for entry in range(0, len(table), 8 + word):
        if not relocations[entry + 8].addend & 2:
            continue
        start = _site(kernel, relocations[entry])
        nop = kernel.target.jump_nops.get(bytes(content[start : start + 1]))
        if nop:
            content[start : start + len(nop)] = nop


def _alternatives(kernel: KernelFile, content: bytearray) -> None:
    """As apply_alternatives() in arch/arm64/kernel/alternative.c, for one capability.

    Its number differs between kernels. It is found by what it guards: sites that a callback turns
    into nops, with an LSE instruction behind them.
    """
    table, relocations = _table(kernel, ".altinstructions")
    entries = [
        (at, *_ALTERNATIVE.unpack_from(table, at)[2:])
        for at in range(0, len(table), _ALTERNATIVE.size)
    ]
    decoder = capstone.Cs(kernel.target.target.capstone_arch, kernel.target.target.capstone_mode)

    def is_lse(at: int) -> bool:
        start = _site(kernel, relocations[at]) + 4
        code = bytes(content[start : start + _LOOK])
        return any(_LSE.match(row[2]) for row in decoder.disasm_lite(code, 0))

    found = {cap & ~_CALLBACK for at, cap, _, _ in entries if cap & _CALLBACK and is_lse(at)}
    if len(found) != 1:
        raise ZsemuError(f"{kernel.path}: it has no LSE atomics to choose; leave that option out")
    for at, cap, size, new_size in entries:
        if cap & ~_CALLBACK not in found:
            continue
        start = _site(kernel, relocations[at])
        if cap & _CALLBACK:
            content[start : start + size] = _NOP * (size // 4)
        else:
            new = _site(kernel, relocations[at + 4])
            content[start : start + size] = content[new : new + new_size].ljust(size, b"\0")
