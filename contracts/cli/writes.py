"""The flags that determine which runs are created: the base request, the fields that may be varied, and the workflow.

A mistake in these flags could start runs that the user does not want, so any unknown field or value is refused.
"""

import difflib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import click

from contracts.core.target import Target
from contracts.openapi.schemas import body_properties, is_uuid


def base_request_from(path: Path) -> dict[str, Any]:
    """Return the base request. Raises click.UsageError if the file has no JSON object, a field that POST /v1/runs/bulk
    does not know, or a workflow_id that is not a UUID.
    """
    document = _json_object(path)
    known = _fields("bulk_create_runs")
    for name in document:
        if name not in known:
            raise click.UsageError(
                f"{path}: a request to /v1/runs/bulk has no field {name!r}: {_similar_or_all(name, known)}"
            )
    workflow_id = document.get("workflow_id")
    if isinstance(workflow_id, str):
        document["workflow_id"] = workflow_id = workflow_id.lower()
    if "workflow_id" in document and not is_uuid(workflow_id):
        raise click.UsageError(f"{path}: workflow_id is not a UUID: write the id of a workflow of the target.")
    return document


def fields_to_vary(given: Iterable[str]) -> tuple[str, ...]:
    """Return the names of fields in `given`, separated by commas. Raises click.UsageError for an unknown one."""
    names = tuple(name.strip() for each in given for name in each.split(",") if name.strip())
    known = [name for name in _fields("bulk_create_runs", "create_run") if name != "workflow_id"]
    for name in names:
        if name == "workflow_id":
            raise click.UsageError("--vary cannot name workflow_id.")
        if name not in known:
            raise click.UsageError(f"--vary: there is no field {name!r}: {_similar_or_all(name, known)}")
    return names


def require_named_workflow(target: Target) -> None:
    """Raises click.UsageError if a live check would start runs of a workflow that the user has not named, or if two
    flags name different workflows. This holds for a loopback address too: a tunnel may lead from it to a deployment.
    """
    in_base_request = (target.base_request or {}).get("workflow_id")
    if target.workflow_id and in_base_request and target.workflow_id != in_base_request:
        raise click.UsageError("--workflow-id names another workflow than --base-request: leave one of them out.")
    if target.profile == "live" and target.may_write and target.named_workflow is None:
        raise click.UsageError(
            "--allow-writes would start runs on a deployment, and no workflow is named: give --workflow-id ID, or"
            ' "workflow_id" in the file of --base-request.'
        )


def require_affordable_creates(target: Target) -> None:
    """Raises click.UsageError if a live check could not create the runs of the base request even once."""
    count = (target.base_request or {}).get("count", 1)
    if target.profile == "live" and target.may_write and isinstance(count, int) and count > target.budget.max_runs > 0:
        raise click.UsageError(
            f"The request of --base-request creates {count:,} runs, and --max-runs is {target.budget.max_runs:,}: write"
            f' "count": 1 in its file, or give --max-runs {count}.'
        )


def _fields(*operations: str) -> list[str]:
    return list(dict.fromkeys(name for each in operations for name in body_properties(each)))


def _similar_or_all(name: str, known: Collection[str]) -> str:
    folded = name.strip().lower().replace("-", "_")
    near = difflib.get_close_matches(folded, known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"the fields are {', '.join(known)}."


def _json_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read ({error.strerror}): name a JSON file.") from error
    except ValueError as error:
        raise click.UsageError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise click.UsageError(f"{path} holds no JSON object: write the body of a request to /v1/runs/bulk in it.")
    return document
