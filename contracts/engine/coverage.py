"""Counts how often each rule was judged, by operation and by the part of the request or answer that it was about."""

import functools
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from contracts.core.exchange import Exchange
from contracts.openapi.fields import fields_of_answer, fields_of_body, parts_of, present
from contracts.openapi.router import operation_at
from contracts.openapi.schemas import operations
from contracts.oracle.request import ParsedRequest

_KEY: Final = "Idempotency-Key"
"""The only request header that the document describes. Its response headers are not counted."""


class Coverage:
    """Thread-safe. Only documented parts are counted, so that the coverage never contains a value that was sent."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[str, str]]] = {}
        self._lock = threading.Lock()

    def count_exchange(self, rule: str, exchange: Exchange) -> None:
        """Count a judgement that is about a request and the status of its answer."""
        request = exchange.request
        has_key = request.idempotency_key is not None
        operation, parts = _parts_of_exchange(request.method, request.path, exchange.answer.status, has_key)
        if operation is not None:
            self._count(operation, rule, parts)

    def count_answer(self, rule: str, operation: str, body: Any) -> None:
        """Count a judgement of all fields of an answer by their schema."""
        self._count(operation, rule, present(fields_of_answer(operation), body))

    def count_body(self, rule: str, parsed: ParsedRequest) -> None:
        """Count a judgement of whether a body is accepted: for all its fields, or for those that are invalid."""
        fields = fields_of_body(parsed.operation)
        if parsed.is_valid:
            self._count(parsed.operation, rule, present(fields, parsed.body))
        else:
            invalid = {f"body {_path(part.path)}" for part in parsed.invalid_parts if part.path}
            self._count(parsed.operation, rule, invalid.intersection(fields))

    def as_dict(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return operationId → part → rule → count, in the order of the document."""
        with self._lock:
            found: dict[str, dict[str, dict[str, int]]] = {}
            for operation in filter(self._counts.__contains__, operations()):
                counts = self._counts[operation]
                parts: dict[str, dict[str, int]] = {part: {} for part in parts_of(operation)}
                for (part, rule), count in sorted(counts.items()):
                    parts.setdefault(part, {})[rule] = count
                found[operation] = {part: rules for part, rules in parts.items() if rules}
            return found

    def _count(self, operation: str, rule: str, parts: Iterable[str]) -> None:
        with self._lock:
            counts = self._counts.setdefault(operation, Counter())
            for part in parts:
                counts[part, rule] += 1


@functools.lru_cache(maxsize=256)
def _parts_of_exchange(method: str, path: str, status: int, has_key: bool) -> tuple[str | None, tuple[str, ...]]:
    """Return the operation, and its documented parts that occur in the exchange: the status and the parameters. Cached,
    since several rules judge each exchange.
    """
    operation = operation_at(method, path)
    if operation is None:
        return None, ()
    names = dict.fromkeys(name for name, _ in parse_qsl(path.partition("?")[2], keep_blank_values=True))
    given = {f"query {name}" for name in names} | ({f"header {_KEY}"} if has_key else set())
    return operation, (f"status {status}", *(part for part in parts_of(operation) if part in given))


def _path(path: tuple[str | int, ...]) -> str:
    """Write `("file_inputs", 0, "content")` as `file_inputs[].content`."""
    text = ""
    for part in path:
        text += "[]" if isinstance(part, int) else f".{part}" if text else part
    return text
