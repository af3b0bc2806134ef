"""Seeds from JSON: the body of `POST /__admin/runs`, and `runs:` of a world file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mockserver.admin.document import decode, operations
from mockserver.admin.violation_texts import text_of_violation
from mockserver.behaviour.batch import Script
from mockserver.behaviour.new_files import decoded
from mockserver.behaviour.seeding import Seed, SeedError, check_seeds
from mockserver.behaviour.world import Output
from mockserver.clock import SECOND, moment_from
from mockserver.errors import HTTPError, WorldError
from mockserver.spec import Invalid, RawRequest


def seeds_of_world(runs: bytes, file: Path) -> list[Seed]:
    """`runs` is JSON. Raises WorldError with file and JSON pointer."""
    request = RawRequest({}, "", {"content-type": "application/json"}.get, "application/json", runs)
    try:
        seeds = read_seeds(decode(operations()["seed_runs"], request).body)
        check_seeds(seeds)
    except Invalid as invalid:
        found = [("".join(f"/{step}" for step in each["loc"][1:]), each["msg"]) for each in invalid.violations]
        problems = [f"{file}: #/runs{where}: {what}" for where, what in found or [("", invalid.detail)]]
        raise WorldError.of_all(problems) from None
    except SeedError as error:
        raise WorldError(f"{file}: #/runs/{error.place}: {error.problem}") from None
    except HTTPError as error:
        raise WorldError(f"{file}: #/runs: {error.detail}") from None
    return seeds


def read_seeds(body: Sequence[Mapping[str, Any]]) -> list[Seed]:
    """Read a valid body of `POST /__admin/runs`. Raises Invalid for content that is not base64."""
    try:
        return [_seed(each, place) for place, each in enumerate(body)]
    except Invalid as invalid:
        for each in invalid.violations:
            each["msg"] = text_of_violation(each)
        raise


def _seed(source: Mapping[str, Any], place: int) -> Seed:
    outcome, duration_s = source.get("outcome"), source.get("duration_s")
    script = Script(outcome, None if duration_s is None else round(duration_s * SECOND))
    moments = {
        name: moment_from(source[f"{name}_at"]) for name in ("created", "started", "ended") if f"{name}_at" in source
    }
    outputs = [
        Output(each["filename"], decoded(each["content"], ("body", place, "outputs", number, "content"), strict=True))
        for number, each in enumerate(source.get("outputs", ()))
    ]
    return Seed(
        workflow_id=source["workflow_id"],
        organisation=source.get("organization"),
        count=source["count"],
        ids=tuple(source.get("ids", ())),
        status=source.get("status"),
        script=None if script == (None, None) else script,
        machine_id=source.get("machine_id"),
        input_values=source.get("input_values"),
        fields={name: source[name] for name in ("output_data", "error") if name in source},
        outputs=outputs,
        **moments,
    )
