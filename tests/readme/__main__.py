# SPDX-License-Identifier: GPL-2.0-only
"""Writes the figures of the results beside this file into the README, and the plot beside them."""

import readme
from zsemu.paths import replacing

page = readme.rendered(readme.README.read_text())
with replacing(readme.README) as stream:
    stream.write(page.encode())
with replacing(readme.PLOT) as stream:
    stream.write(readme.plot())
