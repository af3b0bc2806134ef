"""Writes with any body: which writes the target offers, what each needs before it is sent, and what it created."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.exchange import SECOND_TOKEN, TOKEN
from contracts.core.json_tree import map_texts
from contracts.data import batches, file, write_bodies
from contracts.data.formats import SAMPLE_ID
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Ids, WriteResult, assume
from contracts.guard import OutOfBudget
from contracts.openapi.router import operation_at
from contracts.openapi.schemas import UNREAD, is_uuid
from contracts.oracle.refusal import names_an_invalid_part
from contracts.oracle.request import CREATES, ParsedRequest, read_body
from contracts.rules.list_reads import DEEP_SEARCH, items_of

CREATES_OF_RUNS: Final = ("bulk_create_runs", "create_run")
WRITES_OF_RUNS: Final = (*CREATES_OF_RUNS, "create_run_chain", "update_run", "retry_run")
LISTED_BY: Final = {"create_pool": "list_pools", "create_workflow": "list_workflows"}
"""Per create of another resource than a run: the operation that lists such resources."""
OTHER_WRITES: Final = (*LISTED_BY, "add_machine_to_pool")
CHANGING_WRITES: Final = frozenset({"update_run", "retry_run"})
WRITES_ON_A_RUN: Final = CHANGING_WRITES | {"delete_run"}
_PLACEHOLDER: Final = re.compile(r"«[^»]*»")

# Cases


@dataclass(frozen=True)
class Body:
    """A JSON value with placeholders, or a text as latin-1, which need not be JSON."""

    json: Any = UNREAD
    text: str | None = None
    content_type: str | None = None
    parts: tuple[Body, ...] = ()
    """Invalid bodies that this body combines. Those whose invalid parts the refusal does not name are sent alone."""


@dataclass(frozen=True)
class Writes(Case):
    """Bodies that are sent one after another, so that one list of the runs judges all of them."""

    operation: str
    bodies: tuple[Body, ...]

    @property
    def parts(self) -> tuple[Write, ...]:
        return tuple(Write(self.operation, body) for body in self.bodies)


@dataclass(frozen=True)
class Write(Case):
    operation: str
    body: Body = Body()

    @property
    def expected_runs(self) -> int:
        return _runs_of(self.body)


def _runs_of(body: Body) -> int:
    """Return the most runs that a correct server creates for a body, or for its parts if it refuses the body."""
    runs = 1
    with contextlib.suppress(ValueError, RecursionError):
        runs = write_bodies.runs_of(body.json if body.text is None else json.loads(body.text))
    return max(runs, sum(map(_runs_of, body.parts)))


def in_batches(operation: str, bodies: Iterable[Body], size: int) -> Iterator[Writes]:
    """Yield cases of up to `size` bodies. The first case has few, since every scenario begins with a few requests."""
    left = iter(bodies)
    for some in (itertools.islice(left, FIRST_BODIES), left):
        yield from (Writes(operation, tuple(batch)) for batch in batches(some, size))


FIRST_BODIES: Final = 6


def read_filled(operation: str, body: dict[str, Any]) -> ParsedRequest:
    """Return a body as the contract reads it, with a valid id in place of each placeholder."""
    return read_body(operation, map_texts(body, with_sample_ids))


def with_sample_ids(text: str) -> str:
    """Return a text with a valid id in place of each placeholder, so that the oracle can read it."""
    return _PLACEHOLDER.sub(SAMPLE_ID, text) if "«" in text else text


# What a target offers


def is_offered(check: CheckContext, operation: str) -> bool:
    """Return whether the target offers an operation and, if it changes a run, those that prepare and read the run."""
    return check.offers(operation, *(("update_run", "get_run") if operation in CHANGING_WRITES else ()))


def offered_creates(check: CheckContext) -> list[str]:
    return list(filter(check.offers, CREATES_OF_RUNS))


def offered_writes(check: CheckContext) -> list[str]:
    return [operation for operation in WRITES_OF_RUNS if is_offered(check, operation)]


def optional_ids(check: CheckContext) -> dict[str, Ids]:
    """Return the fields of a create that take ids, with the ids of the target."""
    return {"machine_id": check.machines, "pool_ids": check.pools, "session_id": check.sessions}


def with_available_ids(check: CheckContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body or features without the ids of kinds that the target does not have. Null and empty values stay."""
    kinds = optional_ids(check)
    return {name: value for name, value in body.items() if name not in kinds or kinds[name].available or not value}


