"""A failing case becomes small, within its budget, and stays what it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.engine.case import Case as TypedCase
from contracts.engine.shrink import shrink

Case = dict[str, Any]


@dataclass(frozen=True)
class Step(TypedCase):
    operation: str
    count: int = 1


@dataclass(frozen=True)
class Steps(TypedCase):
    kind: str
    steps: tuple[Step, ...] = ()
    count: int = 1
    body: dict[str, Any] = field(default_factory=dict)
    second: bool = False


def test_the_fields_of_a_case_get_their_defaults_back_where_they_do_not_matter() -> None:
    case = Steps("create", (Step("a", 5), Step("b", 700), Step("c")), count=9, body={"x": [1, 2]}, second=True)

    small = shrink(case, lambda one: any(step.count >= 501 for step in one.steps), tries=200)

    assert small == Steps("create", (Step("b", 501),))


def test_a_long_text_of_one_character_is_cut_at_one_place_of_each_size() -> None:
    looked_at: list[int] = []

    @dataclass(frozen=True)
    class Text(TypedCase):
        body: dict[str, Any]

        def __repr__(self) -> str:
            looked_at.append(1)
            return f"Text({self.body})"

    small = shrink(Text({"text": "x" * 100_000}), lambda one: len(one.body.get("text", "")) > 65_535, tries=120)

    assert small == Text({"text": "a" * 65_536})
    assert len(looked_at) < 500


def test_the_text_of_a_field_stays_whole_and_the_text_of_a_body_gets_short() -> None:
    case = Steps("a kind of case", body={"name": "x" * 40 + "y"})

    small = shrink(case, lambda one: "y" in one.body.get("name", ""), tries=200)

    assert small == Steps("a kind of case", body={"name": "y"})


def with_count(least: int) -> Any:
    return lambda case: isinstance(case["body"].get("count"), int) and case["body"]["count"] >= least


def test_a_count_shrinks_to_the_least_that_fails() -> None:
    case: Case = {"op": "bulk_create_runs", "body": {"count": 1000, "workflow_id": "«workflow»"}}

    small = shrink(case, with_count(501), tries=120)

    assert small["body"] == {"count": 501}


def test_members_that_do_not_matter_go() -> None:
    case: Case = {"body": {"a": [1, 2, {"deep": "x" * 50}], "b": {"c": "keep"}, "d": None}}

    small = shrink(case, lambda one: one["body"].get("b", {}).get("c") == "keep", tries=120)

    assert small == {"body": {"b": {"c": "keep"}}}


def test_the_fields_that_name_the_kind_of_case_are_not_shrunk() -> None:
    case: Case = {"op": "bulk_create_runs", "body": {"a": 1}}

    small = shrink(case, lambda one: True, tries=120)

    assert small["op"] == "bulk_create_runs"


def test_a_placeholder_stays_whole() -> None:
    case: Case = {"body": {"session_id": "«session»"}}

    small = shrink(case, lambda one: bool(one["body"].get("session_id")), tries=120)

    assert small == case


def test_no_more_tries_are_made_than_the_budget_bears() -> None:
    tried: list[Case] = []

    def fails(case: Case) -> bool:
        tried.append(case)
        return len(case["body"].get("values", ())) > 100

    small = shrink({"body": {"values": list(range(1000))}}, fails, tries=7)

    assert len(tried) <= 7
    assert len(small["body"]["values"]) > 100


def test_a_case_that_is_as_small_as_can_be_is_given_back() -> None:
    case: Case = {"body": {"count": 0}}

    assert shrink(case, lambda one: one == case, tries=50) is case


def test_the_content_of_a_file_is_shortened_but_never_empty() -> None:
    case: Case = {"body": {"file_inputs": [{"filename": "a.txt", "content": "aGVsbG8gaGVsbG8="}]}}

    small = shrink(case, lambda one: '"content"' in json.dumps(one), tries=80)

    assert small["body"] == {"file_inputs": [{"content": "YQ=="}]}


def test_the_requests_of_a_case_become_few_before_any_of_them_becomes_small() -> None:
    tried: list[Case] = []
    case: Case = {"items": [{"body": {"count": count}} for count in range(900, 924)]}

    def fails(one: Case) -> bool:
        tried.append(one)
        return any(item.get("body", {}).get("count", 0) >= 923 for item in one["items"])

    assert shrink(case, fails, tries=120) == {"items": [{"body": {"count": 923}}]}
    assert len(tried[1]["items"]) == 1


def tries_for(case: Case, fails: Any) -> tuple[Case, int]:
    tried: list[Case] = []

    def counted(one: Case) -> bool:
        tried.append(one)
        return bool(fails(one))

    return shrink(case, counted, tries=1000), len(tried)


def test_one_of_many_members_is_found_in_few_tries() -> None:
    case: Case = {"body": {"values": {f"key {n}": n for n in range(192)}}}

    small, tries = tries_for(case, lambda one: "key 131" in one["body"].get("values", {}))

    assert small == {"body": {"values": {"key 131": 0}}}
    assert tries <= 25


def test_two_members_that_are_far_apart_are_found_in_few_tries() -> None:
    case: Case = {"body": {"values": list(range(1, 401))}}

    small, tries = tries_for(case, lambda one: {77, 333} <= set(one["body"].get("values", ())))

    assert small == {"body": {"values": [77, 333]}}
    assert tries <= 90


def test_a_length_that_matters_is_found_exactly_and_its_members_become_plain() -> None:
    case: Case = {"body": {"values": {f"key {n}": f"text {n}" for n in range(9000)}}}

    small, tries = tries_for(case, lambda one: len(one["body"].get("values", ())) > 1000)

    assert small == {"body": {"values": {f"k{n}": 0 for n in range(1001)}}}
    assert tries <= 90


def test_a_text_whose_length_matters_becomes_plain() -> None:
    case: Case = {"body": {"name": "Zürich " * 100}}

    small, tries = tries_for(case, lambda one: len(one["body"].get("name", "")) > 255)

    assert small == {"body": {"name": "a" * 256}}
    assert tries <= 40


def test_of_an_unusual_text_the_unusual_character_is_left() -> None:
    case: Case = {"body": {"name": "many words with a\u00a0space in the middle"}}

    assert shrink(case, lambda one: "\u00a0" in one["body"].get("name", ""), tries=120) == {"body": {"name": "\u00a0"}}


def test_characters_that_must_stand_together_stay_and_the_others_become_plain() -> None:
    case: Case = {"body": {"name": "x%0Ay"}}

    small = shrink(case, lambda one: "%" in one["body"].get("name", "") and len(one["body"]["name"]) > 3, tries=120)

    assert small == {"body": {"name": "a%aa"}}


def test_values_nested_in_a_long_list_are_shrunk() -> None:
    values = [{"b": {"a": [n, {"deep": 3.0 if n == 189 else n}]}} for n in range(192)]

    small = shrink({"body": {"list": values}}, lambda one: ": 3.0" in json.dumps(one), tries=120)

    assert small == {"body": {"list": [{"deep": 3.0}]}}


def test_an_unusual_name_becomes_plain_unless_it_matters() -> None:
    def shrunk(matters: str) -> Case:
        case: Case = {"body": {"values": {"an unusual name": 3, " ": 1.0}}}
        return shrink(case, lambda one: matters in json.dumps(one), tries=120)

    assert shrunk("1.0") == {"body": {"values": {"a": 1.0}}}
    assert shrunk('" "') == {"body": {"values": {" ": 1.0}}}


def test_the_value_of_a_header_shrinks_and_its_name_stays() -> None:
    @dataclass(frozen=True)
    class Sent(TypedCase):
        headers: tuple[tuple[str, str], ...] = ()

    case = Sent((("Accept", "*/*"), ("Idempotency-Key", "key-1234"), ("Host", "x")))

    small = shrink(case, lambda one: any(name == "Idempotency-Key" and value for name, value in one.headers), tries=80)

    assert small == Sent((("Idempotency-Key", "a"),))


def test_the_value_of_a_parameter_that_takes_names_stays_whole() -> None:
    case = {"query": [("fields", "error"), ("search", "word")]}

    small = shrink(case, lambda one: len(one.get("query", ())) == 2 and all(map(len, one["query"])), tries=200)

    assert small == {"query": [("fields", "error"), ("search", "")]}


@pytest.mark.parametrize(("name", "plain"), [("_private", "private"), (" k", "k"), ("fileName", "filename")])
def test_a_name_is_tried_without_its_unusual_characters(name: str, plain: str) -> None:
    tried: list[Case] = []

    def fails(one: Case) -> bool:
        tried.append(one)
        return name in one["values"]

    shrink({"values": {name: 0}}, fails, tries=20)

    assert {"values": {plain: 0}} in tried


def test_names_of_the_form_that_the_contract_has_are_kept() -> None:
    tried: list[Case] = []
    shrink({"workflow_id": {"session_alias": 0}}, lambda one: bool(tried.append(one)), tries=20)

    assert all(set(one) <= {"workflow_id"} for one in tried)
    assert all(set(one.get("workflow_id", {})) <= {"session_alias"} for one in tried)


def test_a_count_that_does_not_matter_stays_valid() -> None:
    case: Case = {"op": "bulk_create_runs", "body": {"count": 3, "machine_id": False}}

    small = shrink(case, lambda case: case["body"].get("machine_id") is False and "count" in case["body"], tries=120)

    assert small["body"] == {"count": 1, "machine_id": False}
