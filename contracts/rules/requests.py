"""Which requests are accepted and which are refused: valid and invalid values in every field, and malformed bodies."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts.data import boundary_values, mutations, strategies, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import encode
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.guard import OutOfBudget
from contracts.openapi.schemas import body_schema, operations, schema
from contracts.oracle import CREATES, ParsedRequest, excerpt, parameter_error_violations, read_body, read_request
from contracts.rules.bulk_answer import run_create
from contracts.rules.listing import carries, items_of, made_with
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

OPERATIONS: Final = ("bulk_create_runs", "create_run", "create_run_chain", "update_run", "retry_run")
BESIDE: Final = ("create_pool", "create_workflow", "add_machine_to_pool")


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


def send_items(
    context: CaseContext, operation: str, ids: Sequence[str], items: Iterable[dict[str, Any]]
) -> list[CallResult]:
    """Sends the items, except those that exceed the budget, such as a very large count."""
    sent = []
    for item in items:
        with contextlib.suppress(OutOfBudget):
            sent.append(send_item(context, operation, ids, item))
    return sent


def send_item(context: CaseContext, operation: str, ids: Sequence[str], item: dict[str, Any]) -> CallResult:
    """Sends an item of a case: a JSON body (`body`) or raw text (`latin`), optionally with a content type (`type`)."""
    headers = [("Content-Type", item["type"])] if "type" in item else []
    if "latin" in item:
        raw = context.fill(item["latin"]).encode("latin-1")
        return context.write(operation, *ids, raw=raw, headers=headers).result
    return context.write(operation, *ids, body=context.fill(item.get("body")), headers=headers).result


_FILLED: Final = {"output_data": {"kept": True}, "error": ["kept"], "run_message_history": [{"kept": 1}]}


def changeable(context: CaseContext, operation: str, *, filled: bool = False) -> dict[str, Any]:
    """Creates a run that can be updated, or, for retry_run, a cancelled run.

    With `filled`, the run to be retried has files and results, which a retry would replace or clear.
    """
    fields: dict[str, Any] = {} if context.check.is_live else {"input_values": {"kept": "«marker»"}}
    if filled and operation == "retry_run" and not context.check.is_live:
        fields["file_inputs"] = [boundary_values.file("kept.txt")]
    created = context.some_runs(1, **fields)
    run = created.runs[0]
    if operation == "retry_run":
        if filled:
            context.call("update_run", run["id"], body=_FILLED)
        cancelled = context.call("update_run", run["id"], body={"status": "cancelled"})
        if not cancelled.accepted or cancelled.body.get("status") != "cancelled":
            raise Inconclusive("a run cannot be cancelled, so no retry can be tried")
        return dict(cancelled.body) if filled else dict(run, status="cancelled")
    return dict(run)


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
    found = canaries(context)
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


def canaries(context: CaseContext) -> dict[str, str]:
    """List filters, by parameter name, that only runs created by this case match."""
    found: dict[str, str] = {}
    if context.check.workflows.invented and context.has_named("workflow"):
        found["workflow_id"] = context.named("workflow")
    if context.check.sessions.invented and context.has_named("session"):
        found["session_id"] = context.named("session")
    if context.has_named("marker"):
        found["search"] = context.named("marker")
    return found


def among(context: CaseContext) -> list[tuple[str, str]]:
    """A filter by the workflow of the case, so that the cost of a list does not depend on the number of other runs."""
    return [("workflow_id", context.named("workflow"))] if context.has_named("workflow") else []


def ids_in(result: CallResult) -> list[str]:
    if not result.accepted or not isinstance(result.body, dict):
        return []
    runs = result.body.get("created_runs")
    ids = (
        [run.get("id") for run in runs if isinstance(run, dict)] if isinstance(runs, list) else [result.body.get("id")]
    )
    ids += result.body.get("run_ids") or []
    return [one for one in ids if isinstance(one, str)]


# Bodies with one invalid value


def full_body(check: CheckContext, operation: str) -> dict[str, Any]:
    """A valid body with every field and several items in each list, so that every position can be mutated."""
    files = [
        boundary_values.file(target_path="C:\\a.txt", cleanup_imports_after_run=False),
        boundary_values.file("b.txt", target_path="C:\\b.txt", cleanup_imports_after_run=True),
    ]
    inputs = {"marker": "«marker»", "n": 1}
    common = {"machine_id": "«machine»", "pool_ids": ["«pool:0»", "«pool:1»"], "session_id": "«session»"}
    match operation:
        case "bulk_create_runs" | "create_run":
            body = write_bodies.minimal(operation, count=2) | common
            body |= {
                "input_values": inputs,
                "file_inputs": files,
                "sensitive_input_values": {"pin": "«secret»"},
                "start_session": False,
            }
            if operation == "create_run":
                body |= {"session_alias": "alias", "release_session_after": True}
        case "create_run_chain":
            steps = [
                {
                    "workflow_id": "«workflow»",
                    "session_alias": f"s{index}",
                    "inputs": inputs,
                    "sensitive_inputs": {"pin": "«secret»"},
                }
                for index in range(2)
            ]
            body = {
                "steps": steps,
                "shared_inputs": {"shared": 1},
                "shared_sensitive_inputs": {"shared_pin": "«secret:2»"},
                "shared_file_inputs": files,
                "keep_session_after_completion": False,
            } | common
        case "update_run":
            body = {name: values[0] for name, values in write_bodies.UPDATE_VALUES.items()} | {"status": "cancelled"}
        case "retry_run":
            body = {name: values[0] for name, values in write_bodies.RETRY_FEATURES.items()} | {
                "file_inputs": files,
                "pool_ids": ["«pool:0»", "«pool:1»"],
            }
        case "create_pool":
            body = {"name": "contracts", "description": "made by a check"}
        case "create_workflow":
            body = {
                "main_prompt": "contracts",
                "name": "made by a check",
                "is_webhooks_enabled": False,
            }
        case _:
            body = {"machine_ids": ["«machine»", "«machine:1»"]}
    for name, ids in (("machine_id", check.machines), ("pool_ids", check.pools), ("session_id", check.sessions)):
        if not ids.invented:
            body.pop(name, None)
    return body


_SAMPLE: Final = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def sample(value: Any) -> Any:
    """Replaces each placeholder in a value by a valid id, so that the oracle can parse it."""
    if isinstance(value, str):
        return _SAMPLE if "«" in value else value
    if isinstance(value, list):
        return [sample(item) for item in value]
    if isinstance(value, dict):
        return {key: sample(item) for key, item in value.items()}
    return value


def readings(operation: str, bodies: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], ParsedRequest]]:
    """Yields each distinct body with its parsed form: whether the contract accepts, refuses or leaves it open."""
    seen: set[str] = set()
    for body in bodies:
        mark = repr(body)
        if mark not in seen:
            seen.add(mark)
            yield body, read_body(operation, sample(body))


def almost_valid(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Yields mutations of a minimal body, of a full body, and of a minimal body with one more field.

    Most have one mutation, some have several.
    """
    bare, full = write_bodies.minimal(operation), full_body(check, operation)
    fields = [name for name in schema(body_schema(operation) or "")["properties"] if name in full or name in bare]
    if operation == "bulk_create_runs":
        for index, count in enumerate(boundary_values.WRONG_COUNTS):
            yield bare | {"count": count}
            if index % 5 == 0:
                yield full | {"count": count}
    for name in fields:
        for wrong in _wrong_of(operation, name):
            yield bare | {name: wrong}
    if operation == "update_run":
        for wrong in mutations.WRONG_NAMES:
            yield {"status": wrong}
            yield full | {"status": wrong}
    yield from mutations.after_good_items(full, free=mutations.FREE_OBJECTS)
    yield from _several_wrong(bare, full, fields)
    for path in mutations.places(full, free=mutations.FREE_OBJECTS):
        for wrong in _wrong_values(operation, path):
            yield mutations.put(full, path, wrong)
        for wrong in _wrong_nestings(mutations.at(full, path)):
            yield mutations.put(full, path, wrong)
        if isinstance(path[-1], str):
            yield mutations.drop(full, path)
    for name in schema(body_schema(operation) or "").get("required", ()):
        yield mutations.drop(bare, (name,))
        for other in full:
            if other != name:
                yield mutations.drop(bare | {other: full[other]}, (name,))
    creates_runs = operation in {"bulk_create_runs", "create_run"}
    for beside, name in itertools.permutations(fields, 2):
        if beside in full:
            base = bare | {beside: full[beside] if beside != "start_session" else True}
            for wrong in (None, "", 5, []) if operation == "bulk_create_runs" else ("",) if creates_runs else ("x",):
                yield base | {name: wrong}
    if operation == "bulk_create_runs":
        for count in (0, 1001, -1, 1.5, None, "x", [], 2000):
            for name in fields:
                if name in full:
                    yield bare | {"count": count, name: True if name == "start_session" else full[name]}
        for count, path in itertools.product((101, 1000), mutations.places(full, free=mutations.FREE_OBJECTS)):
            yield (
                mutations.put(
                    full | {"count": count}, path, "x" if path[-1] not in {"filename", "content", "target_path"} else 5
                )
                if path != ("count",)
                else full | {"count": "x"}
            )
    if operation == "create_run_chain":
        for size in (3, 10):
            steps = [{"workflow_id": "«workflow»"} for _ in range(size)]
            yield {"steps": [*steps, {}]}
            yield {"steps": [*steps, {"workflow_id": "x"}]}
            yield {"steps": [*steps, None]}
            yield {"steps": [*steps, {"workflow_id": "«workflow»", "inputs": []}]}
        yield {"steps": []}
        yield full | {"steps": []}
    for files in ("file_inputs", "shared_file_inputs"):
        if files in full:
            good = boundary_values.file()
            bad: Any
            for bad in (
                {},
                {"filename": "a.txt"},
                {"content": "YQ=="},
                {"filename": None, "content": "YQ=="},
                {"filename": "a.txt", "content": None},
                {"filename": 5, "content": "YQ=="},
                {"filename": "a.txt", "content": 5},
                None,
                "a.txt",
                [],
            ):
                for before in (0, 1, 2, 9):
                    yield bare | {files: [good] * before + [bad]}
                yield bare | {files: [bad, good]}
    for pools in ("pool_ids",):
        if pools in fields:
            for bad, before in itertools.product(("", "x", 5, None, [], {}, _SAMPLE[:-1]), (0, 1, 2, 9)):
                yield bare | {pools: [f"«pool:{index}»" for index in range(before)] + [bad]}


