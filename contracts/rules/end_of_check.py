"""Checks again, at the end of a check, what was created at its start: runs and idempotency keys. Lists all runs, early
in a check and at its end.

In between, the check creates thousands of runs and sends many keys. A server that forgets old runs or keys has lost
them by then.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from contracts.core.counting import counted
from contracts.core.exchange import TOKEN, Exchange, Request
from contracts.core.json_tree import leaves
from contracts.data import batches, write_bodies
from contracts.data.limits import MANY_KEYS, MAX_LIMIT, POWERS_OF_TWO, above
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, assume
from contracts.engine.request_building import request_for
from contracts.engine.same_fault import KEY_IS_IGNORED
from contracts.guard.created import created_by, run_id_in
from contracts.openapi.schemas import moment_of
from contracts.oracle import KnownRun, Violation
from contracts.oracle.run_list import list_violations
from contracts.rules.idempotency import answer_difference, keyed_request, send_first
from contracts.rules.idempotency_cases import KEY_HEADER, Keyed, keyed_writes, simple_body
from contracts.rules.list_checks import check_page
from contracts.rules.list_reads import NEWEST_FIRST, RunList, read_page, was_changed
from contracts.rules.run_events import CANCEL, RETRY, Event, apply
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import CHANGING_WRITES, create_runs

# Runs


@dataclass(frozen=True)
class FirstRunsCase(Case):
    """Runs that are created at the start of the check. The events change the last one of them."""

    number: int
    operation: str = "bulk_create_runs"
    body: dict[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


def make_runs(context: CaseContext, case: FirstRunsCase) -> None:
    """Create the runs and keep them for `check_runs_again`."""
    runs = TrackedRun.all_of(context, create_runs(context, case.operation, case.body))
    for event in case.events:
        apply(runs[-1], event)
    for run in runs:
        run.known = run.known.after_no_change("READ-BACK")
    with context.check.lock:
        context.check.first_runs.setdefault(case.number, runs)


def first_runs_cases(check: CheckContext) -> Iterator[FirstRunsCase]:
    body = {"workflow_id": "«workflow»", **write_bodies.EVERYTHING}
    yield FirstRunsCase(0, body=body | {"count": 3})
    if check.offers("create_run"):
        yield FirstRunsCase(1, "create_run", body | {"session_alias": "kept"})
    if check.offers("create_run_chain", "get_run"):
        steps = [{"workflow_id": "«workflow»", "inputs": {"step": index}} for index in range(2)]
        yield FirstRunsCase(2, "create_run_chain", {"steps": steps})
    if check.offers("update_run"):
        ended = (CANCEL, Event("update", write_bodies.SOME_RESULTS))
        yield FirstRunsCase(3, body=body | {"count": 1}, events=ended)
        if check.offers("retry_run"):
            yield FirstRunsCase(4, body=body | {"count": 1}, events=(CANCEL, RETRY))


@dataclass(frozen=True)
class LastRunsCase(Case):
    """The runs of the FirstRunsCase with that number."""

    number: int


def check_runs_again(context: CaseContext, case: LastRunsCase) -> None:
    """Read and list the runs, read their files, and update one that has ended: none of them may be lost or changed."""
    runs: list[TrackedRun] = context.check.first_runs.get(case.number, [])
    for run in runs:
        run.context = context
        run.read()
        for attachment in run.files():
            if context.check.offers("download_run_attachment"):
                context.call_valid("download_run_attachment", attachment, after=run.evidence)
    if runs and context.check.offers("list_runs"):
        session = runs[0].known.view.get("session_id")
        query = [("session_id", session)] if session else [("search", runs[0].id)]
        check_page(runs[0], query, runs[1:], limit=MAX_LIMIT, compares=True)
    reads_right = not any(rule == "READ-BACK" for rule, _ in context.check.known_violations)
    for run in runs[-1:] if reads_right else ():
        if run.known.has_ended and context.check.offers("update_run"):
            run.update({"output_data": {"late": True}})
            run.read()


# Idempotency keys


@dataclass(frozen=True)
class KeysAgainCase(Case):
    """All first keys are sent again, after the check has sent at least `keys` keys."""

    keys: int = 0


@dataclass(frozen=True)
class KeySoonAgainCase(Case):
    expected_runs: ClassVar[int] = 2


def use_key(context: CaseContext, case: Keyed) -> None:
    """Send the first key of the check for an operation, and keep it for `repeat_keys`."""
    request = keyed_request(context, case.operation, case.body, case.key)
    first = send_first(context, request, case.operation)
    with context.check.lock:
        context.check.first_keys.setdefault(case.operation, (request, first))


def repeat_keys(context: CaseContext, case: KeysAgainCase) -> None:
    """Send the first keys again, only once: a cache may keep a key longer if it is used again."""
    with context.check.lock:
        kept = list(context.check.first_keys.values())
    assume(kept, "no key was sent at the start of the check")
    missing = case.keys - len(_accepted_keys(context))
    if missing > 0 and context.check.offers("update_run"):
        _send_other_keys(context, missing)
    _repeat(context, kept)


def _accepted_keys(context: CaseContext) -> set[str]:
    """Return the keys of the first organisation's accepted writes, as far as the guard still has their exchanges."""
    return {
        key
        for exchange in context.check.guard.exchanges
        if exchange.request.header("Authorization") == TOKEN and exchange.answer.status < 300
        if (key := exchange.request.header(KEY_HEADER)) is not None
    }


