# SPDX-License-Identifier: GPL-2.0-only
"""How often each translated block has run, and the instructions that this stands for."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import SCOPE_COLUMNS
from zsemu.guest.fresh_pages import zeros
from zsemu.guest.hook_structures import BLOCK, NativeBlocks
from zsemu.guest.image import KIND, STRING, Image


class BlockHits(NamedTuple):
    """How often a translated block ran."""

    address: int
    size: int
    """bytes"""
    hits: NDArray[np.uint64]
    """shape (phases, SCOPE_COLUMNS)"""
    repeats: NDArray[np.uint64]
    """those hits that were another round of the instruction at the block's end, same shape"""


class BlockHistogram:
    """The histogram that native/blocks.h fills, whose arrays it owns."""

    def __init__(self, native: NativeBlocks, image: Image, *, most: int, phases: int) -> None:
        """Make room for so many blocks of an image, and let ``native`` point at it."""
        self._native, self._image = native, image
        cells = (most, phases, SCOPE_COLUMNS)
        self._at = zeros(image.text[1] - image.text[0], np.uint32)
        self._blocks = zeros(most, BLOCK)
        self._hits, self._repeats = zeros(cells, np.uint64), zeros(cells, np.uint64)
        native.max = most
        native.at, native.block = self._at.ctypes.data, self._blocks.ctypes.data
        native.hits, native.repeats = self._hits.ctypes.data, self._repeats.ctypes.data

    def __iter__(self) -> Iterator[BlockHits]:
        """Yield how often each block has run, in the order in which they ran first."""
        # The rounds of the loop that ran last.
        native = self._native
        self._hits.reshape(-1)[native.previous_cell] += native.rounds
        self._repeats.reshape(-1)[native.previous_cell] += native.rounds
        native.rounds = 0
        for index in range(native.number):
            address, size, _ = self._blocks[index].tolist()
            yield BlockHits(address, size, self._hits[index], self._repeats[index])

    def retired(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield of each block its address, and its retired instructions by phase and scope.

        A rep-prefixed instruction is a block of its own from its second round on, and retired once.
        """
        start = self._image.text[0]
        for block in self:
            number = self._image.count(block.address, block.size)
            found = block.hits.astype(np.int64) * number
            if number == 1 and self._image.kinds[block.address - start] & KIND == STRING:
                found -= block.repeats.astype(np.int64)
            yield block.address, found
