"""Sensitive values: no answer may contain them, wherever they were sent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

from contracts.core.exchange import TOKEN, Request
from contracts.data import boundary_values, mutations, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import JSON_HEADER, encode, path_for, request_for
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import operations
from contracts.oracle import TERMINAL, alias_difference, operation_at
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule
from contracts.rules.writes import among, changeable, full_body

GROUP = "Secrets"
RULES = (
    Rule(
        "SECRET-LEAK",
        "api",
        "No answer shows a sensitive value",
        "No value of sensitive_input_values (or a chain's sensitive_inputs), at any depth, stands in any answer: not "
        "in a create's, a read's, a list's or an error's, where `input` repeats what was sent, and no search finds a "
        "run by it. Judged by long random values, plain, encoded or in part.",
        GROUP,
    ),
)

_SHAPES: Final[tuple[Any, ...]] = (
    {"password": "«secret»"},
    {"login": {"password": "«secret»"}},
    {"list": ["«secret»"]},
    {"list": [{"a": ["x", {"b": "«secret»"}]}]},
    {"number": "«secret-int:1»"},
    {"real": "«secret-real:1»"},
    {"large": ["«secret-large:1»"]},
    {"deep": {"a": {"b": {"c": {"d": ["«secret-int:2»", "«secret»"]}}}}},
    {"text": "user=x; password=«secret»;"},
    {"first": "x", "second": "«secret»"},
    {"é": "«secret»"},
    {"": "«secret»"},
    {"json": '{"inner": "«secret»"}'},
    {f"k{index}": f"«secret:{index}»" for index in range(20)},
    {"long": "«secret»" + "x" * 5000 + "«secret:2»"},
    {"unicode": "é😀«secret»é"},
    {"quoted": 'a"b\\«secret»'},
    {"input": "«secret»"},
    {"id": "«secret»", "detail": "«secret:2»"},
)
_FIELD: Final = {
    "bulk_create_runs": "sensitive_input_values",
    "create_run": "sensitive_input_values",
    "retry_run": "sensitive_input_values",
    "create_run_chain": "shared_sensitive_inputs",
}


def run_secret(context: CaseContext, case: Case) -> None:
    """Sends a write with secrets, then every read and change that could show them.

    `CaseContext.observe` looks for secrets in every answer.
    """
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation == "retry_run":
        ids = (changeable(context, operation)["id"],)
    if "latin" in case:
        result = context.call(operation, *ids, raw=context.fill(case["latin"]).encode("latin-1"), key=case.get("key"))
    elif case.get("undetermined"):
        result = context.call(operation, *ids, body=context.fill(case["body"]))
    else:
        result = context.write(operation, *ids, body=context.fill(case["body"])).result
    if not result.accepted or not case.get("look") or not isinstance(result.body, dict):
        return
    runs = result.body.get("created_runs") or [result.body]
    made = [*(run.get("id") for run in runs if isinstance(run, dict)), *(result.body.get("run_ids") or ())]
    found = [one for one in (made[0], made[-1]) if isinstance(one, str)] if made else []
    check = context.check
    for run_id in dict.fromkeys(found):
        if check.offers("get_run"):
            context.call("get_run", run_id)
            context.call("get_run", run_id, query=[("include", "workflow,machine,machine.pools")])
        if check.offers("list_runs"):
            for query in (
                [],
                [("deep_search", "true")],
                [("fields", "sensitive_input_aliases"), ("fields", "input_values")],
            ):
                context.call("list_runs", query=[("search", run_id), *among(context), *query])
            context.call("list_runs", query=[*among(context), ("limit", "100")])
            context.call("list_runs", query=[*among(context), ("limit", "100"), ("include", "workflow,machine")])
        if check.offers("update_run"):
            context.call("update_run", run_id, body={"release_session_after": True})
            context.call("update_run", run_id, body={"status": "nonsense"})
            context.call("update_run", run_id, body={"status": "cancelled"})
        if check.offers("retry_run", "update_run"):
            context.call("retry_run", run_id, body={})
            context.call("retry_run", run_id, body={"input_values": 5})
            context.call("get_run", run_id)
    if check.offers("list_runs") and found:
        _search_for_secrets(context, set(found), case)
    if check.offers("delete_run") and found:
        context.call("delete_run", found[0])


def _search_for_secrets(context: CaseContext, runs: set[str], case: Case) -> None:
    secrets = [
        value for name, value in context.everything_named() if name.startswith("secret") and isinstance(value, str)
    ]
    for secret in secrets[:2]:
        for text in (secret, secret[4:-4], secret.upper()):
            for deep in ([], [("deep_search", "true")]):
                result = context.call("list_runs", query=[("search", text), ("limit", "100"), *among(context), *deep])
                found = [item for item in items_of(result) if item.get("id") in runs] if result.accepted else []
                context.require(
                    not found,
                    "SECRET-LEAK",
                    "a search finds a run by its secret",
                    "no run found by a sensitive value",
                    f"{len(found)} runs",
                    context.exchanges[0] if case["op"] != "retry_run" else context.exchanges[2],
                    result,
                )


def shown_cases(check: CheckContext) -> Iterator[Case]:
    for operation, field in _FIELD.items():
        if not check.offers(operation) or (operation == "retry_run" and not check.offers("update_run")):
            continue
        bare = write_bodies.minimal(operation)
        for index, shape in enumerate(_SHAPES):
            look = index in {0, 2, 4} or (operation == "bulk_create_runs" and index in {1, 7, 8, 13})
            yield {"op": operation, "body": bare | {field: shape}, "look": look}
        for body in _same_key_bodies(operation, bare):
            yield {"op": operation, "body": body, "look": True, "undetermined": True}
        if operation == "create_run_chain":
            step = {"workflow_id": "«workflow»"}
            for shape in _SHAPES[:7]:
                yield {"op": operation, "body": {"steps": [step | {"sensitive_inputs": shape}]}, "look": True}
                yield {"op": operation, "body": {"steps": [step, step | {"sensitive_inputs": shape}]}, "look": True}
            continue
        for name in ("input_values", "file_inputs", "session_id", "start_session", "machine_id", "pool_ids"):
            full = full_body(check, operation)
            if name in full:
                with_other = bare | {
                    field: {"password": "«secret»"},
                    name: True if name == "start_session" else full[name],
                }
                yield {"op": operation, "body": with_other, "look": True}
        if operation == "bulk_create_runs":
            for count in (2, 10, 101, 501, 1000):
                yield {
                    "op": operation,
                    "body": bare | {"count": count, field: {"password": "«secret»", "more": {"pin": "«secret:2»"}}},
                    "look": count < 1000,
                }


def _same_key_bodies(operation: str, bare: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Bodies with the same key as an input and as a secret. It is not documented whether a target must accept these."""
    plain, secret = {"password": "plain", "other": 1}, {"password": "«secret»"}
    if operation != "create_run_chain":
        yield bare | {"input_values": plain, "sensitive_input_values": secret}
        return
    step = bare["steps"][0]
    yield {"steps": [step, step | {"inputs": plain, "sensitive_inputs": secret}]}
    yield {"steps": [step | {"inputs": plain}], "shared_sensitive_inputs": secret}
    yield {"steps": [step | {"sensitive_inputs": secret}, step], "shared_inputs": plain}
    yield {"steps": [step], "shared_inputs": plain, "shared_sensitive_inputs": secret}
    yield {"steps": [step | {"sensitive_inputs": secret}], "shared_sensitive_inputs": {"password": "«secret:2»"}}


