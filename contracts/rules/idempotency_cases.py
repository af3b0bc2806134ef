"""The cases of the idempotency scenarios: which operations, keys and bodies are repeated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.shrink import Case
from contracts.oracle import CREATES


def _bodies(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    bare = write_bodies.minimal(operation)
    yield bare | ({"input_values": {"a": 1}} if operation in {"update_run", "retry_run"} else {})
    features: dict[str, Any] = {
        "bulk_create_runs": write_bodies.CREATE_FEATURES["bulk_create_runs"],
        "create_run": write_bodies.CREATE_FEATURES["create_run"],
        "retry_run": write_bodies.RETRY_FEATURES,
        "create_run_chain": write_bodies.CHAIN_FEATURES,
        "update_run": {k: v for k, v in write_bodies.UPDATE_VALUES.items() if k != "output_attachment_ids"},
    }.get(operation, {})
    ids = {"machine_id": check.machines, "pool_ids": check.pools, "session_id": check.sessions}
    for name, values in features.items():
        if name not in ids or ids[name].invented:
            yield bare | {name: values[0]}
    long = {"create_run_chain": "shared_inputs", "update_run": "output_data"}.get(operation, "input_values")
    for size in (12_000, 70_000, 300_000) if operation not in {"create_pool", "create_workflow"} else ():
        yield bare | {long: {"pages": ["x" * 30_000] * (size // 30_000), "rest": "y" * (size % 30_000)}}
    if operation == "bulk_create_runs":
        yield bare | {"count": 50, "input_values": {"long": "x" * 3000}}
        for count in (2, 10, 101, 256, 1000):
            yield bare | {"count": count}
        yield bare | {
            "count": 3,
            "start_session": True,
            "file_inputs": [boundary_values.file()],
            "input_values": {"a": [1, {"b": None}]},
        }
    if operation == "create_run_chain":
        yield write_bodies.minimal(operation, steps=3)


_WRITES: Final = (
    *("bulk_create_runs", "create_run", "create_run_chain", "update_run", "retry_run", "delete_run"),
    *("create_pool", "create_workflow"),
)

_KEY_HEADER: Final = "Idempotency-Key"


def _offered(check: CheckContext) -> Iterator[str]:
    for operation in _WRITES:
        needed = ("update_run", "get_run") if operation in {"retry_run", "update_run"} else ()
        if check.offers(operation, *needed):
            yield operation


def replay_cases(check: CheckContext) -> Iterator[Case]:
    for operation in _offered(check):
        if operation == "delete_run":
            yield {"op": operation, "body": {}, "times": 2}
            continue
        for index, body in enumerate(_bodies(check, operation)):
            yield {"op": operation, "body": body, "times": 3 if index == 0 else 1}
        body = next(iter(_bodies(check, operation)))
        for key in (
            "k",
            "«uuid»",
            "«key»" + "x" * 210,
            "key with spaces «marker»",
            "a/b?c=d&e «marker»",
            '"«marker»"',
            "«marker»=;,",
            "0«marker»",
            "«short»",
        ):
            if key != "k" or operation == "bulk_create_runs":
                yield {"op": operation, "body": body, "key": key if key != "k" else "k«marker»"}
        if operation in {"update_run", "bulk_create_runs", "create_run", "retry_run"} and check.offers(
            "update_run", "get_run"
        ):
            yield {"op": operation, "body": body, "changed": True}
        if operation in CREATES and check.offers("delete_run"):
            yield {"op": operation, "body": body, "deleted": True}
        for spelled in (_KEY_HEADER.lower(), _KEY_HEADER.upper()):
            yield {"op": operation, "body": body, "spelled": spelled}
    for count, times in ((1, 12), (10, 5), (100, 3)):
        yield {"op": "bulk_create_runs", "body": write_bodies.minimal("bulk_create_runs", count=count), "times": times}
    if check.offers("create_run_chain"):
        for steps in (2, 10, 30):
            yield {"op": "create_run_chain", "body": write_bodies.minimal("create_run_chain", steps=steps)}
    yield {"op": "bulk_create_runs", "body": write_bodies.minimal("bulk_create_runs", count=2), "between": 150}


def together_cases(check: CheckContext) -> Iterator[Case]:
    for operation in _offered(check):
        if operation == "delete_run":
            yield {"op": operation, "body": {}}
            continue
        body = next(iter(_bodies(check, operation)))
        for _ in range(2):
            yield {"op": operation, "body": body, "times": 2}
        yield {"op": operation, "body": body, "times": 4}
    for count in (2, 101, 1000):
        yield {"op": "bulk_create_runs", "body": write_bodies.minimal("bulk_create_runs", count=count), "times": 2}
    yield {
        "op": "bulk_create_runs",
        "body": write_bodies.minimal("bulk_create_runs")
        | {"start_session": True, "file_inputs": [boundary_values.file()]},
        "times": 3,
    }


def _body_pairs(check: CheckContext, operation: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    bare = write_bodies.minimal(operation)
    if operation in {"create_pool", "create_workflow"}:
        more = {"create_pool": "description", "create_workflow": "name"}[operation]
        yield bare, bare | {more: "«marker:2»"}
        yield bare | {more: "«marker:2»"}, bare | {more: "«marker:3»"}
        return
    field = {"create_run_chain": "shared_inputs", "update_run": "output_data"}.get(operation, "input_values")
    long = "x" * 20_000
    for one, other in (
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": 1.5}),
        ({"a": 1}, {"a": True}),
        ({"a": [False, {"b": 0}]}, {"a": [0, {"b": 0}]}),
        ({"a": None}, {"a": False}),
        ({"a": None}, {}),
        ({"a": "x"}, {"a": "X"}),
        ({"a": "x"}, {"a": "x "}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": {"b": {"c": [1, {"d": 1}]}}}, {"a": {"b": {"c": [1, {"d": 2}]}}}),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": long + "1"}, {"a": long + "2"}),
        ({"a": list(range(2000))}, {"a": [*range(1999), 0]}),
        ({"a": "é"}, {"a": "e\u0301"}),
        ({"a": 2**60}, {"a": 2**60 + 1}),
        ({}, {"a": 1}),
    ):
        yield bare | {field: one}, bare | {field: other}
    yield bare, bare | {field: {"a": 1}}
    if operation in {"bulk_create_runs", "create_run"}:
        if check.workflows.invented:
            yield bare, bare | {"workflow_id": "«workflow:2»"}
        if operation == "bulk_create_runs":
            for count, changed in ((1, 2), (2, 1), (10, 11), (100, 1), (999, 1000)):
                yield bare | {"count": count}, bare | {"count": changed}
        yield bare | {"start_session": True}, bare | {"start_session": False}
        yield bare, bare | {"start_session": True}
        for name, ids in (("machine_id", check.machines), ("session_id", check.sessions)):
            if ids.invented:
                yield bare | {name: f"«{name[:-3]}»"}, bare | {name: f"«{name[:-3]}:1»"}
                yield bare, bare | {name: f"«{name[:-3]}»"}
        if check.pools.invented:
            yield bare | {"pool_ids": ["«pool:0»"]}, bare | {"pool_ids": ["«pool:0»", "«pool:1»"]}
            yield bare | {"pool_ids": ["«pool:0»"]}, bare | {"pool_ids": ["«pool:1»"]}
    if operation != "update_run":
        secret = {"create_run_chain": "shared_sensitive_inputs"}.get(operation, "sensitive_input_values")
        files = {"create_run_chain": "shared_file_inputs"}.get(operation, "file_inputs")
        yield bare | {secret: {"pin": "«secret»"}}, bare | {secret: {"pin": "«secret:2»"}}
        yield bare | {secret: {"pin": "«secret»"}}, bare | {secret: {"other": "«secret»"}}
        yield bare, bare | {secret: {"pin": "«secret»"}}
        good = boundary_values.file
        for one_file, other_file in (
            (good(raw=b"one"), good(raw=b"two")),
            (good("a"), good("b")),
            (good(), good(target_path="x")),
            (good(), good(cleanup_imports_after_run=True)),
        ):
            yield bare | {files: [one_file]}, bare | {files: [other_file]}
        yield bare | {files: [good()]}, bare | {files: [good(), good("b")]}
        yield bare | {files: [good(), good("b")]}, bare | {files: [good(), good("b", raw=b"other")]}
        yield bare | {secret: {"a": ["x", {"b": "«secret»"}]}}, bare | {secret: {"a": ["x", {"b": "«secret:2»"}]}}
    if operation == "create_run":
        yield bare | {"session_alias": "a"}, bare | {"session_alias": "b"}
        yield bare | {"release_session_after": True}, bare | {"release_session_after": False}
    if operation == "create_run_chain":
        two = write_bodies.minimal(operation, steps=2)
        yield bare, two
        yield two, {"steps": two["steps"][::-1]}
        yield bare, bare | {"keep_session_after_completion": True}
        first, last = two["steps"]
        changes: tuple[dict[str, Any], ...] = (
            *({"inputs": {"a": 1}}, {"session_alias": "a"}, {"sensitive_inputs": {"pin": "«secret»"}}),
            {"workflow_id": "«workflow:2»"},
        )
        for change in changes:
            yield two, {"steps": [first, last | change]}
        yield {"steps": [first] * 10}, {"steps": [first] * 11}
    if operation == "update_run":
        yield {"release_session_after": True}, {"release_session_after": False}
        yield {"error": ["a"]}, {"error": ["b"]}
        yield {"error": ["a"]}, {"output_data": {"a": 1}}
        yield {"error": ["a", "b"]}, {"error": ["a", "c"]}
        yield {"run_message_history": [{"a": 1}, {"b": 1}]}, {"run_message_history": [{"a": 1}, {"b": 2}]}
        yield {"usage_metadata": {"a": 1}}, {"usage_metadata": {"a": 2}}
        yield {"started_at": "2099-01-02T03:04:05Z"}, {"started_at": "2099-01-02T03:04:06Z"}
        yield {"output_data": {"a": 1}}, {"status": "cancelled"}
    if operation == "retry_run":
        yield {"session_alias": "a"}, {"session_alias": "b"}
        yield {"reuse_session": True}, {"reuse_session": False}
        yield {"start_session": True}, {"start_session": False}
        if check.machines.invented:
            yield {"machine_id": "«machine»"}, {"machine_id": "«machine:1»"}
        if check.pools.invented:
            yield {"pool_ids": ["«pool:0»"]}, {"pool_ids": ["«pool:0»", "«pool:1»"]}


def conflict_cases(check: CheckContext) -> Iterator[Case]:
    for operation in _offered(check):
        if operation != "delete_run":
            for one, other in _body_pairs(check, operation):
                yield {"op": operation, "body": one, "other": other}


def conflict_together_cases(check: CheckContext) -> Iterator[Case]:
    for operation in _offered(check):
        if operation in CREATES:
            field = "shared_inputs" if operation == "create_run_chain" else "input_values"
            bare = write_bodies.minimal(operation)
            for _ in range(3):
                yield {"op": operation, "body": bare, "other": bare | {field: {"a": 1}}}


def keys_cases(check: CheckContext) -> Iterator[Case]:
    body = write_bodies.minimal("bulk_create_runs")
    long = "«marker»" + "k" * 230
    for one, other in (
        ("«key»", "«uuid»"),
        (long + "1", long + "2"),
        (long, long + "x"),
        ("«marker»1", "«marker»2"),
        ("«marker»", "«marker»0"),
        ("a«marker»", "b«marker»"),
        ("«marker»-1", "«marker»_1"),
        ("«marker» 1", "«marker»1"),
        ("a«marker»", "A«marker»"),
        ("«marker»/1", "«marker»1"),
    ):
        yield {"op": "bulk_create_runs", "body": body, "keys": [one, other]}
    for operation in _offered(check):
        if operation in CREATES:
            yield {"op": operation, "body": write_bodies.minimal(operation), "keys": ["«key»", "«uuid»"]}


def scope_cases(check: CheckContext) -> Iterator[Case]:
    for operation in _offered(check):
        if not check.has_second:
            continue
        if operation not in CREATES:
            change = {"update_run": {"output_data": {"a": 1}}}.get(operation, {})
            yield {"op": operation, "body": write_bodies.minimal(operation) | change}
            yield {"op": operation, "body": write_bodies.minimal(operation) | change, "reversed": True}
            continue
        body = write_bodies.minimal(operation)
        field = "shared_inputs" if operation == "create_run_chain" else "input_values"
        for turned in (False, True):
            yield {"op": operation, "body": body, "reversed": turned}
            yield {"op": operation, "body": body, "other": body | {field: {"a": 1}}, "reversed": turned}
        yield {"op": operation, "body": body, "together": True}
    if check.has_second:
        for count in (101, 1000):
            yield {"op": "bulk_create_runs", "body": write_bodies.minimal("bulk_create_runs", count=count)}
        yield {
            "op": "bulk_create_runs",
            "body": write_bodies.minimal("bulk_create_runs", count=2)
            | {"start_session": True, "sensitive_input_values": {"pin": "«secret»"}},
        }
