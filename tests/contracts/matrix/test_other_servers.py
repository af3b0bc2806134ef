"""A healthy server of another hand raises nothing: one that shares no code or library with the stand-in."""

import pytest

from tests.contracts.checks import checked
from tests.contracts.matrix.test_variations import SEEDS, shown
from tests.contracts.sampling import FULL
from tests.processes import serving


@pytest.fixture
def url():
    with serving(command=("tests.sqlite_server",), stderr="shared") as (_, url):
        yield url


@pytest.mark.matrix
@pytest.mark.parametrize("seed", SEEDS if FULL else SEEDS[:1])
def test_the_sqlite_server_raises_nothing_and_is_judged_by_every_rule(url, seed):
    result = checked(url, seed=seed, max_time_s=600)

    found = [f"{f.rule}: {f.sentence}\n{shown(f.exchanges)}" for f in (*result.findings, *result.unstable)]
    assert not found, "\n".join(found)
    assert {rule.id: rule.why for rule in result.rules if rule.status != "passed"}.keys() == {"HTTP-LIMIT"}  # no limit
