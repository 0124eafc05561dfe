# SPDX-License-Identifier: GPL-2.0-only
"""What kernels offer to somebody who records, as files that stand for it."""

from pathlib import Path

OLD = ["zs_malloc", "zs_free", "zs_map_object", "zs_unmap_object"]
NEW = ["zs_malloc", "zs_free", "zs_obj_read_begin", "zs_obj_read_end", "zs_obj_write"]
SG = ["zs_obj_read_sg_begin", "zs_obj_read_sg_end"]
ARGUMENTS = ("$arg1", "$arg2", "$arg3", "$arg4")


def fake(folder: Path, functions: list[str], fetch: str = "$stack, $arg<N>,") -> tuple[Path, Path]:
    """Make a kallsyms and a tracefs; the instance's directory is there already."""
    kallsyms, tracefs = folder / "kallsyms", folder / "tracing"
    kallsyms.write_text(
        "ffffffff81000000 T _stext\n0000000000000000 A\n"
        + "".join(f"ffffffffc0400000 t {name}\t[zsmalloc]\n" for name in functions)
        + "ffffffffc0500000 r __ksymtab_zs_malloc\t[zsmalloc]\n"
    )
    events = tracefs / "instances/zsemu/events/zsemu"
    events.mkdir(parents=True)
    (tracefs / "README").write_text(f"fetcharg: {fetch}\n")
    (tracefs / "kprobe_events").write_text("")
    (tracefs / "instances/zsemu/trace_pipe").write_text("")
    return kallsyms, tracefs
