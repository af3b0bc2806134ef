"""The bodies of the scenarios are what they are sent for: valid ones are valid, invalid ones are invalid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.openapi.schemas import UNREAD
from contracts.oracle.request import ParsedRequest, read_body, read_raw_body
from contracts.rules.accepted_requests import notation_cases, null_cases
from contracts.rules.invalid_bodies import invalid_bodies, malformed_cases
from contracts.rules.refused_requests import refused_cases
from contracts.rules.writes import WRITES_OF_RUNS, Body, Write, with_sample_ids
from tests.contracts.rules.test_cases import WORLDS

CHECK = WORLDS["takes any id"]


def read(operation: str, body: Body) -> ParsedRequest:
    if body.text is not None:
        return read_raw_body(operation, with_sample_ids(body.text).encode("latin-1"))
    assert body.json is not UNREAD
    return read_body(operation, filled(body.json))


def filled(value: object) -> object:
    if isinstance(value, str):
        return with_sample_ids(value)
    if isinstance(value, list):
        return [filled(item) for item in value]
    return {key: filled(item) for key, item in value.items()} if isinstance(value, dict) else value


def accepted() -> Iterator[Write]:
    for cases in (notation_cases, null_cases):
        yield from cases(CHECK)


def test_bodies_that_should_be_accepted_are_valid_with_few_undetermined_exceptions() -> None:
    parsed = [read(case.operation, case.body) for case in accepted()]

    assert not [(one.operation, one.invalid_parts) for one in parsed if one.invalid_parts]
    assert sum(not one.is_valid for one in parsed) < len(parsed) / 20


@pytest.mark.parametrize("operation", WRITES_OF_RUNS)
def test_the_parts_of_an_invalid_body_are_invalid_and_have_its_faults_together(operation: str) -> None:
    for body in invalid_bodies(CHECK, operation):
        fields = {invalid.path[:1] for invalid in read(operation, body).invalid_parts}
        of_parts = [{invalid.path[:1] for invalid in read(operation, part).invalid_parts} for part in body.parts]
        assert fields
        assert all(of_parts)
        assert not body.parts or set().union(*of_parts) == fields


@pytest.mark.parametrize("cases", [refused_cases, malformed_cases])
def test_bodies_that_must_be_refused_are_invalid(cases: object) -> None:
    assert callable(cases)
    valid = [
        (case.operation, body)
        for case in cases(CHECK)
        for body in case.bodies
        if read(case.operation, body).is_valid and (case.operation, body.text) not in MAY_MEAN_NOTHING
    ]

    assert not valid


MAY_MEAN_NOTHING = {("retry_run", text) for text in ("", " ", "\n", "null")}
