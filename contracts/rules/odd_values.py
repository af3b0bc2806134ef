"""Requests beyond the documented limits: the server may accept or refuse them, but never answers 5xx, now or later."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.oracle import CREATES
from contracts.rules.request_bodies import OPERATIONS, OTHER_WRITES, among, changeable, ids_in, packs, send_items
from contracts.rules.rule import Rule

RULES: Final[tuple[Rule, ...]] = ()
"""None: the rules judged here are those of `requests`."""


def run_beyond_limits(context: CaseContext, case: Case) -> None:
    """Sends requests beyond what a server must accept, then reads, lists and changes the runs that they created."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation not in CREATES and operation not in OTHER_WRITES:
        ids = (changeable(context, operation)["id"],)
    elif operation == "add_machine_to_pool":
        ids = (context.named("pool"),)
    made: list[str] = [*ids] if operation != "add_machine_to_pool" else []
    for item in case["items"]:
        for result in send_items(context, operation, ids, [item]):
            new = [one for one in ids_in(result) if one not in made]
            made.extend(new)
            if operation not in OTHER_WRITES:
                look_at(context, new[:1] or (list(ids) if result.accepted else []))
    if operation not in OTHER_WRITES:
        _change_runs(context, made[:1])


def look_at(context: CaseContext, runs: Sequence[str], *, files: int = 2) -> None:
    """Reads the runs and their attachments. As with any answer, a 5xx or a leaked secret is a finding."""
    offers = context.check.offers
    for run_id in runs:
        run = context.call("get_run", run_id) if offers("get_run") else None
        ids = run.body.get("input_attachment_ids") if run is not None and isinstance(run.body, dict) else None
        if offers("list_run_attachments") and ids:
            context.call("list_run_attachments", query=[("run_id", run_id)])
        for index, attachment in enumerate((ids or [])[:files]):
            for operation in _ATTACHMENT_READS if index == 0 else _ATTACHMENT_READS[:1]:
                if offers(operation) and isinstance(attachment, str):
                    context.call(operation, attachment)


_ATTACHMENT_READS: Final = ("download_run_attachment", "get_run_attachment", "get_run_attachment_download_url")


def _change_runs(context: CaseContext, runs: Sequence[str]) -> None:
    """Sends every operation that could fail with a 5xx because of the stored values."""
    offers = context.check.offers
    for run_id in runs:
        if offers("list_runs"):
            context.call("list_runs", query=[*among(context), ("limit", "100"), ("sort_mode", "created_at_desc")])
            context.call(
                "list_runs", query=[*among(context), ("search", "x"), ("deep_search", "true"), ("limit", "20")]
            )
        if offers("update_run"):
            context.call("update_run", run_id, body={"release_session_after": True})
            context.call("update_run", run_id, body={"status": "cancelled"})
        if offers("retry_run"):
            context.call("retry_run", run_id, body={})
        if offers("delete_run"):
            context.call("delete_run", run_id)
        if offers("list_runs"):
            context.call("list_runs", query=[*among(context), ("limit", "20")])


# Beyond the limits


_DEPTHS_BEYOND: Final = (65, 66, 100, 128, 1000, 200, 255, 256, 2000, 257, 500, 900, 10_000, 1100, 100_000)


def odd_items(check: CheckContext, operation: str) -> Iterator[dict[str, Any]]:
    """Yields items beyond the limits of REQ-ACCEPT, and others whose outcome the contract does not determine."""
    bare = write_bodies.minimal(operation)
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
            yield {"body": bare | {"file_inputs": [boundary_values.file(target_path=path)]}}
        yield {"body": bare | {"file_inputs": [boundary_values.file(cleanup_imports_after_run=None)]}}
        yield {"body": bare | {"input_values": {"a": 1}, "sensitive_input_values": {"a": "«secret»"}}}
        for name in ("machine_id", "session_id"):
            for one in ("«uuid:9»", *boundary_values.ODD_IDS):
                yield {"body": bare | {name: one}}
        yield {"body": bare | {"pool_ids": ["«uuid:9»", "«uuid:9»"]}}
        yield {"body": bare | {"pool_ids": ["«uuid:8»"] * 1000}}
        yield {"body": bare | {"session_alias": "x" * 100_000}}
        yield {"body": bare | {"session_alias": "\x00"}}
        yield {"body": bare | {"session_alias": ""}}
    if operation == "create_run_chain":
        for one in boundary_values.ODD_IDS:
            yield {"body": bare | {"steps": [{"workflow_id": one}]}}
            yield {"body": bare | {"machine_id": one, "pool_ids": [one]}}
            yield {"body": bare | {"session_id": one}}
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
        for name in write_bodies.UPDATE_VALUES:
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


def odd_cases(check: CheckContext) -> Iterator[Case]:
    for operation in (*OPERATIONS, *OTHER_WRITES):
        if not check.offers(operation) or (operation == "add_machine_to_pool" and not check.pools.known):
            continue
        light: list[Any] = []
        heavy: list[Any] = []
        for item in odd_items(check, operation):
            (heavy if len(item.get("latin", "")) > 50_000 or len(repr(item.get("body"))) > 50_000 else light).append(
                item
            )
        for pack in packs(light, 12):
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


def run_query(context: CaseContext, case: Case) -> None:
    """Reads with unusual query values: any answer except a 5xx is allowed, but a refusal must be JSON."""
    for value in case["values"]:
        query = [(case["name"], value)]
        if case.get("twice"):
            query.append((case["name"], "x"))
        context.call(case["op"], query=query)


def query_cases(check: CheckContext) -> Iterator[Case]:
    for operation, names in _QUERIES.items():
        if check.offers(operation):
            for name in (*names, "unknown"):
                yield {"op": operation, "name": name, "values": list(_ODD_QUERY)}
                yield {"op": operation, "name": name, "values": ["1"], "twice": True}


SCENARIOS = (
    Scenario("unusual queries", ("NO-5XX",), run_query, query_cases, creates=False, priority=1),
    Scenario("values beyond the limits", ("NO-5XX",), run_beyond_limits, odd_cases, priority=8),
)
