"""Counts how often each rule was judged, by operation and by the part of the request or answer that it was about."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from contracts.core.exchange import Exchange
from contracts.openapi.fields import fields_of_answer, fields_of_body, parts_of, present
from contracts.openapi.router import operation_at
from contracts.oracle import ParsedRequest


class Coverage:
    """Only documented parts are counted, so that it never contains a value that was sent."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[str, str]]] = {}
        self._lock = threading.Lock()

    def count_exchange(self, rule: str, exchange: Exchange) -> None:
        """Count a judgement that is about a request and the status of its answer."""
        request = exchange.request
        operation, parameters = _operation_and_parameters(request.method, request.path)
        if operation is not None:
            headers = (f"header {name}" for name in _headers(operation) if request.header(name) is not None)
            self._count(operation, rule, (f"status {exchange.answer.status}", *parameters, *headers))

    def count_answer(self, rule: str, operation: str, body: Any) -> None:
        """Count a judgement of all fields of an answer by their schema."""
        self._count(operation, rule, (part for part in fields_of_answer(operation) if present(part, body)))

    def count_body(self, rule: str, parsed: ParsedRequest) -> None:
        """Count a judgement of whether a body is accepted: of a valid one all fields, else those with a fault."""
        if parsed.is_valid:
            parts: Iterable[str] = (part for part in fields_of_body(parsed.operation) if present(part, parsed.body))
        else:
            faults = {f"body {_path(fault.path)}" for fault in parsed.faults if fault.path}
            parts = faults.intersection(fields_of_body(parsed.operation))
        self._count(parsed.operation, rule, parts)

    def as_dict(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return operationId → part → rule → count. Parts are in the order of the document."""
        with self._lock:
            found: dict[str, dict[str, dict[str, int]]] = {}
            for operation, counts in self._counts.items():
                parts: dict[str, dict[str, int]] = {part: {} for part in parts_of(operation)}
                for (part, rule), count in sorted(counts.items()):
                    parts.setdefault(part, {})[rule] = count
                found[operation] = {part: rules for part, rules in parts.items() if rules}
            return found

    def _count(self, operation: str, rule: str, parts: Iterable[str]) -> None:
        with self._lock:
            counts = self._counts.setdefault(operation, Counter())
            counts.update((part, rule) for part in parts)


@functools.lru_cache(maxsize=4096)
def _operation_and_parameters(method: str, path: str) -> tuple[str | None, tuple[str, ...]]:
    operation = operation_at(method, path)
    if operation is None:
        return None, ()
    names = dict.fromkeys(name for name, _ in parse_qsl(path.partition("?")[2], keep_blank_values=True))
    documented = parts_of(operation)
    return operation, tuple(part for part in (f"query {name}" for name in names) if part in documented)


@functools.cache
def _headers(operation: str) -> tuple[str, ...]:
    return tuple(part.removeprefix("header ") for part in parts_of(operation) if part.startswith("header "))


def _path(path: tuple[str | int, ...]) -> str:
    """Write `("file_inputs", 0, "content")` as `file_inputs[].content`."""
    text = ""
    for part in path:
        text += "[]" if isinstance(part, int) else f".{part}" if text else part
    return text
