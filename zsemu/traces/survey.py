# SPDX-License-Identifier: GPL-2.0-only
"""Find out what the running kernel offers for recording, and which probes suit it."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zsemu.errors import ZsemuError
from zsemu.traces.probes import PROBES, Probe, Role

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
