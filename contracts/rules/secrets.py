"""Sensitive values: wherever they go in, they come out nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from contracts import strategies
from contracts.conversation import Talk, World
from contracts.oracle import CREATES
from contracts.rules.listing import items_of
from contracts.rules.requests import changeable, full_body
from contracts.rules.rule import Rule
from contracts.search import Scenario
from contracts.shrinking import Case

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


def run_secret(talk: Talk, case: Case) -> None:
    """A write that carries secrets; then everything that could show them. The judging is done for every answer."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation == "retry_run":
        ids = (changeable(talk, operation)["id"],)
    if "latin" in case:
        heard = talk.call(operation, *ids, raw=talk.fill(case["latin"]).encode("latin-1"), key=case.get("key"))
    else:
        heard = talk.write(operation, *ids, body=talk.fill(case["body"])).heard
    if not heard.accepted or not case.get("look") or not isinstance(heard.body, dict):
        return
    runs = heard.body.get("created_runs") or [heard.body]
    made = [*(run.get("id") for run in runs if isinstance(run, dict)), *(heard.body.get("run_ids") or ())]
    found = [one for one in (made[0], made[-1]) if isinstance(one, str)] if made else []
    world = talk.world
    for run_id in dict.fromkeys(found):
        if world.offers("get_run"):
            talk.call("get_run", run_id)
            talk.call("get_run", run_id, query=[("include", "workflow,machine,machine.pools")])
        if world.offers("list_runs"):
            for query in (
                [],
                [("deep_search", "true")],
                [("fields", "sensitive_input_aliases"), ("fields", "input_values")],
            ):
                talk.call("list_runs", query=[("search", run_id), *_among(talk), *query])
        if world.offers("update_run"):
            talk.call("update_run", run_id, body={"release_session_after": True})
            talk.call("update_run", run_id, body={"status": "nonsense"})
            talk.call("update_run", run_id, body={"status": "cancelled"})
        if world.offers("retry_run", "update_run"):
            talk.call("retry_run", run_id, body={})
            talk.call("retry_run", run_id, body={"input_values": 5})
            talk.call("get_run", run_id)
    if world.offers("list_runs") and found:
        _search_for_secrets(talk, set(found), case)
    if world.offers("delete_run") and found:
        talk.call("delete_run", found[0])


def _among(talk: Talk) -> list[tuple[str, str]]:
    """Only the runs of the talk's own workflow are searched, so that a search costs the same however many runs are."""
    return [("workflow_id", talk.named("workflow"))] if talk.has_named("workflow") else []


def _search_for_secrets(talk: Talk, runs: set[str], case: Case) -> None:
    secrets = [value for name, value in talk.everything_named() if name.startswith("secret") and isinstance(value, str)]
    for secret in secrets[:2]:
        for text in (secret, secret[4:-4], secret.upper()):
            for deep in ([], [("deep_search", "true")]):
                heard = talk.call("list_runs", query=[("search", text), ("limit", "100"), *_among(talk), *deep])
                found = [item for item in items_of(heard) if item.get("id") in runs] if heard.accepted else []
                talk.require(
                    not found,
                    "SECRET-LEAK",
                    "a search finds a run by its secret",
                    "no run found by a sensitive value",
                    f"{len(found)} runs",
                    talk.exchanges[0] if case["op"] != "retry_run" else talk.exchanges[2],
                    heard,
                )


def shown_cases(world: World) -> Iterator[Case]:
    for operation, field in _FIELD.items():
        if not world.offers(operation) or (operation == "retry_run" and not world.offers("update_run")):
            continue
        bare = strategies.minimal(operation)
        for index, shape in enumerate(_SHAPES):
            look = operation == "bulk_create_runs" or index in {0, 1, 2, 4, 6}
            yield {"op": operation, "body": bare | {field: shape}, "look": look}
        if operation == "create_run_chain":
            step = {"workflow_id": "«workflow»"}
            for shape in _SHAPES[:7]:
                yield {"op": operation, "body": {"steps": [step | {"sensitive_inputs": shape}]}, "look": True}
                yield {"op": operation, "body": {"steps": [step, step | {"sensitive_inputs": shape}]}, "look": True}
            continue
        for name in ("input_values", "file_inputs", "session_id", "start_session", "machine_id", "pool_ids"):
            full = full_body(world, operation)
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


def wrong_beside_secret(world: World) -> Iterator[Case]:
    """Every kind of error in a request that carries secrets too."""
    for operation in ("bulk_create_runs", "create_run", "create_run_chain", "retry_run"):
        if not world.offers(operation) or (operation == "retry_run" and not world.offers("update_run")):
            continue
        full = full_body(world, operation)
        field = _FIELD[operation]
        shapes: tuple[Any, ...] = ({"password": "«secret»"}, {"a": [{"b": "«secret»"}]}, {"n": "«secret-int:1»"})
        for shape in shapes:
            body = full | {field: shape}
            for path in strategies.places(body, free=strategies.FREE_OBJECTS):
                if field not in path:
                    yield {"op": operation, "body": strategies.put(body, path, 5 if path[-1] not in {"count"} else "x")}
                    if isinstance(path[-1], str):
                        yield {"op": operation, "body": strategies.drop(body, path)}
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
                yield {"op": operation, "body": strategies.put(full, path, wrong)}
                yield (
                    {
                        "op": operation,
                        "body": strategies.put(
                            strategies.minimal(operation, steps=2) | ({field: 1} if len(path) == 1 else {}),
                            path[:1],
                            wrong,
                        ),
                    }
                    if len(path) == 1
                    else {"op": operation, "body": strategies.put(full, path, wrong)}
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
        text = json.dumps({**strategies.minimal(operation), field: {"password": "«secret»"}}, ensure_ascii=False)
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


_ = CREATES
SCENARIOS = (
    Scenario("secrets in what works", ("SECRET-LEAK",), run_secret, shown_cases, telling=1),
    Scenario("secrets in what is wrong", ("SECRET-LEAK",), run_secret, wrong_beside_secret, telling=1),
)
