# SPDX-License-Identifier: GPL-2.0-only
"""Let tests of pytest run strategies on every architecture, and hold their counts to limits.

``zsemu_run``
    a fixture: zsemu.run() on the architecture of the test. It is called with strategies (names, or
    paths of C files) and options of zsemu.run(), and returns a Document. What has been run before
    in this session with the same content and options is not run again.
``zsemu_arch``
    a fixture: the name of that architecture. A test that uses one of the two fixtures runs once for
    each architecture: for those of its own
    ``@pytest.mark.parametrize("zsemu_arch", ["arm", "riscv64"])``, else for those of
    ``--zsemu-arch``, else for all.
``assert_counts_within()``
    a function, to be imported from this module: it fails if a count is above its limit, or if there
    is a violation.

The rest of zsemu is loaded only when a test uses a fixture: pytest loads this plugin in every run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from zsemu.guest.strategies import Strategy
    from zsemu.results.document import Document, Record
    from zsemu.runs.request import Request


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --zsemu-arch."""
    parser.getgroup("zsemu").addoption(
        "--zsemu-arch",
        action="append",
        metavar="ARCH",
        help="Architectures on which tests with zsemu_run or zsemu_arch run; may be repeated, or"
        " given several with commas between them. [default: all]",
    )


def _archs(config: pytest.Config) -> list[str]:
    """Return the architectures asked for, each once; UsageError for one that does not exist."""
    from zsemu.errors import ZsemuError
    from zsemu.guest import targets

    options = config.getoption("--zsemu-arch") or ()
    named = [name.strip() for option in options for name in option.split(",") if name.strip()]
    try:
        return list(dict.fromkeys(targets.target(name).name for name in named or targets.names()))
    except ZsemuError as error:
        raise pytest.UsageError(f"--zsemu-arch: {error}") from None


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an unknown architecture before tests are collected."""
    if config.getoption("--zsemu-arch"):
        _archs(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses one of the fixtures once for each architecture."""
    if "zsemu_arch" not in metafunc.fixturenames:
        return
    own = (mark.args[0] for mark in metafunc.definition.iter_markers("parametrize") if mark.args)
    if any("zsemu_arch" in (n if isinstance(n, list | tuple) else n.split(",")) for n in own):
        return
    metafunc.parametrize("zsemu_arch", _archs(metafunc.config), indirect=True)


class Runner:
    """The value of the fixture ``zsemu_run``: called with strategies, it replays what is new."""

    def __init__(self, arch: str, records: "dict[str, Record]") -> None:
        """Run on one architecture; ``records`` of earlier runs are kept by cell_store.digest()."""
        self.arch = arch
        self._records = records

    def __call__(self, *strategy: "str | Path | Strategy", **options: Any) -> "Document":  # noqa: ANN401
        """Return what zsemu.run() returns; ZsemuError as there, with the compiler's output."""
        __tracebackhide__ = True
        from zsemu import api
        from zsemu.errors import ZsemuError

        try:
            return api.run(*strategy, arch=self.arch, cell=self._cell, **options)
        except ZsemuError as error:
            # A traceback through zsemu does not help whoever wrote the test.
            raise ZsemuError("\n".join(filter(None, [str(error), error.detail]))) from None

    def _cell(self, request: "Request", arch: str, name: str) -> "Record":
        from zsemu.runs import cell_store, compare

        key = cell_store.digest(cell_store.identify(request, arch, name, request.trace.digest()))
        if key not in self._records:
            self._records[key] = compare.single(request, arch, name)
        return self._records[key]


@pytest.fixture(scope="session")
def _zsemu_records() -> "dict[str, Record]":
    """Return the records of what has been run in this session, by the digests of their keys."""
    return {}


@pytest.fixture
def zsemu_arch(request: pytest.FixtureRequest) -> str:
    """Name the architecture of this test: it runs once for each of --zsemu-arch."""
    name: str = request.param
    return name


@pytest.fixture
def zsemu_run(zsemu_arch: str, _zsemu_records: "dict[str, Record]") -> Runner:
    """Run strategies on the architecture of this test, as zsemu.run() does; give a Document."""
    return Runner(zsemu_arch, _zsemu_records)


def assert_counts_within(
    new: "Document | Record",
    *limits: str,
    base: "Document | Record | str | Path | None" = None,
    scope: str = "total",
) -> None:
    """Fail if a record of ``new`` has a violation, or a count above one of the limits.

    Limits are written as for ``zsemu diff``: ``"map.instructions=5%"`` and ``"bytes=+100"`` bound
    the rise above the ``base``, ``"stores=10000"`` is the most that there may be. With a base and
    no limits, neither instructions nor bytes may rise in settle, map or unmap. The ``base`` of a
    Document is another Document or its file; the base of a Record is another Record, which may be
    of another strategy. ``scope`` says which operations are judged: total (all of them), spanning,
    spanning_read, spanning_write or spanning_update.

    ZsemuError for a text that is no limit, for a limit that is for none of the records, and for a
    base that must not be compared (another compiler or trace) or lacks what a limit needs.
    """
    __tracebackhide__ = True
    wrong = list(_wrong(new, limits, base, scope))
    if wrong:
        raise AssertionError("\n".join(wrong))


def _wrong(
    new: "Document | Record",
    limits: tuple[str, ...],
    base: "Document | Record | str | Path | None",
    scope: str,
) -> Iterator[str]:
    """Yield a line for each violation and each count above its limit."""
    from zsemu.errors import ZsemuError
    from zsemu.reports.diff_text import sentence
    from zsemu.results.diff import cell_rows
    from zsemu.results.limits import parse

    parsed = [parse(text) for text in limits]
    if not parsed and base is None:
        raise ZsemuError("assert_counts_within() needs limits, or a base, or both")
    pairs = _pairs(new, base)
    for limit in parsed:
        if not any(limit.applies(record) for record, _ in pairs):
            raise ZsemuError(f"limit {limit.text!r} is for none of these records")
    for record, before in pairs:
        name = " ".join(record.cell)
        if not record.intact:
            first = record.violations[0]
            yield f"{name}: {record.violation_count} violations, the first: {first}"
            continue
        needed = not parsed or any(one.needs_base and one.applies(record) for one in parsed)
        if needed and not (before and before.intact):
            raise ZsemuError(f"{name}: limits above a base, and a base without counts of it")
        for row in cell_rows(before, record, parsed, [scope]):
            if row.regression:
                yield f"{name}: {sentence(row)}"


def _pairs(
    new: "Document | Record", base: "Document | Record | str | Path | None"
) -> "list[tuple[Record, Record | None]]":
    """Return each new record with the record of the base that it is compared with."""
    from zsemu.errors import ZsemuError
    from zsemu.results.diff import ensure_comparable
    from zsemu.results.document import Document, Record, load

    if isinstance(base, str | Path):
        base = load(base)
    if isinstance(new, Record):
        if isinstance(base, Document):
            raise ZsemuError("the base of a record is another record, not a document")
        for field in ("trace", "operations", "geometry", "page_size"):
            if base and getattr(base, field) != getattr(new, field):
                differ = f"{getattr(base, field)} and {getattr(new, field)}"
                raise ZsemuError(f"records not to be compared: {field}: {differ}")
        return [(new, base)]
    if isinstance(base, Record):
        raise ZsemuError("the base of a document is another document, not a record")
    if base:
        ensure_comparable(base, new)
    old = {one.cell: one for one in base.records} if base else {}
    return [(record, old.get(record.cell)) for record in new.records]
