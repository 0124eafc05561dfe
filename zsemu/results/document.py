# SPDX-License-Identifier: GPL-2.0-only
"""Define the document of a run: the JSON from which every table, report and CI gate is made.

The document, in the order in which it is written::

    schema                  1
    provenance
        zsemu, unicorn      versions
        compilers.<arch>    version, flags
        cpu_models.<arch>   Unicorn's name of the CPU
        traces.<trace>      sha256 of its columns, kernel, geometry, page_size, provenance
        strategies.<name>   sha256 of a user's own C file; those of zsemu go with its version
        kernels.<name>.<arch>  only with a kernel's objects among the strategies: sha256 of the
                            object, kernel (its version, empty if the object does not tell),
                            compiler, and cpu_model
        cache               only if caches were modelled: these, as zsemu.caches.hierarchy writes
                            them
    records[]               by arch, then by strategy, in the order in which they were asked for
        arch, strategy, trace
        geometry, page_size the ones replayed under; the recording's own are with the trace
        operations, maps, spanning_maps
        scope_maps.<scope>  maps of each scope: counts divided by it are means per map and unmap
        shapes              distinct shapes measured, each multiplied by how often it occurs; 0 if
                            the cost of the strategy is no function of the shape, so that every
                            operation was observed
        violation_count     how many violations there were
        violations[]        the first of them; the fields of zsemu.replay.violations.Violation
        counts              null after a violation, else counts.<phase>.<scope>.<count>
                            a kernel's object has the phases malloc and free, too; of them
                            counts.<phase>.total.calls is the number of calls. All its counts are
                            those of its own text and of what copies; how each is split is in
                            counts.<phase>.<scope>.<own|copy|stand_in>.<count>
                            counts.<phase>.<scope>.cache.<count> only if caches were modelled
        by_shape            null after a violation, else what spanning maps cost by where the end of
                            the page falls: by_shape.<read|write|update>.<field>, a list with a
                            number for each row; the fields are those of zsemu.replay.spanning_costs

Phases, scopes and counts are those of zsemu.counts. All counts are sums and integers. Two
runs of the same input give the same bytes: a document holds no times, host names, paths or job
counts.

Readers ignore fields that they do not know. A change of what a field means changes ``schema``.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from zsemu.counts import (
    ALLOCATOR_PHASES,
    CACHE_COUNTS,
    CLASSES,
    PARTS,
    PHASES,
    REGIONS,
    SCOPES,
    TLB_KINDS,
    TRAFFIC,
    Counts,
)
from zsemu.errors import ZsemuError
from zsemu.paths import replacing
from zsemu.replay.spanning_costs import FIELDS, MODES, ByShape
from zsemu.replay.violations import Violation

SCHEMA: Final = 1

_NUMBERS: Final = re.compile(r"\[\s+\d[\d,\s]*\]")
LINES: Final = ("lines_touched", "lines_dirtied")
SCALARS: Final = (
    "instructions",
    "string_iterations",
    *TRAFFIC,
    "pte_stores",
    *LINES,
)
PATHS: Final = (
    *SCALARS,
    *(f"tlb_invalidates.{kind}" for kind in TLB_KINDS),
    *(f"classes.{kind}" for kind in CLASSES),
    *(f"regions.{region}.{name}" for region in REGIONS for name in TRAFFIC),
)
"""the path of every count, as Record.sum() takes it"""
CACHE_PATHS: Final = tuple(f"cache.{name}" for name in CACHE_COUNTS)
"""the paths of those counts that there are only if caches were modelled"""


@dataclass(frozen=True)
class Compiler:
    """What compiled the images of one architecture."""

    version: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The identity of a trace: the digest of its content, and its own metadata."""

    sha256: str
    kernel: str
    geometry: str
    page_size: int
    provenance: str

    @property
    def recorded_on(self) -> str:
        """The kernel, such as ``Linux 6.1.176``; ``not recorded`` if ``kernel`` is no version."""
        return f"Linux {self.kernel}" if self.kernel[:1].isdigit() else "not recorded"