def _repeat(context: CaseContext, kept: list[tuple[Request, CallResult]]) -> None:
    for request, first in kept:
        run_id = (first.resource or {}).get("id") if first.operation in CHANGING_WRITES else None
        run = None if run_id is None else context.call("get_run", run_id)
        again = context.send(request)
        problem = answer_difference(first, again)
        if problem is not None:
            _report_forgotten(context, [first, again], problem)
        elif run is not None and run.resource is not None:
            _require_unchanged(context, first, run, again)
    context.check.count("IDEM-REPLAY", len(kept))


def _require_unchanged(context: CaseContext, first: CallResult, before: CallResult, again: CallResult) -> None:
    """Judge by a read that a repeated request has changed nothing: a retry that is done twice answers the same."""
    after = context.call_valid("get_run", before.body["id"], after=[first, before, again])
    changes = KnownRun(before.body).unchanged_violations("IDEM-REPLAY", "an old key is forgotten", after.body)
    # A proof, since sending it again would not show it: the run would not have ended yet.
    context.judge("IDEM-REPLAY", changes, first, before, again, after, is_proof=True)


_SOON: Final = 64
"""A key is repeated after this many others. A finding can show so many requests."""


def _find_forgotten_key(context: CaseContext) -> list[CallResult] | None:
    """Return the shortest evidence that a key is forgotten; None if it is kept for _SOON other keys."""
    for others in (0, *(count for count in POWERS_OF_TWO if count <= _SOON)):
        evidence = _repeat_after(context, others)
        if answer_difference(evidence[0], evidence[-1]) is not None:
            return evidence
    return None


def _repeat_after(context: CaseContext, others: int) -> list[CallResult]:
    """Send a write with a new key, writes with that many other keys, and the first write again."""
    key = f"{context.placeholder('key')}-{others}"
    request = keyed_request(context, "bulk_create_runs", simple_body("bulk_create_runs"), key)
    first = send_first(context, request, "bulk_create_runs")
    between = _send_other_keys(context, others, key)
    return [first, *between, context.send(request)]


def repeat_key_soon(context: CaseContext, case: KeySoonAgainCase) -> None:
    """Repeat a key after some others. This finds a server that keeps very few keys long before the end of the check."""
    first, *between, again = _repeat_after(context, _SOON)
    if (problem := answer_difference(first, again)) is not None:
        _report_forgotten(context, [first, *between, again], problem)
    context.count("IDEM-REPLAY", again)


def _report_forgotten(context: CaseContext, seen: list[CallResult], problem: str) -> None:
    """Report that a key is forgotten, by the shortest evidence: what was `seen`, or fewer requests."""
    evidence = _find_forgotten_key(context) or seen
    after = f", with {counted(len(evidence) - 2, 'key')} in between" if len(evidence) > 2 else ""
    is_ignored = evidence is not seen and len(evidence) == 2
    cause = KEY_IS_IGNORED if is_ignored else "an old key is forgotten"
    expected = "the answer of the first one"
    context.report_violation(Violation("IDEM-REPLAY", cause, expected, problem + after), *evidence)


