# SPDX-License-Identifier: GPL-2.0-only
"""Planted bugs: strategies with one defect each, small edits of the shipped ones.

One module for each strategy that is edited, and :mod:`faulty.loads` for what loads do wrong;
:mod:`faulty.cases` has the operations that show them.
"""

from faulty import copy, copy_modes, loads, pgtable, readwrite, sg, swap, swap_lazy, swap_min
from faulty.cases import CASES, Case
from faulty.fault import Faulty

FAULTS = (
    *pgtable.FAULTS,
    *copy.FAULTS,
    *copy_modes.FAULTS,
    *swap.FAULTS,
    *swap_min.FAULTS,
    *swap_lazy.FAULTS,
    *readwrite.FAULTS,
    *sg.FAULTS,
    *loads.FAULTS,
)
FAULTY = tuple(fault for fault in FAULTS if fault.in_traces)
"""those that show in an ordinary trace, too"""

__all__ = ["CASES", "FAULTS", "FAULTY", "Case", "Faulty"]
