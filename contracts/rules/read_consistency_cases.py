"""The cases of `read_consistency`: how runs are created, and which events change them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.data.sample_values import VALUES
from contracts.engine.check_context import CheckContext
from contracts.engine.shrink import Case
from contracts.rules.bulk_answer import features_of
from contracts.rules.updates import UPDATES

_FILLED: Final[dict[str, Any]] = {
    "output_data": write_bodies.INPUTS,
    "error": ["first", "zweite Zeile é😀"],
    "run_message_history": [{"role": "user", "content": "hello", "more": [2.0, None]}, {}],
    "usage_metadata": {"tokens": 10, "cost": 2.0},
}

_FRAGILE_VALUES: Final[dict[str, Any]] = {
    "input_values": VALUES,
    "session_alias": "  MiXed é łŁ 😀 ",
    "sensitive_input_values": {"Pass Word": "«secret»", " é.K ": {"pin": "«secret:2»"}, "0": "«secret:3»"},
    "file_inputs": [boundary_values.file(f"{index * 7 % 11}.txt", str(index).encode()) for index in range(11)],
    "release_session_after": False,
}
"""Values that a server is likely to alter by mistake: unusual texts and keys, and many files."""

_SMALLER_VALUES: Final[dict[str, Any]] = {
    "input_values": write_bodies.INPUTS,
    "file_inputs": [boundary_values.file("b.txt", b"b"), boundary_values.file("a.txt", b"a")],
}
"""Smaller values, for cases that do not depend on the values."""


def _values_of(check: CheckContext, operation: str) -> dict[str, tuple[Any, ...]]:
    found = features_of(check, operation)
    more: dict[str, Any] = dict(_FRAGILE_VALUES)
    if check.pools.invented:
        more["pool_ids"] = [f"«pool:{index}»" for index in range(12)]
    return {name: (*values, more[name]) if name in more else values for name, values in found.items()}


def _full_body(check: CheckContext, operation: str) -> dict[str, Any]:
    """A body with every feature that a create can have at once, except an existing session and a machine."""
    features = _values_of(check, operation)
    return {name: values[-1] for name, values in features.items() if name not in {"session_id", "machine_id"}}


def consistency_cases(check: CheckContext) -> Iterator[Case]:
    makers = ["bulk_create_runs", *(["create_run"] if check.offers("create_run") else [])]
    for operation in makers:
        yield {"make": operation, "body": _full_body(check, operation)}
        for name, values in _values_of(check, operation).items():
            for value in values:
                yield {"make": operation, "body": {name: value}}
    chains = check.offers("create_run_chain", "get_run")
    if chains:
        step = {name: values[0] for name, values in write_bodies.STEP_FEATURES.items()}
        for size in (1, 2, 3, 5):
            yield {"make": "create_run_chain", "body": {"steps": [{}] * size}, "index": -1}
        yield {
            "make": "create_run_chain",
            "body": {
                "steps": [step | {"session_alias": f"step {index}"} for index in range(3)],
                "shared_inputs": VALUES,
                "shared_file_inputs": [boundary_values.file()],
            },
            "index": 1,
        }
    for name, values in features_of(check, "bulk_create_runs").items():
        yield {"make": "bulk_create_runs", "body": {name: values[-1]}, "count": 12, "index": 10}
    yield {"make": "bulk_create_runs", "body": _full_body(check, "bulk_create_runs"), "count": 3, "index": -1}
    for row in _on_off_pairs(check, makers[-1]):
        yield {"make": makers[-1], "body": row}
    yield from _event_cases(check, makers)


def _on_off_pairs(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Few bodies that together contain every pair of features (pairwise testing)."""
    features = features_of(check, operation)
    on_off = {name: [values[-1], write_bodies.ABSENT] for name, values in features.items()}
    for row in write_bodies.pairs(on_off):
        yield write_bodies.without_absent(row)


