# SPDX-License-Identifier: GPL-2.0-only
"""The clock of replays: CPU time, which others on the same machine change less than wall time.

As a program, it runs a module as ``python -m`` does, with this clock in place of the wall clock's.
So the benchmark of an older checkout, which measures wall time, is measured as this one is::

    python -P clock.py MODULE [ARGUMENT]...
"""

import resource
import runpy
import sys
import time


def processor() -> float:
    """Return the seconds of user and system time that this process has taken.

    Those of the processes that it has started and waited for are among them.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    time.perf_counter = processor
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
