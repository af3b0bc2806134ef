"""Small documents for tests."""

from typing import Any

from mockserver.spec import Operation, RawRequest, compile_operations
from mockserver.spec.document import from_value
from mockserver.spec.operation import Coercion


def document_of(paths: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}}


def with_schema(schema: Any, **others: Any) -> dict[str, Any]:
    """A document without paths, whose component Thing is the schema."""
    return document_of({}, Thing=schema, **others)


def body_operation(schema: Any, *, coercion: Coercion = "strict", required: bool = True, **schemas: Any) -> Operation:
    """PUT /thing, which takes the schema and answers 204."""
    put = {
        "operationId": "put_thing",
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}},
        "responses": {"204": {"description": "done"}},
    }
    document = from_value(document_of({"/thing": {"put": put}}, **schemas), "api.yaml")
    return compile_operations(document, coercion=coercion)["put_thing"]


def answer_operation(schema: Any, **media: Any) -> Operation:
    """GET /thing, which answers 200 with the schema."""
    content = {"application/json": {"schema": schema, **media}}
    get = {"operationId": "get_thing", "responses": {"200": {"description": "ok", "content": content}}}
    return compile_operations(from_value(document_of({"/thing": {"get": get}}), "api.yaml"), coercion="strict")[
        "get_thing"
    ]


def sent(body: bytes, *, content_type: str | None = "application/json") -> RawRequest:
    return RawRequest({}, b"", {}.get, content_type, body)
