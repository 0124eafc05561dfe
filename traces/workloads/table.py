# SPDX-License-Identifier: GPL-2.0-only
"""Keep a table of measurements in memory, day by day; sort it, summarise it, search it.

The arguments are the numbers of days, of rows of a day, and of passes over some of the days.
"""

import json
import sys
import time
from typing import Any

import numpy as np

DAYS, ROWS, PASSES = map(int, sys.argv[1:4])
SENSORS = 500
rng = np.random.default_rng(16)
names = np.array(
    [f"sensor-{i:03d}/{('temp', 'rpm', 'mbar', 'volt')[i % 4]}" for i in range(SENSORS)], "S20"
)


def day(number: int) -> dict[str, Any]:
    """Return a day's measurements as columns of ROWS rows."""
    sensor = rng.integers(0, SENSORS, ROWS).astype(np.int32)
    noise = rng.normal(0, 1, ROWS)
    return {
        "time": np.sort(rng.integers(0, 86_400_000, ROWS)) + number * 86_400_000,
        "sensor": sensor,
        "value": np.round(20 + np.cumsum(noise) / 50, 2),
        "raw": noise.astype(np.float32),
        "name": names[sensor],
        "flags": (noise > 2).astype(np.uint8),
    }


def summarise(table: dict[str, Any]) -> dict[str, Any]:
    """Return columns that follow from those of a day, and a line of JSON for each sensor."""
    order = np.lexsort((table["time"], table["sensor"]))
    first = np.flatnonzero(np.diff(table["sensor"][order], prepend=-1))
    value = table["value"][order]
    count = np.diff(first, append=len(order))
    mean = np.add.reduceat(value, first) / count
    return {
        "order": order.astype(np.int32),
        "mean": np.repeat(mean, count),
        "deviation": np.round(value - np.repeat(mean, count), 3),
        "text": [
            json.dumps({"sensor": str(names[s]), "mean": round(float(m), 4), "n": int(n)})
            for s, m, n in zip(table["sensor"][order][first], mean, count, strict=True)
        ],
    }


tables = []
for number in range(DAYS):
    tables.append(day(number))
    print("day", number, int(time.time()), flush=True)
found = 0
for turn in range(PASSES):
    for number in rng.permutation(DAYS)[: DAYS // 2 + 1]:
        table = tables[number]
        table.update(summarise(table))
        low, high = np.quantile(table["value"][::97], [0.1, 0.9])
        found += int(np.count_nonzero((table["value"] < low) | (table["value"] > high)))
        found += sum(json.loads(text)["n"] for text in table["text"][::50])
    tables[int(rng.integers(DAYS))] = day(turn + DAYS)
    print("pass", turn, found, int(time.time()), flush=True)
