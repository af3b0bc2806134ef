"""The cases of the idempotency scenarios: which operations, keys and bodies are repeated."""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.data import batches, file, in_turn_by_kind, limits, write_bodies
from contracts.data.files import MARKED_NAME
from contracts.data.write_bodies import ABSENT
from contracts.engine import Case, CheckContext
from contracts.openapi.schemas import body_properties
from contracts.oracle.request import CREATES
from contracts.rules.writes import (
    CHANGING_WRITES,
    CREATES_OF_RUNS,
    OTHER_WRITES,
    WRITES_OF_RUNS,
    WRITES_ON_A_RUN,
    is_offered,
    optional_ids,
    with_made_up_ids,
)

KEY_HEADER: Final = "Idempotency-Key"


@dataclass(frozen=True)
class Keyed(Case):
    operation: str
    body: dict[str, Any] = field(default_factory=dict)
    key: str = "«key»"
    times: int = 1
    """How often a `Replay` or an `InvalidWrite` repeats the write, or how often a `Together` sends it at once."""


@dataclass(frozen=True)
class Replay(Keyed):
    """A write that is repeated later, perhaps with another spelling of the header."""

    change_between: bool = False
    delete_between: bool = False
    header: str = KEY_HEADER


@dataclass(frozen=True)
class InvalidWrite(Keyed):
    """A write that is refused for its body, or because its run `is_unknown`."""

    is_unknown: bool = False


@dataclass(frozen=True)
class Together(Keyed):
    """A write that is repeated before it is answered: at once or, if `spread`, during the time that it takes."""

    times: int = 2
    spread: bool = False

    @property
    def expected_runs(self) -> int:
        return super().expected_runs * (1 + self.spread)


@dataclass(frozen=True)
class Conflict(Keyed):
    """A body, and others with the same key."""

    others: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class TwoKeys(Case):
    operation: str
    body: dict[str, Any]
    keys: tuple[str, str]

    @property
    def expected_runs(self) -> int:
        return 2 * write_bodies.runs_of(self.body)


@dataclass(frozen=True)
class TwoOrganisations(Keyed):
    """The same key for two organisations."""

    other: dict[str, Any] | None = None
    """The body of the second write; None if it is the same body."""
    is_repeat: bool = False
    """Whether the other organisation repeats the first write, on the same run, instead of a write of its own."""
    is_reversed: bool = False
    together: bool = False

    @property
    def expected_runs(self) -> int:
        return write_bodies.runs_of(self.body) + write_bodies.runs_of(self.body if self.other is None else self.other)


_WRITES_WITH_KEY: Final = (*WRITES_OF_RUNS, "delete_run", *OTHER_WRITES)
_CHANGE: Final = {"a": 1}


def keyed_writes(check: CheckContext) -> list[str]:
    offered = [operation for operation in _WRITES_WITH_KEY if is_offered(check, operation)]
    adds_machines = check.offers("create_pool") and len(check.machines.known) > 1
    return [operation for operation in offered if operation != "add_machine_to_pool" or adds_machines]


def simple_body(operation: str) -> dict[str, Any]:
    changes = {"input_values": _CHANGE} if operation in CHANGING_WRITES else {}
    return write_bodies.minimal(operation) | changes


