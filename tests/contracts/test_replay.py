"""A finding of a JSON report is sent again: it shows on the server that has the defect, and on no healthy one."""

import dataclasses
import json

import pytest

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.core.findings import CheckResult, CouldNotCheck, Finding, Reproduction, RuleResult
from contracts.engine.case_json import case_to_json
from contracts.engine.request_case import SINGLE_REQUEST, RequestCase
from contracts.explore.model import SEQUENCES
from contracts.explore.recorded_traffic import RECORDED, RecordedCase
from contracts.explore.steps import Create, ListRuns, SequenceCase
from contracts.guard import Guard
from contracts.replay import _attempts, replay
from contracts.report import FORMATS, Report
from contracts.report.json_reader import read_report
from contracts.report.masking import Mask
from contracts.rules import REGISTRY
from tests.contracts.checks import first_finding, guarded
from tests.contracts.report import samples
from tests.standin.behaviour import Standin
from tests.standin.serving import serving

TYPE = ("Content-Type", "application/json")
BULK = RequestCase(
    "POST",
    "/v1/runs/bulk",
    TOKEN,
    (TYPE,),
    json={"workflow_id": "11111111-2222-4333-8444-555555555555", "count": 1, "input_values": {"a": 1}},
)


@pytest.fixture(scope="module")
def healthy():
    with serving() as url:
        yield url


def saved(finding: Finding, tmp_path) -> Finding:
    """The finding as a report has it: masked, written and read again."""
    rules = (RuleResult(finding.rule, "failed", ""),)
    result = CheckResult("http://127.0.0.1:1", 1, "failed", rules, (finding,), samples.RESULT.spent)
    path = tmp_path / "report.json"
    path.write_text(FORMATS["json"](Report(result, REGISTRY).masked(Mask())), encoding="utf-8")
    [read] = read_report(path).findings
    return read


def shows(url: str, finding: Finding) -> bool:
    with guarded(url, max_time_s=60.0) as guard:
        return replay(guard.target, guard, finding=finding).verdict == "failed"


@pytest.mark.parametrize(
    ("defect", "rule"),
    [
        ("status_of_one_is_200", "BULK-STATUS"),
        ("offsets_ignored", "LIST-FILTER"),
        ("retry_shows_new_secrets", "SECRET-LEAK"),
        ("keys_of_updates_shared", "IDEM-SCOPE"),
        ("chains_are_everybodys", "AUTH-TENANT"),
        ("second_file_is_the_first", "ATTACHMENTS"),
        ("infinity_stored_breaks_lists", "NO-5XX"),
    ],
)
def test_a_finding_shows_again_where_the_defect_is_and_nowhere_else(defect, rule, healthy, tmp_path):
    with serving(defect) as url:
        with guarded(url, seed=3, max_time_s=60.0) as guard:
            found = first_finding(guard, {rule})
        assert found is not None
        finding = saved(found, tmp_path)
        assert finding.fingerprint == found.fingerprint
        assert shows(url, finding)
    assert not shows(healthy, finding)


def test_the_requests_alone_show_a_fault_that_other_cases_caused(healthy, tmp_path):
    with serving("infinity_stored_breaks_lists") as url:
        with guarded(url, seed=3, max_time_s=60.0) as guard:
            found = first_finding(guard, {"NO-5XX"})
        assert found is not None
    alone = dataclasses.replace(saved(found, tmp_path), reproductions=())
    with serving("infinity_stored_breaks_lists") as url:
        assert shows(url, alone)
        intermittent = dataclasses.replace(alone, stable=False, intermittent=True)
        with guarded(url) as guard:
            [again] = replay(guard.target, guard, finding=intermittent).findings
        assert (again.fails, again.frequency) == (True, "")
    assert "POST /v1/runs/bulk was accepted, and is now 422" in refusal(healthy, alone)


def finding_by(scenario: str, case: str = "{}", **fields) -> Finding:
    fields = {"dedup_key": "a key", "exchanges": ()} | fields
    reproductions = (Reproduction(scenario, case),)
    return Finding("BULK-ECHO", "c", "e", "g", fields.pop("exchanges"), reproductions=reproductions, **fields)


def refusal(url: str, finding: Finding, **settings) -> str:
    with guarded(url, **settings) as guard, pytest.raises(CouldNotCheck) as refused:
        replay(guard.target, guard, finding=finding)
    return str(refused.value)


def test_what_is_sent_again_has_the_request_that_showed_the_id_in_it(tmp_path):
    class IncludeFails(Standin):
        def included(self, org, runs, include):
            raise KeyError(include)

    with serving(IncludeFails) as url:
        with guarded(url, seed=3, max_time_s=60.0) as guard:
            found = first_finding(guard, {"NO-5XX"})
        with guarded(url, max_time_s=60.0) as guard:
            [again] = replay(guard.target, guard, finding=saved(found, tmp_path)).findings

    shown, shown_again = ([each.request.method for each in one.exchanges] for one in (found, again))
    assert len(shown_again) == len(shown) > 1


def test_a_report_of_another_version_is_not_judged(healthy):
    assert "there is no scenario 'dances'" in refusal(healthy, finding_by("dances"))
    assert "the case is not one of this version" in refusal(healthy, finding_by("creates repeated", '{"$type": "x"}'))
    assert "how the finding is recognised" in refusal(healthy, finding_by("creates repeated", dedup_key=""))


