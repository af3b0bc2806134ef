"""Named faults, for the most common failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mockserver.reply import RATE_LIMITED


class Preset(NamedTuple):
    summary: str
    faults: tuple[Mapping[str, Any], ...]


PRESETS: Mapping[str, Preset] = {
    "flaky": Preset(
        "Of any three requests the first gets a 503, the second a reset, and the third its answer.",
        (
            {"match": "*", "cycle": 3, "nth": 1, "answer": {"status": 503}},
            {"match": "*", "cycle": 2, "nth": 1, "fault": "reset"},
        ),
    ),
    "slow": Preset(
        "Every answer waits for half a second to three seconds.",
        ({"match": "*", "delay": {"uniform": [0.5, 3]}},),
    ),
    "outage": Preset(
        "Every request gets a 503, until the fault is removed.",
        ({"match": "*", "answer": {"status": 503, "body": {"detail": "The service is not available"}}},),
    ),
    "rate-limited": Preset(
        "Every second request gets a 429 with Retry-After: 1.",
        (
            {
                "match": "*",
                "cycle": 2,
                "nth": 1,
                "answer": {"status": 429, "headers": {"Retry-After": "1"}, "body": {"detail": RATE_LIMITED}},
            },
        ),
    ),
    "partial-failure": Preset(
        "Of every bulk create half of the runs are not created.",
        ({"match": "POST /v1/runs/bulk", "fault": "partial-failure", "share": 0.5},),
    ),
    "lost-answer": Preset(
        "Every second create is done, and its answer lost with the connection.",
        (
            {"match": "POST /v1/runs/bulk", "cycle": 2, "nth": 1, "fault": "lost-answer"},
            {"match": "POST /v1/runs", "cycle": 2, "nth": 1, "fault": "lost-answer"},
            {"match": "POST /v1/runs/chain", "cycle": 2, "nth": 1, "fault": "lost-answer"},
        ),
    ),
}


def described_presets() -> list[dict[str, Any]]:
    return [{"name": name, "summary": each.summary, "faults": list(each.faults)} for name, each in PRESETS.items()]