@dataclass(frozen=True)
class KernelBuild:
    """One kernel's object."""

    sha256: str
    kernel: str
    """version of the kernel; empty if the object does not tell"""
    compiler: str
    """which has compiled it; empty if the object does not tell"""
    cpu_model: str
    """Unicorn's name of the CPU that it runs on"""


@dataclass(frozen=True)
class Provenance:
    """What, besides the strategy, the counts depend on."""

    zsemu: str
    unicorn: str
    compilers: dict[str, Compiler]
    cpu_models: dict[str, str]
    traces: dict[str, Source]
    strategies: dict[str, str]
    kernels: dict[str, dict[str, KernelBuild]] = field(default_factory=dict)
    cache: str = field(default_factory=str)
    """the caches that were modelled, or empty"""


@dataclass(frozen=True)
class Record:
    """One cell of the matrix."""

    arch: str
    strategy: str
    trace: str
    geometry: str
    page_size: int
    operations: int
    maps: int
    spanning_maps: int
    scope_maps: dict[str, int]
    shapes: int
    violation_count: int
    violations: tuple[Violation, ...]
    counts: Counts | None
    by_shape: ByShape | None

    @property
    def cell(self) -> tuple[str, str, str]:
        """Architecture, strategy and trace; no two records of a document have the same."""
        return self.arch, self.strategy, self.trace

    @property
    def intact(self) -> bool:
        """Whether there was no violation, so that there are counts."""
        return self.counts is not None

    @property
    def is_allocator(self) -> bool:
        """Whether it is of a kernel's object, which has more phases and splits its counts."""
        return self.counts is not None and ALLOCATOR_PHASES[0] in self.counts

    @property
    def phases(self) -> tuple[str, ...]:
        """Return the phases of its counts."""
        return (*PHASES, *ALLOCATOR_PHASES) if self.is_allocator else PHASES

    @property
    def has_cache(self) -> bool:
        """Whether it has the counts of a model of caches."""
        return self.counts is not None and "cache" in self.counts["map"]["total"]

    @property
    def is_part(self) -> bool:
        """Whether it is what part() returns."""
        return (
            self.counts is not None
            and self.is_allocator
            and "own" not in self.counts["map"]["total"]
        )

    def part(self, name: str) -> "Record":
        """Return one of zsemu.counts.PARTS of a kernel's object as a record of its own."""
        if self.counts is None:
            return self
        counts: Any = {
            phase: {scope: entry[name] for scope, entry in scopes.items()}
            for phase, scopes in self.counts.items()
        }
        return replace(self, strategy=f"{self.strategy}, {name}", counts=counts)

    def sum(self, count: str, scope: str = "total", phases: Iterable[str] = PHASES) -> int:
        """Return a count summed over phases.

        ``count`` is a path: ``stores``, ``tlb_invalidates`` for those of all kinds,
        ``tlb_invalidates.page_local``, ``regions.pool.bytes_loaded``. KeyError if it was not
        counted, as after a violation.
        """
        if self.counts is None:
            raise KeyError(count)
        total = 0
        for phase in phases:
            value: Any = self.counts[phase][scope]
            for part in count.split("."):
                value = value[part]
            total += sum(value.values()) if isinstance(value, dict) else value
        return total

    def mean(self, count: str, scope: str = "total", phases: Iterable[str] = PHASES) -> float:
        """Return sum() per map and unmap of the scope; KeyError also for a scope without maps."""
        maps = self.scope_maps[scope]
        if not maps:
            raise KeyError(scope)
        return self.sum(count, scope, phases) / maps


