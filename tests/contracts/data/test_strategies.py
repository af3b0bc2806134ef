"""The cases that are tried: what they cover, and that each can be told from the next."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.data import boundary_values, mutations, strategies, write_bodies
from contracts.openapi.schemas import beyond_limits
from contracts.oracle import read_body


def test_in_pairs_any_two_values_of_two_parameters_meet() -> None:
    parameters: dict[str, list[Any]] = {"a": [1, 2, 3], "b": ["x", "y"], "c": [None, True], "d": [0]}

    rows = write_bodies.pairs(parameters)

    for (one, values), (other, others) in itertools.combinations(parameters.items(), 2):
        for value, another in itertools.product(values, others):
            assert any(row[one] == value and row[other] == another for row in rows)
    assert len(rows) < 3 * 2 * 2
    assert rows == write_bodies.pairs(parameters)


def test_every_subset_of_features_is_tried_the_small_ones_first() -> None:
    subsets = list(write_bodies.powerset({"a": (1,), "b": (2,), "c": (3,)}))

    assert len(subsets) == 8
    assert subsets[0] == {}
    assert subsets[-1] == {"a": 1, "b": 2, "c": 3}
    assert [len(subset) for subset in subsets] == sorted(len(subset) for subset in subsets)


def test_a_field_that_is_absent_is_left_out() -> None:
    assert write_bodies.without_absent({"a": write_bodies.ABSENT, "b": None, "c": [write_bodies.ABSENT]}) == {
        "b": None,
        "c": [write_bodies.ABSENT],
    }


def test_each_place_of_a_body_can_be_changed_and_dropped_and_nothing_else_is() -> None:
    body = {"files": [{"name": "a", "content": "b"}, {"name": "c"}], "input_values": {"free": 1}, "count": 1}

    found = list(mutations.places(body, free=mutations.FREE_OBJECTS))

    assert ("files", 1, "name") in found
    assert ("input_values",) in found
    assert ("input_values", "free") not in found
    changed = mutations.put(body, ("files", 1, "name"), 5)
    assert changed["files"] == [{"name": "a", "content": "b"}, {"name": 5}]
    assert mutations.drop(body, ("files", 0))["files"] == [{"name": "c"}]
    assert mutations.at(changed, ("files", 1, "name")) == 5
    assert body["files"][1] == {"name": "c"}


def test_a_wrong_item_comes_after_good_ones_in_each_list() -> None:
    body = {"ids": ["good"], "files": [{"name": "a"}], "input_values": {"list": [1]}}

    made = list(mutations.after_good_items(body, free=mutations.FREE_OBJECTS))

    assert body | {"ids": ["good"] * 10 + [None]} in made
    assert body | {"ids": ["good"] * 100 + [5]} in made
    assert body | {"files": [{"name": "a"}] * 10 + [{}]} in made
    assert body | {"files": [{"name": "a"}, {"name": 5}]} in made
    assert all(one["input_values"] == body["input_values"] for one in made)


def test_what_is_first_of_each_kind_comes_first() -> None:
    kinds = (iter([{"n": number} for number in numbers]) for numbers in ((1, 2, 3), (), (10,), (20, 21)))

    assert [case["n"] for case in boundary_values.in_turn(kinds)] == [1, 10, 20, 2, 21, 3]


def test_packs_hold_all_items_once_and_are_not_too_large() -> None:
    items = [*range(30), "x" * 5000]

    packs = list(boundary_values.packed(items, 8, limit=1000))

    assert [value for pack in packs for value in pack.values()] == items
    assert max(map(len, packs)) == 8
    assert list(packs[-1].values()) == ["x" * 5000]


@pytest.mark.parametrize("kind", ["object", "list", "mixed"])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_nesting_is_as_deep_as_asked_for(kind: str, depth: int) -> None:
    value, found = boundary_values.nested(depth, kind=kind), 0
    while isinstance(value, (dict, list)):
        found += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)

    assert found == depth


def test_the_ladders_stay_within_what_every_server_must_take() -> None:
    beyond = [
        str(value)[:60]
        for value in (*boundary_values.values(), *boundary_values.REVEALING_TEXTS)
        if beyond_limits(value)
    ]

    assert not beyond
    for files in boundary_values.file_boundary_values():
        parsed = read_body("create_run", {"workflow_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "file_inputs": files})
        assert not parsed.faults


def test_no_value_of_a_ladder_is_tried_twice() -> None:
    texts = list(boundary_values.texts())

    assert len(texts) == len(set(texts))
    assert len(boundary_values.COUNTS) == len(set(boundary_values.COUNTS))
    assert len(set(boundary_values.REVEALING_TEXTS)) == len(boundary_values.REVEALING_TEXTS)


@given(data=st.data(), operation=st.sampled_from(["bulk_create_runs", "create_run"]))
def test_generated_bodies_are_valid(data: st.DataObject, operation: str) -> None:
    body = data.draw(strategies.bodies(operation, frozenset({"machine_id", "pool_ids", "session_id"})))
    filled = json.loads(
        json.dumps(body).replace("\\u00ab", "«").replace("\\u00bb", "»"),
        object_hook=lambda found: {key: _sample(value) for key, value in found.items()},
    )

    assert not read_body(operation, filled).faults


def _sample(value: Any) -> Any:
    if isinstance(value, list):
        return [_sample(item) for item in value]
    return "3c90c3cc-0d44-4b50-8888-8dd25736052a" if isinstance(value, str) and "«" in value else value
