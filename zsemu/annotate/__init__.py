# SPDX-License-Identifier: GPL-2.0-only
"""What each instruction of a strategy did: profile, listing, alignment of two listings, their text.

Imports replay, guest and results.
"""
