"""Several invalid bodies in one request, and those that are sent alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from contracts.core.exchange import Answer, Exchange, Request
from contracts.engine.results import CallResult, WriteResult
from contracts.guard import OutOfBudget
from contracts.oracle.refusal import names_an_invalid_part
from contracts.oracle.request import read_body
from contracts.rules import writes
from contracts.rules.invalid_bodies import combined, merge
from contracts.rules.writes import Body

OPERATION = "bulk_create_runs"
BASE: dict[str, Any] = {"workflow_id": "«workflow»", "count": 1, "pool_ids": ["«pool:0»", "«pool:1»"]}
COUNTS = [BASE | {"count": wrong} for wrong in (0, "x", 1.5, None)]
WORKFLOWS = [BASE | {"workflow_id": wrong} for wrong in (5, None, [], "x")]
FIRST_POOLS = [BASE | {"pool_ids": [wrong, "«pool:1»"]} for wrong in (5, None, [], "x")]
SECOND_POOLS = [BASE | {"pool_ids": ["«pool:0»", wrong]} for wrong in (5, None, [], "x")]
VARIANTS = [*COUNTS, *WORKFLOWS, *FIRST_POOLS, *SECOND_POOLS]


def refusal(*locs: Sequence[str | int], status: int = 422) -> Answer:
    detail = [{"loc": ["body", *loc], "msg": "wrong", "type": "value_error"} for loc in locs]
    return Answer(status, (("Content-Type", "application/json"),), json.dumps({"detail": detail}).encode())


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"a": 2, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, {"a": 2, "b": [1, 3]}),
        ({"a": 1, "b": [5, 2]}, {"a": 1, "b": [1, 6]}, {"a": 1, "b": [5, 6]}),
        ({"b": [1, 2]}, {"a": 1, "b": [1, 2], "c": 3}, {"b": [1, 2], "c": 3}),
        ({"a": True, "b": [1, 2]}, {"a": 1, "b": [1, 2]}, {"a": True, "b": [1, 2]}),
    ],
)
def test_changes_of_different_parts_are_merged(one: Any, other: Any, both: Any) -> None:
    base = {"a": 1, "b": [1, 2]}

    assert repr(merge(base, one, other)) == repr(both)
    assert repr(merge(base, other, one)) in {repr(both), repr(dict(sorted(both.items())))}


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 2}, {"a": 3}), ({"a": 2}, {}), ({"a": True}, {"a": 1.0}), ({"a": [1]}, {"a": [2]})],
)
def test_changes_of_the_same_part_are_not_merged(one: Any, other: Any) -> None:
    merged = merge({"a": 1}, one, other)

    assert not isinstance(merged, dict)


def test_every_variant_is_sent_alone_or_is_a_part_of_one_that_has_exactly_its_faults() -> None:
    bodies = list(combined(OPERATION, BASE, VARIANTS))
    sent = [part.json for body in bodies for part in body.parts or (body,)]

    assert sorted(map(repr, sent)) == sorted(map(repr, VARIANTS))
    assert len(bodies) < len(VARIANTS)
    for body in bodies:
        invalid_paths = {invalid.path for invalid in writes.read_filled(OPERATION, body.json).invalid_parts}
        of_parts = [
            {invalid.path for invalid in writes.read_filled(OPERATION, part.json).invalid_parts} for part in body.parts
        ]
        assert not body.parts or (
            invalid_paths == set().union(*of_parts) and len(invalid_paths) == sum(map(len, of_parts))
        )


def test_one_variant_with_a_fault_at_each_place_is_sent_alone() -> None:
    for pools in (FIRST_POOLS, SECOND_POOLS):
        alone = [body.json for body in combined(OPERATION, BASE, [*COUNTS, *WORKFLOWS, *pools]) if not body.parts]
        for variants in (COUNTS, WORKFLOWS, pools):
            assert [body for body in alone if body in variants] == variants[:1]


def test_a_wrong_item_of_a_list_is_not_sent_together_with_a_wrong_first_item() -> None:
    wrong_at = [
        {index for index, pool in enumerate(body.json["pool_ids"]) if pool != BASE["pool_ids"][index]}
        for body in combined(OPERATION, BASE, VARIANTS)
    ]

    assert {0} in wrong_at
    assert {1} in wrong_at
    assert {0, 1} not in wrong_at


def test_later_items_of_a_list_count_as_one_place_and_are_not_sent_alone_twice() -> None:
    base = BASE | {"pool_ids": ["«pool:0»"] * 4}
    wrong = [base | {"pool_ids": ["«pool:0»"] * place + [5] + ["«pool:0»"] * (3 - place)} for place in range(4)]
    alone = [body.json for body in combined(OPERATION, base, wrong) if not body.parts]
    assert alone == wrong[:2]
    assert all(body.parts for body in combined(OPERATION, BASE, [*COUNTS, *WORKFLOWS], alone=0))


def test_a_valid_variant_and_a_repeated_one_are_left_out() -> None:
    assert list(combined(OPERATION, BASE, [BASE, COUNTS[0], COUNTS[0]])) == [Body(COUNTS[0])]


def test_a_count_that_could_cost_much_is_sent_alone() -> None:
    costly = [BASE | {"count": wrong} for wrong in (-(2**31), 10**30, 1e10, 2**32 + 5)]
    bodies = list(combined(OPERATION, BASE, [*COUNTS, *costly, *WORKFLOWS]))

    assert [body.json for body in bodies if body.json in costly and not body.parts] == costly


def test_the_parts_of_a_body_that_the_budget_does_not_cover_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def within_budget(context: Any, operation: str, ids: Sequence[str], body: Body) -> WriteResult:
        if body.parts:
            raise OutOfBudget("no run is left")
        sent.append(body)
        exchange = Exchange(Request("POST", "/v1/runs/bulk"), refusal(("count",)))
        return WriteResult(writes.read_filled(operation, body.json), CallResult(operation, exchange, None), (), False)

    monkeypatch.setattr(writes, "send", within_budget)
    parts = (Body(COUNTS[0]), Body(WORKFLOWS[0]))
    context: Any = None

    results = writes.send_all(context, OPERATION, (), [Body(merge(BASE, COUNTS[0], WORKFLOWS[0]), parts=parts)])

    assert tuple(sent) == parts
    assert len(results) == 2


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (refusal(("count",)), True),
        (refusal(("workflow_id",), ("count", "int")), True),
        (refusal(("workflow_id",)), False),
        (refusal(("count",), status=400), False),
        (Answer(422, (), b'{"detail": "count"}'), False),
    ],
)
def test_a_422_names_the_faults_of_its_locs(answer: Answer, named: bool) -> None:
    parsed = read_body(OPERATION, {"workflow_id": "10000000-0000-4000-8000-000000000001", "count": 0})

    assert names_an_invalid_part(parsed, answer) == named


def test_the_parts_that_a_refusal_does_not_name_are_sent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def answer_first_fault(context: Any, operation: str, ids: Sequence[str], body: Body) -> WriteResult:
        sent.append(body.json)
        parsed = writes.read_filled(operation, body.json)
        exchange = Exchange(Request("POST", "/v1/runs/bulk"), refusal(parsed.invalid_parts[0].path))
        return WriteResult(parsed, CallResult(operation, exchange, None), (), False)

    monkeypatch.setattr(writes, "send", answer_first_fault)
    parts = (Body(COUNTS[2]), Body(WORKFLOWS[2]), Body(SECOND_POOLS[2]))
    both = merge(BASE, merge(BASE, COUNTS[2], WORKFLOWS[2]), SECOND_POOLS[2])
    context: Any = None

    writes.send_all(context, OPERATION, (), [Body(both, parts=parts)])

    first = writes.read_filled(OPERATION, both).invalid_parts[0].path[0]
    assert sent == [both, *(part.json for part in parts if part.json[first] == BASE[first])]
    assert len(sent) == 3


def test_the_plainest_wrong_value_of_each_place_is_sent_alone_early() -> None:
    bodies = list(combined(OPERATION, BASE, [*COUNTS, *WORKFLOWS]))

    first = [body.json for body in bodies if not body.parts][:2]
    assert first == [COUNTS[0], WORKFLOWS[0]]
    assert [body.json for body in bodies[:4] if not body.parts] == first
