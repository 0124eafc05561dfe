# SPDX-License-Identifier: GPL-2.0-only
"""Tests that what the READMEs name is there: linked files and headings, and paths in the text."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *ROOT.glob("*/README.md"))
    if path.is_file()
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?<![\w./-])((?:zsemu|arch|traces|tests|\.ci)/[\w./-]*[\w/])(?![\w<*{])")


def prose(page: str) -> str:
    """Return the text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def broken(page: str, text: str) -> list[str]:
    """Return the links and paths in the text of a page that lead nowhere."""
    found = []
    for link in _LINK.findall(text):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        there = target.exists()
        if there and anchor:
            there = anchor in anchors(text if not path else target.read_text())
        if not there:
            found.append(link)
    named = _PATH.findall(_LINK.sub("", text))
    # NAME stands for what the reader adds.
    return found + [path for path in named if "NAME" not in path and not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_is_there(page: str) -> None:
    assert broken(page, prose(page)) == []


def test_what_is_missing_is_found() -> None:
    text = (
        "# One heading\n[a](#one-heading) [b](#two) [c](gone.md) `zsemu/gone.py` `zsemu/paths.py`"
    )
    assert broken("README.md", text) == ["#two", "gone.md", "zsemu/gone.py"]


def test_the_reference_lists_all_its_headings() -> None:
    text = prose("zsemu/README.md")
    contents = text.partition("\n## ")[0]
    linked = [link.removeprefix("#") for link in _LINK.findall(contents)]
    titles = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    assert len(linked) == len(titles) > 10
    assert set(linked) == anchors("\n".join(f"# {title}" for title in titles))
