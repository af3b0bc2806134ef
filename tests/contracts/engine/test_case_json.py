"""A case is the same after it was written and read."""

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.engine.case_json import UnreadableCase, case_from_json, case_to_json, reproduction_of
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.request_case import RequestCase
from contracts.explore.steps import Create
from contracts.guard import Guard
from contracts.openapi.schemas import UNREAD
from contracts.rules import SCENARIOS
from tests.contracts.checks import target_at

KNOWN = "11111111-2222-4333-8444-555555555555"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$type", "$tuple", "$"]), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def check() -> CheckContext:
    target = target_at("http://127.0.0.1:1", salt="a salt")
    ids = Ids((KNOWN,), accepts_any_id=True)
    return CheckContext(target, Guard(target), 0.0, ids, ids, ids, ids, first_run=KNOWN, foreign_run=KNOWN)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_case_of_a_scenario_is_restored(check, scenario):
    for case in itertools.islice(scenario.cases(check), 40):
        assert repr(case_from_json(case_to_json(case))) == repr(case)


@settings(max_examples=60, deadline=None)
@given(body=JSON)
def test_a_request_with_any_body_is_restored(body):
    case = RequestCase("POST", "/v1/runs", None, (("Idempotency-Key", "k"),), json=body)
    text = case_to_json(case)
    assert repr(case_from_json(text)) == repr(case)
    json.loads(text, parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def test_values_that_json_lacks_are_restored():
    case = RequestCase("POST", "/v1/runs", None, json={"a": math.inf, "b": -0.0, "c": 10**5000, "d": [("x",), []]})
    assert repr(case_from_json(case_to_json(case)).json["b"]) == "-0.0"
    assert case_from_json(case_to_json(case)) == case
    assert case_from_json(case_to_json(RequestCase("GET", "/v1/runs", None, json=UNREAD))).json is UNREAD
    assert case_from_json(case_to_json(Create("create-1", {}, 3))) == Create("create-1", {}, 3)


@pytest.mark.parametrize(
    "text",
    [
        '{"$type": "os.system", "command": "true"}',
        '{"$type": "contracts.guard.guard.Guard"}',
        '{"$type": "contracts.engine.check_context.Ids"}',
        '{"$type": "contracts.engine.case_json.UnreadableCase"}',
        '{"$type": "contracts.rules.http_errors.ManyCase", "unknown": 1}',
        '{"$type": ["contracts"]}',
        '{"$tuple": 1}',
        "[",
    ],
)
def test_a_text_that_is_not_a_case_is_refused(text):
    with pytest.raises(UnreadableCase):
        case_from_json(text)


def test_a_case_that_is_nested_too_deeply_is_not_recorded():
    body = []
    for _ in range(5000):
        body = [body]
    assert list(reproduction_of("alone", RequestCase("POST", "/v1/runs", None, json=body), ())) == []
