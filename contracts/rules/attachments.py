"""Attachments: an input file can be downloaded unchanged, with the name and options that were sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from contracts.core.exchange import TOKEN, Request
from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.oracle import Violation, excerpt
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule

GROUP = "Reading and changing"
RULES = (
    Rule(
        "ATTACHMENTS",
        "api",
        "An input file comes back byte for byte",
        "Each input file can be downloaded and is the same in every byte; its description has the run's id, the "
        "filename, the size, the type input, target_path and cleanup_imports_after_run as sent, and the list by "
        "run_id has all of them.",
        GROUP,
        needs=("get_run_attachment", "download_run_attachment"),
    ),
)


def run_attachments(context: CaseContext, case: Case) -> None:
    check = context.check
    files = case["files"]
    written = _create_with_files(context, case, files)
    runs = written.runs
    if not written.clean or not runs:
        return
    for run in [runs[index] for index in sorted({0, len(runs) // 2, len(runs) - 1})]:
        ids = run.get("input_attachment_ids") or []
        if len(ids) != len(files):
            return
        found = []
        for attachment in ids:
            described = context.ask("get_run_attachment", attachment, after=[written.result])
            found.append(described)
            if described.body.get("id") != attachment or described.body.get("run_id") != run["id"]:
                _fail(
                    context,
                    "described as another's",
                    f"id {attachment} of run {run['id']}",
                    described,
                    written.result,
                    described,
                )
        # The ids need not be in the order of the files: match each to its file by the filename in its description.
        for position, attachment in enumerate(ids):
            sent = _file_of(files, found[position].body, position)
            _judge_description(context, run, sent, found[position], written.result)
            read = context.ask("download_run_attachment", attachment, after=[written.result])
            raw = base64.b64decode(sent["content"])
            context.require(
                read.answer.body == raw,
                "ATTACHMENTS",
                "other bytes",
                f"the {len(raw)} bytes that were sent",
                lambda read=read, raw=raw: _difference(raw, read.answer.body),  # type: ignore[misc]
                written.result,
                read,
            )
            if position in {0, len(ids) - 1}:
                again = context.ask("download_run_attachment", attachment, after=[written.result, read])
                same, cause = again.answer.body == raw, "other bytes the second time"
                context.require(
                    same, "ATTACHMENTS", cause, "the same bytes again", again.words, written.result, read, again
                )
        if not case.get("around"):
            continue
        if check.offers("list_run_attachments"):
            _judge_list(context, run, ids, written.result)
        if check.offers("get_run_attachment_download_url"):
            for position in {0, len(ids) - 1}:
                sent = _file_of(files, found[position].body, position)
                _judge_url(context, ids[position], base64.b64decode(sent["content"]), written.result)


def _create_with_files(context: CaseContext, case: Case, files: Sequence[Mapping[str, Any]]) -> WriteResult:
    """Create runs that have the files, by the operation that the case names."""
    fields = {"file_inputs": files} | context.fill(case.get("fields", {}))
    match case.get("op", "bulk_create_runs"):
        case "create_run":
            return context.create("create_run", {"workflow_id": "«workflow»"} | fields)
        case "retry_run":
            written = context.some_runs(1, **case.get("before", {}))
            context.call("update_run", written.ids[0], body={"status": "cancelled"})
            again = context.write("retry_run", written.ids[0], body=fields)
            if not again.result.accepted or not isinstance(again.result.body, dict):
                raise Inconclusive("a retry with files is refused")
            return WriteResult(again.parsed, again.result, (again.result.body,), again.clean)
        case "create_run_chain":
            body = {"steps": [{"workflow_id": "«workflow»"}] * 3, "shared_file_inputs": files}
            made = context.write("create_run_chain", body=context.fill(body))
            if not made.result.accepted or not made.clean or not context.check.offers("get_run"):
                raise Inconclusive("a chain with files is refused")
            reads = [context.ask("get_run", one, after=[made.result]) for one in made.result.body["run_ids"]]
            return WriteResult(made.parsed, made.result, tuple(read.body for read in reads), True)
        case _:
            return context.some_runs(case.get("count", 1), **fields)


def _file_of(files: Sequence[Mapping[str, Any]], description: Any, position: int) -> Mapping[str, Any]:
    named = [file for file in files if file["filename"] == description.get("filename")]
    return files[position] if files[position] in named or len(named) != 1 else named[0]


def _fail(context: CaseContext, cause: str, expected: str, result: CallResult, *shown: CallResult) -> None:
    context.fail(Violation("ATTACHMENTS", cause, expected, result.words), *shown)


def _judge_description(
    context: CaseContext, run: Mapping[str, Any], sent: Mapping[str, Any], result: CallResult, created: CallResult
) -> None:
    body = result.body
    raw = base64.b64decode(sent["content"])
    expected = {
        "filename": sent["filename"],
        "attachment_type": "input",
        "size_bytes": len(raw),
        "target_path": sent.get("target_path"),
        "cleanup_imports_after_run": sent.get("cleanup_imports_after_run", False),
    }
    for name, value in expected.items():
        if name not in body and not value:
            continue
        got = body.get(name)
        context.require(
            got == value or (not got and not value and name in {"target_path", "cleanup_imports_after_run"}),
            "ATTACHMENTS",
            f"another {name}",
            f"{name} {excerpt(json.dumps(value))}",
            excerpt(json.dumps(got)),
            created,
            result,
        )


def _difference(sent: bytes, got: bytes) -> str:
    if len(sent) != len(got):
        return f"{len(got)} bytes"
    at = next(index for index, (a, b) in enumerate(zip(sent, got, strict=True)) if a != b)
    return f"byte {at} is {got[at]:#04x} for {sent[at]:#04x}"


def _judge_list(context: CaseContext, run: Mapping[str, Any], ids: Sequence[str], created: CallResult) -> None:
    """Check the list of a run's attachments.

    A run that has ended may have output attachments too; their attachment_type tells them apart.
    """
    mine = set(ids)
    inputs = [("run_id", run["id"]), ("attachment_type", "input")]
    for query in ([*inputs, ("limit", "1000")], [("run_id", run["id"]), ("limit", "1000")]):
        result = context.ask("list_run_attachments", query=query, after=[created])
        items = [item for item in items_of(result) if item.get("attachment_type") != "output" or query[1] == inputs[1]]
        _judge_items(context, run, [item.get("id") for item in items], mine, created, [result])
        total, full = result.body.get("total"), len(items_of(result))
        cause = "the list's total"
        context.require(total == full, "ATTACHMENTS", cause, f"total {full}", f"total {total}", created, result)
    for skip, limit in ((None, None), (0, 1), (1, 1), (len(ids), 1), (1, None), (0, len(ids))):
        _judge_window(context, inputs, mine, skip, limit, created)
    listed: list[Any] = []
    results: list[CallResult] = []
    for page in range(min(len(ids), 6)):
        query = [*inputs, ("limit", "1"), *([("skip", str(page))] if page else [])]
        results.append(context.ask("list_run_attachments", query=query, after=[created]))
        listed += [item.get("id") for item in items_of(results[-1])]
    if len(ids) <= 6:
        _judge_items(context, run, listed, mine, created, results)
    result = context.ask(
        "list_run_attachments", query=[("run_id", run["id"]), ("attachment_type", "output")], after=[created]
    )
    wrong = [item for item in items_of(result) if item.get("id") in mine]
    context.require(not wrong, "ATTACHMENTS", "inputs listed as outputs", "outputs only", "an input", created, result)


def _judge_window(
    context: CaseContext,
    query: Sequence[tuple[str, str]],
    mine: set[str],
    skip: int | None,
    limit: int | None,
    created: CallResult,
) -> None:
    """Check one page of the list: the number of its items, and total, skip and limit."""
    asked = [*query, *([("skip", str(skip))] if skip is not None else [])]
    asked += [("limit", str(limit))] if limit is not None else []
    result = context.ask("list_run_attachments", query=asked, after=[created])
    frame = {name: result.body.get(name) for name in ("total", "skip", "limit")}
    first, most = skip or 0, 100 if limit is None else limit
    expected = {"total": len(mine), "skip": first, "limit": most}
    items = items_of(result)
    full = min(most, max(0, len(mine) - first))
    cause, got = "a page of the list", f"{len(items)} items, {json.dumps(frame)}"
    right = frame == expected and len(items) == full and {item.get("id") for item in items} <= mine
    context.require(right, "ATTACHMENTS", cause, f"{full} items, {json.dumps(expected)}", got, created, result)


def _judge_items(
    context: CaseContext,
    run: Mapping[str, Any],
    listed: Sequence[Any],
    mine: set[str],
    created: CallResult,
    results: Sequence[CallResult],
) -> None:
    context.require(
        set(listed) == mine and len(listed) == len(mine),
        "ATTACHMENTS",
        "the list has others",
        f"the {len(mine)} attachments of the run",
        f"{len(listed)}, {len(mine.intersection(listed))} of them right",
        created,
        *results[:3],
    )


def _judge_url(context: CaseContext, attachment: str, raw: bytes, created: CallResult) -> None:
    results: list[CallResult] = []
    for expires in (None, 10, 3600):
        query = [] if expires is None else [("expires_in", str(expires))]
        result = context.ask("get_run_attachment_download_url", attachment, query=query, after=[created])
        results.append(result)
        body = result.body
        right = isinstance(body.get("url"), str) and body["url"] and body.get("expires_in") == (expires or 300)
        cause, expected = "not the documented download url", f"url and expires_in {expires or 300}"
        if context.require(right, "ATTACHMENTS", cause, expected, result.words, created, result):
            _follow(context, body["url"], raw, [created, *results])
    for wrong in ("9", "3601", "0", "-1", "x"):
        result = context.call("get_run_attachment_download_url", attachment, query=[("expires_in", wrong)])
        context.require(
            result.refused, "ATTACHMENTS", "expires_in out of range is taken", "a refusal", result.words, result
        )


def _follow(context: CaseContext, url: str, raw: bytes, shown: Sequence[CallResult]) -> None:
    """Download from the url, if it points to the target itself, and compare the bytes."""
    parts = urlsplit(url)
    if parts.netloc == urlsplit(context.check.target.url).netloc and parts.scheme in {"http", "https"}:
        prefix = urlsplit(context.check.target.url).path.rstrip("/")
        path = parts.path.removeprefix(prefix) + (f"?{parts.query}" if parts.query else "")
        read = context.send(Request("GET", path, (("Authorization", TOKEN),)))
        same = read.status == 200 and read.answer.body == raw
        cause, expected = "the download url gives other bytes", f"the {len(raw)} bytes that were sent"
        context.require(same, "ATTACHMENTS", cause, expected, read.words, *shown, read)


_ODD_FILES: Final = [
    boundary_values.file("A b.TXT", b"\r\n\x00\n", target_path="C:\\x\\a.txt", cleanup_imports_after_run=True),
    boundary_values.file("é 名.bin", bytes(range(256)), cleanup_imports_after_run=False),
    boundary_values.file("c.txt", b"", target_path="/tmp/ü", cleanup_imports_after_run=True),
    boundary_values.file("noending", b"abc"),
    boundary_values.file("b" * 120 + ".csv", b"x"),
    boundary_values.file("large.dat", bytes(index * 7 % 251 for index in range(70_000))),
]


def _maker_cases(check: CheckContext) -> Iterator[Case]:
    """Yield the same files for each operation that takes files."""
    makers = {"bulk_create_runs": (), "create_run": (), "retry_run": ("update_run",), "create_run_chain": ("get_run",)}
    for operation, needs in makers.items():
        if check.offers(operation, *needs):
            yield {"files": _ODD_FILES, "op": operation, "around": True}
            yield {"files": _ODD_FILES[:1], "op": operation}
    if check.offers("retry_run", "update_run"):
        before = {"file_inputs": [boundary_values.file("a.txt", b"old bytes")]}
        yield {"files": _ODD_FILES[1:3], "op": "retry_run", "before": before}
        yield {"files": [boundary_values.file("a.txt", b"new bytes")], "op": "retry_run", "before": before}


def attachment_cases(check: CheckContext) -> Iterator[Case]:
    yield from _maker_cases(check)
    yield {"files": [boundary_values.file("a.txt", b"one"), boundary_values.file("b.txt", b"two")], "around": True}
    for files in boundary_values.file_boundary_values():
        yield {"files": files, "around": len(files) in {1, 3, 11, 101} and len(files[0]["content"]) < 9}
    for files in (
        [
            boundary_values.file("a.txt", b"one"),
            boundary_values.file("b.txt", b"two"),
            boundary_values.file("c.bin", bytes(range(256))),
        ],
        [boundary_values.file(raw=b"x")],
        [
            boundary_values.file("A b.TXT", b"\r\n\x00", target_path="C:\\x\\a.txt", cleanup_imports_after_run=True),
            boundary_values.file("é.bin", b"\xff", cleanup_imports_after_run=False),
            boundary_values.file("c.txt", b"", target_path="/tmp/ü", cleanup_imports_after_run=True),
        ],
    ):
        for count in (2, 3, 10, 101, 1000):
            yield {"files": files, "count": count, "around": count < 100}
        if check.offers("create_run"):
            yield {"files": files, "op": "create_run", "around": True}
        for fields in (
            {"start_session": True},
            {"input_values": write_bodies.INPUTS},
            {"sensitive_input_values": write_bodies.SECRETS},
        ):
            yield {"files": files, "fields": fields, "count": 2}
    yield {"files": [boundary_values.file("big.bin", bytes(index * 13 % 256 for index in range(700_000)))]}


SCENARIOS = (
    Scenario(
        "attachments",
        ("ATTACHMENTS",),
        run_attachments,
        attachment_cases,
        needs=("get_run_attachment", "download_run_attachment"),
        priority=1,
    ),
)
