"""What is accepted and what is refused: every field of every write, right and wrong, and bodies that are none."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts import strategies
from contracts.conversation import Heard, Talk, Unjudged, World, Written, encode
from contracts.guard import OutOfBudget
from contracts.oracle import CREATES, Reading, excerpt, parameter_error_violations, read_body, read_request
from contracts.rules.bulk_answer import run_create
from contracts.rules.listing import carries, made_with
from contracts.rules.rule import Rule
from contracts.search import Scenario
from contracts.shapes import body_schema, operations, schema
from contracts.shrinking import Case

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


# One talk


def run_refused(talk: Talk, case: Case) -> None:
    """Several requests that are wrong, each for its own reason; then nothing must have come of any."""
    operation = case["op"]
    if operation in CREATES:
        _nothing_made(talk, send_items(talk, operation, (), case["items"]))
        return
    run = changeable(talk, operation, filled=True)
    sent = send_items(talk, operation, (run["id"],), case["items"])
    if not sent or any(heard.accepted for heard in sent):
        return
    after = talk.ask("get_run", run["id"], after=sent[-1:])
    for name, how in _changes_of_refused(operation, run, after.body, sent):
        talk.require(
            not how,
            "REQ-ATOMIC",
            f"a refused {operation} changes {name}",
            f"{name} as before a refused request",
            how,
            *talk.exchanges,
        )


def _changes_of_refused(
    operation: str, before: dict[str, Any], after: Any, sent: Sequence[Heard]
) -> Iterator[tuple[str, str]]:
    """Per field how it has changed, "" where it has not. A run that has not ended may move by itself, so in an update
    the rest is judged by what was sent alone.
    """
    for name in _STAYS if operation == "update_run" else (*_STAYS, *_CLEARED):
        same = (before.get(name) or None) == (after.get(name) or None)
        yield name, "" if same else excerpt(json.dumps(after.get(name)))
    for name in _CLEARED if operation == "update_run" else ():
        asked = [value for value in (_sent_value(heard, name) for heard in sent) if value]
        taken = after.get(name) in asked and after.get(name) != before.get(name)
        yield name, excerpt(json.dumps(after.get(name))) if taken else ""


_STAYS: Final = (
    *("input_values", "session_id", "input_attachment_ids", "sensitive_input_aliases", "session_alias"),
    *("release_session_after", "workflow_id", "created_at"),
)
_CLEARED: Final = ("status", "error", "output_data", "run_message_history", "usage_metadata", "started_at", "ended_at")


def _sent_value(heard: Heard, name: str) -> Any:
    try:
        body = heard.exchange.request.json()
    except (ValueError, RecursionError):
        return None
    return body.get(name) if isinstance(body, dict) else None


def send_items(talk: Talk, operation: str, ids: Sequence[str], items: Iterable[dict[str, Any]]) -> list[Heard]:
    """Those that the budget bears: a count that could cost too much keeps none of the others back."""
    sent = []
    for item in items:
        with contextlib.suppress(OutOfBudget):
            sent.append(send_item(talk, operation, ids, item))
    return sent


def send_item(talk: Talk, operation: str, ids: Sequence[str], item: dict[str, Any]) -> Heard:
    """An item of a case: a body, or raw text, perhaps of another content type."""
    headers = [("Content-Type", item["type"])] if "type" in item else []
    if "latin" in item:
        raw = talk.fill(item["latin"]).encode("latin-1")
        return talk.write(operation, *ids, raw=raw, headers=headers).heard
    return talk.write(operation, *ids, body=talk.fill(item.get("body")), headers=headers).heard


_FILLED: Final = {"output_data": {"kept": True}, "error": ["kept"], "run_message_history": [{"kept": 1}]}


def changeable(talk: Talk, operation: str, *, filled: bool = False) -> dict[str, Any]:
    """A run that can be updated, or, cancelled, be retried; `filled` with what a retry takes away."""
    created = talk.some_runs(1) if talk.world.is_live else talk.some_runs(1, input_values={"kept": "«marker»"})
    run = created.runs[0]
    if operation == "retry_run":
        if filled:
            talk.call("update_run", run["id"], body=_FILLED)
        cancelled = talk.call("update_run", run["id"], body={"status": "cancelled"})
        if not cancelled.accepted or cancelled.body.get("status") != "cancelled":
            raise Unjudged("a run cannot be cancelled, so no retry can be tried")
        return dict(cancelled.body) if filled else dict(run, status="cancelled")
    return dict(run)


def _nothing_made(talk: Talk, sent: Sequence[Heard]) -> None:
    """REQ-ATOMIC, by what the requests carried that no other has: their workflow, session and marker."""
    world = talk.world
    if not world.offers("list_runs") or not any(heard.refused for heard in sent):
        return
    accepted: set[str] = set()
    for heard in sent:
        if heard.accepted and isinstance(heard.body, dict):
            runs = heard.body.get("created_runs") or [heard.body]
            accepted.update(run["id"] for run in runs if isinstance(run, dict) and isinstance(run.get("id"), str))
            accepted.update(heard.body.get("run_ids") or ())
    found = marks(talk)
    workflow = found.get("workflow_id", "").encode()
    if workflow and all(workflow in (heard.exchange.request.body or b"") for heard in sent):
        found = {"workflow_id": found["workflow_id"]}  # a search of all runs is dear
    for name, value in found.items():
        listed, items = made_with(talk, name, value)
        made = [item for item in items if carries(item, name, value) and item.get("id") not in accepted]
        talk.require(
            not made,
            "REQ-ATOMIC",
            "a refused create makes runs",
            "nothing created by a refused request",
            lambda made=made, name=name: f"{len(made)} runs of its {name}",  # type: ignore[misc]
            *sent,
            listed,
        )


def marks(talk: Talk) -> dict[str, str]:
    """What the requests of a talk carried that is theirs alone."""
    found: dict[str, str] = {}
    if talk.world.workflows.invented and talk.has_named("workflow"):
        found["workflow_id"] = talk.named("workflow")
    if talk.world.sessions.invented and talk.has_named("session"):
        found["session_id"] = talk.named("session")
    if talk.has_named("marker"):
        found["search"] = talk.named("marker")
    return found


def run_odd(talk: Talk, case: Case) -> None:
    """Requests beyond what every server must take: no 5xx now, and none when what they made is read or listed."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation not in CREATES and operation not in BESIDE:
        ids = (changeable(talk, operation)["id"],)
    elif operation == "add_machine_to_pool":
        ids = (talk.named("pool"),)
    made: list[str] = [*ids] if operation != "add_machine_to_pool" else []
    for item in case["items"]:
        for heard in send_items(talk, operation, ids, [item]):
            new = [one for one in _ids_in(heard) if one not in made]
            made.extend(new)
            if operation not in BESIDE:
                _look_at(talk, new[:1] or (list(ids) if heard.accepted else []))
    if operation not in BESIDE:
        _change(talk, made[:1])


