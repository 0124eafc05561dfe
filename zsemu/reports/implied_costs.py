# SPDX-License-Identifier: GPL-2.0-only
"""Compute what the cycles that mails gave say of the machines that they were measured on.

A mail gives the cycles of two strategies. The one with fewer TLB invalidates is taken to spend all
of its cycles on its bytes, which gives a rate. At that rate the bytes of the other take some of its
cycles. The rest is what its invalidates cost, with whatever else a changed translation costs.
"""

from dataclasses import dataclass
from typing import Final

from zsemu.reports.break_even import INVALIDATES, of_cell
from zsemu.reports.matrix import OWN, USES, Matrix
from zsemu.reports.published import PUBLISHED, Published
from zsemu.results.limits import BYTES, value

_LOOP: Final = "spanning_update"
"""the scope of the maps that the mails timed: read-write; their loop used no byte of the object"""


@dataclass(frozen=True)
class Implied:
    """What one mail implies, with the bytes of one architecture."""

    mail: Published
    arch: str
    rate: float
    """bytes loaded and stored in a cycle"""
    tie: float
    """cycles of an invalidate at which the two strategies would have tied"""
    cost: float
    """cycles that an invalidate must have cost"""


def implied(matrix: Matrix) -> list[Implied]:
    """Return what each mail that gives cycles implies; nothing where no map is read-write.

    The document should be of the loop that the mails timed: the trace zsmapbench.
    """
    found = []
    for mail in PUBLISHED:
        cells = ((mail.one, mail.other), (mail.other, mail.one))
        for arch in mail.archs:
            for cycles, (more, fewer) in zip(_both_ways(mail.cycles), cells, strict=False):
                gain = of_cell(matrix, arch, more, fewer, BYTES, _LOOP, OWN)
                if gain is None:
                    continue
                records = matrix.records[arch, more], matrix.records[arch, fewer]
                moved = [value(one, BYTES, USES[OWN], _LOOP) for one in records]
                extra = [one.sum(INVALIDATES, _LOOP, USES[OWN]) for one in records]
                maps = records[0].scope_maps[_LOOP]
                rate = moved[1] / maps / cycles[1]
                cost = (cycles[0] * maps - moved[0] / rate) / (extra[0] - extra[1])
                found.append(Implied(mail, arch, rate, gain / rate, cost))
    return found


def _both_ways(cycles: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Return the cycles as they are and exchanged, as which strategy invalidates is in the data."""
    return [cycles, cycles[::-1]] if cycles else []
