"""The runs of a mock, across its organisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from mockserver.behaviour.batch import Status
from mockserver.errors import ControlError
from mockserver.testing.control import is_refusal

_PAGE = 1_000
__tracebackhide__ = is_refusal


class Run:
    """The current state of a run: each access to an attribute reads it from the mock, without an entry in the journal.

    `json()` has the attributes that are not named here.
    """

    def __init__(self, call: Callable[..., Any], id_: str) -> None:
        self._call = call
        self.id = id_

    def json(self) -> dict[str, Any]:
        """Return the run as the API shows it."""
        shown: dict[str, Any] = self._call("GET", f"/runs/{self.id}")
        return shown

    @property
    def status(self) -> Status:
        status: Status = self.json()["status"]
        return status

    @property
    def workflow_id(self) -> str:
        return str(self.json()["workflow_id"])

    @property
    def machine_id(self) -> str | None:
        machine_id: str | None = self.json()["machine_id"]
        return machine_id

    @property
    def organization_id(self) -> str:
        return str(self.json()["organization_id"])

    @property
    def created_at(self) -> datetime:
        return datetime.fromisoformat(self.json()["created_at"])

    @property
    def started_at(self) -> datetime | None:
        return _moment(self.json()["started_at"])

    @property
    def ended_at(self) -> datetime | None:
        return _moment(self.json()["ended_at"])

    @property
    def input_values(self) -> dict[str, Any] | None:
        values: dict[str, Any] | None = self.json()["input_values"]
        return values

    @property
    def output_data(self) -> dict[str, Any] | None:
        output: dict[str, Any] | None = self.json()["output_data"]
        return output

    @property
    def error(self) -> list[str] | None:
        error: list[str] | None = self.json()["error"]
        return error

    def attachments(self) -> list[dict[str, Any]]:
        """Return inputs and outputs, each with a `url` that needs no token."""
        items: list[dict[str, Any]] = self._call("GET", f"/runs/{self.id}/attachments")["items"]
        return items

    def finish(self) -> Run:
        """End the run in `success`, now."""
        return self._changed("POST", "/finish")

    def fail(self) -> Run:
        """End the run in `task_failed`, now."""
        return self._changed("POST", "/fail")

    def advance(self) -> Run:
        """Move the run to its next status."""
        return self._changed("POST", "/advance")

    def update(self, **fields: Any) -> Run:
        """`PATCH /__admin/runs/{id}`: status, outcome, duration_s, started_at, ended_at, input_values, output_data,
        error, run_message_history, usage_metadata. Accepts changes that the API itself refuses.
        """
        return self._changed("PATCH", "", body=fields)

    def _changed(self, method: str, what: str, **how: Any) -> Run:
        self._call(method, f"/runs/{self.id}{what}", **how)
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Run({self.id!r})"


class Runs:
    """Runs by id; iteration yields the newest first."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __getitem__(self, id_: str | UUID) -> Run:
        """Raises KeyError."""
        if id_ not in self:
            raise KeyError(f"{id_} is not a run of this namespace of the mock")
        return Run(self._call, str(id_))

    def __contains__(self, id_: object) -> bool:
        try:
            self._call("GET", f"/runs/{id_}")
        except ControlError as error:
            if error.status not in (404, 422):
                raise
            return False
        return True

    def __iter__(self) -> Iterator[Run]:
        return iter(self.filter())

    def __len__(self) -> int:
        return int(self._call("GET", "/runs", query={"limit": 1, "fields": "status"})["total"])

    def filter(
        self,
        *,
        status: Status | None = None,
        workflow_id: str | UUID | None = None,
        organization: str | None = None,
    ) -> list[Run]:
        found: list[Run] = []
        wanted = {"status": status, "workflow_id": workflow_id, "organization": organization, "fields": "status"}
        while True:
            page = self._call("GET", "/runs", query={**wanted, "skip": len(found), "limit": _PAGE})
            found += (Run(self._call, each["id"]) for each in page["items"])
            if len(page["items"]) < _PAGE:
                return found

    def __repr__(self) -> str:
        return f"<{len(self)} runs>"


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
