# SPDX-License-Identifier: GPL-2.0-only
"""The structures of native/caches.h, as ctypes and NumPy types, and the library.

Fields and their order are those of the C file. tests/caches/test_native_structures.py compares
both.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from zsemu.guest.native_library import load_library

SOURCE: Final = Path(__file__).parent / "native" / "caches.c"
"""it includes the others of its folder"""
EMPTY: Final = (1 << 64) - 2
"""what stands in place of a line where there is none"""
BASES: Final = (
    "absolute",
    "record",
    "zspage",
    "pfn",
    "word",
    "caller",
    "area",
    "buffer",
    "entries",
    "before",
    "slot",
    "behind",
    "after",
)
"""to what an operation's addresses are relative; ``absolute`` is the start of RAM"""

PLACE: Final = np.dtype(
    [
        ("base", [(name, np.uint64) for name in BASES]),
        ("zspage", np.int64),
        ("page", np.int64),
    ]
)
"""``struct place``: where what an operation accesses lies, as offsets in RAM; the descriptor of its
zspage, and in which page of it the slot starts"""

_u64 = ctypes.c_uint64
_pointer = ctypes.c_void_p


class NativeLevel(ctypes.Structure):
    """``struct level``: a level of cache."""

    _fields_ = (("line", _pointer), ("ways", _u64), ("mask", _u64))


class NativeModel(ctypes.Structure):
    """``struct model``: two levels, and what is counted."""

    _fields_ = (
        ("l1", NativeLevel),
        ("l2", NativeLevel),
        ("line_shift", _u64),
        ("sums", _pointer),
    )


class NativeLayout(ctypes.Structure):
    """``struct layout``: what lies where in RAM."""

    _fields_ = (
        *((name, _pointer) for name in ("region", "owner", "index")),
        *((name, _u64) for name in ("page_shift", "pfns", "words")),
    )


@cache
def library() -> ctypes.CDLL:
    """Load the model, which is compiled first if the cache of compiled code does not have it.

    ZsemuError with the compiler's message if it does not compile.
    """
    found = load_library("caches", SOURCE)
    found.make_template.restype = _u64
    found.make_template.argtypes = [_pointer, _pointer, _pointer, _u64, _pointer]
    found.expand_templates.restype = found.run_model.restype = None
    found.expand_templates.argtypes = [*[_pointer] * 4, _u64, _pointer, _pointer]
    found.run_model.argtypes = [*[_pointer] * 4, _u64]
    return found
