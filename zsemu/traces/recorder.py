# SPDX-License-Identifier: GPL-2.0-only
"""Write the shell script that records zsmalloc's events on a live Linux machine, and run it.

Of the kprobes in probes.PROBES the script defines those whose functions the running kernel has;
importer.py imports what they print. The kprobes are in a group of their own, and their events in a
tracing instance of their own, both named ``zsemu``, so that other tracing on the machine is not
disturbed.
"""

import platform
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.traces.events import HEADER
from zsemu.traces.probes import PROBES, Probe, Role

GROUP: Final = "zsemu"
BUFFER_KIB: Final = 16384
"""Size of each CPU's buffer. It holds some 200,000 events, so that none is lost while the process
that reads them waits for a CPU."""

_TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))

# Where arguments 1 to 4 of a function are, in the words of kprobe_events. Only kernels that know no
# $argN need it: those before 4.20, and those of architectures without
# CONFIG_HAVE_FUNCTION_ARG_ACCESS_API. i386 kernels pass three arguments in registers (regparm); the
# fourth lies above the return address.
_REGISTERS = {
    "x86_64": ("%di", "%si", "%dx", "%cx"),
    "i386": ("%ax", "%dx", "%cx", "$stack1"),
    "i686": ("%ax", "%dx", "%cx", "$stack1"),
    "aarch64": ("%x0", "%x1", "%x2", "%x3"),
    "arm": ("%r0", "%r1", "%r2", "%r3"),
    "riscv": ("%a0", "%a1", "%a2", "%a3"),
}


@dataclass(frozen=True)
class Kernel:
    """What the running kernel offers for recording."""

    functions: frozenset[str]
    """Which of the functions in probes.PROBES it has."""
    arguments: tuple[str, ...]
    """How its kprobes name arguments 1 to 4."""
    tracefs: Path
    """Where tracefs is mounted, or is to be."""


def _arguments(tracefs: Path, machine: str) -> tuple[str, ...]:
    """Return how kprobes name arguments 1 to 4."""
    numbered = ("$arg1", "$arg2", "$arg3", "$arg4")
    try:
        if "$arg<N>" in (tracefs / "README").read_text():
            return numbered
    except OSError:
        # Only root may read it. All kernels from 4.20 on have $argN, except those of 32-bit ARM.
        if not machine.startswith("arm"):
            return numbered
    for name, registers in _REGISTERS.items():
        if machine.startswith(name):
            return registers
    raise ZsemuError(
        f"this kernel's kprobes have no $argN and the registers of {machine} are not known here; "
        "record on a kernel from 4.20 on"
    )


def survey(
    *,
    kallsyms: Path = Path("/proc/kallsyms"),
    tracefs: Path | None = None,
    machine: str | None = None,
) -> Kernel:
    """Return what the running kernel offers; ZsemuError says what to do if it is not enough."""
    try:
        text = kallsyms.read_text()
    except OSError as error:
        raise ZsemuError(
            f"{kallsyms}: {error.strerror}; recording needs a Linux kernel with CONFIG_KALLSYMS"
        ) from error
    # A line is "address type name", with "[module]" behind it for the symbol of a module.
    symbols = {words[2] for words in map(str.split, text.splitlines()) if len(words) > 2}
    functions = frozenset(symbols & {probe.function for probe in PROBES})
    if not {"zs_malloc", "zs_free"} <= functions:
        raise ZsemuError(
            f"{kallsyms}: the running kernel has no zsmalloc; load it with: modprobe zsmalloc "
            "(a kernel without that module needs CONFIG_ZSMALLOC), then try again"
        )
    if not functions & {probe.function for probe in PROBES if probe.role == Role.BEGIN}:
        raise ZsemuError(
            f"{kallsyms}: the running kernel's zsmalloc has neither zs_map_object nor "
            "zs_obj_read_begin nor zs_obj_read_sg_begin; this zsemu does not know its API"
        )
    if tracefs is None:
        tracefs = next((path for path in _TRACEFS if path.is_dir()), _TRACEFS[0])
    return Kernel(functions, _arguments(tracefs, machine or platform.machine()), tracefs)


