"""The reports of a check, one module a format. Each renders a masked Report to one text."""

from __future__ import annotations

from collections.abc import Callable

from contracts.report.jsonreport import render_json
from contracts.report.report import Report

FORMATS: dict[str, Callable[[Report], str]] = {
    "json": render_json,
}

__all__ = ["FORMATS", "Report"]
