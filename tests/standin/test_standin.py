"""The healthy stand-in keeps the rules, each planted defect is really there, and each variation is a server."""

import ast
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.documents import api_document
from tests.standin.client import UNKNOWN, Client, M, P, S, W
from tests.standin.defects import DEFECTS
from tests.standin.defects.age_and_number import LastKeysKept
from tests.standin.server import create_standin
from tests.standin.variations import VARIATIONS

OF_A_SUBJECT = (".concurrency", ".values", ".age_and_number")
FILES = [{"filename": "ä.txt", "content": "aGFsbG8="}, {"filename": "b", "content": "AP8="}]
DOCUMENT = api_document()


def standin(defect: str | None = None, *variations: str, **more: Any) -> Client:
    """Served with the settings in `more` changed."""
    return Client(lambda settings: create_standin(defect, frozenset(variations), replace(settings, **more)))


def schema(name: str) -> jsonschema.Draft202012Validator:
    rooted = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(rooted, format_checker=jsonschema.FormatChecker())


@pytest.fixture
def healthy():
    with standin() as client:
        yield client


@pytest.mark.parametrize("defect", DEFECTS)
def test_planted_defect_shows_in_its_witness_and_the_healthy_server_passes_it(defect):
    witness = DEFECTS[defect].kind.witness
    # A thousand writes with keys, one after the other: none has to meet another.
    settings = {"handling_s": 0.0} if issubclass(DEFECTS[defect].kind, LastKeysKept) else {}
    with standin(**settings) as healthy:
        witness(healthy)
    with standin(defect, **settings) as broken, pytest.raises(AssertionError):
        witness(broken)


def test_defects_are_many_and_two_or_more_for_each_rule():
    count = Counter(defect.rule for defect in DEFECTS.values())
    assert len(DEFECTS) >= 110
    assert min(count.values()) >= 2
    assert len(count) == 43


def test_all_defects_of_a_rule_are_in_one_module_but_for_those_of_a_subject_of_their_own():
    modules = {(defect.rule, defect.kind.__module__) for defect in DEFECTS.values()}
    modules = {(rule, module) for rule, module in modules if not module.endswith(OF_A_SUBJECT)}
    assert len(modules) == len({rule for rule, _ in modules})


def test_stand_in_imports_neither_the_mock_nor_the_contract_suite():
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.partition(".")[0] in ("mockserver", "contracts")], path


def test_answers_obey_the_documented_schemas(healthy):
    c = healthy
    fields = {
        "machine_id": M,
        "pool_ids": P[:2],
        "input_values": {"k": [1, {"n": None}]},
        "file_inputs": FILES,
        "sensitive_input_values": {"pin": {"n": "1"}},
        "start_session": True,
    }
    schema("RunBulkCreateResponse").validate(c.try_bulk(3, **fields).json())
    schema("RunBulkCreateResponse").validate(c.try_bulk(1, session_id=S).json())
    run = c.create(**fields, session_alias="a", release_session_after=True)
    schema("RunResponse").validate(run)
    schema("RunList").validate(c.listed("include=workflow,machine,machine.pools"))
    schema("RunResponse").validate(c.get(f"/v1/runs/{run['id']}?include=machine").json())
    made = c.chain([{"inputs": {"a": 1}}, {"session_alias": "b"}], shared_inputs={"b": 2})
    schema("WorkflowChainResponse").validate(made)
    c.wait(60)
    for item in c.listed()["items"]:
        assert item["status"] in ("success", "task_failed", "error")
        schema("RunResponse").validate(item)
    schema("RunResponse").validate(c.retry(run, file_inputs=FILES[:1]).json())
    schema("RunResponse").validate(c.patch(run, usage_metadata={"n": 1}, ended_at="2025-01-01T00:00:00Z").json())
    schema("RunAttachmentList").validate(c.get("/v1/run-attachments").json())
    one = c.attachments(run)[0]
    schema("RunAttachmentResponse").validate(c.get(f"/v1/run-attachments/{one['id']}").json())
    url = c.get(f"/v1/run-attachments/{one['id']}/download-url?expires_in=10").json()
    schema("RunAttachmentDownloadUrl").validate(url)
    assert c.get(url["url"], token=None).content == b"hallo"
    c.wait(11)
    assert c.get(url["url"], token=None).status_code == 404
    for name, path in (("Machine", "machines"), ("Pool", "pools"), ("Workflow", "workflows")):
        listing = c.get(f"/v1/{path}").json()
        schema(f"{name}List").validate(listing)
        schema(f"{name}Response").validate(c.get(f"/v1/{path}/{listing['items'][0]['id']}").json())
    pool = c.post("/v1/pools", {"name": "New"})
    schema("PoolResponse").validate(pool.json())
    machine = c.get("/v1/machines").json()["items"][1]["id"]
    grown = c.post(f"/v1/pools/{pool.json()['id']}/machines", {"machine_ids": [machine]})
    assert (grown.status_code, grown.json()["machine_count"]) == (200, 1)
    schema("WorkflowResponse").validate(c.post("/v1/workflows", {"main_prompt": "Do it."}).json())
    schema("Health").validate(c.get("/v1/health", token=None).json())