def probes(functions: Iterable[str]) -> list[Probe]:
    """Return the probes for a zsmalloc that has the given functions.

    zs_obj_read_begin got its argument mem_len in the same merge window in which
    zs_obj_read_sg_begin was added (0be909f114c4 and dc2e4982cb01, January 2026). So a kernel that
    has the latter function has the former's argument.
    """
    known = frozenset(functions)
    with_length = "zs_obj_read_sg_begin" in known
    return [
        probe
        for probe in PROBES
        if probe.function in known
        and (probe.name != "zs_obj_read_begin" or (len(probe.arguments) > 1) == with_length)
    ]


def definition(probe: Probe, arguments: tuple[str, ...]) -> str:
    """Return the line that defines a probe when it is written to ``kprobe_events``."""
    words = [f"{'r' if probe.returns else 'p'}:{GROUP}/{probe.name}", probe.function]
    for name, number in probe.arguments:
        where = arguments[number - 1] if number else "$retval"
        # A handle is a machine word, which is the default; the other arguments fit in 32 bits.
        words.append(f"{name}={where}" if name == "handle" else f"{name}={where}:u32")
    return " ".join(words)


def script(kernel: Kernel, output: Path, seconds: float | None = None) -> str:
    """Return a shell script, for root, that records into ``output``.

    The script records for the given time, or until it is interrupted. Then it waits until all
    events have been written, and removes the kprobes and the tracing instance.
    """
    chosen = probes(kernel.functions)
    define = "\n".join(
        f"echo {shlex.quote(definition(probe, kernel.arguments))} >> kprobe_events"
        for probe in chosen
    )
    remove = "\n".join(
        f"        echo '-:{GROUP}/{probe.name}' >> kprobe_events" for probe in chosen
    )
    until = f"sleep {seconds:g}" if seconds is not None else "wait $reader || true"
    stop = "" if seconds is not None else "; Ctrl-C ends it"
    return f"""#!/bin/sh
# Records what is asked of zsmalloc. Start it before zram or zswap is set up: of an object that is
# older than the recording nobody knows the length. Import with: zsemu trace import
set -eu
output={shlex.quote(str(output.absolute()))}
tracefs={shlex.quote(str(kernel.tracefs))}
[ -e "$tracefs/kprobe_events" ] || mount -t tracefs nodev "$tracefs"
cd "$tracefs"

[ -e kprobe_events ] || {{ echo "this kernel has no CONFIG_KPROBE_EVENTS" >&2; exit 1; }}
echo "{HEADER} kernel=$(uname -r) page_size=$(getconf PAGESIZE)" > "$output"

reader=
finish() {{
    trap '' INT TERM
    set +e
    if [ "$reader" ]; then
        echo 0 > instances/{GROUP}/tracing_on
        # Until the reader has written all there is.
        before=
        while now=$(wc -c < "$output"); [ "$now" != "$before" ]; do before=$now; sleep 1; done
        kill $reader 2> /dev/null
        echo 0 > instances/{GROUP}/events/{GROUP}/enable
        echo "$(grep -c ': zs_' "$output") events in $output" >&2
    fi
    rmdir instances/{GROUP}
    {{
{remove}
    }} 2> /dev/null
}}
trap finish EXIT
trap : INT TERM

{define}
mkdir -p instances/{GROUP}
echo {BUFFER_KIB} > instances/{GROUP}/buffer_size_kb
echo 1 > instances/{GROUP}/events/{GROUP}/enable
echo 1 > instances/{GROUP}/tracing_on
cat instances/{GROUP}/trace_pipe >> "$output" &
reader=$!
echo "recording; set up zram or zswap and run the workload now{stop}" >&2
{until}
"""


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
