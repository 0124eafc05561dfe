# SPDX-License-Identifier: GPL-2.0-only
"""Run operations on two emulated CPUs at once, in every order of accesses that matters.

Memory is sequentially consistent. Imports replay, and what replay imports; starts no process.
"""
