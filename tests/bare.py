# SPDX-License-Identifier: GPL-2.0-only
"""A strategy that does nothing, for tests to plant things in."""

from pathlib import Path

from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import target

_TEXT = """
#include "zs.h"
u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
                  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
        %s;
        return zs_one_span(span, caller, loc);
}
void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
                     enum zs_mapmode mode, void *caller)
{
}
"""
LINE = 1 + _TEXT[: _TEXT.index("%s")].count("\n")
"""of ``statement`` in the file"""


def source(statement: str = "") -> str:
    """Return its text, with a statement of C in the map function."""
    return _TEXT % statement


def image(arch: str, assembly: str, folder: Path) -> Image:
    """Build it with assembly in the map function."""
    file = folder / "bare.c"
    quoted = assembly.replace("\\", "\\\\").replace('"', '\\"')
    file.write_text(source(f'asm volatile("{quoted}")'))
    return Image(build(target(arch), strategy(str(file))), target(arch))
