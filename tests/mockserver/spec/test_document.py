"""What is loaded, and what is refused with file and JSON pointer."""

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import SchemaValidator, ValidationError

from mockserver.errors import StartError
from mockserver.spec import SpecError, compile_operations, load
from mockserver.spec.document import Document, from_value, step
from mockserver.spec.validation import validator
from mockserver.spec.violations import Violations
from tests.mockserver.spec.inline import document_of, with_schema


def written(tmp_path, text: str) -> Document:
    path = tmp_path / "api.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def refusal(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(SpecError) as caught:
        call(*arguments, **named)
    return str(caught.value)


def refused_schema(schema: Any) -> str:
    return refusal(from_value, with_schema(schema), "api.yaml")


HEAD = "openapi: 3.1.0\npaths: {}\n"


def test_the_built_in_document_is_understood_in_both_coercions():
    document = load(files("openapi") / "cyberdesk.yaml")

    for coercion in ("strict", "lax"):
        assert "bulk_create_runs" in compile_operations(document, coercion=coercion)
    assert "sensitive_input_values" in document.sensitive


def test_a_spec_error_is_an_error_of_the_start_in_one_line():
    error = SpecError("api.yaml", "/paths/~1v1~1runs/get", "is wrong")

    assert isinstance(error, StartError)
    assert str(error) == "api.yaml: #/paths/~1v1~1runs/get: is wrong"


def test_pointers_escape_slashes_and_tildes():
    assert step(step("/paths", "/a~b/{c}"), 3) == "/paths/~1a~0b~1{c}/3"


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_yaml_scalars_read_as_the_core_schema_of_yaml_1_2_has_them(tmp_path):
    root = written(
        tmp_path,
        HEAD + "x-a: [2023-11-07T05:31:56Z, 2023-11-07, on, yes, no, 1_000, 0o17, 1:30, '5', \"true\", =, <<]\n"
        "x-b: [~, null, Null, true, FALSE, 5, -7, +3, 1.5, -.5, 1e3, 1., .inf, 12e, -, --, 00]\n",
    ).root

    assert root["x-a"] == [
        *("2023-11-07T05:31:56Z", "2023-11-07", "on", "yes", "no", "1_000", "0o17", "1:30", "5", "true", "=", "<<")
    ]
    expected = [None, None, None, True, False, 5, -7, 3, 1.5, -0.5, 1000.0, 1.0, ".inf", "12e", "-", "--", 0]
    assert [(type(value), value) for value in root["x-b"]] == [(type(value), value) for value in expected]


def test_names_are_text_also_where_they_look_like_numbers_or_booleans(tmp_path):
    assert written(tmp_path, HEAD + "x-a: {200: a, true: b, null: c}\n").root["x-a"] == {
        "200": "a",
        "true": "b",
        "null": "c",
    }


def test_anchors_and_block_text_are_read(tmp_path):
    root = written(tmp_path, HEAD + "x-a: &one {b: [1]}\nx-c: *one\nx-d: |\n  5\nx-e: &two five\nx-f: *two\n").root

    assert root["x-c"] == {"b": [1]}
    assert (root["x-d"], root["x-f"]) == ("5\n", "five")


