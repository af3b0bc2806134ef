"""The values and bodies that are tried: what they cover, that they are valid, and that none is there twice."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.core.json_tree import at, drop, put
from contracts.data import (
    combining,
    files,
    json_values,
    mutations,
    strategies,
    texts,
    value_classes,
    value_packs,
    write_bodies,
)
from contracts.data.formats import SAMPLE_ID
from contracts.openapi.schemas import beyond_limits
from contracts.oracle.request import read_body


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

    found = list(mutations.places(body))

    assert ("files", 1, "name") in found
    assert ("input_values",) in found
    assert ("input_values", "free") not in found
    changed = put(body, ("files", 1, "name"), 5)
    assert changed["files"] == [{"name": "a", "content": "b"}, {"name": 5}]
    assert drop(body, ("files", 0))["files"] == [{"name": "c"}]
    assert at(changed, ("files", 1, "name")) == 5
    assert body["files"][1] == {"name": "c"}


def test_a_wrong_item_is_tried_in_several_places_of_a_long_list() -> None:
    body = {"ids": ["good"] * mutations.LONG_LIST, "files": [{"name": "a"}] * mutations.LONG_LIST}

    ids = [one["ids"] for one in mutations.in_long_list(body, "ids")]
    files_made = [one["files"] for one in mutations.in_long_list(body, "files")]

    assert [None, *["good"] * 100] in ids
    assert [*["good"] * 10, None, *["good"] * 90] in ids
    assert [*["good"] * 100, 5] in ids
    assert [*[{"name": "a"}] * 10, {}, *[{"name": "a"}] * 90] in files_made
    assert [{"name": "a"}, {"name": 5}, *[{"name": "a"}] * 99] in files_made
    assert all(one["files"] == body["files"] for one in mutations.in_long_list(body, "ids"))


def test_the_first_of_each_kind_come_first() -> None:
    kinds = (iter([{"n": number} for number in numbers]) for numbers in ((1, 2, 3), (), (10,), (20, 21)))

    assert [case["n"] for case in combining.in_turn(kinds)] == [1, 10, 20, 2, 21, 3]


def test_batches_hold_all_items_once_and_are_not_too_large() -> None:
    items = [*range(30), "x" * 5000]

    batches = list(combining.batches(items, 8, max_bytes=1000))

    assert [value for batch in batches for value in batch] == items
    assert max(map(len, batches)) == 8
    assert batches[-1] == ["x" * 5000]


@pytest.mark.parametrize("kind", ["object", "list", "mixed"])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_nesting_is_as_deep_as_asked_for(kind: str, depth: int) -> None:
    value, found = json_values.nested(depth, kind=kind), 0
    while isinstance(value, (dict, list)):
        found += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)

    assert found == depth


def test_unusual_values_stay_within_the_limits_that_every_server_must_accept() -> None:
    values = (*texts.UNUSUAL, *texts.FEW, json_values.SAMPLE, {"deeper": [{"deep": json_values.SAMPLE}]})
    beyond = [str(value)[:60] for value in values if beyond_limits(value)]

    assert not beyond
    for inputs in files.unusual_inputs():
        parsed = read_body("create_run", {"workflow_id": SAMPLE_ID, "file_inputs": inputs})
        assert not parsed.invalid_parts


@pytest.mark.parametrize(
    "values",
    [texts.UNUSUAL, texts.FEW, json_values.ALL_KEYS, json_values.INTEGERS, files.NAMES, mutations.WRONG_COUNTS],
    ids=["texts", "few texts", "keys", "integers", "names of files", "wrong counts"],
)
def test_no_value_of_a_table_is_there_twice(values: tuple[Any, ...]) -> None:
    assert len({repr(value) for value in values}) == len(values)


def test_few_texts_have_one_of_each_kind() -> None:
    assert all(kind.values[0] in texts.FEW for kind in value_classes.TEXTS.values())
    assert set(texts.FEW) - {"x" * 64} <= {*texts.UNUSUAL, *("x" * (10**zeros + 1) for zeros in range(2, 5))}


CLASSES = {
    f"{table}: {name}": kind
    for table, classes in {
        "texts": value_classes.TEXTS,
        "keys": value_classes.KEYS,
        "numbers": value_classes.NUMBERS,
        "structures": value_classes.STRUCTURES,
    }.items()
    for name, kind in classes.items()
}
PLACES = {
    "bulk_create_runs": ("input_values", "sensitive_input_values"),
    "create_run": ("input_values", "sensitive_input_values"),
    "update_run": ("output_data", "usage_metadata", "input_values", "run_message_history"),
    "retry_run": ("input_values", "sensitive_input_values"),
    "create_run_chain": ("shared_inputs", "inputs", "sensitive_inputs"),
}


def _found(body: Any, field: str) -> str:
    """The values of a field of a body, or of the steps in it, as JSON."""
    return json.dumps([one[field] for one in (body, *body.get("steps", ())) if field in one])


@pytest.mark.parametrize(("operation", "field"), [(name, field) for name, fields in PLACES.items() for field in fields])
def test_every_value_of_every_class_goes_into_every_free_object(operation: str, field: str) -> None:
    sent = "".join(_found(body, field) for body in value_packs.bodies(operation))
    values = [(name, json.dumps(value)) for name, kind in CLASSES.items() for value in kind.values]

    lost = [name for name, value in values if value not in sent]

    assert set(lost) <= ({"texts: templates", "keys: operators"} if operation == "create_run_chain" else set())


@pytest.mark.parametrize("operation", PLACES)
def test_values_that_many_servers_refuse_are_in_bodies_of_their_own(operation: str) -> None:
    sent = [json.dumps(body) for body in value_packs.bodies(operation)]

    assert any("a\\u0000b" in body for body in sent)
    assert not any("a\\u0000b" in body and "  padded  " in body for body in sent)


@pytest.mark.parametrize("operation", ["bulk_create_runs", "create_run", "create_run_chain", "update_run", "retry_run"])
def test_values_that_servers_often_refuse_come_in_turn_with_the_others(operation: str) -> None:
    first, second, *_ = value_packs.bodies(operation)

    assert "list of refused" not in json.dumps(first)
    assert "list of refused" in json.dumps(second)


@pytest.mark.parametrize("operation", PLACES)
def test_packs_are_valid(operation: str) -> None:
    for body in value_packs.bodies(operation):
        parsed = read_body(operation, _sample(body))
        assert parsed.is_valid, (parsed.invalid_parts, parsed.ambiguities)


def test_every_class_of_values_has_its_reason() -> None:
    assert all(kind.reason and kind.values for kind in CLASSES.values())


def test_every_wrong_count_is_wrong_or_needs_a_lenient_reading() -> None:
    for count in mutations.WRONG_COUNTS:
        assert not read_body("bulk_create_runs", {"workflow_id": SAMPLE_ID, "count": count}).is_valid, count


@given(data=st.data(), operation=st.sampled_from(["bulk_create_runs", "create_run"]))
def test_generated_bodies_are_valid(data: st.DataObject, operation: str) -> None:
    body = data.draw(strategies.bodies(operation, frozenset({"machine_id", "pool_ids", "session_id"})))
    filled = json.loads(
        json.dumps(body).replace("\\u00ab", "«").replace("\\u00bb", "»"),
        object_hook=lambda found: {key: _sample(value) for key, value in found.items()},
    )

    assert not read_body(operation, filled).invalid_parts


def _sample(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sample(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sample(item) for item in value]
    return SAMPLE_ID if isinstance(value, str) and "«" in value else value


def test_covering_items_have_every_value_of_every_key_in_order_and_are_few() -> None:
    items = list(itertools.product("abcd", range(6)))

    covering = list(combining.covering(items, lambda item: item[0], lambda item: item[1]))

    assert {letter for letter, _ in covering} == set("abcd")
    assert {number for _, number in covering} == set(range(6))
    assert covering == sorted(covering)
    assert len(covering) == 6 + 4 - 1


def test_cases_of_several_operations_come_in_turn() -> None:
    @dataclasses.dataclass(frozen=True)
    class One:
        operation: str
        number: int

    @combining.in_turn_by_kind
    def cases(count: int) -> Iterator[One]:
        """Of an operation."""
        yield from (One("a", number) for number in range(count))
        yield from (One("b", number) for number in range(2))

    assert [(one.operation, one.number) for one in cases(3)] == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]
    assert cases.__doc__ == "Of an operation."


def test_the_first_cases_of_an_operation_are_of_many_kinds() -> None:
    @dataclasses.dataclass(frozen=True)
    class One:
        operation: str
        number: int
        is_deleted: bool = False
        events: tuple[Any, ...] = ()

    update, retry = SimpleNamespace(kind="update"), SimpleNamespace(kind="retry")

    @combining.in_turn_by_kind
    def cases(count: int) -> Iterator[One]:
        yield from (One("a", number) for number in range(count))
        yield One("a", 10, is_deleted=True)
        yield from (One("a", number, events=(update,)) for number in (20, 21))
        yield One("a", 30, events=(update, retry))

    assert [one.number for one in cases(3)] == [0, 10, 20, 30, 1, 21, 2]


def test_rows_have_every_value_of_every_member() -> None:
    assert list(combining.rows({"a": (1, 2, 3), "b": ("x", "y"), "c": (None,)})) == [
        {"a": 1, "b": "x", "c": None},
        {"a": 2, "b": "y", "c": None},
        {"a": 3, "b": "x", "c": None},
    ]
