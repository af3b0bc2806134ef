"""The formats for programs: valid, complete, and the same in all that they say."""

import dataclasses
import json
from html import unescape
from importlib.resources import files
from xml.etree import ElementTree

import jsonschema
import pytest

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import Finding, RuleResult, Spent
from contracts.report import FORMATS
from contracts.report.sarif import place_of
from contracts.report.text import render_text
from tests.contracts.report import samples
from tests.documents import api_document

SCHEMA = json.loads(files("contracts.report").joinpath("report.schema.json").read_text())


def written(name: str, report) -> dict:
    return json.loads(FORMATS[name](report))


# JSON


@pytest.mark.parametrize(
    "result",
    [samples.RESULT, samples.without_findings(), samples.without_findings(verdict="could_not_check", rules=())],
    ids=["failed", "passed", "could not check"],
)
def test_the_json_report_is_valid_by_its_own_schema(result):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(written("json", samples.report(result)))


def test_the_json_report_has_the_documented_shape():
    report = written("json", samples.report())
    assert report["target"] == "http://127.0.0.1:4010"
    assert report["findings"][0]["severity"] == "moderate"
    assert report["seed"] == 77
    assert report["verdict"] == "failed"
    skipped = {"status": "skipped", "why": "no second token was given", "remedy": "second_token"}
    assert report["rules"][3] == {"id": "AUTH-TENANT", **skipped}
    spent = {"requests": 1234, "runs_created": 5678, "runs_left": 3, "seconds": 12.346, "throttled": 0}
    assert report["spent"] == spent
    finding = report["findings"][1]
    assert finding["rule"] == "BULK-ECHO"
    assert finding["fingerprint"] == samples.ECHO.fingerprint
    create, read, binary = finding["exchanges"]
    assert json.loads(create["request"]["body"]["text"])["count"] == 1001
    assert create["answer"]["status"] == 201
    assert create["curl"].startswith("ANSWER_1=$(curl -sS -X POST")
    assert "$ID_1?include=machine" in read["curl"]
    assert read["request"]["body"] is None
    assert binary["request"]["body"] == {"base64": "//4=", "bytes": 2, "left_out": 0}


def test_a_long_answer_keeps_both_its_ends_and_a_long_request_is_whole():
    body = b'{"first": 1, "pad": "' + b"x" * 600_000 + b'", "last": 2}'
    exchange = Exchange(Request("POST", "/v1/runs", (), body), Answer(201, (), body))
    finding = Finding("BULK-ECHO", "last", "a", "b", (exchange,))
    report = written("json", samples.report(samples.without_findings(findings=(finding,), verdict="failed")))
    shown = report["findings"][0]["exchanges"][0]
    assert shown["request"]["body"]["text"].encode() == body
    assert shown["answer"]["body"]["text"].startswith('{"first": 1')
    assert shown["answer"]["body"]["text"].endswith('"last": 2}')
    assert shown["answer"]["body"]["bytes"] == len(body)
    assert shown["answer"]["body"]["left_out"] == len(body) - 200_000
    jsonschema.validate(report, SCHEMA)


def test_every_format_for_people_has_the_summary_and_the_request_that_works():
    finding = dataclasses.replace(samples.COUNT, summary="POST /v1/runs/bulk: 201 <b>", neighbour="count 1000: 422 <i>")
    report = samples.report(samples.without_findings(verdict="failed", findings=(finding,)))
    for name in ("html", "markdown", "sarif", "junit"):
        text = unescape(FORMATS[name](report))
        assert "POST /v1/runs/bulk: 201 <b>" in text, name
        assert "count 1000: 422 <i>" in text, name
    [failure] = ElementTree.fromstring(FORMATS["junit"](report)).iter("failure")
    assert failure.get("message") == "moderate: POST /v1/runs/bulk: 201 <b>"


def test_junit_and_sarif_have_what_repeats_the_check():
    report = samples.report(dataclasses.replace(samples.RESULT, salt="5a17"))
    properties = {one.get("name"): one.get("value") for one in junit(report).iter("property")}
    assert (properties["seed"], properties["salt"]) == ("77", "5a17")
    run_properties = written("sarif", report)["runs"][0]["properties"]
    assert (run_properties["seed"], run_properties["salt"]) == (77, "5a17")


# JUnit


def junit(report) -> ElementTree.Element:
    return ElementTree.fromstring(FORMATS["junit"](report))


def test_junit_has_a_test_case_a_rule():
    suite = junit(samples.report()).find("testsuite")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == [rule.id for rule in samples.RESULT.rules]
    assert suite.attrib | {"hostname": ""} == {
        "name": "contracts", "timestamp": "2030-01-02T03:04:05", "hostname": "", "time": "12.346",
        "tests": "6", "failures": "2", "errors": "0", "skipped": "2",
    }  # fmt: skip
    assert cases["AUTH-TENANT"].find("skipped").get("message") == "no second token was given"
    assert cases["CHAIN-RULES"].find("skipped").get("message").startswith("not offered: ")
    assert len(cases["READ-UNKNOWN"]) == 0
    assert cases["IDEM-REPLAY"].findtext("system-out") == "1 accepted by the baseline"