def test_json_is_read_as_json(tmp_path):
    assert written(tmp_path, ' {"openapi": "3.1.1", "paths": {}, "x-a": "2023-11-07"}').root["x-a"] == "2023-11-07"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "api.yaml: an OpenAPI document is a mapping"),
        ("- a", "api.yaml: an OpenAPI document is a mapping"),
        ("a: [", "api.yaml: line 2, column 1: did not find expected node content"),
        ("a: b: c", "api.yaml: line 1, column 5: mapping values are not allowed in this context"),
        ("{", "api.yaml: line 1, column 2: Expecting property name enclosed in double quotes"),
        ("a: 1\nb: 2\na: 3", "api.yaml: line 3, column 1: duplicate key 'a'"),
        ("a: *nowhere", "api.yaml: line 1, column 4: there is no anchor 'nowhere' before this"),
        ("a: &a [*a]", "api.yaml: line 1, column 8: there is no anchor 'a' before this"),
        ("a: &b {c: 1}\nd:\n  <<: *b", "api.yaml: line 3, column 3: merge keys are not supported"),
        ("? [a]\n: b", "api.yaml: line 1, column 3: a name must be text"),
        ("a: !!binary aGk=", "api.yaml: line 1, column 4: the tag tag:yaml.org,2002:binary is not supported"),
        ("a: !!set {b}", "api.yaml: line 1, column 4: the tag tag:yaml.org,2002:set is not supported"),
        ("a: \x07", "api.yaml: "),
        ("openapi: 3.0.3\npaths: {}", "api.yaml: #/openapi: OpenAPI 3.1 is supported, this is '3.0.3'"),
        ("openapi: 3.1\npaths: {}", "api.yaml: #/openapi: OpenAPI 3.1 is supported, this is 3.1"),
        ("swagger: '2.0'", "api.yaml: the key `openapi` is missing; an OpenAPI 3.1 document begins with"),
        ("openapi: 3.1.0", "api.yaml: #/paths: missing: a mapping of paths to their operations"),
        ("a: " + "[" * 5000, "api.yaml: "),
        ('{"a": ' + "[" * 200_000, "api.yaml: is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "api.yaml: cannot read a number: "),
        ("a: " + "9" * 5000, "api.yaml: cannot read a number: "),
    ],
)
def test_a_text_that_is_no_document_is_refused_with_its_place(tmp_path, text, problem):
    message = refusal(written, tmp_path, text)

    assert message.startswith(problem)
    assert "\n" not in message


def test_a_file_that_is_missing_a_directory_or_no_text_is_named(tmp_path):
    missing = tmp_path / "none.yaml"
    assert refusal(load, str(missing)) == f"{missing}: cannot read the OpenAPI document: No such file or directory"
    assert refusal(load, tmp_path) == f"{tmp_path}: cannot read the OpenAPI document: Is a directory"
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    assert refusal(load, tmp_path / "bytes.yaml") == "bytes.yaml: is not UTF-8 text: invalid start byte at byte 3"


# --- References -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        ("other.yaml#/a", "only references into this document are followed (#/…), not 'other.yaml#/a'"),
        ("https://example.com/a", "only references into this document are followed (#/…), not 'https://example.com/a'"),
        ("#anchor", "only references into this document are followed (#/…), not '#anchor'"),
        (5, "only references into this document are followed (#/…), not 5"),
        ("#/components/schemas/Nothing", "#/components/schemas/Nothing does not exist"),
        ("#/components/schemas/Thing", "the reference leads back to itself"),
        ("#/info", "a schema is referred to under #/components/schemas/ only"),
    ],
)
def test_a_reference_that_is_not_followed_is_refused(ref, problem):
    root = with_schema({"$ref": ref}) | {"info": {"title": "x"}}

    assert refusal(from_value, root, "api.yaml") == f"api.yaml: #/components/schemas/Thing/$ref: {problem}"


def test_references_that_go_round_in_a_circle_are_refused():
    root = with_schema({"$ref": "#/components/schemas/Other"}, Other={"$ref": "#/components/schemas/Thing"})

    assert "leads back to itself" in refusal(from_value, root, "api.yaml")


def test_references_lead_through_lists_and_escaped_names():
    root = with_schema({"$ref": "#/components/schemas/a~1b~0c/anyOf/1"}, **{"a/b~c": {"anyOf": [{}, {"type": "null"}]}})
    document = from_value(root, "api.yaml")

    found = document.follow({"$ref": "#/components/schemas/Thing"}, "/x")

    assert found == ({"type": "null"}, "/components/schemas/a~1b~0c/anyOf/1")
    assert "/anyOf/9 does not exist" in refusal(document.follow, {"$ref": "#/components/schemas/a~1b~0c/anyOf/9"}, "")


def test_references_outside_schemas_are_checked_too():
    root = {"openapi": "3.1.0", "paths": {"/a": {"get": {"responses": {"200": {"$ref": "#/components/responses/X"}}}}}}

    assert refusal(from_value, root, "api.yaml") == (
        "api.yaml: #/paths/~1a/get/responses/200/$ref: #/components/responses/X does not exist"
    )


def test_what_looks_like_a_reference_in_an_example_or_extension_is_left_alone():
    root = with_schema({"type": "object"}) | {"x-more": {"$ref": "nowhere"}}
    root["components"]["examples"] = {"one": {"value": {"$ref": "alias.outputs"}}}

    assert from_value(root, "api.yaml").root is root


