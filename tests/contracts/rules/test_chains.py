"""What a chain determines of the runs of its steps."""

from typing import Any

import pytest

from contracts.rules.chains import _Chain


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
