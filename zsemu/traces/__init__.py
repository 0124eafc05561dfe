# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel asked of zsmalloc: the file format, import of recordings, recording, synthesis.

Imports zsmalloc, whose geometries a recording names.
"""