# --- Schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"not": {}}, "/not: this keyword is not supported"),
        ({"type": "array", "prefixItems": []}, "/prefixItems: this keyword is not supported"),
        ({"type": "object", "patternProperties": {}}, "/patternProperties: this keyword is not supported"),
        ({"type": "array", "uniqueItems": True}, "/uniqueItems: this keyword is not supported"),
        (
            {"type": "string", "nullable": True},
            "/nullable: exists only in OpenAPI 3.0; in 3.1 write anyOf with {type: 'null'}",
        ),
        ({"type": "text"}, "/type: one or more of string, integer, number, boolean, null, array, object, not 'text'"),
        ({"type": []}, "/type: one or more of string, integer, number, boolean, null, array, object, not []"),
        (
            {"type": {"a": 1}},
            "/type: one or more of string, integer, number, boolean, null, array, object, not {'a': 1",
        ),
        ({"type": "string", "minimum": 1}, "/minimum: does not apply to type string"),
        ({"type": ["integer", "null"], "maxLength": 1}, "/maxLength: does not apply to type integer or null"),
        ({"minLength": 1}, "/minLength: does not apply to a schema without a type"),
        ({"properties": {}}, "/properties: does not apply to a schema without a type"),
        ({"type": "string", "minLength": -1}, "/minLength: a count, not -1"),
        ({"type": "string", "minLength": True}, "/minLength: a count, not True"),
        ({"type": "string", "pattern": 1}, "/pattern: text, not 1"),
        ({"type": "number", "minimum": "1"}, "/minimum: a number, not '1'"),
        ({"type": "number", "multipleOf": 0}, "/multipleOf: a number above 0, not 0"),
        ({"type": "integer", "minimum": 0.5}, "/minimum: bounds of an integer are integers"),
        ({"type": "object", "required": "a"}, "/required: property names, not 'a'"),
        ({"type": "object", "required": ["a"]}, "/required: 'a' is not one of the properties"),
        ({"type": "object", "required": ["a"], "properties": None}, "/properties: a mapping of names to schemas"),
        (
            {"type": "object", "properties": {"a": {}}, "minProperties": 1},
            "/minProperties: is not supported beside properties",
        ),
        ({"type": "object", "properties": [1]}, "/properties: a mapping of names to schemas"),
        ({"type": "object", "properties": {"a": 5}}, "/properties/a: a schema is a mapping, not 5"),
        ({"type": "object", "additionalProperties": 5}, "/additionalProperties: a schema is a mapping, not 5"),
        ({"type": "array", "items": {"x": 1}}, "/items/x: this keyword is not supported"),
        ({"type": "array", "items": [{}]}, "/items: a schema is a mapping, not [{}]"),
        ({"anyOf": []}, "/anyOf: a list of schemas"),
        ({"anyOf": {"a": 1}}, "/anyOf: a list of schemas"),
        ({"anyOf": [{}, {"if": {}}]}, "/anyOf/1/if: this keyword is not supported"),
        ({"anyOf": [{}], "type": "string"}, "/type: is not supported beside anyOf"),
        ({"anyOf": [{}], "oneOf": [{}]}, "/oneOf: is not supported beside anyOf"),
        ({"$ref": "#/components/schemas/Thing", "maxLength": 1}, "/maxLength: is not supported beside $ref"),
        ({"allOf": [{}, {}]}, "/allOf: more than one schema to merge is not supported"),
        ({"enum": []}, "/enum: text, integers, booleans or null in a list, not []"),
        ({"enum": "a"}, "/enum: text, integers, booleans or null in a list, not 'a'"),
        ({"enum": [{}]}, "/enum: text, integers, booleans or null in a list, not [{}]"),
        ({"const": 1.5}, "/const: text, integers, booleans or null, not 1.5"),
        (False, ": the schema false is not supported"),
        ("x", ": a schema is a mapping, not 'x'"),
    ],
)
def test_a_schema_that_is_not_supported_is_refused_with_its_pointer(schema, problem):
    assert refused_schema(schema).startswith(f"api.yaml: #/components/schemas/Thing{problem}")


