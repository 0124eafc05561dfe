# SPDX-License-Identifier: GPL-2.0-only
"""Write the annotation of one cell or two as text or as JSON, with what its figures mean.

The JSON has ``listings[]``, each with the ``counts`` by phase and ``functions[].instructions[]``:
``offset`` in the function, ``text``, ``file``, ``line``, ``source``, and what the instruction did.
For two strategies ``alignment`` gives by function the pairs: ``mark``, and the offsets ``left`` and
``right``. If llvm-mca was asked, ``llvm_mca`` is its version, and each listing has ``loops[]``
(zsemu.results.throughput.ModelledLoop).
"""

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import Any, Final

from zsemu.annotate import alignment_text, listing_text, loop_text
from zsemu.annotate.alignment import Functions, by_instruction, name_of, pair_functions
from zsemu.annotate.listing import Listing, Row
from zsemu.annotate.text_columns import PLAIN, Line
from zsemu.counts import LIMITS, PROFILE
from zsemu.results import throughput
from zsemu.results.document import Provenance

SCHEMA: Final = 1


@dataclass(frozen=True)
class Annotation:
    """One listing or two, as JSON any number, and what was replayed for them."""

    listings: tuple[Listing, ...]
    subject: str
    """the trace or the shape"""
    geometry: str
    page_size: int
    phases: tuple[str, ...]
    optimisation: str
    provenance: Provenance
    llvm_mca: str = ""
    """the version that was asked about the inner loops; empty if none was"""


def text(
    annotation: Annotation, *, functions: tuple[str, ...] = (), hot: bool = False, width: int
) -> list[Line]:
    """Return the lines of an annotation, of all functions or of those that are named.

    With ``hot`` the hottest instructions come first, or of two listings what differs most.
    ZsemuError if no listing has such a function.
    """
    left, *others = annotation.listings
    if others:
        body = alignment_text.body(left, others[0], functions, width, hot=hot)
    else:
        body = listing_text.body(left, functions, width, hot=hot)
    if annotation.llvm_mca:
        body += _loops(annotation, functions, width)
    return [
        *_wrapped(_heading(annotation), width),
        ("", PLAIN),
        *body,
        ("", PLAIN),
        *_wrapped([*_definitions(annotation), LIMITS], width),
    ]


def _loops(annotation: Annotation, functions: tuple[str, ...], width: int) -> list[Line]:
    """Return the tables of inner loops, and what their figures mean."""
    tables, below = loop_text.tables(annotation.listings, functions)
    made = f"By llvm-mca {annotation.llvm_mca}. {throughput.DEFINITION}"
    printed = [(line, PLAIN) for line in [*tables, ""]]
    return [*printed, *_wrapped([*below, made, throughput.LIMITS], width)]


def _wrapped(paragraphs: list[str], width: int) -> list[Line]:
    return [(line, PLAIN) for text in paragraphs for line in textwrap.wrap(text, width)]


def _heading(annotation: Annotation) -> list[str]:
    """Say what was replayed and counted, and with what it was compiled."""
    made = annotation.provenance
    lines = [
        f"{annotation.subject}; geometry {annotation.geometry}, {annotation.page_size >> 10} KiB"
        " pages"
    ]
    lines += [f"{listing.title}: {listing.counted}" for listing in annotation.listings]
    versions = dict.fromkeys(one.version for one in made.compilers.values())
    models = ", ".join(f"{arch} {model}" for arch, model in made.cpu_models.items())
    return [
        *lines,
        f"compiler {', '.join(versions)} -{annotation.optimisation}; Unicorn {made.unicorn},"
        f" {models}; zsemu {made.zsemu}",
    ]


def _definitions(annotation: Annotation) -> list[str]:
    """Say what the figures mean, a paragraph for each kind."""
    phases = ", ".join(annotation.phases)
    lines = [
        f"All figures are sums over {phases} of what was counted (per map: divided by its maps); of"
        " a function that other phases call too, only what these called. Phase by phase they add up"
        " to what the replay counted, or nothing would have been printed.",
        "exec: how often an instruction was executed; of a rep-prefixed one the rounds are apart."
        " %: of the instructions executed in these phases. loads, stores: data accesses, ldp/stp"
        " and ldm/stm one per register; ld bytes, st bytes, bytes: the sum of their sizes. Blank:"
        " none.",
    ]
    if len(annotation.listings) < 2:
        return lines
    if len({listing.arch for listing in annotation.listings}) > 1:
        return [
            *lines,
            "N | M before a line of C: the instructions executed for it on either side.",
        ]
    return [
        *lines,
        "Aligned so that most instructions are the same, wherever they lie. * the same, but not as"
        " often executed or with other accesses; | another instruction, or a branch elsewhere;"
        " < or -, > or +: on one side only.",
    ]


def as_json(annotation: Annotation, *, functions: tuple[str, ...] = ()) -> str:
    """Return the figures of all instructions, or of those in the functions that are named.

    For two listings of one architecture, their alignment is added.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "provenance": asdict(annotation.provenance),
        "subject": annotation.subject,
        "geometry": annotation.geometry,
        "page_size": annotation.page_size,
        "phases": annotation.phases,
        "listings": [_listing(listing, functions) for listing in annotation.listings],
    }
    if annotation.llvm_mca:
        document["llvm_mca"] = annotation.llvm_mca
        for one, listing in zip(document["listings"], annotation.listings, strict=True):
            one["loops"] = [asdict(loop) for loop in listing.loops]
    if len(annotation.listings) == 2:
        left, right = annotation.listings
        pairs = pair_functions(left.functions, right.functions)
        pairs = [pair for pair in pairs if not functions or name_of(pair) in functions]
        if left.arch == right.arch:
            document["alignment"] = {name_of(pair): _aligned(pair) for pair in pairs}
    return json.dumps(document, indent=1) + "\n"


def _listing(listing: Listing, functions: tuple[str, ...]) -> dict[str, Any]:
    return {
        "arch": listing.arch,
        "strategy": listing.strategy,
        "counted": listing.counted,
        "maps": listing.maps,
        "counts": {
            phase: dict(zip(PROFILE, asdict(counts).values(), strict=True))
            for phase, counts in listing.phases.items()
        },
        "functions": [
            {
                "name": function.name,
                "instructions": [_row(row) for row in function.rows],
            }
            for function in listing.functions
            if not functions or function.name in functions
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    place = row.place
    return {
        "offset": row.offset,
        "text": row.text,
        "file": place.path.name if place else None,
        "line": place.line if place else None,
        "source": row.source,
        **asdict(row.counts),
    }


def _aligned(pair: Functions) -> list[dict[str, Any]]:
    return [
        {
            "mark": each.mark,
            "left": each.left.offset if each.left else None,
            "right": each.right.offset if each.right else None,
        }
        for each in by_instruction(*pair)
    ]