def _event_cases(check: CheckContext, makers: Sequence[str]) -> Iterator[Case]:
    cancel: dict[str, Any] = {"update": {"status": "cancelled"}}
    for operation in makers:
        rich: Case = {"make": operation, "body": _full_body(check, operation) | _SMALLER_VALUES}
        if operation == "bulk_create_runs":
            rich |= {"count": 3, "index": 1}
        yield rich | {"events": [cancel], "widely": True}
        yield {"make": operation, "body": _full_body(check, operation), "events": [cancel, {"retry": {}}], "each": True}
        yield rich | {"events": [cancel, {"retry": {}}], "widely": True, "each": True}
        yield rich | {"events": [{"update": _FILLED}, cancel, {"retry": {}}, cancel, {"retry": {}}], "each": True}
        yield rich | {"events": [cancel, {"update": {"input_values": VALUES, "output_data": VALUES}}], "widely": True}
        yield rich | {"events": [cancel, {"retry": {"input_values": VALUES}}], "widely": True}
        again: list[dict[str, Any]] = [cancel, {"retry": {}}]
        yield rich | {"events": [*again, {"update": _FILLED}], "widely": True}
        yield rich | {"events": [*again, cancel, {"update": _FILLED}], "widely": True}
        for shift in (0, 1):
            yield rich | {"events": [*again, {"delete": shift}]}
            yield rich | {"events": [{"update": _FILLED}, {"delete": shift}]}
        for shift in (1, -1, 0):
            yield rich | {"events": [{"delete": shift}], "widely": shift == 1}
        yield rich | {"events": [cancel, {"delete": 1}, {"delete": -1}], "each": True}
        for name in UPDATES:
            value = write_bodies.UPDATE_VALUES[name][0]
            yield rich | {"events": [{"update": {name: value}}], "widely": True}
            yield rich | {"events": [cancel, {"update": {name: value}}]}
        retries = dict(write_bodies.RETRY_FEATURES)
        for name, ids in (("machine_id", check.machines), ("pool_ids", check.pools), ("session_id", check.sessions)):
            if not ids.invented:
                del retries[name]
        for name, options in retries.items():
            for option in options:
                yield rich | {"events": [cancel, {"retry": {name: option}}]}
        machine: dict[str, Any] = {"machine_id": "«machine»"} if check.machines.available else {}
        bodies: tuple[dict[str, Any], ...] = (machine, {"input_values": None}, {"input_values": {}})
        for fields in bodies:
            plain: Case = {"make": operation, "body": fields}
            yield plain | {"events": [cancel, {"retry": {}}], "each": True}
            yield plain | {"events": [{"update": {"input_values": {"a": 1}}}], "widely": True}
        for name, ids in (("machine_id", check.machines), ("session_id", check.sessions)):
            if ids.invented:
                kind = name.removesuffix("_id")
                one, other = f"«{kind}:10»", f"«{kind}:11»"
                moved: Case = {"make": operation, "body": {name: one}}
                yield moved | {"events": [cancel, {"retry": {name: other}}], "widely": True}
                yield moved | {"events": [cancel, {"retry": {name: one}}], "widely": True}
        yield from _word_cases({"make": operation, "body": {"input_values": {"who": "«marker:8»"}}}, cancel)
    if check.offers("create_run_chain", "get_run"):
        chain: dict[str, Any] = {"make": "create_run_chain", "body": {"steps": [{}] * 4}}
        for index in (0, 1, 3):
            yield chain | {"index": index, "events": [cancel, {"retry": {}}], "each": True}
            yield chain | {"index": index, "events": [cancel, {"retry": {}}, {"delete": 0}]}
        yield chain | {"index": 1, "events": [{"update": _FILLED | {"input_values": VALUES}}]}
        yield chain | {"index": 2, "events": [{"delete": 0}]}


def _word_cases(plain: Case, cancel: dict[str, Any]) -> Iterator[Case]:
    """Cases in which an event removes a word that a search found, or adds another one."""
    old, new = ["«marker:8»"], ["«marker:9»"]
    word = new[0]
    yield plain | {"events": [{"update": {"input_values": {"who": word}}, "finds": new, "loses": old}]}
    yield plain | {"events": [{"update": {"input_values": {}}, "loses": old}]}
    yield plain | {"events": [cancel | {"finds": old}, {"retry": {}, "finds": old}], "each": True}
    yield plain | {"events": [cancel, {"retry": {"input_values": {"who": word}}, "finds": new, "loses": old}]}
    yield plain | {"events": [cancel, {"retry": {"session_alias": word}, "finds": new + old}]}
    for name, value, empty in (
        ("output_data", {"a": [word]}, {}),
        ("error", ["x", word], []),
        ("run_message_history", [{"a": "b"}, {"c": {"d": word}}], []),
    ):
        put: dict[str, Any] = {"update": {name: value}, "finds": new + old}
        # Only after the run has ended, since an active run may write these fields itself.
        yield plain | {"events": [cancel, put, {"update": {name: empty}, "loses": new}], "each": True}
        yield plain | {"events": [cancel, put, {"retry": {}, "loses": new}], "each": True}
