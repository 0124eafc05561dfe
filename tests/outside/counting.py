# SPDX-License-Identifier: GPL-2.0-only
"""Runs a process under an outside counter and brings its figures into our columns."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from outside.process import Process
from zsemu.counts import COLUMNS, PHASES, REGIONS, TRAFFIC
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import cache_folder, run, zig
from zsemu.guest.hook_structures import ENTRIES
from zsemu.guest.image import Image
from zsemu.guest.memory import CODE, OTHER, POOL, RAM_BASE
from zsemu.guest.structures import ZSPAGE_SIZE, ZSPAGE_WORDS
from zsemu.paths import replacing

_SOURCE = Path(__file__).parent / "plugin.c"
_FLAGS = ("-O2", "-shared", "-fPIC", "-mcpu=baseline", "-Wall", "-fno-sanitize=undefined")
_HEAD: Final = ("instructions", "string_iterations", "replaced", "lines_touched", "lines_dirtied")
_PLUGIN_COLUMNS: Final = (*_HEAD, *(f"{region}.{name}" for region in REGIONS for name in TRAFFIC))
CALLGRIND_COLUMNS: Final = ("instructions", "string_iterations", "loads", "stores")
_FUNCTIONS: Final = (ENTRIES[:1], ENTRIES[1:2], ENTRIES[2:4], ENTRIES[4:])
"""of the phases"""
_STRING, _STORE_EXCLUSIVE, _REPLACEMENT = range(1, 4)

# A string instruction repeated by a prefix, with the other prefixes that it may have: by its
# bytes, not by what the engine's decoder calls it.
_REPEATED = re.compile(rb"\x66?[\xf2\xf3]\x66?[\x40-\x4f]?[\xa4-\xa7\xaa-\xaf]", re.DOTALL)

_EXCLUSIVES = re.compile(r"^(stl?x|strex|sc\.)")


def need(program: str, package: str) -> str:
    """Return the path of a program; ZsemuError, with which a test fails, if it is not there."""
    found = shutil.which(program)
    if not found:
        raise ZsemuError(f"no {program}: install it with 'apt-get install {package}'")
    return found


def call(command: Sequence[str | Path]) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr.decode()[-2000:]}"
    return done


def strings(image: Image) -> list[int]:
    """Return the addresses of the repeated string instructions."""
    if image.target.folder not in ("x86_64", "i386"):
        return []
    base, code = image.sections[".text"]
    return [a for a in image.instructions if _REPEATED.match(code, a - base)]


@cache
def _plugin(version: int) -> Path:
    """Compile the plugin for QEMU with this version of its API."""
    directory = cache_folder("outside")
    output = directory / f"plugin-{version}.so"
    with replacing(output) as stream:
        command = [*zig(), "cc", *_FLAGS, f"-DAPI_VERSION={version}", "-Wl,-z,lazy"]
        done = run([*command, "-o", str(stream.name), str(_SOURCE)])
        assert done.returncode == 0, done.stderr
    return output


@cache
def _api_version(emulator: str) -> int:
    """Return a version of the plugin API that this QEMU takes: 1 up to 8.2, then 2."""
    banner = call([emulator, "--version"]).stdout.decode()
    match = re.search(r"version (\d+)", banner)
    assert match, banner
    return 1 if int(match[1]) < 9 else 2


def _regions(process: Process) -> list[tuple[int, int, int]]:
    """Return (first address, the one behind, region) of all memory but that which is OTHER."""
    memory = process.memory
    by_page = memory.regions()
    cuts = np.flatnonzero(np.diff(by_page)) + 1
    ranges = []
    for first, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(by_page)], strict=True):
        what = int(by_page[first])
        # Code and static data are at their physical addresses, all else in the direct map.
        base = RAM_BASE if what == CODE else memory.virtual(0)
        if what != OTHER:
            shift = memory.page_shift
            ranges.append((base + (first << shift), base + (end << shift), what))
    window = memory.sizes.cpus * memory.WINDOW_PAGES << memory.mmu_shift
    # What a window shows is in the pool.
    start = memory.target.window
    return [*ranges, (start, start + window, POOL)]


def _plan(process: Process) -> bytes:
    """Return the content of the plugin's ``plan`` file: struct plan, ranges, kinds."""
    image, memory = process.image, process.memory
    field = memory.types.batch.fields["current"]  # type: ignore[index]
    ranges = _regions(process)
    kinds = [(address, 0, _STRING) for address in strings(image)]
    kinds += [(address, 0, _REPLACEMENT) for address in process.replaced]
    kinds += [
        (found.address, 0, _STORE_EXCLUSIVE)
        for found in image.instructions.values()
        if _EXCLUSIVES.search(found.text)
    ]
    head = [
        image.address("zs_driver_start"),
        image.address("zs_driver_end"),
        *(image.symbols[name].address if name in image.symbols else 0 for name in ENTRIES),
        image.address("zs_batch") + field[1],
        process.operations,
        ZSPAGE_SIZE,
        ZSPAGE_WORDS,
        len(ranges),
        len(kinds),
    ]
    flat = [*head, *(value for row in (*ranges, *kinds) for value in row)]
    return np.array(flat, np.uint64).tobytes()


@dataclass(frozen=True)
class Counted:
    """What an outside counter said."""

    rows: NDArray[np.int64]
    """shape (operations, phases, columns), as zsemu.counts has them"""
    instructions: int
    """of all the process, the driver's included"""
    output: bytes
    """what the process handed over: the callers' buffers"""