def test_annotations_and_extensions_are_no_hindrance():
    schema = {
        "title": "T",
        "description": "D",
        "deprecated": True,
        "readOnly": True,
        "x-anything": {"if": 1},
        "type": "string",
        "format": "made-up",
        "default": "a",
        "examples": ["b"],
    }

    assert from_value(with_schema(schema), "api.yaml").root["components"]["schemas"]["Thing"] == schema


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "string", "pattern": "("}, "#/components/schemas/Thing: "),
        ({"type": "string", "pattern": "(?=a)"}, "#/components/schemas/Thing: "),
        (
            {"type": "string", "format": "uuid", "maxLength": 3},
            "#/components/schemas/Thing/maxLength: is not supported beside format uuid",
        ),
    ],
)
def test_a_schema_that_cannot_be_compiled_is_refused_in_one_line(schema, problem):
    document = from_value(with_schema(schema), "api.yaml")

    message = refusal(validator, document, schema, "/components/schemas/Thing", "quick")

    assert message.startswith(f"api.yaml: {problem}")
    assert "\n" not in message


def test_a_schema_nested_too_deeply_is_refused():
    schema: Any = {"type": "integer"}
    for _ in range(2_000):
        schema = {"type": "array", "items": schema}
    document = from_value(with_schema(schema), "api.yaml")

    assert refusal(validator, document, schema, "/components/schemas/Thing", "lax") == (
        "api.yaml: #/components/schemas/Thing: is nested too deeply"
    )


# --- Operations -------------------------------------------------------------------------------------------------------

OK = {"200": {"description": "ok"}}


def refused_operation(operation: dict[str, Any], *, path: str = "/a", method: str = "get") -> str:
    root = document_of({path: {method: operation}})
    return refusal(lambda: compile_operations(from_value(root, "api.yaml"), coercion="strict"))


def parameter(**named: Any) -> dict[str, Any]:
    merged = {"name": "a", "in": "query", "schema": {"type": "string"}} | named
    return {"operationId": "x", "responses": OK, "parameters": [merged]}


def body(content: Any) -> dict[str, Any]:
    return {"operationId": "x", "responses": OK, "requestBody": {"content": content}}


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ({"responses": OK}, ": an operation needs an operationId"),
        ("x", ": a mapping, not 'x'"),
        ({"operationId": "x"}, ": an operation needs a response"),
        ({"operationId": "x", "responses": []}, "/responses: a mapping, not []"),
        (
            {"operationId": "x", "responses": {"2XX": {}}},
            "/responses/2XX: a status is three digits; ranges and default",
        ),
        ({"operationId": "x", "responses": {"default": {}}}, "/responses/default: a status is three digits"),
        ({"operationId": "x", "responses": {"200": 1}}, "/responses/200: a mapping, not 1"),
        (
            {"operationId": "x", "responses": {"200": {"content": {"a/b": {}, "c/d": {}}}}},
            "/responses/200/content: one media type a response is supported",
        ),
        ({"operationId": "x", "responses": OK, "parameters": {}}, "/parameters: a list"),
        ({"operationId": "x", "responses": OK, "parameters": [1]}, "/parameters/0: a mapping, not 1"),
        (parameter(name=None), "/parameters/0: a parameter needs a name"),
        (parameter(**{"in": "cookie"}), "/parameters/0/in: parameters in 'cookie' are not supported"),
        (parameter(**{"in": []}), "/parameters/0/in: parameters in [] are not supported"),
        (parameter(style="deepObject"), "/parameters/0/style: in query, only form is supported"),
        (parameter(schema={"type": "object"}), "/parameters/0/schema: object in query is not supported"),
        (
            parameter(**{"in": "header", "schema": {"anyOf": [{"type": "array"}, {"type": "null"}]}}),
            "/parameters/0/schema: array or null in header is not supported",
        ),
        (
            parameter(schema={"type": "array", "items": {}}, explode=False),
            "/parameters/0/explode: lists are supported as repeated parameters only",
        ),
        (
            {"operationId": "x", "responses": OK, "parameters": [{"name": "a", "in": "query", "content": {}}]},
            "/parameters/0: a parameter needs a schema; content is not supported",
        ),
        (body({"text/plain": {}}), "/requestBody/content/text~1plain: a request body is supported as JSON"),
        (body({}), "/requestBody/content: a request body is supported as JSON"),
        (body({"application/json": {}}), "/requestBody/content: a request body needs a schema"),
        (parameter(**{"in": "path"}), ": path parameters are ['a'], the path is /a (one parameter a segment)"),
    ],
)
def test_an_operation_that_is_not_supported_is_refused_with_its_pointer(operation, problem):
    assert refused_operation(operation).startswith(f"api.yaml: #/paths/~1a/get{problem}")


