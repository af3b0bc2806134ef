"""Writes that name a resource that does not exist, or have a file that is not base64 or a value of another type.

A server may accept them, or refuse them when it has already carried out a part. A refused write must have no effect.
"""

from collections.abc import Iterator
from typing import Any, Final

from contracts.data import batches, file, write_bodies
from contracts.data.files import MARKED_NAME
from contracts.data.limits import MAX_COUNT
from contracts.engine import CaseContext, CheckContext, Scenario
from contracts.rules.refused_requests import run_refused
from contracts.rules.stored_files import require_no_files
from contracts.rules.writes import CHANGING_WRITES, Body, Writes, offered_writes, optional_ids

_UNKNOWN: Final = "«uuid»"
_NEW: Final = {"input_values": {"new": "«marker»"}, "file_inputs": [file(MARKED_NAME)]}
"""What a retry would change. A server that works step by step may find the unknown id after some of the changes."""


def run_late_refusal(context: CaseContext, case: Writes) -> None:
    run_refused(context, case)
    require_no_files(context, "REQ-ATOMIC", "a refused write stores its files")


def late_refusal_cases(check: CheckContext) -> Iterator[Writes]:
    """Yield writes of which the last part is wrong: the server may have carried out what comes before it."""
    pools = [_UNKNOWN] if not check.pools.known else [check.pools.known[0], _UNKNOWN]
    references = {"machine_id": _UNKNOWN, "pool_ids": pools, "session_id": _UNKNOWN}
    for operation in offered_writes(check):
        bodies = [Body(body) for body in _bodies(operation, references)]
        # If an accepted body changes the run of the case, each body needs a run of its own.
        size = 1 if operation in CHANGING_WRITES else 9
        yield from (Writes(operation, tuple(some)) for some in batches(bodies, size))
    # A server that creates runs in several parts may have created some when it refuses.
    kinds = optional_ids(check)
    largest = write_bodies.minimal("bulk_create_runs", count=MAX_COUNT) | {"input_values": {"marker": "«marker»"}}
    for name, value in references.items():
        if not kinds[name].accepts_any_id:
            yield Writes("bulk_create_runs", (Body(largest | {name: value}),))


def _bodies(operation: str, references: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if operation == "update_run":
        yield {"output_data": {"new": 1}, "error": ["new"], "output_attachment_ids": [_UNKNOWN]}
        return
    known = write_bodies.minimal(operation, count=2)
    match operation:
        case "retry_run":
            base: dict[str, Any] = _NEW
        case "create_run_chain":
            # A server may create the runs of the first steps before it adds the shared inputs to them.
            marked = [step | {"inputs": {"own": "«marker»"}} for step in known["steps"]]
            base = {"steps": marked, "shared_inputs": {"marker": "«marker»"}, "shared_file_inputs": [file(MARKED_NAME)]}
            yield base | {"steps": [*marked, known["steps"][0] | {"workflow_id": _UNKNOWN}]}
        case _:
            base = known | {"input_values": {"marker": "«marker»"}, "file_inputs": [file(MARKED_NAME)]}
            yield base | {"workflow_id": _UNKNOWN}
    allowed = write_bodies.FEATURES[operation]
    yield from (base | {name: value} for name, value in references.items() if name in allowed)
    (files,) = base.keys() & {"file_inputs", "shared_file_inputs"}
    yield base | {files: [*base[files], {"filename": "broken.txt", "content": "%%%"}]}
    yield base | {"session_id": 5}  # a server may store the files before it reads the other fields


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("writes that are refused late", ("REQ-ATOMIC",), run_late_refusal, late_refusal_cases, order=2),
)
