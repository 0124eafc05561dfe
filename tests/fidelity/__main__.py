# SPDX-License-Identifier: GPL-2.0-only
"""Measures kernels' objects beside copy-modes, and keeps the figures beside this file.

Arguments are folders that zsemu kernel build has made.
"""

import sys

import fidelity
from zsemu.paths import replacing

with replacing(fidelity.FILE) as stream:
    stream.write(fidelity.written(fidelity.measure(sys.argv[1:])).encode())
