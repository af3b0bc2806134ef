"""A namespace of a running mock, as a test sees and controls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from mockserver.behaviour.batch import Outcome, Status
from mockserver.errors import ControlError
from mockserver.settings import Settings
from mockserver.testing.clock import MockClock
from mockserver.testing.control import Control, is_refusal
from mockserver.testing.faults import AddedFault
from mockserver.testing.requests import Request
from mockserver.testing.runs import Run, Runs

_MAX_REQUESTS = 10_000
__tracebackhide__ = is_refusal


class CyberdeskMock:
    """All methods can be called from any thread, and raise ControlError for what the control API refuses."""

    def __init__(self, control: Callable[[], Control], settings: Settings, namespace: str = "") -> None:
        """`control` raises ControlError if the mock is not running."""
        self._control = control
        self._settings = settings
        self._namespace = namespace

    @property
    def url(self) -> str:
        """The base URL for a client, without `/v1`."""
        server_url = self._control().server_url
        return f"{server_url}/__ns/{quote(self._namespace, safe='')}" if self._namespace else server_url

    @property
    def token(self) -> str:
        """A bearer token that is accepted: the first one of the settings, else `test`."""
        return self._settings.token[0].token if self._settings.token else "test"

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def clock(self) -> MockClock:
        return MockClock(self._call)

    @property
    def runs(self) -> Runs:
        return Runs(self._call)

    # --- Requests

    def requests(
        self,
        match: str | None = None,
        *,
        operation: str | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        valid: bool | None = None,
        since: int | None = None,
    ) -> list[Request]:
        """Return requests in order of arrival. `match`: `POST /v1/runs/bulk`, `GET /v1/runs/*`, an operationId or `*`.

        Raises ControlError if requests that may match were dropped from the journal, or if more than 10,000 match:
        `since`, a `seq`, narrows it.
        """
        page = self._call("GET", "/requests", query={**_given(locals()), "limit": _MAX_REQUESTS})
        if not page["complete"]:
            raise ControlError(
                None,
                "Requests were dropped from the journal: give the mock a larger journal_bytes, "
                "or call clear_requests() between the parts of the test",
            )
        if page["total"] > _MAX_REQUESTS:
            raise ControlError(None, f"{page['total']} requests match; since=SEQ narrows it to {_MAX_REQUESTS}")
        return self._read(page)

    def last_requests(self, limit: int) -> tuple[list[Request], int]:
        """Return the last requests, and how many there are in total."""
        page = self._call("GET", "/requests", query={"limit": limit})
        return self._read(page), page["total"]

    def requests_outside(self, since: int) -> list[Request]:
        """Return requests that were sent to this server outside of any named namespace after the `seq` `since`."""
        return self._read(self._control().call("GET", "/requests", query={"since": since, "limit": _MAX_REQUESTS}))

    def last_seq_outside(self) -> int:
        """Return the `seq` of the last request that was sent to this server outside of any named namespace, else 0."""
        items = self._control().call("GET", "/requests", query={"limit": 1})["items"]
        return int(items[0]["seq"]) if items else 0

    def clear_requests(self) -> None:
        self._call("DELETE", "/requests")

    def _read(self, page: Mapping[str, Any]) -> list[Request]:
        prefix = f"/__ns/{self._namespace}" if self._namespace else ""
        return [Request.from_json(item, prefix) for item in page["items"]]

    # --- Faults

    def fault(
        self,
        match: str | None = None,
        *,
        preset: str | None = None,
        status: int | None = None,
        answer: Mapping[str, Any] | None = None,
        retry_after: float | str | None = None,
        fault: str | None = None,
        how: str | None = None,
        after_bytes: int | None = None,
        delay_s: float | None = None,
        delay: Mapping[str, Sequence[float]] | None = None,
        failed: int | None = None,
        share: float | None = None,
        stale_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        times: int | None = None,
        nth: int | Sequence[int] | None = None,
        cycle: int | None = None,
        probability: float | None = None,
        for_s: float | None = None,
    ) -> AddedFault:
        """`POST /__admin/faults` with its fields. `status=500` is short for `answer={"status": 500}`.

        `headers` and `body` (values by JSON pointer) narrow which requests match; those of the answer belong in
        `answer`.
        """
        fields = _given(locals())
        if status is not None:
            fields["answer"] = {**(answer or {}), "status": fields.pop("status")}
        return AddedFault(self._call, self._call("POST", "/faults", body=fields)["ids"])

    def clear_faults(self) -> None:
        self._call("DELETE", "/faults")

    # --- State

    def seed(
        self,
        workflow_id: str | UUID,
        *,
        count: int | None = None,
        ids: Sequence[str | UUID] | None = None,
        status: Status | None = None,
        outcome: Outcome | None = None,
        duration_s: float | None = None,
        created_at: datetime | str | None = None,
        started_at: datetime | str | None = None,
        ended_at: datetime | str | None = None,
        organization: str | None = None,
        machine_id: str | UUID | None = None,
        input_values: Mapping[str, Any] | None = None,
        output_data: Mapping[str, Any] | None = None,
        error: Sequence[str] | None = None,
        outputs: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Run]:
        """`POST /__admin/runs` with its fields. The `content` of an output may be bytes."""
        seeded = self._call("POST", "/runs", body=[_given(locals())])
        return [Run(self._call, id_) for id_ in seeded["ids"]]

    def reset(self) -> None:
        """Set the namespace back to its initial state: the runs, faults and clock of the start, and no requests."""
        self._call("POST", "/reset")

    def state(self) -> dict[str, Any]:
        """Return the state of the namespace as JSON, for `load_state`."""
        state: dict[str, Any] = self._call("GET", "/state")
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._call("PUT", "/state", body=state)

    def __repr__(self) -> str:
        try:
            where = self.url
        except ControlError:
            where = "(not running)"
        return f"<{type(self).__name__} {where}>"

    def _call(self, method: str, path: str, **how: Any) -> Any:
        return self._control().call(method, path, namespace=self._namespace, **how)


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a caller of a method has given. `parameters` are its `locals()` at its start."""
    return {name: value for name, value in parameters.items() if value is not None and name != "self"}
