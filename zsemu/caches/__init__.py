# SPDX-License-Identifier: GPL-2.0-only
"""A model of two levels of data cache: which there are, and what a sequence of accesses costs.

Imports guest, for the native library and for what a step of a sequence is.
"""
