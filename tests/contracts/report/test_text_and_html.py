"""The formats for people."""

import base64
import dataclasses
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from contracts.core.exchange import Answer, Exchange
from contracts.core.findings import Finding, Remedy, RuleResult, ScenarioProgress
from contracts.report import FORMATS
from contracts.report.text import render_text
from tests.contracts.report import samples


def text(report, **settings) -> str:
    return click.unstyle(render_text(report, **settings))


def test_rules_are_counted_by_group_and_those_that_did_not_pass_are_listed_with_their_reasons():
    lines = text(samples.report()).splitlines()
    assert lines[:11] == [
        "           passed  failed  skipped  not offered",
        "Requests        -       1        -            -",
        "Answers         2       1        1            1",
        "All rules       2       2        1            1",
        "",
        "REQ-COUNT   failed      1001 is accepted",
        "BULK-ECHO   failed      last item differs",
        "AUTH-TENANT skipped     no second token was given",
        "CHAIN-RULES not offered POST /v1/runs/chain is 404, whatever is sent",
        "",
        "1. REQ-COUNT (moderate) count is an integer from 1 to 1000",
    ]


def test_every_rule_is_listed_if_asked_for():
    lines = text(samples.report(), verbose=True).splitlines()
    assert lines[5:11] == [
        "REQ-COUNT    failed      1001 is accepted",
        "BULK-ECHO    failed      last item differs",
        "READ-UNKNOWN passed",
        "AUTH-TENANT  skipped     no second token was given",
        "CHAIN-RULES  not offered POST /v1/runs/chain is 404, whatever is sent",
        "IDEM-REPLAY  passed      1 accepted by the baseline",
    ]


def test_a_long_reason_is_wrapped_under_itself_on_a_terminal_and_nowhere_else():
    why = "a reason that is " + "very " * 20 + "long"
    result = samples.without_findings(rules=(RuleResult("REQ-COUNT", "skipped", why),))
    wrapped = text(samples.report(result), width=60).splitlines()[3:]
    assert wrapped[0] == "REQ-COUNT skipped     a reason that is very very very very"
    assert wrapped[1].startswith(" " * 22 + "very")
    assert text(samples.report(result)).splitlines()[3].endswith("very long")


def test_a_finding_has_its_rule_title_expectation_outcome_and_command():
    shown = text(samples.report())
    assert "1. REQ-COUNT (moderate) count is an integer from 1 to 1000\n   expected     422 for count 1001\n" in shown
    assert f"   fingerprint  {samples.COUNT.fingerprint}\n" in shown
    assert "\ncurl -sS -i -X POST" in shown
    assert "Unstable, did not repeat when sent again alone: REQ-COUNT" in shown
    assert "Accepted by the baseline: IDEM-REPLAY" in shown
    assert "Note: 3 runs are left" in shown
    assert "$TOKEN" in shown
    assert "Sensitive values are masked" in shown
    assert "FAILED: 2 findings." in shown


def test_nothing_a_server_says_moves_the_terminal():
    assert "\x1b[31m" not in text(samples.report())
    assert "\x00" not in text(samples.report())


def test_masking_is_not_spoken_of_where_nothing_was_masked():
    finding = dataclasses.replace(samples.COUNT, exchanges=(samples.BINARY,))
    shown = text(samples.report(samples.without_findings(findings=(finding,), verdict="failed")))
    assert "masked" not in shown
    assert "FAILED: 1 finding." in shown


def test_a_long_value_is_cut_in_the_middle():
    finding = Finding("REQ-COUNT", "c", "a" * 5000 + "z", "b", ())
    shown = text(samples.report(samples.without_findings(findings=(finding,), verdict="failed")))
    assert "aaa … 3801 characters left out … aaa" in shown
    assert "aaz" in shown


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("passed", "PASSED: nothing found."),
        ("incomplete", "INCOMPLETE: nothing found, but 1 rule was not judged (see above)."),
        ("could_not_check", "COULD NOT CHECK."),
    ],
)
def test_the_verdict_comes_last_and_is_bold(verdict, said):
    rules = (RuleResult("REQ-COUNT", "skipped", "it could not be judged"), RuleResult("BULK-ECHO", "passed", ""))
    shown = render_text(samples.report(samples.without_findings(verdict=verdict, rules=rules)))
    last = next(line for line in reversed(shown.splitlines()) if "Next:" not in line)
    assert click.unstyle(last).startswith(said)
    assert "\x1b[1m" in last


def test_a_check_that_passes_says_what_it_saw_once():
    finding = Finding("SECRET-LEAK", "c", "a", "b", (), stable=False)
    last = text(samples.report(samples.without_findings(verdict="passed", unstable=(finding,)))).splitlines()[-2]
    assert last == "PASSED: no finding repeated; 1 unstable finding, see above."


