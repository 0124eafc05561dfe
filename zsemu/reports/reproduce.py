# SPDX-License-Identifier: GPL-2.0-only
"""Say what made a document, and which commands make it again, from what it says of itself."""

import hashlib
import re
import shlex
from collections.abc import Sequence
from typing import Final

from zsemu.check.findings import Properties
from zsemu.check.suites import PROPERTIES
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import target
from zsemu.results.document import Document, dumps
from zsemu.results.throughput import Throughput
from zsemu.traces.file import SUFFIX
from zsemu.traces.file import names as trace_names

_LEVEL: Final = re.compile(r"-O(\w+)")
_DEFAULT_LEVEL: Final = "O2"


def provenance(document: Document) -> list[str]:
    """Say what made the figures, a paragraph each."""
    made = document.provenance
    compilers = made.compilers
    versions = list(dict.fromkeys(one.version for one in compilers.values()))
    flags = {arch: _whole_flags(one.flags) for arch, one in compilers.items()}
    common = [f for f in next(iter(flags.values())) if all(f in each for each in flags.values())]
    lines = [
        f"zsemu {made.zsemu}, Unicorn {made.unicorn}, compiler {', '.join(versions)}",
        "CPU models: " + ", ".join(f"{arch} {model}" for arch, model in made.cpu_models.items()),
        "flags: " + " ".join(common),
    ]
    for arch, each in flags.items():
        special = [flag for flag in each if flag not in common]
        if special:
            lines.append(f"flags of {arch}: {' '.join(special)}")
    for name, source in made.traces.items():
        what = [f"sha256 {source.sha256[:16]}", source.recorded_on, source.geometry]
        lines.append(f"trace {name}: {', '.join([*what, *filter(None, [source.provenance])])}")
    lines += [f"strategy {name}: sha256 {digest[:16]}" for name, digest in made.strategies.items()]
    for name, builds in made.kernels.items():
        for arch, build in builds.items():
            what = [f"sha256 {build.sha256[:16]}", build.compiler, f"CPU {build.cpu_model}"]
            lines.append(f"object {name} of {arch}: {', '.join(filter(None, what))}")
    return lines


def provenance_in_short(document: Document) -> str:
    """Say what made the figures in one sentence, without most flags and a kernel's digests."""
    made = document.provenance
    versions = list(dict.fromkeys(one.version for one in made.compilers.values()))
    compiled = f"{', '.join(versions)} -{_level(document)}"
    parts = [f"zsemu {made.zsemu}, Unicorn {made.unicorn}, {compiled}"]
    parts += [f"trace sha256 {one.sha256[:16]}" for one in made.traces.values()]
    parts += [f"{name} sha256 {digest[:16]}" for name, digest in made.strategies.items()]
    for name, builds in made.kernels.items():
        told = [build.kernel or build.compiler for build in builds.values()]
        parts.append(f"{name} a kernel's object ({', '.join(dict.fromkeys(filter(None, told)))})")
    return "; ".join(parts)


def _level(document: Document) -> str:
    """Return the level at which strategies were optimised, such as ``O2``."""
    flags = document.provenance.compilers[document.typical.arch].flags
    levels = [found[1] for flag in flags if (found := _LEVEL.fullmatch(flag))]
    return f"O{levels[0]}" if levels else _DEFAULT_LEVEL


def _whole_flags(flags: Sequence[str]) -> list[str]:
    """Join each flag with its argument: ``-target`` and its triple become one."""
    whole: list[str] = []
    for flag in flags:
        if whole and not flag.startswith("-"):
            whole[-1] += f" {flag}"
        else:
            whole.append(flag)
    return whole