@pytest.mark.parametrize("path", ["/{a}", "/{b}.json", "/{b}/{c}", "/x{b}"])
def test_a_path_whose_parameters_are_not_those_declared_is_refused(path):
    operation = parameter(name="b", **{"in": "path"})

    assert "path parameters are ['b'], the path is" in refused_operation(operation, path=path)


def test_a_path_with_something_else_than_methods_is_refused():
    assert refused_operation({}, method="fetch") == "api.yaml: #/paths/~1a/fetch: is not supported in a path"
    root = document_of({"/a": {"x-more": 1, "summary": "s", "get": {"operationId": "x", "responses": OK}}})
    assert list(compile_operations(from_value(root, "api.yaml"), coercion="lax")) == ["x"]


def test_two_operations_of_one_id_are_refused():
    root = document_of({"/a": {"get": {"operationId": "x", "responses": OK}, "put": {"operationId": "x"}}})
    root["paths"]["/a"]["put"]["responses"] = OK

    assert refusal(lambda: compile_operations(from_value(root, "api.yaml"), coercion="lax")) == (
        "api.yaml: #/paths/~1a/put/operationId: GET /a has the same"
    )


_KEYWORDS = [
    *("type", "properties", "required", "items", "additionalProperties", "anyOf", "oneOf", "allOf", "enum", "const"),
    *("minLength", "maximum", "multipleOf", "pattern", "format", "default", "minItems", "maxProperties", "$ref", "not"),
]
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats()
    | st.sampled_from([*_KEYWORDS, "string", "integer", "number", "object", "array", "null", "uuid", "date", "a", "["])
    | st.sampled_from(["#/components/schemas/Thing", "#/components/schemas/Thing/items", "date-time", "boolean"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*_KEYWORDS, "a", "b"]), inner, max_size=4)
    ),
    max_leaves=15,
)
_schemas = st.recursive(
    st.sampled_from([True, {}, {"type": "string"}, {"type": ["integer", "null"]}, {"enum": ["a", 1, None]}])
    | st.just({"$ref": "#/components/schemas/Thing"}),
    lambda inner: (
        st.builds(lambda one: {"type": "array", "items": one}, inner)
        | st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner)
        | st.builds(lambda one, two: {"oneOf": [one, two]}, inner, inner)
        | st.builds(lambda one, two: {"type": "object", "properties": {"a": one, "b": two}}, inner, inner)
        | st.builds(lambda one: {"type": "object", "additionalProperties": one}, inner)
    ),
    max_leaves=6,
)


def is_finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def judges_of(schema: Any) -> list[SchemaValidator] | str:
    """The schema compiled in each way, or why it is refused."""
    try:
        document = from_value(with_schema(schema), "api.yaml")
        return [validator(document, schema, "/components/schemas/Thing", way) for way in ("quick", "lax", "strict")]
    except SpecError as error:
        return str(error)


@settings(max_examples=400)
@given(_values | _schemas, _values)
@example({"anyOf": [{"$ref": "#/components/schemas/Thing"}, {"type": "null"}]}, {})
@example({"type": "object", "properties": {"a": {"$ref": "#/components/schemas/Thing"}}}, {"a": {"a": {"a": 5}}})
@example({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}, [[[]], [5]])
def test_whatever_stands_for_a_schema_it_is_refused_or_it_judges_any_value(schema, value):
    judges = judges_of(schema)
    if isinstance(judges, str):
        assert re.match(r"api\.yaml: #/components/schemas/Thing.*: .", judges, re.DOTALL)
        return
    verdicts = []
    for judge in judges:
        try:
            verdicts.append((judge.validate_python(value, from_attributes=True, context=Violations()),))
        except ValidationError:
            verdicts.append(())
    quick, lax, strict = verdicts
    if is_finite(value):
        assert not quick or json.dumps(quick) == json.dumps(strict)
        assert not strict or json.dumps(strict) == json.dumps(lax)
