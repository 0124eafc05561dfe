# SPDX-License-Identifier: GPL-2.0-only
"""Compare two documents of results: which counts changed, and which changes are regressions.

With limits, a count that exceeds one is a regression, and no other is. Without limits, a count of
WATCHED that rises in settle, map or unmap is one. A violation that the base does not have is always
a regression.

Only the cells that both documents have are compared; the others are named. Two documents are
refused if their counts would differ for another reason than the strategies: another compiler or
other flags, another Unicorn, CPU model, recording, geometry or page size. Another version of zsemu
with the same schema is only named, because shipped strategies may have changed with it. A user's
own strategy may have another content: that is what one compares.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.counts import ALLOCATOR_PHASES, PHASES, SCOPES, STRATEGY_PHASES
from zsemu.errors import ZsemuError
from zsemu.replay.violations import check_of
from zsemu.results.document import CACHE_PATHS, LINES, SCALARS, Document, Record
from zsemu.results.limits import Limit, value

COUNTS: Final = (*SCALARS, "tlb_invalidates")
"""the counts of which there are rows; CACHE_PATHS, too, where both results have them"""
OWN_PHASES: Final = (*STRATEGY_PHASES, *ALLOCATOR_PHASES)
"""phases in which nothing may rise if no limits are given"""
WATCHED: Final = ("instructions", "bytes_loaded", "bytes_stored")
"""the counts that must not rise if no limits are given"""


@dataclass(frozen=True)
class Row:
    """One count of one cell in the base and in the new results."""

    arch: str
    strategy: str
    trace: str
    scope: str
    phase: str
    """``strategy`` for settle, map and unmap together"""
    count: str
    old: int | None
    """None if the base does not have the cell"""
    new: int
    regression: str
    """the limit that is exceeded, or ``rise`` without limits; empty if this is no regression"""

    @property
    def percent(self) -> float | None:
        """The rise in percent of the old count; None if that is 0 or not there."""
        return 100 * (self.new - self.old) / self.old if self.old else None

    @property
    def factor(self) -> float | None:
        """The new count over the old one; None if the old one is 0 or not there."""
        return self.new / self.old if self.old else None


@dataclass(frozen=True)
class Breakage:
    """A cell with violations that the base does not have."""

    arch: str
    strategy: str
    trace: str
    text: str
    """the first of these violations, in words"""
    count: int
    """how many violations the cell has, or how many more if all kinds are known from the base"""


@dataclass(frozen=True)
class Diff:
    """What comparing two documents found."""

    rows: tuple[Row, ...]
    """each count of each cell that both documents have, in the order of the new one"""
    breakages: tuple[Breakage, ...]
    only_base: tuple[str, ...]
    only_new: tuple[str, ...]
    """the cells that only one document has, as ``arch strategy trace``"""
    notes: tuple[str, ...]
    """what else differs, a line each: what ``force`` has overridden, and the version of zsemu"""

    @property
    def moved(self) -> tuple[Row, ...]:
        """The rows whose count changed, and those that exceed a limit although it did not."""
        return tuple(row for row in self.rows if row.old != row.new or row.regression)

    @property
    def regressions(self) -> int:
        """How many rows and cells are regressions."""
        return sum(bool(row.regression) for row in self.rows) + len(self.breakages)


def differences(base: Document, new: Document) -> list[str]:
    """Return why the counts of two documents must not be compared, a line each.

    If a document has no records yet, its provenance alone is compared.
    """
    found: list[str] = []

    def differ(what: str, old: object, now: object) -> None:
        if old != now:
            found.append(f"{what}: {old} and {now}")

    one, two = base.provenance, new.provenance
    differ("Unicorn", one.unicorn, two.unicorn)
    if one.cache and two.cache:
        differ("caches", one.cache, two.cache)
    records = {record.cell: record for record in base.records}
    common = [record for record in new.records if record.cell in records]
    archs = [arch for arch in two.compilers if arch in one.compilers]
    for arch in dict.fromkeys([*archs, *(record.arch for record in common)]):
        differ(f"CPU model of {arch}", one.cpu_models.get(arch), two.cpu_models.get(arch))
        old, now = one.compilers.get(arch), two.compilers.get(arch)
        differ(f"compiler of {arch}", old and old.version, now and now.version)
        flags, others = (set(c.flags) if c else set() for c in (old, now))
        differ(
            f"flags of {arch}",
            " ".join(sorted(flags - others)) or "none",
            " ".join(sorted(others - flags)) or "none",
        )
    traces = [trace for trace in two.traces if trace in one.traces]
    for trace in dict.fromkeys([*traces, *(record.trace for record in common)]):
        was, is_ = one.traces.get(trace), two.traces.get(trace)
        differ(f"sha256 of trace {trace}", was and was.sha256[:16], is_ and is_.sha256[:16])
    for record in common:
        before = records[record.cell]
        cell = " ".join(record.cell)
        differ(f"geometry of {cell}", before.geometry, record.geometry)
        differ(f"page size of {cell}", before.page_size, record.page_size)
        differ(f"operations of {cell}", before.operations, record.operations)
    return found


def ensure_comparable(base: Document, new: Document) -> None:
    """Raise ZsemuError if the counts of two documents must not be compared."""
    if found := differences(base, new):
        rest = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ZsemuError(
            f"not to be compared: {found[0]}{rest}; make the base anew, or see zsemu diff --force",
            detail="\n".join(found),
        )


def diff(
    base: Document,
    new: Document,
    *,
    limits: Sequence[Limit] = (),
    scopes: Sequence[str] = ("total",),
    force: bool = False,
) -> Diff:
    """Compare two documents.

    ZsemuError if they have no cell in common, if a limit is for no cell, and if their counts must
    not be compared, unless ``force`` is given.
    """
    records = {record.cell: record for record in base.records}
    here = {record.cell for record in new.records}
    if not here & records.keys():
        raise ZsemuError("the two results have no architecture, strategy and trace in common")
    if not force:
        ensure_comparable(base, new)
    found = differences(base, new)
    for limit in limits:
        if not any(limit.applies(record) for record in new.records):
            why = "; caches are modelled with --cache" if limit.count in CACHE_PATHS else ""
            raise ZsemuError(f"limit {limit.text!r} is for no cell of the new results{why}")
    versions = base.provenance.zsemu, new.provenance.zsemu
    if versions[0] != versions[1]:
        found.append("zsemu: {} and {}; shipped strategies may differ".format(*versions))
    rows: list[Row] = []
    breakages: list[Breakage] = []
    for record in new.records:
        before = records.get(record.cell)
        breakages += _breakages(before, record)
        rows += cell_rows(before, record, limits, scopes)
    return Diff(
        rows=tuple(rows),
        breakages=tuple(breakages),
        only_base=tuple(" ".join(key) for key in records if key not in here),
        only_new=tuple(" ".join(one.cell) for one in new.records if one.cell not in records),
        notes=tuple(found),
    )


def _breakages(before: Record | None, record: Record) -> Iterator[Breakage]:
    known = {check_of(violation) for violation in before.violations} if before else set()
    fresh = [violation for violation in record.violations if check_of(violation) not in known]
    more = record.violation_count - (before.violation_count if before else 0)
    if fresh or more > 0:
        first = (fresh or record.violations)[0]
        yield Breakage(*record.cell, str(first), more if not fresh else record.violation_count)


def cell_rows(
    before: Record | None, record: Record, limits: Sequence[Limit], scopes: Sequence[str]
) -> Iterator[Row]:
    """Yield the rows of one cell; there are none if the new record has violations.

    Where the base has no record of the cell, or one with violations, only counts are yielded that
    exceed a limit of the form ``COUNT=MOST``. ZsemuError for an unknown scope.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise ZsemuError(f"no scope {scope!r}: there are {', '.join(SCOPES)}")
    if not record.intact:
        return
    if before and not before.intact:
        before = None
    mine = [limit for limit in limits if limit.applies(record)]
    for scope in scopes:
        there = record.phases if before is None or before.is_allocator else PHASES
        for phases in (*((phase,) for phase in there), STRATEGY_PHASES):
            phase = phases[0] if len(phases) == 1 else "strategy"
            own = [limit for limit in mine if limit.phases == phases]
            names = dict.fromkeys(COUNTS if phase != "strategy" else ())
            if phase != "strategy" and record.has_cache and (before is None or before.has_cache):
                names |= dict.fromkeys(CACHE_PATHS)
            if phase in ALLOCATOR_PHASES:
                names = {name: None for name in names if name not in LINES}
            for count in (*names, *(limit.count for limit in own if limit.count not in names)):
                new = value(record, count, phases, scope)
                old = _old(before, count, phases, scope)
                reason = ""
                for limit in own:
                    if limit.count != count or (limit.needs_base and old is None):
                        continue
                    if limit.exceeded(old, new):
                        reason = limit.text
                rises = old is not None and new > old
                if not limits and rises and phase in OWN_PHASES and count in WATCHED:
                    reason = "rise"
                if old is not None or reason:
                    yield Row(*record.cell, scope, phase, count, old, new, reason)


def _old(before: Record | None, count: str, phases: tuple[str, ...], scope: str) -> int | None:
    """Return a count of the base; None if it has no such record, or modelled no caches."""
    if not before or (count in CACHE_PATHS and not before.has_cache):
        return None
    return value(before, count, phases, scope)
