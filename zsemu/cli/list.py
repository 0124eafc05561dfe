# SPDX-License-Identifier: GPL-2.0-only
"""zsemu list: the architectures, strategies and traces there are; and what versions are at work."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from zsemu.cli.terminal import emit, width

if TYPE_CHECKING:
    from zsemu.traces.trace import Trace


def list_() -> None:
    """List architectures, strategies and traces.

    Of a strategy the first line of its comment and what it promises; of a trace how long it is and
    what it was recorded on.

    Example: zsemu list
    """
    from zsemu.guest import strategies, targets
    from zsemu.traces import file as trace_file

    blocks = [
        "Architectures",
        *_aligned(
            (one.name, f"{one.description}; CPU model {one.cpu_model}")
            for one in map(targets.target, targets.known())
        ),
        "",
        "Strategies",
        *_aligned(
            (one.name, one.summary, "promises: " + (", ".join(one.promises) or "nothing"))
            for one in map(strategies.strategy, strategies.names())
        ),
        "",
        "Traces",
        *_aligned(_trace(trace_file.load(trace_file.find(name))) for name in trace_file.names()),
    ]
    emit("\n".join([*blocks, ""]))


def _trace(trace: "Trace") -> tuple[str, ...]:
    metadata, maps = trace.metadata, int(trace.maps.sum())
    size = f"{len(trace)} operations, {maps} maps"
    return (
        trace.name,
        f"{size}; kernel {metadata.kernel}, geometry {metadata.geometry}",
        metadata.provenance,
    )


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines in which the first text of a row stands left of the others."""
    every = list(rows)
    left = max((len(row[0]) for row in every), default=0)
    lines = []
    for first, *texts in every:
        wrapped = [line for text in texts for line in textwrap.wrap(text, width() - left - 4)]
        names = [first] + [""] * (len(wrapped) - 1)
        lines += [f"  {name:{left}}  {line}" for name, line in zip(names, wrapped, strict=True)]
    return lines


def version() -> str:
    """Return what ``--version`` prints: all that counts depend on, as far as zsemu brings it.

    The packages say their versions: to load Unicorn, or to run zig, would take far longer.
    """
    from importlib import metadata

    import zsemu
    from zsemu.guest import targets

    models = _aligned((name, targets.cpu_model(name)) for name in targets.names())
    return "\n".join(
        [
            f"zsemu {zsemu.__version__}",
            f"compiler zig {metadata.version('ziglang')}",
            f"Unicorn {metadata.version('unicorn')}",
            "CPU models",
            *models,
        ]
    )
