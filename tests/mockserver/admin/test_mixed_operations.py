"""Random valid operations of the control API and of the mocked API, mixed, with what has to hold after each of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mockserver.spec import render_json
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.inprocess import (
    ENDS_AT_ONCE,
    FAILS_IN_PART,
    FAILS_ONCE,
    HAS_OUTPUT_FILES,
    IS_CHECKED,
    NEVER_ENDS,
    SUCCEEDS,
    TAKES_TWENTY_MINUTES,
    TERMINAL,
)

_WORKFLOWS = (
    SUCCEEDS,
    NEVER_ENDS,
    ENDS_AT_ONCE,
    FAILS_IN_PART,
    FAILS_ONCE,
    TAKES_TWENTY_MINUTES,
    IS_CHECKED,
    HAS_OUTPUT_FILES,
)
_STATUSES = ("scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled")
_RANK = {status: min(rank, 3) for rank, status in enumerate(_STATUSES)}
_MOST_RUNS = 150
_STATE_EVERY = 12
_TOKENS = ("test-one", "test-two")


class _Session:
    """One namespace, and what was last seen of each of its runs. What an operation changes by control is forgotten."""

    def __init__(self, seed: int) -> None:
        self.mock = ControlledMock()
        self._random = random.Random(seed)
        self._seen: dict[str, tuple[str, str]] = {}
        """By token and id, the status and `created_at`."""
        self._runs: dict[str, list[str]] = {token: [] for token in _TOKENS}
        self._organisations = {token: self._organisation_of(token) for token in _TOKENS}
        self._steps: list[tuple[int, Callable[[], None]]] = [
            (6, self._create),
            (4, self._create_bulk),
            (2, self._create_chain),
            (4, self._update),
            (3, self._retry),
            (2, self._delete),
            (3, self._seed),
            (4, self._patch),
            (4, self._end),
            (4, self._advance),
            (2, self._freeze),
            (2, self._scale),
            (1, self._resume),
            (2, self._fault),
            (1, self._clear_faults),
            (1, self._reset),
        ]
        self.did: list[str] = []

    def step(self) -> None:
        weights = [weight for weight, _ in self._steps]
        [(_, operation)] = self._random.choices(self._steps, weights)
        operation()
        self._check_lists()
        if self._random.randrange(_STATE_EVERY) == 0:
            self._check_state()
        if sum(map(len, self._runs.values())) > _MOST_RUNS:
            self._reset()

    # --- Operations

    def _ask(self, method: str, path: str, body: Any = None, *, token: str = _TOKENS[0]) -> httpx.Response:
        self.did.append(f"{method} {path} {body}")
        how = {} if body is None else {"json": body}
        return self.mock.request(method, path, token=token, **how)

    def _control(self, method: str, path: str, body: Any = None) -> httpx.Response:
        self.did.append(f"{method} /__admin{path} {body}")
        answer = self.mock.control(method, path, body)
        assert answer.status_code in (200, 201, 204, 409), answer.text
        return answer

    def _organisation_of(self, token: str) -> str:
        return self.mock.create(token=token)["organization_id"]

    def _token(self) -> str:
        return self._random.choice(_TOKENS)

    def _run(self) -> tuple[str, str] | None:
        owned = [(token, run_id) for token, runs in self._runs.items() for run_id in runs]
        return self._random.choice(owned) if owned else None

    def _create(self) -> None:
        body: dict[str, Any] = {"workflow_id": self._random.choice(_WORKFLOWS)}
        if self._random.random() < 0.3:
            body["start_session"] = True
        self._ask("POST", "/v1/runs", body, token=self._token())

    def _create_bulk(self) -> None:
        body = {
            "workflow_id": self._random.choice(_WORKFLOWS),
            "count": self._random.randint(1, 5),
            "start_session": self._random.random() < 0.5,
        }
        self._ask("POST", "/v1/runs/bulk", body, token=self._token())

    def _create_chain(self) -> None:
        steps = [{"workflow_id": self._random.choice(_WORKFLOWS)} for _ in range(self._random.randint(1, 3))]
        self._ask("POST", "/v1/runs/chain", {"steps": steps, "start_session": True}, token=self._token())

    def _update(self) -> None:
        if run := self._run():
            token, run_id = run
            self._ask("PATCH", f"/v1/runs/{run_id}", {"status": self._random.choice(_STATUSES)}, token=token)

    def _retry(self) -> None:
        if run := self._run():
            token, run_id = run
            if self._ask("POST", f"/v1/runs/{run_id}/retry", {}, token=token).is_success:
                self._forget_statuses()

    def _delete(self) -> None:
        if run := self._run():
            token, run_id = run
            self._ask("DELETE", f"/v1/runs/{run_id}", token=token)

    def _seed(self) -> None:
        now = self.mock.asked("/clock")["now"]
        token = self._token()
        seed: dict[str, Any] = {
            "workflow_id": self._random.choice(_WORKFLOWS),
            "count": self._random.randint(1, 3),
            "organization": self._organisations[token],
        }
        if self._random.random() < 0.7:
            seed["status"] = self._random.choice(_STATUSES)
        if self._random.random() < 0.5:
            seed["created_at"] = self._random.choice(["1960-02-03T04:05:06Z", now])
        self._control("POST", "/runs", [seed])

    def _patch(self) -> None:
        if run := self._run():
            change: dict[str, Any] = self._random.choice(
                [{"status": self._random.choice(_STATUSES)}, {"outcome": "error", "duration_s": 5}, {"error": ["e"]}]
            )
            self._control("PATCH", f"/runs/{run[1]}", change)
            self._forget_statuses()

    def _end(self) -> None:
        if run := self._run():
            how = self._random.choice(["finish", "fail", "advance"])
            answer = self._control("POST", f"/runs/{run[1]}/{how}")
            if answer.status_code == 200 and how != "advance":
                assert answer.json()["status"] == {"finish": "success", "fail": "task_failed"}[how]

    def _advance(self) -> None:
        self._control("POST", "/clock", {"advance": self._random.choice([0, 0.000001, 1, "40s", "21m", "2d"])})

    def _freeze(self) -> None:
        moments = [True, "1970-01-01T00:00:00Z", "2025-03-04T09:00:00Z", "2040-01-01T00:00:00.5+05:30"]
        self._control("POST", "/clock", {"freeze": self._random.choice(moments)})

    def _scale(self) -> None:
        self._control("POST", "/clock", {"scale": self._random.choice([0, 0.001, 1, 7, 1000])})

    def _resume(self) -> None:
        # What is compared below is read at one moment, so the clock runs on for an instant only.
        self._control("POST", "/clock", {"resume": True})
        self._control("POST", "/clock", {"freeze": True})

    def _fault(self) -> None:
        fault = self._random.choice(
            [
                {"match": "create_run", "times": 1, "answer": {"status": 429}},
                {"match": "update_run", "nth": 2, "answer": {"status": 404, "body": {"detail": "not here"}}},
                {"match": "POST /v1/runs/bulk", "times": 1, "fault": "partial-failure", "share": 0.5},
            ]
        )
        self._control("POST", "/faults", fault)

    def _clear_faults(self) -> None:
        self._control("DELETE", "/faults")

    def _reset(self) -> None:
        self._control("POST", "/reset")
        self._control("POST", "/clock", {"freeze": "2025-03-04T09:00:00Z"})
        self._seen.clear()
        self._runs = {token: [] for token in _TOKENS}

    # --- What has to hold

    def _forget_statuses(self) -> None:
        """Of all runs: those of a session hang on each other."""
        self._seen = {key: ("scheduling", created) for key, (_, created) in self._seen.items()}

    def _check_lists(self) -> None:
        total = 0
        for token in _TOKENS:
            total += self._check_list(token)
        everything = self.mock.asked("/runs?limit=1000&fields=started_at")
        assert everything["total"] == len(everything["items"]) == sum(everything["counts"].values()) == total
        assert _is_newest_first(everything["items"])

    def _check_list(self, token: str) -> int:
        runs = self._page(token, "")
        assert _is_newest_first(runs), [run["created_at"] for run in runs]
        self._runs[token] = [run["id"] for run in runs]
        assert len(set(self._runs[token])) == len(runs)
        for run in runs:
            self._check_run(run)
        for status in self._random.sample(_STATUSES, 2):
            of_status = [run["id"] for run in self._page(token, f"&status={status}")]
            assert of_status == [run["id"] for run in runs if run["status"] == status]
        if runs:
            picked = self._random.choice(runs)
            alone = self.mock.read(picked["id"], token=token)
            assert (alone["status"], alone["created_at"]) == (picked["status"], picked["created_at"])
        return len(runs)

    def _page(self, token: str, query: str) -> list[dict[str, Any]]:
        answer = self.mock.get(
            f"/v1/runs?limit=1000&sort_mode=created_at_desc&fields=started_at&fields=ended_at{query}", token=token
        )
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["total"] == len(page["items"])
        items: list[dict[str, Any]] = page["items"]
        return items

    def _check_run(self, run: dict[str, Any]) -> None:
        status, created = self._seen.get(run["id"], ("scheduling", run["created_at"]))
        assert run["created_at"] == created
        assert _RANK[run["status"]] >= _RANK[status], f"{run} was {status}"
        assert status not in TERMINAL or run["status"] == status, f"{run} was {status}"
        self._seen[run["id"]] = run["status"], created
        assert (run["ended_at"] is not None) == (run["status"] in TERMINAL), run
        if run["status"] in ("running", "running_checks"):
            assert run["started_at"] is not None, run

    def _check_state(self) -> None:
        """The same answers from a copy, now and later."""
        state = self.mock.control("GET", "/state")
        how = {"content": state.content, "headers": {"Content-Type": "application/json"}}
        assert self.mock.control("PUT", "/state", namespace="copy", **how).status_code == 204
        try:
            assert self.mock.control("GET", "/state", namespace="copy").json() == state.json()
            self._compare()
            if self.mock.asked("/clock")["frozen"]:
                for namespace in ("", "copy"):
                    self.mock.turn_clock(namespace, advance="3m")
                self._compare()
        finally:
            self.mock.control("DELETE", "/namespaces/copy")

    def _compare(self) -> None:
        if not self.mock.asked("/clock")["frozen"]:
            return
        for token in _TOKENS:
            for path in ("/v1/runs?limit=1000", "/v1/runs?limit=20&sort_mode=activity&skip=3", "/v1/run-attachments"):
                one, other = (self.mock.get(f"{prefix}{path}", token=token) for prefix in ("", "/__ns/copy"))
                assert one.content.replace(b"/__ns/copy", b"") == other.content.replace(b"/__ns/copy", b"")
        one, other = (self.mock.asked("/runs?limit=1000", namespace=name) for name in ("", "copy"))
        assert render_json(one) == render_json(other)


def _is_newest_first(runs: list[dict[str, Any]]) -> bool:
    created = [run["created_at"] for run in runs]
    return created == sorted(created, reverse=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_read_agrees_after_any_operations(seed):
    session = _Session(seed)
    for _ in range(50):
        session.step()
