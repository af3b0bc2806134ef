"""What an operation takes and answers, on small documents."""

import json
from importlib.resources import files
from typing import Any

import pytest

from mockserver.spec import Invalid, Operation, RawRequest, compile_operations, load
from mockserver.spec.document import from_value
from tests.mockserver.spec.inline import answer_operation, body_operation, document_of, sent

OK = {"204": {"description": "done"}}


def query_operation(*parameters: dict[str, Any], **beside: Any) -> Operation:
    get = {"operationId": "get", "parameters": list(parameters), "responses": OK}
    document = from_value(document_of({"/a": {"get": get, **beside}}), "api.yaml")
    return compile_operations(document, coercion="strict")["get"]


def refused(operation: Operation, raw: RawRequest) -> list[tuple[str, list[Any]]]:
    with pytest.raises(Invalid) as caught:
        operation.decode(raw)
    assert caught.value.status == 422
    assert str(caught.value) == f"violations: {len(caught.value.violations)}"
    return [(violation["type"], violation["loc"]) for violation in caught.value.violations]


@pytest.fixture(scope="module")
def operations() -> dict[str, Operation]:
    return compile_operations(load(files("openapi") / "cyberdesk.yaml"), coercion="strict")


def test_an_operation_says_what_the_document_says(operations):
    update = operations["update_run"]

    assert repr(update) == "<Operation update_run: PATCH /v1/runs/{run_id}>"
    assert (update.method, update.path) == ("PATCH", "/v1/runs/{run_id}")
    assert (update.has_body, update.success_status, update.secured) == (True, 200, True)
    assert [(one.place, one.name, one.required) for one in update.parameters] == [
        ("path", "run_id", True),
        ("header", "idempotency-key", False),
    ]
    assert operations["health_check"].secured is False
    assert operations["delete_run"].success_status == 204
    assert operations["delete_run"].responses[204].content_type is None


@pytest.mark.parametrize(
    ("security", "secured"),
    [([], False), ([{}], False), ([{"bearer": []}, {}], False), ([{"bearer": []}], True), (None, True)],
)
def test_an_operation_is_secured_unless_an_alternative_asks_for_nothing(security, secured):
    get = {"operationId": "get", "responses": OK} | ({} if security is None else {"security": security})
    root = document_of({"/a": {"get": get}}) | {"security": [{"bearer": []}]}

    assert compile_operations(from_value(root, "api.yaml"), coercion="lax")["get"].secured is secured


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_violations_are_listed_in_the_order_path_query_header_body():
    schema = {"schema": {"type": "integer"}, "required": True}
    put = {
        "operationId": "put",
        "parameters": [
            {"name": "X-Header", "in": "header", **schema},
            {"name": "query", "in": "query", **schema},
            {"name": "path", "in": "path", **schema},
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "array"}}}},
        "responses": OK,
    }
    document = from_value(document_of({"/a/{path}": {"put": put}}), "api.yaml")
    operation = compile_operations(document, coercion="strict")["put"]

    assert refused(operation, RawRequest({"path": "x"}, b"", {}.get, "application/json", b"{}")) == [
        ("int_parsing", ["path", "path"]),
        ("missing", ["query", "query"]),
        ("missing", ["header", "x-header"]),
        ("list_type", ["body"]),
    ]
    assert operation.decode(RawRequest({"path": "1"}, "query=2", {"x-header": "3"}.get, "application/json", b"[4]"))[
        1:
    ] == (
        {"path": 1},
        {"query": 2},
        {"x-header": 3},
        [4],
        [4],
    )


def test_query_text_is_read_leniently_in_strict_too_and_the_last_of_several_counts():
    operation = query_operation(
        {"name": "n", "in": "query", "schema": {"type": "integer"}},
        {"name": "x", "in": "query", "schema": {"type": "number"}},
        {"name": "b", "in": "query", "schema": {"type": "boolean"}},
    )

    assert operation.decode(RawRequest({}, b"n=1&n=%205&x=1.5&b=on&other=1", {}.get, None, b"")).query == {
        "n": 5,
        "x": 1.5,
        "b": True,
    }


