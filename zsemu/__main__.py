# SPDX-License-Identifier: GPL-2.0-only
"""``python -m zsemu``: the command line where its script is not installed."""

import sys

from zsemu.cli import main

if __name__ == "__main__":
    sys.exit(main())