def _wrong_of(operation: str, name: str) -> tuple[Any, ...]:
    most = mutations.WRONG_VALUES if operation == "bulk_create_runs" else mutations.WRONG_CORE
    return (*most, *(mutations.WRONG_IDS if name.endswith(("_id", "_ids")) else ()))


def _wrong_values(operation: str, path: Sequence[str | int]) -> tuple[Any, ...]:
    """Few values for a top-level field, since the minimal body was mutated there with all of them."""
    if len(path) == 1:
        return (None, 5, "x", [], {"a": 1})
    return _wrong_of(operation, next(part for part in reversed(path) if isinstance(part, str)))


def _wrong_nestings(good: Any) -> Iterator[Any]:
    """A valid value with one level of nesting too many or too few, or encoded as a JSON string."""
    yield [good]
    if isinstance(good, list) and good:
        yield good[0]
        yield {"0": good[0]}
        yield json.dumps(good, ensure_ascii=False)
    elif isinstance(good, dict):
        yield json.dumps(good, ensure_ascii=False)
        yield [[key, value] for key, value in good.items()]
    else:
        yield {"value": good}


def _several_wrong(bare: dict[str, Any], full: dict[str, Any], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Bodies with several invalid fields. The answer must report an error for each."""
    wrong = {name: 5 if isinstance(full.get(name), (str, list, dict)) else "x" for name in fields}
    for one, other in itertools.combinations(fields, 2):
        yield bare | {one: wrong[one], other: wrong[other]}
    for size in range(3, len(fields) + 1):
        yield bare | {name: wrong[name] for name in fields[:size]}
    yield {name: value for name, value in wrong.items() if name not in bare}


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


def beside_cases(check: CheckContext) -> Iterator[Case]:
    """Cases for the writes that are not about runs: invalid, malformed and valid bodies."""
    for operation in BESIDE:
        if not check.offers(operation) or (operation == "add_machine_to_pool" and not check.offers("create_pool")):
            continue
        bodies = filter(_is_determined, almost_valid(check, operation))
        wrong = (body for body, parsed in readings(operation, bodies) if parsed.faults)
        for pack in packs(({"body": body} for body in wrong), 40):
            yield {"op": operation, "items": pack}
        yield from _malformed_body_cases(operation, write_bodies.minimal(operation) or {"machine_ids": []})
        for pack in packs(({"body": body} for body in _valid_beside(operation)), 20):
            yield {"op": operation, "items": pack}


def _is_determined(body: Any) -> bool:
    """Whether the contract determines the answer.

    The known facts state neither the types of schemas and pool parameters nor whether is_webhooks_enabled may be null.
    """
    if not isinstance(body, dict):
        return True
    given = any(body.get(name) is not None for name in ("input_schema", "output_schema", "pool_parameters"))
    return not given and body.get("is_webhooks_enabled", False) is not None


def _valid_beside(operation: str) -> Iterator[dict[str, Any]]:
    if operation == "add_machine_to_pool":
        for machines in ([], ["«machine»"], ["«machine»", "«machine»"], ["«uuid:1»", "«uuid:1»"]):
            yield {"machine_ids": machines}
        return
    required, optional = {
        "create_pool": ("name", ("description", "pool_parameters")),
        "create_workflow": ("main_prompt", ("name", "input_schema", "output_schema")),
    }.get(operation, ("", ()))
    if not required:
        return
    for number, text in enumerate(boundary_values.REVEALING_TEXTS):
        marker = f"«marker:{number}»"
        yield {required: marker + text[:99_900]}
        if text.strip():
            yield {required: marker, optional[0]: marker + text[:99_900]}
    for number, name in enumerate(optional):
        yield {required: f"«marker:{number}»", name: None}
    yield {required: "«marker»"} | dict.fromkeys(optional)


def run_beside(context: CaseContext, case: Case) -> None:
    """Judges the rules of requests for writes that are not about runs. A 409 for a name in use is allowed."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation == "add_machine_to_pool":
        made = context.call("create_pool", body=context.fill(write_bodies.minimal("create_pool")))
        if not made.accepted or not isinstance(made.body, dict) or not isinstance(made.body.get("id"), str):
            raise Inconclusive("no pool can be made")
        ids = (made.body["id"],)
    sent: list[CallResult] = []
    for item in case["items"]:
        if "latin" in item:
            result = context.call(operation, *ids, raw=context.fill(item["latin"]).encode("latin-1"))
        else:
            result = context.call(operation, *ids, body=context.fill(item.get("body")))
        sent.append(result)
        parsed = read_request(operation, result.exchange.request.body)
        if result.status == 409 and not parsed.faults:
            continue
        # The ambiguity "a resource beside the runs" concerns the result of a valid request, not the faults of a body.
        plain = ParsedRequest(operation, parsed.body, parsed.value, parsed.faults)
        context.judge_write(plain if plain.faults else parsed, result)
    if operation in _LISTED_BY:
        _check_nothing_created_beside(context, _LISTED_BY[operation], sent)


_LISTED_BY: Final = {"create_pool": "list_pools", "create_workflow": "list_workflows"}
_MAX_PAGES: Final = 20


def _check_nothing_created_beside(context: CaseContext, listing: str, sent: Sequence[CallResult]) -> None:
    """Judges REQ-ATOMIC for pools and workflows, which are recognised by the marker in their texts."""
    if (
        not context.check.offers(listing)
        or not context.has_named("marker")
        or not any(result.refused for result in sent)
    ):
        return
    accepted = {result.body.get("id") for result in sent if result.accepted and isinstance(result.body, dict)}
    for page in range(_MAX_PAGES):
        result = context.call(listing, query=[("limit", "1000"), ("skip", str(1000 * page))])
        items = items_of(result) if result.accepted else []
        made = [
            item for item in items if context.named("marker") in json.dumps(item) and item.get("id") not in accepted
        ]
        cause, expected = "what a refused request asked for is there", "nothing created by a refused request"
        context.require(not made, "REQ-ATOMIC", cause, expected, f"{len(made)} in the list", *sent, result)
        if len(items) < 1000:
            return


def packs(items: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    pack: list[dict[str, Any]] = []
    for item in items:
        pack.append(item)
        if len(pack) == size:
            yield pack
            pack = []
    if pack:
        yield pack


def lenient_cases(check: CheckContext) -> Iterator[Case]:
    """Bodies that a server may accept or refuse. If it accepts one, the answer must fit the parsed value."""
    for operation in ("bulk_create_runs", "create_run"):
        if not check.offers(operation):
            continue
        bodies = almost_valid(check, operation)
        for body, parsed in readings(operation, itertools.chain(bodies, _other_uuid_forms(operation))):
            if not parsed.faults and parsed.ambiguities:
                yield {"op": operation, "body": body, "read": True}


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


def broken_texts(body: dict[str, Any]) -> Iterator[bytes]:
    """Yields texts that are not a JSON object: fixed ones, and mutations of the given valid body."""
    good = encode(body)
    yield from (
        b"",
        b" ",
        b"\n",
        b"[]",
        b"null",
        b"true",
        b"false",
        b"5",
        b"0",
        b"1.5",
        b'""',
        b'"text"',
        b"[1]",
        b"[{}]",
        b"[null]",
        b"[[]]",
    )
    yield from (
        b"{",
        b"}",
        b"[",
        b'"',
        b"{'a': 1}",
        b"{a: 1}",
        b"not json",
        b"nul",
        b"undefined",
        b"<xml/>",
        b"a=1&b=2",
        b"{]",
        b",",
        b":",
        b"\x00",
    )
    yield from (
        b"\xff",
        b"\xfe\xff",
        b"\x80",
        b"\xc0\xaf",
        b"\xc3",
        b"\xed\xa0\x80",
        b'{"a": "\xff"}',
        b'"\xff"',
        b'{"\xe9": 1}',
    )
    yield from (
        good[:-1],
        good[1:],
        good + b"x",
        good + b"}",
        good + good,
        b"x" + good,
        b"[" + good + b"]",
        json.dumps(good.decode()).encode(),
    )
    yield from (
        good[:-1] + b",}",
        good.replace(b'"', b"'"),
        good[: len(good) // 2],
        good[:-1] + b', "x": "\xff"}',
        good[:-1] + b', "\xff": 1}',
    )
    yield from (
        good[:-1] + tail
        for tail in (
            b', "x": tru}',
            b', "x": 01}',
            b', "x": .5}',
            b', "x": 1.}',
            b', "x": +1}',
            b', "x": "\\x"}',
            b', "x": "a\nb"}',
            b', "x"}',
            b', "x": }',
            b", x: 1}",
            b', "x": "\\u12"}',
            b' "x": 1}',
            b', "x": [1,]}',
            b', "x": 0x10}',
            b", // c\n}",
        )
    )


def body_cases(check: CheckContext) -> Iterator[Case]:
    for operation in OPERATIONS:
        if check.offers(operation):
            yield from _malformed_body_cases(
                operation, write_bodies.minimal(operation) or {"input_values": {"changed": True}}
            )


def _malformed_body_cases(operation: str, bare: dict[str, Any]) -> Iterator[Case]:
    items = []
    for raw in broken_texts({"MARK": 0}):
        text = raw.decode("latin-1").replace('"MARK": 0', json.dumps(bare, ensure_ascii=False)[1:-1])
        text = text.replace("'MARK': 0", "'a': 0").replace('\\"MARK\\": 0', '\\"a\\": 0')
        if operation == "retry_run" and text.strip() in {"", "null"}:
            yield {"op": operation, "items": [{"latin": text}]}  # may mean "no changes", so only a 5xx is an error
            continue
        if read_request(operation, sample_text(text).encode("latin-1")).faults:
            items.append({"latin": text})
    for pack in packs(items, 30):
        yield {"op": operation, "items": pack}


def sample_text(text: str) -> str:
    return re.sub(r"«[a-z0-9:-]+»", _SAMPLE, text)


_WRONG_PAGE: Final = (("skip", ("-1", "x")), ("limit", ("0", "1001", "-1", "x", "1.5")))
_WRONG_PARAMETERS: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "list_runs": (
        *((name, ("x", _SAMPLE[:-1])) for name in ("workflow_id", "machine_id", "session_id")),
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


def generated_wrong(check: CheckContext) -> SearchStrategy[Case]:
    """Generates create bodies with any combination of fields, and mutates one value."""
    creates = [operation for operation in ("bulk_create_runs", "create_run") if check.offers(operation)]
    available = frozenset(
        name
        for name, ids in (("machine_id", check.machines), ("pool_ids", check.pools), ("session_id", check.sessions))
        if ids.invented
    )

    @st.composite
    def broken(draw: st.DrawFn) -> Case:
        operation = draw(st.sampled_from(creates))
        body = draw(strategies.bodies(operation, available))
        body = {**body, **({"count": draw(st.integers(1, 3))} if "count" in body else {})}
        path = draw(st.sampled_from(list(mutations.places(body, free=mutations.FREE_OBJECTS))))
        wrong = draw(st.sampled_from(mutations.WRONG_VALUES) | strategies.json_values)
        return {"op": operation, "body": mutations.put(body, path, wrong)}

    return broken()


_REQUEST_RULES = ("REQ-COUNT", "REQ-WORKFLOW", "REQ-TYPES", "REQ-FILES", "REQ-ERROR", "REQ-ATOMIC")
_BESIDE_RULES = ("REQ-TYPES", "REQ-BODY", "REQ-ERROR", "REQ-ATOMIC", "REQ-ACCEPT", "NO-5XX")
SCENARIOS = (
    Scenario("invalid requests", _REQUEST_RULES, run_refused, refused_cases, priority=1),
    Scenario("malformed bodies", ("REQ-BODY", "REQ-ERROR", "REQ-ATOMIC"), run_refused, body_cases, priority=2),
    Scenario("ambiguous values", ("REQ-COUNT", "REQ-TYPES"), run_create, lenient_cases, priority=4),
    Scenario("invalid requests to other operations", _BESIDE_RULES, run_beside, beside_cases, priority=5),
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
