# SPDX-License-Identifier: GPL-2.0-only
"""Counting from outside: the images as Linux user processes, under other people's counters.

:mod:`outside.process` makes the process; :mod:`outside.counting` runs it under QEMU's user mode
with a plugin of our own (``plugin.c``), under valgrind's callgrind, and under perf;
:mod:`outside.cache_plugin` under QEMU's plugin ``cache``. The rules by which their figures become
ours are stated where they are applied.
"""
