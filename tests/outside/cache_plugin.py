# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's own plugin ``cache`` (contrib/plugins/cache.c), and what misses in it in a process.

No package of Debian has it. ``.ci/qemu-source`` fetches its source, which is that of the installed
QEMU, into the folder that ``$QEMU_SOURCE`` names.
"""

import os
import re
import tempfile
from pathlib import Path

from outside.counting import call, need
from outside.process import Process
from zsemu.caches.hierarchy import Level
from zsemu.errors import ZsemuError

_SOURCE = Path("contrib/plugins/cache.c")
_HEADERS = Path("include/qemu")
_TOTALS = re.compile(r"^0 +(?P<accesses>\d+) +(?P<misses>\d+) ", re.MULTILINE)
# The address of an instruction, its symbol if there is one, its misses.
_INSTRUCTION = re.compile(r"^0x([0-9a-f]+)(?: \(.*?\))?, (\d+), ", re.MULTILINE)


def compile_plugin(folder: Path) -> Path:
    """Compile the plugin into a folder; ZsemuError if there is no source of it."""
    source = Path(os.environ.get("QEMU_SOURCE", ""))
    if "QEMU_SOURCE" not in os.environ or not (source / _SOURCE).exists():
        raise ZsemuError(
            f"no {_SOURCE} of QEMU in the folder that QEMU_SOURCE names: fetch it with"
            " '.ci/qemu-source FOLDER', and set QEMU_SOURCE to FOLDER"
        )
    config = [need("pkg-config", "pkg-config"), "--cflags", "--libs", "glib-2.0"]
    glib = call(config).stdout.decode().split()
    output = folder / "libcache.so"
    flags = ("-O2", "-shared", "-fPIC", f"-I{source / _HEADERS}")
    call([need("gcc", "gcc"), *flags, "-o", output, source / _SOURCE, *glib])
    return output


def data_misses(plugin: Path, process: Process, level: Level) -> dict[int, int]:
    """Return how often each instruction's loads and stores missed a level, by its address."""
    emulator = need(f"qemu-{process.image.target.folder}", "qemu-user")
    sizes = f"dcachesize={level.size},dassoc={level.ways},dblksize={level.line}"
    with tempfile.TemporaryDirectory() as name:
        program, log = Path(name) / "process", Path(name) / "log"
        process.write(program)
        # As many instructions as there are.
        loaded = f"{plugin},{sizes},evict=lru,limit={1 << 30}"
        call([emulator, "-plugin", loaded, "-d", "plugin", "-D", log, program])
        text = log.read_text()
    totals = _TOTALS.search(text)
    _, _, rest = text.partition("address, data misses, instruction\n")
    rows = _INSTRUCTION.findall(rest.partition("\n\n")[0])
    found = {int(address, 16): int(misses) for address, misses in rows}
    assert totals and sum(found.values()) == int(totals["misses"]), text[:500]
    return found