def test_a_list_in_the_query_is_repeated_and_has_its_defaults():
    operation = query_operation(
        {
            "name": "a",
            "in": "query",
            "schema": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        },
        {"name": "b", "in": "query", "schema": {"type": "array", "items": {}, "default": ["x"]}},
    )

    assert operation.decode(RawRequest({}, "a=1&a=2", {}.get, None, b"")).query == {"a": [1, 2], "b": ["x"]}
    assert operation.decode(RawRequest({}, b"", {}.get, None, b"")).query == {"b": ["x"]}
    assert refused(operation, RawRequest({}, b"a=1&a=x", {}.get, None, b"")) == [("int_parsing", ["query", "a", 1])]


def test_parameters_of_the_path_are_shared_and_those_of_the_operation_come_first():
    shared = [
        {"name": "n", "in": "query", "schema": {"type": "integer", "default": 1}},
        {"name": "m", "in": "query", "schema": {"type": "integer", "default": 2}},
    ]
    operation = query_operation(
        {"name": "n", "in": "query", "schema": {"type": "integer", "default": 3}}, parameters=shared
    )

    assert operation.decode(RawRequest({}, b"", {}.get, None, b"")).query == {"n": 3, "m": 2}


def test_headers_that_describe_the_exchange_are_no_parameters():
    operation = query_operation(
        *({"name": name, "in": "header", "schema": {}, "required": True} for name in ("Accept", "Authorization"))
    )

    assert operation.parameters == ()


def test_an_object_keeps_its_fields_gains_its_defaults_and_drops_the_rest():
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "integer", "default": 7},
            "c": {"type": "array", "items": {"$ref": "#/components/schemas/Inner"}},
            "d": {"type": "array", "default": []},
        },
    }
    inner = {"type": "object", "properties": {"x": {"type": "boolean", "default": False}}}
    operation = body_operation(schema, Inner=inner)

    quick = operation.decode(sent(b'{"c": [{"y": 1}], "a": "1", "more": 2}'))
    slow = operation.decode(sent(b'{"c": [{"y": 1}], "a": "1", "more": 2, "b": 7.0}'))

    assert quick.body == slow.body == {"a": "1", "b": 7, "c": [{"x": False}], "d": []}
    assert quick.sent_fields == {"a", "c"}
    assert slow.sent_fields == {"a", "b", "c"}
    quick.body["d"].append(1)
    slow.body["d"].append(1)
    assert operation.decode(sent(b'{"a": "1"}')).body["d"] == []


@pytest.mark.parametrize(
    ("others", "kept"),
    [(True, {"x": "1", "y": 1.0}), ({"type": "integer"}, {"x": "int_type"}), (False, {"x": "extra_forbidden"})],
)
def test_other_fields_of_an_object_are_what_additional_properties_says(others, kept):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": others}
    operation = body_operation(schema)
    body = b'{"a": 1, "x": "1", "y": 1.0}'

    if others is True:
        assert operation.decode(sent(body)).body == {"a": 1} | kept
        assert operation.decode(sent(body.replace(b"1,", b"1.0,"))).body == {"a": 1} | kept
    else:
        assert refused(operation, sent(body))[0] == (kept["x"], ["body", "x"])


