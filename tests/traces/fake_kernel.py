# SPDX-License-Identifier: GPL-2.0-only
"""What kernels offer to somebody who records, as files and commands that stand for it."""

import os
from pathlib import Path

import pytest

OLD = ["zs_malloc", "zs_free", "zs_map_object", "zs_unmap_object"]
NEW = ["zs_malloc", "zs_free", "zs_obj_read_begin", "zs_obj_read_end", "zs_obj_write"]
SG = ["zs_obj_read_sg_begin", "zs_obj_read_sg_end"]
ARGUMENTS = ("$arg1", "$arg2", "$arg3", "$arg4")


def fake(folder: Path, functions: list[str], fetch: str = "$stack, $arg<N>,") -> tuple[Path, Path]:
    """Make a kallsyms and a tracefs, which has no instance yet."""
    kallsyms, tracefs = folder / "kallsyms", folder / "tracing"
    kallsyms.write_text(
        "ffffffff81000000 T _stext\n0000000000000000 A\n"
        + "".join(f"ffffffffc0400000 t {name}\t[zsmalloc]\n" for name in functions)
        + "ffffffffc0500000 r __ksymtab_zs_malloc\t[zsmalloc]\n"
    )
    (tracefs / "instances").mkdir(parents=True)
    (tracefs / "README").write_text(f"fetcharg: {fetch}\n")
    (tracefs / "kprobe_events").write_text("")
    return kallsyms, tracefs


def act(
    tracefs: Path,
    monkeypatch: pytest.MonkeyPatch,
    trace_pipe: str = "",
    hits: int = 0,
    misses: int = 0,
) -> None:
    """Let mkdir and rmdir do what they do in tracefs, where an instance is full of files.

    ``trace_pipe`` is what its trace_pipe holds. The kernel says of each kprobe that it was hit and
    missed so often as is given; of others beside them that they were a million times.
    """
    template = tracefs.parent / "instance"
    for file, text in {
        "trace_pipe": trace_pipe,
        "buffer_size_kb": "1408\n",
        "events/zsemu/enable": "0\n",
        "per_cpu/cpu0/stats": "entries: 0\noverrun: 0\n",
        "per_cpu/cpu1/stats": "entries: 0\noverrun: 0\n",
    }.items():
        (template / file).parent.mkdir(parents=True, exist_ok=True)
        (template / file).write_text(text)
    (tracefs / "kprobe_events").write_text("p:mine/zs_free zs_free\n")
    rows = [("zs_free", 10**6, 10**6), ("zs_malloc", hits, misses)]
    rows += [("another", 0, 0)] * 9
    (tracefs / "kprobe_profile").write_text(
        "".join(f"  {name:<44} {hit:15} {miss:15}\n" for name, hit, miss in rows)
    )
    commands = tracefs.parent / "bin"
    commands.mkdir(exist_ok=True)
    for name, does in {
        # It fails if there is such a directory.
        "mkdir": f'/bin/mkdir "$1" && cp -r "{template}/." "$1"',
        "rmdir": f'cd "$1" && cat buffer_size_kb events/*/enable > "{tracefs}/last"; rm -r "$PWD"',
    }.items():
        (commands / name).write_text(f"#!/bin/sh\n{does}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