@dataclass(frozen=True)
class Document:
    """The results of one run: what they depend on, and a record for each cell."""

    provenance: Provenance
    records: tuple[Record, ...]
    schema: int = SCHEMA

    @property
    def intact(self) -> bool:
        """Whether no record has a violation."""
        return all(record.intact for record in self.records)

    @property
    def typical(self) -> Record:
        """The first record under the geometry that was asked for.

        A kernel's object has a geometry of its own, and is typical only if there is nothing else.
        """
        kernels = self.provenance.kernels
        others = (record for record in self.records if record.strategy not in kernels)
        return next(others, self.records[0])

    def to_records(self) -> list[dict[str, str | int | None]]:
        """Return a row for each record, phase and scope: for CSV and for data frames.

        All have the same keys: ``arch``, ``strategy``, ``trace``, ``geometry``, ``page_size``,
        ``operations``, ``violations`` (how many), ``phase``, ``scope``, ``maps`` (of the scope),
        then every count by its path, ``regions.pool.loads`` for instance. Counts are sums, None
        after a violation; divided by ``maps`` they are means per map and unmap. CACHE_PATHS are
        among them if caches were modelled.
        """
        rows = []
        paths = (*PATHS, *(CACHE_PATHS if self.provenance.cache else ()))
        for record in self.records:
            for phase in record.phases:
                for scope in SCOPES:
                    row: dict[str, str | int | None] = {
                        "arch": record.arch,
                        "strategy": record.strategy,
                        "trace": record.trace,
                        "geometry": record.geometry,
                        "page_size": record.page_size,
                        "operations": record.operations,
                        "violations": record.violation_count,
                        "phase": phase,
                        "scope": scope,
                        "maps": record.scope_maps[scope],
                    }
                    for name in paths:
                        counted = record.intact and (phase in PHASES or name not in LINES)
                        row[name] = record.sum(name, scope, (phase,)) if counted else None
                    rows.append(row)
        return rows


def dumps(document: Document) -> str:
    """Return the document as JSON; equal documents give equal text."""
    data = {"schema": document.schema, **asdict(document)}
    for name in ("kernels", "cache"):
        if not data["provenance"][name]:
            del data["provenance"][name]
    text = json.dumps(data, indent=1, ensure_ascii=False)
    # A list of numbers takes one line.
    return _NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n"


def save(document: Document, path: str | Path) -> None:
    """Write the document whole or not at all; ZsemuError if it cannot be written."""
    try:
        with replacing(Path(path)) as stream:
            stream.write(dumps(document).encode())
    except OSError as error:
        raise ZsemuError(f"{path}: cannot be written: {error.strerror}") from error


def load(path: str | Path) -> Document:
    """Read a document; ZsemuError if the file holds none, or one of another schema."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZsemuError(f"{path}: cannot be read as results: {error}") from error
    return loads(text, str(path))


def loads(text: str, name: str) -> Document:
    """Parse a document; ``name`` is what errors call the text, such as its file."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ZsemuError(
            f"{name}:{error.lineno}: not JSON ({error.msg}); results are what"
            " 'zsemu compare --json' writes"
        ) from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if type(schema) is not int:
        raise ZsemuError(f"{name}: not results of zsemu: it has no 'schema' number")
    if schema != SCHEMA:
        raise ZsemuError(
            f"{name}: results of schema {schema}, and this zsemu reads schema {SCHEMA}:"
            f" {'use a newer zsemu' if schema > SCHEMA else 'make them anew'}"
        )
    document: Document = parse(Document, data, name)
    made = document.provenance
    for number, record in enumerate(document.records):
        where = f"{name}: records[{number}]"
        _check(record, where)
        if record.intact and record.has_cache != bool(made.cache):
            raise _wrong(f"{where}.counts", "with caches just where provenance names them")
        if record.trace not in made.traces:
            raise _wrong(f"{where}.trace", "one of provenance.traces")
        if record.arch not in made.compilers.keys() & made.cpu_models.keys():
            raise _wrong(f"{where}.arch", "one of provenance.compilers and cpu_models")
    return document


def _wrong(where: str, expected: str) -> ZsemuError:
    return ZsemuError(f"{where}: not {expected}; the document is damaged, or not of zsemu")


