"""Invalid requests to operations that do not create runs: pools and workflows."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.counting import counted
from contracts.data import in_turn_by_kind, texts, write_bodies
from contracts.engine import CallResult, CaseContext, CheckContext, Inconclusive
from contracts.oracle import ParsedRequest, read_request
from contracts.rules.combined_bodies import combined
from contracts.rules.invalid_bodies import almost_valid
from contracts.rules.listing import items_of, resource_pages
from contracts.rules.malformed_bodies import malformed_writes
from contracts.rules.writes import OTHER_WRITES, Body, Writes, content_of, created_ids, in_batches


@in_turn_by_kind
def other_write_cases(check: CheckContext) -> Iterator[Writes]:
    """Yield valid, invalid and malformed bodies for the writes that are not about runs."""
    for operation in OTHER_WRITES:
        if not check.offers(operation) or (operation == "add_machine_to_pool" and not check.offers("create_pool")):
            continue
        bodies = filter(_is_determined, almost_valid(check, operation))
        yield from in_batches(operation, map(Body, _valid_bodies(operation)), 20)
        yield from in_batches(operation, combined(operation, write_bodies.minimal(operation), bodies), 40)
        yield from malformed_writes(operation, write_bodies.minimal(operation) or {"machine_ids": []})


def _is_determined(body: Any) -> bool:
    """Whether the contract determines the answer.

    The known facts state neither the types of schemas and pool parameters nor whether is_webhooks_enabled may be null.
    """
    if not isinstance(body, dict):
        return True
    given = any(body.get(name) is not None for name in ("input_schema", "output_schema", "pool_parameters"))
    return not given and body.get("is_webhooks_enabled", False) is not None


def _valid_bodies(operation: str) -> Iterator[dict[str, Any]]:
    """Yield bodies that a server must accept, with unusual texts and nulls."""
    if operation == "add_machine_to_pool":
        for machines in ([], ["«machine»"], ["«machine»", "«machine»"], ["«uuid:1»", "«uuid:1»"]):
            yield {"machine_ids": machines}
        return
    required, optional = {
        "create_pool": ("name", ("description", "pool_parameters")),
        "create_workflow": ("main_prompt", ("name", "input_schema", "output_schema")),
    }[operation]
    for number, text in enumerate(texts.FEW):
        marker = f"«marker:{number}»"
        yield {required: marker + text[:99_900]}
        if text.strip():
            yield {required: marker, optional[0]: marker + text[:99_900]}
    for number, name in enumerate(optional):
        yield {required: f"«marker:{number}»", name: None}
    yield {required: "«marker»"} | dict.fromkeys(optional)


def run_other_writes(context: CaseContext, case: Writes) -> None:
    """Judge the rules of the group Requests for writes that are not about runs. A 409 for a name in use is allowed."""
    operation = case.operation
    ids: tuple[str, ...] = ()
    if operation == "add_machine_to_pool":
        made = context.call("create_pool", body=context.fill(write_bodies.minimal("create_pool")))
        ids = tuple(created_ids(made))
        if not ids:
            raise Inconclusive("no pool can be made")
    sent: list[CallResult] = []
    for body in case.bodies:
        result = context.call(operation, *ids, **content_of(context, body))
        sent.append(result)
        parsed = read_request(operation, result.exchange.request.body)
        if result.status == 409 and not parsed.invalid_parts:
            continue
        if parsed.invalid_parts:
            # The ambiguity "a resource beside the runs" says that a valid body may be refused, and is dropped here.
            parsed = ParsedRequest(operation, parsed.body, parsed.value, parsed.invalid_parts)
        context.judge_write(parsed, result)
    if operation in _LISTED_BY:
        _check_nothing_created(context, _LISTED_BY[operation], sent)


_LISTED_BY: Final = {"create_pool": "list_pools", "create_workflow": "list_workflows"}


def _check_nothing_created(context: CaseContext, listing: str, sent: Sequence[CallResult]) -> None:
    """Judge REQ-ATOMIC for pools and workflows, which are recognised by the marker in their texts."""
    was_refused = any(result.refused for result in sent)
    if not was_refused or "marker" not in context.placeholders or not context.check.offers(listing):
        return
    accepted = {run_id for result in sent for run_id in created_ids(result)}
    for result in resource_pages(context, listing):
        items = items_of(result) if result.accepted else []
        marked = [item for item in items if context.placeholder("marker") in json.dumps(item)]
        made = [item for item in marked if item.get("id") not in accepted]
        cause, expected = "a refused request creates what it asked for", "nothing created by a refused request"
        got = f"a list with {counted(len(made), 'new item')}"
        context.require(not made, "REQ-ATOMIC", cause, expected, got, *sent, result)
