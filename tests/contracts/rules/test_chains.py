"""What a chain determines of the runs of its steps."""

import math
from typing import Any

import pytest

from contracts.core.target import Target
from contracts.data import write_bodies
from contracts.engine.check_context import CheckContext, Ids
from contracts.rules.chains import _Chain, chain_cases
from tests.contracts.checks import first_finding, guarded
from tests.contracts.matrix.replay import answers_from
from tests.standin.behaviour import Answer, Call, Standin
from tests.standin.defects.attachments import SecondDownloadIsEmpty
from tests.standin.serving import serving


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


class DeleteEmptiesFilesOfTheSession(Standin):
    def delete_run(self, call: Call, run_id: str) -> Answer:
        run = call.org.runs.get(run_id)
        for other in call.org.runs.values() if run is not None else ():
            for one in other.input_attachment_ids if other.session_id == run.session_id else ():
                call.org.attachments[one].content = b""
        return super().delete_run(call, run_id)


@pytest.mark.parametrize("fault", [SecondDownloadIsEmpty, DeleteEmptiesFilesOfTheSession])
def test_a_file_that_is_other_after_a_delete_comes_with_the_delete_and_the_earlier_download(
    fault: type[Standin],
) -> None:
    with serving(fault) as url, guarded(url, max_time_s=60) as guard:
        finding = first_finding(guard, {"ATTACHMENTS"})

    assert finding is not None
    sent = [(one.request.method, one.request.path.endswith("/download")) for one in finding.exchanges]
    assert sent[-3:] == [("GET", True), ("DELETE", False), ("GET", True)]
    with serving(fault) as url:
        assert answers_from(url, finding.exchanges)[-1][2] == ""
    with serving() as url:
        assert answers_from(url, finding.exchanges)[-1][2] != ""
