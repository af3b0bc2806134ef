"""Replies made from the document are valid for it, whatever the seed."""

import json
from importlib.resources import files
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.spec import Operation, SpecError, compile_operations, load, render_json, reply
from mockserver.spec.document import Document, from_value
from mockserver.spec.examples import from_schema
from tests.mockserver.spec.inline import answer_operation, with_schema


@pytest.fixture(scope="module")
def document() -> Document:
    return load(files("openapi") / "cyberdesk.yaml")


@pytest.fixture(scope="module")
def operations(document) -> dict[str, Operation]:
    return compile_operations(document, coercion="strict")


def judge(root: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    """An independent judge of a component schema, formats included."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": root["components"]}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def made(schema: Any, seed: int = 0, *, vary: bool = True, **others: Any) -> Any:
    document = from_value(with_schema(schema, **others), "api.yaml")
    value = from_schema(document, schema, "/components/schemas/Thing", Random(seed), vary=vary)
    judge(document.root, "Thing").validate(value)
    return value


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.booleans())
def test_what_is_made_is_valid_for_every_schema_of_the_document(document, seed, vary):
    for name, schema in document.root["components"]["schemas"].items():
        value = from_schema(document, schema, f"/components/schemas/{name}", Random(seed), vary=vary)
        judge(document.root, name).validate(value)


def test_every_reply_passes_the_check_of_replies(operations):
    for operation in operations.values():
        for status in operation.responses:
            names = operation.responses[status].examples
            replies = [reply(operation, status, name=name) for name in (None, *names)]
            replies += [reply(operation, status, dynamic=True, seed=str(seed)) for seed in range(5)]
            for content_type, value in replies:
                body = b"" if content_type is None else value if isinstance(value, bytes) else render_json(value)
                assert operation.check_reply(status, content_type, body) is None


def test_the_same_seed_gives_the_same_reply_and_another_seed_another(operations):
    operation = operations["get_run"]

    assert reply(operation, 200, dynamic=True, seed="a") == reply(operation, 200, dynamic=True, seed="a")
    assert reply(operation, 200, dynamic=True, seed="a") != reply(operation, 200, dynamic=True, seed="b")
    assert reply(operation, 200, seed="a") == reply(operation, 200, seed="b")


def test_an_example_is_preferred_unless_the_reply_is_dynamic():
    operation = answer_operation(
        {"type": "integer", "minimum": 5, "maximum": 6}, examples={"a": {"value": 7}, "b": {"value": 8}}
    )

    assert reply(operation, 200) == ("application/json", 7)
    assert reply(operation, 200, name="b", dynamic=True) == ("application/json", 8)
    assert {reply(operation, 200, dynamic=True, seed=str(seed))[1] for seed in range(50)} == {5, 6}


def test_a_reply_that_is_not_documented_is_a_key_error(operations):
    for status, name in ((418, None), (200, "nothing"), (204, None)):
        with pytest.raises(KeyError):
            reply(operations["get_run"], status, name=name)
    with pytest.raises(KeyError):
        reply(operations["delete_run"], 204, name="nothing")


def test_a_reply_without_content_is_empty_and_content_that_is_no_json_is_bytes(operations):
    assert reply(operations["delete_run"], 204) == (None, None)
    content_type, value = reply(operations["download_run_attachment"], 200)
    assert (content_type, type(value)) == ("application/octet-stream", bytes)
    assert isinstance(reply(operations["download_run_attachment"], 200, dynamic=True)[1], bytes)


def test_without_varying_the_documented_values_come_first():
    schema = {
        "type": "object",
        "properties": {
            "default": {"type": "integer", "default": 7},
            "example": {"type": "integer", "example": 8, "default": 7},
            "examples": {"type": "integer", "examples": [9, 10]},
            "kind": {"enum": ["a", "b"]},
            "const": {"const": "c"},
            "choice": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "all": {"allOf": [{"type": "integer", "minimum": 3}]},
            "kinds": {"type": ["integer", "null"], "maximum": -4},
            "list": {"type": "array", "items": {"type": "null"}},
            "none": {"type": "array", "maxItems": 0},
            "map": {"type": "object"},
            "free": {},
        },
    }

    assert made(schema, vary=False) == {
        "default": 7,
        "example": 8,
        "examples": 9,
        "kind": "a",
        "const": "c",
        "choice": False,
        "all": 3,
        "kinds": -4,
        "list": [None],
        "none": [],
        "map": {},
        "free": {},
    }


_BOUNDS = st.integers(-50, 50)


@settings(max_examples=200)
@given(
    st.sampled_from(["integer", "number"]),
    st.dictionaries(st.sampled_from(["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]), _BOUNDS),
    st.none() | st.sampled_from([1, 2, 7, 50]),
    st.integers(),
    st.booleans(),
)
def test_numbers_keep_their_bounds_or_are_refused_where_there_is_none(kind, bounds, multiple, seed, vary):
    schema = {"type": kind, **bounds} | ({} if multiple is None else {"multipleOf": multiple})
    fits = jsonschema.Draft202012Validator(schema).is_valid

    if any(fits(candidate) for candidate in range(-150, 151)):
        value = made(schema, seed, vary=vary)
        assert isinstance(value, int if kind == "integer" else float)
    elif kind == "integer":
        with pytest.raises(SpecError, match="no number is within these bounds"):
            made(schema, seed, vary=vary)


def test_fractions_are_multiples_and_within_fractional_bounds():
    value = made({"type": "number", "exclusiveMinimum": 0.25, "maximum": 0.5, "multipleOf": 0.25})

    assert value == 0.5
    assert made({"type": "integer", "multipleOf": 3, "minimum": 4, "maximum": 8}) == 6


@settings(max_examples=60)
@given(st.integers(0, 40), st.integers(0, 40), st.integers())
def test_texts_lists_and_maps_have_a_length_within_their_bounds(one, other, seed):
    fewest, most = sorted((one, other))

    made({"type": "string", "minLength": fewest, "maxLength": most}, seed)
    made({"type": "string", "minLength": fewest}, seed)
    made({"type": "array", "items": {"type": "null"}, "minItems": fewest, "maxItems": most}, seed)
    made({"type": "object", "additionalProperties": {}, "minProperties": fewest, "maxProperties": most}, seed)
    made({"type": "object", "minProperties": fewest}, seed, vary=False)


@pytest.mark.parametrize(
    "form", ["uuid", "date-time", "date", "time", "byte", "email", "hostname", "ipv4", "ipv6", "uri", "made-up"]
)
def test_every_known_format_is_made_as_it_should_be(form):
    values = {made({"type": "string", "format": form}, seed) for seed in range(20)}

    assert len(values) > 5


def test_a_schema_that_contains_itself_ends():
    node = {"$ref": "#/components/schemas/Thing"}
    tree = {"type": "object", "properties": {name: {"type": "array", "items": node} for name in "abcdefgh"}}
    for vary in (True, False):
        assert len(json.dumps(made(tree, vary=vary))) < 200_000
    chain = {
        "type": "object",
        "required": ["next"],
        "properties": {"next": {"anyOf": [node, {"type": "null"}]}},
    }
    for vary in (True, False):
        assert "next" in made(chain, vary=vary)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/components/schemas/Thing"}}},
            "the schema is too deeply recursive to generate a value",
        ),
        ({"type": "string", "pattern": "^a$"}, "cannot generate text for a pattern; add an example"),
        ({"type": "object", "additionalProperties": False, "minProperties": 1}, "minProperties exceeds maxProperties"),
    ],
)
def test_a_schema_that_cannot_be_met_is_named(schema, problem):
    with pytest.raises(SpecError, match=problem):
        made(schema)


def test_a_pattern_is_met_by_an_example():
    assert made({"type": "string", "pattern": "^a$", "example": "a"}, vary=False) == "a"
