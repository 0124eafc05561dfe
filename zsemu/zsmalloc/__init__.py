# SPDX-License-Identifier: GPL-2.0-only
"""The model of the allocator: its size classes, and where it puts each object.

Imports nothing of zsemu but its errors.
"""
