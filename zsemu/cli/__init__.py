# SPDX-License-Identifier: GPL-2.0-only
"""The command line: one module a verb, their root in app.py, shared options in options.py.

Exit status: 0 fine, 1 a violation or failed property, 2 bad use or input, 3 a regression, and as
the shell has it 130 after Ctrl-C, 143 after SIGTERM, 141 if nobody reads the output any more.
"""

import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run zsemu and return its exit status."""
    try:
        # Here, so that Ctrl-C while this is being loaded leaves no traceback, either.
        from zsemu.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("zsemu: interrupted\n")
        return 128 + signal.SIGINT
