"""Reading runs one by one: a created run reads the same, and an unknown id is 404."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from contracts.core.exchange import TOKEN, Exchange, Request
from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import encode, path_for
from contracts.engine.results import CallResult, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import operations
from contracts.oracle import KnownRun, ParsedRequest
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule

GROUP = "Reading and changing"
RULES = (
    Rule(
        "READ-BACK",
        "api",
        "A created run can be read, and reads the same",
        "GET of a run that was created answers 200 with the run, the same in every field that does not change by "
        "itself, for the last run of a large create too; and a list shows it the same.",
        GROUP,
        needs=("get_run",),
    ),
    Rule(
        "READ-UNKNOWN",
        "api",
        "What does not exist is 404",
        "An unknown id is 404 for every operation on it, a malformed one a 4xx, both as JSON.",
        GROUP,
        needs=("get_run",),
    ),
)

Evidence = Sequence[CallResult | Exchange]


def read_back(context: CaseContext, written: WriteResult) -> None:
    """Reads the first, the middle and the last run of a create one by one and judges them."""
    if not context.check.offers("get_run"):
        return
    last = len(written.runs) - 1
    for index in sorted({0, last // 2, last}):
        if last >= 0:
            read_one(context, written.runs[index], written.parsed, after=(written.result,))


def read_one(
    context: CaseContext, run: dict[str, Any], parsed: ParsedRequest | None, *, after: Evidence = ()
) -> dict[str, Any]:
    result = context.ask("get_run", run["id"], after=after)
    judge_read(context, run, result.body, parsed, (*after, result))
    found: dict[str, Any] = result.body
    return found


def judge_read(
    context: CaseContext, run: dict[str, Any], read: Any, parsed: ParsedRequest | None, shown: Evidence
) -> bool:
    """Judges READ-BACK and LIFECYCLE for a run that no request has changed."""
    context.check.count("LIFECYCLE")
    return context.judge("READ-BACK", KnownRun(run, parsed).read_violations(read), *shown)


# Every run of a large create


_BOUNDARY_INDEXES: Final = (
    0,
    1,
    2,
    9,
    49,
    63,
    99,
    100,
    101,
    127,
    128,
    199,
    200,
    249,
    255,
    256,
    299,
    399,
    499,
    500,
    501,
    511,
    512,
    599,
    699,
    749,
    799,
    899,
    998,
    999,
)


def run_read_many(context: CaseContext, case: Case) -> None:
    """Creates runs and reads many of them one by one."""
    written = context.create(case["op"], case["body"])
    if not written.clean:
        return
    runs = written.runs
    indexes = [i for i in _BOUNDARY_INDEXES if i < len(runs)] if not case.get("all") else list(range(len(runs)))
    for index in dict.fromkeys([*indexes, len(runs) - 1]):
        read_one(context, runs[index], written.parsed, after=(written.result,))


def read_many_cases(check: CheckContext) -> Iterator[Case]:
    bare = write_bodies.minimal("bulk_create_runs")
    everything: dict[str, Any] = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": write_bodies.SECRETS,
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    yield {"op": "bulk_create_runs", "body": bare | {"count": 1000}, "all": True}
    yield {"op": "bulk_create_runs", "body": bare | {"count": 501} | everything}
    for count in (101, 257):
        yield {"op": "bulk_create_runs", "body": bare | {"count": count, "input_values": write_bodies.INPUTS}}
    for name, value in everything.items():
        yield {"op": "bulk_create_runs", "body": bare | {"count": 120, name: value}}
        yield {"op": "bulk_create_runs", "body": bare | {"count": 12, name: value}, "all": True}


# Old runs: created first, read last


def run_create_for_end(context: CaseContext, case: Case) -> None:
    """Creates runs with many fields and keeps them in `check.kept` for `run_read_at_end`."""
    written = context.create(case["op"], case["body"])
    if written.clean and written.runs:
        with context.check.lock:
            context.check.kept.setdefault(case["kept"], written)


def keep_cases(check: CheckContext) -> Iterator[Case]:
    everything = {
        "workflow_id": "«workflow»",
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": write_bodies.SECRETS,
        "file_inputs": [boundary_values.file("kept.txt", b"kept")],
        "start_session": True,
    }
    yield {"kept": 0, "op": "bulk_create_runs", "body": everything | {"count": 3}}
    if check.offers("create_run"):
        yield {"kept": 1, "op": "create_run", "body": everything | {"session_alias": "kept"}}


def run_read_at_end(context: CaseContext, case: Case) -> None:
    written = context.check.kept.get(case["kept"])
    if written is None:
        return
    shown = (written.result,)
    for run in written.runs:
        read_one(context, run, written.parsed, after=shown)
        for attachment in run.get("input_attachment_ids") or ():
            if context.check.offers("download_run_attachment"):
                context.ask("download_run_attachment", attachment, after=shown)
    if not context.check.offers("list_runs"):
        return
    result = context.ask("list_runs", query=[("session_id", str(written.runs[0]["session_id"])), ("limit", "1000")])
    items = {item.get("id"): item for item in items_of(result)}
    for run in written.runs:
        cause = "a run made long before is not listed"
        if context.require(
            run["id"] in items, "LIST-COMPLETE", cause, "every run of the session", f"{len(items)} runs", *shown, result
        ):
            judge_read(context, run, items[run["id"]], written.parsed, (*shown, result))


def kept_cases(check: CheckContext) -> Iterator[Case]:
    for number in sorted(check.kept):
        yield {"kept": number}


# Unknown ids


_MALFORMED: Final = (
    "not-a-uuid",
    "0",
    "1",
    "-1",
    "abc",
    "null",
    "undefined",
    "not-a-uuid.json",
    "3c90c3cc-0d44-4b50-8888",
    "3c90c3cc-0d44-4b50-8888-8dd25736052a0",
    "zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz",
    "é",
    "😀",
    "\x00",
    " ",
    "%",
    "'",
    '"',
    "*",
    "a b",
    "..%2f",
    "x" * 300,
    "true",
    "[]",
    "{id}",
    "$ref",
)


def run_unknown(context: CaseContext, case: Case) -> None:
    """Sends one operation with an unknown or malformed id, or with the id of another kind of resource."""
    operation = case["op"]
    method, template = operations()[operation]
    identity = str(context.fill(case["id"]))
    malformed = case.get("malformed", False)
    if not malformed and not case.get("other"):
        context.check.guard.allow_unknown(identity)
    body = {
        "update_run": {"release_session_after": True},
        "retry_run": {},
        "add_machine_to_pool": {"machine_ids": []},
    }.get(operation)
    headers: list[tuple[str, str]] = [("Authorization", TOKEN)]
    if body is not None:
        headers.append(("Content-Type", "application/json"))
    result = context.send(
        Request(method, path_for(template, identity), tuple(headers), None if body is None else encode(body))
    )
    if malformed:
        cause = f"a malformed id is taken by {operation}"
        context.require(result.refused, "READ-UNKNOWN", cause, "a 4xx", result.words, result)
    else:
        cause = f"an unknown id is not 404 with {operation}"
        context.require(result.status == 404, "READ-UNKNOWN", cause, "404", result.words, result)


def unknown_cases(check: CheckContext) -> Iterator[Case]:
    for operation, (_, template) in operations().items():
        if "{" not in template or not check.offers(operation) or operation == "add_machine_to_pool":
            continue
        for identity in (
            "«unknown»",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "00000000-0000-4000-8000-000000000001",
        ):
            yield {"op": operation, "id": identity}
        for identity in _MALFORMED:
            yield {"op": operation, "id": identity, "malformed": True}
        yield from _similar_id_cases(check, operation, template)


def _similar_id_cases(check: CheckContext, operation: str, template: str) -> Iterator[Case]:
    """Yields ids that differ slightly from an existing one, and (for GET) existing ids of another kind of resource."""
    by_kind = {
        "run_id": check.first_run,
        "workflow_id": next(iter(check.workflows.known), None),
        "machine_id": next(iter(check.machines.known), None),
        "pool_id": next(iter(check.pools.known), None),
    }
    kind = template.partition("{")[2].partition("}")[0]
    own = by_kind.get(kind)
    if own is not None:
        yield {"op": operation, "id": own[:-1] + ("0" if own[-1] != "0" else "1")}
        yield {"op": operation, "id": ("0" if own[0] != "0" else "1") + own[1:]}
        for identity in (own[:-1], own + "0", own[:8], own[:23], own + own):
            yield {"op": operation, "id": identity, "malformed": True}
    if operations()[operation][0] == "GET":
        for other, known in by_kind.items():
            if other != kind and known is not None:
                yield {"op": operation, "id": known, "other": True}


SCENARIOS = (
    Scenario(
        "runs read again at the end: creation",
        ("READ-BACK", "LIST-COMPLETE"),
        run_create_for_end,
        keep_cases,
        priority=0,
    ),
    Scenario(
        "runs read again at the end",
        ("READ-BACK", "LIST-COMPLETE", "LIFECYCLE"),
        run_read_at_end,
        kept_cases,
        needs=("get_run",),
        priority=9,
        last=True,
    ),
    Scenario(
        "large creates read run by run",
        ("READ-BACK", "LIFECYCLE"),
        run_read_many,
        read_many_cases,
        needs=("get_run",),
        priority=3,
    ),
    Scenario(
        "unknown ids",
        ("READ-UNKNOWN",),
        run_unknown,
        unknown_cases,
        needs=("get_run",),
        creates=False,
        priority=1,
    ),
)
