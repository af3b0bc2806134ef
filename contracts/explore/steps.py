"""The steps of a sequence of reads and writes, as data: a failing sequence is shrunk and sent again like any case.

Runs and writes have names, which shrinking keeps. The runs of the create `create-1` are called `create-1.1`,
`create-1.2` and so on. A step about a run or a write that does not exist is skipped.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from contracts.data.files import file
from contracts.engine import Case
from contracts.rules.run_events import CANCEL, DELETE, RETRY, Event


@dataclass(frozen=True)
class Step(Case):
    """One operation of a sequence."""


@dataclass(frozen=True)
class Create(Step):
    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    is_single: bool = False
    is_second: bool = False
    """Whether the second organisation creates the runs."""


@dataclass(frozen=True)
class CreateChain(Step):
    name: str
    steps: int = 1


@dataclass(frozen=True)
class WriteStep(Step):
    """An event on a run. A cancel is skipped if the run has ended, and a retry if the run has not ended."""

    name: str
    run: str
    event: Event


@dataclass(frozen=True)
class RepeatStep(Step):
    """A repeat of a write with its idempotency key. `write` is its name, or the name of a run that it created."""

    write: str


@dataclass(frozen=True)
class Read(Step):
    run: str


@dataclass(frozen=True)
class ListRuns(Step):
    """A list of all runs in pages of `limit`, perhaps filtered by status, or by the session or id of `run`."""

    limit: int = 1000
    by: Literal["", "cancelled", "session", "id"] = ""
    run: str = ""
    is_second: bool = False


@dataclass(frozen=True)
class CrossTenantAccess(Step):
    run: str
    operation: str = "get_run"


@dataclass(frozen=True)
class SequenceCase(Case):
    steps: tuple[Step, ...]


CREATE_FIELDS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"input_values": {"name": "Ada", "n": 5, "x": 1.5, "deep": {"list": [None, True]}}},
    {"start_session": True},
    {"file_inputs": [file()]},
    {"sensitive_input_values": {"pin": "«secret»"}},
    {"start_session": True, "input_values": {"a": 1}, "file_inputs": [file("b.txt", b"b")]},
)
UPDATE_BODIES: Final[tuple[dict[str, Any], ...]] = (
    {"input_values": {"changed": [1, 2.5, None]}},
    {"output_data": {"result": {"a": 1}}},
    {"error": ["first", "second"]},
    {"release_session_after": True},
    {"run_message_history": [{"role": "user", "content": "hello"}]},
    {},
)
RETRY_BODIES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},  # twice, since a retry that changes nothing is the usual one
    {"input_values": {"again": True}},
    {"file_inputs": [file("new.txt", b"new")]},
    {"reuse_session": False},
)
CROSS_TENANT_BODIES: Final[dict[str, dict[str, Any]]] = {
    "get_run": {},
    "update_run": {"body": {"status": "cancelled"}},
    "retry_run": {"body": {}},
    "delete_run": {},
}
"""Operations on a run that the other organisation tries, with the arguments of each."""


def fixed_sequences() -> list[SequenceCase]:
    """Return a few sequences that every check runs."""
    create = Create("first", CREATE_FIELDS[1], 3)
    one, two, three = "first.1", "first.2", "first.3"
    cancel, again = WriteStep("cancel", two, CANCEL), WriteStep("cancel again", two, CANCEL)
    retry, delete = WriteStep("retry", two, RETRY), WriteStep("delete", two, DELETE)
    update = Event("update", UPDATE_BODIES[0])
    access = [CrossTenantAccess(two, operation) for operation in CROSS_TENANT_BODIES]
    updates, of_retried, of_cancelled = (
        [WriteStep(f"{name} {number}", two, Event("update", body)) for number, body in enumerate(UPDATE_BODIES)]
        for name in ("update", "update of retried", "update of cancelled")
    )
    sequences: list[list[Step]] = [
        [create, cancel, ListRuns(by="cancelled"), retry, RepeatStep("cancel")],
        [create, WriteStep("update", three, update), WriteStep("delete", one, DELETE), ListRuns()],
        [create, Create("second", is_second=True), ListRuns(is_second=True), RepeatStep("second")],
        [create, delete, RepeatStep("first"), Create("second", CREATE_FIELDS[1], 3), ListRuns(2)],
        [create, delete, WriteStep("another", one, DELETE), ListRuns(), WriteStep("third", three, DELETE)],
        [create, cancel, *updates, retry, *of_retried[::-1], again, *of_cancelled],
        [CreateChain("chain", 3), WriteStep("delete", "chain.2", DELETE), Create("second", is_single=True)],
        [create, *access, cancel, *access, retry, *access, again, WriteStep("retry again", two, RETRY)],
    ]
    return [SequenceCase(tuple(steps)) for steps in sequences]
