"""What is accepted and what is refused: every field of every write, right and wrong, and bodies that are none."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts import strategies
from contracts.conversation import Heard, Talk, Unjudged, World, Written, encode
from contracts.oracle import CREATES, Reading, excerpt, read_body, read_request
from contracts.rules.bulk_answer import run_create
from contracts.rules.listing import carries, made_with
from contracts.rules.rule import Rule
from contracts.search import Scenario
from contracts.shapes import body_schema, schema
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
BESIDE: Final = ("create_pool", "create_workflow")


# One talk


def run_refused(talk: Talk, case: Case) -> None:
    """Several requests that are wrong, each for its own reason; then nothing must have come of any."""
    operation = case["op"]
    if operation in CREATES:
        sent = [send_item(talk, operation, (), item) for item in case["items"]]
        _nothing_made(talk, sent)
        return
    run = changeable(talk, operation)
    sent = [send_item(talk, operation, (run["id"],), item) for item in case["items"]]
    if any(heard.accepted for heard in sent):
        return
    after = talk.ask("get_run", run["id"], after=sent[-1:])
    for name in (
        "status",
        "input_values",
        "session_id",
        "input_attachment_ids",
        "sensitive_input_aliases",
        "session_alias",
    ):
        talk.require(
            (run.get(name) or None) == (after.body.get(name) or None)
            or (name == "status" and operation == "update_run"),
            "REQ-ATOMIC",
            f"a refused {operation} changes {name}",
            f"{name} as before a refused request",
            lambda name=name: excerpt(json.dumps(after.body.get(name))),  # type: ignore[misc]
            *talk.exchanges,
        )


def send_item(talk: Talk, operation: str, ids: Sequence[str], item: dict[str, Any]) -> Heard:
    """An item of a case: a body, or raw text, perhaps of another content type."""
    headers = [("Content-Type", item["type"])] if "type" in item else []
    if "latin" in item:
        raw = talk.fill(item["latin"]).encode("latin-1")
        return talk.write(operation, *ids, raw=raw, headers=headers).heard
    return talk.write(operation, *ids, body=talk.fill(item.get("body")), headers=headers).heard


def changeable(talk: Talk, operation: str) -> dict[str, Any]:
    """A run that can be updated, or, cancelled, be retried."""
    created = talk.some_runs(1) if talk.world.is_live else talk.some_runs(1, input_values={"kept": "«marker»"})
    run = created.runs[0]
    if operation == "retry_run":
        cancelled = talk.call("update_run", run["id"], body={"status": "cancelled"})
        if not cancelled.accepted or cancelled.body.get("status") != "cancelled":
            raise Unjudged("a run cannot be cancelled, so no retry can be tried")
        return dict(run, status="cancelled")
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
    for name, value in marks(talk).items():
        listed, items = made_with(talk, name, value)
        made = [item for item in items if carries(item, name, value) and item.get("id") not in accepted]
        talk.require(
            not made,
            "REQ-ATOMIC",
            "a refused create makes runs",
            "nothing created by a refused request",
            lambda made=made, name=name: f"{len(made)} runs of its {name}",  # type: ignore[misc]
            *sent[-3:],
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
        heard = send_item(talk, operation, ids, item)
        made.extend(_ids_in(heard))
    for run_id in made[:3]:
        talk.call("get_run", run_id)
        talk.call("list_runs", query=[("limit", "20"), ("sort_mode", "created_at_desc")])


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
    for name, wrong in itertools.product(fields, strategies.WRONG_VALUES):
        yield bare | {name: wrong}
    for path in strategies.places(full, free=strategies.FREE_OBJECTS):
        for wrong in strategies.WRONG_VALUES if operation == "bulk_create_runs" else strategies.WRONG_CORE:
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
            for wrong in (None, "", 5, []) if creates_runs else ("x",):
                yield context | {name: wrong}
    if operation == "bulk_create_runs":
        for count in strategies.WRONG_COUNTS:
            yield bare | {"count": count}
            yield full | {"count": count}
        for count in (0, 1001, -1, 1.5, None, "x", [], 2000):
            for name in fields:
                if name in full:
                    yield bare | {"count": count, name: True if name == "start_session" else full[name]}
        for count, path in itertools.product((1, 101, 1000), strategies.places(full, free=strategies.FREE_OBJECTS)):
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


def refused_cases(world: World, operations: Sequence[str] = OPERATIONS) -> Iterator[Case]:
    for operation in operations:
        if not world.offers(operation) or (
            operation in {"update_run", "retry_run"} and not world.offers("get_run", "update_run")
        ):
            continue
        wrong = (body for body, reading in readings(operation, almost_valid(world, operation)) if reading.is_invalid)
        for pack in _packs(({"body": body} for body in wrong), 24 if operation in CREATES else 40):
            yield {"op": operation, "items": pack}


def beside_cases(world: World) -> Iterator[Case]:
    """The writes that are not about runs."""
    for operation in BESIDE:
        if world.offers(operation) and not (operation == "add_machine_to_pool" and not world.pools.known):
            wrong = (body for body, reading in readings(operation, almost_valid(world, operation)) if reading.faults)
            for pack in _packs(({"body": body} for body in wrong), 40):
                yield {"op": operation, "items": pack}


def run_beside(talk: Talk, case: Case) -> None:
    """REQ-TYPES, REQ-BODY and REQ-ERROR of the writes that are not about runs."""
    operation = case["op"]
    ids = (talk.world.pools.known[0],) if operation == "add_machine_to_pool" else ()
    for item in case["items"]:
        body = talk.fill(item.get("body"))
        heard = talk.call(operation, *ids, body=body)
        reading = read_request(operation, heard.exchange.request.body)
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
        nulls = bare | {name: values[0] for name, values in empties.items()}
        yield {"op": operation, "body": nulls}
        if operation == "bulk_create_runs":
            yield {"op": operation, "body": nulls | {"count": 1000}}
        yield {"op": operation, "body": bare | {name: values[-1] for name, values in empties.items()}}
        for file in (
            {"target_path": None},
            {"cleanup_imports_after_run": False},
            {"target_path": None, "cleanup_imports_after_run": True},
            {},
        ):
            yield {"op": operation, "body": bare | {"file_inputs": [strategies.file(**file)]}}
        yield {"op": operation, "body": bare | {"is_priority": False}}
        yield {"op": operation, "body": bare | {"unknown_property": {"a": 1}, "status": "success", "id": "x"}}


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
        if not world.offers(operation):
            continue
        bare = strategies.minimal(operation) or {"input_values": {"changed": True}}
        items = []
        for raw in broken_texts({"MARK": 0}):
            text = raw.decode("latin-1").replace('"MARK": 0', json.dumps(bare, ensure_ascii=False)[1:-1])
            text = text.replace("'MARK': 0", "'a': 0").replace('\\"MARK\\": 0', '\\"a\\": 0')
            if operation == "retry_run" and not text.strip().strip("nul"):
                continue  # no body at all may mean: nothing to change
            reading = read_request(operation, sample_text(text).encode("latin-1"))
            if reading.is_invalid:
                items.append({"latin": text})
        for pack in _packs(items, 30):
            yield {"op": operation, "items": pack}


def sample_text(text: str) -> str:
    import re

    return re.sub(r"«[a-z0-9:-]+»", _SAMPLE, text)


# Beyond the limits


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
    for depth in (65, 66, 100, 128, 200, 255, 256, 257, 500, 900, 1000, 1100, 2000, 10_000, 100_000):
        yield {"latin": f'{head}"{field}": {{"value": ' + "[" * depth + "]" * depth + "}}"}
        if depth < 3000:
            yield {"latin": f'{head}"{field}": ' + '{"a":' * depth + "1" + "}" * depth + "}"}
        yield {"latin": "[" * depth + "]" * depth}
    for size in (100_001, 200_000, 900_000):
        yield {"body": bare | {field: {"value": "x" * size}}}
        yield {"body": bare | {field: "x" * size}}
    for size in (10_000, 50_000):
        yield {"body": bare | {field: {f"k{index}": 1 for index in range(size)}}}
    yield {"body": bare | {field: {"value": [0] * 100_000}}}
    yield {"latin": f'{head}"{field}": {{"value": "' + "x" * (2 * 1024 * 1024) + '"}}'}
    yield {"latin": "x" * (2 * 1024 * 1024)}
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
        "create_run_chain": ("shared_inputs", "steps"),
        "update_run": ("output_data", "input_values", "usage_metadata", "run_message_history", "error"),
        "retry_run": ("input_values",),
    }
    for operation, names in fields.items():
        if not world.offers(operation, "update_run", "get_run"):
            continue
        bare = strategies.minimal(operation)
        for name in names:
            if name == "error":
                for pack in _packs(({"text": text} for text in strategies.texts() if len(text) < 100_000), 30):
                    yield {"op": operation, "body": {"error": [item["text"] for item in pack]}}
                continue
            for values in strategies.packed(strategies.values(), 15):
                if name in {"steps", "shared_inputs"} and '"$ref"' in json.dumps(values):
                    continue
                if name == "steps":
                    yield {"op": operation, "body": {"steps": [{"workflow_id": "«workflow»", "inputs": values}]}}
                else:
                    filled = [values] if name == "run_message_history" else values
                    yield {"op": operation, "body": bare | {name: filled}}
        if operation == "update_run":
            continue
        features = strategies.RETRY_FEATURES if operation == "retry_run" else strategies.CHAIN_FEATURES
        for name in features:
            for value in strategies.EMPTY.get(name, ()):
                yield {"op": operation, "body": bare | {name: value}}
        if operation == "create_run_chain":
            step = {"workflow_id": "«workflow»"}
            for name in ("inputs", "sensitive_inputs", "session_alias"):
                for value in (None, {}) if name != "session_alias" else (None,):
                    yield {"op": operation, "body": {"steps": [step | {name: value}]}}
                    yield {"op": operation, "body": {"steps": [step, step | {name: value}]}}
        for file in strategies.file_ladder():
            if operation == "retry_run" and len(file) < 12:
                yield {"op": operation, "body": {"file_inputs": file}}


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
    Scenario("null, empty and absent", ("REQ-NULL",), run_create, null_cases, telling=2),
    Scenario("lenient readings", ("REQ-COUNT", "REQ-TYPES"), run_create, lenient_cases, telling=4),
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
    Scenario("odd queries", ("NO-5XX",), run_query, query_cases, creates=False, telling=1),
    Scenario("beyond the limits", ("NO-5XX",), run_odd, odd_cases, telling=8),
)

_ = functools
