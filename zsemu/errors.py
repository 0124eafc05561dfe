# SPDX-License-Identifier: GPL-2.0-only
"""Define the one exception class for every error that a user can cause or must hear about."""


class ZsemuError(Exception):
    """Something the user can act on: one line that says what is wrong, where, and what to do.

    ``detail`` holds another tool's own words, such as a compiler's messages. The command line
    prints the line, prints the detail below it, and exits with status 2.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail
