"""The report formats of a check, one module each. Each renders a masked Report as text."""

from collections.abc import Callable

from contracts.report.har import render_har
from contracts.report.html import render_html
from contracts.report.jsonreport import render_json
from contracts.report.junit import render_junit
from contracts.report.markdown import render_markdown
from contracts.report.report import Report
from contracts.report.sarif import render_sarif

FORMATS: dict[str, Callable[[Report], str]] = {
    "json": render_json,
    "junit": render_junit,
    "sarif": render_sarif,
    "html": render_html,
    "har": render_har,
    "markdown": render_markdown,
}
WITH_EXCHANGES = frozenset({"har"})
"""The formats that show all exchanges of the check, not only those of the findings."""

__all__ = ["FORMATS", "WITH_EXCHANGES", "Report"]