def test_junit_shows_a_failure_with_its_command_though_xml_cannot_contain_every_character():
    failure = junit(samples.report()).find(".//testcase[@name='BULK-ECHO']/failure")
    assert "as sent, in every run \\x00\\x1b[31m]]>" in failure.get("message")
    assert "got          another <value> in the last" in failure.text
    assert "curl -sS" in failure.text
    assert samples.ECHO.fingerprint in failure.text


def test_junit_shows_unstable_and_accepted_findings():
    told = junit(samples.report()).find("testsuite").findtext("system-out")
    assert "Unstable" in told
    assert "Accepted by the baseline: IDEM-REPLAY" in told
    assert "3 runs are left" in told


@pytest.mark.parametrize(
    ("fields", "verdict", "kind"),
    [({"failed_by": ("X is required",)}, "failed", "failure"), ({}, "could_not_check", "error")],
)
def test_junit_fails_where_the_check_fails_without_a_finding(fields, verdict, kind):
    result = samples.without_findings(verdict=verdict, notes=("no answer",))
    case = junit(samples.report(result, **fields)).find(".//testcase[@name='check']")
    assert case.find(kind).get("message") == "X is required" or case.find(kind).get("message") == "no answer"


def test_junit_counts_a_finding_of_a_rule_that_is_listed_as_something_else():
    result = samples.without_findings(findings=(samples.COUNT,), verdict="failed")
    assert junit(samples.report(result)).get("failures") == "1"


# SARIF


def test_sarif_points_at_the_operation_in_the_description():
    document = written("sarif", samples.report())
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.id for rule in samples.RESULT.rules]
    assert rules[0]["help"]["markdown"].startswith("**REQ-COUNT**: count is an integer")
    count, echo, accepted = run["results"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert count["partialFingerprints"] == {"contractFinding/v1": samples.COUNT.fingerprint}
    assert count["message"]["text"].startswith("Expected 422 for count 1001, got 201.\n\ncurl -sS")
    assert accepted["suppressions"][0]["kind"] == "external"
    assert "suppressions" not in count
    location = count["locations"][0]
    assert location["logicalLocations"] == [{"name": "bulk_create_runs", "kind": "function"}]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "openapi/cyberdesk.yaml"
    lines = files("openapi").joinpath("cyberdesk.yaml").read_text().splitlines()
    line = location["physicalLocation"]["region"]["startLine"]
    assert lines[line - 2 : line] == ["  /v1/runs/bulk:", "    post:"]
    assert echo["locations"][0]["logicalLocations"][0]["name"] == "update_run"


def test_sarif_lists_rules_that_were_not_judged():
    (run,) = written("sarif", samples.report(failed_by=("X is required",)))["runs"]
    told = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert told[0] == "X is required"
    assert "AUTH-TENANT skipped: no second token was given" in told
    assert "CHAIN-RULES not offered: POST /v1/runs/chain is 404, whatever is sent" in told
    assert any("unstable" in text for text in told)
    assert run["invocations"][0]["executionSuccessful"] is True


def test_sarif_says_that_a_target_could_not_be_checked():
    (run,) = written("sarif", samples.report(samples.without_findings(verdict="could_not_check")))["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert run["results"] == []


def test_sarif_of_a_finding_without_exchanges_points_at_the_beginning():
    finding = Finding("NEW-RULE", "c", "a", "b", ())
    (run,) = written("sarif", samples.report(samples.without_findings(findings=(finding,))))["runs"]
    location = run["results"][0]["locations"][0]
    assert location["physicalLocation"]["region"] == {"startLine": 1}
    assert "logicalLocations" not in location
    assert run["results"][0]["message"]["text"] == "Expected a, got b."
    assert run["tool"]["driver"]["rules"][-1]["id"] == "NEW-RULE"


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/runs/bulk", "bulk_create_runs"),
        ("GET", "/v1/runs/bulk", "get_run"),
        ("PUT", "/v1/runs/bulk", "/v1/runs/bulk"),
        ("GET", "/v1/runs?limit=1", "list_runs"),
        ("GET", "/v1/runs/not-an-id", "get_run"),
        ("POST", "/v1/runs/x/retry", "retry_run"),
        ("GET", "/v1/nowhere", ""),
    ],
)
def test_a_request_is_placed_at_its_operation(method, path, operation):
    assert place_of(Request(method, path))[0] == operation


