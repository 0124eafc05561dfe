# SPDX-License-Identifier: GPL-2.0-only
"""Judge the end of a schedule.

The native side has kept where each CPU first loaded or stored what its operation must not. Then the
host looks at every object through the strategy itself, and compares every byte that any access saw
with what the oracle says. The same oracle judges replays.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.faults import explain
from zsemu.guest.hooks import Place
from zsemu.guest.memory import RAM_BASE, Memory
from zsemu.race.machine import TwoCpus
from zsemu.race.native_structures import DONE, ENDLESS, FAILS, FAULT
from zsemu.race.parts import Parts
from zsemu.race.scene import Script
from zsemu.replay import violations
from zsemu.replay.batch import Batch
from zsemu.replay.judgement import Finding, accesses, contents, first_words

TORN = "torn"
"""the finding, which is no failure, that a read has seen partly old and partly new content"""

_KINDS: Final = {ENDLESS: violations.ENDLESS, FAULT: violations.FAULT}


class Judge:
    """Judges one scene's ends. A verdict is 0, or 1 + the index of a finding."""

    def __init__(
        self,
        cpus: TwoCpus[Memory],
        made: Script,
        batch: Batch,
        swapped: NDArray[np.uint64] | None = None,
    ) -> None:
        """Judge by the oracle.

        ``swapped`` is what callers' buffers may hold as well: if B was first; and a mixture of both
        orders is torn.
        """
        self._cpus, self._batch, self._swapped = cpus, batch, swapped
        self._parts: Parts = made.parts
        self.findings: list[Finding] = []
        """what was wrong, or torn"""

    def __call__(self) -> int:
        """Judge the state that memory is in."""
        # The reason comes before what follows from it: an old entry leads elsewhere, and what is
        # stored elsewhere may be anything.
        found = self._translations() or self._strays() or self._ends() or self._looks()
        if found is None:
            return 0
        self.findings.append(found)
        return len(self.findings) | (0 if found.kind == TORN else FAILS)

    def finding(self, verdict: int) -> Finding:
        """Return what a verdict that is not 0 is about."""
        return self.findings[(verdict & ~FAILS) - 1]

    def _strays(self) -> Finding | None:
        """Say where a CPU has loaded or stored first that it may not."""
        return next(accesses(self._cpus.strays(), self._cpus.memory), None)

    def _ends(self) -> Finding | None:
        """Say what is wrong if a CPU did not come to its end."""
        cpus = self._cpus
        ends = [cpus.ended(who) for who in (0, 1)]
        if ends == [DONE, DONE]:
            return self._errors()
        who = next(n for n in (0, 1) if ends[n] != DONE)
        if ends == [ENDLESS, ENDLESS]:
            detail = "a deadlock: both CPUs wait for each other"
        elif ends[who] == ENDLESS:
            detail = "does not return"
        elif ends[who] == FAULT:
            detail = explain(cpus.machines[who].uc, cpus.memory, cpus.last(who))
        else:
            detail = "waits for an interrupt, and none comes"
        kind = _KINDS.get(ends[who], violations.HALTS)
        return Finding(self._row(who), kind, detail, place=Place(cpus.last(who)))

    def _errors(self) -> Finding | None:
        """Say if the driver found spans to be wrong."""
        wrong = np.flatnonzero(self._batch.ops["error"][: self._parts.reader])
        if not len(wrong):
            return None
        detail = "zs_map_object() must give 1 or 2 spans of the object's length together"
        return Finding(int(wrong[0]), violations.SPANS, detail)

    def _row(self, who: int) -> int:
        """Return the last operation of a CPU."""
        return (self._parts.b, self._parts.reader)[who] - 1

    def _translations(self) -> Finding | None:
        """Say which entry a CPU that has ended may still use as it was before it changed."""
        cpus, memory = self._cpus, self._cpus.memory
        if any(cpus.ended(who) != DONE for who in (0, 1)):
            return None
        stored = memory.ram[memory.window_leaf :][: memory.window_entries]
        size = memory.target.pte_size
        for who in (0, 1):
            served = cpus.served[who][: memory.window_entries]
            own = np.flatnonzero(served != stored) // size
            own = own[np.isin(own * size, cpus.entries(who))]
            if len(own):
                address = memory.target.window + (int(own[0]) << memory.mmu_shift)
                detail = f"in the end the old entry for {address:#x} can still be used"
                return Finding(self._row(who), violations.STALE, detail)
        return None

    def _looks(self) -> Finding | None:
        """Look at every object and free slot, and compare what anyone has seen."""
        cpus, batch, memory = self._cpus, self._batch, self._cpus.memory
        if (ended := cpus.run(0)) != DONE:
            row = memory.view(self._cpus.reader_batch, memory.types.batch, 1)["current"]
            detail = "looking at the objects afterwards does not end"
            kind = _KINDS.get(ended, violations.HALTS)
            return Finding(int(row[0]), kind, detail, place=Place(cpus.last(0)))
        words = batch.words
        for finding in first_words(batch, self._offset, memory):
            return finding
        wrong = list(contents(batch.arena, words, memory.arena))
        if not wrong or self._swapped is None:
            return wrong[0] if wrong else None
        if np.array_equal(words, self._swapped):
            return None
        seen = words.view(np.uint8)
        one, other = batch.arena.after.view(np.uint8), self._swapped.view(np.uint8)
        if ((seen == one) | (seen == other)).all():
            return replace(wrong[0], kind=TORN)
        return wrong[0]

    def _offset(self, which: int) -> int:
        """Return where in RAM the slot of an operation begins."""
        memory, op = self._cpus.memory, self._batch.ops[which]
        zspage = memory.view(int(op["zspage"]) - memory.virtual(0), memory.types.zspage, 1)[0]
        pfn = int(zspage["pfn"][op["page"]])
        return (pfn << memory.page_shift) - RAM_BASE + int(op["offset"])