def _bodies(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    bare = write_bodies.minimal(operation)
    yield simple_body(operation)
    if operation == "bulk_create_runs":
        yield bare | {"count": 50, "input_values": {"long": "x" * 3000}}  # a large answer
    sizes = (2**18, 10_000, 2**16) if operation == "bulk_create_runs" else (2**18,)
    for size in () if operation in OTHER_WRITES else sizes:  # pools and workflows have no inputs
        large = {"pages": ["x" * 1024] * (size // 1024 + 1)}
        yield bare | {write_bodies.OBJECT_FIELDS[operation]: large | _OBJECT}
    updates = {name: values for name, values in write_bodies.UPDATE_VALUES.items() if name != "output_attachment_ids"}
    features = (write_bodies.FEATURES | {"update_run": updates}).get(operation, {})
    fields = {name: values[0] for name, values in with_made_up_ids(check, features).items()}
    for start in (0, 1) if fields else ():
        yield bare | dict(itertools.islice(fields.items(), start, None, 2))
    if operation == "bulk_create_runs":
        for count in limits.few(2, limits.LARGE_CREATE):
            yield bare | {"count": count}
        yield bare | {
            "count": 3,
            "start_session": True,
            "file_inputs": [file()],
            "input_values": {"a": [1, {"b": None}]},
        }
    if operation == "create_run_chain":
        yield write_bodies.minimal(operation, steps=3)


_KEYS: Final = (
    *("«uuid»", "«short»", "«key»" + "x" * 210, "key with spaces «marker»", "a/b?c=d&e «marker»"),
    *('"«marker»"', "«marker»=;,", "0«marker»", "«key»" + "x" * limits.MAX_KEY_LENGTH, "«key»" + "x" * limits.LONG_KEY),
)


@in_turn_by_kind
def replay_cases(check: CheckContext) -> Iterator[Replay]:
    """Yield repeats of each write with several bodies. A bulk create gets all unusual keys, each other write a part."""
    for number, operation in enumerate(keyed_writes(check)):
        if operation == "delete_run":
            yield Replay(operation, times=2)
            continue
        for index, body in enumerate(_bodies(check, operation)):
            is_first_create = operation == "bulk_create_runs" and index == 0
            yield Replay(operation, body, times=3 if is_first_create or index == 1 else 1)
        body = simple_body(operation)
        step = 1 if operation == "bulk_create_runs" else 3
        yield from (Replay(operation, body, key) for key in _KEYS[number % step :: step])
        if operation in {*CREATES_OF_RUNS, *CHANGING_WRITES} and is_offered(check, "update_run"):
            yield Replay(operation, body, change_between=True)
        if operation in CREATES and check.offers("delete_run"):
            yield Replay(operation, body, delete_between=True)
        headers = (KEY_HEADER.lower(), KEY_HEADER.upper())
        yield from (Replay(operation, body, header=header) for header in headers[number % 2 :: min(step, 2)])
    for count, times in ((1, 12), (10, 5), (100, 3)):
        yield Replay("bulk_create_runs", write_bodies.minimal("bulk_create_runs", count=count), times=times)
    if check.offers("create_run_chain"):
        for steps in (2, 10, 30):
            yield Replay("create_run_chain", write_bodies.minimal("create_run_chain", steps=steps))


def invalid_cases(check: CheckContext) -> Iterator[InvalidWrite]:
    for operation in keyed_writes(check):
        if operation in write_bodies.OBJECT_FIELDS:
            wrong = {write_bodies.OBJECT_FIELDS[operation]: "no object"}
            yield InvalidWrite(operation, write_bodies.minimal(operation) | wrong, times=2)
        if operation in {"retry_run", "delete_run"}:
            yield InvalidWrite(operation, is_unknown=True)


@in_turn_by_kind
def together_cases(check: CheckContext) -> Iterator[Together]:
    for operation in keyed_writes(check):
        if operation == "delete_run":
            yield Together(operation)
            continue
        for times in (2, 2, 4):
            yield Together(operation, simple_body(operation), times=times)
        if operation in CREATES:
            yield Together(operation, simple_body(operation), times=4, spread=True)
    yield Together("bulk_create_runs", write_bodies.minimal("bulk_create_runs", count=101), times=4, spread=True)
    for count in limits.few(2, 101):
        yield Together("bulk_create_runs", write_bodies.minimal("bulk_create_runs", count=count))
    rich = {"start_session": True, "file_inputs": [file()]}
    yield Together("bulk_create_runs", write_bodies.minimal("bulk_create_runs") | rich, times=3)


@in_turn_by_kind
def conflict_cases(check: CheckContext) -> Iterator[Conflict]:
    for operation in keyed_writes(check):
        others: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        if operation != "delete_run":
            for one, other in _body_pairs(check, operation):
                others.setdefault(json.dumps(one), (one, []))[1].append(other)
        for number, (body, group) in enumerate(others.values()):
            few = _FIRST_OTHERS if number == 0 else 0
            for batch in (group[:few], *batches(group[few:], _OTHERS)):
                if batch:
                    yield Conflict(operation, body, others=tuple(batch))


_FIRST_OTHERS: Final = 2
_OTHERS: Final = 12
"""How many other bodies the first case of an operation has, and each other one, at most. With more, a case would find a
fault only after more requests.
"""
_OBJECT: Final[dict[str, Any]] = {
    **{"a": 1, "b": 2, "none": None, "text": "x", "accent": "é", "list": [1, 2], "large": 2**60 + 1, "double": 0.1},
    **{"falsy": [False, {"b": 0}], "deep": {"b": {"c": [1, {"d": 1}]}}},
}
_OTHER_OBJECTS: Final[tuple[dict[str, Any], ...]] = tuple(
    _OBJECT | change
    for change in (
        *({"a": 2}, {"a": "1"}, {"a": 1.5}, {"a": True}, {"falsy": [0, {"b": 0}]}, {"none": False}),
        *({"more": 1}, {"a": 2, "b": 1}, {"text": "X"}, {"text": "x "}, {"accent": "e\u0301"}),
        *(
            {"list": [2, 1]},
            {"large": 2**60},
            {"double": math.nextafter(0.1, 1)},
            {"deep": {"b": {"c": [1, {"d": 2}]}}},
        ),
        *({"a": [1]}, {"list": {"0": 1, "1": 2}}),  # the same, if a server flattens bodies
    )
)
_OBJECT_PAIRS: Final[tuple[tuple[Any, Any], ...]] = (
    # A server may compare only the start or the end of a body.
    *(({"a": form % 1}, {"a": form % 2}) for form in ("x" * 2**16 + "%d", "%d" + "x" * 2**16)),
    *((_OBJECT, other) for other in _OTHER_OBJECTS),
    (_OBJECT, {name: value for name, value in _OBJECT.items() if name != "none"}),
    (_OBJECT, {"c" if name == "a" else name: value for name, value in _OBJECT.items()}),
    *(({"a": 1}, other) for other in ({"a": 2}, {"b": 1}, {})),
    *(({}, {"a": 1}), (ABSENT, {"a": 1})),
    ({"a": list(range(2000))}, {"a": [*range(1999), 0]}),
)
_SECRETS: Final = {"pin": "«secret»", "a": ["x", {"b": "«secret»"}]}
_SECRET_PAIRS: Final[tuple[tuple[Any, Any], ...]] = (
    *((_SECRETS, _SECRETS | {"pin": "«secret:2»"}), (_SECRETS, {"other": "«secret»", "a": _SECRETS["a"]})),
    *((_SECRETS, _SECRETS | {"a": ["x", {"b": "«secret:2»"}]}), (ABSENT, {"pin": "«secret»"})),
)
_FILE_PAIRS: Final[tuple[tuple[Any, Any], ...]] = tuple(
    ([file(), file("b")], other)
    for other in (
        *([one, file("b")] for one in (file(raw=b"two"), file("c"), file(target_path="x"))),
        *([file(cleanup_imports_after_run=True), file("b")], [file(), file("b", raw=b"other")]),
        *([file()], [file(), file("b"), file(MARKED_NAME)]),
    )
)
_FIRST, _LAST = write_bodies.minimal("create_run_chain", steps=2)["steps"]
_PAIRS: Final[dict[str, tuple[tuple[Any, Any], ...]]] = {
    "count": ((1, 2), (1, 1000), (10, 11), (10, 1), (101, 1)),
    "workflow_id": ((ABSENT, "«workflow:2»"),),
    "machine_id": (("«machine»", "«machine:1»"), (ABSENT, "«machine»")),
    "pool_ids": ((["«pool:0»"], ["«pool:0»", "«pool:1»"]), (["«pool:0»"], ["«pool:1»"])),
    "session_id": (("«session»", "«session:1»"), (ABSENT, "«session»")),
    **dict.fromkeys(("input_values", "shared_inputs", "output_data"), _OBJECT_PAIRS),
    **dict.fromkeys(("sensitive_input_values", "shared_sensitive_inputs"), _SECRET_PAIRS),
    **dict.fromkeys(("file_inputs", "shared_file_inputs"), _FILE_PAIRS),
    **dict.fromkeys(("start_session", "release_session_after", "reuse_session"), ((True, False), (ABSENT, True))),
    "keep_session_after_completion": ((ABSENT, True),),
    "session_alias": (("a", "b"),),
    "steps": (
        *(([_FIRST], [_FIRST, _LAST]), ([_FIRST, _LAST], [_LAST, _FIRST]), ([_FIRST] * 10, [_FIRST] * 11)),
        *(
            ([_FIRST, _LAST], [_FIRST, _LAST | other])
            for other in (
                *({"inputs": {"a": "«marker»"}}, {"sensitive_inputs": {"a": "«secret»"}}),
                *({"session_alias": "a"}, {"workflow_id": "«uuid»"}),
            )
        ),
    ),
    "status": ((ABSENT, "cancelled"),),
    "machine_ids": ((["«machine»"], ["«machine:1»"]), (["«machine»"], ["«machine»", "«machine:1»"])),
    "error": ((["a"], ["b"]), (["a", "b"], ["a", "c"])),
    "run_message_history": (([{"a": 1}, {"b": 1}], [{"a": 1}, {"b": 2}]),),
    "usage_metadata": (({"a": 1}, {"a": 2}),),
    "started_at": (("2099-01-02T03:04:05Z", "2099-01-02T03:04:06Z"),),
    **dict.fromkeys(("name", "description", "main_prompt"), (("«marker:2»", "«marker:3»"),)),
}
"""Per field: pairs of values that differ little."""


_MANY: Final = 10


def _body_pairs(check: CheckContext, operation: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield pairs of bodies that differ little: in the value of one field, or in which of two fields they have.

    A bulk create gets all pairs of values of a field. Of a long list of pairs, each other write gets a part.
    """
    bare, ids = write_bodies.minimal(operation), optional_ids(check) | {"workflow_id": check.workflows}
    names = [name for name in body_properties(operation) if name in _PAIRS]
    names = [name for name in names if name not in ids or ids[name].accepts_any_id]
    for name in names:
        step = 1 if operation == "bulk_create_runs" or len(_PAIRS[name]) < _MANY else 5
        for pair in _PAIRS[name][_WRITES_WITH_KEY.index(operation) % step :: step]:
            one, other = (bare | write_bodies.without_absent({name: value}) for value in pair)
            yield one, other
    *others, last = names
    for name in others:
        yield bare | {last: _PAIRS[last][0][1]}, bare | {name: _PAIRS[name][0][1]}


def conflict_together_cases(check: CheckContext) -> Iterator[Conflict]:
    for operation in keyed_writes(check):
        bare = write_bodies.minimal(operation)
        for _ in range(3) if operation in CREATES else ():
            yield Conflict(operation, bare, others=(bare | {write_bodies.OBJECT_FIELDS[operation]: _CHANGE},))


_LONG_KEY: Final = "«marker»" + "k" * 230
_LONGER_KEY: Final = "«marker»" + "k" * limits.LONG_KEY
_KEY_PAIRS: Final = (
    *(("«key»", "«uuid»"), (_LONG_KEY + "1", _LONG_KEY + "2"), (_LONG_KEY, _LONG_KEY + "x")),
    (_LONGER_KEY + "1", _LONGER_KEY + "2"),
    *(("«marker»1", "«marker»2"), ("«marker»", "«marker»0"), ("a«marker»", "b«marker»"), ("a«marker»", "A«marker»")),
    *(("«marker»-1", "«marker»_1"), ("«marker» 1", "«marker»1"), ("«marker»/1", "«marker»1")),
    *(("«marker»,1", "«marker»,2"), ("«marker»;1", "«marker»;2")),  # headers are split at these signs
)


def two_keys_cases(check: CheckContext) -> Iterator[TwoKeys]:
    for operation in keyed_writes(check):
        if operation in CREATES:
            pairs = _KEY_PAIRS if operation == "bulk_create_runs" else _KEY_PAIRS[:1]
            yield from (TwoKeys(operation, write_bodies.minimal(operation), keys) for keys in pairs)


def two_organisations_cases(check: CheckContext) -> Iterator[TwoOrganisations]:
    if not check.has_second:
        return
    for operation in keyed_writes(check):
        if operation == "add_machine_to_pool":
            continue  # no machine is known that both organisations may use
        body = write_bodies.minimal(operation)
        if operation not in CREATES:
            body |= {"output_data": _CHANGE} if operation == "update_run" else {}
        for is_reversed in (False, True):
            yield TwoOrganisations(operation, body, is_reversed=is_reversed)
            if operation in WRITES_ON_A_RUN:
                yield TwoOrganisations(operation, body, is_reversed=is_reversed, is_repeat=True)
            if operation in CREATES:
                other = body | {write_bodies.OBJECT_FIELDS[operation]: _CHANGE}
                yield TwoOrganisations(operation, body, other=other, is_reversed=is_reversed)
        if operation in CREATES:
            yield TwoOrganisations(operation, body, together=True)
    yield TwoOrganisations("bulk_create_runs", write_bodies.minimal("bulk_create_runs", count=101))
    rich = {"start_session": True, "sensitive_input_values": {"pin": "«secret»"}}
    yield TwoOrganisations("bulk_create_runs", write_bodies.minimal("bulk_create_runs", count=2) | rich)
