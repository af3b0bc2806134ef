"""Retries: a retry restarts an ended run under the same id, and is refused for a run that has not ended."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.core.exchange import SECOND_TOKEN
from contracts.core.findings import Rule
from contracts.data import file, in_turn_by_kind, rows, write_bodies
from contracts.data.formats import OTHER_FORMS_OF_IDS
from contracts.engine import CheckContext, Scenario
from contracts.openapi.schemas import MAX_TEXT
from contracts.oracle.known_run import RESULTS
from contracts.rules.reads_by_id import READING_AND_CHANGING
from contracts.rules.run_events import CANCEL, RETRY, Event, RunCase, run_events
from contracts.rules.writes import foreign_bodies, with_available_ids

RULES = (
    Rule(
        "RETRY-RULES",
        "api",
        "major",
        "A retry starts an ended run again, in place",
        "Only a run that has ended can be retried (else 409 or 422). The id stays, output_data, error, "
        "run_message_history and output attachments are cleared, the status is scheduling again, the values of the "
        "request replace the old ones, and all other values stay.",
        READING_AND_CHANGING,
        needs=("retry_run", "get_run"),
        value_fields=(
            *("id", "status", *RESULTS, "input_values", "machine_id", "pool_ids", "session_id"),
            *("sensitive_input_aliases", "input_attachment_ids", "session_alias", "release_session_after"),
            *("workflow_id", "user_id", "organization_id", "created_at"),
        ),
    ),
)


def retry_case(body: dict[str, Any] | None = None, *, filled: Mapping[str, Any] | None = None, **more: Any) -> RunCase:
    """Return a retry of a cancelled run. `filled` are fields that an update sets before, and that the retry clears."""
    updates = [Event("update", {name: value}) for name, value in (filled or {}).items()]
    return RunCase(**more, events=(CANCEL, *updates, Event("retry", body or {})))


_LARGE_INPUTS: Final = tuple({"text": letter * MAX_TEXT} for letter in "ab")


@in_turn_by_kind
def retry_cases(check: CheckContext) -> Iterator[RunCase]:
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [file("old.txt", b"old")],
    }
    filled = write_bodies.SOME_RESULTS
    features = with_available_ids(check, write_bodies.RETRY_FEATURES)
    yield retry_case(filled=filled)
    for left_out in ({"machine_id", "session_id"}, {"pool_ids", "start_session"}):  # one of two may replace the other
        row = {name: values[0] for name, values in features.items() if name not in left_out}
        yield retry_case(row, filled=filled, fields=rich)
    yield retry_case(filled=filled, fields=rich)
    if check.has_second:
        of_inputs = {name: rich[name] for name in ("input_values", "sensitive_input_values")}
        yield retry_case({"input_values": {"new": 1}}, filled=filled, fields=of_inputs, token=SECOND_TOKEN)
    for name, value in filled.items():
        yield retry_case(filled={name: value})
    yield retry_case({"input_values": {"new": 1}}, filled=filled)
    nulls = {name: None for name in features if None in write_bodies.EMPTY.get(name, ())}
    yield retry_case(nulls, fields=rich | {"start_session": True})
    yield retry_case({"input_values": {}}, fields=rich)
    # What the retry does not name stays: the run has a value of everything that a retry may name.
    is_single = check.offers("create_run")
    named = rich | ({"session_alias": "front", "release_session_after": True} if is_single else {})
    for name, values in features.items():
        yield retry_case({name: values[0]}, fields=named, is_single=is_single)
        yield from (retry_case({name: value}) for value in values)
    for row in rows(features):
        yield retry_case(row, fields=rich | {"start_session": True}, filled=filled)
    for row in write_bodies.with_and_without(features):
        yield retry_case(row, fields=rich)
    # So large that a server may store them apart from the run.
    yield retry_case({"input_values": _LARGE_INPUTS[1]}, fields={"input_values": _LARGE_INPUTS[0]})
    yield retry_case(filled={"output_attachment_ids": ["«uuid:1»"]})
    yield RunCase(events=retry_case(filled=filled).events * 3)
    # What a retry replaces is not merged with what was there, at a second retry either.
    one, other = ({"input_values": {"same": {name: 1}}, "file_inputs": [file(f"{name}.txt")]} for name in "ab")
    yield RunCase(one, events=(*retry_case(other).events, *retry_case(one).events))
    yield retry_case({"start_session": True, "reuse_session": False}, fields={"start_session": True})
    for body in foreign_bodies(check, "retry_run"):
        yield retry_case(body, filled=filled)
    for form in OTHER_FORMS_OF_IDS[:2]:  # upper case, no dashes: may be refused, but not stored as they were written
        for body in ({"machine_id": form}, {"session_id": form}, {"pool_ids": [form]}):
            yield retry_case(body)
    if check.machines.available:
        yield retry_case({"machine_id": "«machine:1»"}, fields={"machine_id": "«machine»"})
    if check.machines.available and check.pools.available:
        yield retry_case({"machine_id": "«machine:1»"}, fields={"pool_ids": ["«pool:0»"]})
    if check.pools.available:
        for body in ({}, nulls):
            yield retry_case(body, fields={"pool_ids": ["«pool:0»"]})
        later = {"pool_ids": ["«pool:1»"], "file_inputs": [file("later.txt", b"later")]}
        yield RunCase({"pool_ids": ["«pool:0»"]}, events=(*retry_case(later).events, CANCEL, RETRY))
    if check.offers("create_run"):
        named = {"session_alias": "Front Desk", "release_session_after": True}
        for body in ({}, {"input_values": {"new": 1}}, nulls):
            yield retry_case(body, fields=named, is_single=True)
        later = {"session_alias": "Later", "release_session_after": False, "input_values": {"later": 1}}
        yield RunCase(named, is_single=True, events=(*retry_case(later).events, CANCEL, RETRY))
        for reuse in (True, False):  # the id of the session may be that of the run
            yield retry_case({"reuse_session": reuse}, fields={"start_session": True}, is_single=True)
    for count, index in ((2, 0), (3, 2), (101, 100)):
        inputs = {"input_values": write_bodies.INPUTS}
        yield retry_case(filled=filled, fields=inputs, count=count, index=index)
    files = [file(), file("b.txt")]
    new_file = {"file_inputs": [file("new.txt", b"new")]}
    # Of a run between two others of its session, with everything that leaves it there.
    kept = {name: values[0] for name, values in features.items() if name not in write_bodies.PLACEMENT}
    yield retry_case(kept, fields={"start_session": True}, filled=filled, count=3, index=1)
    for fields in ({}, {"start_session": True}):  # files may be stored by session
        yield retry_case(new_file, fields={"file_inputs": files} | fields, count=2)
    if check.sessions.accepts_any_id:
        session = {"session_id": "«session»"}
        yield retry_case(filled=filled, fields=session, count=3, index=1)
        yield retry_case({"reuse_session": False}, fields=session)
        yield retry_case({"session_id": "«session:2»"}, fields=session)
        yield retry_case({"session_id": "«session:2»", "reuse_session": False}, fields=session)


SCENARIOS = (
    Scenario(
        "retries",
        ("RETRY-RULES", "ATTACHMENTS"),
        run_events,
        retry_cases,
        needs=("retry_run", "get_run", "update_run"),
        weight=2,  # each field may have a fault of its own
    ),
)