def test_other_reasons_than_findings_for_a_failed_check_are_shown():
    shown = text(samples.report(samples.without_findings(verdict="failed"), failed_by=("AUTH-TENANT is required",)))
    assert "AUTH-TENANT is required" in shown
    assert "FAILED: 0 findings." not in shown


def test_many_rules_that_were_skipped_for_one_reason_are_one_row_unless_each_is_asked_for():
    late = [RuleResult(rule, "skipped", "not reached in time") for rule in ("A", "B", "C", "D")]
    others = [RuleResult(rule, "skipped", "no second token was given") for rule in ("E", "F")]
    report = samples.report(samples.without_findings(verdict="incomplete", rules=(*late[:1], *others, *late[1:])))

    assert text(report).splitlines()[3:6] == [
        "4 rules skipped     not reached in time: A, B, C, D",
        "E       skipped     no second token was given",
        "F       skipped     no second token was given",
    ]
    assert [line[0] for line in text(report, verbose=True).splitlines() if "not reached" in line] == list("ABCD")


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        (
            {"verdict": "failed", "findings": (samples.COUNT,)},
            "Fix the worst finding first (`contracts explain REQ-COUNT` says what the rule requires), then"
            f" `contracts replay 'my report.json' {samples.COUNT.fingerprint[:8]}` says whether it still shows.",
        ),
        (
            {"verdict": "incomplete", "scenarios": (ScenarioProgress("deletes", 2, 9, finished=False),)},
            "Give the check more time with --max-time (fuzz: --for), since not every case was tried.",
        ),
        (
            {
                "verdict": "incomplete",
                "had_enough_findings": True,
                "scenarios": (ScenarioProgress("deletes", 2, 9, finished=False),),
            },
            "Run the check again without --max-findings, which ended it before every case was tried.",
        ),
        (
            {
                "verdict": "incomplete",
                "rules": (RuleResult("AUTH-TENANT", "skipped", "no second token was given", Remedy.SECOND_TOKEN),),
            },
            "Give the token of another organisation in CONTRACTS_SECOND_TOKEN, or with --second-token.",
        ),
        (
            {
                "verdict": "could_not_check",
                "rules": (
                    RuleResult("AUTH-TENANT", "skipped", "no second token was given", Remedy.SECOND_TOKEN),
                    RuleResult("BULK-FILES", "skipped", "no create with file_inputs was accepted"),
                    RuleResult("REQ-COUNT", "skipped", "POST /v1/runs/bulk: no request is left", Remedy.MORE_REQUESTS),
                    RuleResult("REQ-BODY", "skipped", "POST /v1/runs/bulk: no request is left", Remedy.MORE_REQUESTS),
                ),
            },
            "Give the check more requests with --max-requests.",
        ),
        (
            {
                "verdict": "incomplete",
                "rules": (
                    RuleResult(
                        "ATTACHMENTS", "skipped", "no file; --vary file_inputs allows that", Remedy.ALLOW_FIELDS
                    ),
                ),
            },
            "Give the flags that the skipped rules above name, if the workflow can take what they allow.",
        ),
        (
            {
                "verdict": "could_not_check",
                "rules": (RuleResult("AUTH-TENANT", "skipped", "no second token was given", Remedy.SECOND_TOKEN),),
                "scenarios": (ScenarioProgress("other organisations", 2, 9, finished=False),),
            },
            "Give the token of another organisation in CONTRACTS_SECOND_TOKEN, or with --second-token.",
        ),
        (
            {"spent": dataclasses.replace(samples.RESULT.spent, runs_left=None)},
            "`contracts cleanup http://127.0.0.1:4010` tries again to delete what may be left.",
        ),
        (
            {"verdict": "incomplete", "rules": (*samples.RESULT.rules[2:3], RuleResult("A", "skipped", "no such run"))},
            "See above why rules were not judged, and `contracts explain A` what the first of them requires;"
            " `--skip-rule A` leaves it out.",
        ),
        (
            {"verdict": "could_not_check", "rules": (RuleResult("A", "skipped", "no such run"),)},
            "See above why; `contracts explain A` says what the rule requires.",
        ),
        (
            {"verdict": "could_not_check", "rules": (RuleResult("HTTP-LIMIT", "skipped", "never answered 429"),)},
            "Set a rate limit on the server, which HTTP-LIMIT needs, or select other rules.",
        ),
        (
            {"verdict": "could_not_check", "rules": (RuleResult("A", "not_offered", "every probe is 404"),)},
            "Select other rules, since the server does not offer the operations of these; `contracts rules` lists"
            " them.",
        ),
        (
            {"verdict": "incomplete", "is_partial": True},
            "Run the check again: the notes above say what was not tried.",
        ),
    ],
    ids=[
        *(
            "finding",
            "time",
            "enough",
            "token",
            "requests",
            "flags",
            "token alone",
            "left",
            "rule",
            "rule alone",
            "limit",
        ),
        *("not offered", "partial"),
    ],
)
def test_the_last_line_says_what_to_do_next(changes, step):
    shown = text(samples.report(samples.without_findings(**changes)), json_path=Path("my report.json"))
    assert shown.splitlines()[-1] == f"Next: {step}"


