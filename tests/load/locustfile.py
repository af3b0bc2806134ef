"""A load profile for locust: users that create runs and work with them, and judge every answer by the contract.

    pip install -e '.[contracts]' locust
    locust -f tests/load/locustfile.py --host http://127.0.0.1:4010 --users 50 --spawn-rate 50 --run-time 1m --headless

Each user has its own workflow, sends one request at a time, and remembers its runs, so that it can judge every answer.
An answer that breaks a rule counts as a failure, and locust ends with exit code 1. A 429 is no failure: the user waits
as long as its Retry-After says. A request without an answer is a failure, and the user continues with a new workflow.
"""

from __future__ import annotations

import contextlib
import json
import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import gevent
from locust import FastHttpUser, between, events, task
from locust.exception import RescheduleTask, StopUser

from contracts.core.exchange import TOKEN, Answer, Request
from contracts.oracle.answer import universal_violations
from contracts.oracle.create import Seen, judge_create
from contracts.oracle.known_run import KnownRun
from contracts.oracle.refusal import acceptance_of_invalid, accepts
from contracts.oracle.request import read_raw_body
from contracts.oracle.run_list import Page, list_violations, missing_in_words, missing_runs
from contracts.oracle.violation import Violation
from contracts.oracle.wording import answer_in_words

PAGE: Final = 1000
COUNTS: Final = (1, 10, 100)
MAX_RUNS: Final = PAGE - max(COUNTS)
"""A user with more runs continues with a new workflow, so that one page shows all of its runs."""


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.add_argument("--token", default="test", is_secret=True, help="token of the organisation")
    parser.add_argument("--requests", type=int, default=0, help="stop after so many requests of each user (0: go on)")


