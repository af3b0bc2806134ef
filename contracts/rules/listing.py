"""Helpers for lists: reads all pages of a list, and finds runs by a value that only they have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from contracts.core.exchange import SECOND_TOKEN
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive

MAX_PAGES = 60


def made_with(context: CaseContext, name: str, value: str) -> tuple[CallResult, list[dict[str, Any]]]:
    """The answer to a list of runs by one filter, and its items: one page of up to 1000, newest first."""
    result = context.ask("list_runs", query=[(name, value), ("limit", "1000"), ("sort_mode", "created_at_desc")])
    return result, items_of(result)


def items_of(result: CallResult) -> list[dict[str, Any]]:
    items = result.body.get("items") if isinstance(result.body, dict) else None
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, dict)]


def carries(item: dict[str, Any], name: str, value: str) -> bool:
    """Whether a listed run really has the value that was filtered by: a broken filter may return runs of others."""
    if name == "search":
        return value in json.dumps(item.get("input_values")) or value in json.dumps(item.get("session_alias"))
    return item.get(name) == value


def their_workflow(context: CaseContext) -> str:
    """A workflow that the second organisation may use: a made-up one if the target takes any, else a listed one."""
    if context.check.workflows.invented:
        return str(context.named("workflow"))
    if not context.has_named("their-workflow"):
        result = context.call("list_workflows", query=[("limit", "1")], token=SECOND_TOKEN)
        found = [item["id"] for item in items_of(result) if isinstance(item.get("id"), str)] if result.accepted else []
        if not found:
            raise Inconclusive("no workflow of the second organisation is known")
        context.remember("their-workflow", found[0])
    return str(context.named("their-workflow"))


def whole(
    context: CaseContext, query: Sequence[tuple[str, str]], *, limit: int = 1000, sort: str = "created_at_desc"
) -> tuple[list[dict[str, Any]], list[CallResult]]:
    """All items of a list of runs, read page by page, and the answers they came from.

    Raises:
        Inconclusive: the list has more than MAX_PAGES pages.
    """
    found: list[dict[str, Any]] = []
    results: list[CallResult] = []
    for page in range(MAX_PAGES):
        paging = [("limit", str(limit)), ("sort_mode", sort), *([("skip", str(page * limit))] if page else [])]
        result = context.ask("list_runs", query=[*query, *paging], after=results[:1])
        results.append(result)
        items = items_of(result)
        found.extend(items)
        if len(items) < limit:
            return found, results
    raise Inconclusive(f"a list of more than {MAX_PAGES * limit} runs")
