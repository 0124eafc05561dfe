# SPDX-License-Identifier: GPL-2.0-only
"""What must be said of the figures of a kernel's object, wherever they stand."""

from collections.abc import Mapping, Sequence

from zsemu.counts import ALLOCATOR_PHASES
from zsemu.results.document import Document, Provenance, Record


def kernels(made: Provenance, records: Mapping[str, Sequence[Record]]) -> list[str]:
    """Say what the counts of a kernel's objects are; nothing where there are none.

    ``records`` are those of each architecture.
    """
    lines = []
    for name, builds in made.kernels.items():
        told = dict.fromkeys(build.kernel for build in builds.values() if build.kernel)
        version = f" of Linux {', '.join(told)}" if told else ""
        lines.append(
            f"{name}: a kernel's own zsmalloc{version}. Its counts are that kernel's instructions"
            " with its compiler and configuration, uncontended, with nothing of the caller:"
            f" '{name}' is the object's own text and what copies for it, '{name}, own' its own text"
            " alone. What stands in for the rest of the kernel (locks, page allocator) is not in"
            " these figures; results as JSON have it, too."
        )
    for arch, some in records.items():
        for record in some:
            if record.is_allocator:
                lines += _allocator(arch, record, some[0])
    return lines


def other_maps(document: Document) -> list[str]:
    """Say which kernel's objects span other maps than the strategies beside them, a line each."""
    lines = []
    for name in document.provenance.kernels:
        ours, others = (
            {
                (one.arch, one.spanning_maps)
                for one in document.records
                if (one.strategy == name) is its
            }
            for its in (True, False)
        )
        if others and not ours <= others:
            named = dict.fromkeys(one.geometry for one in document.records if one.strategy == name)
            lines.append(
                f"{name}: its kernel's size classes ({', '.join(named)}) are not those of the"
                " others, so its spanning maps are others, too: none is marked as fewest."
            )
    return lines


def _allocator(arch: str, record: Record, first: Record) -> list[str]:
    """Say what malloc and free cost, and of which other maps the means are."""
    found = []
    for phase in ALLOCATOR_PHASES:
        calls = record.sum("calls", phases=(phase,))
        if calls:
            own = record.sum("own.instructions", phases=(phase,)) / calls
            both = record.sum("instructions", phases=(phase,)) / calls
            more = f" ({both:.1f} with what copies)" if both != own else ""
            found.append(f"zs_{phase}() {own:.1f}{more}")
    lines = []
    if found:
        lines.append(f"{arch} {record.strategy}, own instructions a call: {', '.join(found)}.")
    if record.scope_maps != first.scope_maps:
        lines.append(
            f"{arch} {record.strategy}: its own size classes are those of {record.geometry}, in"
            f" which {record.spanning_maps} of {record.maps} maps span; of {first.strategy} it is"
            f" {first.spanning_maps}, under {first.geometry}{_why(record, first)}."
        )
    return lines


def _why(record: Record, first: Record) -> str:
    """Say why the maps of two records do not span alike."""
    if record.geometry != first.geometry:
        return f" (--geometry {record.geometry} gives all the same)"
    return " as zsemu has it; this kernel's handles have another number of bits for the slot"