@pytest.mark.parametrize("answer", ["bulk", "type", "path", "query", "retry", "chain"])
def test_refusals_have_the_documented_shape(healthy, answer):
    refused = {
        "bulk": lambda: healthy.try_bulk(0),
        "type": lambda: healthy.try_bulk(machine_id="x"),
        "path": lambda: healthy.get("/v1/runs/x"),
        "query": lambda: healthy.get("/v1/runs?limit=0"),
        "retry": lambda: healthy.post(f"/v1/runs/{UNKNOWN}/retry", {"pool_ids": 1}),
        "chain": lambda: healthy.post("/v1/runs/chain", {"steps": []}),
    }[answer]()
    assert refused.status_code == 422
    schema("HTTPValidationError").validate(refused.json())


NESTED = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": %s}}'


@pytest.mark.parametrize("path", ["/v1/runs/bulk", "/v1/runs", "/v1/runs/chain", f"/v1/runs/{UNKNOWN}/retry"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        NESTED % (W.encode(), b"NaN"),
        NESTED % (W.encode(), b"-Infinity"),
        NESTED % (W.encode(), b"1e400"),
        NESTED % (W.encode(), b"9" * 300),
        NESTED % (W.encode(), b"9" * 5000),
        NESTED % (W.encode(), b'"\\u0000"'),
        NESTED % (W.encode(), b'"\\ud800"'),
        NESTED % (W.encode(), b'{"\\ud800": 1}'),
        NESTED % (W.encode(), b"[" * 64 + b"]" * 64),
        NESTED % (W.encode(), b"[" * 140 + b"]" * 140),
        NESTED % (W.encode(), b"[" * 900 + b"]" * 900),
        b'{"steps": [{"workflow_id": "\\ud800"}], "workflow_id": "\\u0000", "count": 1e400}',
        b'{"steps": "\\ud800", "workflow_id": 1%s, "count": "%s"}' % (b"0" * 400, b"9" * 5000),
        b'{"workflow_id": {"\\ud800": []}, "count": {}, "steps": [[]], "file_inputs": [{"filename": "\\ud800"}]}',
    ],
)
def test_odd_bodies_break_nothing(healthy, path, raw):
    answer = healthy.post(path, raw=raw)
    assert answer.status_code < 500
    assert answer.json() is not None
    assert healthy.get("/v1/runs?search=x&deep_search=true").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "skip=9223372036854775808",
        "skip=" + "9" * 5000,
        "limit=1e3",
        "search=%00%F0%9F%A7%BE%FF",
        "created_at_from=0001-01-01T00:00:00%2B14:00",
        "created_at_to=9999-12-31T23:59:59-14:00",
        "created_at_from=1e400",
        "created_at_from=253402300800",
        "created_at_to=nan",
        "include=%00,machine",
        "fields=id&fields=nothing",
        "session_id=%00",
        "deep_search=perhaps",
    ],
)
def test_odd_queries_break_nothing(healthy, query):
    healthy.bulk(2)
    assert healthy.get(f"/v1/runs?{query}").status_code < 500


