"""The cases of `read_consistency`: how runs are created, and which events change them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from contracts.data import file, in_turn_by_kind, rows, write_bodies
from contracts.data.json_values import SAMPLE
from contracts.data.limits import DEFAULT_LIMIT
from contracts.engine import Case, CheckContext
from contracts.rules.bulk_answer import features_of
from contracts.rules.run_events import CANCEL, DELETE, RETRY, Event
from contracts.rules.updates import UPDATES
from contracts.rules.writes import with_available_ids


@dataclass(frozen=True)
class ConsistencyCase(Case):
    """How runs are created, and which events change one of them. Without events, the new runs are checked."""

    operation: str
    body: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    index: int = 0
    events: tuple[Event, ...] = ()
    checks_each: bool = False
    """Whether the runs are checked after each event, and not only after the last one."""
    widely: bool = False
    """Whether many more lists are checked."""

    @property
    def expected_runs(self) -> int:
        return len(self.body.get("steps", ())) or self.count

    def with_events(self, *events: Event, widely: bool = False, each: bool = False) -> ConsistencyCase:
        return replace(self, events=events, widely=widely, checks_each=each)


_FILLED: Final[dict[str, Any]] = {
    "output_data": write_bodies.INPUTS,
    "error": ["first", "zweite Zeile é😀"],
    "run_message_history": [{"role": "user", "content": "hello", "more": [2.0, None]}, {}],
    "usage_metadata": {"tokens": 10, "cost": 2.0},
}

_FILL: Final = Event("update", _FILLED)

_FRAGILE_VALUES: Final[dict[str, Any]] = {
    "input_values": SAMPLE,
    "session_alias": "  MiXed é łŁ 😀 ",
    "sensitive_input_values": {"Pass Word": "«secret»", " é.K ": {"pin": "«secret:2»"}, "0": "«secret:3»"},
    "file_inputs": [file(f"{index * 7 % 11}.txt", str(index).encode()) for index in range(11)],
    "release_session_after": False,
}
"""Values that a server is likely to alter by mistake: unusual texts and keys, and many files."""

_SMALLER_VALUES: Final[dict[str, Any]] = {
    "input_values": write_bodies.INPUTS,
    "file_inputs": [file("b.txt", b"b"), file("a.txt", b"a")],
}
"""Smaller values, for cases in which the values do not matter."""


def _values_of(check: CheckContext, operation: str) -> dict[str, tuple[Any, ...]]:
    found = features_of(check, operation)
    more: dict[str, Any] = dict(_FRAGILE_VALUES)
    if check.pools.accepts_any_id:
        more["pool_ids"] = [f"«pool:{index}»" for index in range(12)]
    return {name: (*values, more[name]) if name in more else values for name, values in found.items()}


def _full_body(check: CheckContext, operation: str) -> dict[str, Any]:
    """Return a body with every feature that a create can have at once, except session_id and machine_id."""
    features = _values_of(check, operation)
    return {name: values[-1] for name, values in features.items() if name not in {"session_id", "machine_id"}}


@in_turn_by_kind
def consistency_cases(check: CheckContext) -> Iterator[ConsistencyCase]:
    makers = ["bulk_create_runs", *(["create_run"] if check.offers("create_run") else [])]
    for operation in makers:
        yield ConsistencyCase(operation, _full_body(check, operation), widely=True)
        for number, row in enumerate(rows(_values_of(check, operation))):
            yield ConsistencyCase(operation, row, widely=number == 0)
    for name, values in _values_of(check, makers[-1]).items():
        yield ConsistencyCase(makers[-1], {name: values[0]}, widely=name in {"session_id", "machine_id"})
    if check.offers("create_run_chain", "get_run"):
        for size in (1, 2, 3, 5):
            yield ConsistencyCase("create_run_chain", {"steps": [{}] * size}, index=-1, widely=size == 2)
        steps = [
            {name: write_bodies.for_step(values[0], index) for name, values in write_bodies.STEP_FEATURES.items()}
            for index in range(3)
        ]
        shared = {"shared_inputs": SAMPLE, "shared_file_inputs": [file()]}
        yield ConsistencyCase("create_run_chain", {"steps": steps} | shared, index=1)
    for name, values in features_of(check, "bulk_create_runs").items():
        yield ConsistencyCase("bulk_create_runs", {name: values[-1]}, 12, 10)
    yield ConsistencyCase("bulk_create_runs", _full_body(check, "bulk_create_runs"), 3, -1)
    many_files = [file(f"{index}.txt", b"x") for index in range(DEFAULT_LIMIT + 1)]
    yield ConsistencyCase("bulk_create_runs", {"file_inputs": many_files})
    on_off = {name: [values[-1], write_bodies.ABSENT] for name, values in features_of(check, makers[-1]).items()}
    yield from (ConsistencyCase(makers[-1], row) for row in write_bodies.pairs(on_off))
    for number, cases in enumerate(zip(*(_event_cases(check, operation) for operation in makers), strict=True)):
        yield cases[number % len(makers)]  # each event follows one of the creates
    if check.offers("create_run_chain", "get_run"):
        yield from _chain_event_cases()


def _event_cases(check: CheckContext, operation: str) -> Iterator[ConsistencyCase]:
    full = ConsistencyCase(operation, _full_body(check, operation))
    rich = replace(full, body=full.body | _SMALLER_VALUES)
    if operation == "bulk_create_runs":
        rich = replace(rich, count=3, index=1)
    again = (CANCEL, RETRY)
    yield rich.with_events(CANCEL, widely=True)
    yield full.with_events(*again, each=True)
    yield rich.with_events(*again, widely=True, each=True)
    yield rich.with_events(_FILL, *again, *again, widely=True, each=True)
    update = Event("update", {"input_values": SAMPLE, "output_data": SAMPLE})
    yield rich.with_events(CANCEL, update, widely=True, each=True)  # a cache may show the run as it was before
    yield rich.with_events(CANCEL, Event("retry", {"input_values": SAMPLE}), widely=True)
    yield rich.with_events(*again, _FILL, widely=True)
    yield rich.with_events(*again, CANCEL, _FILL, widely=True)
    for shift in (0, 1):
        yield rich.with_events(*again, Event("delete", shift=shift))
        yield rich.with_events(_FILL, Event("delete", shift=shift))
    for shift in (1, -1, 0):
        yield rich.with_events(Event("delete", shift=shift), widely=shift == 1)
    yield rich.with_events(CANCEL, Event("delete", shift=1), Event("delete", shift=-1), each=True)
    for number, name in enumerate(UPDATES):
        event = Event("update", {name: write_bodies.UPDATE_VALUES[name][0]})
        yield rich.with_events(*([CANCEL] if number % 2 else []), event)
    for row in rows({name: write_bodies.UPDATE_VALUES[name] for name in UPDATES if name != "output_attachment_ids"}):
        yield rich.with_events(Event("update", row), widely=True)
        yield rich.with_events(CANCEL, Event("update", row))
    for row in rows(with_available_ids(check, write_bodies.RETRY_FEATURES)):
        yield rich.with_events(CANCEL, Event("retry", row))
    machine: dict[str, Any] = {"machine_id": "«machine»"} if check.machines.available else {}
    bodies: tuple[dict[str, Any], ...] = (machine, {"input_values": None}, {"input_values": {}})
    for fields in bodies:
        plain = ConsistencyCase(operation, fields)
        yield plain.with_events(*again, each=True)
        yield plain.with_events(Event("update", {"input_values": {"a": 1}}), widely=True)
    for kind, ids in (("machine", check.machines), ("session", check.sessions)):
        if ids.accepts_any_id or len(ids.known) > 1:
            one, other = (f"«{kind}:10»", f"«{kind}:11»") if ids.accepts_any_id else (f"«{kind}»", f"«{kind}:1»")
            for new in (other, one):
                moved = ConsistencyCase(operation, {f"{kind}_id": one})
                yield moved.with_events(CANCEL, Event("retry", {f"{kind}_id": new}), widely=True)
    yield from _word_cases(operation)


def _chain_event_cases() -> Iterator[ConsistencyCase]:
    chain = ConsistencyCase("create_run_chain", {"steps": [{}] * 4})
    for index in (0, 1, 3):
        one = replace(chain, index=index)
        yield one.with_events(CANCEL, RETRY, each=True)
        yield one.with_events(CANCEL, RETRY, DELETE)
    yield replace(chain, index=1).with_events(Event("update", _FILLED | {"input_values": SAMPLE}))
    yield replace(chain, index=2).with_events(DELETE)


def _word_cases(operation: str) -> Iterator[ConsistencyCase]:
    """Yield cases in which an event removes a word that a search found, or adds another one."""
    words, new = ("«marker:8»", "«marker:9»"), "«marker:9»"
    plain = ConsistencyCase(operation, {"input_values": {"who": "«marker:8»"}})
    yield plain.with_events(Event("update", {"input_values": {"who": new}}, words=words))
    yield plain.with_events(Event("update", {"input_values": {}}, words=words))
    yield plain.with_events(Event("update", {"status": "cancelled", "input_values": {"who": new}}, words=words))
    yield plain.with_events(replace(CANCEL, words=words), replace(RETRY, words=words), each=True)
    yield plain.with_events(CANCEL, Event("retry", {"input_values": {"who": new}}, words=words))
    yield plain.with_events(CANCEL, Event("retry", {"session_alias": new}, words=words))
    results = {
        "output_data": {"a": [new]},
        "error": ["x", "«marker:10»"],
        "run_message_history": [{"a": "b"}, {"c": {"d": "«marker:11»"}}],
    }
    added = (new, "«marker:10»", "«marker:11»")
    # Only after the run has ended, since an active run may write these fields itself.
    add = Event("update", results, words=added)
    remove = Event("update", {"output_data": {}, "error": [], "run_message_history": []}, words=added)
    yield plain.with_events(CANCEL, add, remove, each=True)
    yield plain.with_events(CANCEL, add, replace(RETRY, words=added), each=True)