def command(document: Document, base: str, output: str) -> str:
    """Return the command that writes the file ``output`` again.

    The document is of one run, as compare makes it. Files of the user's are named as if they lay in
    the current directory.
    """
    one, made = document.typical, document.provenance
    compiler = made.compilers[one.arch]
    level = _level(document)
    trace = one.trace if one.trace in trace_names() else f"./{one.trace}{SUFFIX}"
    strategies = dict.fromkeys(_source(record.strategy) for record in document.records)
    options = {
        "--trace": trace,
        "--operations": str(one.operations),
        "--geometry": one.geometry,
        "--page-size": str(one.page_size),
        "--arch": ",".join(dict.fromkeys(record.arch for record in document.records)),
        "--strategy": ",".join(strategies),
    }
    if family := _family(compiler.version):
        options["--cc"] = family
    if made.cache:
        options["--cache"] = made.cache
    if level == _DEFAULT_LEVEL:
        verb = "compare"
        options |= {"--relative-to": _source(base), "--json": output}
    else:
        # Only a sweep takes an optimisation level, and it chooses the names of its documents.
        verb = "sweep"
        options |= {"--optimisation": level, "--output": output.removesuffix(".json")}
    return _lines(f"zsemu {verb}", options)


def check_command(properties: Properties, output: str) -> str:
    """Return the command that writes the properties of a check to ``output`` again."""
    strategies = dict.fromkeys(_source(name) for own in properties.values() for name in own)
    options = {"--arch": ",".join(properties), "-k": PROPERTIES, "--format": "json"}
    command = _lines(shlex.join(["zsemu", "check", *strategies]), options)
    return f"{command} > {shlex.quote(output)}"


def loop_commands(found: Throughput) -> dict[str, str]:
    """Return the commands that ask llvm-mca about the same loops again, by the file of each.

    Any operations do: how often a loop was executed does not change what llvm-mca says of it.
    """
    commands: dict[str, str] = {}
    for (strategy, cpus), archs in _by_models(found).items():
        output = f"loops-{len(commands) + 1}.json"
        options = {"--arch": ",".join(archs), "--format": "json"}
        if cpus:
            options["--mca-cpu"] = ",".join(cpus)
        command = _lines(shlex.join(["zsemu", "annotate", _source(strategy), "--mca"]), options)
        commands[output] = f"{command} > {output}"
    return commands


def _by_models(found: Throughput) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Return architectures by strategy, and by the CPUs that were chosen instead of their own."""
    archs: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for listing in found.listings:
        own = tuple(dict(target(listing.arch).models.cpus))
        asked = {tuple(loop.cycles) for loop in listing.loops} or {own}
        for cpus in asked:
            archs.setdefault((listing.strategy, () if cpus == own else cpus), []).append(
                listing.arch
            )
    return archs


def race_command(locks: Properties, output: str) -> str:
    """Return the command that writes which locks strategies need to ``output`` again."""
    strategies = dict.fromkeys(_source(name) for own in locks.values() for name in own)
    options = {"--arch": ",".join(locks), "--format": "json"}
    command = _lines(shlex.join(["zsemu", "race", *strategies]), options)
    return f"{command} > {shlex.quote(output)}"


def _lines(command: str, options: dict[str, str]) -> str:
    """Return a command for a shell, with each option on a line of its own."""
    return " \\\n    ".join([command, *(shlex.join(option) for option in options.items())])


def digest(document: Document) -> str:
    """Return the SHA-256 of the document's file, in hexadecimal."""
    return hashlib.sha256(dumps(document).encode()).hexdigest()


def needs(document: Document) -> list[str]:
    """Say which versions and files the commands need, a line each."""
    made = document.provenance
    versions = dict.fromkeys(one.version for one in made.compilers.values())
    lines = [f"zsemu {made.zsemu}, Unicorn {made.unicorn}, {', '.join(versions)}"]
    for name, source in made.traces.items():
        if name not in trace_names():
            lines.append(f"{name}{SUFFIX}: a trace of sha256 {source.sha256} (of its columns)")
    for name, sha256 in made.strategies.items():
        lines.append(f"{_source(name).removeprefix('./')}: a C file of sha256 {sha256}")
    for name, builds in made.kernels.items():
        for arch, build in builds.items():
            lines.append(f"{name}: an object of {arch} of sha256 {build.sha256}")
    return lines


def _source(strategy: str) -> str:
    """Return the argument for a strategy whose name in the results is ``strategy``."""
    if strategy in strategy_names():
        return strategy
    # If two files have the same name, results add a part of the digest to it.
    return f"./{re.sub(r'@[0-9a-f]{8}$', '', strategy)}"


def _family(version: str) -> str:
    """Return the member of compiler.COMPILERS that a version names; empty if it names none."""
    found = re.search(r"\b(zig|clang|gcc)\b", version)
    return found[1] if found else ""
