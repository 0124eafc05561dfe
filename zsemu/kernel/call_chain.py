# SPDX-License-Identifier: GPL-2.0-only
"""Follow the calls and returns of a kernel's object, one instruction after the other.

It does what follow_calls() of zsemu/guest/native/phases.c does for strategies: a function that is
reached other than by going on was called, and returns to what is behind the call.
"""

import numpy as np

from zsemu.guest.image import ENTRY, Image


class CallChain:
    """The calls that led to where a guest is. The driver's are nobody's, and left out."""

    def __init__(self, image: Image) -> None:
        start = image.text[0]
        self._entries = set((start + np.flatnonzero(image.kinds & ENTRY)).tolist())
        self._driver = range(image.address("zs_driver_start"), image.address("zs_driver_end"))
        self._chain: list[tuple[int, int]] = []
        """pc of each call, and the address behind it, the outermost first"""
        self._last, self._behind = self._driver.start, 0

    @property
    def pcs(self) -> list[int]:
        """The addresses of the calls, the innermost first."""
        return [pc for pc, _ in reversed(self._chain)]

    def code(self, uc: object, address: int, size: int, _: object) -> None:
        """Hear of an instruction before it runs: a callback of Unicorn's."""
        if address in self._driver:
            self._chain.clear()
        elif address != self._behind and self._last not in self._driver:
            backs = [back for _, back in self._chain]
            if address in self._entries:
                self._chain.append((self._last, self._behind))
            elif address in backs:
                del self._chain[backs.index(address) :]
        self._last, self._behind = address, address + size