def _send_other_keys(context: CaseContext, count: int, name: str = "other") -> list[CallResult]:
    """Send that many updates of one run, each with its own key, eight at a time. They cost a server little, and create
    nothing.
    """
    if "changed-run" not in context.placeholders:
        context.placeholders["changed-run"] = context.some_runs().runs[0]["id"]
    run_id, key = context.placeholder("changed-run"), context.placeholder("uuid")
    keys = (f"{key}-{name}-{number}" for number in range(count))
    body = {"release_session_after": True}
    requests = [request_for("update_run", run_id, body=body, key=key) for key in keys]
    return [result for group in batches(requests, 8) for result in context.send_together(group)]


# The list of all runs


_FEW_FIELDS: Final = ("fields", "session_id")
"""Keeps the pages small."""
_SAMPLE: Final = 10
_MAX_PAGES: Final = 40
_FEW_PAGES: Final = 4
"""As many are read early in a check: an organisation with many runs would delay what comes after."""


@dataclass(frozen=True)
class AllRunsCase(Case):
    """The list of all runs, and pages beyond the first 1000."""

    is_at_end: bool = False
    """Whether all creates have been answered. Until then, the list may have runs that no answer has reported yet."""


def check_list_of_all_runs(context: CaseContext, case: AllRunsCase) -> None:
    """Read the list. Not judged if another client changes it meanwhile."""
    created = _created_runs(context)
    before = _page(context, 0, 1)
    total = before.pages[0].total
    assume(isinstance(total, int), "a list has no total")
    max_pages = _MAX_PAGES if case.is_at_end else _FEW_PAGES
    whole = _page(context, 0, MAX_LIMIT)
    while whole.pages[-1].is_full and len(whole.pages) < max_pages:  # whatever the total says
        whole += _page(context, len(whole.pages) * MAX_LIMIT, MAX_LIMIT)
    query = [("include", "workflow"), _FEW_FIELDS, NEWEST_FIRST]  # its pages may have a smaller limit
    with_included = read_page(context, query, skip=0, limit=MAX_LIMIT, after=[])
    last = min(total - 2, max_pages * MAX_LIMIT)
    beyond = above(MAX_LIMIT, last) if total > MAX_LIMIT else ()
    single = [(_page(context, skip, 2), _page(context, skip + 1, 2)) for skip in beyond]
    assume(not was_changed(context, before), "the list of all runs changed while it was read")
    for pages in (whole, with_included, *(one + other for one, other in single)):
        _judge_pages(context, pages)
    if total <= max_pages * MAX_LIMIT:
        _judge_complete(context, whole, created)
    if case.is_at_end:
        _judge_unreported(context, whole)
    for page, next_page in single:
        second, first_of_next = page.items[1:2], next_page.items[:1]
        same = [item.get("id") for item in second] == [item.get("id") for item in first_of_next]
        cause, expected = "pages beyond 1000 have gaps", "the second run of a page to be the first of the next"
        context.require(same, "LIST-PAGE", cause, expected, *page.results, *next_page.results, got="another run")


def _page(context: CaseContext, skip: int, limit: int) -> RunList:
    return read_page(context, [_FEW_FIELDS, NEWEST_FIRST], skip=skip, limit=limit, after=[])


def _judge_pages(context: CaseContext, found: RunList) -> None:
    context.check.count("LIST-PAGE")
    first, *others = found.pages
    overlaps = bool(others) and others[0].skip < first.skip + first.limit
    for wrong in list_violations(found.pages, found.query, ()):
        if not (overlaps and wrong.violation.cause == "a run on two pages"):
            context.report_violation(wrong.violation, *(found.results[number] for number in wrong.pages))


def _created_runs(context: CaseContext) -> dict[str, CallResult]:
    """Return the ids of the runs that the check has created for the first organisation, and the answers to it."""
    with context.check.lock:
        return {
            run_id: result
            for run_id, result in context.check.seen.runs.items()
            if isinstance(result, CallResult) and result.exchange.request.header("Authorization") == TOKEN
        }