def wrong_beside_secret(check: CheckContext) -> Iterator[Case]:
    """Cases with every kind of invalid value in a request that also has secrets."""
    for operation in ("bulk_create_runs", "create_run", "create_run_chain", "retry_run"):
        if not check.offers(operation) or (operation == "retry_run" and not check.offers("update_run")):
            continue
        full = full_body(check, operation)
        field = _FIELD[operation]
        shapes: tuple[Any, ...] = ({"password": "«secret»"}, {"a": [{"b": "«secret»"}]}, {"n": "«secret-int:1»"})
        for shape in shapes:
            body = full | {field: shape}
            for path in mutations.places(body):
                if field not in path:
                    yield {"op": operation, "body": mutations.put(body, path, 5 if path[-1] not in {"count"} else "x")}
                    if isinstance(path[-1], str):
                        yield {"op": operation, "body": mutations.drop(body, path)}
            yield {"op": operation, "body": {field: shape}}
        secret_fields: list[tuple[str | int, ...]] = [(field,)]
        if operation == "create_run_chain":
            secret_fields += [("steps", 0, "sensitive_inputs"), ("steps", 1, "sensitive_inputs")]
        for path in secret_fields:
            for wrong in (
                "«secret»",
                ["«secret»"],
                [{"a": "«secret»"}],
                "«secret-int:1»",
                [["«secret»"]],
                "x «secret» y",
            ):
                yield {"op": operation, "body": mutations.put(full, path, wrong)}
                yield (
                    {
                        "op": operation,
                        "body": mutations.put(
                            write_bodies.minimal(operation, steps=2) | ({field: 1} if len(path) == 1 else {}),
                            path[:1],
                            wrong,
                        ),
                    }
                    if len(path) == 1
                    else {"op": operation, "body": mutations.put(full, path, wrong)}
                )
        if operation == "create_run_chain":
            step = {"workflow_id": "«workflow»", "sensitive_inputs": {"pin": "«secret»"}}
            for bad in (
                {"sensitive_inputs": {"pin": "«secret»"}},
                step | {"workflow_id": 5},
                step | {"inputs": []},
                step | {"session_alias": 5},
            ):
                yield {"op": operation, "body": {"steps": [bad]}}
                yield {"op": operation, "body": {"steps": [step, bad]}}
            yield {"op": operation, "body": {"steps": step}}
            yield {"op": operation, "body": {"steps": {"0": step}}}
        text = json.dumps({**write_bodies.minimal(operation), field: {"password": "«secret»"}}, ensure_ascii=False)
        for broken in (
            text[:-1],
            text + "x",
            text + text,
            text[:-2],
            text.replace('"password":', '"password"'),
            text[:-1] + ', "x": "\xff"}',
            text[:-1] + ",}",
            text.replace('"', "'"),
            text[:-1] + ', "x": NaN}',
        ):
            yield {"op": operation, "latin": broken}
        if operation == "bulk_create_runs":
            for count in (0, 1001, -1, 1.5, None, "x", 10**6):
                yield {
                    "op": operation,
                    "body": {
                        "workflow_id": "«workflow»",
                        "count": count,
                        field: {"password": "«secret»", "deep": [{"x": "«secret:2»"}]},
                    },
                }


