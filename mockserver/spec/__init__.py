"""Compiles any OpenAPI 3.1 document for serving: no HTTP server, no domain knowledge, no I/O after loading.

document = load("api.yaml")
operations = compile_operations(document, coercion="strict")
call = operations["get_thing"].decode(raw)
"""

from mockserver.spec.aliases import expanded_size
from mockserver.spec.document import Document, SpecError, load, value_at
from mockserver.spec.examples import reply
from mockserver.spec.jsontext import parse_json, render_json
from mockserver.spec.operation import (
    Body,
    Bounds,
    Call,
    Coercion,
    Operation,
    Parameter,
    Response,
    compile_operations,
    is_json,
)
from mockserver.spec.request import Invalid, RawRequest
from mockserver.spec.schema import ValueReader, compile_schema
from mockserver.spec.validation import is_number
from mockserver.spec.violations import MASK, Masker, Violations

__all__ = [
    "MASK",
    "Body",
    "Bounds",
    "Call",
    "Coercion",
    "Document",
    "Invalid",
    "Masker",
    "Operation",
    "Parameter",
    "RawRequest",
    "Response",
    "SpecError",
    "ValueReader",
    "Violations",
    "compile_operations",
    "compile_schema",
    "expanded_size",
    "is_json",
    "is_number",
    "load",
    "parse_json",
    "render_json",
    "reply",
    "value_at",
]
