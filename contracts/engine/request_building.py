"""Builds requests from an operation, its parameters and a body."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from contracts.core.exchange import TOKEN, Request
from contracts.core.json_tree import plain_json
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle.run_list import Query


def request_for(
    operation: str | tuple[str, str],
    *ids: str,
    query: Query = (),
    body: Any = UNREAD,
    raw: bytes | None = None,
    key: str | None = None,
    token: str | None = TOKEN,
    headers: Sequence[tuple[str, str]] = (),
) -> Request:
    """Return the request. `operation` is an operationId, or (method, path) for a request that the document does not
    describe. `ids` fill the parameters of its path, `raw` is a body that is sent unchanged, and `key` an idempotency
    key. A lone surrogate in `query` stands for a byte (PEP 383).
    """
    if isinstance(operation, str):
        method, template = operations()[operation]
        path = path_for(template, *ids)
    else:
        method, path = operation
    path += f"?{urlencode(list(query), errors='surrogateescape', quote_via=quote)}" if query else ""
    sent = raw if raw is not None or body is UNREAD else encode(body)
    is_json = sent is not None and not any(name.lower() == "content-type" for name, _ in headers)
    usual = [
        *([("Authorization", token)] if token is not None else []),
        *([("Content-Type", "application/json")] if is_json else []),
        *([("Idempotency-Key", key)] if key is not None else []),
    ]
    return Request(method, path, (*usual, *headers), sent)


def path_for(template: str, *ids: str) -> str:
    parts = template.split("/")
    given = iter(ids)
    return "/".join(quote(next(given), safe="") if part.startswith("{") else part for part in parts)


def encode(body: Any) -> bytes:
    return plain_json(body).encode()
