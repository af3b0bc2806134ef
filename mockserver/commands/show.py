"""Commands that print the OpenAPI document, its routes, the test cards and the named faults."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cyberdesk_mockserver.command_help import Command
from mockserver.api_document import api_document
from mockserver.behaviour.world import World
from mockserver.commands.options import setting_option
from mockserver.faults import PRESETS, described_presets
from mockserver.spec import compile_operations, render_json

_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")


@click.command(
    cls=Command,
    examples="""\
mockserver spec > openapi.yaml
mockserver spec --json | jq '.paths | keys'
""",
)
@setting_option("spec")
@click.option("--json", "as_json", is_flag=True, help="As JSON; else YAML.")
def spec(spec: Path | None, *, as_json: bool) -> None:
    """Print the OpenAPI document that the mock serves."""
    document = api_document(spec)
    click.echo(document.json if as_json else document.yaml.rstrip(b"\n"))


@click.command(
    cls=Command,
    examples="""\
mockserver routes
mockserver routes --spec my-api.yaml --json
""",
)
@setting_option("spec")
@_json_option
def routes(spec: Path | None, *, as_json: bool) -> None:
    """List the operations: method, path, operationId."""
    operations = compile_operations(api_document(spec).document, coercion="strict").values()
    rows = [(each.method, each.path, each.operation_id) for each in operations]
    _print(("method", "path", "operation"), rows, as_json=as_json)


@click.command(
    cls=Command,
    examples="""\
mockserver cards
mockserver cards --json | jq -r '.[0].workflow_id'
""",
)
@setting_option("world")
@_json_option
def cards(world: Path | None, *, as_json: bool) -> None:
    """List the test cards: workflows of fixed behaviour, and what runs of them do.

    Any other workflow id works too. The header Prefer decides for single requests: see README.md.
    """
    workflows = World.from_files(world).workflows.values()
    rows = [(each.id, each.name, each.main_prompt.removeprefix("Test card. ")) for each in workflows]
    _print(("workflow_id", "name", "behaviour"), rows, as_json=as_json)


@click.command(
    cls=Command,
    examples="""\
mockserver faults
curl http://127.0.0.1:4010/__admin/faults --json '{"preset": "flaky"}'
""",
)
@_json_option
def faults(*, as_json: bool) -> None:
    """List the built-in faults, to be added by name with POST /__admin/faults."""
    if as_json:
        click.echo(render_json(described_presets()))
    else:
        _print(("name", "summary"), [(name, each.summary) for name, each in PRESETS.items()], as_json=False)


def _print(names: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
        return
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(len(names))]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