def test_the_next_step_names_the_url_of_a_deployment_since_replay_needs_it():
    failed = samples.without_findings(verdict="failed", findings=(samples.COUNT,), target="https://api.example.test")
    last = text(samples.report(failed), json_path=Path("report.json")).splitlines()[-1]
    assert f"replay report.json {samples.COUNT.fingerprint[:8]} --url https://api.example.test`" in last


def test_the_next_step_after_an_unstable_finding_has_the_flags_of_the_check():
    finding = Finding("SECRET-LEAK", "c", "a", "b", (), stable=False)
    url = "https://api.example.test"
    passed = samples.without_findings(verdict="passed", unstable=(finding,), target=url)
    last = text(samples.report(passed), target_flags=("--allow-writes", "--vary", "count")).splitlines()[-1]
    assert f"`contracts check {url} --allow-writes --vary count --rule SECRET-LEAK`" in last


def test_without_a_json_report_the_next_step_says_how_to_get_one():
    assert "with --report json=report.json, `contracts replay`" in text(samples.report()).splitlines()[-1]


# HTML


class Structure(HTMLParser):
    """Which tags there are, and whether they are closed as they were opened."""

    void = frozenset({"meta", "!doctype", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def html(report) -> str:
    return FORMATS["html"](report)


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere():
    page = html(samples.report(failed_by=("X is required",)))
    structure = Structure(page)
    assert structure.open == []
    tags = {tag for tag, _ in structure.tags}
    assert not tags & {"link", "img", "iframe"}
    policy = next(attrs["content"] for tag, attrs in structure.tags if attrs.get("http-equiv"))
    for name in ("style", "script"):
        [content] = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "style" not in {name for _, attrs in structure.tags for name in attrs}
    assert not re.search(r"(?:src|href)=", page)
    assert "url(" not in page


def test_the_page_can_be_read_by_everyone():
    structure = Structure(html(samples.report()))
    assert ("html", {"lang": "en"}) in structure.tags
    assert [tag for tag, _ in structure.tags].count("h1") == 1
    assert any(tag == "title" for tag, _ in structure.tags)
    assert {attrs["scope"] for tag, attrs in structure.tags if tag == "th"} == {"col", "row"}
    for tag, attrs in structure.tags:
        if tag == "pre":
            assert attrs["tabindex"] == "0"
            assert attrs["aria-label"]


def test_the_page_separates_the_kinds_of_findings():
    page = html(samples.report())
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "Rules by group",
        "Findings",
        "Unstable, did not repeat when sent again alone",
        "Accepted by the baseline",
        "Rules",
    ]
    assert "Failed: 2 findings" in page


def test_the_page_escapes_text_of_the_server():
    page = html(samples.report())
    assert "<b>bold</b>" not in page
    assert "another &lt;value&gt; in the last" in page
    assert "\x1b" not in page


def test_the_page_cuts_long_bodies():
    answer = dataclasses.replace(samples.CREATED, body=b'{"a": "' + b"x" * 50_000 + b'"}')
    exchange = dataclasses.replace(samples.BINARY, answer=answer)
    finding = dataclasses.replace(samples.COUNT, exchanges=(exchange,))
    page = html(samples.report(samples.without_findings(findings=(finding,), verdict="failed")))
    assert "characters left out" in page
    assert len(page) < 25_000


def test_each_group_of_rules_has_a_bar_and_the_same_in_words():
    page = html(samples.report())
    [requests, answers] = re.findall(r"<li><span>(.*?)</span><svg (.*?)</svg><span class=\"counts\">(.*?)</span>", page)
    assert (requests[0], requests[2]) == ("Requests", "1 failed")
    assert (answers[0], answers[2]) == ("Answers", "1 failed, 1 skipped, 1 not offered, 2 passed")
    assert re.findall(r'class="(\w+)" x="(\d)" width="(\d)"', answers[1]) == [
        ("failed", "0", "1"),
        ("skipped", "1", "1"),
        ("not_offered", "2", "1"),
        ("passed", "3", "2"),
    ]


def marked(finding: Finding) -> list[str]:
    page = html(samples.report(samples.without_findings(findings=(finding,), verdict="failed")))
    return [unescape(each) for each in re.findall(r"<mark>(.*?)</mark>", page)]


def exchange(answer: Answer) -> Exchange:
    return Exchange(samples.CREATE, answer)


@pytest.mark.parametrize(
    ("got", "answer", "places"),
    [
        ("status 201", Answer(201, (), b"{}"), ["201"]),
        (
            'status "running" in run 2 of 2',
            Answer(201, (), b'{"created_runs": [{"status": "scheduling"}, {"status": "running"}]}'),
            ['"status": "running"'],
        ),
        ("null for input_values", Answer(201, (), b'{"input_values": null, "id": 1}'), ['"input_values": null,']),
        ("Retry-After: soon", Answer(429, (("retry-after", "soon"),), b"{}"), ["retry-after: soon"]),
        ("a date", Answer(200, (("date", "Tue, 01 Dec 2026 20:11:26 GMT"),), b"{}"), []),
        ("500 Internal Server Error", Answer(500, (("server", "uvicorn"),), b""), ["500"]),
        (
            "9f2c8a54… twice",
            Answer(201, (), b'["9f2c8a54-6d0e-4b1f-8f0a-2f6f3b1c0d11", "1f2c8a54-6d0e-4b1f-8f0a-2f6f3b1c0d11"]'),
            ['"9f2c8a54-6d0e-4b1f-8f0a-2f6f3b1c0d11",'],
        ),
        ("no answer", Answer(0, (), b"", lost="cut off"), []),
    ],
    ids=["status", "value", "field", "header", "word", "phrase", "id", "nothing"],
)
def test_the_place_that_a_finding_names_is_marked(got, answer, places):
    assert marked(Finding("BULK-ECHO", "c", "something else", got, (exchange(answer),))) == places


def test_the_query_is_marked_if_a_finding_names_its_value():
    request = dataclasses.replace(samples.CREATE, method="GET", path="/v1/runs?search=a+word", body=None)
    refused = Exchange(request, Answer(422, (), b"{}"))
    assert marked(Finding("LIST-FILTER", "c", 'runs with "a word"', "none", (refused,))) == [
        "GET /v1/runs?search=a+word"
    ]


def test_the_marked_place_of_a_long_answer_is_shown():
    body = json.dumps({"created_runs": [{"status": "scheduling"}] * 700 + [{"status": "running"}] + [{"a": 1}] * 700})
    finding = Finding(
        "BULK-INITIAL", "c", "scheduling", 'status "running"', (exchange(Answer(201, (), body.encode())),)
    )
    assert marked(finding) == ['"status": "running"']
    page = html(samples.report(samples.without_findings(findings=(finding,), verdict="failed")))
    assert page.count(" lines left out …") == 2
    assert len(page) < 30_000


def test_a_page_without_findings_has_the_table_of_rules_only():
    page = html(samples.report(samples.without_findings(), rules={}))
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Rules by group", "Rules"]
    assert "Passed: nothing found" in page


def test_an_incomplete_check_counts_the_unfinished_scenarios():
    progress = tuple(ScenarioProgress("retries", done, 9, finished=done == 9) for done in (0, 3, 9))
    rules = (RuleResult("AUTH-TENANT", "skipped", ""), RuleResult("A", "passed", ""))
    result = samples.without_findings(verdict="incomplete", rules=rules, scenarios=progress)
    said = "INCOMPLETE: nothing found, but 2 scenarios are unfinished, and 1 rule was not judged (see above)."
    assert said in text(samples.report(result))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((("HTTP-LIMIT", "skipped"), ("REQ-COUNT", "passed")), "not everything was tried"),
        ((("HTTP-LIMIT", "skipped"), ("REQ-COUNT", "skipped"), ("A", "passed")), "1 rule was not judged (see above)"),
        ((("HTTP-LIMIT", "skipped"),), "nothing was judged (see above)"),
        ((("CHAIN-RULES", "not_offered"),), "nothing was judged (see above)"),
    ],
)
def test_an_incomplete_check_says_why(rules, said):
    results = tuple(RuleResult(rule, status, "") for rule, status in rules)
    shown = text(samples.report(samples.without_findings(verdict="incomplete", rules=results)))
    assert f"INCOMPLETE: nothing found, but {said}." in shown


@pytest.mark.parametrize(("count", "said"), [(1, "1 finding is"), (2, "2 findings are")])
def test_a_check_that_finds_only_what_the_baseline_accepts_says_so(count, said):
    report = samples.report(samples.without_findings(baselined=(samples.COUNT,) * count))
    assert f"PASSED: nothing new; {said} accepted by the baseline." in text(report)
    assert "Passed: nothing new" in FORMATS["html"](report)
