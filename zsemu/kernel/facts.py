# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel's object shows when it runs: its pages, address layout, size classes, handles."""

from dataclasses import dataclass, replace

import numpy as np

from zsemu.errors import ZsemuError
from zsemu.guest.machine import Fault, Machine
from zsemu.guest.structures import StopAt
from zsemu.kernel.guest import WORDS, Cause, Kind
from zsemu.kernel.layouts import Layouts
from zsemu.kernel.link import KernelImage, link
from zsemu.kernel.memory import KernelMemory, KernelSizes
from zsemu.kernel.object import KernelObject
from zsemu.kernel.object import layouts as layouts_of
from zsemu.kernel.target import AddressLayout
from zsemu.zsmalloc import geometry
from zsemu.zsmalloc.geometry import Geometry, Rules

_PROBE = KernelSizes(cpus=1, operations=16, arena=4096, pages=256, objects=16, zspages=64)
_LENGTH = 100
"""bytes of the objects that the probe allocates; several fit into every kernel's page"""
_CHAINS = range(4, 17)
"""values that CONFIG_ZSMALLOC_CHAIN_SIZE may have: mm/Kconfig, from 6.3 on"""


@dataclass(frozen=True)
class KernelFacts:
    """A linked object and all that must be known of it to replay a trace."""

    linked: KernelImage
    layouts: Layouts
    address: AddressLayout
    geometry: Geometry
    """the one whose size classes are the kernel's own"""
    index_shift: int
    """bits of a handle's word below the page frame number"""
    tag_bits: int
    """of those the lowest, which are no part of the index"""


def run(memory: KernelMemory, machine: Machine, *kinds: Kind, length: int = 0) -> None:
    """Let the guest do some operations, one of each kind; objects are numbered from 0."""
    ops = memory.view(memory.ops, memory.types.op, len(kinds))
    ops[:] = np.zeros(1, memory.types.op)[0]
    ops["kind"], ops["length"] = kinds, length
    ops["object"] = np.arange(len(kinds))
    control = memory.batch
    control["first"], control["last"], control["stop_at"] = 0, len(kinds), StopAt.NEVER
    if not machine.drive():
        raise Fault("it waits for an interrupt, and none comes")


def complaint(memory: KernelMemory) -> str:
    """Return what the first complaint of a stand-in is, in words; empty if there is none."""
    state = memory.state[0]
    if not state["nr_errors"]:
        return ""
    error = state["error"][0]
    where = memory.image.where(int(error["caller"]))
    return f"{WORDS[Cause(int(error['cause']))]} ({int(error['object']):#x}, at {where})"