def parse(kind: Any, data: Any, where: str) -> Any:  # noqa: ANN401 - any JSON, any field
    """Turn parsed JSON into a value of the type ``kind``, and so the fields of dataclasses.

    ``where`` is what errors call the value. ZsemuError if the JSON does not fit the type.
    """
    if is_dataclass(kind):
        if not isinstance(data, dict):
            raise _wrong(where, "an object")
        hints = get_type_hints(kind)
        optional = {f.name for f in fields(kind) if f.default_factory is not MISSING}
        missing = [f.name for f in fields(kind) if f.name not in data.keys() | optional]
        if missing:
            raise _wrong(where, f"complete: {missing[0]!r} is missing")
        values = {
            f.name: parse(hints[f.name], data[f.name], f"{where}.{f.name}")
            for f in fields(kind)
            if f.name in data
        }
        return kind(**values)  # type: ignore[operator]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        if data is None and NoneType in arguments:
            return None
        return parse(arguments[0], data, where)
    if origin is dict:
        if not isinstance(data, dict):
            raise _wrong(where, "an object")
        return {key: parse(arguments[1], value, f"{where}.{key}") for key, value in data.items()}
    if origin is tuple:
        if not isinstance(data, list):
            raise _wrong(where, "a list")
        if arguments[0] is int and all(type(value) is int for value in data):
            return tuple(data)
        return tuple(parse(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(data))
    if kind is not object and type(data) is not kind:
        raise _wrong(where, {int: "an integer", str: "a string"}[kind])
    return data


def _check(record: Record, where: str) -> None:
    """Raise ZsemuError if a record lacks something, or contradicts itself."""
    maps = record.scope_maps
    if set(maps) != set(SCOPES):
        raise _wrong(f"{where}.scope_maps", f"of the scopes {', '.join(SCOPES)}")
    if (maps["total"], maps["spanning"]) != (record.maps, record.spanning_maps):
        raise _wrong(f"{where}.scope_maps", "in agreement with maps and spanning_maps")
    for name, part in (("counts", record.counts), ("by_shape", record.by_shape)):
        if (part is None) != (record.violation_count > 0):
            raise _wrong(f"{where}.{name}", "null just where there are violations")
    if bool(record.violations) != (record.violation_count > 0):
        raise _wrong(f"{where}.violations", "empty just where there are none")
    if record.counts is None or record.by_shape is None:
        return
    if set(record.by_shape) != set(MODES):
        raise _wrong(f"{where}.by_shape", f"of the modes {', '.join(MODES)}")
    for mode, columns in record.by_shape.items():
        if set(columns) != set(FIELDS) or len(set(map(len, columns.values()))) != 1:
            raise _wrong(f"{where}.by_shape.{mode}", f"equal columns: {', '.join(FIELDS)}")
        rows = zip(columns["class_size"], columns["head"], columns["maps"], strict=True)
        if not all(0 < head < size and maps > 0 for size, head, maps in rows):
            raise _wrong(f"{where}.by_shape.{mode}", "of slots in which a page ends")
    if set(record.counts) != set(record.phases):
        raise _wrong(f"{where}.counts", f"of the phases {', '.join(record.phases)}")
    for phase, scopes in record.counts.items():
        if set(scopes) != set(SCOPES):
            raise _wrong(f"{where}.counts.{phase}", f"of the scopes {', '.join(SCOPES)}")
        for scope, counts in scopes.items():
            named = f"{where}.counts.{phase}.{scope}"
            scalars = SCALARS if phase in PHASES else [n for n in SCALARS if n not in LINES]
            _check_counts(counts, named, scalars)
            for each in PARTS if record.is_allocator else ():
                _check_counts(counts.get(each), f"{named}.{each}", scalars)
            if phase in ALLOCATOR_PHASES and scope == "total":
                _integers(counts, ("calls",), named)


def _check_counts(counts: object, where: str, scalars: Iterable[str]) -> None:
    if not isinstance(counts, dict):
        raise _wrong(where, "an object")
    _integers(counts, scalars, where)
    _integers(counts.get("tlb_invalidates"), TLB_KINDS, f"{where}.tlb_invalidates")
    _integers(counts.get("classes"), CLASSES, f"{where}.classes")
    if "cache" in counts:
        _integers(counts["cache"], CACHE_COUNTS, f"{where}.cache")
    regions = counts.get("regions")
    if not isinstance(regions, dict):
        raise _wrong(f"{where}.regions", "an object")
    for region in REGIONS:
        _integers(regions.get(region), TRAFFIC, f"{where}.regions.{region}")


def _integers(counts: object, names: Iterable[str], where: str) -> None:
    if not isinstance(counts, dict):
        raise _wrong(where, "an object")
    for name in names:
        value = counts.get(name)
        if type(value) is not int or value < 0:
            raise _wrong(f"{where}.{name}", "a count")
