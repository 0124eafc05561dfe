# SPDX-License-Identifier: GPL-2.0-only
"""The formats in which findings are written: for reading, for programs, and for CI."""

from enum import StrEnum
from types import ModuleType

from zsemu.cli.terminal import width


class Format(StrEnum):
    """How the findings are written."""

    TEXT = "text"
    JSON = "json"
    KTAP = "ktap"
    JUNIT = "junit"


def written(report: ModuleType, findings: object, request: object, format: Format) -> str:
    """Return findings as a module of zsemu.reports writes them, which has a function for each."""
    if format == Format.TEXT:
        return str(report.text(findings, request, width=width()))
    write = {
        Format.JSON: report.as_json,
        Format.KTAP: report.ktap,
        Format.JUNIT: report.junit,
    }[format]
    return str(write(findings, request))
