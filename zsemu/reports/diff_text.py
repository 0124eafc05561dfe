# SPDX-License-Identifier: GPL-2.0-only
"""Write a diff as text, Markdown, JSON, JUnit XML or annotations for GitHub."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import groupby
from typing import Final
from xml.etree import ElementTree

from zsemu.results.diff import Breakage, Diff, Row

SCHEMA: Final = 1


def _change(row: Row) -> str:
    """Return the change of a row as ``(+-%) [factor]``, the notation of gungraun."""
    if row.old is None:
        return ""
    if row.old == row.new:
        return "(no change)"
    if row.percent is None or row.factor is None:
        return "(+inf%)"
    return f"({row.percent:+.2f}%) [{row.factor:.3f}x]"


def _numbers(row: Row) -> str:
    return f"{row.new}|{'-' if row.old is None else row.old}"


def _name(row: Row | Breakage) -> str:
    return f"{row.arch} {row.strategy} {row.trace}"


def _shown(diff: Diff, everything: bool) -> tuple[Row, ...]:
    return diff.rows if everything else diff.moved


def _around(diff: Diff) -> list[str]:
    """Return a line for each note, and for the cells that only one document has."""
    lines = [f"note: {note}" for note in diff.notes]
    for which, cells in (("base", diff.only_base), ("new", diff.only_new)):
        if cells:
            lines.append(f"only in the {which} results, not compared: {', '.join(cells)}")
    return lines


def verdict(diff: Diff) -> str:
    """Say in one line how many counts moved and how many regressed."""
    moved, cells = len(diff.moved), len({_name(row) for row in diff.rows})
    number = diff.regressions
    what = "no regression" if not number else f"{number} regression{'s' * (number > 1)}"
    return f"{moved} of {len(diff.rows)} counts of {cells} cells moved: {what}"


def text(diff: Diff, *, everything: bool) -> str:
    """Return a row ``new|old (+-%) [factor]`` for each count by cell, then the notes."""
    lines: list[str] = []
    for breakage in diff.breakages:
        lines += [f"{_name(breakage)}: {breakage.count} violations that the base has not"]
        lines += [f"  {breakage.text}", ""]
    if shown := _shown(diff, everything):
        lines += ["New|old (+-%) [factor]: sums over the trace", ""]
    for name, group in groupby(shown, key=_name):
        rows = list(group)
        wide = max(len(_numbers(row)) for row in rows)
        lines.append(name)
        for row in rows:
            scope = "" if row.scope == "total" else f" {row.scope}"
            what = f"{row.phase:8} {row.count}{scope}"
            line = f"  {what:34} {_numbers(row):>{wide}} {_change(row):22}"
            mark = f"REGRESSION ({row.regression})" if row.regression else ""
            lines.append(f"{line} {mark}".rstrip())
        lines.append("")
    return "\n".join([*lines, *_around(diff), verdict(diff), ""])


def markdown(diff: Diff, *, everything: bool) -> str:
    """Return a table whose first rows are the regressions."""
    # With a heading, since other text may stand before it in the summary of a job.
    lines = ["## What moved", "", f"**{verdict(diff)}**", ""]
    lines += [f"- **{_name(one)}**: `{one.text}`" for one in diff.breakages]
    rows = sorted(_shown(diff, everything), key=lambda row: not row.regression)
    if rows:
        lines += [
            "| | cell | phase | count | new | old | change | limit |",
            "|---|---|---|---|---:|---:|---:|---|",
        ]
    for row in rows:
        old = "" if row.old is None else str(row.old)
        count = row.count if row.scope == "total" else f"{row.count} {row.scope}"
        cells = [
            "❌" if row.regression else "",
            _name(row),
            row.phase,
            count,
            str(row.new),
            old,
            _change(row),
            row.regression.replace("|", "\\|"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {line}" for line in _around(diff)), ""])


def as_json(diff: Diff, *, everything: bool) -> str:
    """Return the rows, violations, other cells and notes as one JSON object."""
    rows = [
        {**asdict(row), "percent": row.percent, "factor": row.factor}
        for row in _shown(diff, everything)
    ]
    data = {
        "schema": SCHEMA,
        "regressions": diff.regressions,
        "rows": rows,
        "violations": [asdict(one) for one in diff.breakages],
        "only_base": diff.only_base,
        "only_new": diff.only_new,
        "notes": diff.notes,
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def junit(diff: Diff, *, everything: bool) -> str:
    """Return a test case for each cell, which fails if the cell has a regression."""
    del everything  # every cell is a case, moved or not
    names = dict.fromkeys([_name(row) for row in diff.rows] + [_name(b) for b in diff.breakages])
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name="zsemu diff", tests=str(len(names)))
    failed = 0
    for name in names:
        arch, _, rest = name.partition(" ")
        case = ElementTree.SubElement(suite, "testcase", classname=f"zsemu.{arch}", name=rest)
        lines = [sentence(row) for row in diff.rows if row.regression and _name(row) == name]
        lines += [one.text for one in diff.breakages if _name(one) == name]
        if lines:
            failed += 1
            failure = ElementTree.SubElement(case, "failure", message=_printable(lines[0]))
            failure.text = _printable("\n".join(lines))
    suite.set("failures", str(failed))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _printable(words: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in words)


def sentence(row: Row) -> str:
    """Say how a count exceeds its limit: ``phase count new|old (+-%) [factor]: limit``."""
    scope = "" if row.scope == "total" else f" ({row.scope})"
    return f"{row.phase} {row.count}{scope} {_numbers(row)} {_change(row)}: {row.regression}"


def github(diff: Diff, *, everything: bool) -> str:
    """Return workflow commands: an error for each regression, a notice for each note."""
    del everything  # what did not regress needs no attention
    lines = [_command("error", _name(one), one.text) for one in diff.breakages]
    lines += [_command("error", _name(row), sentence(row)) for row in diff.rows if row.regression]
    lines += [_command("notice", "zsemu diff", line) for line in (*_around(diff), verdict(diff))]
    return "\n".join(lines) + "\n"


def _escaped(words: str, characters: Iterable[str]) -> str:
    for character in ("%", "\r", "\n", *characters):
        words = words.replace(character, f"%{ord(character):02X}")
    return words


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_escaped(title, ':,')}::{_escaped(message, '')}"


FORMATS: Final[dict[str, Callable[..., str]]] = {
    "text": text,
    "markdown": markdown,
    "json": as_json,
    "junit": junit,
    "github": github,
}
