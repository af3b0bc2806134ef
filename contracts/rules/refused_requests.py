"""Which requests are accepted and which are refused: invalid and malformed bodies, ambiguous values, and parameters."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts.core.counting import counted
from contracts.core.exchange import json_object_in
from contracts.core.findings import Rule
from contracts.core.json_tree import put
from contracts.data import in_turn, in_turn_by_kind, mutations, strategies, texts, write_bodies
from contracts.data.formats import BROKEN_IDS, OTHER_FORMS_OF_IDS
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Evidence, Scenario
from contracts.openapi.fields import query_parameters
from contracts.openapi.router import path_parameter
from contracts.openapi.schemas import operations
from contracts.oracle import CREATES
from contracts.oracle.answer_schema import SCHEMA_RULE
from contracts.oracle.known_run import RESULTS
from contracts.oracle.refusal import parameter_error_violations
from contracts.oracle.run import STABLE, changed_field
from contracts.rules.creates import CreateCase, run_create
from contracts.rules.invalid_bodies import almost_valid, combined, invalid_bodies, malformed_cases, malformed_writes
from contracts.rules.list_reads import items_of, own_run_filters, require_no_new_runs, resource_pages
from contracts.rules.writes import (
    LISTED_BY,
    OTHER_WRITES,
    Body,
    Writes,
    create_changeable_run,
    create_resource,
    created_ids,
    in_batches,
    offered_creates,
    offered_writes,
    optional_ids,
    read_filled,
    send_all,
    use_own_workflow,
)

GROUP = "Requests"
RULES = (
    Rule(
        "REQ-COUNT",
        "doc",
        "moderate",
        "count is an integer from 1 to 1000",
        "1 and 1000 are accepted. Everything else is refused: 0, negative numbers, 1001, fractions, huge numbers, "
        'other text, null, and no count at all. A server may read "5" or 5.0 as 5, and must then make five runs.',
        GROUP,
    ),
    Rule(
        "REQ-WORKFLOW",
        "doc",
        "moderate",
        "workflow_id is required and a UUID",
        "A create without workflow_id, or with one that is not a UUID, is refused, whatever else is in the request.",
        GROUP,
    ),
    Rule(
        "REQ-TYPES",
        "doc",
        "moderate",
        "Wrong types are refused",
        "A value of the wrong type is refused in every field of every write, also inside lists and objects, and also "
        "in an item that is not the first.",
        GROUP,
    ),
    Rule(
        "REQ-NULL",
        "doc",
        "moderate",
        "null, empty and absent are all accepted",
        "Null for an optional field that may be null, an empty list or object in place of a list or object, and "
        "leaving the field out, are all accepted, in every combination.",
        GROUP,
    ),
    Rule(
        "REQ-FILES",
        "api",
        "moderate",
        "A file input needs filename and content, and nothing else",
        "A file without filename or without content is refused, also if it is the last of several files. target_path "
        "and cleanup_imports_after_run have defaults.",
        GROUP,
    ),
    Rule(
        "REQ-ACCEPT",
        "doc",
        "moderate",
        "Every valid request is accepted",
        "Unusual text (other scripts, NUL, emoji, decomposed, up to 100,000 characters), nesting up to 64, thousands "
        "of keys, any finite double, integers of up to 300 digits: all of it is accepted wherever it is valid.",
        GROUP,
    ),
    Rule(
        "REQ-BODY",
        "api",
        "moderate",
        "A body that is not a JSON object is refused",
        "An empty body, a body that is not JSON or not an object, and bytes that are not UTF-8 get a 4xx, as JSON.",
        GROUP,
    ),
    Rule(
        "REQ-ERROR",
        "api",
        "minor",
        "The refusal of an invalid request says what is wrong",
        "A 422 for an invalid request has the shape of HTTPValidationError, and a loc that names the wrong field, "
        "with the index of the item if the field is in a list. The refusal of an invalid field or parameter has no "
        "status that HTTP has for other problems, such as 401 for credentials or 405 for the method.",
        GROUP,
    ),
    Rule(
        "REQ-ATOMIC",
        "api",
        "critical",
        "A refused request does nothing",
        "After a refusal there is no new run, and a run that the request would have changed is as before.",
        GROUP,
        needs=("list_runs",),
    ),
    Rule(
        "NO-5XX",
        "api",
        "major",
        "No request gets a 5xx",
        "No request gets a 5xx, whatever it contains, and no request leaves the server in a state in which a later one "
        "gets a 5xx.",
        GROUP,
    ),
)


# Invalid and malformed bodies


def run_refused(context: CaseContext, case: Writes) -> None:
    """Send several invalid requests, then judge that none of them created or changed anything."""
    if case.operation in CREATES:
        use_own_workflow(context)
        _check_nothing_created(context, send_all(context, case.operation, (), case.bodies))
        return
    run = _a_run_for(context, case.operation)
    sent = send_all(context, case.operation, (run["id"],), case.bodies)
    if sent and not any(result.accepted for result in sent):
        _check_nothing_changed(context, case.operation, run, sent)


def _a_run_for(context: CaseContext, operation: str) -> dict[str, Any]:
    """Return a run for refused writes. A live check has one already, which these must not change."""
    first = context.check.first_run
    if context.check.is_live and operation == "update_run" and first is not None:
        return dict(context.call_valid("get_run", first).body)
    return create_changeable_run(context, operation, filled=True)


def _check_nothing_changed(
    context: CaseContext, operation: str, run: dict[str, Any], sent: Sequence[CallResult]
) -> None:
    before = list(context.exchanges)
    if context.check.offers("get_run_attachment"):
        for attachment in run.get("input_attachment_ids") or ():
            left = context.call("get_run_attachment", attachment)
            cause, there = f"a refused {operation} removes attachments", left.status != 404
            context.require(there, "REQ-ATOMIC", cause, "attachments as before", *before, left)
    after = context.call_valid("get_run", run["id"], after=sent[-1:])
    for name in ("input_values", *STABLE, *_CHANGES_BY_ITSELF):
        changed = changed_field({name: run.get(name)}, after.body, (name,))  # the answer to a create may lack it
        if changed is not None and operation == "update_run" and name in _CHANGES_BY_ITSELF:
            # The run has not ended, so the field may change by itself, but probably not to a value that a request sent.
            is_sent = after.body.get(name) in [
                value for result in sent if (value := json_object_in(result.exchange.request).get(name))
            ]
            changed = changed if is_sent else None
        cause, expected = f"a refused {operation} changes {name}", f"{name} as before a refused request"
        got = "" if changed is None else changed[1]
        evidence: Evidence = (*before, after)
        by_others = name == "status"
        context.require(not changed, "REQ-ATOMIC", cause, expected, *evidence, got=got, may_be_by_others=by_others)


_CHANGES_BY_ITSELF: Final = ("status", *RESULTS)


def _check_nothing_created(context: CaseContext, sent: Sequence[CallResult]) -> None:
    """Judge REQ-ATOMIC: list the runs that have the unique workflow, session or marker of the requests."""
    if not any(result.refused for result in sent):
        return
    accepted = set(created_ids(*sent))
    by_workflow = own_run_filters(context, ["workflow"])
    names_it = (value.encode() in (result.exchange.request.body or b"") for _, value in by_workflow for result in sent)
    # A search of all runs is expensive.
    filters = by_workflow if by_workflow and all(names_it) else own_run_filters(context)
    require_no_new_runs(context, filters, "REQ-ATOMIC", "a refused create makes runs", *sent, known=accepted)


def refused_cases(check: CheckContext) -> Iterator[Writes]:
    yield from in_turn(
        in_batches(operation, invalid_bodies(check, operation), 24 if operation in CREATES else 40)
        for operation in offered_writes(check)
    )


@dataclass(frozen=True)
class AmbiguousCase(CreateCase):
    """A create that may be accepted or refused. If it is accepted, its runs are judged like those of any create."""

    is_read: bool = True

    @property
    def expected_runs(self) -> int:
        """The most runs that the server may create: it may read "5" and 5.0 as 5."""
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
            return write_bodies.runs_of({"count": int(float(self.body["count"]))})
        return max(map(write_bodies.runs_of, (self.body, *self.parts_alone)))


def ambiguous_cases(check: CheckContext) -> Iterator[AmbiguousCase]:
    for operation in offered_creates(check):
        for body in {repr(body): body for body in almost_valid(check, operation)}.values():
            parsed = read_filled(operation, body)
            if not parsed.invalid_parts and parsed.ambiguities:
                yield AmbiguousCase(operation, body)
        yield from _other_forms_of_ids(operation)


def _other_forms_of_ids(operation: str) -> Iterator[AmbiguousCase]:
    bare = write_bodies.minimal(operation, count=2)
    for number, form in enumerate(OTHER_FORMS_OF_IDS):
        workflow, pools = {"workflow_id": form}, ["«pool»", form]
        yield from (AmbiguousCase(operation, bare | {name: form}) for name in ("machine_id", "session_id"))
        parts = (bare | workflow, bare | {"pool_ids": pools[1:]}, bare | {"pool_ids": pools})
        in_order = pools if number % 2 == 0 else pools[::-1]
        yield AmbiguousCase(operation, bare | workflow | {"pool_ids": in_order}, parts_alone=parts)


def generated_wrong(check: CheckContext) -> SearchStrategy[CreateCase]:
    """Generate create bodies with any combination of fields, and mutate one value."""
    available = frozenset(name for name, ids in optional_ids(check).items() if ids.accepts_any_id)

    @st.composite
    def broken(draw: st.DrawFn) -> CreateCase:
        operation = draw(st.sampled_from(offered_creates(check)))
        body = draw(strategies.bodies(operation, available))
        body = {**body, **({"count": draw(st.integers(1, 3))} if "count" in body else {})}
        path = draw(st.sampled_from(list(mutations.places(body))))
        wrong = draw(st.sampled_from(mutations.WRONG_VALUES) | strategies.json_values)
        return CreateCase(operation, put(body, path, wrong))

    return broken()


# Invalid parameters


@dataclass(frozen=True)
class WrongParameter(Case):
    """`place` is `query` or `path`, as in the `loc` of an error. With `after_valid`, a valid parameter comes first."""

    operation: str
    place: str
    name: str
    value: str
    after_valid: bool = False


def run_wrong_parameter(context: CaseContext, case: WrongParameter) -> None:
    """Send an invalid parameter: if the answer is 422, it must name that parameter."""
    if case.place == "path":
        result = context.call(case.operation, case.value)
    else:
        valid = [("skip", "1")] if case.after_valid else []
        result = context.call(case.operation, query=[*valid, (case.name, case.value)])
    context.judge("REQ-ERROR", parameter_error_violations((case.place, case.name), result.answer), result)


@in_turn_by_kind
def wrong_parameter_cases(check: CheckContext) -> Iterator[WrongParameter]:
    for operation, (method, template) in operations().items():
        if method != "GET" or not check.offers(operation):
            continue
        if name := path_parameter(template):
            yield WrongParameter(operation, "path", name, "not-a-uuid")
            continue
        for name, spec in query_parameters(operation).items():
            for value in _wrong_values(spec):
                yield WrongParameter(operation, "query", name, value)
                yield WrongParameter(operation, "query", name, value, after_valid=True)


def _wrong_values(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return texts that the schema of a parameter does not allow."""
    match spec:
        case {"type": "integer", "minimum": low, **more}:
            numbers = (low - 1, *([more["maximum"] + 1] if "maximum" in more else []), -1)
            return tuple(dict.fromkeys((*map(str, numbers), "1.5", "x")))
        case {"type": "boolean"}:
            return ("maybe",)
        case {"format": "uuid"}:
            return ("x", BROKEN_IDS[0])
        case {"format": _} | {"enum": _} | {"type": "array"}:
            return ("x",)
    return ()  # any text is right