def with_made_up_ids(check: CheckContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body or features without the fields for which the target accepts only existing ids."""
    kinds = optional_ids(check)
    return {name: value for name, value in body.items() if name not in kinds or kinds[name].accepts_any_id}


def foreign_bodies(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Yield bodies with properties of other writes: with all, and with each half, since a target may refuse some."""
    every = list(with_available_ids(check, write_bodies.foreign_properties(operation)).items())
    for some in (every, every[::2], every[1::2]):
        yield write_bodies.minimal(operation) | dict(some)


def full_body(check: CheckContext, operation: str) -> dict[str, Any]:
    """Return a valid body with every field and several items in each list, so that every part can be mutated.

    If the target accepts only existing pools, the body names only one: a machine may have to be in all of them.
    """
    body = with_available_ids(check, write_bodies.full(operation))
    if "pool_ids" in body and not check.pools.accepts_any_id:
        body["pool_ids"] = body["pool_ids"][:1]
    return body


# Before a write

_RESULTS: Final = {"output_data": {"kept": True}, "error": ["kept"], "run_message_history": [{"kept": 1}]}


def create_changeable_run(context: CaseContext, operation: str, *, filled: bool = False) -> dict[str, Any]:
    """Create a run that can be updated, or, for retry_run, a cancelled run.

    With `filled`, the run to be retried has files and results, which a retry would replace or clear.
    """
    fields: dict[str, Any] = {} if context.check.is_live else {"input_values": {"kept": "«marker»"}}
    if filled and operation == "retry_run" and not context.check.is_live:
        fields["file_inputs"] = [file("kept.txt")]
    (run,) = context.some_runs(1, **fields).runs[:1]
    if operation != "retry_run":
        return dict(run)
    if filled:
        context.call("update_run", run["id"], body=_RESULTS)
    cancelled = context.cancel(run["id"])
    is_cancelled = cancelled.accepted and cancelled.body.get("status") == "cancelled"
    assume(is_cancelled, "a run cannot be cancelled, so no retry can be tried")
    return dict(cancelled.body) if filled else dict(run, status="cancelled")


def create_chain(context: CaseContext, body: Mapping[str, Any]) -> WriteResult:
    """Create a chain, read its runs, and return them like the runs of any other create."""
    written = context.write("create_run_chain", body=body)
    assume(written.result.accepted and written.runs_are_reliable, "a chain cannot be created")
    ids = written.result.body.get("run_ids") or ()
    has_all = len(ids) == len(body["steps"]) and all(map(is_uuid, ids))
    assume(has_all, "a chain has other runs than steps")
    runs = tuple(context.call_valid("get_run", run_id, after=[written.result]).body for run_id in ids)
    return WriteResult(written.parsed, written.result, runs, True)


def create_runs(context: CaseContext, operation: str, body: Mapping[str, Any], *, token: str = TOKEN) -> WriteResult:
    """Create runs that a case needs. Raises Inconclusive if the answer breaks a rule or has no runs."""
    if operation == "create_run_chain":
        return create_chain(context, context.fill(body))
    written = context.create(operation, body, token=token)
    assume(written.runs_are_reliable and written.runs, f"{operation} gives runs that break a rule already")
    return written


def create_attachment(context: CaseContext) -> str:
    """Create a run with a file and return the id of the attachment. Raises Inconclusive if the run does not show it."""
    ids = context.some_runs(1, file_inputs=[file()]).runs[0].get("input_attachment_ids") or []
    assume(ids, "runs do not show their attachments")
    return str(ids[0])


def create_resource(context: CaseContext, operation: str, **fields: Any) -> CallResult:
    """Create a pool or a workflow. Raises Inconclusive unless the answer has its id."""
    created = context.call(operation, body=context.fill(write_bodies.minimal(operation) | fields))
    assume(created_ids(created), f"{operation} answers {created.status}")
    return created


def use_own_workflow(context: CaseContext) -> None:
    """Make «workflow» the id of a new workflow, if the target refuses made-up ids and none is named. Only runs of this
    case have it, whatever else of a request the server drops.
    """
    check = context.check
    is_named = check.target.named_workflow is not None
    if not check.workflows.accepts_any_id and not is_named and check.offers("create_workflow"):
        context.placeholders["workflow"] = create_resource(context, "create_workflow").body["id"]


def add_machines(context: CaseContext, pool: str, machines: Sequence[str]) -> CallResult:
    """Add machines to a pool. Raises Inconclusive if that is refused."""
    added = context.call("add_machine_to_pool", pool, body={"machine_ids": list(machines)})
    assume(added.accepted, f"add_machine_to_pool answers {added.status}")
    return added


def ids_for(context: CaseContext, operation: str) -> tuple[str, ...]:
    """Return the id of the run or pool that the operation changes; a run is created for it."""
    if operation in CHANGING_WRITES:
        return (create_changeable_run(context, operation)["id"],)
    return (context.placeholder("pool"),) if operation == "add_machine_to_pool" else ()


def their_workflow(context: CaseContext) -> str:
    """Return a workflow that the second organisation may use. If one is named for a live check, it is that one.
    Otherwise it is made up if the target accepts any id, or else taken from a list.
    """
    if context.check.is_live and context.check.target.named_workflow is not None:
        assume(not context.check.why_not_theirs, context.check.why_not_theirs)
        return context.check.target.named_workflow
    if context.check.workflows.accepts_any_id:
        return str(context.placeholder("workflow"))
    if "their-workflow" not in context.placeholders:
        result = context.call("list_workflows", query=[("limit", "1")], token=SECOND_TOKEN)
        found = [item["id"] for item in items_of(result) if isinstance(item.get("id"), str)] if result.accepted else []
        assume(found, "no workflow of the second organisation is known")
        context.placeholders["their-workflow"] = found[0]
    return str(context.placeholder("their-workflow"))


def with_their_workflow(context: CaseContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a create with a workflow that the second organisation may use."""
    workflow = {"workflow_id": their_workflow(context)}
    return {**body, **({"steps": [step | workflow for step in body["steps"]]} if "steps" in body else workflow)}


# Sending


def send(context: CaseContext, operation: str, ids: Sequence[str], body: Body) -> WriteResult:
    headers = [] if body.content_type is None else [("Content-Type", body.content_type)]
    if body.text is not None:
        return context.write(operation, *ids, headers=headers, raw=context.fill(body.text).encode("latin-1"))
    return context.write(operation, *ids, headers=headers, body=context.fill(body.json))


def send_all(context: CaseContext, operation: str, ids: Sequence[str], bodies: Iterable[Body]) -> list[CallResult]:
    return list(send_each(context, operation, ids, bodies))


def send_each(context: CaseContext, operation: str, ids: Sequence[str], bodies: Iterable[Body]) -> Iterator[CallResult]:
    """Send the bodies, except those that exceed the budget, such as one with a very large count. The parts of a body
    are sent alone too, unless the body is valid and accepted, or a part is named as a reason for the refusal.
    """
    for body in bodies:
        left: Sequence[Body] = body.parts
        with contextlib.suppress(OutOfBudget):
            written = send(context, operation, ids, body)
            answer, is_done = written.result.answer, written.result.accepted and not written.parsed.invalid_parts
            read = ((part, read_filled(operation, part.json)) for part in body.parts if not is_done)
            left = [part for part, parsed in read if not names_an_invalid_part(parsed, answer)]
            yield written.result
        yield from send_each(context, operation, ids, left)


# After a write


def created_ids(*results: CallResult) -> list[str]:
    """Return the ids of the runs in the answers of writes, or of the pools or workflows."""
    ids: list[Any] = []
    for made in (result.resource for result in results if result.resource is not None):
        runs = made.get("created_runs")
        ids += [run.get("id") for run in runs if isinstance(run, dict)] if isinstance(runs, list) else [made.get("id")]
        ids += made.get("run_ids") or ()
    return [resource_id for resource_id in ids if isinstance(resource_id, str)]


def delete_created(context: CaseContext) -> None:
    """Delete the runs that the case created. Runs with large values would make every later list slow."""
    if context.check.offers("delete_run"):
        creates = [
            CallResult.of(None, exchange)
            for exchange in context.exchanges
            if operation_at(exchange.request.method, exchange.request.path) in CREATES
        ]
        for run_id in created_ids(*creates):
            context.call("delete_run", run_id)


def workflow_filter(context: CaseContext) -> list[tuple[str, str]]:
    """Return a filter by the workflow of the case, so that the cost of a list does not depend on other runs."""
    return [("workflow_id", context.placeholder("workflow"))] if "workflow" in context.placeholders else []


def search_runs(context: CaseContext) -> None:
    """Search all texts of the runs of the case. No stored value may make a search fail."""
    if context.check.offers("list_runs"):
        query = [*workflow_filter(context), ("limit", "20"), ("search", "x"), DEEP_SEARCH]
        context.call("list_runs", query=query)


def read_with_files(context: CaseContext, runs: Sequence[str], *, files: int = 2, reads: int = 1) -> None:
    """Read each run and its first files: the first with all of ATTACHMENT_READS, the others with the first `reads`."""
    offers = context.check.offers
    for run_id in runs:
        run = context.call("get_run", run_id).resource if offers("get_run") else None
        ids = (run or {}).get("input_attachment_ids") or []
        if offers("list_run_attachments") and ids:
            context.call("list_run_attachments", query=[("run_id", run_id)])
        for index, attachment in enumerate(ids[:files]):
            for operation in ATTACHMENT_READS if index == 0 else ATTACHMENT_READS[:reads]:
                if offers(operation) and isinstance(attachment, str):
                    context.call(operation, attachment)


def read_attachment(context: CaseContext, attachment: str, *, token: str = TOKEN) -> list[CallResult]:
    """Read an attachment in each way that the target offers."""
    return [context.call(name, attachment, token=token) for name in filter(context.check.offers, ATTACHMENT_READS)]


ATTACHMENT_READS: Final = ("download_run_attachment", "get_run_attachment_download_url", "get_run_attachment")
