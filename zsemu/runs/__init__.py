# SPDX-License-Identifier: GPL-2.0-only
"""What the verbs start: cells of a matrix or a check in parallel processes, sweeps, the doctor.

Imports everything but the command line.
"""
