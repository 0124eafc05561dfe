# SPDX-License-Identifier: GPL-2.0-only
"""Write the shell scripts that record zsmalloc's events, one for each tracing tool.

All of them record those probes of probes.PROBES whose functions the running kernel has, and write
text that importer.py imports. ftrace, perf and trace-cmd record kprobes, which the script defines
in a group of their own; the first and the last of them in a tracing instance of their own. Group
and instance are named ``zsemu``, so that other tracing on the machine is not disturbed. A lock on
tracefs's own directory, which ends with its holder, keeps two recordings apart.

supervisor.py runs a script, and removes what it leaves if it is killed.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.traces.events import HEADER
from zsemu.traces.probes import Probe
from zsemu.traces.survey import Kernel, probes

GROUP: Final = "zsemu"
BUFFER_KIB: Final = 16384
"""Size of each CPU's buffer. It holds some 200,000 events, so that none is lost while the process
that reads them waits for a CPU."""


@dataclass(frozen=True)
class Job:
    """What to record."""

    kernel: Kernel
    output: Path
    """The file that the recording is written to."""
    seconds: float | None = None
    """How long to record; None: until the script is interrupted."""
    buffer_kib: int = BUFFER_KIB
    """KiB of each CPU's buffer."""


def kprobe(probe: Probe, arguments: tuple[str, ...]) -> str:
    """Return the line that defines a probe when it is written to ``kprobe_events``.

    ``arguments`` says how the kernel names arguments 1 to 4, as :class:`Kernel` has them.
    """
    words = [f"{'r' if probe.returns else 'p'}:{GROUP}/{probe.name}", probe.function]
    for name, number in probe.arguments:
        where = arguments[number - 1] if number else "$retval"
        # A handle is a machine word, which is the default; the other arguments fit in 32 bits.
        words.append(f"{name}={where}" if name == "handle" else f"{name}={where}:u32")
    return " ".join(words)


def bpftrace_probe(probe: Probe) -> str:
    """Return the probe in bpftrace's language; what it prints looks like a line of trace_pipe.

    The time is in nanoseconds, since not every bpftrace can print a fraction with its zeros.
    """
    words, values = [f"{probe.name}: ({probe.function})"], ["comm", "tid", "cpu", "nsecs"]
    for name, number in probe.arguments:
        value = f"arg{number - 1}" if number else "retval"
        words.append(f"{name}=0x%llx" if name == "handle" else f"{name}=%u")
        values.append(value if name == "handle" else f"(uint32){value}")
    kind = "kretprobe" if probe.returns else "kprobe"
    return (
        f'{kind}:{probe.function} {{ printf("%s-%d [%d] %llu: {" ".join(words)}\\n", '
        f"{', '.join(values)}); }}"
    )


def script(job: Job, tool: str = "ftrace") -> str:
    """Return a shell script, for root, that records with one of :data:`TOOLS`.

    The script records for the given time, or until it is interrupted. Then it waits until all
    events have been written, and removes what it has put up. Its status is not 0 if an event was
    lost.
    """
    return f"""#!/bin/sh
# Records what is asked of zsmalloc. Start it before zram or zswap is set up: of an object that is
# older than the recording nobody knows the length. Import with: zsemu trace import
set -eu
export LC_ALL=C
output={shlex.quote(str(job.output.absolute()))}

{_TALLY}
{TOOLS[tool](job)}"""


def removal(kernel: Kernel) -> str:
    """Return the shell commands that remove what a script has put up that was killed.

    Call this before the script runs, since it looks whether tracefs is mounted already.
    """
    mounted = "" if (kernel.tracefs / "kprobe_events").exists() else "yes"
    return f"mounted={mounted}\n{_removal(kernel)}"


