"""The document itself: that it is valid, that it says what its sources say, and that its examples obey it.

The expectations stand here by hand. They were copied from the reference page of the bulk operation, not from the
document, so that a slip in either shows.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.documents import api_document

DOCUMENT = api_document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

METHODS = ("get", "post", "patch", "delete", "put", "head", "options", "trace")
WRITES = ("post", "patch", "delete", "put")

# What each operation can answer. Any request may be malformed (400); all but health want a token (401); 404 where the
# path or, with --known-only, the body names something; 405 where a concrete path hides behind the template.
STATUSES = {
    ("post", "/v1/runs/bulk", "bulk_create_runs"): "201 400 401 404 409 413 422 429",
    ("post", "/v1/runs/chain", "create_run_chain"): "201 400 401 404 409 413 422 429",
    ("post", "/v1/runs", "create_run"): "201 400 401 404 409 413 422 429",
    ("get", "/v1/runs", "list_runs"): "200 400 401 422 429",
    ("get", "/v1/runs/{run_id}", "get_run"): "200 400 401 404 405 422 429",
    ("patch", "/v1/runs/{run_id}", "update_run"): "200 400 401 404 405 409 413 422 429",
    ("delete", "/v1/runs/{run_id}", "delete_run"): "204 400 401 404 405 409 422 429",
    ("post", "/v1/runs/{run_id}/retry", "retry_run"): "200 400 401 404 409 413 422 429",
    ("get", "/v1/run-attachments", "list_run_attachments"): "200 400 401 422 429",
    ("get", "/v1/run-attachments/{attachment_id}", "get_run_attachment"): "200 400 401 404 422 429",
    ("get", "/v1/run-attachments/{attachment_id}/download", "download_run_attachment"): "200 400 401 404 422 429",
    ("get", "/v1/run-attachments/{attachment_id}/download-url", "get_run_attachment_download_url"): (
        "200 400 401 404 422 429"
    ),
    ("get", "/v1/machines", "list_machines"): "200 400 401 422 429",
    ("get", "/v1/machines/{machine_id}", "get_machine"): "200 400 401 404 422 429",
    ("get", "/v1/pools", "list_pools"): "200 400 401 422 429",
    ("post", "/v1/pools", "create_pool"): "201 400 401 409 413 422 429",
    ("get", "/v1/pools/{pool_id}", "get_pool"): "200 400 401 404 422 429",
    ("post", "/v1/pools/{pool_id}/machines", "add_machine_to_pool"): "200 400 401 404 409 413 422 429",
    ("get", "/v1/workflows", "list_workflows"): "200 400 401 422 429",
    ("post", "/v1/workflows", "create_workflow"): "201 400 401 409 413 422 429",
    ("get", "/v1/workflows/{workflow_id}", "get_workflow"): "200 400 401 404 422 429",
    ("get", "/v1/health", "health_check"): "200 400 429",
}

UUID = {"type": "string", "format": "uuid"}
TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
MOMENT = {"type": "string", "format": "date-time"}
OBJECT = {"type": "object", "additionalProperties": True}


def list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


BULK_REQUEST = {
    "workflow_id": UUID,
    "count": {"type": "integer", "exclusiveMinimum": 0, "maximum": 1000},
    "machine_id": or_null(UUID),
    "pool_ids": or_null(list_of(UUID)),
    "input_values": or_null(OBJECT),
    "file_inputs": or_null(list_of(ref("FileInput"))),
    "sensitive_input_values": {**or_null(OBJECT), "x-sensitive": True},
    "session_id": or_null(UUID),
    "start_session": {**or_null(FLAG), "default": False},
}
BULK_ANSWER = {
    "created_runs": list_of(ref("RunResponse")),
    "failed_count": {"type": "integer", "default": 0},
    "errors": list_of(TEXT),
}
RUN = {
    "workflow_id": UUID,
    "machine_id": or_null(UUID),
    "id": UUID,
    "user_id": or_null(UUID),
    "organization_id": or_null(TEXT),
    "status": ref("RunStatus"),
    "error": or_null(list_of(TEXT)),
    "output_data": or_null(OBJECT),
    "input_attachment_ids": or_null(list_of(TEXT)),
    "output_attachment_ids": or_null(list_of(TEXT)),
    "run_message_history": or_null(list_of(OBJECT)),
    "input_values": or_null(OBJECT),
    "pool_ids": or_null(list_of(UUID)),
    "sensitive_input_aliases": or_null(OBJECT),
    "session_id": or_null(UUID),
    "session_alias": or_null(TEXT),
    "release_session_after": or_null(FLAG),
    "created_at": MOMENT,
}
MOMENTS_OF_NEWER_SERVERS = {"started_at": or_null(MOMENT), "ended_at": or_null(MOMENT)}
FILE_INPUT = {
    "filename": TEXT,
    "content": {"type": "string", "format": "byte", "contentEncoding": "base64"},
    "target_path": or_null(TEXT),
    "cleanup_imports_after_run": {**FLAG, "default": False},
}

SECRETS = {
    ("RunBulkCreate", "sensitive_input_values"),
    ("RunCreate", "sensitive_input_values"),
    ("RunRetry", "sensitive_input_values"),
    ("WorkflowChainCreate", "shared_sensitive_inputs"),
    ("ChainStep", "sensitive_inputs"),
}

LINKS = {
    ("bulk_create_runs", "get_run", "run_id", "$response.body#/created_runs/0/id"),
    ("bulk_create_runs", "update_run", "run_id", "$response.body#/created_runs/0/id"),
    ("bulk_create_runs", "retry_run", "run_id", "$response.body#/created_runs/0/id"),
    ("bulk_create_runs", "delete_run", "run_id", "$response.body#/created_runs/0/id"),
    ("create_run", "get_run", "run_id", "$response.body#/id"),
    ("create_run", "update_run", "run_id", "$response.body#/id"),
    ("create_run", "retry_run", "run_id", "$response.body#/id"),
    ("create_run", "delete_run", "run_id", "$response.body#/id"),
    ("create_run_chain", "get_run", "run_id", "$response.body#/run_ids/0"),
    ("list_run_attachments", "get_run_attachment", "attachment_id", "$response.body#/items/0/id"),
    ("list_run_attachments", "download_run_attachment", "attachment_id", "$response.body#/items/0/id"),
    ("list_run_attachments", "get_run_attachment_download_url", "attachment_id", "$response.body#/items/0/id"),
    ("create_pool", "get_pool", "pool_id", "$response.body#/id"),
    ("create_pool", "add_machine_to_pool", "pool_id", "$response.body#/id"),
    ("create_workflow", "get_workflow", "workflow_id", "$response.body#/id"),
}


# --- Reading the document ---------------------------------------------------------------------------------------------


def resolved(value: Any) -> Any:
    """What stands there, or what its reference leads to."""
    while isinstance(value, dict) and "$ref" in value:
        target = DOCUMENT
        for name in value["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        value = target
    return value


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """By operationId: method, path, operation with the parameters of its path among its own."""
    found = {}
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                parameters = [
                    resolved(each) for each in [*item.get("parameters", []), *item[method].get("parameters", [])]
                ]
                found[item[method]["operationId"]] = (method, path, {**item[method], "parameters": parameters})
    return found


OPERATIONS = operations()
ANSWERS = [
    (operation_id, status, resolved(answer))
    for operation_id, (_, _, operation) in OPERATIONS.items()
    for status, answer in operation["responses"].items()
]


def places(value: Any, pointer: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of the document with its pointer, but for what stands inside examples and defaults."""
    if isinstance(value, dict):
        yield pointer, value
        for name, member in value.items():
            if name not in ("example", "examples", "default", "enum") or pointer.endswith("/properties"):
                yield from places(member, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from places(member, f"{pointer}/{index}")


def schemas(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and those inside it, with their pointers."""
    yield pointer, value
    for name in ("items", "additionalProperties"):
        if isinstance(value.get(name), dict):
            yield from schemas(value[name], f"{pointer}/{name}")
    for index, member in enumerate(value.get("anyOf", [])):
        yield from schemas(member, f"{pointer}/anyOf/{index}")
    for name, member in value.get("properties", {}).items():
        yield from schemas(member, f"{pointer}/properties/{name}")


def all_schemas() -> list[tuple[str, dict[str, Any]]]:
    found = [each for name, schema in SCHEMAS.items() for each in schemas(schema, f"#/components/schemas/{name}")]
    for pointer, place in places(DOCUMENT):
        if "schema" in place and not pointer.startswith("#/components/schemas"):
            found.extend(schemas(place["schema"], f"{pointer}/schema"))
    return found


def absolute(value: Any) -> Any:
    """The same with references that do not depend on where they stand."""
    if isinstance(value, dict):
        return {k: f"urn:document{v}" if k == "$ref" else absolute(v) for k, v in value.items()}
    if isinstance(value, list):
        return [absolute(member) for member in value]
    return value


REGISTRY: Registry[Any] = Registry().with_resource("urn:document", Resource(absolute(DOCUMENT), DRAFT202012))


def problems(schema: dict[str, Any], instance: Any) -> list[str]:
    validator = Draft202012Validator(
        absolute(schema), registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]


def examples() -> Iterator[Any]:
    """Every example with the schema it belongs to: of media types, parameters, headers and schemas."""
    for pointer, place in places(DOCUMENT):
        if pointer.endswith("/properties"):
            continue
        if "schema" in place:
            schema, named = place["schema"], place.get("examples", {})
            instances = {name: resolved(example)["value"] for name, example in named.items()}
        else:
            schema, instances = place, dict(enumerate(place.get("examples", [])))
            if not {"type", "anyOf", "$ref"} & place.keys():
                continue
        if "example" in place:
            instances["example"] = place["example"]
        if "default" in place:
            instances["default"] = place["default"]
        for name, instance in instances.items():
            yield f"{pointer}-{name}", schema, instance


def without_words(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in ("description", "title")}


def properties_of(name: str) -> dict[str, Any]:
    return {field: without_words(schema) for field, schema in SCHEMAS[name]["properties"].items()}


# --- Valid ------------------------------------------------------------------------------------------------------------


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_every_example_and_default_obeys_its_schema() -> None:
    wrong = {place: problems(schema, instance) for place, schema, instance in examples()}
    assert {place: told for place, told in wrong.items() if told} == {}


def test_an_example_that_does_not_obey_would_be_found() -> None:
    assert problems(ref("RunBulkCreate"), {"workflow_id": "no uuid", "count": 1001}) == [
        "$.workflow_id: 'no uuid' is not a 'uuid'",
        "$.count: 1001 is greater than the maximum of 1000",
    ]
    assert problems(MOMENT, "yesterday") == ["$: 'yesterday' is not a 'date-time'"]


def test_no_example_says_a_thing_that_its_schema_does_not_know() -> None:
    """Extra properties are allowed, so a misspelled one in an example would pass unseen."""
    unknown = []
    for pointer, place in places(DOCUMENT):
        if "schema" in place and "examples" in place:
            for name, example in place["examples"].items():
                unknown.extend(f"{pointer}/{name}{at}" for at in _unknown(place["schema"], example["value"], ""))
    assert unknown == []


def _unknown(schema: dict[str, Any], instance: Any, at: str) -> Iterator[str]:
    schema = resolved(schema)
    if "anyOf" in schema:
        fitting = [member for member in schema["anyOf"] if not problems(member, instance)]
        yield from _unknown(fitting[0], instance, at)
    elif isinstance(instance, list):
        for index, member in enumerate(instance):
            yield from _unknown(schema.get("items", {}), member, f"{at}/{index}")
    elif isinstance(instance, dict) and "properties" in schema and "additionalProperties" not in schema:
        for name, member in instance.items():
            if name in schema["properties"]:
                yield from _unknown(schema["properties"][name], member, f"{at}/{name}")
            else:
                yield f"{at}/{name}"


# --- The source document ----------------------------------------------------------------------------------------------


def test_a_bulk_create_takes_exactly_the_fields_of_the_source_document() -> None:
    assert properties_of("RunBulkCreate") == BULK_REQUEST
    assert SCHEMAS["RunBulkCreate"]["required"] == ["workflow_id", "count"]


def test_a_bulk_create_answers_exactly_the_fields_of_the_source_document() -> None:
    assert properties_of("RunBulkCreateResponse") == BULK_ANSWER
    assert SCHEMAS["RunBulkCreateResponse"]["required"] == ["created_runs"]


def test_a_run_has_the_fields_of_the_source_document_in_its_order_and_two_moments() -> None:
    expected = {**RUN, **MOMENTS_OF_NEWER_SERVERS}
    assert properties_of("RunResponse") == expected
    assert list(SCHEMAS["RunResponse"]["properties"]) == list(expected)
    assert SCHEMAS["RunResponse"]["required"] == ["workflow_id", "machine_id", "id", "status", "created_at"]


def test_a_run_with_includes_is_a_run_and_what_was_included() -> None:
    plain, included = SCHEMAS["RunResponse"], SCHEMAS["RunResponseWithIncludes"]
    assert included["required"] == plain["required"]
    assert {**plain["properties"], "included": included["properties"]["included"]} == included["properties"]
    assert without_words(included["properties"]["included"]) == or_null(list_of(ref("IncludedResource")))


def test_a_file_input_has_the_fields_of_the_source_document() -> None:
    assert properties_of("FileInput") == FILE_INPUT
    assert SCHEMAS["FileInput"]["required"] == ["filename", "content"]


def test_a_bulk_create_is_posted_as_json_with_a_bearer_token() -> None:
    method, path, operation = OPERATIONS["bulk_create_runs"]
    assert (method, path) == ("post", "/v1/runs/bulk")
    assert operation["requestBody"]["required"] is True
    assert {media: content["schema"] for media, content in operation["requestBody"]["content"].items()} == {
        "application/json": ref("RunBulkCreate")
    }
    assert operation["responses"]["201"]["content"]["application/json"]["schema"] == ref("RunBulkCreateResponse")
    assert DOCUMENT["security"] == [{"bearerAuth": []}]
    scheme = DOCUMENT["components"]["securitySchemes"]["bearerAuth"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_the_example_request_of_the_source_document_is_valid() -> None:
    some_id = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    request = {
        "workflow_id": some_id,
        "machine_id": some_id,
        "pool_ids": [some_id],
        "input_values": {},
        "file_inputs": [
            {
                "filename": "<string>",
                "content": "<string>",
                "target_path": "<string>",
                "cleanup_imports_after_run": False,
            }
        ],
        "count": 123,
        "sensitive_input_values": {},
        "session_id": some_id,
        "start_session": True,
    }
    assert problems(ref("RunBulkCreate"), request) == []


# --- Every operation --------------------------------------------------------------------------------------------------


def test_the_operations_are_those_of_the_sources_at_their_paths() -> None:
    assert {(method, path, name) for name, (method, path, _) in OPERATIONS.items()} == set(STATUSES)


@pytest.mark.parametrize(("place", "statuses"), STATUSES.items(), ids=[place[2] for place in STATUSES])
def test_an_operation_documents_every_status_it_can_answer(place: tuple[str, str, str], statuses: str) -> None:
    assert list(OPERATIONS[place[2]][2]["responses"]) == statuses.split()


def test_every_answer_has_a_schema_and_a_named_example_unless_it_is_empty() -> None:
    for operation_id, status, answer in ANSWERS:
        place = f"{operation_id} {status}"
        assert answer["description"], place
        if status == "204":
            assert "content" not in answer, place
            continue
        media = "application/octet-stream" if place == "download_run_attachment 200" else "application/json"
        assert list(answer["content"]) == [media], place
        assert answer["content"][media]["schema"], place
        assert answer["content"][media]["examples"], place


def test_every_error_is_a_detail_and_a_422_lists_what_is_wrong() -> None:
    for operation_id, status, answer in ANSWERS:
        if status.startswith("4"):
            expected = ref("HTTPValidationError") if status == "422" else ref("Error")
            assert answer["content"]["application/json"]["schema"] == expected, f"{operation_id} {status}"


def test_every_answer_documents_its_headers() -> None:
    for operation_id, status, answer in ANSWERS:
        expected: set[str] = set()
        if status.startswith("2") or status == "429":
            expected |= {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
        if status.startswith("2") and OPERATIONS[operation_id][0] in WRITES:
            expected |= {"Idempotency-Status", "Preference-Applied"}
        expected |= {
            "401": {"WWW-Authenticate"},
            "405": {"Allow"},
            "409": {"Idempotency-Status"},
            "429": {"Retry-After"},
        }.get(status, set())
        headers = answer.get("headers", {})
        required = {name for name, header in headers.items() if resolved(header).get("required")}
        assert expected <= set(headers), f"{operation_id} {status}"
        assert required == expected & {"Retry-After"}, f"{operation_id} {status}"


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_an_operation_says_where_it_comes_from_and_what_it_does(operation_id: str) -> None:
    _, _, operation = OPERATIONS[operation_id]
    assert operation["x-source"]["origin"] == ("document" if operation_id == "bulk_create_runs" else "facts")
    assert operation["x-source"]["note"]
    assert operation["summary"]
    assert operation["description"]
    assert set(operation["tags"]) < {tag["name"] for tag in DOCUMENT["tags"]}


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_write_and_no_read_takes_an_idempotency_key(operation_id: str) -> None:
    method, _, operation = OPERATIONS[operation_id]
    keys = [each for each in operation["parameters"] if (each["in"], each["name"]) == ("header", "Idempotency-Key")]
    assert len(keys) == (1 if method in WRITES else 0)
    assert all(not key["required"] for key in keys)


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_every_variable_of_a_path_is_a_required_uuid(operation_id: str) -> None:
    _, path, operation = OPERATIONS[operation_id]
    variables = {segment[1:-1] for segment in path.split("/") if segment.startswith("{")}
    assert {each["name"] for each in operation["parameters"] if each["in"] == "path"} == variables
    assert all(
        (each["required"], each["schema"]) == (True, UUID) for each in operation["parameters"] if each["in"] == "path"
    )


def test_only_health_answers_without_a_token() -> None:
    assert {name for name, (_, _, operation) in OPERATIONS.items() if operation.get("security") == []} == {
        "health_check"
    }
    assert all("security" not in operation for name, (_, _, operation) in OPERATIONS.items() if name != "health_check")


def test_a_list_of_runs_takes_every_query_parameter_of_the_sources_with_its_default() -> None:
    parameters = {each["name"]: resolved(each["schema"]) for each in OPERATIONS["list_runs"][2]["parameters"]}
    assert " ".join(parameters) == (
        "workflow_id machine_id session_id status created_at_from created_at_to search deep_search fields "
        "sort_mode include skip limit"
    )
    defaults = {name: schema["default"] for name, schema in parameters.items() if "default" in schema}
    assert defaults == {"deep_search": False, "sort_mode": "activity", "skip": 0, "limit": 100}
    assert without_words(parameters["skip"]) == {"type": "integer", "minimum": 0, "default": 0}
    assert without_words(parameters["limit"]) == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    (fields,) = (each for each in OPERATIONS["list_runs"][2]["parameters"] if each["name"] == "fields")
    assert (fields["style"], fields["explode"], fields["schema"]) == ("form", True, list_of(ref("RunField")))


@pytest.mark.parametrize("name", ["RunList", "RunAttachmentList", "MachineList", "PoolList", "WorkflowList"])
def test_every_list_is_items_total_skip_and_limit(name: str) -> None:
    assert SCHEMAS[name]["required"] == ["items", "total", "skip", "limit"]
    assert set(SCHEMAS[name]["properties"]) - {"included"} == set(SCHEMAS[name]["required"])


def test_an_update_changes_only_what_it_names_so_nothing_is_required_or_has_a_default() -> None:
    assert "required" not in SCHEMAS["RunUpdate"]
    assert [name for name, schema in SCHEMAS["RunUpdate"]["properties"].items() if "default" in schema] == []


def test_links_lead_from_what_was_made_to_operations_that_take_its_id() -> None:
    found = {
        (operation_id, link["operationId"], parameter, expression)
        for operation_id, (_, _, operation) in OPERATIONS.items()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
        for parameter, expression in link["parameters"].items()
    }
    assert found == LINKS
    for _, target, parameter, _ in found:
        assert parameter in {each["name"] for each in OPERATIONS[target][2]["parameters"]}


def test_what_a_link_takes_from_an_answer_stands_in_that_answers_first_example() -> None:
    for operation_id, _, _, expression in LINKS:
        answers = OPERATIONS[operation_id][2]["responses"]
        answer = answers["201" if "201" in answers else "200"]["content"]["application/json"]
        value = next(iter(answer["examples"].values()))["value"]
        for token in expression.removeprefix("$response.body#/").split("/"):
            value = value[int(token) if token.isdecimal() else token]
        assert problems(UUID, value) == []


# --- What keeps it simple to use --------------------------------------------------------------------------------------


def test_nothing_nullable_is_written_as_a_list_of_types() -> None:
    """schemathesis takes the empty string for valid under `type: [string, "null"], format: uuid`."""
    assert [pointer for pointer, schema in all_schemas() if isinstance(schema.get("type"), list)] == []
    assert [pointer for pointer, schema in all_schemas() if "nullable" in schema] == []


def test_a_reference_stands_alone_and_leads_to_a_component() -> None:
    for pointer, place in places(DOCUMENT):
        if "$ref" in place:
            assert list(place) == ["$ref"], pointer
            assert resolved(place), pointer


def test_schemas_use_only_keywords_that_a_small_compiler_can_know() -> None:
    words = (
        "type properties required items anyOf enum default description format minimum maximum exclusiveMinimum "
        "minItems maxLength additionalProperties contentEncoding x-sensitive $ref"
    )
    known = set(words.split())
    assert {pointer: set(schema) - known for pointer, schema in all_schemas() if set(schema) - known} == {}


def test_every_enum_is_a_component_since_a_real_server_names_them() -> None:
    named = {pointer.removeprefix("#/components/schemas/") for pointer, schema in all_schemas() if "enum" in schema}
    assert named == {"RunStatus", "RunField", "RunListSortMode", "MachineStatus", "AttachmentType"}


def test_no_schema_contains_itself() -> None:
    def inside(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above, name])
        for _, schema in schemas(SCHEMAS[name], name):
            if "$ref" in schema:
                inside(schema["$ref"].rsplit("/", 1)[1], (*above, name))

    for name in SCHEMAS:
        inside(name, ())


def test_no_object_refuses_properties_it_does_not_know() -> None:
    assert [pointer for pointer, schema in all_schemas() if schema.get("additionalProperties") is False] == []


def test_exactly_the_secret_fields_are_marked_sensitive() -> None:
    marked = {
        (name, field)
        for name, schema in SCHEMAS.items()
        for field, member in schema.get("properties", {}).items()
        if member.get("x-sensitive") is True
    }
    assert marked == SECRETS


def test_every_component_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for kind in ("parameters", "headers", "responses", "schemas"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, f"{kind}/{name}"


def test_the_document_says_which_servers_there_are() -> None:
    assert [server["url"] for server in DOCUMENT["servers"]] == ["http://127.0.0.1:4010", "https://api.cyberdesk.io"]