def discover(kernel: KernelObject, *, lse: bool = False) -> KernelFacts:
    """Find out what must be known of an object, by linking it and running a few operations of it.

    ``lse`` is as link() has it. ZsemuError if it runs with none of the address layouts that its
    target has for its pages, or if its size classes are those of no geometry.
    """
    layouts = layouts_of(kernel)
    linked = link(kernel, _page_shift(kernel, layouts, lse), lse=lse)
    tried = []
    for address in kernel.target.layouts:
        if address.page_shift != linked.page_shift:
            continue
        memory = KernelMemory(linked, layouts, address, _PROBE)
        machine = Machine(memory)
        try:
            run(memory, machine, Kind.INIT, Kind.CREATE)
            run(memory, machine, Kind.ALLOCATE, Kind.ALLOCATE, length=_LENGTH)
            ops = memory.view(memory.ops, memory.types.op, 2)
            first, second = (int(word) for word in ops["obj"])
            # Only what takes a handle finds a page by the frame in it.
            run(memory, machine, Kind.FREE)
        except Fault as fault:
            pc = int(machine.uc.reg_read(memory.target.pc))
            tried.append(f"{address.name}: {fault} at {memory.image.where(pc)}")
            continue
        frame = int(memory.view(memory.log, np.dtype("<u4"), 1)[0])
        shift = max((first // max(frame, 1)).bit_length() - 1, 0)
        if complaint(memory) or not first or frame << shift != first:
            tried.append(f"{address.name}: {complaint(memory) or 'wrong page frames'}")
            continue
        tag = (second - first).bit_length() - 1
        found = _geometry(memory, linked, shift, tag)
        return KernelFacts(linked, layouts, address, found, shift, tag)
    raise ZsemuError(f"{kernel.path}: it does not run: {tried[0]}", detail="\n".join(tried))


def _page_shift(kernel: KernelObject, layouts: Layouts, lse: bool) -> int:
    """Return the binary logarithm of the page size, which no file tells: ask the object.

    Its largest size class is a page (ZS_MAX_ALLOC_SIZE). Making a pool touches no page, so that the
    guest may have others, and no ``struct page``, so that any address layout does.
    """
    target = kernel.target.target
    linked = link(kernel, max(target.page_shifts), lse=lse)
    memory = KernelMemory(linked, layouts, kernel.target.layouts[0], _PROBE)
    machine = Machine(memory)
    try:
        run(memory, machine, Kind.INIT, Kind.CREATE)
    except Fault as fault:
        where = memory.image.where(int(machine.uc.reg_read(memory.target.pc)))
        raise ZsemuError(f"{kernel.path}: it does not run: {fault} at {where}") from fault
    if wrong := complaint(memory) or ("" if memory.state["pool"][0] else "gets none"):
        raise ZsemuError(f"{kernel.path}: it does not run: when it makes a pool, it {wrong}")
    largest = max((size for size, _, _ in classes(memory)), default=0)
    if largest not in target.page_sizes:
        raise ZsemuError(
            f"{kernel.path}: its largest size class has {largest} bytes, and {target.name} has"
            f" pages of {', '.join(map(str, target.page_sizes))}"
        )
    return largest.bit_length() - 1


def addresses_of_classes(memory: KernelMemory) -> list[int]:
    """Return where the size classes of the pool in guest memory are, each once."""
    layouts, pool = memory.layouts, int(memory.state["pool"][0])
    start = layouts.offset("zs_pool", "size_class")
    behind = [at for at in layouts.structs["zs_pool"].members.values() if at > start]
    end = min(behind, default=layouts.size("zs_pool"))
    word = memory.target.word
    found = (memory.word(pool + at) for at in range(start, end - word + 1, word))
    return [one for one in dict.fromkeys(found) if one]


def classes(memory: KernelMemory) -> list[tuple[int, int, int]]:
    """Return the size classes of the pool in guest memory: (size, pages, objects), ascending."""
    fields = ("size", "pages_per_zspage", "objs_per_zspage")
    offsets = [memory.layouts.offset("size_class", name) for name in fields]
    found = set()
    for one in addresses_of_classes(memory):
        size, pages, objects = (memory.word(one + offset, 4) for offset in offsets)
        found.add((size, pages, objects))
    return sorted(found)


def _geometry(memory: KernelMemory, linked: KernelImage, shift: int, tag: int) -> Geometry:
    """Return the geometry whose classes are those of the pool in guest memory.

    The tag has cost an index bit until 2024, and two for some time: see geometry.Rules.tag_bits.
    """
    found = classes(memory)
    bits = linked.image.target.word_bits
    physical = bits - shift + memory.page_shift
    for rules in _rules():
        known = geometry.derive(
            replace(rules, tag_bits=tag),
            page_size=memory.page_size,
            word_bits=bits,
            physical_bits=physical,
        )
        if [(c.size, c.pages, c.objects) for c in known.classes] == found:
            return known
    longest = max(pages for _, pages, _ in found)
    raise ZsemuError(
        f"{linked.kernel.path}: {len(found)} size classes from {found[0][0]} bytes on, of up to"
        f" {longest} pages, which are those of no geometry that zsemu knows"
    )


def _rules() -> list[Rules]:
    """Return the rules that a kernel may have: those with shorter chains first.

    Rules for longer chains than the kernel's may leave too few index bits for any class.
    """
    since_6_3 = [
        replace(
            geometry.RULES["chain-8"],
            name="chain-4-of-6.3" if longest == 4 else f"chain-{longest}",
            longest=longest,
        )
        for longest in _CHAINS
    ]
    return sorted([*geometry.RULES.values(), *since_6_3], key=lambda rules: rules.longest)
