# SPDX-License-Identifier: GPL-2.0-only
"""Write tables and text as GitHub's Markdown."""

import re
from collections.abc import Sequence
from typing import Final

_SPECIAL: Final = re.compile(r"([\\`*\[\]<>|&~#]|(?<!\w)_|_(?!\w))")
"""the characters to which Markdown gives a meaning; an underscore within a word has none"""


def escaped(text: str) -> str:
    """Return text as Markdown that shows it as it is."""
    return _SPECIAL.sub(r"\\\1", text)


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as Markdown, its header first; all but the first column right-aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join([row[0].ljust(widths[0]), *rest])} |"

    rule = "|".join([":" + "-" * (widths[0] + 1), *("-" * (w + 1) + ":" for w in widths[1:])])
    return [line(rows[0]), f"|{rule}|", *(line(row) for row in rows[1:])]