def _judge_complete(context: CaseContext, whole: RunList, created: Mapping[str, CallResult]) -> None:
    """Require that some of the created runs that can be read are listed."""
    listed = {item.get("id") for item in whole.items}
    missing = [run_id for run_id in created if run_id not in listed]
    for run_id in missing[:: max(1, len(missing) // _SAMPLE)]:
        read = context.call("get_run", run_id)  # 404 if the check has deleted it
        cause, expected = "a created run is on no page of all runs", "every run that can be read"
        got = f"{counted(len(whole.items), 'run')} without it"
        context.require(
            not read.accepted, "LIST-COMPLETE", cause, expected, created[run_id], read, *whole.results[-1:], got=got
        )
    context.check.count("LIST-COMPLETE")


def _judge_unreported(context: CaseContext, whole: RunList) -> None:
    """Require that answers reported all runs with a value or a session of this check, unless one was lost."""
    guard = context.check.guard
    if guard.log.lost is not None:
        return
    sessions = {run_id: str(item.get("session_id")) for item in whole.items if (run_id := run_id_in(item.get("id")))}
    others = [run_id for run_id in sessions if not guard.ownership.created(run_id)]
    others.sort(key=lambda run_id: not guard.ownership.has_session(sessions[run_id]))
    for run_id in others[:_SAMPLE]:
        read = context.call("get_run", run_id)
        run = read.resource or {}
        source = _source_of(context, run)
        if source is None or not _is_after(run, source):
            continue  # of another client, or of an earlier check with the same seed and salt
        cause, expected = "a run that no answer reported", "no run beside those that the answers reported"
        context.report_violation(Violation("LIST-COMPLETE", cause, expected, f"run {run_id}"), source, read.exchange)


def _source_of(context: CaseContext, run: Mapping[str, Any]) -> Exchange | None:
    """Return an exchange of this check whose request has a word, or whose answer has the session, of a run."""
    prefix = context.check.search_prefix
    word = next((word for word in _words_in(run.get("input_values")) if word.startswith(prefix)), None)
    if word is not None:
        exchanges = context.check.guard.exchanges
        return next((each for each in exchanges if word.encode() in (each.request.body or b"")), None)
    made = context.check.seen.sessions.get(str(run.get("session_id")))
    return made.exchange if isinstance(made, CallResult) else None


def _is_after(run: Mapping[str, Any], source: Exchange) -> bool:
    """Return whether a run was created not earlier than the first run that the answer of a create reports."""
    reported = next((each.body for each in created_by(source.answer).runs if each.body is not None), {})
    created, first = (moment_of(each.get("created_at")) for each in (run, reported))
    return created is not None and first is not None and created >= first


def _words_in(value: Any) -> Iterator[str]:
    for _, text in leaves(value):
        yield from text.split() if isinstance(text, str) else ()


def _list_of_all_runs(name: str, case: AllRunsCase, *, order: int, is_last: bool = False) -> Scenario[AllRunsCase]:
    return Scenario(
        name,
        ("LIST-PAGE", "LIST-COMPLETE"),
        check_list_of_all_runs,
        lambda check: [case] * check.target.shard[1],
        needs=("list_runs", "get_run"),
        creates_runs=False,
        order=order,
        is_exclusive=True,
        is_last=is_last,
    )


# One case for each shard (`shard[1]` of them), since each shard has its own first keys and runs.
SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "runs created to be read again at the end",
        ("READ-BACK", "LIST-COMPLETE", "ATTACHMENTS"),
        make_runs,
        first_runs_cases,
        order=0,
    ),
    Scenario(
        "idempotency keys first used, to be used again at the end",
        ("IDEM-REPLAY",),
        use_key,
        lambda check: [Keyed(operation, simple_body(operation)) for operation in keyed_writes(check)],
        order=0,
    ),
    Scenario(
        "runs read again at the end",
        ("READ-BACK", "LIST-COMPLETE", "LIFECYCLE", "ATTACHMENTS"),
        check_runs_again,
        lambda check: [LastRunsCase(case.number) for case in first_runs_cases(check)],
        needs=("get_run",),
        order=9,
        is_last=True,
    ),
    # By then, the scenarios of order 0 have created more runs than fit in a page.
    _list_of_all_runs("all runs listed", AllRunsCase(), order=2),
    _list_of_all_runs("all runs listed at the end", AllRunsCase(is_at_end=True), order=9, is_last=True),
    Scenario(
        "idempotency keys used again after some others",
        ("IDEM-REPLAY",),
        repeat_key_soon,
        lambda check: [KeySoonAgainCase()] if check.offers("update_run") else [],
        order=3,
    ),
    Scenario(
        "idempotency keys used again after many others",
        ("IDEM-REPLAY",),
        repeat_keys,
        lambda check: [KeysAgainCase(MANY_KEYS)] * check.target.shard[1],
        order=8,
    ),
    Scenario(
        "idempotency keys used again at the end",
        ("IDEM-REPLAY",),
        repeat_keys,
        lambda check: [KeysAgainCase()] * check.target.shard[1],
        order=9,
        is_last=True,
    ),
)
