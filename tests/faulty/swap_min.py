# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``swap-min``: the smaller part is exchanged, on either side."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

FAULTS = (
    Faulty(
        "undone-on-the-other-side",
        "swap-min",
        (
            (
                "exchange(const struct zs_location *loc)",
                "exchange(const struct zs_location *loc, int map)",
            ),
            ("	if (first <= second) {", "	if (first <= second || !map) {"),
            ("exchange(loc), loc);", "exchange(loc, 1), loc);"),
            ("		exchange(loc);", "		exchange(loc, 0);"),
        ),
        violations.WRONG_BYTES,
        cases.short_tail,
    ),
    Faulty(
        "exchanged-behind-the-smaller-side",
        "swap-min",
        (
            (
                "	zs_swap(tail - second, head, second);",
                "	zs_swap(tail - first, head, second);",
            ),
        ),
        violations.WRONG_BYTES,
        cases.short_tail,
    ),
)
