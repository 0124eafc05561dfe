# SPDX-License-Identifier: GPL-2.0-only
"""Make arrays in fresh pages, which the operating system gives when they are used first.

np.zeros() may be given memory that has been used before, and then clears all of it.
"""

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros; what of it is never used takes neither memory nor time."""
    items = np.dtype(dtype)
    size = math.prod(np.atleast_1d(shape).tolist()) * items.itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    found: NDArray[Any] = np.frombuffer(mmap.mmap(-1, size, flags=flags), items)
    return found.reshape(shape)
