"""What schemathesis is made to send."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.explore import schema_hooks
from contracts.explore.schema_hooks import CaseRewriter
from contracts.explore.schema_plan import FRESH_KEY, VARIABLE, SchemaPlan

OWN, OTHER_OWN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
UNKNOWN = "33333333-3333-4333-8333-333333333333"
DRAWN = "44444444-4444-4444-8444-444444444444"


def rewriter(tmp_path: Path, **more: Any) -> CaseRewriter:
    given = {"paths": {"run_id": [OWN, OTHER_OWN], "pool_id": []}, "unknown": [UNKNOWN]} | more
    return CaseRewriter(SchemaPlan(secret="the-long-secret", **given))


def case(*, odd: bool = False, phase: str = "fuzzing", method: str = "GET", **parts: Any) -> Any:
    meta = SimpleNamespace(
        generation=SimpleNamespace(mode=SimpleNamespace(is_negative=odd)),
        phase=SimpleNamespace(name=SimpleNamespace(value=phase)),
    )
    operation = SimpleNamespace(method=method)
    empty = {"headers": {}, "path_parameters": {}, "query": {}, "body": None, "meta": meta, "operation": operation}
    return SimpleNamespace(**(empty | parts))


def call(method: str, **path_parameters: str) -> Any:
    return SimpleNamespace(operation=SimpleNamespace(method=method), path_parameters=path_parameters)


def rewritten(one: CaseRewriter, drawn: Any) -> Any:
    one.rewrite(drawn)
    return drawn


def test_a_generated_id_is_replaced_by_one_that_exists_or_certainly_does_not(tmp_path: Path) -> None:
    one = rewriter(tmp_path)

    ids = [rewritten(one, case(path_parameters={"run_id": DRAWN})).path_parameters["run_id"] for _ in range(8)]

    assert set(ids) == {OWN, OTHER_OWN, UNKNOWN}
    assert ids.count(UNKNOWN) == 2
    assert rewritten(one, case(path_parameters={"pool_id": DRAWN})).path_parameters["pool_id"] == UNKNOWN


@pytest.mark.parametrize("kept", [OWN, "not-a-uuid", "", 5])
def test_an_id_that_is_known_or_malformed_stays(kept: Any, tmp_path: Path) -> None:
    assert rewritten(rewriter(tmp_path), case(path_parameters={"run_id": kept})).path_parameters == {"run_id": kept}


def test_an_id_of_an_answer_is_kept(tmp_path: Path) -> None:
    one = rewriter(tmp_path)
    one.learn(call("GET"), json.dumps({"items": [{"id": DRAWN, "n": 1}]}).encode())
    one.learn(call("GET"), b"no JSON")

    assert rewritten(one, case(path_parameters={"run_id": DRAWN})).path_parameters == {"run_id": DRAWN}
    assert rewritten(one, case(query={"run_id": DRAWN})).query == {"run_id": DRAWN}


def test_only_what_schemathesis_created_itself_is_changed(tmp_path: Path) -> None:
    one = rewriter(tmp_path)
    created, listed = DRAWN, "55555555-5555-4555-8555-555555555555"
    one.learn(call("GET"), json.dumps({"items": [{"id": listed}]}).encode())
    one.learn(call("POST"), json.dumps({"created_runs": [{"id": created}]}).encode())

    def sent(method: str, run_id: str) -> str:
        return rewritten(one, case(method=method, path_parameters={"run_id": run_id})).path_parameters["run_id"]

    for method in ("PATCH", "POST", "DELETE"):
        assert sent(method, created) == created
        assert sent(method, listed) != listed
    assert sent("GET", listed) == listed


def test_the_run_that_was_deleted_last_is_asked_for_now_and_then(tmp_path: Path) -> None:
    one = rewriter(tmp_path)
    one.learn(call("DELETE", run_id=OWN), b"")

    ids = [rewritten(one, case(path_parameters={"run_id": OTHER_OWN})).path_parameters["run_id"] for _ in range(10)]

    assert (ids.count(OWN), ids.count(OTHER_OWN)) == (2, 8)
    assert rewritten(one, case(path_parameters={"pool_id": DRAWN})).path_parameters["pool_id"] == UNKNOWN


def test_a_key_is_new_each_time_and_an_odd_one_stays_odd(tmp_path: Path) -> None:
    one = rewriter(tmp_path)
    keys = [rewritten(one, case(headers={"Idempotency-Key": "0"})).headers["Idempotency-Key"] for _ in range(2)]

    assert keys[0] != keys[1]
    assert all(key.startswith(FRESH_KEY) for key in keys)
    for odd in ("", "é", "x" * 256):
        assert rewritten(one, case(headers={"Idempotency-Key": odd})).headers == {"Idempotency-Key": odd}


def test_secrets_can_be_recognised_and_runs_are_few_but_in_the_coverage_phase(tmp_path: Path) -> None:
    body = {"count": 1000, "sensitive_input_values": {"pin": "1", "code": True}}
    one = rewriter(tmp_path)

    assert rewritten(one, case(body=dict(body), odd=True)).body == {
        "count": 1,
        "sensitive_input_values": {"pin": "the-long-secret", "code": "the-long-secret"},
    }
    chain = {"steps": [{"sensitive_inputs": {"a": 1}}, 5], "shared_sensitive_inputs": {"b": [2]}}
    assert rewritten(one, case(body=chain)).body == {
        "steps": [{"sensitive_inputs": {"a": "the-long-secret"}}, 5],
        "shared_sensitive_inputs": {"b": "the-long-secret"},
    }
    assert rewritten(one, case(body=dict(body), phase="coverage")).body == body
    assert rewritten(one, case(body={"count": 554.0})).body == {"count": 5}
    assert rewritten(one, case(body={"count": 10**30 + 7}, odd=True, phase="coverage")).body == {"count": 1008}
    for kept in (True, 5, 7.5, 1001, "700"):
        assert rewritten(one, case(body={"count": kept})).body == {"count": kept}
    assert rewritten(one, case(body=[1], meta=None)).body == [1]


def test_a_valid_body_has_ids_that_the_target_accepts_in_every_step(tmp_path: Path) -> None:
    one = rewriter(tmp_path, known={"workflow_id": [OWN], "pool_ids": [OTHER_OWN], "machine_id": []})
    body = {"workflow_id": DRAWN, "pool_ids": [DRAWN, DRAWN], "machine_id": DRAWN, "steps": [{"workflow_id": DRAWN}, 5]}

    assert rewritten(one, case(body=dict(body))).body == {
        "workflow_id": OWN,
        "pool_ids": [OTHER_OWN],
        "steps": [{"workflow_id": OWN}, 5],
    }
    assert rewritten(one, case(body=dict(body), odd=True)).body == body
    assert rewritten(one, case(body={"machine_id": None, "pool_ids": []})).body == {"machine_id": None, "pool_ids": []}


def test_the_hooks_follow_the_plan_of_their_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SchemaPlan(secret="s", unknown=[UNKNOWN]).write(tmp_path / "plan")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "plan"))
    schema_hooks.rewriter.cache_clear()
    drawn = case(path_parameters={"run_id": DRAWN})

    schema_hooks.before_call(None, drawn, {})
    kept = schema_hooks.filter_failure(None, None, None, None)
    schema_hooks.after_call(None, call("GET"), SimpleNamespace(status_code=200, content=f'"{DRAWN}"'.encode()))
    schema_hooks.after_call(None, call("GET"), SimpleNamespace(status_code=404, content=f'"{OWN}"'.encode()))
    one = schema_hooks.rewriter()
    schema_hooks.rewriter.cache_clear()

    assert drawn.path_parameters == {"run_id": UNKNOWN}
    assert kept is False
    assert one.seen == {UNKNOWN, DRAWN}


def test_ids_are_taken_from_all_that_is_given_in_turn(tmp_path: Path) -> None:
    one = rewriter(tmp_path, paths={"run_id": [OWN]}, unknown=[UNKNOWN, DRAWN])

    fresh = (f"{number:08x}-5555-4555-8555-555555555555" for number in itertools.count())
    ids = [rewritten(one, case(path_parameters={"run_id": next(fresh)})).path_parameters["run_id"] for _ in range(8)]

    assert (ids.count(OWN), ids.count(UNKNOWN), ids.count(DRAWN)) == (6, 1, 1)
