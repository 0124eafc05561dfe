# SPDX-License-Identifier: GPL-2.0-only
"""What a strategy must survive: every slot of every class, random sequences, and its properties.

Imports replay, and what replay imports. Nothing here starts a process.
"""