def _removal(kernel: Kernel) -> str:
    """Return the shell commands that remove what a script has put up, as far as it is there."""
    tracefs = shlex.quote(str(kernel.tracefs))
    remove = "\n".join(
        f"    echo '-:{GROUP}/{probe.name}' >> kprobe_events" for probe in probes(kernel.functions)
    )
    return f"""cd {tracefs}
if [ -e instances/{GROUP} ]; then
    # The reader of a script that was killed keeps the instance busy.
    find /proc/[0-9]*/fd -lname '*/instances/{GROUP}/trace_pipe' 2> /dev/null |
        cut -d / -f 3 | xargs -r kill
    rmdir instances/{GROUP} 2> /dev/null || {{ sleep 1; rmdir instances/{GROUP}; }}
fi
{{
{remove}
}} 2> /dev/null
cd /
exec 9<&-
[ -z "$mounted" ] || umount {tracefs}"""


def _header(more: str = "") -> str:
    """Return the commands that begin the output with what the recording itself says.

    The configuration of a kernel may be readable in one of three places, or nowhere.
    """
    words = f"kernel=$(uname -r) page_size=$(getconf PAGESIZE)$chain_size{more}"
    return f"""chain_size=$({{ gzip -dc /proc/config.gz || cat "/boot/config-$(uname -r)" ||
    cat "/lib/modules/$(uname -r)/config"; }} 2> /dev/null |
    sed -n 's/^CONFIG_ZSMALLOC_CHAIN_SIZE=/ chain_size=/p')
echo {HEADER!r} "{words}" > "$output\""""


def _call(job: Job) -> str:
    """Return the command that calls for the workload, once everything is recorded."""
    stop = "" if job.seconds is not None else "; Ctrl-C ends it"
    return f'echo "recording; set up zram or zswap and run the workload now{stop}" >&2'


# Whatever the tool, a line of the output reports what it has lost. The first argument is the number
# of events that there must be, where the kernel has counted them.
_TALLY: Final = r"""tally() {
    events=$(grep -c '[ :]zs_[a-z_]*: ' "$output")
    echo "$events events in $output" >&2
    if [ "${1:-$events}" -ne "$events" ] ||
        grep -q 'LOST.* EVENTS\]\|EVENTS DROPPED\]\|PERF_RECORD_LOST\|^Lost [0-9]' "$output"; then
        echo "events were lost${1:+: there were $1}; record again with a larger --buffer" >&2
        return 1
    fi
}
"""


def _with_kprobes(job: Job, record: str, stop: str) -> str:
    """Return what defines the kprobes, records, and removes them, whatever happens.

    ``record`` is done between. ``stop`` is done at the end before the kprobes are removed; it may
    set ``status``.
    """
    define = "\n".join(
        f"echo {shlex.quote(kprobe(probe, job.kernel.arguments))} >> kprobe_events"
        for probe in probes(job.kernel.functions)
    )
    return f"""tracefs={shlex.quote(str(job.kernel.tracefs))} mounted=
if [ ! -e "$tracefs/kprobe_events" ]; then
    mount -t tracefs nodev "$tracefs"
    mounted=yes
fi
exec 9< "$tracefs"
flock -n 9 || {{ echo "another recording runs on this machine" >&2; exit 1; }}

remove() {{
{_indented(_removal(job.kernel))}
}}
finish() {{
    status=$?
    trap '' INT TERM HUP
    set +e
    {stop}
    remove
    exit $status
}}
trap finish EXIT
trap : INT TERM HUP
cd "$tracefs"
[ -e kprobe_events ] || {{ echo "this kernel has no CONFIG_KPROBE_EVENTS" >&2; exit 1; }}
# What a recording has left that was killed together with its supervisor.
(set +e; mounted=; remove)

{_header()}
{define}
{record}
"""


def _indented(text: str) -> str:
    """Return lines, each with the indentation of a function's body."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _ftrace(job: Job) -> str:
    """Return what the script does in which the kernel itself prints the events.

    The kernel counts how often each kprobe was hit, and how often it missed a call.
    """
    wait, stop = "wait $reader || true", ""
    if job.seconds is not None:
        wait = f"sleep {job.seconds:g} &\ntimer=$!\nwait $timer || true"
        stop = "\n        kill $timer 2> /dev/null"
    return _with_kprobes(
        job,
        record=f"""mkdir instances/{GROUP}
