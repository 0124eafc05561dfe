# SPDX-License-Identifier: GPL-2.0-only
"""zsemu kernel: objects of a kernel's own zsmalloc."""

import os
from pathlib import Path
from typing import Annotated

import typer

from zsemu.cli.options import Archs, values
from zsemu.cli.terminal import emit
from zsemu.errors import ZsemuError

app = typer.Typer(no_args_is_help=True, help="Make a kernel's zsmalloc objects, and look at them.")


@app.command("build")
def build(
    tree: Annotated[Path, typer.Argument(help="The kernel's source tree; it is not changed.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for objects, one for each ARCH.")
    ],
    arch: Archs = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A .config, of one architecture. [default: the architecture's own]"),
    ] = None,
    page_size: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            help="The kernel's pages: 4096, 16384 or 65536, of the architectures that have such."
            " [default: the configuration's]",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes of make.")] = 0,
    copies: Annotated[
        bool,
        typer.Option(
            "--copies",
            help="Also the kernel's memcpy() and copy_page(), which then count instead of ours.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print the commands, and run none.")
    ] = False,
) -> None:
    """Print and run the make commands that give mm/zsmalloc.o of each architecture.

    The folder can then be named wherever a strategy is.

    Exit status: 0 fine, 2 bad use, or make failed.

    Example: zsemu kernel build linux-6.12 -o objects-16K --page-size 16384
    """
    from zsemu.guest import targets
    from zsemu.kernel.make import make
    from zsemu.kernel.target import kernel_target

    known = [kernel_target(name) for name in values(arch) or targets.names()]
    if page_size is not None:
        if config is not None:
            raise ZsemuError("--config says which pages there are: leave out --page-size")
        if not arch:
            known = [one for one in known if page_size in one.target.page_sizes]
        if not known:
            raise ZsemuError(
                f"no architecture has pages of {page_size} bytes: choose 4096, 16384 or 65536"
            )
    if config is not None and len(known) != 1:
        raise ZsemuError("--config is of one architecture: choose it with --arch")
    jobs = jobs or os.cpu_count() or 1
    for line in make(
        tree, output, known, config, jobs, copies=copies, page_size=page_size, dry=dry_run
    ):
        emit(f"{line}\n")


@app.command("show")
def show(
    path: Annotated[Path, typer.Argument(help="A zsmalloc.o or zsmalloc.ko.")],
    lse: Annotated[bool, typer.Option("--lse", help="With arm64's LSE atomics.")] = False,
) -> None:
    """Say what an object is: architecture, kernel, interface, size classes, layouts.

    Exit status: 0 fine, 2 an object that cannot run.

    Example: zsemu kernel show mm/zsmalloc.o
    """
    from zsemu.kernel.facts import discover
    from zsemu.kernel.object import load

    kernel = load(path)
    facts = discover(kernel, lse=lse)
    geometry = facts.geometry
    rows = (
        ("architecture", kernel.target.target.name),
        ("kernel", kernel.version or "not said"),
        ("interface", kernel.api.name.lower().replace("_", " ")),
        ("imports", str(len(kernel.imports))),
        ("copies", ", ".join(one.path.name for one in kernel.copies) or "zs_copy(), ours"),
        ("address layout", facts.address.name),
        ("pages", f"{geometry.page_size} bytes"),
        ("geometry", f"{geometry.name}, {len(geometry.classes)} classes"),
        ("zs_huge_class_size()", f"{geometry.huge_class_size} bytes"),
        ("sizeof(struct page)", f"{facts.layouts.size('page')} bytes"),
        ("handle", f"page frame above {facts.index_shift} bits, {facts.tag_bits} of them a tag"),
    )
    for name, text in rows:
        emit(f"{name:20}  {text}\n")
