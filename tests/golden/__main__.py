# SPDX-License-Identifier: GPL-2.0-only
"""Measures the golden counts again, writes the file and names what moved."""

import golden

new = golden.measure_all()
lines = list(golden.moved(golden.load(), new))
golden.save(new)
print("\n".join([*lines, f"{len(lines)} moved, {len(new)} rows in {golden.FILE.name}"]))
