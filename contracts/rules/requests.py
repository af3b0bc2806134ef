"""Which requests are accepted and which are refused: valid and invalid values in every field, and malformed bodies."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts.data import boundary_values, mutations, strategies, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import operations
from contracts.oracle import CREATES, excerpt, parameter_error_violations
from contracts.rules.bulk_answer import CreateCase, run_create
from contracts.rules.invalid_bodies import almost_valid, readings
from contracts.rules.listing import carries, made_with
from contracts.rules.malformed_bodies import body_cases
from contracts.rules.other_requests import other_write_cases, run_other_writes
from contracts.rules.request_bodies import (
    OPERATIONS,
    SAMPLE_ID,
    changeable,
    packs,
    send_items,
)
from contracts.rules.rule import Rule

GROUP = "Requests"
RULES = (
    Rule(
        "REQ-COUNT",
        "doc",
        "count is an integer from 1 to 1000",
        "1 and 1000 work. Everything else is refused: 0, negative numbers, 1001, fractions, huge numbers, other text, "
        "null, "
        'and no count at all. A server may read "5" or 5.0 as 5, and must then make five runs.',
        GROUP,
    ),
    Rule(
        "REQ-WORKFLOW",
        "doc",
        "workflow_id is required and a UUID",
        "A create without workflow_id, or with one that is no UUID, is refused, whatever else is in the request.",
        GROUP,
    ),
    Rule(
        "REQ-TYPES",
        "doc",
        "Wrong types are refused",
        "Every field of every write has its type, also inside lists and objects, and also in an item that is not the "
        "first.",
        GROUP,
    ),
    Rule(
        "REQ-NULL",
        "doc",
        "null, empty and absent all work",
        "Null for an optional field that may be null, an empty list or object in place of a list or object, and "
        "leaving the field out, are all accepted, in every combination.",
        GROUP,
    ),
    Rule(
        "REQ-FILES",
        "api",
        "A file input needs filename and content, and nothing else",
        "A file without one of the two is refused, the last file of several too; target_path and "
        "cleanup_imports_after_run have defaults.",
        GROUP,
    ),
    Rule(
        "REQ-ACCEPT",
        "doc",
        "Every valid request works",
        "Unusual text (other scripts, NUL, emoji, decomposed, up to 100,000 characters), nesting up to 64, thousands "
        "of keys, any finite double, integers of up to 300 digits: all of it is accepted wherever it is valid.",
        GROUP,
    ),
    Rule(
        "REQ-BODY",
        "api",
        "A body that is no JSON object is refused",
        "No JSON, no object, nothing at all, or bytes that are not UTF-8: a 4xx, as JSON.",
        GROUP,
    ),
    Rule(
        "REQ-ERROR",
        "api",
        "A 422 says where the request is wrong",
        "A 422 for an invalid request has the shape of HTTPValidationError, and a loc that names the wrong field, "
        "with the index of the item where it is in a list.",
        GROUP,
    ),
    Rule(
        "REQ-ATOMIC",
        "api",
        "A refused request does nothing",
        "After a refusal no run is there that was not there before, and a run that was to be changed is as it was.",
        GROUP,
        needs=("list_runs",),
    ),
    Rule(
        "NO-5XX",
        "api",
        "No input gets a 5xx",
        "Nothing that is sent is answered with a 5xx, and nothing leaves the server so that a later request is.",
        GROUP,
    ),
)


# Running a case


def run_refused(context: CaseContext, case: Case) -> None:
    """Sends several invalid requests, then judges that none of them created or changed anything."""
    operation = case["op"]
    if operation in CREATES:
        _check_nothing_created(context, send_items(context, operation, (), case["items"]))
        return
    run = changeable(context, operation, filled=True)
    sent = send_items(context, operation, (run["id"],), case["items"])
    if not sent or any(result.accepted for result in sent):
        return
    for attachment in run.get("input_attachment_ids") or () if context.check.offers("get_run_attachment") else ():
        left = context.call("get_run_attachment", attachment)
        cause = f"a refused {operation} takes attachments away"
        context.require(
            left.status != 404, "REQ-ATOMIC", cause, "attachments as before", left.words, *context.exchanges
        )
    after = context.ask("get_run", run["id"], after=sent[-1:])
    for name, how in _changes_of_refused(operation, run, after.body, sent):
        context.require(
            not how,
            "REQ-ATOMIC",
            f"a refused {operation} changes {name}",
            f"{name} as before a refused request",
            how,
            *context.exchanges,
        )


def _changes_of_refused(
    operation: str, before: dict[str, Any], after: Any, sent: Sequence[CallResult]
) -> Iterator[tuple[str, str]]:
    """Yields each field with its new value as text, or "" if it is unchanged.

    An update is sent to a run that has not ended and may change by itself. So the fields of `_CHANGES_BY_ITSELF` count
    as changed by an update only if they have a value that a request sent.
    """
    for name in _STABLE_FIELDS if operation == "update_run" else (*_STABLE_FIELDS, *_CHANGES_BY_ITSELF):
        same = (before.get(name) or None) == (after.get(name) or None)
        yield name, "" if same else excerpt(json.dumps(after.get(name)))
    for name in _CHANGES_BY_ITSELF if operation == "update_run" else ():
        asked = [value for value in (_sent_value(result, name) for result in sent) if value]
        taken = after.get(name) in asked and after.get(name) != before.get(name)
        yield name, excerpt(json.dumps(after.get(name))) if taken else ""


_STABLE_FIELDS: Final = (
    *("input_values", "session_id", "input_attachment_ids", "sensitive_input_aliases", "session_alias"),
    *("release_session_after", "workflow_id", "created_at"),
)
_CHANGES_BY_ITSELF: Final = (
    "status",
    "error",
    "output_data",
    "run_message_history",
    "usage_metadata",
    "started_at",
    "ended_at",
)


def _sent_value(result: CallResult, name: str) -> Any:
    try:
        body = result.exchange.request.json()
    except (ValueError, RecursionError):
        return None
    return body.get(name) if isinstance(body, dict) else None


def _check_nothing_created(context: CaseContext, sent: Sequence[CallResult]) -> None:
    """Judges REQ-ATOMIC: lists the runs that have the unique workflow, session or marker of the requests."""
    check = context.check
    if not check.offers("list_runs") or not any(result.refused for result in sent):
        return
    accepted: set[str] = set()
    for result in sent:
        if result.accepted and isinstance(result.body, dict):
            runs = result.body.get("created_runs") or [result.body]
            accepted.update(run["id"] for run in runs if isinstance(run, dict) and isinstance(run.get("id"), str))
            accepted.update(result.body.get("run_ids") or ())
    found = own_run_filters(context)
    workflow = found.get("workflow_id", "").encode()
    if workflow and all(workflow in (result.exchange.request.body or b"") for result in sent):
        found = {"workflow_id": found["workflow_id"]}  # a search of all runs is expensive
    for name, value in found.items():
        listed, items = made_with(context, name, value)
        made = [item for item in items if carries(item, name, value) and item.get("id") not in accepted]
        context.require(
            not made,
            "REQ-ATOMIC",
            "a refused create makes runs",
            "nothing created by a refused request",
            lambda made=made, name=name: f"{len(made)} runs of its {name}",  # type: ignore[misc]
            *sent,
            listed,
        )


def own_run_filters(context: CaseContext) -> dict[str, str]:
    """List filters, by parameter name, that only runs created by this case match."""
    found: dict[str, str] = {}
    if context.check.workflows.invented and context.has_named("workflow"):
        found["workflow_id"] = context.named("workflow")
    if context.check.sessions.invented and context.has_named("session"):
        found["session_id"] = context.named("session")
    if context.has_named("marker"):
        found["search"] = context.named("marker")
    return found


# Bodies with one invalid value


def refused_cases(check: CheckContext) -> Iterator[Case]:
    yield from boundary_values.in_turn(_refused_cases_of(check, operation) for operation in OPERATIONS)


def _refused_cases_of(check: CheckContext, operation: str) -> Iterator[Case]:
    if not check.offers(operation) or (
        operation in {"update_run", "retry_run"} and not check.offers("get_run", "update_run")
    ):
        return
    wrong = (body for body, parsed in readings(operation, almost_valid(check, operation)) if parsed.is_invalid)
    for pack in packs(({"body": body} for body in wrong), 24 if operation in CREATES else 40):
        yield {"op": operation, "items": pack}


def lenient_cases(check: CheckContext) -> Iterator[CreateCase]:
    """Bodies that a server may accept or refuse. If it accepts one, the answer must fit the parsed value."""
    for operation in ("bulk_create_runs", "create_run"):
        if not check.offers(operation):
            continue
        bodies = almost_valid(check, operation)
        for body, parsed in readings(operation, itertools.chain(bodies, _other_uuid_forms(operation))):
            if not parsed.faults and parsed.ambiguities:
                yield CreateCase(operation, body, is_read=True)


def _other_uuid_forms(operation: str) -> Iterator[dict[str, Any]]:
    bare = write_bodies.minimal(operation, count=2)
    plain = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    for form in (
        plain.upper(),
        plain.replace("-", ""),
        "{" + plain + "}",
        "urn:uuid:" + plain,
        plain.replace("-", "").upper(),
    ):
        for name in ("workflow_id", "machine_id", "session_id"):
            yield bare | {name: form}
        yield bare | {"pool_ids": [form]}
        yield bare | {"pool_ids": ["4d90c3cc-0d44-4b50-8888-8dd25736052a", form]}


# Malformed bodies


_WRONG_PAGE: Final = (("skip", ("-1", "x")), ("limit", ("0", "1001", "-1", "x", "1.5")))
_WRONG_PARAMETERS: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "list_runs": (
        *((name, ("x", SAMPLE_ID[:-1])) for name in ("workflow_id", "machine_id", "session_id")),
        *(("status", ("x",)), ("sort_mode", ("x",)), ("fields", ("x",)), ("deep_search", ("maybe",))),
        *(("created_at_from", ("x",)), ("created_at_to", ("x",))),
        *_WRONG_PAGE,
    ),
    "list_run_attachments": (("run_id", ("x",)), ("attachment_type", ("x",)), *_WRONG_PAGE),
    "list_machines": (("status", ("x",)), *_WRONG_PAGE),
    "list_pools": _WRONG_PAGE,
    "list_workflows": _WRONG_PAGE,
}


def run_wrong_parameter(context: CaseContext, case: Case) -> None:
    """Sends an invalid parameter: if the answer is 422, it must name that parameter."""
    operation = case["op"]
    result = context.call(
        operation, *case.get("ids", ()), query=[(name, value) for name, value in case.get("query", ())]
    )
    context.judge("REQ-ERROR", parameter_error_violations(tuple(case["where"].split(".")), result.answer), result)


def wrong_parameter_cases(check: CheckContext) -> Iterator[Case]:
    for operation, parameters in _WRONG_PARAMETERS.items():
        if not check.offers(operation):
            continue
        for name, values in parameters:
            for value in values:
                yield {"op": operation, "query": [[name, value]], "where": f"query.{name}"}
                yield {"op": operation, "query": [["skip", "1"], [name, value]], "where": f"query.{name}"}
    for operation, (_, template) in operations().items():
        if "{" in template and operation.startswith("get") and check.offers(operation):
            name = template.partition("{")[2].partition("}")[0]
            yield {"op": operation, "ids": ["not-a-uuid"], "where": f"path.{name}"}


def generated_wrong(check: CheckContext) -> SearchStrategy[CreateCase]:
    """Generates create bodies with any combination of fields, and mutates one value."""
    creates = [operation for operation in ("bulk_create_runs", "create_run") if check.offers(operation)]
    available = frozenset(
        name
        for name, ids in (("machine_id", check.machines), ("pool_ids", check.pools), ("session_id", check.sessions))
        if ids.invented
    )

    @st.composite
    def broken(draw: st.DrawFn) -> CreateCase:
        operation = draw(st.sampled_from(creates))
        body = draw(strategies.bodies(operation, available))
        body = {**body, **({"count": draw(st.integers(1, 3))} if "count" in body else {})}
        path = draw(st.sampled_from(list(mutations.places(body, free=mutations.FREE_OBJECTS))))
        wrong = draw(st.sampled_from(mutations.WRONG_VALUES) | strategies.json_values)
        return CreateCase(operation, mutations.put(body, path, wrong))

    return broken()


_REQUEST_RULES = ("REQ-COUNT", "REQ-WORKFLOW", "REQ-TYPES", "REQ-FILES", "REQ-ERROR", "REQ-ATOMIC")
_BESIDE_RULES = ("REQ-TYPES", "REQ-BODY", "REQ-ERROR", "REQ-ATOMIC", "REQ-ACCEPT", "NO-5XX")
SCENARIOS = (
    Scenario("invalid requests", _REQUEST_RULES, run_refused, refused_cases, priority=1),
    Scenario("malformed bodies", ("REQ-BODY", "REQ-ERROR", "REQ-ATOMIC"), run_refused, body_cases, priority=2),
    Scenario("ambiguous values", ("REQ-COUNT", "REQ-TYPES"), run_create, lenient_cases, priority=4),
    Scenario("requests to pools and workflows", _BESIDE_RULES, run_other_writes, other_write_cases, priority=5),
    Scenario(
        "generated invalid requests",
        _REQUEST_RULES,
        run_create,
        lambda check: (),
        generated=generated_wrong,
        examples=300,
        priority=7,
    ),
    Scenario(
        "invalid parameters", ("REQ-ERROR",), run_wrong_parameter, wrong_parameter_cases, creates=False, priority=2
    ),
)
