# SPDX-License-Identifier: GPL-2.0-only
"""Write what results and checks say, for people and for machines: tables, charts, the HTML page.

The modules read documents of results and the findings of a check. They run nothing. They may import
results, check and what is below these.
"""
