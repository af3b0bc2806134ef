"""A healthy server of another hand raises nothing: one that shares no code or library with the stand-in."""

import pytest

from tests.contracts.checks import checked
from tests.contracts.matrix.test_variations import shown
from tests.processes import serving

NOT_OFFERED = {"HTTP-LIMIT"}


@pytest.fixture
def url():
    with serving(command=("tests.sqlite_server",), stderr="shared") as (_, url):
        yield url


def test_the_sqlite_server_raises_nothing_and_is_judged_by_every_rule(url):
    result = checked(url, seed=1, max_time_s=90)

    found = [f"{f.rule}: {f.sentence}\n{shown(f.exchanges)}" for f in (*result.findings, *result.unstable)]
    assert not found, "\n".join(found)
    assert {rule.id for rule in result.rules if rule.status != "passed"} <= NOT_OFFERED
