"""What a chain determines of the runs of its steps."""

import math
from typing import Any

import pytest

from contracts.core.target import Target
from contracts.data import write_bodies
from contracts.engine.check_context import CheckContext, Ids
from contracts.rules.chains import _Chain, chain_cases


@pytest.mark.parametrize(
    ("shown", "differs"),
    [
        ({"a": 1, "b": 2}, False),
        ({"a": 1}, True),
        ({"a": 1, "b": 2, "x": 5}, False),  # x is also the key of a secret
        ({"a": 1, "b": 2, "c": 3}, True),
        ({"a": 1, "b": 2, "y": None}, True),
    ],
)
def test_the_inputs_of_a_run_are_those_of_its_step_and_the_shared_ones(shown: dict[str, Any], differs: bool) -> None:
    step = {"inputs": {"a": 1, "x": 5}, "sensitive_inputs": {"x": "secret", "y": "secret"}}
    unused: Any = None
    chain = _Chain(unused, {"steps": [step], "shared_inputs": {"b": 2}}, unused, unused, "", [])

    assert (chain._input_difference(step, {"input_values": shown}) is not None) == differs


def test_the_first_chain_has_every_field_and_a_steps_own_value_for_a_shared_input() -> None:
    nobody: Any = None
    check = CheckContext(Target("http://127.0.0.1:9", "one"), nobody, math.inf, Ids(["first", "second"]))

    body = next(iter(chain_cases(check))).body

    assert {name for name in write_bodies.CHAIN_FEATURES if name.startswith("shared")} <= body.keys()
    assert {name for step in body["steps"] for name in step} == {"workflow_id", *write_bodies.STEP_FEATURES}
    for step in body["steps"]:
        both = body["shared_inputs"].keys() & step["inputs"].keys()
        assert 0 < len(both) < len(body["shared_inputs"])
        assert all(step["inputs"][name] != body["shared_inputs"][name] for name in both)
