"""Reading runs one by one: a created run reads the same, an unknown id is 404, and an id has other forms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from contracts.core.counting import counted
from contracts.core.findings import Rule
from contracts.data import file, in_turn_by_kind, write_bodies
from contracts.data.formats import other_forms_of
from contracts.data.limits import LARGE_CREATE, MAX_COUNT, few, sizes
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Evidence, Scenario, WriteResult, assume
from contracts.openapi.router import path_parameter
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle import KnownRun, ParsedRequest, Query, read_body, value_in_words
from contracts.oracle.run import STABLE
from contracts.rules.list_reads import WHOLE_PAGE, created_at, items_of
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import ATTACHMENT_READS

READING_AND_CHANGING: Final = "Reading and changing"
"""The group of the rules about single runs and lists of them."""
RULES = (
    Rule(
        "READ-BACK",
        "api",
        "major",
        "What was created can be read, and reads the same",
        "GET of a created run answers 200 with the run. Every field that does not change by itself stays the same, "
        "also in a list, and also for the last run of a large create. The same holds for a created pool or workflow, "
        "and for a listed machine, pool or workflow that is read by its id.",
        READING_AND_CHANGING,
        needs=("get_run",),
        value_fields=(
            *(*STABLE, "machine_id", "pool_ids", "input_values", "name", "description", "pool_parameters"),
            *("main_prompt", "input_schema", "output_schema", "is_webhooks_enabled", "machine_count", "machines"),
            *("unkey_key_id", "alerts_enabled", "machine_parameters", "pools"),
        ),
    ),
    Rule(
        "READ-UNKNOWN",
        "api",
        "moderate",
        "An unknown id is answered 404",
        "Every operation answers 404 for an unknown id and a 4xx for a malformed one, both as JSON.",
        READING_AND_CHANGING,
        needs=("get_run",),
    ),
)


def read_back(context: CaseContext, written: WriteResult) -> None:
    """Read the first, the middle and the last run of a create one by one and judge them."""
    if written.runs and context.check.offers("get_run"):
        last = len(written.runs) - 1
        for index in sorted({0, last // 2, last}):
            _read_one(context, written, index)


def _read_one(context: CaseContext, written: WriteResult, index: int) -> None:
    run, created = written.runs[index], written.result
    result = context.call_valid("get_run", run["id"], after=(created,))
    judge_read(context, run, result.body, written.parsed, (created, result))


def judge_read(
    context: CaseContext, run: dict[str, Any], read: Any, parsed: ParsedRequest | None, evidence: Evidence
) -> bool:
    """Judge READ-BACK and LIFECYCLE for a run that no request has changed."""
    context.count("LIFECYCLE", *evidence)
    return context.judge("READ-BACK", KnownRun(run, parsed).read_violations(read), *evidence)


def judge_gone(context: CaseContext, run_id: str, *before: CallResult) -> None:
    """Judge by a read that a deleted run is gone."""
    read = context.call("get_run", run_id)
    context.judge("DELETE-GONE", KnownRun.gone_violations("get_run", read.status, read.words), *before, read)


def judge_listed(context: CaseContext, written: WriteResult, query: Query) -> CallResult:
    """Judge the runs of a create as they are listed. Return the list, which need not have all of them."""
    listed = context.call_valid("list_runs", query=query, after=[written.result])
    items = {item.get("id"): item for item in items_of(listed)}
    for run in written.runs:
        if run["id"] in items:
            judge_read(context, run, items[run["id"]], written.parsed, (written.result, listed))
    return listed


# Every run of a large create


@dataclass(frozen=True)
class ReadManyCase(Case):
    """A bulk create whose runs are read one by one, all of them or those at usual limits, and then all in a list."""

    body: Mapping[str, Any]
    reads_all: bool = False


def run_read_many(context: CaseContext, case: ReadManyCase) -> None:
    written = context.create("bulk_create_runs", case.body)
    if not written.runs_are_reliable:
        return
    count = len(written.runs)
    for number in range(1, count + 1) if case.reads_all else sizes(1, count):
        _read_one(context, written, number - 1)
    if context.check.offers("list_runs"):
        times = sorted(run["created_at"] for run in written.runs)
        judge_listed(context, written, [*created_at(times[0], times[-1]), WHOLE_PAGE])


def read_many_cases(check: CheckContext) -> Iterator[ReadManyCase]:
    bare = write_bodies.minimal("bulk_create_runs")
    yield ReadManyCase(bare | {"count": LARGE_CREATE} | write_bodies.EVERYTHING)
    for name, value in write_bodies.EVERYTHING.items():
        for count in few(2, MAX_COUNT // 2)[:-1]:
            yield ReadManyCase(bare | {"count": count, name: value}, reads_all=count < 20)


# Unknown ids


_MALFORMED: Final = (
    *("not-a-uuid", "0", "1", "-1", "abc", "null", "undefined", "not-a-uuid.json", "3c90c3cc-0d44-4b50-8888"),
    *("3c90c3cc-0d44-4b50-8888-8dd25736052a0", "zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz", "é", "😀", "\x00", " ", "%"),
    *("'", '"', "*", "a b", "..%2f", "x" * 300, "true", "[]", "{id}", "$ref"),
)


@dataclass(frozen=True)
class UnknownIdCase(Case):
    """An operation with an id that no resource of its kind should have."""

    operation: str
    id: str
    kind: Literal["unknown", "similar", "malformed", "another resource"] = "unknown"
    """One that is similar to a known id may exist, where ids are consecutive numbers."""


_BODIES: Final[Mapping[str, Any]] = {"update_run": {"release_session_after": True}, "retry_run": {}}


def run_unknown(context: CaseContext, case: UnknownIdCase) -> None:
    identity = str(context.fill(case.id))
    if case.kind in {"unknown", "similar"}:
        context.check.guard.allow_unknown(identity)
    if case.kind == "similar" and case.operation in {*_BODIES, "delete_run"}:
        assume(context.call("get_run", identity).status == 404, "an id that is similar to that of a run may exist")
    result = context.call(case.operation, identity, body=_BODIES.get(case.operation, UNREAD))
    exists = case.kind == "similar" and result.shown("id") == identity
    assume(not exists, "an id that is similar to a known one exists")
    judge_absent_id(context, case.operation, result, is_malformed=case.kind == "malformed")


def judge_absent_id(context: CaseContext, operation: str, result: CallResult, *, is_malformed: bool) -> None:
    if is_malformed:
        cause, expected = f"a malformed id is not refused by {operation}", "a 4xx, since the id is malformed"
    else:
        cause, expected = f"an unknown id is not 404 with {operation}", "404, since the id is unknown"
    holds = result.refused if is_malformed else result.status == 404
    context.require(holds, "READ-UNKNOWN", cause, expected, result)


@in_turn_by_kind
def unknown_cases(check: CheckContext) -> Iterator[UnknownIdCase]:
    for number, (operation, (_, template)) in enumerate(operations().items()):
        if "{" not in template or not check.offers(operation) or operation == "add_machine_to_pool":
            continue
        for identity in (
            "«unknown»",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "00000000-0000-4000-8000-000000000001",
        ):
            yield UnknownIdCase(operation, identity)
        malformed = _MALFORMED if operation == "get_run" else _MALFORMED[number % 3 :: 3]
        yield from (UnknownIdCase(operation, identity, "malformed") for identity in malformed)
        yield from _similar_id_cases(check, operation, template)


def _similar_id_cases(check: CheckContext, operation: str, template: str) -> Iterator[UnknownIdCase]:
    """Yield ids that differ slightly from an existing one, and (for GET) existing ids of another kind of resource."""
    by_kind = {name: next(iter(ids), None) for name, ids in check.known_ids.items()}
    kind = path_parameter(template)
    own = by_kind.get(kind)
    if own is not None:
        yield UnknownIdCase(operation, own[:-1] + ("0" if own[-1] != "0" else "1"), "similar")
        yield UnknownIdCase(operation, ("0" if own[0] != "0" else "1") + own[1:], "similar")
        for identity in (own[:-1], own + "0", own[:8], own[:23], own + own):
            yield UnknownIdCase(operation, identity, "malformed")
    if operations()[operation][0] == "GET":
        for other, known in by_kind.items():
            if other != kind and known is not None:
                yield UnknownIdCase(operation, known, "another resource")


# Ids in other forms


_FILE: Final = file("a.txt", b"content")
_CHANGES: Final[dict[str, dict[str, Any]]] = {
    "update_run": {"input_values": {"changed": True}},
    "retry_run": {"input_values": {"retried": True}},
}

_RULES: Final = {  # of the operations that show the id
    **{"get_run": "READ-BACK", "update_run": "UPDATE-PARTIAL", "retry_run": "RETRY-RULES"},
    "get_run_attachment": "ATTACHMENTS",
}
_LIST: Final = "list_run_attachments"


@dataclass(frozen=True)
class IdFormCase(Case):
    """`form` is the position of the form in `other_forms_of`. An operation that lists has the id in its query."""

    operation: str
    form: int


def run_id_form(context: CaseContext, case: IdFormCase) -> None:
    fields = {"file_inputs": [_FILE]} if case.operation in (*ATTACHMENT_READS, _LIST) else {}
    run = TrackedRun.of(context, context.some_runs(1, **fields))
    if case.operation == "retry_run":
        run.cancel()
    known = run.id
    if case.operation in ATTACHMENT_READS:
        assume(run.files(), "a run has no file")
        known = run.files()[0]
    written = other_forms_of(known)[case.form]
    body = _CHANGES.get(case.operation, {})
    if case.operation == _LIST:
        result = context.call(_LIST, query=[("run_id", written)])
    else:
        result = context.call(case.operation, written, body=body or UNREAD)
    if not result.accepted:
        return  # a target may refuse other forms of an id
    shown = result.shown("id")
    if isinstance(shown, str) and shown.lower() == known.lower() and case.operation in _RULES:
        cause, got = f"{case.operation} shows another form of the id", f"id {value_in_words(shown)}"
        run.require(shown == known, _RULES[case.operation], cause, "the id in lower case, with dashes", result, got=got)
    _judge_effect(run, case.operation, body, result)


def _judge_effect(run: TrackedRun, operation: str, body: Mapping[str, Any], result: CallResult) -> None:
    """Judge the answer to an accepted request by the run that its id names."""
    match operation:
        case "get_run":
            run.judge("READ-BACK", run.known.read_violations(result.body), result)
        case "update_run":
            run.judge_update(body, result)
            run.read()
        case "retry_run":
            run.judge_retry(read_body("retry_run", body), result)
            run.read()
        case "delete_run":
            judge_gone(run.context, run.id, *run.evidence, result)
        case "download_run_attachment":
            cause, expected = "a file has other bytes by another form of its id", "the bytes as they were sent"
            run.require(result.answer.body == b"content", "ATTACHMENTS", cause, expected, result)
        case "list_run_attachments":
            listed = {item.get("id") for item in items_of(result)}
            cause = "run_id in another form leaves out attachments of the run"
            got, expected = counted(len(listed), "attachment"), "the input attachment of the run"
            is_listed = listed.issuperset(run.files())
            run.require(is_listed, "LIST-FILTER", cause, expected, result, got=got)


@in_turn_by_kind
def id_form_cases(check: CheckContext) -> Iterator[IdFormCase]:
    for number, operation in enumerate(("get_run", *_CHANGES, "delete_run", *ATTACHMENT_READS, _LIST)):
        needs = ("update_run", "retry_run") if operation == "retry_run" else (operation,)
        if check.offers(*needs):
            forms = range(5) if operation == "get_run" else (0, 1 + number % 4)  # capitals are the most common
            yield from (IdFormCase(operation, form) for form in forms)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "large creates read run by run",
        ("READ-BACK", "LIFECYCLE"),
        run_read_many,
        read_many_cases,
        needs=("get_run",),
        order=3,
    ),
    Scenario("unknown ids", ("READ-UNKNOWN",), run_unknown, unknown_cases, needs=("get_run",), creates_runs=False),
    Scenario(
        "ids in other forms",
        ("READ-BACK", "UPDATE-PARTIAL", "RETRY-RULES", "DELETE-GONE", "ATTACHMENTS", "LIST-FILTER"),
        run_id_form,
        id_form_cases,
        needs=("get_run",),
        order=2,
    ),
)
