"""The bodies of the writes."""

import pytest

from contracts.data.write_bodies import foreign_properties
from contracts.openapi.schemas import body_properties, schema
from contracts.rules.writes import WRITES_OF_RUNS


@pytest.mark.parametrize("operation", WRITES_OF_RUNS)
def test_each_property_that_only_runs_or_other_writes_have_has_a_value(operation: str) -> None:
    others = {name for other in WRITES_OF_RUNS for name in body_properties(other)} - {"steps"}
    every = others | set(schema("RunResponse")["properties"])

    assert foreign_properties(operation).keys() == every - body_properties(operation).keys()
