"""The JUnit XML report, for CI servers: one test case per rule."""

from xml.etree import ElementTree

from contracts.core.findings import RuleResult
from contracts.report.report import Report, unstable_heading
from contracts.report.text import plain_finding


def render_junit(report: Report) -> str:
    result = report.result
    suite = ElementTree.Element(
        "testsuite",
        name="contracts",
        timestamp=report.started_at.replace(tzinfo=None).isoformat(timespec="seconds"),
        hostname=_xml(result.target),
        time=f"{result.spent.seconds:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (
        ("target", result.target),
        ("seed", str(result.seed)),
        ("salt", result.salt),
        ("verdict", result.verdict),
        ("requests", str(result.spent.requests)),
        ("runs_created", str(result.spent.runs_created)),
        ("runs_left", "unknown" if result.spent.runs_left is None else str(result.spent.runs_left)),
    ):
        ElementTree.SubElement(properties, "property", name=name, value=_xml(value))
    for rule in result.rules:
        _add_rule(suite, rule, report)
    if report.failed_by or result.verdict == "could_not_check":
        kind = "error" if result.verdict == "could_not_check" else "failure"
        why = " ".join(report.failed_by or result.notes) or "No rule was judged."
        _add(_add_case(suite, "check"), kind, why, type=result.verdict, message=_xml(why))
    output = [f"{unstable_heading(each)}:\n{plain_finding(each, report)}" for each in result.unstable] + report.accepted
    output += result.notes
    if output:
        _add(suite, "system-out", "\n\n".join(output))
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(list(suite.iter(tag)))))
    root = ElementTree.Element(
        "testsuites", {key: suite.attrib[key] for key in ("tests", "failures", "errors", "time")}
    )
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_rule(suite: ElementTree.Element, rule: RuleResult, report: Report) -> None:
    case = _add_case(suite, rule.id)
    findings = report.findings_of(rule.id)
    if rule.status == "failed" or findings:
        message = "; ".join(each.sentence for each in findings) or rule.why
        text = "\n".join(plain_finding(each, report) for each in findings)
        _add(case, "failure", text, type=rule.id, message=_xml(f"{report.severity_of(rule.id)}: {message}"))
    elif rule.status != "passed":
        why = rule.why if rule.status == "skipped" else f"not offered: {rule.why}"
        ElementTree.SubElement(case, "skipped", message=_xml(why))
    elif rule.why:
        _add(case, "system-out", rule.why)


def _add_case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname="contracts", name=name, time="0")


def _add(parent: ElementTree.Element, tag: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, tag, attributes).text = _xml(text)


def _xml(text: str) -> str:
    """Escape the characters that XML 1.0 does not allow even as references (section 2.2 of the recommendation), and all
    other unprintable ones, which could control a terminal.
    """
    return "".join(c if (c.isprintable() and c not in "\ufffe\uffff") or c in "\t\n" else repr(c)[1:-1] for c in text)
