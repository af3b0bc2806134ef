"""The texts of findings are checked for what a stranger would not understand, and the check sees it."""

import dataclasses

import pytest

from contracts.core.findings import Finding
from tests.contracts.plain_texts import unclear

RUN = "0b0e1234-0000-4000-8000-000000000001"
PLAIN = Finding("BULK-COUNT", "cause", "2 created runs", "1 created run", (), summary="POST /v1/runs: 1 created run")


def test_a_plain_text_has_nothing_unclear() -> None:
    assert list(unclear(PLAIN)) == []


@pytest.mark.parametrize(
    "got",
    [
        "1 others",
        "5 others",
        "1 runs",
        "1 of 1 runs missing",
        f"run {RUN}",
        "session_id None",
        "loc [['body']]",
        "{'a': 1}",
        "1",
        "3, 2",
    ],
)
def test_unclear_texts_are_found(got: str) -> None:
    assert len(list(unclear(dataclasses.replace(PLAIN, got=got)))) == 1


@pytest.mark.parametrize(
    "got",
    [
        "1 run",
        "11 runs",
        "null instead of true",
        'the text "None"',
        f"run {RUN} and run {RUN[:-1]}2",
        "input_values[0] 1 instead of 1.0",
    ],
)
def test_clear_texts_are_not_reported(got: str) -> None:
    assert list(unclear(dataclasses.replace(PLAIN, got=got))) == []


def test_a_finding_without_a_summary_is_unclear() -> None:
    assert list(unclear(dataclasses.replace(PLAIN, summary=""))) == ["no summary"]
