# SPDX-License-Identifier: GPL-2.0-only
"""Join words and figures for sentences."""

from collections.abc import Iterable, Sequence


def listed(words: Iterable[str]) -> str:
    """Return words with commas between them and an ``and`` before the last."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def span(texts: Sequence[str]) -> str:
    """Return ``a to b`` for texts in ascending order, or the text if all are the same."""
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
