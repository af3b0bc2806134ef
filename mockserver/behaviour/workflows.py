"""Workflows: those of the world and those that clients created."""

from __future__ import annotations

import json
from operator import attrgetter

from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import one_id
from mockserver.behaviour.input_schema import MAX_SCHEMA_LENGTH
from mockserver.behaviour.paging import page
from mockserver.behaviour.resource_view import WORLD_CREATED, StoredView
from mockserver.behaviour.resources import COUNTER, WORKFLOW, WorkflowRecord
from mockserver.behaviour.search_texts import folded
from mockserver.behaviour.world import Workflow
from mockserver.clock import text_of
from mockserver.errors import NotFound
from mockserver.reply import BytesContent, Reply
from mockserver.spec import Call, parse_json, render_json
from mockserver.store import Write
from mockserver.time_slice import Sliced, in_slices


async def list_workflows(call: Call, context: Context) -> Reply:
    created = await in_slices(attrgetter("value"), list((await context.store.items(WORKFLOW)).values()))
    found: list[Workflow | WorkflowRecord] = [*context.world.workflows.values(), *created]
    search = call.query.get("search")
    if search is not None:
        words = search.casefold()
        found = [each async for each in Sliced(found) if await _mentions(each, words)]

    async def view(workflow: Workflow | WorkflowRecord) -> StoredView:
        return StoredView(await _json(context, workflow))

    return await page(call, found, view)


async def _mentions(workflow: Workflow | WorkflowRecord, words: str) -> bool:
    prompt = workflow.main_prompt if isinstance(workflow, Workflow) else json.loads(workflow.shown)["main_prompt"]
    text = f"{workflow.id}\n{workflow.name or ''}\n{prompt}"
    async for part in Sliced(folded(text, len(words))):
        if words in part:
            return True
    return False


async def get_workflow(call: Call, context: Context) -> Reply:
    shown = await workflow_json(context, call.path["workflow_id"])
    if shown is None:
        raise NotFound(f"Workflow {call.path['workflow_id']} not found")
    return Reply(200, BytesContent(shown))


async def create_workflow(call: Call, context: Context) -> Reply:
    counter = await context.store.load(COUNTER, WORKFLOW)
    number = counter.value or 0
    body = call.body
    id_ = one_id(context.space.key, f"workflow {number}")
    shown = render_json(
        {
            "main_prompt": body["main_prompt"],
            "id": id_,
            "name": body.get("name"),
            "input_schema": body.get("input_schema"),
            "output_schema": body.get("output_schema"),
            "is_webhooks_enabled": body.get("is_webhooks_enabled", False),
            "user_id": context.space.user_id,
            "organization_id": context.space.organisation,
            "created_at": text_of(context.now),
            "updated_at": text_of(context.now),
        }
    )
    record = WorkflowRecord(id_, body.get("name"), _schema(body.get("input_schema")), shown)
    await context.store.commit(Write(COUNTER, WORKFLOW, number + 1, counter.version), Write(WORKFLOW, id_, record, 0))
    return Reply(201, BytesContent(shown))


def _schema(text: str | None) -> dict[str, object] | None:
    """Parse a JSON schema. None for a text that is too long, nested too deeply, or not a JSON object.

    Then no inputs are checked.
    """
    if text is None or len(text) > MAX_SCHEMA_LENGTH:
        return None
    try:
        schema, _ = parse_json(text.encode("utf-8", "surrogatepass"), allow_constants=True)
    except (ValueError, RecursionError):
        return None
    return schema if isinstance(schema, dict) else None


async def workflow_json(context: Context, workflow_id: str) -> bytes | None:
    """Return None for an unknown workflow."""
    known = context.world.workflows.get(workflow_id) or (await context.store.load(WORKFLOW, workflow_id)).value
    return None if known is None else await _json(context, known)


async def _json(context: Context, workflow: Workflow | WorkflowRecord) -> bytes:
    if isinstance(workflow, WorkflowRecord):
        return workflow.shown
    schemas = (workflow.input_schema, workflow.output_schema)
    input_schema, output_schema = (None if each is None else render_json(each).decode() for each in schemas)
    return render_json(
        {
            "main_prompt": workflow.main_prompt,
            "id": workflow.id,
            "name": workflow.name,
            "input_schema": input_schema,
            "output_schema": output_schema,
            "is_webhooks_enabled": False,
            "user_id": context.space.user_id,
            "organization_id": context.space.organisation,
            "created_at": text_of(WORLD_CREATED),
            "updated_at": text_of(WORLD_CREATED),
        }
    )