def test_a_map_has_values_of_its_schema_and_as_many_as_it_may():
    schema = {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2}
    operation = body_operation(schema)

    assert operation.decode(sent(b'{"x": 1, "y": 2.0}')).body == {"x": 1, "y": 2}
    assert refused(operation, sent(b"{}")) == [("too_short", ["body"])]
    assert refused(operation, sent(b'{"x": 1, "y": 2, "z": 3}')) == [("too_long", ["body"])]
    assert refused(operation, sent(b'{"x": "1"}')) == [("int_type", ["body", "x"])]
    assert refused(body_operation({"type": "object", "additionalProperties": False}), sent(b'{"a": 1}')) == [
        ("too_long", ["body"])
    ]


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        ({"type": "string", "minLength": 2}, "a", "string_too_short"),
        ({"type": "string", "maxLength": 2}, "abc", "string_too_long"),
        ({"type": "string", "pattern": "^a+$"}, "b", "string_pattern_mismatch"),
        ({"type": "integer", "exclusiveMinimum": 1}, 1, "greater_than"),
        ({"type": "integer", "exclusiveMaximum": 1}, 1, "less_than"),
        ({"type": "number", "maximum": 1.5}, 1.6, "less_than_equal"),
        ({"type": "number", "multipleOf": 0.5}, 0.7, "multiple_of"),
        ({"type": "array", "minItems": 1}, [], "too_short"),
        ({"type": "array", "maxItems": 1}, [1, 2], "too_long"),
        ({"type": "null"}, 1, "none_required"),
        ({"anyOf": [{"type": "null"}]}, 1, "none_required"),
        ({"allOf": [{"type": "string"}]}, 1, "string_type"),
        ({"type": ["string", "null"]}, 1, "string_type"),
        ({"$ref": "#/components/schemas/Kind"}, "c", "enum"),
        ({"$ref": "#/components/schemas/Number"}, 3, "enum"),
        ({"$ref": "#/components/schemas/Mixed"}, 3, "enum"),
    ],
)
def test_every_constraint_is_held(schema, value, problem):
    kinds = {"Kind": {"enum": ["a", "b"]}, "Number": {"enum": [1, 2]}, "Mixed": {"enum": ["a", 1, None]}}
    operation = body_operation(schema, **kinds)

    assert refused(operation, sent(json.dumps(value).encode()))[0] == (problem, ["body"])


def test_choices_read_the_first_that_fits_and_name_each_in_the_loc():
    schema = {"anyOf": [{"type": "integer"}, {"$ref": "#/components/schemas/Thing"}, {"type": ["array", "null"]}]}
    thing = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
    operation = body_operation(schema, Thing=thing)

    for value in (5, {"a": "x"}, [1], None):
        assert operation.decode(sent(json.dumps(value).encode())).body == value
    assert operation.decode(sent(b'{"a": "x"}')).sent_fields == {"a"}
    assert refused(operation, sent(b"{}")) == [
        ("int_type", ["body", "int"]),
        ("missing", ["body", "Thing", "a"]),
        ("list_type", ["body", "list"]),
    ]


def test_a_choice_with_a_free_one_takes_anything():
    operation = body_operation({"anyOf": [{"type": "integer"}, True, {}]})

    assert operation.decode(sent(b'{"a": ["x"]}')).body == {"a": ["x"]}
    assert refused(operation, sent(b"[1e400]"))[-1][0] == "finite_number"


def test_schemas_may_contain_themselves():
    tree = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        },
    }
    operation = body_operation({"$ref": "#/components/schemas/Tree"}, Tree=tree)

    value = {"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}
    assert operation.decode(sent(json.dumps(value).encode())).body == value
    value["children"][0]["children"][0]["name"] = 5
    assert refused(operation, sent(json.dumps(value).encode())) == [
        ("string_type", ["body", "children", 0, "children", 0, "name"])
    ]


def test_an_optional_body_that_is_left_out_reads_as_its_defaults():
    schema = {"type": "object", "properties": {"a": {"type": "integer", "default": 3}, "b": {"type": "integer"}}}
    operation = body_operation(schema, required=False)

    call = operation.decode(sent(b"", content_type=None))

    assert (call.body, call.sent_fields) == ({"a": 3}, frozenset())
    assert body_operation({"type": "array"}, required=False).decode(sent(b"")).body is None
    assert refused(body_operation(schema), sent(b"")) == [("missing", ["body"])]


def test_a_body_that_nobody_asked_for_is_not_looked_at():
    assert query_operation().decode(RawRequest({}, b"a=%", {}.get, "application/json", b"{")).body is None


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"9" * 5000, b"[" * 257 + b"]" * 257])
def test_a_body_that_cannot_be_read_at_all_is_refused_with_400(body):
    with pytest.raises(Invalid) as caught:
        body_operation({}).decode(sent(body))

    assert (caught.value.status, caught.value.violations) == (400, [])
    assert str(caught.value) == caught.value.detail == "There was an error parsing the body"


