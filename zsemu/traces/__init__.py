# SPDX-License-Identifier: GPL-2.0-only
"""Hold traces, which say what a kernel asked of zsmalloc, and make them.

Traces are read from files, imported from recordings, and synthesised from other traces.

Of zsemu, this folder imports zsmalloc, because a trace names the geometry of its kernel, and paths
and errors.
"""
