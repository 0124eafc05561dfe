# SPDX-License-Identifier: GPL-2.0-only
"""Ask llvm-mca about the inner loops that a listing shows."""

from collections.abc import Sequence

from zsemu.annotate import llvm_mca
from zsemu.annotate.listing import Listing
from zsemu.annotate.llvm_mca import NotModelled
from zsemu.annotate.loops import Loop, loops
from zsemu.guest.image import Image
from zsemu.results.throughput import ModelledLoop


def modelled(image: Image, listing: Listing, cpus: Sequence[str]) -> tuple[ModelledLoop, ...]:
    """Return the inner loops of a listing, with what they take on models of some CPUs.

    ``cpus`` are named as LLVM names them, and llvm_mca.models() has found a model of each.
    """
    return tuple(
        _modelled(image, loop, cpus)
        for function in listing.functions
        for loop in loops(image, function)
    )


def _modelled(image: Image, loop: Loop, cpus: Sequence[str]) -> ModelledLoop:
    machine = image.target
    assembly: tuple[str, ...] | NotModelled = NotModelled(loop.trouble)
    if not loop.trouble:
        assembly = llvm_mca.disassemble(machine, loop.code)
    found = {
        cpu: assembly
        if isinstance(assembly, NotModelled)
        else llvm_mca.cycles(machine, cpu, assembly)
        for cpu in cpus
    }
    return ModelledLoop(
        function=loop.function,
        first=loop.body[0].offset,
        last=loop.body[-1].offset,
        iterations=loop.iterations,
        bytes_loaded=sum(row.counts.bytes_loaded for row in loop.body),
        bytes_stored=sum(row.counts.bytes_stored for row in loop.body),
        assembly=() if isinstance(assembly, NotModelled) else assembly,
        cycles={cpu: each if isinstance(each, int) else None for cpu, each in found.items()},
        unmodelled={
            cpu: each.reason for cpu, each in found.items() if isinstance(each, NotModelled)
        },
    )