def _look_at(talk: Talk, runs: Sequence[str], *, files: int = 2) -> None:
    """Reads of what was made, each of which must be no 5xx and show no secret."""
    offers = talk.world.offers
    for run_id in runs:
        run = talk.call("get_run", run_id) if offers("get_run") else None
        ids = run.body.get("input_attachment_ids") if run is not None and isinstance(run.body, dict) else None
        if offers("list_run_attachments") and ids:
            talk.call("list_run_attachments", query=[("run_id", run_id)])
        for index, attachment in enumerate((ids or [])[:files]):
            for operation in _OF_AN_ATTACHMENT if index == 0 else _OF_AN_ATTACHMENT[:1]:
                if offers(operation) and isinstance(attachment, str):
                    talk.call(operation, attachment)


_OF_AN_ATTACHMENT: Final = ("download_run_attachment", "get_run_attachment", "get_run_attachment_download_url")


def _change(talk: Talk, runs: Sequence[str]) -> None:
    """All that could stumble over what was made."""
    offers = talk.world.offers
    for run_id in runs:
        if offers("list_runs"):
            talk.call("list_runs", query=[*among(talk), ("limit", "100"), ("sort_mode", "created_at_desc")])
            talk.call("list_runs", query=[*among(talk), ("search", "x"), ("deep_search", "true"), ("limit", "20")])
        if offers("update_run"):
            talk.call("update_run", run_id, body={"release_session_after": True})
            talk.call("update_run", run_id, body={"status": "cancelled"})
        if offers("retry_run"):
            talk.call("retry_run", run_id, body={})
        if offers("delete_run"):
            talk.call("delete_run", run_id)
        if offers("list_runs"):
            talk.call("list_runs", query=[*among(talk), ("limit", "20")])


def among(talk: Talk) -> list[tuple[str, str]]:
    """Only the runs of the talk's own workflow, so that a list costs the same however many runs there are."""
    return [("workflow_id", talk.named("workflow"))] if talk.has_named("workflow") else []


def _ids_in(heard: Heard) -> list[str]:
    if not heard.accepted or not isinstance(heard.body, dict):
        return []
    runs = heard.body.get("created_runs")
    ids = [run.get("id") for run in runs if isinstance(run, dict)] if isinstance(runs, list) else [heard.body.get("id")]
    ids += heard.body.get("run_ids") or []
    return [one for one in ids if isinstance(one, str)]


# Wrong for one thing


def full_body(world: World, operation: str) -> dict[str, Any]:
    """A body with everything in it, several items in each list, so that every place can be made wrong."""
    files = [
        strategies.file(target_path="C:\\a.txt", cleanup_imports_after_run=False),
        strategies.file("b.txt", target_path="C:\\b.txt", cleanup_imports_after_run=True),
    ]
    inputs = {"marker": "«marker»", "n": 1}
    common = {"machine_id": "«machine»", "pool_ids": ["«pool:0»", "«pool:1»"], "session_id": "«session»"}
    match operation:
        case "bulk_create_runs" | "create_run":
            body = strategies.minimal(operation, count=2) | common
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
            body = {name: values[0] for name, values in strategies.UPDATE_VALUES.items()} | {"status": "cancelled"}
        case "retry_run":
            body = {name: values[0] for name, values in strategies.RETRY_FEATURES.items()} | {
                "file_inputs": files,
                "pool_ids": ["«pool:0»", "«pool:1»"],
            }
        case "create_pool":
            body = {"name": "contracts", "description": "made by a check"}
        case "create_workflow":
            body = {
                "main_prompt": "contracts",
                "name": "made by a check",
                "input_schema": "{}",
                "output_schema": "{}",
                "is_webhooks_enabled": False,
            }
        case _:
            body = {"machine_ids": ["«machine»", "«machine:1»"]}
    for name, ids in (("machine_id", world.machines), ("pool_ids", world.pools), ("session_id", world.sessions)):
        if not ids.invented:
            body.pop(name, None)
    return body


_SAMPLE: Final = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def sample(value: Any) -> Any:
    """A case's value with something valid in the place of each placeholder, to be read by the oracle."""
    if isinstance(value, str):
        return _SAMPLE if "«" in value else value
    if isinstance(value, list):
        return [sample(item) for item in value]
    if isinstance(value, dict):
        return {key: sample(item) for key, item in value.items()}
    return value


def readings(operation: str, bodies: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Reading]]:
    """Each body once, with what the contract makes of it."""
    seen: set[str] = set()
    for body in bodies:
        mark = repr(body)
        if mark not in seen:
            seen.add(mark)
            yield body, read_body(operation, sample(body))