echo {job.buffer_kib} > instances/{GROUP}/buffer_size_kb
cat instances/{GROUP}/trace_pipe >> "$output" 9<&- &
reader=$!
echo 1 > instances/{GROUP}/events/{GROUP}/enable
{_call(job)}
{wait}""",
        stop=f"""if [ "${{reader-}}" ]; then{stop}
        echo 0 > instances/{GROUP}/events/{GROUP}/enable
        due=$(paste kprobe_events kprobe_profile |
            awk '$1 ~ ":{GROUP}/" {{ n += $(NF - 1) + $NF }} END {{ print n + 0 }}')
        # Until the reader has written all there is, or has been stuck for ten seconds.
        size= patience=10
        while [ $patience -gt 0 ]; do
            now=$(wc -c < "$output")
            if [ "$now" != "$size" ]; then
                size=$now patience=10
            elif ! grep -q '^entries: [1-9]' instances/{GROUP}/per_cpu/cpu*/stats; then
                break
            fi
            patience=$((patience - 1))
            sleep 1
        done
        kill $reader 2> /dev/null
        wait $reader 2> /dev/null
        echo "{HEADER} events=$due" >> "$output"
        tally $due || status=1
    fi""",
    )


def _with_file(job: Job, record: str, print_: str) -> str:
    """Return what records into a tool's own file, and has the tool print that.

    The tool starts a command, which ends the recording with its own end, when it records already.
    Where it runs, in a folder beside the output, it may leave files.
    """
    until = "infinity" if job.seconds is None else f"{job.seconds:g}"
    return _with_kprobes(
        job,
        record=f"""scratch=$(mktemp -d "$output.XXXXXX")
(cd "$scratch" && exec {record} \\
    sh -c {shlex.quote(f"echo $$ > command; {_call(job)}; exec sleep {until}")}) &
recorder=$!
wait $recorder || true""",
        stop=f"""if [ "${{recorder-}}" ]; then
        kill "$(cat "$scratch/command")" 2> /dev/null
        # Its status is that of Ctrl-C; without a file the next command fails.
        wait $recorder
        (cd "$scratch" && exec {print_}) >> "$output" || status=$?
        tally || status=1
    fi
    rm -rf "${{scratch-}}\"""",
    )


def _perf(job: Job) -> str:
    """Return what the script does in which perf records."""
    return _with_file(
        job,
        record=f"perf record -q -a -m {job.buffer_kib}K -e '{GROUP}:*' --",
        print_="perf script --show-lost-events",
    )


def _trace_cmd(job: Job) -> str:
    """Return what the script does in which trace-cmd records."""
    return _with_file(
        job,
        record=f"trace-cmd record -q -B {GROUP} -b {job.buffer_kib} -e {GROUP}",
        print_="trace-cmd report",
    )


def _bpftrace(job: Job) -> str:
    """Return what the script does in which bpftrace records."""
    lines = [bpftrace_probe(probe) for probe in probes(job.kernel.functions)]
    if job.seconds is not None:
        lines.append(f"interval:ms:{max(1, round(job.seconds * 1000))} {{ exit(); }}")
    program = shlex.quote("\n".join(["", *lines, ""]))
    return f"""{_header(" time_unit=ns")}
trap : INT TERM HUP
# It says that it attaches when it has compiled the program.
(until grep -q Attach "$output"; do sleep 1; done; sleep 2; {_call(job)}) &
trap "kill $! 2> /dev/null || true" EXIT
# Some versions report lost events on stderr.
BPFTRACE_PERF_RB_PAGES=$(({job.buffer_kib} * 1024 / $(getconf PAGESIZE))) bpftrace -e {program} \\
    >> "$output" 2>&1 &
recorder=$! status=0
wait $recorder || status=$?
if kill -INT $recorder 2> /dev/null; then
    status=0
    wait $recorder || status=$?
fi
[ $status = 0 ] || tail "$output" >&2
tally || status=1
exit $status
"""


TOOLS: Final[dict[str, Callable[[Job], str]]] = {
    "ftrace": _ftrace,
    "perf": _perf,
    "trace-cmd": _trace_cmd,
    "bpftrace": _bpftrace,
}
"""By the name of each tool, what writes the part of the script that is its own."""
