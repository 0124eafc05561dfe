# SPDX-License-Identifier: GPL-2.0-only
"""The summary: every cell of it is computed again from the JSON, and Markdown shows it as it is."""

import json
import re

from documents import document

from reports.test_html_page import ODD, mean, odd, written
from zsemu.counts import LIMITS
from zsemu.reports.findings import findings
from zsemu.reports.markdown import escaped
from zsemu.reports.matrix import Matrix
from zsemu.reports.summary import markdown
from zsemu.results.document import Document, dumps


def tables(page: str) -> dict[str, list[list[str]]]:
    """Return the rows of each table by its heading."""
    found = {}
    for part in page.split("\n### ")[1:]:
        heading, _, rest = part.partition("\n\n")
        lines = rest.split("\n\n")[0].strip().split("\n")
        found[heading] = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return found


def test_every_cell() -> None:
    made = document()
    data = json.loads(dumps(made))
    found = tables(markdown([Matrix(made, name="out")]))
    assert len(found) == 4
    use = "map + access + unmap"
    for scope, name in (("All maps", "total"), ("Spanning maps", "spanning")):
        for count in ("bytes", "instructions"):
            head, rule, *rows = found[f"{scope}: {count}, {use}"]
            assert head == ["strategy", "x86_64", "arm"]
            assert set("".join(rule)) <= set(":-")
            assert [row[0] for row in rows] == ["pgtable", "copy", "mine.c"]
            for row in rows:
                for arch, cell in zip(head[1:], row[1:], strict=True):
                    figure = mean(data, arch, row[0], name, count, use)
                    base = mean(data, arch, "copy", name, count, use)
                    assert cell == f"{written(figure, count)} ({figure / base:.2f}x)"


def test_finding_first_then_violations_limits_reproduction() -> None:
    matrix = Matrix(document(broken=True), name="out")
    page = markdown([matrix])
    found = findings(matrix)
    order = [
        "## out\n",
        f"**{escaped(found.headline)}**",
        "bytes of map + access + unmap, ratio to copy: all / span",
        "- BROKEN: mine.c on arm: fault",
        "arm mine.c: fault: operation 7",
        "<details><summary>Violations</summary>\n\n```\narm mine.c: 25 violations",
        "<details><summary>Other findings</summary>\n\n- ",
        f"- {escaped(found.points[0])}",
        "<details><summary>The matrix</summary>\n\n",
        "### All maps: bytes",
        "<details><summary>To reproduce</summary>\n\n",
        "zsemu compare",
        LIMITS,
    ]
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert tables(page)["All maps: bytes, map + access + unmap"][-1][-1] == "25 violations"
    assert page.count("<details>") == page.count("\n\n</details>\n\n") == 4
    assert len(page) < 10_000


def test_names_are_escaped() -> None:
    page = markdown([Matrix(odd(document()), name="a_b*c_")])
    assert r"| \<b\>\&.c |" in page
    assert "## a_b\\*c\\_\n" in page
    outside = re.sub(r"</?details>|<summary>[\w ]+</summary>", "", "".join(page.split("```")[::2]))
    assert ODD not in outside and "<" not in outside.replace("\\<", "")


def test_escaped() -> None:
    assert escaped("x86_64 _a_ *b* `c` [d](e) <f> & | # ~ \\") == (
        "x86_64 \\_a\\_ \\*b\\* \\`c\\` \\[d\\](e) \\<f\\> \\& \\| \\# \\~ \\\\"
    )


def test_several_runs() -> None:
    made: Document = document()
    page = markdown([Matrix(made, name="one"), Matrix(made, name="two")])
    assert page.index("## one\n") < page.index("## two\n")
    assert page.count(LIMITS) == 1
