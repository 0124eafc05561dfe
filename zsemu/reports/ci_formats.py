# SPDX-License-Identifier: GPL-2.0-only
"""Write the results of tests as KTAP or JUnit XML, by architecture and strategy.

KTAP is defined in the kernel's Documentation/dev-tools/ktap.rst. Neither format holds times, so
that the same results give the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree


@dataclass(frozen=True)
class Case:
    """One test of a strategy on an architecture."""

    arch: str
    strategy: str
    name: str
    skipped: str = ""
    """why it was not run; else empty"""
    failures: tuple[tuple[str, list[str]], ...] = ()
    """what fails, in a few words, and the lines that tell of it"""


_Grouped = dict[str, dict[str, list[Case]]]


def _grouped(cases: Sequence[Case]) -> _Grouped:
    """Return the cases by architecture and strategy."""
    grouped: _Grouped = {}
    for case in cases:
        grouped.setdefault(case.arch, {}).setdefault(case.strategy, []).append(case)
    return grouped


def _failed(cases: Sequence[Case]) -> bool:
    return any(case.failures for case in cases)


# KTAP.


def _plain(name: str) -> str:
    """Return a name that KTAP can hold: on one line and without ``#``."""
    return " ".join("".join(c if c.isprintable() else "?" for c in name).replace("#", "?").split())


def _point(number: int, name: str, failed: bool, skipped: str = "") -> str:
    directive = f" # SKIP {_plain(skipped)}" if skipped else ""
    return f"{'not ok' if failed else 'ok'} {number} - {_plain(name)}{directive}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield f"  {line}"


def _points(cases: Sequence[Case]) -> Iterator[str]:
    yield "KTAP version 1"
    yield f"1..{len(cases)}"
    for number, case in enumerate(cases, 1):
        for _, lines in case.failures:
            for line in lines:
                yield f"# {line}"
        yield _point(number, case.name, bool(case.failures), case.skipped)


def _strategies(strategies: dict[str, list[Case]]) -> Iterator[str]:
    yield "KTAP version 1"
    yield f"1..{len(strategies)}"
    for number, (name, cases) in enumerate(strategies.items(), 1):
        yield from _indented(_points(cases))
        yield _point(number, name, _failed(cases))


def ktap(title: str, cases: Sequence[Case], provenance: str) -> str:
    """Return KTAP: a test for each architecture, within it one for each strategy, then the cases.

    Diagnostic lines before the result of a case tell of its failures. ``title`` is the command, and
    ``provenance`` says what the results depend on.
    """
    grouped = _grouped(cases)
    lines = ["KTAP version 1", f"1..{len(grouped)}", f"# {title}: {provenance}"]
    for number, (arch, strategies) in enumerate(grouped.items(), 1):
        lines += _indented(_strategies(strategies))
        lines.append(_point(number, arch, any(_failed(own) for own in strategies.values())))
    return "\n".join(lines) + "\n"


# JUnit.


def _xml(text: str) -> str:
    """Replace the characters that no XML document may hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def junit(title: str, cases: Sequence[Case], provenance: str) -> str:
    """Return JUnit XML: a test suite for every architecture, a test case for every case."""
    root = ElementTree.Element("testsuites", name=title)
    for arch, strategies in _grouped(cases).items():
        own = [case for each in strategies.values() for case in each]
        suite = ElementTree.SubElement(root, "testsuite", {"name": arch} | _numbers(own))
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="provenance", value=_xml(provenance))
        for case in own:
            element = ElementTree.SubElement(
                suite, "testcase", classname=_xml(case.strategy), name=_xml(case.name)
            )
            if case.skipped:
                ElementTree.SubElement(element, "skipped", message=case.skipped)
            if case.failures:
                # One failure for a test case, because most readers show only the first.
                what = "; ".join(what for what, _ in case.failures)
                failed = ElementTree.SubElement(element, "failure", message=what, type=what)
                told = ["\n".join(lines) for _, lines in case.failures]
                failed.text = _xml("\n\n".join(told))
    root.attrib.update(_numbers(cases))
    ElementTree.indent(root)
    return f"{ElementTree.tostring(root, encoding='unicode', xml_declaration=True)}\n".replace(
        "encoding='us-ascii'", "encoding='UTF-8'"
    )


def _numbers(cases: Sequence[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failures) for case in cases)),
        "errors": "0",
        "skipped": str(sum(bool(case.skipped) for case in cases)),
    }
