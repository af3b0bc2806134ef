"""Writes that name a resource that does not exist. A server may accept or refuse them, but a refusal does nothing."""

from collections.abc import Iterator
from typing import Any, Final

from contracts.data import batches, file, write_bodies
from contracts.engine import CheckContext, Scenario
from contracts.rules.requests import run_refused
from contracts.rules.writes import CHANGES, WRITES_OF_RUNS, Body, Writes, is_offered

_UNKNOWN: Final = "«uuid»"
_NEW: Final = {"input_values": {"new": "«marker»"}, "file_inputs": [file("new.txt")]}
"""What a retry would change. The reference is looked up in the middle of it, if the server does one after the other."""


def unknown_reference_cases(check: CheckContext) -> Iterator[Writes]:
    """Yield writes whose last reference is unknown: those before it may be handled already when it is looked up."""
    pools = [_UNKNOWN] if not check.pools.known else [check.pools.known[0], _UNKNOWN]
    references = {"machine_id": _UNKNOWN, "pool_ids": pools, "session_id": _UNKNOWN}
    for operation in WRITES_OF_RUNS:
        if is_offered(check, operation):
            bodies = [Body(body) for body in _bodies(operation, references)]
            # One by one where a body that is accepted changes the run of the case.
            yield from (Writes(operation, tuple(some)) for some in batches(bodies, 1 if operation in CHANGES else 9))


def _bodies(operation: str, references: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if operation == "update_run":
        yield {"output_data": {"new": 1}, "error": ["new"], "output_attachment_ids": [_UNKNOWN]}
        return
    known = write_bodies.minimal(operation, count=2)
    match operation:
        case "retry_run":
            base: dict[str, Any] = _NEW
        case "create_run_chain":
            base = known | {"shared_inputs": {"marker": "«marker»"}}
            yield base | {"steps": [*known["steps"], known["steps"][0] | {"workflow_id": _UNKNOWN}]}
        case _:
            base = known | {"input_values": {"marker": "«marker»"}, "file_inputs": [file("new.txt")]}
            yield base | {"workflow_id": _UNKNOWN}
    allowed = write_bodies.FEATURES[operation]
    yield from (base | {name: value} for name, value in references.items() if name in allowed)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("writes with unknown references", ("REQ-ATOMIC",), run_refused, unknown_reference_cases, priority=2),
)
