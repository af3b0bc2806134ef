"""Requests at the same moment: what is judged of answers that show nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from contracts.core.exchange import Answer, Exchange, Request
from contracts.engine import CallResult
from contracts.rules import concurrency


def answered(request: Request) -> CallResult:
    """A create of any number of runs, and a list that is refused."""
    is_create = request.method == "POST"
    status, body = (201, {"created_runs": []}) if is_create else (409, {"detail": "busy"})
    answer = Answer(status, (("content-type", "application/json"),), json.dumps(body).encode())
    return CallResult.of("bulk_create_runs" if is_create else "list_runs", Exchange(request, answer))


def test_a_list_that_is_refused_during_a_create_has_no_total_to_judge() -> None:
    judged: list[Any] = []

    def send_together(requests: Sequence[Request]) -> list[CallResult]:
        return [answered(request) for request in requests]

    context: Any = SimpleNamespace(
        check=SimpleNamespace(search_word=lambda marker: "word"),
        made_up=None,
        fill=lambda body: body,
        send_together=send_together,
        require=lambda *args: judged.append(args),
    )
    concurrency._lists_during_a_create(context, 2)
    assert judged == []
