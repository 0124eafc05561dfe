# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the READMEs, of what pip installs, and of the configuration of pre-commit."""