class Client(FastHttpUser):
    wait_time = between(0, 0.02)

    def on_start(self) -> None:
        self.sent = 0
        self.begin()
        creates = (self.bulk_create, self.create, self.chain, self.refused)
        for each in (*creates, self.list_runs, self.read, self.cancel, self.retry, self.update, self.delete):
            # What stops the user here stops it at its next task too; locust reports an exception of `on_start`.
            with contextlib.suppress(RescheduleTask, StopUser):
                each()

    def begin(self) -> None:
        self.workflow = str(uuid.uuid4())
        self.runs: dict[str, KnownRun] = {}
        self.seen = Seen()

    # Requests

    def send(
        self,
        operation: str,
        method: str,
        path: str,
        judge: Callable[[Answer], Iterable[Violation]],
        body: Any = None,
        *,
        key: str = "",
        name: str = "",
    ) -> None:
        """Send a request. Every rule that its answer breaks is reported to locust."""
        if 0 < self.environment.parsed_options.requests <= self.sent:
            raise StopUser
        sent = {"Authorization": f"Bearer {self.environment.parsed_options.token}"}
        sent |= {"Idempotency-Key": key} if key else {}
        raw = None if body is None else json.dumps(body).encode()
        if raw is not None:
            sent["Content-Type"] = "application/json"
        with self.client.request(
            method, path, data=raw, headers=sent, name=name or operation, catch_response=True
        ) as response:
            # Without an answer, there are no headers.
            headers = tuple((response.headers or {}).items())
            answer = Answer(response.status_code or 0, headers, response.content or b"")
            shown = {**sent, "Authorization": TOKEN}
            request = Request(method, path, tuple(shown.items()), raw)
            violations = [*universal_violations(operation, request, answer, ())] if answer.status else []
            if answer.status not in (0, 429) and not violations:
                violations = list(judge(answer))
            if not answer.status:
                response.failure(f"no answer: {response.error}")
            elif violations:
                response.failure("; ".join(f"{v.rule}: expected {v.expected}, got {v.got}" for v in violations))
            else:
                response.success()
        if not answer.status:
            self.begin()  # what the request did to a run is not known
        if answer.status in (0, 429):
            gevent.sleep(float(answer.header("retry-after") or 1))
        self.sent += 1

    def known(self, has: Callable[[KnownRun], bool] = lambda run: True) -> KnownRun:
        """Return a run of this user. The task ends if there is none."""
        fitting = [run for run in self.runs.values() if has(run)]
        if not fitting:
            raise RescheduleTask
        return random.choice(fitting)

    # Creates

    @task(4)
    def bulk_create(self) -> None:
        self._create("bulk_create_runs", "/v1/runs/bulk", {"count": random.choice(COUNTS)})

    @task(4)
    def create(self) -> None:
        self._create("create_run", "/v1/runs", {})

    def _create(self, operation: str, path: str, more: dict[str, Any]) -> None:
        if len(self.runs) > MAX_RUNS:
            self.begin()
        body = {"workflow_id": self.workflow, "input_values": {"invoice": f"{random.random()}"}, **more}
        parsed = read_raw_body(operation, json.dumps(body).encode())

        def judge(answer: Answer) -> Iterator[Violation]:
            if not accepts(answer):
                yield Violation("BULK-STATUS", "refused", "the create to succeed", answer_in_words(answer))
                return
            judgement = judge_create(parsed, answer, now=datetime.now(UTC), seen=self.seen)
            yield from judgement.violations
            self.runs.update((run["id"], KnownRun(run, created_by=parsed)) for run in judgement.runs)

        self.send(operation, "POST", path, judge, body, key=str(uuid.uuid4()))

    @task(1)
    def chain(self) -> None:
        steps = [{"workflow_id": str(uuid.uuid4())} for _ in range(2)]

        def judge(answer: Answer) -> Iterator[Violation]:
            if not accepts(answer) or len(set(answer.json()["run_ids"])) != len(steps):
                yield Violation("CHAIN-RULES", "runs", f"{len(steps)} runs", answer_in_words(answer))

        self.send("create_run_chain", "POST", "/v1/runs/chain", judge, {"steps": steps})

    @task(1)
    def refused(self) -> None:
        """A bulk create of no runs."""
        body = {"workflow_id": self.workflow, "count": 0}
        parsed = read_raw_body("bulk_create_runs", json.dumps(body).encode())

        def judge(answer: Answer) -> Iterator[Violation]:
            violation = acceptance_of_invalid(parsed, answer) if accepts(answer) else None
            if violation is not None:
                yield violation

        self.send("bulk_create_runs", "POST", "/v1/runs/bulk", judge, body, name="bulk_create_runs (invalid)")

    # Reads

    @task(6)
    def list_runs(self) -> None:
        query = [("workflow_id", self.workflow)]
        if random.random() < 0.5:
            query.append(("status", random.choice(("scheduling", "running", "success", "cancelled"))))
        path = f"/v1/runs?{urlencode([*query, ('skip', '0'), ('limit', str(PAGE))])}"

        def judge(answer: Answer) -> Iterator[Violation]:
            if not accepts(answer):
                yield Violation("LIST-FILTER", "refused", "the list", answer_in_words(answer))
                return
            page = Page(0, PAGE, answer.json())
            candidates = [run.candidate() for run in self.runs.values()]
            yield from (found.violation for found in list_violations([page], query, candidates))
            if missing := missing_runs([page], query, candidates):
                got = missing_in_words(missing, query)
                yield Violation("LIST-COMPLETE", "a run is missing", "every run that was created", got)
            for shown in page.items:
                if shown["id"] in self.runs:
                    yield from self._read(shown)

        self.send("list_runs", "GET", path, judge)

    @task(10)
    def read(self) -> None:
        run = self.known()

        def judge(answer: Answer) -> Iterator[Violation]:
            if accepts(answer):
                yield from self._read(answer.json())
            else:
                yield Violation("READ-BACK", "refused", "the run", answer_in_words(answer))

        self.send("get_run", "GET", f"/v1/runs/{run.id}", judge)

    def _read(self, shown: Any) -> Iterator[Violation]:
        known = self.runs[shown["id"]]
        yield from known.read_violations(shown)
        self.runs[known.id] = known.after_read(shown)

    # Changes

    @task(2)
    def update(self) -> None:
        self._update(self.known(), {"input_values": {"invoice": f"{random.random()}"}})

    @task(2)
    def cancel(self) -> None:
        self._update(self.known(lambda run: not run.has_ended), {"status": "cancelled"})

    def _update(self, run: KnownRun, body: dict[str, Any]) -> None:
        def judge(answer: Answer) -> Iterator[Violation]:
            if accepts(answer):
                after = answer.json()
                yield from run.update_violations(body, after)
                self.runs[run.id] = run.after_update(body, after)
            elif answer.status != 409:  # the run may have ended meanwhile
                yield Violation("UPDATE-PARTIAL", "refused", "the update to succeed", answer_in_words(answer))

        self.send("update_run", "PATCH", f"/v1/runs/{run.id}", judge, body)

    @task(2)
    def retry(self) -> None:
        run = self.known(lambda run: run.has_ended)
        request = read_raw_body("retry_run", b"{}")

        def judge(answer: Answer) -> Iterator[Violation]:
            if accepts(answer):
                after = answer.json()
                yield from run.retry_violations(request, after)
                self.runs[run.id] = run.after_retry(request, after)
            else:
                yield Violation("RETRY-RULES", "refused", "the retry to succeed", answer_in_words(answer))

        self.send("retry_run", "POST", f"/v1/runs/{run.id}/retry", judge, {})

    @task(2)
    def delete(self) -> None:
        run = self.known()

        def judge(answer: Answer) -> Iterator[Violation]:
            if accepts(answer):
                del self.runs[run.id]
            else:
                yield Violation("DELETE-GONE", "refused", "the delete to succeed", answer_in_words(answer))

        def judge_gone(answer: Answer) -> Iterator[Violation]:
            yield from run.gone_violations("get_run", answer.status, answer_in_words(answer))

        self.send("delete_run", "DELETE", f"/v1/runs/{run.id}", judge)
        if run.id not in self.runs:
            self.send("get_run", "GET", f"/v1/runs/{run.id}", judge_gone, name="get_run (deleted)")


@events.init.add_listener
def end_when_all_are_done(environment: Any, **_: Any) -> None:
    """With --requests, the users stop by themselves, and locust with the last of them."""
    runner = environment.runner
    if not environment.parsed_options or not environment.parsed_options.requests or runner is None:
        return

    def wait() -> None:
        while runner.state not in ("running", "stopped") or runner.user_count:
            gevent.sleep(0.05)
        runner.quit()

    gevent.spawn(wait)
