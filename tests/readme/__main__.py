# SPDX-License-Identifier: GPL-2.0-only
"""Writes the figures of results into the READMEs, and the plot beside this file.

Arguments are documents as zsemu compare --json writes them, each named after its trace, and
loops.json as zsemu annotate --mca writes it; what is shown of them is kept beside this file first.
"""

import sys
from pathlib import Path

import readme
from zsemu.paths import replacing
from zsemu.results.document import load
from zsemu.results.throughput import load_all

for path in map(Path, sys.argv[1:]):
    if path.stem == readme.LOOPS:
        readme.keep_loops(load_all([path]))
    else:
        readme.keep(path.stem, load(path))

for path in readme.PAGES:
    page = readme.rendered(path.read_text())
    with replacing(path) as stream:
        stream.write(page.encode())
with replacing(readme.PLOT) as stream:
    stream.write(readme.plot())