def test_errors_are_json_with_detail_wherever_they_come_from(healthy):
    for method, path in (
        ("PUT", "/v1/runs"),
        ("GET", "/v1/nothing"),
        ("GET", "/"),
        ("GET", "/v1/runs/bulk"),
        ("POST", "/v1/runs/"),
        ("GET", "/v1/runs/%FF"),
        ("TRACE", "/v1/health"),
        ("GET", "/signed-downloads/x"),
    ):
        answer = healthy.call(method, path)
        assert 400 <= answer.status_code < 500
        assert "detail" in answer.json()


def test_two_requests_with_one_key_at_once_make_one_run_and_a_repeat_gets_its_answer(healthy):
    answers = healthy.together("POST", "/v1/runs", {"workflow_id": W}, key="k", times=3)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    (made,) = (answer for answer in answers if answer.status_code == 201)
    assert {a.headers["idempotency-status"] for a in answers if a.status_code == 409} == {"in_progress"}
    assert healthy.post("/v1/runs", {"workflow_id": W}, key="k").content == made.content
    assert healthy.listed()["total"] == 1


def test_a_session_never_has_two_runs_running_whatever_is_cancelled_deleted_or_retried(healthy):
    c = healthy
    runs = [*c.bulk(8, session_id=S), c.create(session_id=S)]
    for turn in range(120):
        c.wait(0.05)
        statuses = [item["status"] for item in c.listed(f"session_id={S}")["items"]]
        assert statuses.count("running") <= 1
        if turn == 5:
            c.patch(runs[2], status="cancelled")
        if turn == 9:
            c.delete(runs[4])
        if turn == 30:
            assert c.retry(runs[2]).status_code == 200
    assert {item["status"] for item in c.listed()["items"]} <= {"success", "task_failed", "error"}
    started = [c.read(run)["started_at"] for run in runs if run not in (runs[2], runs[4])]
    assert started == sorted(started)


def test_secrets_are_in_the_vault_and_nowhere_else(healthy):
    secret = "7f3kq9w2x8z1m4"
    run = healthy.create(sensitive_input_values={"a": secret, "b": {"c": [secret]}})
    healthy.wait(60)
    seen = [healthy.get(path).text for path in (f"/v1/runs/{run['id']}", "/v1/runs", f"/v1/runs?search={secret}")]
    seen.append(healthy.try_bulk("x", sensitive_input_values={"a": secret}, machine_id=[{"b": 1}]).text)
    assert not [text for text in [*seen, json.dumps(run)] if secret in text]
    assert healthy.ids(f"search={secret}") == []


@pytest.mark.parametrize("variation", VARIATIONS)
def test_variation_creates_runs_and_refuses_in_json(variation):
    with standin(None, variation) as c:
        workflow = (c.get("/v1/workflows").json().get("items") or [{"id": W}])[0]["id"]
        made = c.post("/v1/runs/bulk", {"workflow_id": workflow, "count": 2, "input_values": {"k": 1}})
        assert made.status_code == 201
        schema("RunBulkCreateResponse").validate(made.json())
        for refused in (c.try_bulk(0), c.get("/v1/nothing"), c.call("PUT", "/v1/runs/bulk", {})):
            assert 400 <= refused.status_code < 500
            assert "detail" in refused.json()


def test_all_variations_together_still_serve():
    with standin(None, *(name for name in VARIATIONS if not name.startswith("bulk_only"))) as c:
        workflow = c.post("/v1/runs/bulk", {"workflow_id": UNKNOWN, "count": 1})
        assert workflow.status_code == 404
