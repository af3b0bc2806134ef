"""Access to the runs of another organisation, with a valid token of one's own."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from contracts.core.counting import counted
from contracts.core.exchange import SECOND_TOKEN, TOKEN, Exchange
from contracts.core.findings import Rule
from contracts.core.json_tree import leaves
from contracts.data import file, write_bodies
from contracts.data.limits import MAX_LIMIT
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, assume
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle.run_list import FOREIGN, ListCandidate, Query, filter_names
from contracts.oracle.violation import misses_a_run
from contracts.oracle.wording import value_in_words
from contracts.rules.list_checks import judge_list
from contracts.rules.list_reads import (
    DEEP_SEARCH,
    NEWEST_FIRST,
    WHOLE_PAGE,
    created_at,
    items_of,
    listed_item,
    page_of,
    read_page,
    total_of,
)
from contracts.rules.run_events import RunCase, create_for
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import (
    ATTACHMENT_READS,
    WRITES_ON_A_RUN,
    created_ids,
    read_attachment,
    their_workflow,
    with_their_workflow,
)

GROUP: Final = "Authorization"
RULES = (
    Rule(
        "AUTH-TENANT",
        "api",
        "critical",
        "An organisation cannot reach the runs of another one",
        "With another organisation's token a run cannot be read, listed by any filter, changed, retried or deleted, "
        "and its attachments cannot be read. Needs a second token.",
        GROUP,
        needs=("get_run",),
        needs_second_token=True,
    ),
)

STOLEN: Final = "stolen-by-another"

_SINGLE_READS: Final = frozenset({"get_run", "get_run_attachment", "download_run_attachment"})
_INPUTS: Final = ("input_values", "release_session_after", "session_alias", "session_id", "input_attachment_ids")
_FOREIGN_BODIES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "update_run": (
        {"release_session_after": True, "input_values": {"stolen": STOLEN}},
        {"status": "cancelled"},
        {"output_data": {"stolen": STOLEN}},
        {"error": [STOLEN]},
        {"run_message_history": [{"stolen": STOLEN}]},
        {"usage_metadata": {"stolen": STOLEN}},
        {},
    ),
    "retry_run": ({}, {"input_values": {"stolen": STOLEN}}, {"session_alias": STOLEN}),
}
_RESULTS: Final = {
    "output_data": {"a": "«marker:1»"},
    "error": ["«marker:2»"],
    "run_message_history": [{"a": "«marker:3»"}],
}
_INCLUDES: Final = ("workflow", "machine", "workflow,machine,machine.pools")


@dataclass(frozen=True)
class TenantCase(Case):
    """One organisation creates a run, and the other one tries operations on it."""

    operations: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    created_by: str = "bulk_create_runs"
    cancelled: bool = False
    by_second: bool = False
    """Whether the second organisation creates the run."""
    widely: bool = False
    """Whether the run is looked for with many more filters."""

    @property
    def expected_runs(self) -> int:
        """`join_session` may create one more run, for the other organisation."""
        names_session = not self.fields.keys().isdisjoint({"session_id", "start_session"})
        return self.count + (self.created_by == "create_run_chain" or names_session)


def run_tenant(context: CaseContext, case: TenantCase) -> None:
    check = context.check
    assume(check.has_second, "no second token was given")
    mine, theirs = (SECOND_TOKEN, TOKEN) if case.by_second else (TOKEN, SECOND_TOKEN)
    run, created = _create_run(context, case, mine)
    foreign = _ForeignRun(context, run, created, mine, theirs, case.widely)
    if case.cancelled:  # at once: on a slow target, the run might end meanwhile
        assume(context.cancel(foreign.id, token=mine).accepted, "a run cannot be cancelled")
        context.call("update_run", foreign.id, body=context.fill(_RESULTS), token=mine)
    if case.by_second and case.widely and check.offers("list_runs"):
        foreign.list_as_owner()
    reads = [operation for operation in case.operations if operation in _SINGLE_READS and check.offers(operation)]
    for operation in reads:
        foreign.try_operation(operation, created, widely=False)
    before = context.call_valid("get_run", foreign.id, token=mine)
    foreign = replace(foreign, run=run | before.body)
    for operation in filter(check.offers, case.operations):
        if operation == "list_runs":
            foreign.list_runs()
        elif operation == "list_run_attachments":
            foreign.list_attachments()
        else:
            # The reads are repeated: a server may now answer from a cache that the owner's reads have filled.
            evidence = [created, before] if operation in reads else [created]
            foreign.try_operation(operation, *evidence, widely=case.widely)
    if foreign.run.get("session_id") and not check.is_live:
        foreign.join_session()
    if WRITES_ON_A_RUN.intersection(case.operations):
        foreign.require_unchanged(before.body)


def _create_run(context: CaseContext, case: TenantCase, token: str) -> tuple[dict[str, Any], CallResult]:
    """Create a run of one organisation as the case says; return it with the result of its create."""
    operation = case.created_by
    if token == TOKEN and operation == "bulk_create_runs":
        created = context.some_runs(case.count, **context.fill(case.fields))
        return created.runs[-1], created.result
    # Not judged as a create: the run need only be there.
    body = context.fill(write_bodies.minimal(operation) | case.fields)
    result = context.call(operation, body=body if token == TOKEN else with_their_workflow(context, body), token=token)
    made = result.resource or {}
    if operation == "create_run_chain" and made:
        return context.call_valid("get_run", made["run_ids"][-1], token=token).body, result
    runs = made.get("created_runs") or [made]
    assume(isinstance(runs[-1].get("id"), str), f"{operation} gives no run to go on with")
    return runs[-1], result


@dataclass(frozen=True)
class GivenAwayCase(Case):
    """Updates of a run name the other organisation as its owner, which is no property of an update, and an attachment
    of the other organisation.
    """

    is_cancelled: bool = False
    expected_runs: ClassVar[int] = 2


_CLEARING: Final[Mapping[str, dict[str, Any]]] = {"retry_run": {"body": {}}, "delete_run": {}}
"""A retry clears the output attachments of the run, and a delete removes them."""


def run_given_away(context: CaseContext, case: GivenAwayCase) -> None:
    theirs = create_for(context, RunCase({"file_inputs": [file()]}, token=SECOND_TOKEN)).runs[0]
    run = TrackedRun.of(context, context.some_runs(1))
    if case.is_cancelled:
        run.cancel()
    owner = {name: theirs[name] for name in ("organization_id", "user_id") if theirs.get(name)}
    result = run.update(owner)
    if result.accepted:
        read = context.call("get_run", run.id, token=SECOND_TOKEN)
        cause, expected = "an update gives a run to another organisation", "404, since the run is of its organisation"
        run.require(read.status == 404, "AUTH-TENANT", cause, expected, read)
        run.read()
    for attachment in theirs["input_attachment_ids"] or ():
        # Not judged as an update: the target may refuse or ignore the attachment.
        named = run.call("update_run", body={"output_attachment_ids": [attachment]})
        for read in read_attachment(context, attachment):
            cause, expected = "an update opens an attachment of another organisation", "404, as for any unknown id"
            context.require(not read.accepted, "AUTH-TENANT", cause, expected, named, read)
        clearing = [
            run.call(operation, **body)
            for operation, body in _CLEARING.items()
            if context.check.offers(operation) and (case.is_cancelled or operation == "delete_run")
        ]
        if context.check.offers("get_run_attachment"):
            left = context.call("get_run_attachment", attachment, token=SECOND_TOKEN)
            cause, expected = "another organisation removes attachments", "the attachment of the first organisation"
            context.require(left.status != 404, "AUTH-TENANT", cause, expected, named, *clearing, left)


@dataclass(frozen=True, slots=True)
class _ForeignRun:
    """A run of one organisation, which another one tries to use. `owner` and `other` are the tokens of both."""

    context: CaseContext
    run: dict[str, Any]
    created: CallResult
    owner: str
    other: str
    widely: bool
    """Whether the run is looked for with many more filters."""

    @property
    def id(self) -> str:
        return str(self.run["id"])

    def _require(self, holds: object, cause: str, expected: str, *more: CallResult | Exchange, got: str = "") -> None:
        self.context.require(holds, "AUTH-TENANT", cause, expected, *more, got=got)

    def require_unchanged(self, before: dict[str, Any]) -> None:
        """Read the run and its attachments as their owner, after another organisation tried to change them."""
        context, another = self.context, "another organisation"
        evidence: Sequence[Exchange] = context.exchanges
        result = context.call("get_run", self.id, token=self.owner)
        self._require(result.accepted, f"{another} deletes a run", "the run as before", *evidence, got=result.words)
        if (after := result.resource) is not None:
            kept = (*_INPUTS, *_RESULTS) if before.get("status") == "cancelled" else _INPUTS
            changed = [name for name in kept if (before.get(name) or None) != (after.get(name) or None)]
            cancelled = after.get("status") == "cancelled" != before.get("status")
            retried = before.get("status") == "cancelled" != after.get("status")
            marked = [name for name, value in after.items() if STOLEN in json.dumps(value)]
            names = [*changed, *(["status"] if cancelled else []), *marked]
            got = ", ".join(f"{name} {value_in_words(after.get(name))}" for name in dict.fromkeys(names))
            evidence = _without_other_updates(context.exchanges, names)
            expected = "the run as before, since another organisation sent the writes"
            cause, by_others = f"{another} changes a run", names == ["status"]
            more: dict[str, Any] = {"got": got, "field": names[0] if names else "", "may_be_by_others": by_others}
            context.require(not names, "AUTH-TENANT", cause, expected, *evidence, **more)
            got = f"status {after.get('status')}"
            self._require(not retried, f"{another} retries a run", expected, *evidence, got=got)
        if context.check.offers("get_run_attachment"):
            for attachment in before.get("input_attachment_ids") or ():
                result = context.call("get_run_attachment", attachment, token=self.owner)
                cause, expected = f"{another} removes attachments", "attachments as before"
                self._require(result.status != 404, cause, expected, *evidence, got=result.words)

    def try_operation(self, operation: str, *evidence: CallResult, widely: bool) -> None:
        is_of_attachment = "{attachment_id}" in operations()[operation][1]
        ids = self.run.get("input_attachment_ids") or [] if is_of_attachment else [self.id]
        queries: list[Query] = [()]
        if operation == "get_run" and widely:
            queries += [(("include", names),) for names in _INCLUDES]
        bodies = _FOREIGN_BODIES.get(operation, (UNREAD,))
        for one, body, query in itertools.product(ids[:2], bodies if widely else bodies[:2], queries):
            if query:  # a server may then answer from a cache
                self.context.call(operation, one, query=query, token=self.owner)
            result = self.context.call(operation, one, query=query, body=body, token=self.other)
            cause = f"another organisation may use {operation}"
            expected = "404, since for another organisation the run does not exist"
            self._require(not result.accepted, cause, expected, *evidence, result)
            cause = f"another organisation learns from {operation} that a run is there"
            expected = "404, as for any unknown run"
            self._require(result.status != 409, cause, expected, *evidence, result)

    def join_session(self) -> None:
        """Use the session as the other organisation, which may be refused. The owner must not find the new runs."""
        context, session = self.context, self.run["session_id"]
        known = (*context.check.workflows.known, "«workflow»")
        workflow = their_workflow(context) if self.other == SECOND_TOKEN else known[0]
        body = context.fill({"workflow_id": workflow, "session_id": session, "count": 1})
        joined = context.call("bulk_create_runs", body=body, token=self.other)
        self._require_other_machine(joined)
        if context.check.offers("update_run", "retry_run"):
            for run_id in created_ids(joined):
                context.cancel(run_id, token=self.other)
                context.call("retry_run", run_id, body={"session_id": session}, token=self.other)
        if joined.resource is not None and context.check.offers("list_runs"):
            foreign = [ListCandidate.of(run, None, FOREIGN) for run in joined.shown("created_runs") or ()]
            for one in (("session_id", session), ("status", "scheduling")):
                found = read_page(context, [one, NEWEST_FIRST], limit=MAX_LIMIT, token=self.owner)
                judge_list(context, found, foreign, lambda run_id: [self.created, joined])

    def _require_other_machine(self, joined: CallResult) -> None:
        """Require that the session does not give a machine of its organisation to a run of the other one."""
        machine, offers = self.run.get("machine_id"), self.context.check.offers
        runs = joined.shown("created_runs") or ()
        if machine is not None and offers("get_machine") and any(run.get("machine_id") == machine for run in runs):
            tokens = (self.owner, self.other)
            reads = [self.context.call("get_machine", machine, token=token) for token in tokens]
            is_theirs, is_own = (read.accepted for read in reads)
            cause, expected = "a session gives another organisation its machine", "no machine, or one of its own"
            was_asked_for = machine.encode() in (self.created.exchange.request.body or b"")
            holds = is_own or not (is_theirs or was_asked_for)  # the machine of a session may be any id
            self._require(holds, cause, expected, self.created, *reads, joined, got=f"machine {machine}")

    def list_runs(self) -> None:
        context, foreign = self.context, ListCandidate.of(self.run, None, FOREIGN)
        more = _more_run_filters(context.check, self.run, self.other) if self.widely else ()
        for query in (*_run_filters(self.run), *more):
            if self.widely:  # a server may then answer from a cache
                context.call("list_runs", query=[*query, WHOLE_PAGE], token=self.owner)
            result = context.call("list_runs", query=[*query, WHOLE_PAGE], token=self.other)
            if result.accepted:
                self._require_not_counted("list_runs", query, result)
                judge_list(context, page_of(result, query, limit=MAX_LIMIT), [foreign], lambda run_id: [self.created])

    def list_as_owner(self) -> None:
        """Find a run of the second organisation by each filter. All other cases list runs of the first organisation."""
        for query in _run_filters(self.run):
            if {"status", "sort_mode"}.isdisjoint(dict(query)):  # the run may have another status by now
                page = [*query, WHOLE_PAGE, NEWEST_FIRST]
                result = self.context.call_valid("list_runs", query=page, token=self.owner, after=[self.created])
                cause, expected = misses_a_run(filter_names(query)), "every run that matches"
                got = f"a list without run {self.id}"
                found = listed_item(result, self.id)
                self.context.require(found, "LIST-FILTER", cause, expected, self.created, result, got=got)

    def list_attachments(self) -> None:
        operation, of_run, of_inputs = "list_run_attachments", ("run_id", self.id), ("attachment_type", "input")
        for query in ([of_run], [], [of_inputs], [of_run, of_inputs]):
            if self.widely:  # a server may then answer from a cache
                self.context.call(operation, query=[*query, WHOLE_PAGE], token=self.owner)
            result = self.context.call(operation, query=[*query, WHOLE_PAGE], token=self.other)
            if result.accepted:
                self._require_not_counted(operation, query, result)
                seen = [item for item in items_of(result) if item.get("run_id") == self.id]
                cause = f"another organisation finds a run with {operation}"
                expected = "no attachment of another organisation's run"
                got = f"{counted(len(seen), 'attachment')} of run {self.id}"
                self._require(not seen, cause, expected, self.created, result, got=got)
        if self.widely:
            self._list_ends_of_attachments()

    def _require_not_counted(self, operation: str, query: Query, result: CallResult) -> None:
        """Require that an empty list whose query names the run does not count the run.

        For comparison, the same list is read with ids that no run has. If its total is not 0 either, the total is wrong
        for another reason.
        """
        context, run, total = self.context, self.run, total_of(result)
        names = {str(value) for value in (self.id, run["workflow_id"], run.get("session_id")) if value}
        names |= {text for name in (*_SEARCHED, "run_message_history") for text in _first_text(run.get(name))}
        without_match = [(name, context.made_up.uuid() if value in names else value) for name, value in query]
        if not total or items_of(result) or without_match == query:
            return
        empty = context.call(operation, query=[*without_match, WHOLE_PAGE], token=self.other)
        if empty.accepted and total_of(empty) == 0:
            cause = f"another organisation counts a run with {operation}"
            self._require(False, cause, "total 0", self.created, empty, result, got=f"total {total}")

    def _list_ends_of_attachments(self) -> None:
        """Check lists without run_id: the first and the last attachment must not belong to the other organisation."""
        context, operation = self.context, "list_run_attachments"
        for query in ([], [("attachment_type", "input")], [("attachment_type", "output")]):
            query = [*query, ("limit", "1")]
            ends = [context.call(operation, query=query, token=self.other)]
            total = total_of(ends[0])
            if ends[0].accepted and total is not None and total > 1:
                last = [*query, ("skip", str(total - 1))]
                ends.append(context.call(operation, query=last, token=self.other))
            for end in ends:
                for item in items_of(end) if end.accepted else []:
                    run_id = str(item.get("run_id"))
                    theirs = context.call("get_run", run_id, token=self.owner)
                    create = (_create_of(context, run_id) if theirs.accepted else None) or self.created
                    cause = "another organisation's attachments are listed"
                    expected = "attachments of its own runs only"
                    got = f"an attachment of run {run_id} of another organisation"
                    self._require(not theirs.accepted, cause, expected, create, theirs, end, got=got)


def _without_other_updates(exchanges: Sequence[Exchange], names: Sequence[str]) -> Sequence[Exchange]:
    """Leave out the updates that name none of the changed fields, unless no update names one."""
    updates = [exchange for exchange in exchanges if exchange.request.method == "PATCH"]
    suspects = [each for each in updates if any(name.encode() in (each.request.body or b"") for name in names)]
    if not suspects:
        return exchanges
    return [exchange for exchange in exchanges if exchange not in updates or exchange in suspects]


_SEARCHED: Final = ("input_values", "session_alias", "output_data", "error")


def _first_text(value: Any) -> list[str]:
    """Return the first text inside a value of a run; an empty list if there is none."""
    return [leaf for _, leaf in leaves(value) if isinstance(leaf, str)][:1]


def _run_filters(run: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
    """Yield queries that find the run for its organisation: one for each of its fields, and some without a filter."""
    yield from ([(name, str(run[name]))] for name in ("workflow_id", "session_id", "machine_id") if run.get(name))
    yield [("search", run["id"])]
    yield from ([("search", text)] for name in _SEARCHED for text in _first_text(run.get(name)))
    yield from ([("search", text), DEEP_SEARCH] for text in _first_text(run.get("run_message_history")))
    yield created_at(run["created_at"])
    yield [NEWEST_FIRST]
    yield [("status", str(run["status"]))]


def _more_run_filters(check: CheckContext, run: dict[str, Any], token: str) -> Iterator[list[tuple[str, str]]]:
    """Yield less usual queries that find the run. Each of the two organisations tries half of the pairs of filters, but
    all pairs with the session, since only one of the runs is certain to have one.
    """

    def one(name: str) -> tuple[str, str]:
        return name, str(run[name])

    search, sort = ("search", run["id"]), NEWEST_FIRST
    since, until = created_at(run["created_at"])
    yield [search, DEEP_SEARCH]
    yield []
    yield [since]
    yield from ([("status", status)] for status in ("running", "cancelled", "success"))
    if not check.is_live:
        identifying = [*(one(name) for name in ("workflow_id", "session_id") if run.get(name)), search]
        others = [one("status"), sort, ("sort_mode", "activity"), since, until, one("workflow_id")]
        pairs = itertools.product(identifying, [*others, DEEP_SEARCH])
        for number, pair in enumerate(pair for pair in pairs if pair[0] != pair[1]):
            if number % 2 == (token == TOKEN) or pair[0][0] == "session_id":
                yield list(pair)
        if run.get("machine_id"):
            yield from ([one("machine_id"), other] for other in others)
    yield [one("workflow_id"), ("fields", "status")]
    yield [one("workflow_id"), ("include", _INCLUDES[-1])]


def _create_of(context: CaseContext, run_id: str) -> Exchange | None:
    """Return the create of a run, which any case of the check may have sent; None if there is none."""
    for exchange in context.check.guard.exchanges:
        makes = exchange.request.method == "POST" and exchange.answer.status == 201
        if makes and run_id.encode() in exchange.answer.body:
            return exchange
    return None


_TRIED: Final = (
    *("get_run", "list_runs", "update_run", "retry_run", "delete_run"),
    *("list_run_attachments", *ATTACHMENT_READS),
)


def tenant_cases(check: CheckContext) -> Iterator[TenantCase]:
    if not check.has_second:
        return
    inputs = {"input_values": {"marker": "«marker»"}}
    alias = {"session_alias": "«marker:4»", "start_session": True}
    session = {"session_id": "«session»"} if check.sessions.accepts_any_id else {"start_session": True}
    files = {"file_inputs": [file(), file("b.txt")]}
    machine = {"machine_id": "«machine»"} if check.machines.available else {}
    everything = {"sensitive_input_values": {"pin": "«secret»"}, "start_session": True} | machine
    created_by = [name for name in ("create_run_chain", "create_run") if check.offers(name)]
    created = [  # each pair of create, organisation and state
        TenantCase(
            _TRIED,
            alias if create == "create_run" else {},
            created_by=create,
            by_second=by_second,
            cancelled=by_second == (number == 1),
        )
        for by_second in (False, True)
        for number, create in enumerate(created_by)
    ]
    # A final status is the same at each list: a list by status alone or beside another filter must not show the run.
    yield TenantCase(_TRIED, inputs | files | machine, widely=True, cancelled=True)
    yield from created[: len(created_by)]
    yield TenantCase(_TRIED)
    yield TenantCase(_TRIED, session)
    yield TenantCase(_TRIED, inputs | session, by_second=True, widely=True, cancelled=True)
    yield TenantCase(_TRIED, inputs | files, cancelled=True)
    yield TenantCase(_TRIED, inputs | session | files, by_second=True, cancelled=True)
    yield from created[len(created_by) :]
    yield TenantCase(_TRIED, inputs | everything | {"file_inputs": [file()]}, 101)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("access by another organisation", ("AUTH-TENANT", "LIST-FILTER"), run_tenant, tenant_cases),
    Scenario(
        "runs given to another organisation",
        ("AUTH-TENANT", "UPDATE-PARTIAL"),
        run_given_away,
        lambda check: [GivenAwayCase(), GivenAwayCase(is_cancelled=True)] if check.has_second else [],
        needs=("update_run", "get_run"),
    ),
)
