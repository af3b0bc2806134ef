"""Judgements of errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from contracts.core.exchange import Answer, Exchange, Request
from contracts.rules.http_errors import judge_limits


def test_a_429_without_retry_after_is_a_proof_though_it_may_not_show_again() -> None:
    reported: list[tuple[str, bool]] = []
    body = (("Content-Type", "application/json"),), b'{"detail": "slow down"}'
    throttled = [Exchange(Request("GET", "/v1/runs"), Answer(429, *body))]
    check = SimpleNamespace(
        guard=SimpleNamespace(log=SimpleNamespace(throttled=throttled)), canaries=SimpleNamespace(forms=())
    )
    context: Any = SimpleNamespace(
        check=check,
        count=lambda *args: None,
        report_violation=lambda violation, exchange, *, is_proof: reported.append((violation.rule, is_proof)),
    )

    judge_limits(context)

    assert reported == [("HTTP-LIMIT", True)]
