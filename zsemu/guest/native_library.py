# SPDX-License-Identifier: GPL-2.0-only
"""Compile native code for this machine, once, and load it."""

import ctypes
import hashlib
import platform
from pathlib import Path
from typing import Final

from zsemu.guest.compiler import cache_folder, compile_to, zig

_FLAGS: Final = ("-O2", "-shared", "-fPIC", "-mcpu=baseline", "-Wall", "-fno-sanitize=undefined")

_SHARED: Final = Path(__file__).parent / "native"
"""the folder of headers that the C files of other folders include, too"""


def load_library(name: str, source: Path) -> ctypes.CDLL:
    """Load what a C file, those beside it and shared headers compile to, unless the cache has it.

    ZsemuError with the compiler's message if they do not compile.
    """
    digest = hashlib.sha256()
    digest.update("\0".join((*_FLAGS, platform.system(), platform.machine())).encode())
    for path in sorted({*source.parent.glob("*.[ch]"), *_SHARED.glob("*.h")}):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\0".encode() + content)
    compiled = cache_folder("hooks") / f"{name}-{digest.hexdigest()[:24]}.so"
    if not compiled.exists():
        command = [*zig(), "cc", *_FLAGS, str(source)]
        compile_to(compiled, command, f"the native hooks of {source.name} do not compile here")
    return ctypes.CDLL(str(compiled))
