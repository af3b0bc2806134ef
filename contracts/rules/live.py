"""What a check of a real deployment sends: few requests, each told to be affordable before it goes out."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.conversation import World
from contracts.shrinking import Case


def base_cases(world: World) -> Iterator[Case]:
    yield {"op": "bulk_create_runs", "body": {"workflow_id": "«workflow»", "count": 1}, "read": True}
