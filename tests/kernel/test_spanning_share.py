# SPDX-License-Identifier: GPL-2.0-only
"""How many maps span: the placement model's share, and what kernels' own zsmalloc does.

Here a kernel decides where objects are, and its own zs_map_object() shows what spans: it returns
its per-CPU buffer for an object in two pages, and an address inside a page for any other.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from kernel.objects import LARGER_PAGE, RealKernel
from zsemu import load_trace
from zsemu.kernel.facts import KernelFacts, discover
from zsemu.kernel.object import load
from zsemu.kernel.operations import Operations
from zsemu.kernel.run import KernelRun
from zsemu.replay.placed_trace import PlacedTrace, place_in_memory
from zsemu.traces import file as trace_file
from zsemu.traces.synthesis import synthesise
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import geometry

OPERATIONS: Final = 30_000
"""of each trace, from its start"""
OBJECTS: Final = (("kernel", "x86_64"), ("older_kernel", "arm"), ("larger_pages", "aarch64"))
"""fixture and architecture of the objects that traces are replayed on"""


class _Counting(KernelRun):
    """A run that counts what the kernel itself does with the maps of a trace."""

    def __init__(self, facts: KernelFacts, trace: Trace) -> None:
        super().__init__(facts, place_in_memory(trace, facts.geometry))
        self.maps = self.spanning = 0

    def learn(
        self,
        part: PlacedTrace,
        batch: Operations,
        ops: NDArray[np.void],
        observed: NDArray[np.bool_],
        scope: NDArray[np.uint8],
    ) -> None:
        """Count the maps whose address is not in the pool."""
        memory = self.memory
        inside = ops["address"][batch.maps] - np.uint64(memory.virtual(memory.pool))
        self.maps += len(inside)
        self.spanning += int(np.count_nonzero(inside >= 2 * memory.sizes.pages * memory.page_size))


def _equal_shares(facts: KernelFacts, trace: Trace) -> int:
    """Let a kernel carry out a trace, compare, and return how many maps spanned."""
    run = _Counting(facts, trace)
    assert run.go()
    assert run.judge.violations == []
    expected = run.placed.scope_maps
    assert (run.spanning, run.maps) == (expected["spanning"], expected["total"])
    return run.spanning


def _up_to_the_huge_limit(facts: KernelFacts) -> Trace:
    """Return a synthetic trace with lengths in all size classes of a kernel.

    The kernel that the lengths were recorded on stored those from its own limit on as whole pages.
    """
    recorded = load_trace("compile-zstd")
    drawn = synthesise(
        recorded, operations=OPERATIONS, update_share=0.1, page_size=facts.geometry.page_size
    )
    limit = int(drawn.length[drawn.length < drawn.metadata.page_size].max())
    stretched = drawn.length.astype(np.int64) * (facts.geometry.huge_class_size - 1) // limit
    length = np.clip(stretched, 1, drawn.metadata.page_size).astype(np.uint32)
    return replace(drawn, length=length)


@pytest.mark.external
def test_with_larger_pages(larger_pages: RealKernel) -> None:
    facts = discover(load(larger_pages.object("aarch64")))
    assert (facts.geometry.page_size, facts.geometry.name) == (LARGER_PAGE, "chain-8")
    trace = _up_to_the_huge_limit(facts)
    assert facts.geometry.huge_class_size - 1 in trace.length
    spanning = _equal_shares(facts, trace)
    # Not so with the size classes of another kernel.
    other = geometry("chain-4", page_size=LARGER_PAGE)
    assert place_in_memory(trace, other).scope_maps["spanning"] != spanning > 1000


@pytest.mark.external
@pytest.mark.parametrize(("kernel_name", "arch"), OBJECTS)
def test_with_recordings(kernel_name: str, arch: str, request: pytest.FixtureRequest) -> None:
    """All traces that come with zsemu, of the object's page size, whatever kernel they are of."""
    real: RealKernel = request.getfixturevalue(kernel_name)
    facts = discover(load(real.object(arch)))
    for name in trace_file.names():
        trace = load_trace(name, OPERATIONS)
        if trace.metadata.page_size == facts.geometry.page_size:
            _equal_shares(facts, trace)
