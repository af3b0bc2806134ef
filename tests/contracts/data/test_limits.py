"""The numbers near limits: those of the contract agree with the document, and each range has the ones that matter."""

from __future__ import annotations

import pytest

from contracts.data import limits
from contracts.openapi.schemas import document, schema


def test_the_limits_of_the_contract_are_those_of_the_document() -> None:
    count = schema("RunBulkCreate")["properties"]["count"]
    parameters = document()["components"]["parameters"]
    limit = parameters["Limit"]["schema"]
    (key,) = [item["schema"] for item in parameters.values() if item["name"] == "Idempotency-Key"]

    assert (count["exclusiveMinimum"] + 1, count["maximum"]) == (limits.MIN_COUNT, limits.MAX_COUNT)
    assert (
        limit["minimum"],
        limit["maximum"],
        limit["default"],
    ) == (limits.MIN_LIMIT, limits.MAX_LIMIT, limits.DEFAULT_LIMIT)
    assert key["maxLength"] == limits.MAX_KEY_LENGTH


@pytest.mark.parametrize("limit", [1, 10, 64, 100, 255 + 1, 500, 512])
def test_sizes_have_one_below_each_limit_the_limit_and_one_above(limit: int) -> None:
    found = limits.sizes(1, 1000)

    assert {limit - 1, limit, limit + 1} - {0} <= set(found)
    assert list(found) == sorted(set(found))
    assert (found[0], found[-1]) == (1, 1000)


@pytest.mark.parametrize(("low", "high"), [(1, 1000), (10, 9000), (2**16, 2**20), (2, 62)])
def test_few_is_a_subset_of_above_and_above_of_sizes(low: int, high: int) -> None:
    few, above, sizes = limits.few(low, high), limits.above(low, high), limits.sizes(low, high)

    assert set(few) - {low} <= set(above) <= set(sizes)
    assert few[0] == low
    assert few[-1] == above[-1] == high
    assert max(sizes) == high


def test_around_joins_neighbours_that_overlap() -> None:
    assert limits.around(1, 2, 10) == (0, 1, 2, 3, 9, 10, 11)
