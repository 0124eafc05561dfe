# SPDX-License-Identifier: GPL-2.0-only
"""Run what the verbs ask for: comparisons, sweeps, checks, annotations, the doctor.

Each runs its cells in parallel processes or on a cluster where that pays. The modules may import
everything but the command line, the Python API and the pytest plugin.
"""