def test_every_operation_has_a_line_of_its_own():
    document = api_document()
    operations = [
        (method, path, operation["operationId"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation
    ]
    places = [place_of(Request(method.upper(), path)) for method, path, _ in operations]
    assert [name for name, _ in places] == [name for _, _, name in operations]
    assert len({line for _, line in places}) == len(operations)


# HAR


def test_har_has_every_exchange_with_what_the_format_requires():
    log = written("har", samples.report())["log"]
    assert log["version"] == "1.2"
    assert len(log["entries"]) == 4
    for entry in log["entries"]:
        assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= set(entry)
        assert {
            "method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"
        } <= set(entry["request"])  # fmt: skip
        assert {
            "status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize",
            "bodySize",
        } <= set(entry["response"])  # fmt: skip
    create, _, read, binary = log["entries"]
    assert create["request"]["url"] == "http://127.0.0.1:4010/v1/runs/bulk"
    assert create["request"]["postData"]["mimeType"] == "application/json"
    assert create["response"]["statusText"] == "Created"
    assert {"name": "Authorization", "value": "Bearer $TOKEN"} in create["request"]["headers"]
    assert read["request"]["queryString"] == [{"name": "include", "value": "machine"}]
    assert "postData" not in read["request"]
    assert binary["request"]["postData"] == {"mimeType": "", "text": "//4=", "comment": "base64"}
    assert binary["response"]["content"]["encoding"] == "base64"
    assert binary["response"]["statusText"] == ""


def test_every_format_renders_a_check_of_nothing():
    result = samples.without_findings(rules=(), spent=Spent(0, 0, 0, 0.0))
    for render in FORMATS.values():
        assert render(samples.report(result, rules={}, exchanges=()))


def test_every_format_names_every_finding():
    finding = Finding("BULK-ECHO", "a cause", "an expectation", "an outcome", ())
    result = samples.without_findings(findings=(finding,), rules=(RuleResult("BULK-ECHO", "failed", ""),))
    for name in ("json", "junit", "sarif", "html", "markdown"):
        text = FORMATS[name](samples.report(result))
        assert "an expectation" in text
        assert "an outcome" in text


@pytest.mark.parametrize("name", ["junit", "sarif", "html", "markdown"])
def test_an_intermittent_finding_says_how_often_it_was_seen(name):
    finding = Finding("BULK-ECHO", "a cause", "this", "that", (), stable=False, intermittent=True, seen=2, judged=1812)
    result = samples.without_findings(findings=(finding,), rules=(RuleResult("BULK-ECHO", "failed", ""),))

    assert "seen 2 of 1,812 times" in FORMATS[name](samples.report(result))
    assert written("json", samples.report(result))["findings"][0]["seen"] == 2


def test_the_summary_begins_with_the_verdict_and_how_to_repeat_the_check():
    lines = FORMATS["markdown"](samples.report(dataclasses.replace(samples.RESULT, salt="s 1"))).splitlines()

    assert lines[0] == "## Failed: 2 findings: contract of `http://127.0.0.1:4010`"
    assert "Repeat with `--seed 77 --salt 's 1'`" in lines
    assert "| AUTH-TENANT | skipped | `no second token was given` |" in lines
    assert "### 1. REQ-COUNT (moderate)" in lines


def test_a_long_finding_is_cut_in_the_summary():
    long = dataclasses.replace(samples.COUNT, got="x" * 100_000)
    result = samples.without_findings(findings=(long,), rules=(RuleResult("REQ-COUNT", "failed", ""),))

    assert len(FORMATS["markdown"](samples.report(result))) < 25_000


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seen": 2, "judged": 9}, "seen 2 of 9 times; not seen when it was sent again alone"),
        ({"seen": 2, "judged": 0}, "seen 2 times; not seen when it was sent again alone"),
        ({"seen": 1, "judged": 0}, "seen 1 time; not seen when it was sent again alone"),
        (
            {"seen": 6, "judged": 818, "not_sent_again": "the time was over"},
            "seen 6 of 818 times; not sent again: the time was over",
        ),
    ],
)
def test_the_frequency_contains_only_known_numbers(fields, words):
    assert Finding("R", "c", "e", "g", (), stable=False, intermittent=True, **fields).frequency == words


def test_a_finding_that_was_not_sent_again_says_so():
    finding = Finding("BULK-ECHO", "a cause", "this", "that", (), stable=False, not_sent_again="the time was over")
    report = samples.report(samples.without_findings(unstable=(finding,)))
    for name in ("junit", "html", "markdown"):
        assert "did not repeat when sent again" not in FORMATS[name](report)
    assert "Not sent again, since the time was over: BULK-ECHO" in render_text(report)


def test_the_page_names_one_reason_only_if_all_have_it():
    one = Finding("BULK-ECHO", "a cause", "this", "that", (), stable=False, not_sent_again="the time was over")
    other = dataclasses.replace(one, cause="b", not_sent_again="")
    results = (samples.without_findings(unstable=unstable) for unstable in ((one, other), (one,)))
    both, alone = (FORMATS["html"](samples.report(result)) for result in results)
    assert "<h2>Unstable, or not sent again</h2>" in both
    assert "<h2>Not sent again, since the time was over</h2>" in alone