@pytest.mark.parametrize(
    ("scenario", "case"),
    [
        (SEQUENCES, SequenceCase((Create("create-1", count=2), ListRuns(2)))),
        (RECORDED, RecordedCase((BULK,))),
        (
            RECORDED,
            RecordedCase((dataclasses.replace(BULK, headers=(TYPE, ("Idempotency-Key", "«key»"))),), BULK),
        ),
        (SINGLE_REQUEST, BULK),
    ],
    ids=["a sequence", "a request of schemathesis", "with its create", "a single request"],
)
def test_cases_of_searches_run_again_too(healthy, scenario, case):
    assert not shows(healthy, finding_by(scenario.name, case_to_json(case)))


def test_a_fault_that_was_found_on_an_existing_run_is_not_called_gone(healthy):
    run = "22222222-2222-4333-8444-555555555555"
    listed = Exchange(Request("GET", "/v1/runs"), Answer(200, (), json.dumps({"items": [{"id": run}]}).encode()))
    read = Exchange(Request("GET", f"/v1/runs/{run}"), Answer(200, (), b"{}"))
    finding = finding_by(SINGLE_REQUEST.name, case_to_json(BULK), exchanges=(listed, read))
    assert "a resource that the check had not created" in refusal(healthy, finding)
    created = Exchange(Request("POST", "/v1/runs", (), b"{}"), dataclasses.replace(listed.answer, status=201))
    assert not shows(healthy, dataclasses.replace(finding, exchanges=(created, listed, read)))
    assert not shows(healthy, dataclasses.replace(finding, exchanges=(read,)))


def test_an_attachment_that_only_a_read_of_a_created_run_shows_is_not_an_existing_one(healthy):
    run, attachment = "22222222-2222-4333-8444-555555555555", "33333333-2222-4333-8444-555555555555"
    created = Exchange(Request("POST", "/v1/runs", (), b"{}"), Answer(201, (), json.dumps({"id": run}).encode()))
    shown = Answer(200, (), json.dumps({"id": run, "input_attachment_ids": [attachment]}).encode())
    read, listed = (Exchange(Request("GET", path), shown) for path in (f"/v1/runs/{run}", "/v1/runs"))
    download = Exchange(Request("GET", f"/v1/run-attachments/{attachment}/download"), Answer(200, (), b"a"))
    finding = finding_by(SINGLE_REQUEST.name, case_to_json(BULK), exchanges=(created, read, download))
    assert not shows(healthy, finding)
    existing = dataclasses.replace(finding, exchanges=(created, listed, download))
    assert "a resource that the check had not created" in refusal(healthy, existing)


def test_a_finding_that_cannot_be_judged_is_not_called_gone(healthy):
    """The case asks for a list only, which says nothing about BULK-ECHO."""
    case = json.dumps(
        {"$type": "contracts.engine.request_case.RequestCase", "method": "GET", "path": "/v1/runs", "token": None}
    )
    assert refusal(healthy, finding_by("alone", case)) == "nothing that was sent could be judged by BULK-ECHO"


def test_a_saved_finding_says_why_a_request_got_no_answer(tmp_path):
    lost = Exchange(Request("GET", "/v1/runs"), Answer(0, (), b"", lost="the connection was closed"))
    assert saved(finding_by(SINGLE_REQUEST.name, exchanges=(lost,)), tmp_path).exchanges == (lost,)


def test_requests_are_not_sent_again_after_an_answer_that_the_report_has_only_in_part(healthy, tmp_path):
    """Its ids cannot be replaced by new ones in the later requests."""
    read = Exchange(
        Request("GET", "/v1/runs", (("Authorization", TOKEN), TYPE)),
        Answer(200, (), b'{"items": "%s"}' % (b"x" * 300_000)),
    )
    short = dataclasses.replace(read, answer=Answer(200, (), b"{}"))
    found = finding_by(SINGLE_REQUEST.name, dedup_key="a key")
    for exchanges, is_sent in ((read, short), False), ((short, read), True):
        finding = saved(dataclasses.replace(found, exchanges=exchanges), tmp_path)
        assert [bool(exchange.answer.left_out) for exchange in finding.exchanges] == [not is_sent, is_sent]
        alone = dataclasses.replace(finding, reproductions=())
        refused = refusal(healthy, alone)
        assert ("leaves out a part of an answer" in refused) is not is_sent
        cases = dataclasses.replace(
            finding, reproductions=finding_by(SINGLE_REQUEST.name, case_to_json(BULK)).reproductions
        )
        assert [attempt[0][0].name for attempt in _attempts(cases)] == ["alone", *["the same requests"] * is_sent]


def test_nothing_is_created_on_a_deployment_without_leave(healthy, monkeypatch):
    case = {"$type": "contracts.engine.request_case.RequestCase", "method": "POST", "path": "/v1/runs/bulk"}
    case["token"] = "Bearer $TOKEN"
    case["json"] = {"workflow_id": "11111111-2222-4333-8444-555555555555", "count": 1}
    sent = []
    real_send = Guard.send
    monkeypatch.setattr(Guard, "send", lambda self, request: sent.append(request) or real_send(self, request))
    monkeypatch.setattr("contracts.core.target.is_loopback", lambda url: False)
    refused = refusal(healthy, finding_by("alone", json.dumps(case)), profile="live", allow_writes=False)
    assert "--allow-writes" in refused
    assert any(request.method == "POST" for request in sent)
