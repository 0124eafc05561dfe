# SPDX-License-Identifier: GPL-2.0-only
"""Model the allocator: compute its size classes, and where it puts each object.

Of zsemu, this folder imports nothing but the errors.
"""
