# SPDX-License-Identifier: GPL-2.0-only
"""Two CPUs run a batch in turns: see native/alternate.h."""

import numpy as np
import pytest
import unicorn
from samples import busy_trace, image, placed

from zsemu.guest.targets import names, target
from zsemu.replay.replay import Replay
from zsemu.traces.operation import Operation


class _SeenError(Exception):
    pass


@pytest.mark.parametrize("arch", names())
def test_what_a_hook_in_python_raises_is_raised(arch: str) -> None:
    one = image(target(arch), "copy")
    replay = Replay(one, placed(busy_trace(60), arch))

    def on_code(uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        raise _SeenError

    at = one.address("zs_map_object")
    replay.observer.uc.hook_add(unicorn.UC_HOOK_CODE, on_code, begin=at, end=at)
    with pytest.raises(_SeenError):
        replay.run()


@pytest.mark.parametrize("arch", names())
def test_each_runs_what_it_must(arch: str) -> None:
    """The observing CPU runs the first operation of a shape, and no other."""
    replay = Replay(image(target(arch), "copy"), placed(busy_trace(300), arch))
    machines = replay.machines
    batch = next(machines.writer.batches())
    replay.observation.begin(batch)
    number = len(batch.index)
    shapes = np.random.default_rng(0).integers(40, size=number)
    batch.ops["shape"] = 1 + shapes
    observed = machines.alternate(batch)
    first = np.unique(shapes, return_index=True)[1]
    assert np.flatnonzero(observed).tolist() == sorted(first.tolist())
    ran = np.flatnonzero(machines.rows[:number].any(axis=(1, 2)))
    maps = np.flatnonzero(batch.operation >= Operation.READ)
    assert set(ran) == set(maps) & set(first)
    again = machines.alternate(batch)
    assert not again.any()
