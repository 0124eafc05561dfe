# SPDX-License-Identifier: GPL-2.0-only
"""List what mails have said about the speed of strategies, to stand beside the counts.

The figures are cycles where the mail gives cycles. A ratio is computed from the figures of the
mail; there is none where the mail has only words.
"""

from dataclasses import dataclass
from typing import Final

from zsemu.reports.matrix import OWN, WHOLE

CAVEAT: Final = (
    "Counts are not cycles: no count knows what a TLB invalidate, a cache miss or an exit to a"
    " hypervisor costs. The published figures stand here beside the counts of the same two"
    " strategies; neither predicts the other."
)


@dataclass(frozen=True)
class Published:
    """What one mail says of two strategies."""

    who: str
    date: str
    """as far as it is known"""
    message: str
    """Message-ID, or how it begins; empty if not known"""
    platform: str
    archs: tuple[str, ...]
    """the architectures of zsemu whose counts may stand beside the figures"""
    one: str
    other: str
    """two strategies; the ratio is what ``one`` costs, divided by what ``other`` costs"""
    said: str
    """the figures, as they were given"""
    ratio: float | None
    use: str = OWN
    """what was measured: one of matrix.USES"""
    cycles: tuple[int, int] | None = None
    """of ``one`` and of ``other`` per map and unmap, where the mail gives them"""


PUBLISHED: Final = (
    Published(
        "Seth Jennings",
        "25 Jun 2012",
        "1340640878-27536-1",
        "x86, single-threaded zcache",
        ("x86_64",),
        "pgtable",
        "copy",
        "pte/tlb 40 % faster than a generic copy (contradicted in July)",
        None,
    ),
    Published(
        "Seth Jennings",
        "2 Jul 2012",
        "1341263752-10210-1-git-send-email-sjenning@linux.vnet.ibm.com",
        "x86, KVM guest (cover letter)",
        ("x86_64",),
        "pgtable",
        "copy",
        "about 1500 and 560 cycles",
        1500 / 560,
        cycles=(1500, 560),
    ),
    Published(
        "Seth Jennings",
        "2 Jul 2012",
        "1341263752-10210-2-git-send-email-sjenning@linux.vnet.ibm.com",
        "x86, KVM guest (text of the patch; does not agree with the cover letter)",
        ("x86_64",),
        "pgtable",
        "copy",
        "copy roughly 4x faster",
        None,
    ),
    Published(
        "Seth Jennings",
        "2 Jul 2012",
        "1341263752-10210-1-git-send-email-sjenning@linux.vnet.ibm.com",
        "x86, bare metal",
        ("x86_64",),
        "pgtable",
        "copy",
        "about 760 and 560 cycles",
        760 / 560,
        cycles=(760, 560),
    ),
    Published(
        "Minchan Kim",
        "11 Jul 2012",
        "",
        "an embedded ARM board",
        ("arm",),
        "pgtable",
        "copy",
        "pgtable 30 % faster",
        None,
    ),
    Published(
        "Seth Jennings",
        "11 Jul 2012",
        "",
        "Raspberry Pi, ARMv6",
        ("arm",),
        "pgtable",
        "copy",
        "947 and 2040 cycles",
        947 / 2040,
        cycles=(947, 2040),
    ),
    Published(
        "Minchan Kim",
        "Jan 2013",
        "20130130024805.GB2580@blaptop",
        "ARMv7, 4 cores, local flush",
        ("arm",),
        "pgtable",
        "copy",
        "3,918,795 and 635,158 mappings in the same time",
        635158 / 3918795,
    ),
    Published(
        "Minchan Kim",
        "Jan 2013",
        "20130130024805.GB2580@blaptop",
        "ARMv7, 4 cores, global flush",
        ("arm",),
        "pgtable",
        "copy",
        "3,989,538 and 635,158 mappings in the same time",
        635158 / 3989538,
    ),
    Published(
        "Sergey Senozhatsky",
        "21 Feb 2025",
        "20250221222958.2225035-13",
        "perf stat of a synthetic loop, allocations included; instructions, not cycles",
        ("x86_64", "arm"),
        "readwrite",
        "copy-modes",
        "265.8 and 369.0 million instructions",
        265.8 / 369.0,
        WHOLE,
    ),
)
