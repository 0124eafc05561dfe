# SPDX-License-Identifier: GPL-2.0-only
"""Profiles of a kernel's object: what each of its instructions did in a replay, by phase.

Every operation of the trace is observed, so that nothing has to be weighted.
"""

from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile

from zsemu.annotate.profile import Profile, Progress
from zsemu.counts import ALLOCATOR_PHASES, PROFILE, SCOPES
from zsemu.counts import PHASES as STRATEGY_PHASES
from zsemu.guest.debug_lines import paths_of
from zsemu.guest.image import Image
from zsemu.kernel.counts import PHASES
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.replay import KernelReplay
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace


def of_kernel(
    facts: KernelFacts,
    placed: PlacedTrace | PlacedStream,
    *,
    scope: str = "total",
    progress: Progress = None,
) -> Profile:
    """Replay a trace; what is counted is the operations of one of counts.SCOPES."""
    scopes = list(SCOPES[scope])
    replay = KernelReplay(facts, placed, observe_from=0, progress=progress)
    counted = replay.profile(scopes)
    outcome = replay.run()
    phases = (*STRATEGY_PHASES, *ALLOCATOR_PHASES)
    counts = np.zeros((len(phases), *counted.shape[1:]), np.int64)
    totals = np.zeros((len(phases), len(PROFILE)), np.int64)
    if not outcome.violation_count:
        mine = [phases.index(name) for name in PHASES]
        counts[mine] = counted.astype(np.int64)
        totals[mine] = outcome.sums[scopes].sum(axis=(0, 2))[:, : len(PROFILE)]
    return Profile(
        counts,
        totals,
        placed.scope_maps[scope],
        outcome.violation_count,
        outcome.violations,
        phases,
    )


def sources(image: Image) -> list[Path]:
    """Return the source files that an image's line tables name, as far as they are here."""
    found: dict[Path, None] = {}
    with image.path.open("rb") as stream:
        dwarf = ELFFile(stream).get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            directory = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
            if program is not None:
                base = directory.value.decode() if directory else ""
                found |= dict.fromkeys(Path(path) for path in paths_of(program, base))
    return [path for path in found if path.is_file()]