# Requests that fail for other reasons


def run_failing_writes_with_secrets(context: CaseContext, case: Case) -> None:
    """Sends writes with secrets that fail for a reason other than an invalid field.

    `CaseContext.observe` looks for secrets in every answer.
    """
    operation, how, body = case["op"], case["how"], context.fill(case["body"])
    method, template = operations()[operation]
    ids = (changeable(context, operation)["id"],) if operation == "retry_run" else ()
    path = path_for(template, *ids)
    raw = encode(body)
    for request in _exposing_requests(context, case, method, path, raw):
        context.send(request)
    if how == "conflict":
        plain = {name: value for name, value in body.items() if name != _FIELD[operation]}
        other = json.loads(raw.replace(b"password", b"pass"))
        for first, second in ((plain, body), (body, plain), (body, other), (body, body)):
            key = f"key-{uuid.uuid4()}"
            for one in (first, second, first):
                context.send(Request(method, path, (*_VALID_HEADERS, ("Idempotency-Key", key)), encode(one)))


_VALID_HEADERS: Final = (("Authorization", TOKEN), JSON_HEADER)


def _exposing_requests(context: CaseContext, case: Case, method: str, path: str, raw: bytes) -> Iterator[Request]:
    """Yields the requests of a case, which `how` selects."""
    match case["how"]:
        case "other shapes":
            shapes = (b"[%s]", b"[%s, %s]", b'{"body": %s}', b'[{"a": [%s]}]', b'{"steps": %s}', b'{"a": 1, "b": [%s]}')
            for form in shapes:
                yield Request(method, path, _VALID_HEADERS, form.replace(b"%s", raw))
            yield Request(method, path, _VALID_HEADERS, json.dumps(raw.decode()).encode())
        case "another content type":
            for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"):
                headers = (("Authorization", TOKEN), *((("Content-Type", kind),) if kind else ()))
                yield Request(method, path, headers, raw)
        case "refused credentials":
            for authorization in (None, "", "Basic nobody", "Bearer nobody-knows-this"):
                headers = (*((("Authorization", authorization),) if authorization is not None else ()), JSON_HEADER)
                yield Request(method, path, headers, raw)
        case "another method":
            for other in ("PUT", "PATCH", "POST", "DELETE"):
                if operation_at(other, path) is None:
                    yield Request(other, path, _VALID_HEADERS, raw)
        case "another path":
            for other in ("/v1/nothing", "/v1/runs/bulk/nothing", "/v1/runs/not-a-uuid/retry", "/v1/runs/bulk?count=x"):
                yield Request("POST", other, _VALID_HEADERS, raw)
            yield Request("POST", f"/v1/runs/{context.named('unknown')}/retry", _VALID_HEADERS, raw)
        case "a run at work":
            created = context.some_runs(1)
            yield Request("POST", f"/v1/runs/{created.ids[0]}/retry", _VALID_HEADERS, raw)
        case "unknown ids":
            body = json.loads(raw)
            for name in ("machine_id", "session_id", "workflow_id", "pool_ids"):
                made_up = str(uuid.uuid4())
                yield Request(
                    method, path, _VALID_HEADERS, encode(body | {name: [made_up] if name == "pool_ids" else made_up})
                )
        case "an update":
            created = context.some_runs(1, **{_FIELD["bulk_create_runs"]: {"password": context.named("secret")}})
            for wrong in ({"status": "nonsense"}, {"input_values": 5}, {"error": [5]}, {"started_at": "x"}, {}):
                yield request_for("update_run", created.ids[0], body=wrong)


