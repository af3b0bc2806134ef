"""What a finding says about a repeat under an idempotency key."""

import json
from typing import Any

import pytest

from contracts.core.exchange import Answer, Exchange, Request
from contracts.engine import CallResult
from contracts.rules.idempotency import answer_difference


def result(status: int, body: Any) -> CallResult:
    answer = Answer(status, (("Content-Type", "application/json"),), json.dumps(body).encode())
    return CallResult.of("create_workflow", Exchange(Request("POST", "/v1/workflows"), answer))


FIRST = {"id": "a", "name": "x", "updated_at": "2026-01-02T03:04:05.001Z"}


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        (201, {}, None),
        (201, {"updated_at": "2026-01-02T03:04:05.002Z", "id": "b"}, 'id "b" instead of "a"'),
        (201, {"name": "y"}, 'answer.name "y" instead of "x"'),
        (409, {}, "409"),
    ],
)
def test_the_answers_to_a_request_and_to_its_repeat_are_compared_by_their_ids_first(
    status: int, changes: dict[str, Any], words: str | None
) -> None:
    found = answer_difference(result(201, FIRST), result(status, FIRST | changes))
    assert found is None if words is None else words in str(found)
