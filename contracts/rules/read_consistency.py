"""The consistency of reads: a run must look the same in get_run and in every list, after any change.

Other scenarios test one operation in detail. These combine every way to create a run, every change to it and every way
to read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from contracts.data import file, in_turn_by_kind, rows, write_bodies
from contracts.data.json_values import SAMPLE
from contracts.data.limits import DEFAULT_LIMIT, MAX_LIMIT
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, assume
from contracts.openapi.schemas import moment_of, selectable_fields
from contracts.oracle import KnownRun, Query
from contracts.rules.creates import features_of
from contracts.rules.isolated_runs import SESSION_FIELDS, IsolatedRuns, create_isolated_runs
from contracts.rules.list_checks import check_page
from contracts.rules.list_reads import DEEP_SEARCH, NEWEST_FIRST, WHOLE_PAGE, created_at, items_of, read_page
from contracts.rules.run_events import CANCEL, DELETE, RETRY, Event, apply
from contracts.rules.tracked_run import TrackedRun
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
    machine = with_available_ids(check, {"machine_id": "«machine»"})
    bodies: tuple[dict[str, Any], ...] = (machine, {"input_values": None}, {"input_values": {}})
    for fields in bodies:
        plain = ConsistencyCase(operation, fields)
        yield plain.with_events(*again, each=True)
        yield plain.with_events(Event("update", {"input_values": {"a": 1}}), widely=True)
    for kind, ids in (("machine", check.machines), ("session", check.sessions)):
        if ids.has_several:
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
    other = "«marker:10»"
    aliases = ("«marker:12»", new, other)
    named = ConsistencyCase(operation, {"session_alias": aliases[0]} if operation == "create_run" else {})
    renamed = [Event("retry", {"session_alias": alias}, words=aliases) for alias in aliases[1:]]
    for _ in range(2):  # one for each kind of create
        yield named.with_events(CANCEL, renamed[0], CANCEL, renamed[1])
    results = {
        "output_data": {"a": [new]},
        "error": ["x", other],
        "run_message_history": [{"a": "b"}, {"c": {"d": "«marker:11»"}}],
    }
    added = (new, other, "«marker:11»")
    # Only after the run has ended, since an active run may write these fields itself.
    add = Event("update", results, words=added)
    remove = Event("update", {"output_data": {}, "error": [], "run_message_history": []}, words=added)
    yield plain.with_events(CANCEL, add, remove, each=True)
    yield plain.with_events(CANCEL, add, replace(RETRY, words=added), each=True)


# The runs of a case, and the checks after an event


class ViewedRuns:
    """The runs of one case: one that the events change, and others."""

    def __init__(self, context: CaseContext, isolated: IsolatedRuns, index: int) -> None:
        self.context = context
        self.isolated = isolated
        tracked = [
            TrackedRun(context, KnownRun(run, isolated.create_of(run).parsed), [isolated.creates[-1].result])
            for run in isolated.runs
        ]
        self.runs = {run.id: run for run in tracked}
        """All runs that are not deleted."""
        self.changed_run = tracked[index % len(tracked)]
        """The run that the events change; once it is deleted, another one."""
        self.deleted: list[TrackedRun] = []
        self.rule = "READ-BACK"
        """The rule of the last event."""
        self.before: KnownRun | None = None
        """The run that the last event changed, before that event. None after a delete."""
        self.words: Sequence[str] = ()
        """Words that the last event has added to the run, or removed."""

    def apply(self, event: Event) -> bool:
        """Apply an event and return whether it was carried out. One that changes the field by which the runs are found
        is not applied.
        """
        if not self.context.check.offers("update_run" if event.kind == "cancel" else f"{event.kind}_run"):
            return False
        if event.kind == "delete":
            return self._delete(event.shift)
        needed = {"search": {"input_values"}, "session_id": SESSION_FIELDS}.get(self.isolated.filter[0], frozenset())
        before = self.changed_run.known
        if needed & event.body.keys() or not apply(self.changed_run, event):
            return False
        self._note(self.changed_run.evidence[-1], before)
        self.words = self.context.fill(list(event.words))
        return True

    def _delete(self, shift: int) -> bool:
        """Delete the run `shift` positions after the changed run; with 0, the changed run."""
        ids = list(self.runs)
        run = self.runs.pop(ids[(ids.index(self.changed_run.id) + shift) % len(ids)])
        result = run.delete()
        self.deleted.append(run)
        if not self.runs:
            return False
        if run is self.changed_run:
            self.changed_run = next(iter(self.runs.values()))
        self.words = ()
        self._note(result, None)
        return True

    def _note(self, result: CallResult, before: KnownRun | None) -> None:
        """Remember the last event, which must not have changed the other runs. `before` is None after a delete."""
        self.before = before
        self.rule = "DELETE-GONE" if before is None else self.changed_run.known.rule
        for run in self.runs.values():
            if run is not self.changed_run or before is None:
                run.known = run.known.after_no_change(self.rule)
                run.add_evidence(result)


def run_read_consistency(context: CaseContext, case: ConsistencyCase) -> None:
    viewed = ViewedRuns(context, _create_runs(context, case), case.index)
    if not case.events:
        _check_views(viewed, widely=case.widely)
    for number, event in enumerate(case.events):
        if not viewed.apply(event):
            return
        if case.checks_each or number == len(case.events) - 1:
            _check_views(viewed, widely=case.widely)


def _create_runs(context: CaseContext, case: ConsistencyCase) -> IsolatedRuns:
    varied = {*case.body, *(name for event in case.events for name in event.body)}
    count = {"count": case.count} if case.operation == "bulk_create_runs" else {}
    isolated = create_isolated_runs(context, [case.body | count], varied)
    assume(len(isolated.runs) == case.expected_runs, "a create gives runs that break a rule already")
    return isolated


# Checks after an event


def _check_views(viewed: ViewedRuns, *, widely: bool) -> None:
    context, changed_run = viewed.context, viewed.changed_run
    if context.check.offers("get_run"):
        changed_run.read()
        if widely:
            changed_run.read([("include", "workflow,machine,machine.pools")])
    if context.check.offers("list_runs"):
        for query in (*_queries(viewed, widely=widely), *_outdated_queries(viewed)):
            _check_list(viewed, query, widely=widely)
    if viewed.before is not None and changed_run.files():
        _check_attachments(viewed, changed_run.files())


def _check_attachments(viewed: ViewedRuns, attachments: Sequence[str]) -> None:
    """Read the first attachment of the changed run, and look for the first and the last one in the list."""
    context, changed_run = viewed.context, viewed.changed_run
    if context.check.offers("get_run_attachment"):
        result = context.call("get_run_attachment", attachments[0])
        there = result.status == 200
        changed_run.require(there, viewed.rule, "attachments are gone too", "200 with the attachment", result)
    if context.check.offers("list_run_attachments"):
        result = context.call("list_run_attachments", query=[("run_id", changed_run.id), WHOLE_PAGE])
        lost = {attachments[0], attachments[-1]}.difference(item.get("id") for item in items_of(result))
        cause, expected = "attachments are not listed any more", "a list with the attachments of the run"
        got = f"a list without attachment {min(lost)}" if lost and result.accepted else result.words
        changed_run.require(not lost, viewed.rule, cause, expected, result, got=got)


def _check_list(viewed: ViewedRuns, query: Query, *, widely: bool) -> None:
    base = viewed.isolated.filter
    found = check_page(
        viewed.changed_run,
        query,
        [run for run in (*viewed.runs.values(), *viewed.deleted) if run is not viewed.changed_run],
        base=[base],
        limit=None if base in query else MAX_LIMIT,
        rule_if_gone=viewed.rule if viewed.rule == "DELETE-GONE" else "",
        compares=True,
    )
    if found is not None and widely and query == [base, NEWEST_FIRST]:
        _judge_single_page(viewed, [item["id"] for item in found.items if item.get("id") in viewed.runs])


def _queries(viewed: ViewedRuns, *, widely: bool) -> Iterator[Query]:
    isolated, run = viewed.isolated, viewed.changed_run.known
    base, view = isolated.filter, run.view
    yield [base]
    yield [base, NEWEST_FIRST]
    yield isolated.filtered([("search", run.id)])
    if view.get("session_id"):
        yield [("session_id", view["session_id"])]
    if run.has_ended:
        yield [base, ("status", run.status)]
    if "machine_id" in run.changed and view.get("machine_id"):
        yield [base, ("machine_id", view["machine_id"])]
    if viewed.before is None and viewed.rule == "READ-BACK" and view.get("session_alias"):
        yield isolated.filtered([("search", view["session_alias"].strip())])
    for word in viewed.words:
        yield isolated.filtered([("search", word), DEEP_SEARCH])
    if not widely:
        return
    moment = created_at(view["created_at"])
    yield moment
    yield [base, *moment]
    yield isolated.filtered([("search", run.id[4:30].upper()), DEEP_SEARCH])
    if view.get("machine_id"):
        yield [base, ("machine_id", view["machine_id"])]
    yield [base, ("include", "workflow,machine")]
    yield [base, *(("fields", name) for name in selectable_fields())]
    for name in ("session_id", "workflow_id"):
        if view.get(name) and base[0] != name:
            yield [base, (name, view[name])]


def _outdated_queries(viewed: ViewedRuns) -> Iterator[Query]:
    """Yield queries that matched the run before the last event, and may no longer match it."""
    base = viewed.isolated.filter
    before = viewed.before.view if viewed.before is not None else {}
    for name in ("session_id", "machine_id", "status"):
        if before.get(name) not in (None, viewed.changed_run.known.view.get(name)):
            yield [base, (name, before[name])]
            if base[0] not in {name, "workflow_id"}:  # two filters may be looked up in an index of their own
                yield [base, ("workflow_id", before["workflow_id"]), (name, before[name])]


def _judge_single_page(viewed: ViewedRuns, order: Sequence[str]) -> None:
    """Judge that the page with limit 1 at the position of the run has exactly that run."""
    moments = [moment_of(viewed.runs[run_id].known.view["created_at"]) for run_id in order]
    changed_run = viewed.changed_run
    if changed_run.id not in order or None in moments or len(set(moments)) != len(moments):
        return
    at, query = order.index(changed_run.id), [viewed.isolated.filter, NEWEST_FIRST]
    page = read_page(viewed.context, query, skip=at, limit=1, after=changed_run.evidence)
    ids = [item.get("id") for item in page.items]
    cause = "a page of one run is not the run at its position"
    got = " and ".join(f"run {run_id}" for run_id in ids[:2]) or "an empty page"
    changed_run.require(ids == [changed_run.id], "LIST-PAGE", cause, f"run {changed_run.id}", *page.results, got=got)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "runs seen through every list and read",
        ("READ-BACK", "LIST-COMPLETE", "LIST-FILTER", "LIST-PAGE", "UPDATE-PARTIAL", "RETRY-RULES", "DELETE-GONE"),
        run_read_consistency,
        consistency_cases,
        needs=("get_run",),
    ),
)