def qemu_command(process: Process, program: Path, rows: Path, *levels: str) -> list[str | Path]:
    """Return what runs a process, written to ``program``, with the plugin, which writes ``rows``.

    ``levels`` is nothing, "instructions" or "regions", as the plugin has it. What it takes is
    written beside ``rows``.
    """
    emulator = need(f"qemu-{process.image.target.folder}", "qemu-user")
    plan = rows.with_suffix(".plan")
    plan.write_bytes(_plan(process))
    arguments = [f"plan={plan}", f"rows={rows}", *(f"level={level}" for level in levels)]
    plugin = _plugin(_api_version(emulator))
    return [emulator, "-plugin", ",".join([str(plugin), *arguments]), program]


def qemu_rows(process: Process, rows: Path) -> tuple[NDArray[np.int64], int]:
    """Return what the plugin wrote: rows as Counted has them, and instructions of all the process.

    ``pte_stores`` is the stores into the page table, by pte_size / word: an entry of two words
    is always stored whole. ``tlb_page_local`` is the executions of what replaces that invalidate.
    """
    target = process.image.target
    values = np.fromfile(rows, np.uint64).astype(np.int64)
    found = values[1:].reshape(-1, len(PHASES), len(_PLUGIN_COLUMNS))
    result = np.zeros((len(found), len(PHASES), len(COLUMNS)), np.int64)
    at = {column: index for index, column in enumerate(COLUMNS)}
    for index, column in enumerate(_PLUGIN_COLUMNS):
        if column == "replaced":
            result[:, :, at["tlb_page_local"]] = found[:, :, index]
            continue
        result[:, :, at[column]] = found[:, :, index]
        if "." in column:
            result[:, :, at[column.partition(".")[2]]] += found[:, :, index]
    entries = result[:, :, at["pagetable.stores"]] * min(target.word, target.pte_size)
    assert not (entries % target.pte_size).any()
    result[:, :, at["pte_stores"]] = entries // target.pte_size
    return result, int(values[0])


def qemu(process: Process) -> Counted:
    """Count under QEMU's user mode, with the plugin."""
    with tempfile.TemporaryDirectory() as name:
        program, rows = Path(name) / "process", Path(name) / "rows"
        process.write(program)
        done = call(qemu_command(process, program, rows))
        return Counted(*qemu_rows(process, rows), done.stdout)


def callgrind(process: Process) -> NDArray[np.int64]:
    """Count under callgrind, a run a phase; shape (phases, CALLGRIND_COLUMNS).

    It counts a rep-prefixed instruction once a round and once more. The rounds are known by its own
    figures, too: each but a scan's or a comparison's stores once. It sees the accesses that are
    left after its optimiser, which drops a load of what is still in a register, unless told not to;
    and it has no name for a load that is part of a modification (the strategies have none).
    """
    program = need("valgrind", "valgrind")
    result = np.zeros((len(PHASES), len(CALLGRIND_COLUMNS)), np.int64)
    repeated = set(strings(process.image))
    with tempfile.TemporaryDirectory() as name:
        executable, output = Path(name) / "process", Path(name) / "callgrind.out"
        process.write(executable)
        for phase, functions in enumerate(_FUNCTIONS):
            there = [f"--toggle-collect={f}" for f in functions if f in process.image.symbols]
            if not there:
                continue
            call(
                [
                    *(program, "--tool=callgrind", "--cache-sim=yes", "--vex-iropt-level=0"),
                    *("--dump-instr=yes", "--dump-line=no", "--compress-pos=no", *there),
                    f"--callgrind-out-file={output}",
                    executable,
                ]
            )
            for address, (executed, loads, stores) in _callgrind_costs(output.read_text()):
                rounds = stores if address in repeated else 0
                result[phase] += (executed - rounds, rounds, loads, stores)
    return result


def _costs(words: list[str]) -> tuple[int, int, int]:
    """Return Ir, Dr and Dw; zeros at the end of a line are left out."""
    ir, dr, dw = (int(word) for word in [*words, "0", "0"][:3])
    return ir, dr, dw


def _callgrind_costs(text: str) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Yield (address, (Ir, Dr, Dw)) of a callgrind file, calls' inclusive costs left out."""
    total = np.zeros(3, np.int64)
    inclusive = False
    for line in text.splitlines():
        if line.startswith("0x") and not inclusive:
            address, *costs = line.split()
            values = _costs(costs)
            total += values
            yield int(address, 16), values
        inclusive = line.startswith("calls=")
        if line.startswith("totals:"):
            assert (total == _costs(line.split()[1:])).all(), "callgrind's file is not understood"


def perf(process: Process) -> tuple[int, int] | None:
    """Return the instructions that the CPU itself counted in all of the process, and page faults.

    None where the machine has no such counter (many virtual ones) or does not let us have it.
    """
    program = need("perf", "linux-perf")
    with tempfile.TemporaryDirectory() as name:
        executable, output = Path(name) / "process", Path(name) / "perf.csv"
        process.write(executable)
        events = ("-e", "instructions:u", "-e", "page-faults")
        command = [program, "stat", "-x,", "-o", str(output), *events, str(executable)]
        done = subprocess.run(command, capture_output=True, check=False)
        text = output.read_text() if output.exists() else ""
    rows = [line.split(",") for line in text.splitlines() if "," in line]
    if not rows:
        return None
    assert done.returncode == 0, done.stderr.decode()
    values = {row[2].partition(":")[0]: row[0] for row in rows}
    counted = values["instructions"]
    # "<not supported>", "<not counted>"
    return None if counted.startswith("<") else (int(counted), int(values["page-faults"]))
