# SPDX-License-Identifier: GPL-2.0-only
"""Write the shell scripts that record zsmalloc's events, one for each tracing tool, and run them.

All of them record those probes of probes.PROBES whose functions the running kernel has, and write
text that importer.py imports. ftrace, perf and trace-cmd record kprobes, which the script defines
in a group of their own; the first and the last of them in a tracing instance of their own. Group
and instance are named ``zsemu``, so that other tracing on the machine is not disturbed.
"""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.traces.events import HEADER
from zsemu.traces.probes import Probe
from zsemu.traces.survey import Kernel, probes

GROUP: Final = "zsemu"
BUFFER_KIB: Final = 16384
"""Size of each CPU's buffer. It holds some 200,000 events, so that none is lost while the process
that reads them waits for a CPU."""

_COUNT = """echo "$(grep -c '[ :]zs_[a-z_]*: ' "$output") events in $output" >&2"""


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


def script(kernel: Kernel, output: Path, seconds: float | None = None, tool: str = "ftrace") -> str:
    """Return a shell script, for root, that records into ``output`` with one of :data:`TOOLS`.

    The script records for the given time, or until it is interrupted. Then it waits until all
    events have been written, and removes what it has put up.
    """
    return f"""#!/bin/sh
# Records what is asked of zsmalloc. Start it before zram or zswap is set up: of an object that is
# older than the recording nobody knows the length. Import with: zsemu trace import
set -eu
output={shlex.quote(str(output.absolute()))}
{TOOLS[tool](kernel, seconds)}"""


def _header(more: str = "") -> str:
    """Return the command that begins the output with what the recording itself says."""
    return f'echo "{HEADER} kernel=$(uname -r) page_size=$(getconf PAGESIZE){more}" > "$output"'


def _call(seconds: float | None) -> str:
    """Return the command that calls for the workload, once everything is recorded."""
    stop = "" if seconds is not None else "; Ctrl-C ends it"
    return f'echo "recording; set up zram or zswap and run the workload now{stop}" >&2'


def _with_kprobes(kernel: Kernel, record: str, stop: str) -> str:
    """Return what defines the kprobes, records, and removes them, whatever happens.

    ``record`` is done between. ``stop`` is done at the end before the kprobes are removed.
    """
    chosen = probes(kernel.functions)
    define = "\n".join(
        f"echo {shlex.quote(kprobe(probe, kernel.arguments))} >> kprobe_events" for probe in chosen
    )
    remove = "\n".join(
        f"        echo '-:{GROUP}/{probe.name}' >> kprobe_events" for probe in chosen
    )
    return f"""tracefs={shlex.quote(str(kernel.tracefs))}
[ -e "$tracefs/kprobe_events" ] || mount -t tracefs nodev "$tracefs"
cd "$tracefs"

[ -e kprobe_events ] || {{ echo "this kernel has no CONFIG_KPROBE_EVENTS" >&2; exit 1; }}
{_header()}

finish() {{
    trap '' INT TERM
    set +e
    {stop}
    [ ! -e instances/{GROUP} ] || rmdir instances/{GROUP}
    {{
{remove}
    }} 2> /dev/null
}}
trap finish EXIT
trap : INT TERM

{define}
{record}
"""


def _ftrace(kernel: Kernel, seconds: float | None) -> str:
    """Return what the script does in which the kernel itself prints the events."""
    until = f"sleep {seconds:g}" if seconds is not None else "wait $reader || true"
    return _with_kprobes(
        kernel,
        record=f"""mkdir -p instances/{GROUP}
echo {BUFFER_KIB} > instances/{GROUP}/buffer_size_kb
echo 1 > instances/{GROUP}/events/{GROUP}/enable
echo 1 > instances/{GROUP}/tracing_on
cat instances/{GROUP}/trace_pipe >> "$output" &
reader=$!
{_call(seconds)}
{until}""",
        stop=f"""if [ "${{reader-}}" ]; then
        echo 0 > instances/{GROUP}/tracing_on
        # Until the reader has written all there is.
        before=
        while now=$(wc -c < "$output"); [ "$now" != "$before" ]; do before=$now; sleep 1; done
        kill $reader 2> /dev/null
        echo 0 > instances/{GROUP}/events/{GROUP}/enable
        {_COUNT}
    fi""",
    )


def _with_file(kernel: Kernel, seconds: float | None, record: str, print_: str) -> str:
    """Return what records into a tool's own file, and has the tool print that.

    The tool starts a command, which ends the recording with its own end, when it records already.
    Where it runs, in a folder beside the output, it may leave files.
    """
    until = "infinity" if seconds is None else f"{seconds:g}"
    return _with_kprobes(
        kernel,
        record=f"""scratch=$(mktemp -d "$output.XXXXXX")
# Its status is that of Ctrl-C; without a file the next command fails.
(cd "$scratch" && exec {record} \\
    sh -c {shlex.quote(f"{_call(seconds)}; exec sleep {until}")}) || true
(cd "$scratch" && exec {print_}) >> "$output"
{_COUNT}""",
        stop='rm -rf "${scratch-}"',
    )


def _perf(kernel: Kernel, seconds: float | None) -> str:
    """Return what the script does in which perf records."""
    return _with_file(
        kernel,
        seconds,
        record=f"perf record -q -a -m {BUFFER_KIB}K -e '{GROUP}:*' --",
        print_="perf script --show-lost-events",
    )


def _trace_cmd(kernel: Kernel, seconds: float | None) -> str:
    """Return what the script does in which trace-cmd records."""
    return _with_file(
        kernel,
        seconds,
        record=f"trace-cmd record -q -B {GROUP} -b {BUFFER_KIB} -e {GROUP}",
        print_="trace-cmd report",
    )


def _bpftrace(kernel: Kernel, seconds: float | None) -> str:
    """Return what the script does in which bpftrace records."""
    lines = [bpftrace_probe(probe) for probe in probes(kernel.functions)]
    if seconds is not None:
        lines.append(f"interval:ms:{max(1, round(seconds * 1000))} {{ exit(); }}")
    program = shlex.quote("\n".join(["", *lines, ""]))
    return f"""{_header(" time_unit=ns")}
trap : INT TERM
# It says that it attaches when it has compiled the program.
(until grep -q Attach "$output"; do sleep 1; done; sleep 2; {_call(seconds)}) &
trap "kill $! 2> /dev/null || true" EXIT
# Some versions report lost events on stderr.
BPFTRACE_PERF_RB_PAGES=$(({BUFFER_KIB} * 1024 / $(getconf PAGESIZE))) bpftrace -e {program} \\
    >> "$output" 2>&1 || {{ tail "$output" >&2; exit 1; }}
{_COUNT}
"""


TOOLS: Final[dict[str, Callable[[Kernel, float | None], str]]] = {
    "ftrace": _ftrace,
    "perf": _perf,
    "trace-cmd": _trace_cmd,
    "bpftrace": _bpftrace,
}
"""By the name of each tool, what writes the part of the script that is its own."""


def run(commands: str) -> None:
    """Run the script; ZsemuError if one of its commands fails."""
    process = subprocess.Popen(["sh", "-c", commands])
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:
            # Ctrl-C has reached the script too, which ends the recording in order.
            continue
    if status:
        raise ZsemuError(
            f"recording failed with status {status}, for the reason given above; it needs root and "
            "a kernel with CONFIG_KPROBE_EVENTS"
        )
