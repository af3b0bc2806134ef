"""The schema that a workflow has for its inputs: what it judges, and that it cannot hold up the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mockserver.behaviour import input_schema
from mockserver.behaviour.input_schema import CompiledSchemas, Inputs
from mockserver.settings import Limits
from tests.mockserver.inprocess import Mock


def with_schema(mock: Mock, schema: Any) -> str:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return mock.post("/v1/workflows", {"main_prompt": "p", "input_schema": text}).json()["id"]


def test_the_violations_of_a_workflows_schema_are_limited_and_the_rest_is_counted():
    mock = Mock(limits=Limits(max_violations=2), progression="immediate")
    names = ["a", "b", "c", "d", "e"]
    schema = {"type": "object", "properties": {name: {"type": "integer"} for name in names}}
    workflow = {"workflow_id": with_schema(mock, schema)}
    wrong = dict.fromkeys(names, "x")
    run_id = mock.create(**workflow)["id"]

    refused = (
        mock.post("/v1/runs", {**workflow, "input_values": wrong}),
        mock.post("/v1/runs/bulk", {**workflow, "count": 2, "input_values": wrong}),
        mock.post("/v1/runs/chain", {"steps": [{**workflow, "inputs": wrong}]}),
        mock.post(f"/v1/runs/{run_id}/retry", {"input_values": wrong}),
    )

    for answer in refused:
        *listed, rest = answer.json()["detail"]
        assert [(each["type"], each["loc"][-1]) for each in listed] == [("int_parsing", "a"), ("int_parsing", "b")]
        assert (rest["type"], rest["ctx"]) == ("too_many_violations", {"omitted": 3})


@pytest.mark.parametrize("keyword", ["minimum", "maximum", "exclusiveMinimum", "multipleOf", "minLength", "const"])
def test_a_number_of_any_size_may_stand_in_a_schema(keyword: str):
    mock = Mock()
    for kind in ("integer", "number", "string"):
        for number in (10**499, -(10**499)):
            id_ = with_schema(mock, {"type": "object", "properties": {"a": {"type": kind, keyword: number}}})
            answer = mock.post("/v1/runs", {"workflow_id": id_, "input_values": {"a": 1}})
            assert answer.status_code in (201, 422), answer.text


@pytest.mark.parametrize(
    "properties",
    [
        {f"p{number}": {"type": "string", "pattern": "\\w{50}"} for number in range(1_000)},
        {"a": {"type": "string", "pattern": "(?i)\\pL{200}"}},
        {"a": {"type": "string", "pattern": "(\\w{50}){50}"}},
        {"a": {"type": "string", "pattern": "x?" * 30_000}},
        # Each took seconds: for each class the other case of thousands of characters is looked up.
        {"a": {"type": "string", "pattern": "(?i)" + "[é-ꭣ]" * 2_000}},
        {"a": {"type": "string", "pattern": "(?i)[" + "[k-\U0010ffff]" * 300 + "]"}},
        {"a": {"type": "string", "pattern": "(?i)[" + "k-\U0010ffff&&" * 100 + "k]"}},
        {f"{number:060}": {"type": "integer"} for number in range(1_000)},
    ],
)
def test_a_schema_that_would_take_long_to_compile_judges_nothing(properties: dict[str, Any]):
    mock = Mock()
    id_ = with_schema(mock, {"type": "object", "properties": properties})
    assert mock.post("/v1/runs", {"workflow_id": id_, "input_values": {"a": 1}}).status_code == 201


def _twice(name: str) -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"#/components/schemas/schema/properties/{name}"}] * 2}


_RECURSIVE = {"type": "object", "properties": {"x": _twice("a")}}
_NAMES = [str(number) for number in range(1_000)]
_WITH_MANY = {"type": "object", "properties": {name: {"type": "null"} for name in _NAMES}, "required": _NAMES}


@pytest.mark.parametrize(
    ("properties", "inputs"),
    [
        # Each of these took minutes, or longer than anyone can wait.
        ({"a0": {"type": "string"}, **{f"a{n}": _twice(f"a{n - 1}") for n in range(1, 41)}}, {"a40": 1}),
        (
            {"a": {"anyOf": [_RECURSIVE, {**_RECURSIVE, "required": ["x"]}]}},
            {"a": json.loads('{"x":' * 80 + "1" + "}" * 80)},
        ),
        ({"a": {"type": "array", "items": {"anyOf": [{"type": "integer"}] * 1_000}}}, {"a": ["x"] * 100_000}),
        ({"a": {"type": "array", "items": {"type": ["integer", "boolean"] * 1_000}}}, {"a": ["x"] * 100_000}),
        ({"a": {"type": "array", "items": _WITH_MANY}}, {"a": [{}] * 100_000}),
        ({"a": {"type": "array", "items": {"type": "string", "format": "date-time"}}}, {"a": ["2026"] * 100_000}),
        ({"a": {"type": "string", "pattern": "[ab]*a[ab]{120}[^ab]"}}, {"a": "aab" * 3_000_000}),
    ],
    ids=["references", "recursion", "choices", "types", "properties", "date-times", "pattern"],
)
def test_a_schema_that_would_take_long_to_apply_judges_nothing(properties: dict[str, Any], inputs: dict[str, Any]):
    mock = Mock()
    id_ = with_schema(mock, {"type": "object", "properties": properties})

    assert mock.post("/v1/runs", {"workflow_id": id_, "input_values": inputs}).status_code == 201


@pytest.mark.parametrize("levels", [257, 600, *range(900, 1_000, 10)])
def test_a_schema_that_is_nested_deeper_than_a_body_may_be_judges_nothing(levels: int):
    mock = Mock()
    text = '{"type": "object", "required": ["a"], "properties": {"a": {}}, "x-deep": %s}' % (
        "[" * (levels - 1) + "]" * (levels - 1)
    )
    workflow_id = with_schema(mock, text)

    assert mock.create(workflow_id, input_values={})["workflow_id"] == workflow_id
    assert mock.get(f"/v1/workflows/{workflow_id}").json()["input_schema"] == text


def test_a_schema_that_is_nested_as_deeply_as_a_body_may_be_judges():
    mock = Mock()
    text = '{"type": "object", "required": ["a"], "properties": {"a": {}}, "x-deep": %s}' % ("[" * 255 + "]" * 255)

    answer = mock.post("/v1/runs", {"workflow_id": with_schema(mock, text), "input_values": {}})

    assert answer.status_code == 422


def test_the_steps_of_a_long_chain_together_do_not_take_long_either():
    mock = Mock()
    numbers = {"type": "array", "items": {"type": "integer"}}
    step = {"workflow_id": with_schema(mock, {"type": "object", "properties": {"a": numbers}})}

    def made(steps: int) -> int:
        body = {"steps": [step] * steps, "shared_inputs": {"a": ["x"] * 5_000}}
        return mock.post("/v1/runs/chain", body).status_code

    assert (made(1), made(1_000)) == (422, 201)


def test_many_shared_inputs_are_not_even_merged_for_each_step_of_a_long_chain(monkeypatch: pytest.MonkeyPatch):
    mock = Mock()
    id_ = with_schema(mock, {"type": "object", "properties": {"b": {"type": "integer"}}})
    steps = [{"workflow_id": id_, "inputs": {"b": "x"}}] * 200
    merged = Inputs.merged
    counted: list[int] = []

    def recorded(inputs: Inputs) -> dict[str, Any]:
        counted.append(inputs.count_names())
        return merged(inputs)

    monkeypatch.setattr(Inputs, "merged", recorded)

    def made(shared: dict[str, Any]) -> int:
        return mock.post("/v1/runs/chain", {"steps": steps, "shared_inputs": shared}).status_code

    many = {str(number): number for number in range(80_000)}
    assert made({}) == 422
    assert counted == [1]
    assert made(many) == made({"c": many}) == made({"c": list(many)}) == 201
    # 15,000 checks are left for each of the steps, and passing over five members is one.
    assert sum(counted) < 200 * 15_000 * 5


def test_each_step_of_a_chain_is_judged_with_the_shared_inputs_that_it_does_not_override():
    mock = Mock()
    integers = {name: {"type": "integer"} for name in ("a", "b", "$s")}
    step = {"workflow_id": with_schema(mock, {"type": "object", "properties": integers})}
    steps = [step | {"inputs": {"a": 1}, "sensitive_inputs": {"s": 1}}, step]
    shared = {"shared_inputs": {"a": "x", "b": 2}, "shared_sensitive_inputs": {"s": "secret"}}

    refused = mock.post("/v1/runs/chain", {"steps": steps, **shared})

    assert [each["loc"] for each in refused.json()["detail"]] == [
        ["body", "steps", 1, "inputs", "a"],
        ["body", "steps", 1, "sensitive_inputs", "s"],
    ]
    assert "secret" not in refused.text


def test_large_inputs_are_judged_by_a_plain_schema():
    mock = Mock()
    numbers = {"type": "array", "items": {"type": ["integer", "null"]}}
    pattern = {"type": "string", "pattern": "^[a-z]+$"}
    id_ = with_schema(mock, {"type": "object", "properties": {"a": numbers, "b": pattern}})

    for inputs in ({"a": [1] * 100_000 + ["x"]}, {"b": "a" * 1_000_000 + "1"}):
        assert mock.post("/v1/runs", {"workflow_id": id_, "input_values": inputs}).status_code == 422


def test_patterns_of_usual_size_are_judged():
    mock = Mock()
    pattern = {"type": "string", "pattern": r"^[A-Z]{2}\d{4,10}-\w+$"}
    id_ = with_schema(mock, {"type": "object", "properties": {"a": pattern, "b": pattern}})
    assert mock.post("/v1/runs", {"workflow_id": id_, "input_values": {"a": "AB1234-x"}}).status_code == 201
    assert mock.post("/v1/runs", {"workflow_id": id_, "input_values": {"a": "x"}}).status_code == 422


def test_a_usual_pattern_that_ignores_case_is_judged():
    mock = Mock()
    pattern = {"type": "string", "pattern": r"(?i)^[a-z0-9._-]{1,64}@mock$"}
    id_ = with_schema(mock, {"type": "object", "properties": {"a": pattern}})
    assert mock.post("/v1/runs", {"workflow_id": id_, "input_values": {"a": "Me@Mock"}}).status_code == 201
    assert mock.post("/v1/runs", {"workflow_id": id_, "input_values": {"a": "x"}}).status_code == 422


def _texts(kind: str, count: int) -> list[str]:
    properties = {
        "heavy patterns": lambda number: {"a": {"type": "string", "pattern": rf"(\wk{number}){{150}}"}},
        "many properties": lambda number: {f"{number}_{each}": {"type": "integer"} for each in range(1_500)},
        "small": lambda number: {f"{number}": {"type": "integer"}},
    }
    return [json.dumps({"type": "object", "properties": properties[kind](number)}) for number in range(count)]


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("heavy patterns", range(1, 7)), ("many properties", range(20, 60)), ("small", range(900, 1_000))],
)
def test_schemas_stay_compiled_as_long_as_they_cost_little_together(kind: str, kept: range):
    compiled = CompiledSchemas(max_cost=1_000)
    texts = _texts(kind, kept.stop + 10)

    schemas = [compiled.schema(text) for text in texts]

    assert all(schemas)
    assert len(compiled) in kept
    assert compiled.cost <= 1_000
    latest = len(compiled)
    assert all(compiled.schema(text) is each for text, each in zip(texts[-latest:], schemas[-latest:], strict=True))


def test_of_compiled_schemas_the_one_that_was_not_used_longest_goes_first():
    compiled = CompiledSchemas(max_cost=700)
    used, *others = _texts("heavy patterns", 5)
    first = compiled.schema(used)

    for text in others:
        compiled.schema(text)
        assert compiled.schema(used) is first

    assert len(compiled) == 4


def test_what_the_server_keeps_compiled_costs_no_more_than_ten_of_the_heaviest_schemas(monkeypatch: pytest.MonkeyPatch):
    compiled = CompiledSchemas(input_schema._COMPILED._max_cost)
    monkeypatch.setattr(input_schema, "_COMPILED", compiled)
    mock = Mock(self_check=False)

    for text in _texts("heavy patterns", 20):
        answer = mock.post("/v1/runs", {"workflow_id": with_schema(mock, text), "input_values": {"a": "b"}})
        assert answer.status_code == 422

    assert 5 < len(compiled) <= 10
