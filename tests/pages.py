# SPDX-License-Identifier: GPL-2.0-only
"""A reader of the report's page that knows nothing of how it is made: its tables and its text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


@dataclass
class Table:
    """A table: the heading it stands under, its caption, and the texts of its cells."""

    heading: str
    caption: str = ""
    rows: list[list[str]] = field(default_factory=list)


class Page(HTMLParser):
    """What is on a page; unbalanced tags are in ``faults``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.faults: list[str] = []
        self.addresses: list[str] = []
        """what is linked to or loaded"""
        self.names: list[str] = []
        """of all tags"""
        self.text = ""
        self.ids: list[str] = []
        self._open: list[str] = []
        self._heading = ""
        self.feed(text)
        self.close()
        self.faults += self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attributes:
            if name in ("href", "src", "srcset", "data", "action", "xlink:href"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.faults.append(name)
        if tag in VOID:
            return
        self._open.append(tag)
        if tag in ("h2", "h3", "h4"):
            self._heading = ""
        if tag == "table":
            self.tables.append(Table(self._heading))
        if tag == "tr":
            self.tables[-1].rows.append([])
        if tag in ("td", "th"):
            self.tables[-1].rows[-1].append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        for tag in ("h2", "h3", "h4"):
            if tag in self._open:
                self._heading += data
        if "table" not in self._open:
            return
        table = self.tables[-1]
        if "caption" in self._open:
            table.caption += data
        if "td" in self._open or "th" in self._open:
            # What is small stands below.
            table.rows[-1][-1] += f" {data}" if self._open[-1] == "small" else data

    def table(self, heading: str, caption: str) -> dict[str, dict[str, str]]:
        """Return the one table of these, by the first cell of its rows and the first row."""
        (found,) = [t for t in self.tables if (t.heading, t.caption) == (heading, caption)]
        head, *rows = found.rows
        return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
