# SPDX-License-Identifier: GPL-2.0-only
"""The document of counts that a run writes, and what is computed from it: limits, diff, baselines.

Imports of replay only the forms of what it counts and finds; never runs anything.
"""
