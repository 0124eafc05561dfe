# SPDX-License-Identifier: GPL-2.0-only
"""A user process from an image: the same code at the same addresses, over the same memory.

An image needs its own MMU only for the windows of ``pgtable``, so it is not compiled again but
wrapped: an ELF file that has the image's code and data, and behind them the guest's RAM as the host
filled it for one batch, in the same order, at the direct map and the window of a 32-bit target
(they are data, and QEMU is slow to reserve what lies between those of the others). The process
begins where the host would call the driver; driver, access and strategy then run as they do under
Unicorn.

Changed are ``zs_stop``, where the process hands over what it saw and exits (``exit.S``), and the
invalidates of one page, which are privileged: each becomes one unprivileged instruction of the same
size and kind, with the same operand (REPLACEMENTS). The window is plain memory here: its entries
are stored, but nobody walks them, so what ``pgtable`` maps is not the object.
"""

import struct
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from elftools.elf.elffile import ELFFile

from zsemu.guest.compiler import compiler, run
from zsemu.guest.image import Image
from zsemu.guest.memory import RAM_BASE, Memory, Sizes
from zsemu.guest.structures import StopAt
from zsemu.guest.targets import target
from zsemu.replay.batch import Batch, BatchWriter
from zsemu.replay.placed_trace import MAX_ARENA, MAX_OPERATIONS, PlacedTrace

_ALIGN: Final = 1 << 16
_LOAD, _STACK = 1, 0x6474E551
_READ_WRITE = 6


@dataclass(frozen=True)
class Replacement:
    """An unprivileged instruction in the place of a privileged one."""

    what: str
    size: int
    """bytes"""
    mask: int
    """bits that say which instruction it is; the others are its operand"""
    old: int
    new: int

    def apply(self, code: bytes) -> bytes:
        """Return ``code`` with the instruction exchanged; the operand stays."""
        value = int.from_bytes(code, "little")
        assert value & self.mask == self.old, f"not the first of {self.what}: {code.hex(' ')}"
        return (value & ~self.mask | self.new).to_bytes(self.size, "little")


# The middle three bits of the third byte tell the instructions of a group apart.
_X86 = Replacement("invlpg m: nopl m", 3, 0x38FFFF, 0x38010F, 0x001F0F)
_RISCV = Replacement("sfence.vma r: fence rw, rw", 4, 0xFFF07FFF, 0x12000073, 0x0330000F)
REPLACEMENTS: Final = {
    "x86_64": _X86,
    "i386": _X86,
    "aarch64": Replacement("tlbi vaae1, r: ic ivau, r", 4, 0xFFFFFFE0, 0xD5088760, 0xD50B7520),
    "arm": Replacement(
        "mcr p15, 0, r, c8, c7, 1: mcr p15, 0, r, c7, c10, 5", 4, 0xFFFF0FFF, 0xEE080F37, 0xEE070FBA
    ),
    "riscv64": _RISCV,
    "riscv32": _RISCV,
}


@cache
def _exit_code(arch: str, start: int, length: int) -> bytes:
    """Return the code of exit.S, handing over ``length`` bytes at address ``start``."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "exit.o"
        source = Path(__file__).parent / "exit.S"
        command = compiler("zig", target(arch)).command
        defines = (f"-DSTART={start}", f"-DLENGTH={length}")
        done = run([*command, *defines, "-c", "-o", str(output), str(source)])
        assert done.returncode == 0, done.stderr
        with output.open("rb") as stream:
            return bytes(ELFFile(stream).get_section_by_name(".text").data())


class Process:
    """The one batch of a Work, to be run as a user process of an image's architecture.

    With ``rounds`` it runs over that batch so often, with what is then left of the last time.
    """

    def __init__(self, image: Image, work: PlacedTrace, rounds: int = 1) -> None:
        assert len(work.bounds) == 2, "the trace must fit into one batch"
        home = target("i386")
        low = replace(image.target, direct_map=home.direct_map, window=home.window)
        self.image = image = Image(image.path, low)
        sizes = Sizes(
            cpus=work.cpus,
            operations=max(MAX_OPERATIONS, len(work.trace) * rounds),
            arena=MAX_ARENA,
            zspages=work.zspages,
            pages=work.pages,
            shapes=1,
            states=2,
        )
        self.memory = memory = Memory(image, sizes, work.page_shift)
        self.batch: Batch = next(BatchWriter(work, memory).batches())
        records = self.batch.ops
        self.operations = len(records) * rounds
        memory.view(memory.ops, memory.types.op, self.operations)[:] = np.tile(records, rounds)
        memory.batch["stop_at"] = StopAt.NEVER
        pattern = dict(image.target.instructions.tlb)["page_local"]
        self.replaced = [
            found.address for found in image.instructions.values() if pattern.search(found.text)
        ]
        """addresses of the instructions that are exchanged"""

    def write(self, path: Path, operations: int | None = None) -> None:
        """Write the executable, which runs all operations or only the first of them."""
        image, memory = self.image, self.memory
        memory.batch["last"] = self.operations if operations is None else operations
        machine = image.target
        content = bytearray(image.path.read_bytes())
        offset_of = {}
        segments = [(_STACK, _READ_WRITE, 0, 0, 0, 0)]
        with image.path.open("rb") as stream:
            elf = ELFFile(stream)
            for name, (address, data) in image.sections.items():
                offset = elf.get_section_by_name(name)["sh_offset"]
                offset_of[name] = offset - address
                at = address - RAM_BASE
                content[offset : offset + len(data)] = memory.ram[at : at + len(data)].tobytes()
            for p in elf.iter_segments("PT_LOAD"):
                size = (p["p_filesz"], p["p_memsz"])
                segments.append((_LOAD, p["p_flags"], p["p_offset"], p["p_vaddr"], *size))

        rule = REPLACEMENTS[machine.folder]
        for address in self.replaced:
            at = address + offset_of[".text"]
            content[at : at + rule.size] = rule.apply(bytes(content[at : at + rule.size]))
        start = memory.virtual(memory.arena)
        code = _exit_code(machine.name, start, self.batch.words.nbytes)
        at = image.address("zs_stop") + offset_of[".stop"]
        content[at : at + len(code)] = code

        content += bytes(-len(content) % _ALIGN)
        first = image.address("zs_data_end") - RAM_BASE
        rest = memory.ram[first : memory.root].tobytes()
        place = (len(content), memory.virtual(first), len(rest), len(rest))
        segments.append((_LOAD, _READ_WRITE, *place))
        content += rest
        window = memory.sizes.cpus * memory.WINDOW_PAGES << memory.mmu_shift
        segments.append((_LOAD, _READ_WRITE, len(content), machine.window, window, window))
        content += bytes(window)

        table = len(content)
        segments.sort(key=lambda row: (row[0], row[3]))
        for kind, flags, offset, address, in_file, in_memory in segments:
            row = (offset, address, address, in_file, in_memory)
            if machine.word_bits == 64:
                content += struct.pack("<2I6Q", kind, flags, *row, _ALIGN)
            else:
                content += struct.pack("<8I", kind, *row, flags, _ALIGN)
        # e_entry and e_phoff, then e_phnum.
        word, number = ("Q", 56) if machine.word_bits == 64 else ("I", 44)
        struct.pack_into(f"<2{word}", content, 24, image.address("zs_start_driver"), table)
        struct.pack_into("<H", content, number, len(segments))
        path.write_bytes(content)
        path.chmod(0o755)