# Requests to pools and workflows


@in_turn_by_kind
def other_write_cases(check: CheckContext) -> Iterator[Writes]:
    """Yield valid, invalid and malformed bodies for the writes that are not about runs."""
    for operation in OTHER_WRITES:
        if not check.offers(operation) or (operation == "add_machine_to_pool" and not check.offers("create_pool")):
            continue
        bare = write_bodies.minimal(operation)
        yield from in_batches(operation, map(Body, _valid_bodies(operation)), 20)
        yield from in_batches(operation, combined(operation, bare, almost_valid(check, operation)), 40)
        yield from malformed_writes(operation, bare)


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
    """Judge the rules of the group Requests for writes that are not about runs."""
    of_pool = case.operation == "add_machine_to_pool"
    ids = [create_resource(context, "create_pool").body["id"]] if of_pool else []
    sent = send_all(context, case.operation, ids, case.bodies)
    if case.operation in LISTED_BY:
        _check_no_resource_created(context, LISTED_BY[case.operation], sent)


def _check_no_resource_created(context: CaseContext, listing: str, sent: Sequence[CallResult]) -> None:
    """Judge REQ-ATOMIC for pools and workflows, which are recognised by the marker in their texts."""
    was_refused = any(result.refused for result in sent)
    if not was_refused or "marker" not in context.placeholders or not context.check.offers(listing):
        return
    accepted = {created_id for result in sent for created_id in created_ids(result)}
    for result in resource_pages(context, listing):
        items = [item for item in items_of(result) if item.get("id") not in accepted]
        made = [item for item in items if context.placeholder("marker") in json.dumps(item)]
        cause, expected = "a refused request creates what it asked for", "nothing created by a refused request"
        got = f"a list with {counted(len(made), 'new item')}"
        context.require(not made, "REQ-ATOMIC", cause, expected, *sent, result, got=got)


_REQUEST_RULES = ("REQ-COUNT", "REQ-WORKFLOW", "REQ-TYPES", "REQ-FILES", "REQ-ERROR", "REQ-ATOMIC")
_RULES_OF_OTHER_WRITES = ("REQ-TYPES", "REQ-BODY", "REQ-ERROR", "REQ-ATOMIC", "REQ-ACCEPT", "NO-5XX", SCHEMA_RULE)
SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("invalid requests", _REQUEST_RULES, run_refused, refused_cases),
    Scenario("malformed bodies", ("REQ-BODY", "REQ-ERROR", "REQ-ATOMIC"), run_refused, malformed_cases, order=2),
    Scenario("ambiguous values", ("REQ-COUNT", "REQ-TYPES"), run_create, ambiguous_cases, order=4),
    Scenario("requests to pools and workflows", _RULES_OF_OTHER_WRITES, run_other_writes, other_write_cases, order=5),
    Scenario(
        "generated invalid requests",
        _REQUEST_RULES,
        run_create,
        generated=generated_wrong,
        examples=150,
        order=7,
    ),
    Scenario(
        "invalid parameters", ("REQ-ERROR",), run_wrong_parameter, wrong_parameter_cases, creates_runs=False, order=2
    ),
)
