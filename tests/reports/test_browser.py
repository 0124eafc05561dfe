# SPDX-License-Identifier: GPL-2.0-only
"""The report of the full matrix in a browser, as its readers open it: headless Chromium."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pages import Page

from reports.test_html_page import SCOPES, USES, mean, written
from zsemu.cli import main
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import names as target_names

pytestmark = [
    pytest.mark.external,  # Chromium
    pytest.mark.xdist_group("browser"),  # the page is made once in a process
]

WIDTHS = (400, 1100)
"""a phone's and a desktop's"""
SHEET = re.compile(rb"/Type\s*/Page\b")
"""a page in a PDF"""
TELL = """<script>
addEventListener("load", () => parent.postMessage(JSON.stringify({
    width: document.documentElement.scrollWidth,
    scrolled: [...document.querySelectorAll(".scroll")]
        .filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel),
    loaded: performance.getEntriesByType("resource").map(one => one.name),
}), "*"));
</script></body>"""
FRAME = """<!DOCTYPE html><title></title><body>
<script>addEventListener("message", event => { document.title = event.data; });</script>
<iframe src="framed.html" style="width: {width}px"></iframe></body>"""


def chromium(page: Path, *options: str, place: str = "") -> tuple[str, str]:
    """Open a page without a network, at a place; return what is printed, and what is logged."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "no Chromium: install it with 'apt-get install chromium'"
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *(f"--user-data-dir={page.parent / 'profile'}", "--window-size=1600,900"),
        *("--enable-logging=stderr", "--virtual-time-budget=5000", *options, page.as_uri() + place),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout, done.stderr


def opened(page: Path, place: str = "") -> tuple[str, list[str]]:
    """Open a page; return the DOM, and what came on the console."""
    dom, log = chromium(page, "--dump-dom", place=place)
    return dom, re.findall(r":CONSOLE[:(].*", log)


def sheets(text: str, place: Path) -> int:
    """Return how many sheets a page takes that is printed."""
    (place / "print.html").write_text(text)
    chromium(place / "print.html", f"--print-to-pdf={place / 'print.pdf'}")
    return len(SHEET.findall((place / "print.pdf").read_bytes()))


def unfolded(text: str) -> str:
    """Return the page with all open that is folded."""
    assert text.count("<details>") == 6
    return text.replace("<details>", "<details open>")


def framed(text: str, place: Path, width: int) -> dict[str, Any]:
    """Open a page in a frame so wide: no window is as narrow as a phone's.

    Return how wide its content is, which tables are wider than they have room, and what it loaded
    or tried to.
    """
    (place / "framed.html").write_text(text.replace("</body>", TELL))
    (place / "frame.html").write_text(FRAME.replace("{width}", str(width)))
    told = re.search(r"<title>(.+?)</title>", opened(place / "frame.html")[0])
    assert told
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compare all strategies on all architectures, and return the page of it."""
    place = tmp_path_factory.mktemp("browser")
    assert main(["compare", "--json", str(place / "all.json")]) == 0
    assert main(["report", str(place / "all.json"), "-o", str(place / "report.html")]) == 0
    return place / "report.html"


def test_every_cell_and_no_error(report: Path) -> None:
    data = json.loads((report.parent / "all.json").read_text())
    dom, console = opened(report)
    assert console == []
    found = Page(dom)
    assert not found.faults
    assert [one for one in found.addresses if not one.startswith("#")] == ["data:,"]
    cells = 0
    for heading, scope in SCOPES.items():
        for use in USES:
            for count in ("bytes", "instructions"):
                rows = found.table(heading, f"{count}, {use}")
                for strategy in strategy_names():
                    for arch in target_names():
                        figure = mean(data, arch, strategy, scope, count, use)
                        cell = rows[strategy][arch].split()
                        assert cell[0] == written(figure, count), (heading, use, strategy, arch)
                        cells += 1
    assert cells == 16 * 8 * 6
    assert found.names.count("svg") == 6 * (2 * 2 + 2 + 2) + 2 * 2


def test_size(report: Path) -> None:
    assert report.stat().st_size < 5_000_000


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_loads_nothing(width: int, report: Path) -> None:
    """Unfolded, too. On a phone only the tables of all figures and of sources are to be moved."""
    for text in (report.read_text(), unfolded(report.read_text())):
        found = framed(text, report.parent, width)
        assert found["width"] <= width
        assert found["loaded"] == []
        wide = [one for one in found["scrolled"] if not re.match(r"\w+, |Published|Sources", one)]
        assert (wide if width == WIDTHS[0] else found["scrolled"]) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_finds_what_does_not_fit(width: int, report: Path) -> None:
    text = report.read_text().replace("<main>", "<main><div style='width: 2000px'>.</div>")
    assert framed(text, report.parent, width)["width"] > width
    text = report.read_text().replace('<table class="heat">', '<table style="min-width: 2000px">')
    assert "all maps: bytes, map + access + unmap" in framed(text, report.parent, width)["scrolled"]


def test_the_contents_unfold_what_they_lead_to(report: Path) -> None:
    places = re.findall(r'<a href="(#[^"]+)">', report.read_text())
    folded = re.findall(r'</summary>\s*<div id="(.*?)">', report.read_text())
    assert len(folded) == 6
    for place in (places[0], f"#{folded[0]}", f"#{folded[-1]}"):
        assert place in places
        dom, _ = opened(report, place)
        found = re.findall(r'<details open="">.*?<div id="(.*?)">', dom, re.DOTALL)
        assert found == [place[1:]] * (place[1:] in folded)
        assert dom.count("<details>") == 6 - len(found)


def test_paper_has_what_is_folded(report: Path) -> None:
    """Nobody can unfold it there."""
    text, place = report.read_text(), report.parent
    whole = sheets(unfolded(text), place)
    assert sheets(text, place) == whole
    rule = "details::details-content { content-visibility: visible; block-size: auto; }"
    assert rule in text
    assert sheets(text.replace(rule, ""), place) < whole


@pytest.mark.parametrize(
    "planted",
    ["<img src='http://zsemu.invalid/x'>", "<script src='http://zsemu.invalid/x'></script>"],
)
def test_finds_what_is_loaded(planted: str, report: Path) -> None:
    text = report.read_text().replace("<main>", f"<main>{planted}")
    assert framed(text, report.parent, 1280)["loaded"] == ["http://zsemu.invalid/x"]


@pytest.mark.parametrize(
    "planted", ["<script>console.error('x')</script>", "<script>undefined_function()</script>"]
)
def test_finds_errors(planted: str, report: Path) -> None:
    wrong = report.parent / "wrong.html"
    wrong.write_text(report.read_text().replace("</body>", f"{planted}</body>"))
    assert opened(wrong)[1]
