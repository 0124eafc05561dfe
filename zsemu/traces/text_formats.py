# SPDX-License-Identifier: GPL-2.0-only
"""Describe the lines in which tracing tools print events.

The tools differ in how they print the task, its CPU and its flags: that is what :data:`FORMATS`
holds. The time and what stands behind it all of them print alike. Sources:
kernel/trace/trace_output.c and tools/perf/builtin-script.c of Linux 6.12, tracecmd/trace-read.c of
trace-cmd 3.1.6, src/output/text.cpp of bpftrace.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

# Quantifiers are possessive ("++") where it is of no use to try fewer: lines match a fifth faster.

# "seconds.fraction"; microseconds with "us" and a mark of how long it took; or the number that a
# clock of another unit counts.
_TIME = rb"(?:(\d{1,9})\.(\d{6}(?:\d{3})?+)|(\d{1,15})us[^\s\d:]? ?|(\d{1,18})): ++"
# Interrupts and preemption, "...1." or "dN.2". trace-cmd prints no space before a time of more than
# eleven digits. Such a time has no fraction, so that the flags end with the last dot.
_FLAGS = rb"(?:[^\s\d:][^\s:]*+ ++|[^\s\d:][^\s:]{2,6}\.(?=\d+:))"
# perf script prints the group of an event before its name: "probe:zs_free".
_EVENT = rb"(?:[\w-]++:(?=\w))?+(\w++): ++"
_ARGUMENT = rb"(?: (\w++)=(0x[\da-fA-F]{1,16}|-?[\da-fA-F]{1,20}))?+"


@dataclass(frozen=True)
class TextFormat:
    """How a tool prints one event."""

    name: str
    """Who prints so."""
    example: str
    """An event that is printed so."""
    task: bytes
    """The pattern of what stands before the time; its groups are the task's number and the CPU."""

    @cached_property
    def _head(self) -> bytes:
        """Return the pattern of what stands before the name of an event."""
        return b" *.{0,64}?" + self.task + _TIME

    @cached_property
    def line(self) -> re.Pattern[bytes]:
        """Return a pattern that matches each line, with groups if it is an event with a place.

        The place stands in parentheses: where the probe is and, for a return, who called. The
        groups are task, CPU, seconds and their fraction, microseconds, ticks (of these four, those
        of one time), event, name and number of its first argument, name and number of its second.
        """
        event = self._head + _EVENT + rb"\([^()\n]*+\)" + _ARGUMENT + _ARGUMENT + rb"[ \r]*"
        return re.compile(rb"^(?:" + event + rb"|.*)$", re.MULTILINE)

    @cached_property
    def any_event(self) -> re.Pattern[bytes]:
        """Return a pattern that matches the beginning of any event; group 7 is its name."""
        return re.compile(self._head + rb"(?:" + _EVENT + rb"|[^\s(])")


# bpftrace prints what it is told to; zsemu trace record tells it to print the first of these.
FORMATS: Final = (
    TextFormat(
        "trace_pipe and trace-cmd report",
        "task-1 [000] ...1. 1.000000: zs_free: (zs_free+0x0) handle=0x1",
        rb"-(\d{1,9}) ++(?:\( *[\d-]+\) ++)?+\[(\d{1,4})\] *+" + _FLAGS + rb"?+",
    ),
    TextFormat(
        "the same in latency format",
        "task-1 0...1. 1000000us : zs_free: (zs_free+0x0) handle=0x1",
        rb"-(\d{1,9}) ++(\d{1,4})" + _FLAGS,
    ),
    TextFormat(
        "perf script",
        "task 1 [000] 1.000000: probe:zs_free: (ffffffff81000000) handle=0x1",
        rb" ++(?:\d{1,9}/)?+(\d{1,9}) ++\[?(\d{1,4})\]? ++",
    ),
)

LOST: Final = re.compile(
    rb"(?:.*:)? *CPU: ?\d+ \[(?:LOST )?(\d*) ?EVENTS(?: DROPPED)?\][ \r]*"  # ftrace, trace-cmd
    rb"|(?:.* )?PERF_RECORD_LOST lost (\d+)[ \r]*"
    rb"|Lost (\d+) events[ \r]*"  # bpftrace
)
"""A line that reports lost events; one of the groups has their number, if the line says it."""

COMMENT: Final = re.compile(
    rb"[ \r]*|#.*"
    rb"|(?:version = |cpus=)\d+[ \r]*|CPU \d+ is empty[ \r]*"  # trace-cmd
    rb"|\t *[\da-f]+ .*"  # perf script: a call of a chain
    rb"|Attach(?:ing|ed) \d+ probes?(?:\.\.\.)?[ \r]*"  # bpftrace, as the next one
    rb"|WARNING: Total lost event count: .*"
)
"""A line that tells nothing of an event."""
