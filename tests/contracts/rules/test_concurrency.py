"""Requests at the same moment: what is judged of answers that show nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.core.exchange import Answer, Exchange, Request
from contracts.engine import CallResult, Ids, Inconclusive
from contracts.engine.request_building import request_for
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
        check=SimpleNamespace(search_word=lambda marker: "word", workflows=Ids(("known",))),
        made_up=None,
        fill=lambda body: body,
        send_together=send_together,
        require=lambda *args, **more: judged.append(args),
    )
    concurrency._lists_during_a_create(context, 2)
    assert judged == []


@pytest.mark.parametrize(("has_second", "reason"), [(False, "no second token"), (True, "no workflow")])
def test_reads_of_two_organisations_say_why_they_are_not_judged(has_second: bool, reason: str) -> None:
    context: Any = SimpleNamespace(check=SimpleNamespace(has_second=has_second, workflows=Ids(("known",))))

    with pytest.raises(Inconclusive, match=reason):
        concurrency._reads_of_two_organisations(context, 2)


@pytest.mark.parametrize(
    ("status", "sessions", "holds"), [(201, "ab", True), (201, "aa", False), (422, (None, None), True)]
)
def test_only_chains_that_were_created_need_sessions_of_their_own(status: int, sessions: Any, holds: bool) -> None:
    judged: list[bool] = []
    context: Any = SimpleNamespace(require=lambda is_right, *args, **more: judged.append(is_right))
    chains = []
    for session in sessions:
        answer = Answer(status, (("content-type", "application/json"),), json.dumps({"session_id": session}).encode())
        chains.append(CallResult.of("create_run_chain", Exchange(request_for("create_run_chain", body={}), answer)))

    concurrency._require_own_sessions(context, chains)

    assert judged == [holds]