_FAILURE_KINDS: Final = (
    *("other shapes", "another content type", "refused credentials", "another method", "another path"),
    *("a run at work", "unknown ids", "an update", "conflict"),
)


def exposed_cases(check: CheckContext) -> Iterator[Case]:
    for how in _FAILURE_KINDS:
        for operation, field in _FIELD.items():
            needed = ("update_run",) if operation == "retry_run" or how == "an update" else ()
            if not check.offers(operation, *needed) or (how == "a run at work" and operation != "retry_run"):
                continue
            bare = write_bodies.minimal(operation)
            yield {"op": operation, "how": how, "body": bare | {field: {"password": "«secret»"}}}
            yield {"op": operation, "how": how, "body": bare | {field: {"a": [{"password": "«secret»"}]}}}
            if operation == "create_run_chain":
                steps = [bare["steps"][0] | {"sensitive_inputs": {"password": "«secret»"}}]
                yield {"op": operation, "how": how, "body": {"steps": steps}}


# Ended runs


def run_ended(context: CaseContext, case: Case) -> None:
    """Reads runs with secrets until all have ended (with `cancelled`, cancels running ones), then their results."""
    count = 1 if case.get("one") else _RUN_COUNT  # not in the case, so that shrinking keeps it
    written = context.create("bulk_create_runs", case["body"] | {"count": count})
    ended: dict[str, Any] = {}
    for _ in range(case["looks"]):
        for run_id in [one for one in written.ids if one not in ended]:
            result = context.call("get_run", run_id)
            if not isinstance(result.body, dict):
                continue
            if result.body.get("status") in TERMINAL:
                ended[run_id] = result.body
            elif case.get("cancelled") and result.body.get("status") == "running":
                context.call("update_run", run_id, body={"status": "cancelled"})
        if len(ended) == len(written.ids):
            break
        context.wait(_POLL_INTERVAL_S)
    if not ended:
        raise Inconclusive("no run ended while it was looked at")
    if context.check.offers("list_runs"):
        context.call("list_runs", query=[*among(context), ("limit", "100")])
        context.call("list_runs", query=[*among(context), ("search", context.named("secret")), ("deep_search", "true")])
    files = [one for run in ended.values() for one in run.get("output_attachment_ids") or ()]
    for attachment in files[:4]:
        for operation in ("get_run_attachment", "download_run_attachment"):
            if context.check.offers(operation):
                context.call(operation, attachment)


_RUN_COUNT: Final = 12
"""Enough that some run probably ends with a status that shows a leak."""
_POLL_INTERVAL_S: Final = 0.25


