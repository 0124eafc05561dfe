# SPDX-License-Identifier: GPL-2.0-only
"""What results and checks say, for people and machines: tables, findings, charts, HTML.

Imports results and check; runs nothing.
"""
