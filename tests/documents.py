# SPDX-License-Identifier: GPL-2.0-only
"""Documents of results made up by hand, for what reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zsemu.counts import CLASSES, PHASES, REGIONS, SCOPES, TLB_KINDS, TRAFFIC, Counts
from zsemu.replay.spanning_costs import FIELDS, MODES, ByShape
from zsemu.replay.violations import FAULT, Violation
from zsemu.results.document import (
    SCALARS,
    Compiler,
    Document,
    KernelBuild,
    Provenance,
    Record,
    Source,
)

MAPS = {
    "total": 200,
    "spanning": 40,
    "spanning_read": 30,
    "spanning_write": 10,
    "spanning_update": 0,
}


def counts(seed: int) -> Counts:
    """Return counts no two of which are equal, by a rule that knows nothing of zsemu's."""
    number = seed
    made: Counts = {}
    for phase in PHASES:
        made[phase] = {}
        for scope in SCOPES:
            entry: dict[str, object] = {}
            for name in SCALARS:
                number += 7
                entry[name] = number
            entry["tlb_invalidates"] = {kind: number + 1 + i for i, kind in enumerate(TLB_KINDS)}
            entry["classes"] = {kind: number + 3 * i for i, kind in enumerate(CLASSES)}
            entry["regions"] = {
                region: {name: number + 5 * i + j for j, name in enumerate(TRAFFIC)}
                for i, region in enumerate(REGIONS)
            }
            made[phase][scope] = entry
    return made


def by_shape() -> ByShape:
    """Return two rows of reads, one of writes and none of updates: MAPS["spanning"] together."""
    read = [(1680, 736, 20), (3632, 464, 10)]
    write = [(1680, 736, 10)]
    return {
        mode: {
            name: tuple(row[i] if i < 3 else 100 * row[2] + i for row in rows)
            for i, name in enumerate(FIELDS)
        }
        for mode, rows in (("read", read), ("write", write), ("update", []))
    }


def record(arch: str, strategy: str, made: Counts | None) -> Record:
    """Return a record of 500 operations; without counts one with violations."""
    violation = Violation(
        FAULT,
        7,
        "write",
        3,
        1632,
        2,
        3264,
        "page fault",
        "",
        "00 ff",
        "zs_copy+0x20",
        "ldr r3, [r0]",
    )
    return Record(
        arch=arch,
        strategy=strategy,
        trace="made",
        geometry="chain-8",
        page_size=4096,
        operations=500,
        maps=MAPS["total"],
        spanning_maps=MAPS["spanning"],
        scope_maps=dict(MAPS),
        shapes=12,
        violation_count=0 if made else 25,
        violations=() if made else (violation,) * 20,
        counts=made,
        by_shape=by_shape() if made else None,
    )


def document(*, broken: bool = False) -> Document:
    """Return a document of two architectures and three strategies."""
    archs = ("x86_64", "arm")
    records = [
        record(arch, name, counts(1000 * i + 10000 * j))
        for i, arch in enumerate(archs)
        for j, name in enumerate(("pgtable", "copy", "mine.c"))
    ]
    if broken:
        records[-1] = replace(record("arm", "mine.c", None))
    return Document(
        Provenance(
            zsemu="0.0",
            unicorn="9.9",
            compilers={
                "x86_64": Compiler("cc 1", ("-target", "x86", "-O2", "-mno-red-zone")),
                "arm": Compiler("cc 1", ("-target", "arm", "-O2", "-marm")),
            },
            cpu_models={"x86_64": "QEMU64", "arm": "A15"},
            traces={"made": Source("ab" * 32, "6.1", "chain-8", 4096, "made up")},
            strategies={"mine.c": "cd" * 32},
        ),
        tuple(records),
    )


def kernel(made: Document, geometry: str, spanning: int) -> Document:
    """Return the document with mine.c as a kernel's object, which has other size classes."""
    records = [
        replace(
            one,
            geometry=geometry,
            spanning_maps=spanning,
            scope_maps={**MAPS, "spanning": spanning, "spanning_read": spanning - 10},
        )
        if one.strategy == "mine.c"
        else one
        for one in made.records
    ]
    build = {arch: KernelBuild("ab" * 32, "6.12.1", "gcc 12", "CPU") for arch in ("x86_64", "arm")}
    provenance = replace(made.provenance, kernels={"mine.c": build}, strategies={})
    return Document(provenance, tuple(records))


@dataclass(frozen=True)
class Cost:
    """What a cell costs, all sums: of all maps, and of those the spanning ones.

    A map does it all but the access; bytes are loaded, and those of the pool are some of them.
    """

    bytes: tuple[int, int] = (0, 0)
    instructions: tuple[int, int] = (0, 0)
    pool: tuple[int, int] = (0, 0)
    access: int = 0
    """bytes of the pool that each access loads"""


def costing(
    cells: Mapping[str, Mapping[str, Cost | None]], maps: dict[str, int] = MAPS
) -> Document:
    """Return a document of architectures and strategies that cost so much; None: a broken cell.

    Half of the spanning cost is of reads, and half of writes.
    """
    made = document()
    nothing: ByShape = {mode: dict.fromkeys(FIELDS, ()) for mode in MODES}
    records = []
    for arch, strategies in cells.items():
        for name, cost in strategies.items():
            one = record(arch, name, _costing(cost, maps) if cost else None)
            records.append(
                replace(
                    one,
                    scope_maps=dict(maps),
                    maps=maps["total"],
                    spanning_maps=maps["spanning"],
                    by_shape=nothing if cost else None,
                )
            )
    provenance = replace(
        made.provenance,
        compilers=dict.fromkeys(cells, made.provenance.compilers["arm"]),
        cpu_models=dict.fromkeys(cells, "CPU"),
    )
    return Document(provenance, tuple(records))


def _costing(cost: Cost, maps: dict[str, int]) -> Counts:
    made: Counts = {phase: {scope: {} for scope in SCOPES} for phase in PHASES}
    for phase, scopes in made.items():
        for scope, entry in scopes.items():
            part = {"total": 1.0, "spanning": 1.0, "spanning_update": 0.0}.get(scope, 0.5)
            instructions, loaded, pool = (
                int(part * of[scope != "total"])
                for of in (cost.instructions, cost.bytes, cost.pool)
            )
            if phase == "access":
                instructions, loaded = 0, cost.access * maps[scope]
                pool = loaded
            if phase not in ("map", "access"):
                instructions = loaded = pool = 0
            entry |= dict.fromkeys(SCALARS, 0)
            entry |= {"instructions": instructions, "bytes_loaded": loaded}
            entry["tlb_invalidates"] = dict.fromkeys(TLB_KINDS, 0)
            entry["classes"] = dict.fromkeys(CLASSES, 0)
            entry["regions"] = {
                region: dict.fromkeys(TRAFFIC, 0) | {"bytes_loaded": pool * (region == "pool")}
                for region in REGIONS
            }
    return made


def shaped(rows: dict[str, dict[str, list[tuple[int, int, int, int]]]]) -> list[Record]:
    """Return a record on arm for each strategy, of rows by mode.

    A row is class size, head, maps, and how many instructions and bytes loaded these maps cost.
    """
    records = []
    for name, modes in rows.items():
        columns = {
            mode: {
                field: tuple(
                    (row[0], row[1], row[2], row[3], row[3], 0, 0, 0, 0)[FIELDS.index(field)]
                    for row in modes.get(mode, [])
                )
                for field in FIELDS
            }
            for mode in MODES
        }
        records.append(replace(record("arm", name, counts(0)), by_shape=columns))
    return records