def ended_cases(check: CheckContext) -> Iterator[Case]:
    if check.offers("get_run"):
        secrets = {"password": "«secret»", "deep": [{"pin": "«secret:2»"}]}
        body = write_bodies.minimal("bulk_create_runs") | {"sensitive_input_values": secrets}
        yield {"body": body, "looks": 40, "one": True}
        yield {"body": body, "looks": 40}
        if check.offers("update_run"):
            yield {"body": body, "looks": 40, "cancelled": True}


# Aliases


def run_aliases(context: CaseContext, case: Case) -> None:
    """Judges the aliases of a create and of a retry. `CaseContext.write` judges those in the answer to the create."""
    operation = case["op"]
    if operation == "retry_run":
        run = changeable(context, operation)
        result = context.write(operation, run["id"], body=context.fill(case["body"])).result
        _judge_aliases(context, case, run["id"], result)
        return
    written = context.write(operation, body=context.fill(case["body"]))
    if written.result.accepted and written.clean and written.ids:
        _judge_aliases(context, case, written.ids[-1], written.result)


def _judge_aliases(context: CaseContext, case: Case, run_id: str, result: CallResult) -> None:
    secrets = context.fill(case["body"]).get("sensitive_input_values")
    if not result.accepted or not isinstance(secrets, dict):
        return
    answers = [result] if case["op"] == "retry_run" else []
    if context.check.offers("get_run"):
        answers.append(context.call("get_run", run_id))
    for answer in answers:
        if answer.accepted and isinstance(answer.body, dict):
            problem = alias_difference(secrets, answer.body.get("sensitive_input_aliases"))
            expected = "aliases with the keys of the sensitive values"
            cause = "other keys" if answer is not result else "other keys after a retry"
            context.require(problem is None, "BULK-ALIASES", cause, expected, problem or "", result, answer)


_ALIASED: Final[tuple[Any, ...]] = (
    *("«secret»", ["«secret»"], {"a": "«secret»"}, "«secret-int:1»", "«secret-real:1»", {"a": {"b": ["«secret»"]}}),
    "«secret-large:1»",
    *(None, True, False, 0, 1, 1.5, "", "a", " ", [], {}, [1, "x"], [None], {"a": {"b": None}}),
)
"""Secrets of every JSON type. Each must have an alias."""


def alias_cases(check: CheckContext) -> Iterator[Case]:
    operations = [name for name in ("bulk_create_runs", "create_run") if check.offers(name)]
    if check.offers("retry_run", "update_run"):
        operations.append("retry_run")
    for shape in _alias_shapes():
        for operation in operations:
            for count in (1, 3) if operation == "bulk_create_runs" else (1,):
                bare = write_bodies.minimal(operation, count=count)
                yield {"op": operation, "body": bare | {"sensitive_input_values": shape}}


def _alias_shapes() -> Iterator[dict[str, Any]]:
    for value in _ALIASED:
        yield {"key": value}
        yield {"first": "«secret:4»", "key": value}
    for keys in boundary_values.packed(boundary_values.ODD_KEYS, 8):
        yield {key: f"«secret:{index}»" for index, key in enumerate(keys.values())}
    for pair in (("a", "A"), ("é", "e\u0301"), ("a b", "a_b"), ("x", "x "), ("key", "Key"), ("a.b", "a"), ("1", "01")):
        yield {key: f"«secret:{index}»" for index, key in enumerate(pair)}
    yield {"one": "«secret»", "other": "«secret»"}
    yield {"b": "«secret»", "a": "«secret:2»"}
    for size in (2, 10, 33, 100, 256, 1000):
        yield {f"key{index}": f"«secret:{index}»" for index in range(size)}


SCENARIOS = (
    Scenario("secrets in accepted requests", ("SECRET-LEAK",), run_secret, shown_cases, priority=1),
    Scenario(
        "secrets in requests that fail otherwise",
        ("SECRET-LEAK",),
        run_failing_writes_with_secrets,
        exposed_cases,
        priority=1,
    ),
    Scenario("secrets in ended runs", ("SECRET-LEAK",), run_ended, ended_cases, attempts=4, waits=True, priority=2),
    Scenario("aliases of secrets", ("BULK-ALIASES",), run_aliases, alias_cases, priority=1),
    Scenario("secrets in invalid requests", ("SECRET-LEAK",), run_secret, wrong_beside_secret, priority=1),
)
