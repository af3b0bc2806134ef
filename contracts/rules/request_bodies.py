"""Bodies and requests that the scenarios of several modules are built from."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive
from contracts.guard import OutOfBudget

OPERATIONS: Final = ("bulk_create_runs", "create_run", "create_run_chain", "update_run", "retry_run")

OTHER_WRITES: Final = ("create_pool", "create_workflow", "add_machine_to_pool")


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


SAMPLE_ID: Final = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def sample(value: Any) -> Any:
    """Replaces each placeholder in a value by a valid id, so that the oracle can parse it."""
    if isinstance(value, str):
        return SAMPLE_ID if "«" in value else value
    if isinstance(value, list):
        return [sample(item) for item in value]
    if isinstance(value, dict):
        return {key: sample(item) for key, item in value.items()}
    return value


def packs(items: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    pack: list[dict[str, Any]] = []
    for item in items:
        pack.append(item)
        if len(pack) == size:
            yield pack
            pack = []
    if pack:
        yield pack


def sample_text(text: str) -> str:
    return re.sub(r"«[a-z0-9:-]+»", SAMPLE_ID, text)