# --- Replies ----------------------------------------------------------------------------------------------------------

THING = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "at": {"type": "string", "format": "date-time"},
        "n": {"type": "integer"},
    },
}


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ({"id": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "more": [1]}, None),
        ({"id": "3C90C3CC-0D44-4B50-8888-8DD25736052A", "at": "2024-01-01T00:00:00.5Z", "n": 5.0}, None),
        ({}, "at id: Field required"),
        ({"id": "3c90c3cc0d444b5088888dd25736052a"}, "at id: Input should be a valid UUID"),
        ({"id": "x", "n": "5"}, "at id: Input should be a valid UUID"),
        ({"id": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "n": True}, "at n: Input should be a valid integer"),
        ({"id": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "at": "2024-01-01T00:00:00"}, "at at: Input should be a valid"),
        ([], "at the whole: Input should be"),
    ],
)
def test_a_reply_is_checked_by_the_letter_of_the_document(reply, problem):
    found = answer_operation(THING).check_reply(200, "application/json; charset=utf-8", json.dumps(reply).encode())

    assert found is None if problem is None else found is not None and found.startswith(problem)


def test_all_that_is_wrong_with_a_reply_is_named():
    found = answer_operation(THING).check_reply(200, "application/json", b'{"n": "x", "at": 5}')

    assert found is not None
    assert [part.split(":")[0] for part in found.split("; ")] == ["at id", "at at", "at n"]


@pytest.mark.parametrize(
    ("status", "content_type", "body", "problem"),
    [
        (418, "application/json", b"{}", "get_thing documents no status 418"),
        (200, "text/plain", b"{}", "content type text/plain, documented is application/json"),
        (200, None, b"", "content type None, documented is application/json"),
        (200, "application/json", b"{", "the body cannot be read as JSON: Expecting property name"),
        (200, "application/json", b"\xff", "the body cannot be read as JSON: 'utf-8' codec can't decode"),
        (200, "application/json", b"NaN", "the body cannot be read as JSON: Expecting value"),
        (200, "application/json", b"[" * 100_000, "the body cannot be read as JSON: "),
        (200, "application/json", b'{"x": 1e400}', "a number in the body is past the largest double"),
    ],
)
def test_a_reply_that_is_not_documented_or_no_json_is_named(status, content_type, body, problem):
    found = answer_operation(THING).check_reply(status, content_type, body)

    assert found is not None
    assert found.startswith(problem)


def test_a_reply_without_a_documented_body_has_none():
    operation = query_operation()

    assert operation.check_reply(204, None, b"") is None
    assert operation.check_reply(204, None, b"x") == "a body where none is documented"


def test_content_that_is_no_json_is_not_looked_into(operations):
    download = operations["download_run_attachment"]

    assert download.check_reply(200, "application/octet-stream", b"\xff") is None
    assert download.check_reply(200, "application/json", b"{}") is not None


def test_examples_have_names_and_a_single_one_is_called_default():
    operation = answer_operation(THING, examples={"one": {"value": {"id": 1}}, "two": {"value": {"id": 2}}})

    assert list(operation.responses[200].examples.items()) == [("one", {"id": 1}), ("two", {"id": 2})]
    assert answer_operation(THING, example={"id": 1}).responses[200].examples == {"default": {"id": 1}}
    assert answer_operation(THING).responses[200].examples == {}


def test_content_without_a_schema_may_be_anything():
    get = {"operationId": "get", "responses": {"200": {"description": "ok", "content": {"application/json": {}}}}}
    root = document_of({"/a": {"get": get}})
    operation = compile_operations(from_value(root, "api.yaml"), coercion="strict")["get"]

    assert operation.check_reply(200, "application/json", b'{"a": [1]}') is None
