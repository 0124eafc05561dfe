# SPDX-License-Identifier: GPL-2.0-only
"""What long accesses cost, derived from shorter ones, against the same accesses made whole."""

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import busy_trace, image, placed

from zsemu.guest.memory import BATCH
from zsemu.guest.targets import known as target_names
from zsemu.guest.targets import target
from zsemu.replay import access_costs
from zsemu.replay.by_shape import EachShape
from zsemu.replay.observation import Subject
from zsemu.traces.operation import Operation


def some_accesses() -> NDArray[np.uint64]:
    """Return keys of accesses to the region that those measured have: any mode, place, length."""
    rng = np.random.default_rng(5)
    operation = rng.integers(Operation.READ, Operation.UPDATE, 400, endpoint=True)
    own, place = rng.integers(2, size=400), rng.integers(16, size=400)
    length = rng.integers(1, 4097, 400)
    length[:16] = (127, 128, 129, 191, 192, 193, 255, 256, 257, 4096) + (4095,) * 6
    return (operation | own << 3 | place << 4 | length << 10 | BATCH << 27).astype(np.uint64)


@pytest.mark.parametrize("arch", target_names())
def test_every_line_more_costs_the_same(arch: str) -> None:
    keys = some_accesses()
    subject = Subject(image(target(arch), "copy"), placed(busy_trace(50), arch))
    observation = EachShape(subject)
    whole = observation.measure_accesses(np.unique(keys & np.uint64((1 << 27) - 1))).rows
    kinds = access_costs.kinds(keys)
    derived = observation.measure_accesses(kinds).cost(np.unique(keys))
    np.testing.assert_array_equal(derived, whole)
    assert len(np.unique(kinds)) == len(kinds)
