# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's own zsmalloc object, linked with stand-ins and replayed like a strategy.

In the order of the work: ``target`` (what a target's kernels are like), ``make`` (objects from a
source tree), ``layouts`` and ``object`` (what an object is), ``textpatch`` (what its kernel does
to its text at boot), ``link``, ``guest`` and ``memory`` (the image and what lies around it),
``hooks`` (counting), ``replay``, and ``cli``.
"""
