"""Updates: an update changes the fields that it names, and nothing else, also after many changes of one run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from contracts.core.exchange import SECOND_TOKEN, TOKEN
from contracts.core.findings import Rule
from contracts.data import in_turn_by_kind, rows, write_bodies
from contracts.data.json_values import SAMPLE
from contracts.data.limits import LARGE_CREATE, MANY_RETRIES, MANY_UPDATES
from contracts.engine import Case, CaseContext, CheckContext, Scenario
from contracts.oracle.known_run import CHANGEABLE
from contracts.oracle.run import STABLE
from contracts.rules.reads_by_id import READING_AND_CHANGING
from contracts.rules.run_events import CANCEL, DELETE, Event, RunCase, run_events
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import with_available_ids

RULES = (
    Rule(
        "UPDATE-PARTIAL",
        "api",
        "major",
        "An update changes the fields that it names and nothing else",
        "The fields of the request have their new values, in the answer and when read. Other fields and other runs, "
        "also those of the same create, are as before. Setting status to anything but cancelled is not judged.",
        READING_AND_CHANGING,
        needs=("update_run", "get_run"),
        value_fields=(*STABLE, *CHANGEABLE, "status", "pool_ids", "machine_id"),
    ),
)

_OBJECT_FIELDS: Final = ("input_values", "output_data", "usage_metadata")
UPDATES: Final[dict[str, tuple[Any, ...]]] = {
    name: (SAMPLE, *values) if name in _OBJECT_FIELDS else values for name, values in write_bodies.UPDATE_VALUES.items()
} | {
    "error": (
        [f"line {index}" for index in range(101)],
        ["first line", "second é😀", "  łŁ\t", "a\x00b", "first line"],
        ["x"],
        [],
    ),
    "run_message_history": (
        [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [1, {"a": None}], "more": SAMPLE}, {}],
        [{"role": "user", "content": f"message {index}"} for index in range(1001)],
        *write_bodies.UPDATE_VALUES["run_message_history"],
    ),
}
"""Values for each field that an update may name."""


def update_case(*bodies: dict[str, Any], is_cancelled: bool = True, **more: Any) -> RunCase:
    """Return updates of one run. By default, it is cancelled first, so that it does not change by itself."""
    events = [Event("update", body) for body in bodies]
    return RunCase(**more, events=(*([CANCEL] if is_cancelled else []), *events), reads_each=True)


@in_turn_by_kind
def update_cases(check: CheckContext) -> Iterator[RunCase]:
    singles = [{name: value} for name, options in UPDATES.items() for value in options]
    firsts = {name: options[0] for name, options in UPDATES.items()}
    rich = write_bodies.EVERYTHING
    known_ids = {name: value for name, value in firsts.items() if name != "output_attachment_ids"}
    full = {name: write_bodies.UPDATE_VALUES[name][0] for name in known_ids}
    lasts = [{name: options[-1]} for name, options in UPDATES.items()]
    yield update_case(full, *lasts, fields=rich)
    for update in singles:
        yield update_case(update, is_cancelled=False)
    for name, value in firsts.items():
        yield update_case({name: value}, fields=rich, count=3, index=1)
    for row in rows({name: UPDATES[name] for name in known_ids}):
        yield update_case(row, {}, fields=rich, count=3, index=1)
    yield from map(update_case, write_bodies.with_and_without(UPDATES))
    # With a moment, it is not known whether the run has worked, and so whether it may write results itself.
    timeless = {name: values for name, values in UPDATES.items() if not name.endswith("_at")}
    for row in write_bodies.with_and_without(timeless):
        yield update_case({"status": "cancelled"} | row, is_cancelled=False, count=2)
    yield update_case(*singles, fields=rich)
    if check.offers("create_run"):
        named = rich | {"session_alias": "Front Desk", "release_session_after": True}
        yield update_case(full, *lasts, fields=named, is_single=True)
        yield update_case(full, *lasts[::-1], fields=named, is_single=True, is_cancelled=False)
        yield update_case({}, {"status": "cancelled"}, full, fields=named, is_single=True, is_cancelled=False)
    one, other = ({name: {"same": {key: 1}} for name in _OBJECT_FIELDS} for key in "ab")
    yield update_case(one, other)  # an object replaces another one, and is not merged with it
    numbers, booleans = ({name: {"same": values} for name in _OBJECT_FIELDS} for values in ([0, 1], [False, True]))
    yield update_case(numbers, booleans, numbers)  # equal in some languages, so a server may write nothing
    yield update_case({}, fields=rich)
    foreign = with_available_ids(check, write_bodies.foreign_properties("update_run"))
    yield update_case(foreign, foreign | {"input_values": {"changed": True}}, fields=rich)
    yield update_case(*({name: value} for name, value in foreign.items()), fields=rich)
    new = {"input_values": {"new": True}}, {"output_data": {"a": 1}}
    for count, index in ((2, 0), (3, 2)):
        yield update_case(*new, count=count, index=index)
    token = SECOND_TOKEN if check.has_second else TOKEN  # the other cases are of the first organisation
    # A large create costs many runs, so its run is deleted in the same case.
    large = update_case(*new, count=LARGE_CREATE, index=LARGE_CREATE - 1, token=token)
    yield replace(large, events=(*large.events, DELETE)) if check.offers("delete_run") else large
    for count, index in ((2, 1), (3, 1), (101, 100)):
        yield update_case({"status": "cancelled"}, is_cancelled=False, count=count, index=index)
    for name, value in firsts.items():
        yield update_case({"status": "cancelled", name: value}, is_cancelled=False, count=2)
    for update in (known_ids, {"output_data": SAMPLE}, {"input_values": SAMPLE}):  # with the status that it has already
        yield update_case({"status": "cancelled"} | update, fields=rich)
    # A status that cannot be set: if the update is refused, the other fields that it names must not change either.
    for status in ("running", "success"):
        for is_cancelled in (True, False):
            yield update_case({"status": status} | known_ids, is_cancelled=is_cancelled, fields=rich)
    placed = with_available_ids(check, {"machine_id": "«machine»", "pool_ids": ["«pool:0»"]})
    placed |= {"session_id": "«session»"} if check.sessions.accepts_any_id else {}
    for name, value in placed.items():
        yield update_case(*singles[:4], {"status": "cancelled"}, is_cancelled=False, fields={name: value}, count=2)


# One run that is changed more often than a small counter or a history of usual size can hold


@dataclass(frozen=True)
class ManyChangesCase(Case):
    kind: Literal["updates", "retries"]
    times: int


def run_many_changes(context: CaseContext, case: ManyChangesCase) -> None:
    """Change a cancelled run. Each update and retry has another value, and an update its own idempotency key."""
    run = TrackedRun.of(context, context.some_runs())
    run.cancel()
    key = context.placeholder("key")
    for number in range(case.times):
        if case.kind == "updates":
            run.update({"output_data": {"number": number}}, key=f"{key}-{number}")
        else:
            if not run.retry({"input_values": {"number": number}}).result.accepted:
                return
            run.cancel()
    run.read()


def many_changes_cases(check: CheckContext) -> Iterator[ManyChangesCase]:
    yield ManyChangesCase("updates", MANY_UPDATES)
    if check.offers("retry_run"):
        yield ManyChangesCase("retries", MANY_RETRIES)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "updates",
        ("UPDATE-PARTIAL", "REQ-ACCEPT"),
        run_events,
        update_cases,
        needs=("update_run", "get_run"),
        weight=2,  # each field may have a fault of its own
    ),
    Scenario(
        "many changes of one run",
        ("UPDATE-PARTIAL", "RETRY-RULES"),
        run_many_changes,
        many_changes_cases,
        needs=("update_run", "get_run"),
        weight=0,  # Its cases are long and find little: they run in the last round, but beside others.
    ),
)
