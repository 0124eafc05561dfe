# SPDX-License-Identifier: GPL-2.0-only
"""Show what a model of caches counted: every figure, and the estimates that others make of it.

The estimates are not zsemu's, and are no cycles of any CPU. ``iai`` is what iai, iai-callgrind and
gungraun call estimated cycles, after I. Turner-Trauring, "CI for performance: reliable benchmarking
in noisy environments" (pythonspeed.com, 2020): L1 hits + 5 x L2 hits + 35 x memory accesses, with
instructions among the hits. ``CEst`` is the cycle estimation of KCachegrind (globalconfig.cpp):
Ir + 10 L1m + 100 LLm. zsemu counts no misses of instructions: its instructions are all hits.
"""

from collections.abc import Callable, Sequence
from typing import Final

from zsemu.counts import CACHE_COUNTS, PHASES, STRATEGY_PHASES
from zsemu.reports.panels import Column, Group, Panel, figures, ratio_text, scope_title
from zsemu.results.document import Record

L1, L2 = "cache.l1_misses", "cache.l2_misses"
_TITLES: Final = dict(
    zip(CACHE_COUNTS, ("L1 misses", "L1 written", "L2 misses", "L2 written"), strict=True)
)
MODEL: Final = (
    "LRU, write-back, write-allocate, by physical address; a model, which is no CPU: it prefetches"
    " nothing."
)
DEFINITIONS: Final = (
    "L1, L2: lines that missed, and dirty lines written back; own: of settle, map, unmap; all: and"
    " of the access. Instruction fetches and page-table walks are not among them.",
    "iai: L1 hits + 5 L2 hits + 35 of memory, instructions among the hits, as iai and gungraun"
    " estimate cycles; CEst: instructions + 10 L1 misses + 100 L2 misses, as KCachegrind does."
    " Both are those estimates and nothing else.",
)


def iai(record: Record, scope: str) -> float:
    """Return the estimate that iai and gungraun would make, per map."""
    reads = sum(record.mean(name, scope, PHASES) for name in ("instructions", "loads", "stores"))
    missed, memory = record.mean(L1, scope, PHASES), record.mean(L2, scope, PHASES)
    return reads - missed + 5 * (missed - memory) + 35 * memory


def cest(record: Record, scope: str) -> float:
    """Return the estimate that KCachegrind would make, per map."""
    instructions = record.mean("instructions", scope, PHASES)
    return instructions + 10 * record.mean(L1, scope, PHASES) + 100 * record.mean(L2, scope, PHASES)


ESTIMATES: Final[dict[str, Callable[[Record, str], float]]] = {"iai": iai, "CEst": cest}


def cache_panels(records: Sequence[Record], base: int, scope: str) -> list[Panel]:
    """Return the panels of one architecture and scope; none if no caches were modelled."""
    if not any(record.has_cache for record in records):
        return []
    groups = []
    for count, title in _TITLES.items():
        columns = []
        for header, phases in (("own", STRATEGY_PHASES), ("all", PHASES)):
            values = [
                record.mean(f"cache.{count}", scope, phases) if record.has_cache else None
                for record in records
            ]
            columns.append(Column(header, figures(values, 1, zero="-")))
        groups.append(Group(title, columns))
    columns = []
    for header, estimate in ESTIMATES.items():
        values = [estimate(record, scope) if record.has_cache else None for record in records]
        columns.append(Column(header, figures(values, 0)))
        columns.append(Column("ratio", [ratio_text(value, values[base]) for value in values]))
    title = scope_title(records[0], scope)
    return [Panel(title, groups), Panel(title, [Group("estimates", columns)])]
