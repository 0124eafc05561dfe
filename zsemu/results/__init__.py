# SPDX-License-Identifier: GPL-2.0-only
"""Hold the document of counts that a run writes, its limits, its diff and its baselines.

Beside it stands what llvm-mca says of inner loops, which annotations hold and reports show.
Nothing here runs anything. Of replay only violations.py and spanning_costs.py may be imported: the
forms in which a document holds what a replay found.
"""