def almost_valid(world: World, operation: str) -> Iterator[dict[str, Any]]:
    """Bodies with one thing changed: in a bare body, in a full one, and beside each single feature."""
    bare, full = strategies.minimal(operation), full_body(world, operation)
    fields = [name for name in schema(body_schema(operation) or "")["properties"] if name in full or name in bare]
    if operation == "bulk_create_runs":
        for index, count in enumerate(strategies.WRONG_COUNTS):
            yield bare | {"count": count}
            if index % 5 == 0:
                yield full | {"count": count}
    for name in fields:
        for wrong in strategies.WRONG_VALUES if operation == "bulk_create_runs" else _wrong_of(name):
            yield bare | {name: wrong}
    if operation == "update_run":
        for wrong in strategies.WRONG_NAMES:
            yield {"status": wrong}
            yield full | {"status": wrong}
    yield from strategies.after_good_items(full, free=strategies.FREE_OBJECTS)
    yield from _wrong_together(bare, full, fields)
    for path in strategies.places(full, free=strategies.FREE_OBJECTS):
        for wrong in _wrong_values(operation, path):
            yield strategies.put(full, path, wrong)
        for wrong in _other_wraps(strategies.at(full, path)):
            yield strategies.put(full, path, wrong)
        if isinstance(path[-1], str):
            yield strategies.drop(full, path)
    for name in schema(body_schema(operation) or "").get("required", ()):
        yield strategies.drop(bare, (name,))
        for other in full:
            if other != name:
                yield strategies.drop(bare | {other: full[other]}, (name,))
    creates_runs = operation in {"bulk_create_runs", "create_run"}
    for beside, name in itertools.permutations(fields, 2):
        if beside in full:
            context = bare | {beside: full[beside] if beside != "start_session" else True}
            for wrong in (None, "", 5, []) if operation == "bulk_create_runs" else ("",) if creates_runs else ("x",):
                yield context | {name: wrong}
    if operation == "bulk_create_runs":
        for count in (0, 1001, -1, 1.5, None, "x", [], 2000):
            for name in fields:
                if name in full:
                    yield bare | {"count": count, name: True if name == "start_session" else full[name]}
        for count, path in itertools.product((101, 1000), strategies.places(full, free=strategies.FREE_OBJECTS)):
            yield (
                strategies.put(
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
            good = strategies.file()
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


def _wrong_of(name: str) -> tuple[Any, ...]:
    return (*strategies.WRONG_CORE, *(strategies.WRONG_IDS if name.endswith(("_id", "_ids")) else ()))


def _wrong_values(operation: str, path: Sequence[str | int]) -> tuple[Any, ...]:
    """A field at the top has been wrong in every way already, in a bare body."""
    if len(path) == 1:
        return (None, 5, "x", [], {"a": 1})
    return strategies.WRONG_VALUES if operation == "bulk_create_runs" else strategies.WRONG_CORE


def _other_wraps(good: Any) -> Iterator[Any]:
    """What is right in itself, but in one wrap too many, or in one too few."""
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


def _wrong_together(bare: dict[str, Any], full: dict[str, Any], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Several fields wrong at once: each has its error."""
    wrong = {name: 5 if isinstance(full.get(name), (str, list, dict)) else "x" for name in fields}
    for one, other in itertools.combinations(fields, 2):
        yield bare | {one: wrong[one], other: wrong[other]}
    for size in range(3, len(fields) + 1):
        yield bare | {name: wrong[name] for name in fields[:size]}
    yield {name: value for name, value in wrong.items() if name not in bare}


def refused_cases(world: World) -> Iterator[Case]:
    yield from strategies.in_turn(_refused_cases_of(world, operation) for operation in OPERATIONS)


def _refused_cases_of(world: World, operation: str) -> Iterator[Case]:
    if not world.offers(operation) or (
        operation in {"update_run", "retry_run"} and not world.offers("get_run", "update_run")
    ):
        return
    wrong = (body for body, reading in readings(operation, almost_valid(world, operation)) if reading.is_invalid)
    for pack in _packs(({"body": body} for body in wrong), 24 if operation in CREATES else 40):
        yield {"op": operation, "items": pack}


def beside_cases(world: World) -> Iterator[Case]:
    """The writes that are not about runs: wrong, no JSON at all, and right in each way."""
    for operation in BESIDE:
        if not world.offers(operation) or (operation == "add_machine_to_pool" and not world.offers("create_pool")):
            continue
        wrong = (body for body, reading in readings(operation, almost_valid(world, operation)) if reading.faults)
        for pack in _packs(({"body": body} for body in wrong), 40):
            yield {"op": operation, "items": pack}
        yield from _body_packs(operation, strategies.minimal(operation) or {"machine_ids": []})
        for pack in _packs(({"body": body} for body in _right_beside(operation)), 20):
            yield {"op": operation, "items": pack}


def _right_beside(operation: str) -> Iterator[dict[str, Any]]:
    named, free = {
        "create_pool": ("name", ("description", "pool_parameters")),
        "create_workflow": ("main_prompt", ("name", "input_schema", "output_schema")),
    }.get(operation, ("", ()))
    if not named:
        return
    for number, text in enumerate(strategies.TELLING_TEXTS):
        unlike = f"«marker:{number}»"
        yield {named: unlike + text[:99_900]}
        if text.strip():
            yield {named: unlike, free[0]: unlike + text[:99_900]}
    for number, name in enumerate(free):
        yield {named: f"«marker:{number}»", name: None}
    yield {named: "«marker»"} | dict.fromkeys(free)


def run_beside(talk: Talk, case: Case) -> None:
    """The rules of requests for the writes that are not about runs. A name that is taken may be refused."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation == "add_machine_to_pool":
        made = talk.call("create_pool", body=talk.fill(strategies.minimal("create_pool")))
        if not made.accepted or not isinstance(made.body, dict) or not isinstance(made.body.get("id"), str):
            raise Unjudged("no pool can be made")
        ids = (made.body["id"],)
    for item in case["items"]:
        if "latin" in item:
            heard = talk.call(operation, *ids, raw=talk.fill(item["latin"]).encode("latin-1"))
        else:
            heard = talk.call(operation, *ids, body=talk.fill(item.get("body")))
        reading = read_request(operation, heard.exchange.request.body)
        if heard.status == 409 and not reading.faults:
            continue
        # "a resource beside the runs" is in doubt as to what comes of it, not as to what is wrong with it
        plain = Reading(operation, reading.body, reading.value, reading.faults)
        talk.judge_write(plain if plain.faults else reading, heard)


def _packs(items: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    pack: list[dict[str, Any]] = []
    for item in items:
        pack.append(item)
        if len(pack) == size:
            yield pack
            pack = []
    if pack:
        yield pack


def lenient_cases(world: World) -> Iterator[Case]:
    """What may be accepted or refused; accepted, it must fit the value that is read."""
    for operation in ("bulk_create_runs", "create_run"):
        if not world.offers(operation):
            continue
        bodies = almost_valid(world, operation)
        for body, reading in readings(operation, itertools.chain(bodies, _other_uuid_forms(operation))):
            if not reading.faults and reading.doubts:
                yield {"op": operation, "body": body, "read": True}


def _other_uuid_forms(operation: str) -> Iterator[dict[str, Any]]:
    bare = strategies.minimal(operation, count=2)
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


# Null, empty and absent


_FILE_OPTIONS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"target_path": None},
    {"target_path": "C:\\x.txt"},
    {"cleanup_imports_after_run": False},
    {"cleanup_imports_after_run": True},
    {"target_path": None, "cleanup_imports_after_run": True},
    {"target_path": "C:\\x.txt", "cleanup_imports_after_run": False},
)


def null_cases(world: World) -> Iterator[Case]:
    for operation in ("bulk_create_runs", "create_run"):
        if not world.offers(operation):
            continue
        features = strategies.CREATE_FEATURES[operation]
        bare = strategies.minimal(operation)
        empties = {name: strategies.EMPTY[name] for name in features}
        for name, values in empties.items():
            for value in values:
                yield {"op": operation, "body": bare | {name: value}, "read": True}
                if operation == "bulk_create_runs":
                    for count in (2, 101):
                        yield {"op": operation, "body": bare | {name: value, "count": count}}
        for (one, values), (other, others) in itertools.combinations(empties.items(), 2):
            for value, another in itertools.product(values, others):
                yield {"op": operation, "body": bare | {one: value, other: another}}
        for row in strategies.pairs(strategies.states(features)):
            yield {"op": operation, "body": _with_ids(world, bare | strategies.without_absent(row))}
        nulls = bare | {name: values[0] for name, values in empties.items()}
        yield {"op": operation, "body": nulls}
        if operation == "bulk_create_runs":
            yield {"op": operation, "body": nulls | {"count": 1000}}
        yield {"op": operation, "body": bare | {name: values[-1] for name, values in empties.items()}}
        for more in _FILE_OPTIONS:
            yield {"op": operation, "body": bare | {"file_inputs": [strategies.file(**more)]}}
            yield {"op": operation, "body": bare | {"file_inputs": [strategies.file(), strategies.file(**more)]}}
        yield {"op": operation, "body": bare | {"is_priority": False}}
        yield {"op": operation, "body": bare | {"unknown_property": {"a": 1}, "status": "success", "id": "x"}}


def _with_ids(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """Without the ids that the target has none of."""
    kinds = {"machine_id": world.machines, "pool_ids": world.pools, "session_id": world.sessions}
    return {name: value for name, value in body.items() if name not in kinds or kinds[name].available or not value}


def other_null_cases(world: World) -> Iterator[Case]:
    """Null, empty and absent in the writes that are no creates of runs."""
    features: dict[str, dict[str, tuple[Any, ...]]] = {
        "create_run_chain": strategies.CHAIN_FEATURES,
        "retry_run": strategies.RETRY_FEATURES,
    }
    for operation, fields in features.items():
        if not world.offers(operation, "update_run", "get_run"):
            continue
        bare = strategies.minimal(operation)
        for name in fields:
            for value in strategies.EMPTY.get(name, ()):
                yield {"op": operation, "body": bare | {name: value}}
        for row in strategies.pairs(strategies.states(fields)):
            yield {"op": operation, "body": _with_ids(world, bare | strategies.without_absent(row))}
        field = "file_inputs" if operation == "retry_run" else "shared_file_inputs"
        good = strategies.file()
        for more in _FILE_OPTIONS:
            yield {"op": operation, "body": bare | {field: [strategies.file(**more)]}}
            yield {"op": operation, "body": bare | {field: [good, good, strategies.file(**more)]}}
    if world.offers("create_run_chain", "update_run", "get_run"):
        step = {"workflow_id": "«workflow»"}
        states = {name: [strategies.ABSENT, values[0], None] for name, values in strategies.STEP_FEATURES.items()}
        states["inputs"].append({})
        states["sensitive_inputs"].append({})
        rows = [strategies.without_absent(row) for row in strategies.pairs(states)]
        for size, row in itertools.product((0, 1, 10), rows):
            last = {name: _numbered(value, size) for name, value in row.items()}
            yield {"op": "create_run_chain", "body": {"steps": [step] * size + [step | last]}}
    if world.offers("update_run", "get_run"):
        for name, values in strategies.UPDATE_VALUES.items():
            for value in values:
                if value in ([], {}):
                    yield {"op": "update_run", "body": {name: value}}
                    yield {"op": "update_run", "body": {name: value, "release_session_after": True}}


def _numbered(value: Any, number: int) -> Any:
    """A feature of a step, of which each step has its own."""
    return json.loads(json.dumps(value).replace("%d", str(number)))


# Bodies that are none


def broken_texts(body: dict[str, Any]) -> Iterator[bytes]:
    """Bodies that no JSON parser takes for an object, made of one that would be valid."""
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


def body_cases(world: World) -> Iterator[Case]:
    for operation in OPERATIONS:
        if world.offers(operation):
            yield from _body_packs(operation, strategies.minimal(operation) or {"input_values": {"changed": True}})


def _body_packs(operation: str, bare: dict[str, Any]) -> Iterator[Case]:
    items = []
    for raw in broken_texts({"MARK": 0}):
        text = raw.decode("latin-1").replace('"MARK": 0', json.dumps(bare, ensure_ascii=False)[1:-1])
        text = text.replace("'MARK': 0", "'a': 0").replace('\\"MARK\\": 0', '\\"a\\": 0')
        if operation == "retry_run" and not text.strip().strip("nul"):
            continue  # no body at all may mean: nothing to change
        if read_request(operation, sample_text(text).encode("latin-1")).faults:
            items.append({"latin": text})
    for pack in _packs(items, 30):
        yield {"op": operation, "items": pack}


def sample_text(text: str) -> str:
    return re.sub(r"«[a-z0-9:-]+»", _SAMPLE, text)


# Beyond the limits


_DEPTHS_BEYOND: Final = (65, 66, 100, 128, 1000, 200, 255, 256, 2000, 257, 500, 900, 10_000, 1100, 100_000)


def odd_items(world: World, operation: str) -> Iterator[dict[str, Any]]:
    """Items beyond REQ-ACCEPT's limits, or otherwise not determined."""
    bare = strategies.minimal(operation)
    field = {
        "create_run_chain": "shared_inputs",
        "update_run": "output_data",
        "create_pool": "pool_parameters",
        "create_workflow": "input_schema",
        "add_machine_to_pool": "machine_ids",
    }.get(operation, "input_values")
    is_bulk = operation == "bulk_create_runs"
    text = json.dumps(bare, ensure_ascii=False)
    head = text[:-1] + (", " if bare else "")
    for number in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1" * 301,
        "1" * 1000,
        "9" * 4300,
        "9" * 4301,
        "9" * 20_000,
        "-" + "9" * 5000,
        "0." + "1" * 5000,
        "1E-999",
    ):
        yield {"latin": f'{head}"{field}": {{"value": {number}}}}}'}
        if is_bulk or len(number) < 20:
            yield {"latin": f'{head}"{field}": {number}}}'}
            yield {"latin": f'{head}"unknown": {number}}}'}
        if operation == "bulk_create_runs":
            yield {"latin": f'{{"workflow_id": "«workflow»", "count": {number}}}'}
    for escape in ("\\ud800", "\\udfff", "\\udc00\\ud800", "a\\ud83d"):
        yield {"latin": f'{head}"{field}": {{"value": "{escape}"}}}}'}
        yield {"latin": f'{head}"{field}": {{"{escape}": 1}}}}'}
        yield {"latin": f'{head}"{field}": "{escape}"}}'}
        yield {"latin": f'{head}"{escape}": 1}}'}
        yield {"latin": f'{head}"session_alias": "{escape}"}}'}
        yield {"latin": f'{head}"error": ["{escape}"]}}'}
        yield {"latin": f'{head}"machine_id": "{escape}"}}'}
        yield {"latin": f'{head}"file_inputs": [{{"filename": "{escape}", "content": "YQ=="}}]}}'}
    for depth in _DEPTHS_BEYOND if is_bulk else _DEPTHS_BEYOND[::4]:
        yield {"latin": f'{head}"{field}": {{"value": ' + "[" * depth + "]" * depth + "}}"}
        if depth < 3000:
            yield {"latin": f'{head}"{field}": ' + '{"a":' * depth + "1" + "}" * depth + "}"}
        yield {"latin": "[" * depth + "]" * depth}
    for size in (100_001, 900_000) if is_bulk else (100_001,):
        yield {"body": bare | {field: {"value": "x" * size}}}
        yield {"body": bare | {field: "x" * size}}
    for size in (10_000, 50_000) if is_bulk else (10_000,):
        yield {"body": bare | {field: {f"k{index}": 1 for index in range(size)}}}
    if is_bulk:
        yield {"body": bare | {field: {"value": [0] * 100_000}}}
        yield {"latin": "x" * (2 * 1024 * 1024)}
    yield {"latin": f'{head}"{field}": {{"value": "' + "x" * (2 * 1024 * 1024) + '"}}'}
    yield {"latin": f'{head}"{field}": {{"a": 1, "a": 2}}}}'}
    if bare:
        yield {"latin": f"{head}{text[1:]}"}
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/octet-stream",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; charset=nonsense",
        "application/json;",
        "application/vnd.api+json",
        "application/x-ndjson",
        "nonsense",
        "*/*",
        ";",
        "application/json, text/plain",
        "image/png",
    ):
        yield {"latin": text, "type": kind}
        if is_bulk:
            yield {"latin": "", "type": kind}
            yield {"latin": "a=1&b=2", "type": kind}
    yield {"latin": "\xef\xbb\xbf" + text}
    yield {"latin": text.encode("utf-16").decode("latin-1")} if "«" not in text else {"latin": "\xff\xfe{\x00}\x00"}
    yield {"latin": "\xff\xfe" + "{\x00}\x00"}
    if operation in {"bulk_create_runs", "create_run", "retry_run"}:
        for content in (
            "!",
            "a",
            "====",
            "YQ",
            "YQ=",
            "Y Q==",
            "YQ==\n",
            "YQ==YQ==",
            "é",
            "😀",
            "-_-_",
            "data:text/plain;base64,YQ==",
            "\x00",
            "x" * 100_003,
        ):
            yield {"body": bare | {"file_inputs": [{"filename": "a.txt", "content": content}]}}
        for name in (
            "",
            " ",
            ".",
            "..",
            "/",
            "\\",
            "../../etc/passwd",
            "a/b.txt",
            "C:\\x",
            "\x00",
            "a\x00b",
            "a\nb",
            "a\r\nX: y",
            '"',
            "a" * 300,
            "a" * 5000,
            "CON",
            "a:b",
            "*",
            "\u202e",
            "\u200b",
        ):
            yield {"body": bare | {"file_inputs": [{"filename": name, "content": "YQ=="}]}}
        for path in ("", "\x00", "..", "x" * 5000):
            yield {"body": bare | {"file_inputs": [strategies.file(target_path=path)]}}
        yield {"body": bare | {"file_inputs": [strategies.file(cleanup_imports_after_run=None)]}}
        yield {"body": bare | {"input_values": {"a": 1}, "sensitive_input_values": {"a": "«secret»"}}}
        for name in ("machine_id", "session_id"):
            yield {"body": bare | {name: "«uuid:9»"}}
            yield {"body": bare | {name: "00000000-0000-0000-0000-000000000000"}}
            yield {"body": bare | {name: "ffffffff-ffff-ffff-ffff-ffffffffffff"}}
        yield {"body": bare | {"pool_ids": ["«uuid:9»", "«uuid:9»"]}}
        yield {"body": bare | {"pool_ids": ["«uuid:8»"] * 1000}}
        yield {"body": bare | {"session_alias": "x" * 100_000}}
        yield {"body": bare | {"session_alias": "\x00"}}
        yield {"body": bare | {"session_alias": ""}}
    if operation == "create_run_chain":
        for reference in ("a.outputs.x", "s9.outputs", "", None, 5, "..", "s0.outputs.x.y.z", "self"):
            yield {
                "body": {
                    "steps": [
                        {"workflow_id": "«workflow»", "session_alias": "s0"},
                        {"workflow_id": "«workflow»", "inputs": {"x": {"$ref": reference}}},
                    ]
                }
            }
        yield {"body": {"steps": [{"workflow_id": "«workflow»", "session_alias": "same"}] * 2}}
        yield {"body": {"steps": [{"workflow_id": "«workflow»"}] * 300}}
    if operation == "update_run":
        for status in ("scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled"):
            yield {"body": {"status": status}}
        for name in strategies.UPDATE_VALUES:
            yield {"body": {name: None}}
        yield {"body": {"status": None}}
        yield {"body": {}}
        for moment in (
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00:00+14:00",
            "2024-02-30T00:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "24:00",
            "2016-12-31T23:59:60Z",
            "1e400",
            "99999999999999999999",
        ):
            yield {"body": {"started_at": moment}}
        numbers: tuple[Any, ...] = (0, -1, 1e18, 10**30, 1.5)
        for number in numbers:
            yield {"body": {"ended_at": number}}
        yield {"body": {"output_attachment_ids": ["", "x", "«uuid:1»"]}}
        yield {
            "body": {
                "status": "success",
                "output_data": {"a": 1},
                "ended_at": "2024-01-01T00:00:00Z",
                "started_at": "2025-01-01T00:00:00Z",
            }
        }


def odd_cases(world: World) -> Iterator[Case]:
    for operation in (*OPERATIONS, *BESIDE):
        if not world.offers(operation) or (operation == "add_machine_to_pool" and not world.pools.known):
            continue
        light: list[Any] = []
        heavy: list[Any] = []
        for item in odd_items(world, operation):
            (heavy if len(item.get("latin", "")) > 50_000 or len(repr(item.get("body"))) > 50_000 else light).append(
                item
            )
        for pack in _packs(light, 12):
            yield {"op": operation, "items": pack}
        if operation in {"bulk_create_runs", "update_run", "create_run_chain"}:
            for item in heavy:
                yield {"op": operation, "items": [item]}


# Reads with odd queries


_ODD_QUERY: Final = (
    "",
    " ",
    "x",
    "0",
    "-1",
    "1",
    "1.5",
    "1e3",
    "1001",
    "99999999999999999999999",
    "9" * 400,
    "NaN",
    "null",
    "true",
    "é",
    "😀",
    "\x00",
    "'",
    '"',
    "[]",
    "{}",
    "%",
    "a,b",
    "*",
    "\\",
    "x" * 3000,
    "2024-01-01",
    "2024-02-30T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2024-01-01T00:00:00",
    "00000000-0000-0000-0000-000000000000",
)
_QUERIES: Final = {
    "list_runs": (
        "workflow_id",
        "machine_id",
        "session_id",
        "status",
        "created_at_from",
        "created_at_to",
        "search",
        "deep_search",
        "fields",
        "sort_mode",
        "include",
        "skip",
        "limit",
    ),
    "list_run_attachments": ("run_id", "attachment_type", "skip", "limit"),
    "list_machines": ("search", "name", "status", "skip", "limit"),
    "list_pools": ("skip", "limit"),
    "list_workflows": ("search", "skip", "limit"),
}


def run_query(talk: Talk, case: Case) -> None:
    """A read with an odd query: anything but a 5xx, and a refusal as JSON."""
    for value in case["values"]:
        query = [(case["name"], value)]
        if case.get("twice"):
            query.append((case["name"], "x"))
        talk.call(case["op"], query=query)


def query_cases(world: World) -> Iterator[Case]:
    for operation, names in _QUERIES.items():
        if world.offers(operation):
            for name in (*names, "unknown"):
                yield {"op": operation, "name": name, "values": list(_ODD_QUERY)}
                yield {"op": operation, "name": name, "values": ["1"], "twice": True}


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


def run_wrong_parameter(talk: Talk, case: Case) -> None:
    """A parameter that is wrong: where that is a 422, it says which."""
    operation = case["op"]
    heard = talk.call(operation, *case.get("ids", ()), query=[(name, value) for name, value in case.get("query", ())])
    talk.judge("REQ-ERROR", parameter_error_violations(tuple(case["where"]), heard.answer), heard)


def wrong_parameter_cases(world: World) -> Iterator[Case]:
    for operation, parameters in _WRONG_PARAMETERS.items():
        if not world.offers(operation):
            continue
        for name, values in parameters:
            for value in values:
                yield {"op": operation, "query": [[name, value]], "where": ["query", name]}
                yield {"op": operation, "query": [["skip", "1"], [name, value]], "where": ["query", name]}
    for operation, (_, template) in operations().items():
        if "{" in template and operation.startswith("get") and world.offers(operation):
            name = template.partition("{")[2].partition("}")[0]
            yield {"op": operation, "ids": ["not-a-uuid"], "where": ["path", name]}


# Accepted by the other writes too


def run_accepted(talk: Talk, case: Case) -> None:
    """A chain, an update or a retry with an odd but valid value."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation in {"update_run", "retry_run"}:
        ids = (changeable(talk, operation)["id"],)
    written: Written = talk.write(operation, *ids, body=talk.fill(case["body"]))
    if not written.heard.accepted or not isinstance(written.heard.body, dict):
        return
    for run_id in (*ids, *(written.heard.body.get("run_ids") or ())[:1]):
        talk.call("get_run", run_id)


def accepted_cases(world: World) -> Iterator[Case]:
    fields = {
        "create_run_chain": ("shared_inputs",),
        "update_run": ("output_data", "input_values", "usage_metadata", "run_message_history", "error"),
        "retry_run": ("input_values",),
    }
    yield from strategies.in_turn(
        _accepted_in(operation, name)
        for operation, names in fields.items()
        if world.offers(operation, "update_run", "get_run")
        for name in names
    )
    if world.offers("retry_run", "update_run", "get_run"):
        for files in strategies.file_ladder():
            if len(files) < 12:
                yield {"op": "retry_run", "body": {"file_inputs": files}}


def _accepted_in(operation: str, name: str) -> Iterator[Case]:
    """One field of a write, with every value of the ladders."""
    bare = strategies.minimal(operation)
    if name == "error":
        for texts in strategies.packed((text for text in strategies.texts() if len(text) < 100_000), 30):
            yield {"op": operation, "body": {"error": list(texts.values())}}
        return
    keys: tuple[dict[str, Any], ...] = (
        dict.fromkeys(strategies.ODD_KEYS, "x"),
        {f"key{index}": index for index in range(5000)},
    )
    for values in itertools.chain(keys, strategies.packed(strategies.values(), 15)):
        if operation == "create_run_chain" and '"$ref"' in json.dumps(values):
            continue
        filled = [values] if name == "run_message_history" else values
        yield {"op": operation, "body": bare | {name: filled}}


def text_cases(world: World) -> Iterator[Case]:
    """Every field that is text, with every kind of text; and valid bodies that are written in another way."""
    texts = strategies.TELLING_TEXTS
    kinds = (_create_text_cases(world, texts), _retry_text_cases(world, texts), _chain_text_cases(world, texts))
    yield from strategies.in_turn((_spelled_cases(world), *kinds))


_PIN: Final = {"pin": "«secret»"}


def _create_text_cases(world: World, texts: Sequence[str]) -> Iterator[Case]:
    if world.offers("create_run"):
        for text in texts:
            yield {"op": "create_run", "body": {"workflow_id": "«workflow»", "session_alias": text}}
    for operation in ("bulk_create_runs", "create_run"):
        if world.offers(operation):
            bare = strategies.minimal(operation)
            for some in strategies.packed(texts, 8):
                yield {"op": operation, "body": bare | {"sensitive_input_values": some | _PIN}}
            yield {"op": operation, "body": bare | {"input_values": dict.fromkeys(strategies.ODD_KEYS, "x")}}
            yield {"op": operation, "body": bare | {"sensitive_input_values": dict.fromkeys(strategies.ODD_KEYS, "x")}}
            for pack in strategies.packed(strategies.values(), 40, limit=200_000):
                yield {"op": operation, "body": bare | {"sensitive_input_values": pack | _PIN}}
            for names in strategies.packed(strategies.FILE_NAMES, 8):
                files = [strategies.file(name, target_path="C:\\" + name) for name in names.values()]
                yield {"op": operation, "body": bare | {"file_inputs": files}}


def _retry_text_cases(world: World, texts: Sequence[str]) -> Iterator[Case]:
    if world.offers("retry_run", "update_run", "get_run"):
        for text in texts[::2]:
            yield {"op": "retry_run", "body": {"session_alias": text}}
        for pack in strategies.packed(strategies.values(), 60, limit=300_000):
            yield {"op": "retry_run", "body": {"sensitive_input_values": pack | _PIN}}
        for names in strategies.packed(strategies.FILE_NAMES, 8):
            yield {"op": "retry_run", "body": {"file_inputs": [strategies.file(name) for name in names.values()]}}


def _spelled_cases(world: World) -> Iterator[Case]:
    for operation in OPERATIONS:
        if world.offers(operation, *(("update_run", "get_run") if operation in {"update_run", "retry_run"} else ())):
            for text in _other_spellings(strategies.minimal(operation), operation):
                yield {"op": operation, "text": text}


def _chain_text_cases(world: World, texts: Sequence[str]) -> Iterator[Case]:
    if not world.offers("create_run_chain", "update_run", "get_run"):
        return
    step = {"workflow_id": "«workflow»"}
    for aliases in strategies.packed(filter(None, texts), 6):
        steps: list[dict[str, Any]] = [step | {"session_alias": alias} for alias in aliases.values()]
        yield {"op": "create_run_chain", "body": {"steps": steps}}
    for index, pack in enumerate(strategies.packed(strategies.values(), 30, limit=200_000)):
        if '"$ref"' not in json.dumps(pack):
            for name in ("inputs", "sensitive_inputs"):
                steps = [step] * (index % 3) + [step | {name: pack}]
                yield {"op": "create_run_chain", "body": {"steps": steps}}
        yield {"op": "create_run_chain", "body": {"steps": [step], "shared_sensitive_inputs": pack | _PIN}}
    for files in strategies.file_ladder():
        if len(files) < 12:
            yield {"op": "create_run_chain", "body": {"steps": [step], "shared_file_inputs": files}}
    for size in (2, 3, 5, 10, 11, 20, 50, 100):
        yield {"op": "create_run_chain", "body": {"steps": [step] * size}}


def _other_spellings(bare: dict[str, Any], operation: str) -> Iterator[str]:
    """The same JSON in other letters: blanks, escapes, the order of the members, properties that nobody knows."""
    field = {"create_run_chain": "shared_inputs", "update_run": "output_data"}.get(operation, "input_values")
    inputs: dict[str, Any] = {"a/b": "é😀", "list": [1, -0.5, 1e10, True, None, {"x": []}]}
    body = bare | {field: inputs}
    text = json.dumps(body, ensure_ascii=False)
    yield json.dumps(body)
    yield f" \r\n\t{text}\n "
    yield json.dumps(body, indent=4)
    yield json.dumps(body, separators=(",", ":"))
    yield json.dumps(dict(reversed(body.items())))
    yield json.dumps(body).replace("/", "\\/")
    yield json.dumps(body).replace(f'"{field}"', '"' + "".join(f"\\u{ord(letter):04x}" for letter in field) + '"')
    yield json.dumps(body).replace("10000000000.0", "1.0E+10").replace("-0.5", "-5e-1")
    unknowns: tuple[Any, ...] = (None, 5, "x" * 5000, [], {"deep": [1, {"a": None}]})
    for unknown in unknowns:
        yield json.dumps(body | {"a_property_of_later": unknown})
    yield json.dumps({"first_of_later": 1} | body | {"": 1, "é": 2, "$schema": "x"})


def run_spelled(talk: Talk, case: Case) -> None:
    """One write of a body, or of its text; then read again, with its files."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation in {"update_run", "retry_run"}:
        ids = (changeable(talk, operation)["id"],)
    if "text" in case:
        written = talk.write(operation, *ids, raw=talk.fill(case["text"]).encode())
    else:
        written = talk.write(operation, *ids, body=talk.fill(case["body"]))
    _look_at(talk, _ids_in(written.heard)[:1], files=8)


def generated_wrong(world: World) -> SearchStrategy[Case]:
    """Bodies of a create in which anything meets anything, and one place has gone wrong."""
    pools = [operation for operation in ("bulk_create_runs", "create_run") if world.offers(operation)]
    available = frozenset(
        name
        for name, ids in (("machine_id", world.machines), ("pool_ids", world.pools), ("session_id", world.sessions))
        if ids.invented
    )

    @st.composite
    def broken(draw: st.DrawFn) -> Case:
        operation = draw(st.sampled_from(pools))
        body = draw(strategies.bodies(operation, available))
        body = {**body, **({"count": draw(st.integers(1, 3))} if "count" in body else {})}
        path = draw(st.sampled_from(list(strategies.places(body, free=strategies.FREE_OBJECTS))))
        wrong = draw(st.sampled_from(strategies.WRONG_VALUES) | strategies.json_values)
        return {"op": operation, "body": strategies.put(body, path, wrong)}

    return broken()


_REQUEST_RULES = ("REQ-COUNT", "REQ-WORKFLOW", "REQ-TYPES", "REQ-FILES", "REQ-ERROR", "REQ-ATOMIC")
SCENARIOS = (
    Scenario("wrong requests", _REQUEST_RULES, run_refused, refused_cases, telling=1),
    Scenario("bodies that are none", ("REQ-BODY", "REQ-ERROR", "REQ-ATOMIC"), run_refused, body_cases, telling=2),
    Scenario("null, empty and absent", ("REQ-NULL", "REQ-FILES"), run_create, null_cases, telling=2),
    Scenario("lenient readings", ("REQ-COUNT", "REQ-TYPES"), run_create, lenient_cases, telling=4),
    Scenario("null, empty and absent elsewhere", ("REQ-NULL", "REQ-FILES"), run_spelled, other_null_cases, telling=3),
    Scenario("texts in every field", ("REQ-ACCEPT", "NO-5XX"), run_spelled, text_cases, telling=3),
    Scenario("odd values in other writes", ("REQ-ACCEPT", "REQ-NULL"), run_accepted, accepted_cases, telling=4),
    Scenario("wrong requests beside the runs", ("REQ-TYPES",), run_beside, beside_cases, telling=5),
    Scenario(
        "wrong requests of any kind",
        _REQUEST_RULES,
        run_create,
        lambda world: (),
        generated=generated_wrong,
        examples=300,
        telling=7,
    ),
    Scenario("wrong parameters", ("REQ-ERROR",), run_wrong_parameter, wrong_parameter_cases, creates=False, telling=2),
    Scenario("odd queries", ("NO-5XX",), run_query, query_cases, creates=False, telling=1),
    Scenario("beyond the limits", ("NO-5XX",), run_odd, odd_cases, telling=8),
)
