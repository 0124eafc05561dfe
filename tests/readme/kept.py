# SPDX-License-Identifier: GPL-2.0-only
"""The part of results that the READMEs show, one record a line.

A file is JSON lines: first ``schema`` and ``provenance`` of what zsemu wrote, then each
of its records. Of the counts a record has those of KEPT, in that order, by phase and scope, then
the TLB invalidates, then what a model of caches counted, if there was one; of ``by_shape`` only
what the plot is made of. The rest is left out: a document of 48 cells has 2 MB.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from zsemu.counts import CACHE_COUNTS, CLASSES, PHASES, REGIONS, SCOPES, TLB_KINDS, TRAFFIC
from zsemu.replay.spanning_costs import FIELDS, MODES
from zsemu.results.document import CACHE_PATHS, SCALARS, Document, Record, dumps, loads

KEPT: Final = ("instructions", "bytes_loaded", "bytes_stored", "pte_stores")
TLB: Final = "tlb_invalidates"
PLOTTED_ARCH, PLOTTED_MODE = "aarch64", "read"


def _line(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False) + "\n"


def _record(record: Record, *, plotted: bool) -> dict[str, Any]:
    data = asdict(record)
    assert record.counts is not None and record.by_shape is not None, "a broken cell"
    data["counts"] = {
        phase: {
            scope: [
                *(record.sum(name, scope, (phase,)) for name in KEPT),
                *(record.sum(f"{TLB}.{kind}", scope, (phase,)) for kind in TLB_KINDS),
                *(record.sum(name, scope, (phase,)) for name in CACHE_PATHS if record.has_cache),
            ]
            for scope in SCOPES
        }
        for phase in PHASES
    }
    data["by_shape"] = record.by_shape[PLOTTED_MODE] if plotted else None
    return data


def text(document: Document, *, plotted: bool) -> str:
    """Return what is kept of a document; ``plotted`` keeps what the plot is made of."""
    first = json.loads(dumps(replace(document, records=())))
    del first["records"]
    lines = [_line(first)]
    for record in document.records:
        lines.append(_line(_record(record, plotted=plotted and record.arch == PLOTTED_ARCH)))
    return "".join(lines)


def load(path: Path) -> Document:
    """Return a document in which every count that was left out is 0."""
    first, *records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    for record in records:
        for phases in record["counts"].values():
            for scope, values in phases.items():
                phases[scope] = _counts(values)
        nothing: dict[str, Any] = {mode: {field: [] for field in FIELDS} for mode in MODES}
        record["by_shape"] = nothing | (
            {PLOTTED_MODE: record["by_shape"]} if record["by_shape"] else {}
        )
    return loads(json.dumps({**first, "records": records}), str(path))


def _counts(values: list[int]) -> dict[str, Any]:
    scalars = dict(zip(KEPT, values[: len(KEPT)], strict=True))
    last = len(KEPT) + len(TLB_KINDS)
    cache = dict(zip(CACHE_COUNTS, values[last:], strict=True)) if values[last:] else None
    return {
        **dict.fromkeys(SCALARS, 0),
        **scalars,
        TLB: dict(zip(TLB_KINDS, values[len(KEPT) : last], strict=True)),
        **({"cache": cache} if cache else {}),
        "classes": dict.fromkeys(CLASSES, 0),
        "regions": {region: dict.fromkeys(TRAFFIC, 0) for region in REGIONS},
    }
