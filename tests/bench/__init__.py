# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark: what counting costs, against the same without it and against other tools.

Examples, in tests/: python -m bench --json bench.json
    python -m bench --against OLDER-CHECKOUT
    python -m bench --commands '' --against OLDER-CHECKOUT

All architectures take a quarter of an hour, on a machine that has nothing else to do.

For each architecture, one strategy over one trace, in two parts.

The whole trace: what 'zsemu compare' does with a cell, from the image to the outcome: every
operation runs, every content is judged, everything is counted. Beside it the same replay with no
hook in the emulator: same batches, same driver, same judgement of contents, nothing observed.

The first operations of the trace, as many as fit into one batch and at most 2048, without the
read-back at the end, under one counter after the other. Of zsemu's own, and of Unicorn with Python
hooks, there are two figures: the whole replay, and the emulation alone, which is the time inside
Unicorn. Tools outside run the same code as a user process (tests/outside), and the figure is the
time from exec to exit less that of the same process without operations. So that this is more than
noise, such a process runs over the operations several times, in a loop of the guest's own.

Times are CPU time, user and system, and figures are medians of runs that take turns. "time" is
relative to no hook in the same table; what is held against a limit for the whole replay is the
median of the ratios of neighbouring runs. Instructions are the guest's, the driver's included,
whoever counts them: counted once by block hits, and every tool that counts them must come to the
same in every run, or nothing is printed. A rep-prefixed instruction is one, however many rounds it
has.

With --commands, whole commands are measured instead, as a user waits for them: seconds from start
to end, CPU seconds of all its processes, and the most MiB that these had together, sampled four
times a second, where a page that several share counts once. Each runs with nothing cached but the
native hooks, and again with all cached that the first run left.

With --against, another checkout of zsemu is measured by turns with this one, with a cache of its
own. Replays are measured by each checkout's own benchmark, all with the clock of this one. If the
other has none, whole commands that replay the same are compared instead, and that is said.

What a figure should be is in bench/targets.py, and stands behind the figure.

Exit status: 0, or 2 for bad use or input, if a command does not end as it must, and if a program
was not there: what it would have shown is left out.
"""
