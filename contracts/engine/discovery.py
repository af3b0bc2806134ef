"""Finds out, before a target is judged, whether it accepts the token, which ids it accepts and what it offers.

Discovery judges nothing. An operation with an unexpected answer counts as offered; the rules then report the fault.
"""

import statistics
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Answer, Request
from contracts.core.findings import CouldNotCheck
from contracts.core.json_tree import is_json
from contracts.core.target import Target
from contracts.data import write_bodies
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.offered_operations import OfferedOperations
from contracts.engine.request_building import request_for
from contracts.engine.unreported_runs import kind_of
from contracts.guard import Guard, NoAnswer, NotAllowed, NotDelivered, OutOfBudget, Refused
from contracts.guard.created import created_by
from contracts.guard.upstream import step_without_answer
from contracts.openapi.router import path_parameter
from contracts.openapi.schemas import is_uuid, operations
from contracts.oracle import accepts
from contracts.oracle.violation import excerpt

_NO_API = frozenset({404, 405, 501})
"""The statuses of servers that do not have the API."""
_CORRECT_URL = "correct the URL, which is the part before /v1"
_VALID_TOKEN = "give a valid one with --token or CONTRACTS_TOKEN"
_NAME_WORKFLOW = "give --workflow-id a workflow that the target knows"
_OVERLOAD = frozenset({429, 502, 503, 504})
_TRIES = 4


def discover(
    target: Target,
    guard: Guard,
    *,
    deadline: float,
    before_creates: Callable[[CheckContext], None] = lambda check: None,
) -> CheckContext:
    """Raises CouldNotCheck if nothing at all could be judged. `before_creates` is called before anything is created."""
    guard.set_kind_of(kind_of)
    return _Discovery(CheckContext(target, guard, deadline), before_creates).run()


class _Discovery:
    def __init__(self, check: CheckContext, before_creates: Callable[[CheckContext], None]) -> None:
        self.check = check
        self._before_creates = before_creates
        self.target = check.target
        self.first_run: Mapping[str, Any] | None = None
        self._list_answer = Answer(0, (), b"")
        """The first answer of the list of runs."""
        self._why_unanswered = "no answer"
        self._first_shown: Mapping[str, Any] | None = None
        """The first run as the target shows it. Its id may not be a UUID."""
        self._made_up_values = check.made_up("discovery")
        self._latencies_s: list[float] = []

    def run(self) -> CheckContext:
        self._reach()
        check, target = self.check, self.target
        offered = OfferedOperations(check, self._made_up_values, self._send, self._real_ids)
        if not is_json(self._list_answer.body):
            self._refuse_catch_all(offered)  # before anything is written: a site that is no API may act on a POST
        check.workflows = self._named_or_listed(target.named_workflow, "list_workflows")
        check.machines = self._named_or_listed(target.machine_id, "list_machines")
        check.pools = self._named_or_listed(target.pool_id, "list_pools")
        self._find_their_workflow()
        self._before_creates(check)
        self._create_first_run()
        self._require_new_keys()
        self._try_made_up_ids()
        offered.find_not_offered()
        self._require_runs_api(offered)
        check.first_run = None if self.first_run is None else self.first_run["id"]
        check.latency_s = statistics.median(self._latencies_s or [0.0])
        return check

    def _send(self, request: Request) -> Answer | None:
        """Return None if the guard refused the request or no answer came. Raises CouldNotCheck at the deadline."""
        began = time.monotonic()
        try:
            answer = self.check.guard.send(request).answer
            self._latencies_s.append(time.monotonic() - began)
            return answer
        except (Refused, NoAnswer) as error:
            self._why_unanswered = str(error)
            if self.check.time_left <= 0:
                raise CouldNotCheck(
                    f"discovery did not finish within {self.target.max_time_s:g} s; raise --max-time"
                ) from None
            return None

    # Reachability and credentials

    def _reach(self) -> None:
        answer = self._list_answer = self._first_answer(request_for("list_runs", query=[("limit", "1")]))
        if answer.status in {401, 403}:
            other = self._send(request_for("list_workflows", query=[("limit", "1")]))
            if other is None or other.status in {401, 403, 404, 405}:
                raise CouldNotCheck(f"the token is refused: {_in_short(answer)}: {_VALID_TOKEN}")
        if self.check.has_second:
            request = request_for("list_runs", query=[("limit", "1")], token=SECOND_TOKEN)
            answer = self._first_answer(request)
            if answer.status in {401, 403}:
                step = "give a valid one with --second-token, or none"
                raise CouldNotCheck(f"the second token is refused: {_in_short(answer)}: {step}")

    def _first_answer(self, request: Request) -> Answer:
        try:
            answer = self.check.guard.send(request).answer
        except NoAnswer as error:
            step = step_without_answer(self.target.url, reached=not isinstance(error, NotDelivered))
            raise CouldNotCheck(f"no answer from {self.target.url}: {error}: {step}") from None
        except Refused as error:
            raise CouldNotCheck(f"the first request was not sent: {error}") from None
        if answer.status == 429:
            retry_after = answer.header("retry-after")
            if retry_after is None:
                step = "raise its rate limit, or try again later"
                raise CouldNotCheck(f"the target kept answering the first request with 429: {step}")
            raise CouldNotCheck(
                f"the target answered the first request with 429 (Retry-After: {excerpt(retry_after, 40)}), which is"
                " longer than the check may take: raise --max-time, or try again later"
            )
        return answer

    # Known ids

    def _named_or_listed(self, named_id: str | None, operation: str) -> Ids:
        """Return the id that the user has named, or else those of a list. A live check uses only named machines."""
        if named_id is not None:
            return Ids((named_id,))
        is_listed = not self.check.is_live or operation == "list_workflows"
        return Ids(self._listed(operation) if is_listed else ())

    def _find_their_workflow(self) -> None:
        """Find out whether the second organisation has the workflow whose runs a live check may start."""
        named = self.target.named_workflow
        if named is None or not (self.check.is_live and self.target.may_write and self.check.has_second):
            return
        read = self._send(request_for("get_workflow", named, token=SECOND_TOKEN))
        is_theirs = read is not None and accepts(read)
        if not is_theirs and named not in self._listed("list_workflows", token=SECOND_TOKEN):
            self.check.why_not_theirs = f"the second organisation does not list workflow {named}"

    def _listed(self, operation: str, *, token: str = TOKEN) -> tuple[str, ...]:
        answer = self._send(request_for(operation, query=[("limit", "20")], token=token))
        if answer is None or answer.status != 200:
            return ()
        try:
            items = answer.json()["items"]
            return tuple(item["id"] for item in items if is_uuid(item.get("id")))
        except (ValueError, KeyError, TypeError, AttributeError):
            return ()

    # The first create

    def _create_first_run(self) -> None:
        check = self.check
        if not self.target.may_write:
            check.may_create = False
            check.note("Creates were not allowed (--allow-writes), so only the rules that need none were checked.")
            return
        if check.is_live:
            self._create_live_run()
            return
        answers: list[Answer] = []
        for workflow in self._workflows_to_try():
            for body in self._plain_bodies(workflow):
                answer = self._send(request_for("bulk_create_runs", body=body))
                if answer is None:
                    continue
                answers.append(answer)
                if accepts(answer):
                    is_made_up = workflow not in check.workflows.known
                    self.first_run, self._first_shown = _first_run(answer), _first_shown(answer)
                    known = check.workflows.known if is_made_up else self._plain_workflows()
                    check.workflows = Ids(known, accepts_any_id=is_made_up)
                    return
                if answer.status in {401, 403}:
                    raise CouldNotCheck(f"the token is refused for creates: {_in_short(answer)}: {_VALID_TOKEN}")
        if not answers:
            step = self._budget_step() or _NAME_WORKFLOW
            raise CouldNotCheck(f"no create succeeds ({self._why_unanswered}); {step}")
        last = answers[-1]
        location = last.header("location") or ""
        reason = _in_short(last) + (f", Location: {excerpt(location)}" if location else "")
        raise CouldNotCheck(f"no create succeeds ({reason}); {self._step_after(last)}")

    def _step_after(self, refused: Answer) -> str:
        """Return what the user can do if this is the answer to creates."""
        if 300 <= refused.status < 400:
            return "give the URL that the target redirects to"
        if refused.status == 503:
            return "try again when the target is ready"
        step = self._other_create()
        if accepts(refused):
            return f"its answer shows no run whose id is a UUID: see its log, or {step}"
        if refused.status in _NO_API and not self.check.workflows.known:
            return f"{_CORRECT_URL}, or {step}" if refused.status == 404 else _CORRECT_URL
        return f"see its log, or {step}" if refused.status >= 500 else step

    def _other_create(self) -> str:
        """Return how the user can name another create to begin with."""
        if not self.check.is_live:
            return _NAME_WORKFLOW
        if self.target.base_request is not None:
            return "correct the request of --base-request until the target accepts it"
        return "name another workflow with --workflow-id, or give --base-request a request that is known to work"

    def _budget_step(self) -> str:
        """Return which flag raises the budget that does not cover one create; empty if the budget covers it."""
        guard = self.check.guard
        if not guard.can_afford(runs=0, requests=1):
            return "raise --max-requests"
        return "" if guard.can_afford(runs=1, requests=0) else "raise --max-runs, or give --no-writes"

    def _workflows_to_try(self) -> Iterator[str]:
        """Yield a made-up id, and known ones. If none is known, create a workflow and yield its id."""
        if not self.target.workflow_id:
            yield self._made_up_values.uuid()
        if not self.check.workflows.known:
            self.check.workflows = Ids(self._create_other("create_workflow"))
        yield from self.check.workflows.known[:3]

    def _create_other(self, operation: str) -> tuple[str, ...]:
        """Create a pool or a workflow. Return its id, or nothing if the create does not succeed."""
        body = {name: f"contracts {self._made_up_values.letters(8)}" for name in write_bodies.minimal(operation)}
        answer = self._send(request_for(operation, body=body))
        return () if answer is None or not accepts(answer) else tuple(made.id for made in created_by(answer).runs)

    def _plain_workflows(self) -> tuple[str, ...]:
        """Return the known workflows that accept a create without inputs, or all of them if none does."""
        known = self.check.workflows.known
        good = tuple(workflow for workflow in known[:8] if self._accepts({"workflow_id": workflow, "count": 1}))
        return good or known

    def _accepts(self, body: dict[str, Any]) -> bool:
        """Return whether a bulk create with this body succeeds."""
        answer = self._answer_to_create(body)
        return answer is not None and accepts(answer)

    def _answer_to_create(self, body: dict[str, Any], *, key: str | None = None) -> Answer | None:
        """Return the answer to a bulk create. One that is refused for overload is sent again."""
        for _ in range(_TRIES):
            answer = self._send(request_for("bulk_create_runs", body=body, key=key))
            if answer is None or answer.status not in _OVERLOAD:
                break
        return answer

    def _created(self, body: dict[str, Any]) -> Mapping[str, Any] | None:
        """Bulk create with this body and return the first run; None if there is none."""
        answer = self._send(request_for("bulk_create_runs", body=body))
        return None if answer is None else _first_run(answer)

    def _create_live_run(self) -> None:
        """Create the first run of a live check, which is used by rules that need any run. A case judges the create."""
        check, target = self.check, self.target
        if target.needs_named_workflow and target.named_workflow is None:
            raise CouldNotCheck("no workflow is named for the runs on this deployment: give --workflow-id")
        try:
            has_list = self._list_answer.status not in _NO_API
            if not target.leave_runs and not has_list and not check.guard.offers_delete():
                reason = _in_short(self._list_answer)
                raise CouldNotCheck(f"there is no DELETE and no list of runs ({reason}); {_CORRECT_URL}")
            known = check.workflows.known[0] if check.workflows.known else self._made_up_values.uuid()
            body = {"workflow_id": known, "count": 1, **(target.base_request or {})}
            check.first_create = check.guard.send(request_for("bulk_create_runs", body=body))
            answer = check.first_create.answer
        except OutOfBudget:
            check.may_create = False
            check.note("The budget does not cover one run, so only requests that create nothing were sent.")
            return
        except NotAllowed as error:
            raise CouldNotCheck(str(error)) from None
        except NoAnswer as error:
            raise CouldNotCheck(f"a create gets no answer: {error}: see the log of the target") from None
        self.first_run = _first_run(answer)
        if self.first_run is None:
            raise CouldNotCheck(f"no create succeeds ({_in_short(answer)}); {self._step_after(answer)}")
        check.workflows = Ids((self.first_run["workflow_id"],))

    def _plain_bodies(self, workflow: str) -> Iterable[dict[str, Any]]:
        """Yield bodies that a target might accept for the workflow, the simplest first."""
        body = {"workflow_id": workflow, "count": 1}
        yield body
        if workflow in self.check.workflows.known or not self.check.workflows.known:
            yield body | {"input_values": {"name": "Ada"}}
            yield body | {"count": 2}

    def _require_new_keys(self) -> None:
        """Raises CouldNotCheck if an earlier check with this seed and salt has used its idempotency keys on the target,
        which would answer the same creates with the runs of that check.
        """
        if not self.check.may_create or self.check.is_live:
            return
        of_check = self._answer_to_key(self.check.made_up("key of discovery").uuid())
        if of_check is None or not 400 <= of_check.status < 500:
            return  # a target that gives no answer, or fails, says nothing about its keys
        other = self._answer_to_key(str(uuid.uuid4()))
        if other is not None and accepts(other):
            raise CouldNotCheck(
                "the target knows the idempotency keys of this seed and salt from an earlier check; reset the target,"
                " or give another --salt"
            )

    def _answer_to_key(self, key: str) -> Answer | None:
        """Return the answer to a create with this key. Its body holds the time, so it repeats no earlier create."""
        now = datetime.now(UTC).isoformat()
        return self._answer_to_create(self._plain_body() | {"input_values": {"sent_at": now}}, key=key)

    def _try_made_up_ids(self) -> None:
        check = self.check
        if not check.may_create or check.is_live:
            return
        plain = self._plain_body()
        check.machines = self._accepted_ids(check.machines, plain, "machine_id")
        check.pools = self._accepted_ids(check.pools, plain, "pool_ids")
        check.sessions = self._accepted_ids(check.sessions, plain, "session_id")
        if not check.sessions.accepts_any_id:
            run = self._created(plain | {"start_session": True})
            if run is not None and is_uuid(run.get("session_id")):
                check.sessions = Ids((run["session_id"],))
        for name, ids in (("machine", check.machines), ("pool", check.pools), ("session", check.sessions)):
            if not ids.available:
                check.note(
                    f"No {name} id is known and the target rejects made-up ids, so cases that need one were not run."
                )

    def _plain_body(self) -> dict[str, Any]:
        workflows = self.check.workflows
        workflow = self._made_up_values.uuid() if workflows.accepts_any_id else workflows.known[0]
        return {"workflow_id": workflow, "count": 1}

    def _accepted_ids(self, ids: Ids, plain: dict[str, Any], field: str) -> Ids:
        """Return `ids` if an option names one of them. Otherwise find out whether a create accepts a made-up id, and if
        not, which of the known ids it accepts.
        """
        given = (self.target.machine_id, self.target.pool_id)
        if any(known in given for known in ids.known):
            return ids

        def accepts_id(resource_id: str) -> bool:
            return self._accepts(plain | {field: [resource_id] if field == "pool_ids" else resource_id})

        if accepts_id(self._made_up_values.uuid()):
            return Ids(ids.known, accepts_any_id=True)
        known = ids.known or (self._create_other("create_pool") if field == "pool_ids" else ())
        good = filter(accepts_id, known[:8])
        return Ids(tuple(islice(good, 3)))

    # Operations that are not offered

    def _require_runs_api(self, offered: OfferedOperations) -> None:
        """Raises CouldNotCheck if no run was created, and no read is offered or all paths have the same answer."""
        if self.first_run is None:
            self._refuse_catch_all(offered)
        reads = {name for name, (method, _) in operations().items() if method == "GET"} - {"health_check"}
        if self.first_run is None and reads <= self.check.not_offered.keys():
            reason = f"GET /v1/runs answers {_in_short(self._list_answer)}"
            raise CouldNotCheck(f"there is no runs API ({reason}); {_CORRECT_URL}")

    def _refuse_catch_all(self, offered: OfferedOperations) -> None:
        """Raises CouldNotCheck if the list of runs is accepted, and a path that does not exist has the same answer."""
        if accepts(self._list_answer) and offered.answers_any_path(self._list_answer):
            content_type = excerpt(self._list_answer.header("content-type") or "without a Content-Type")
            reason = f"GET /v1/runs answers {self._list_answer.status} {content_type}, as a path that does not exist"
            raise CouldNotCheck(f"there is no runs API ({reason}); {_CORRECT_URL}")

    def _real_ids(self, path: str) -> list[str]:
        """Return an id that exists for the parameter of the path; nothing if none is known."""
        parameter = path_parameter(path)
        if parameter == "attachment_id":
            return self._an_attachment()
        if parameter != "run_id":
            return list(self.check.known_ids[parameter][:1])
        if self.first_run is not None:
            return [self.first_run["id"]]
        if self._first_shown is not None:
            return [str(self._first_shown["id"])]
        if not path.endswith("{run_id}"):
            return []
        self.check.foreign_run = next(iter(self._listed("list_runs")), None)
        return [] if self.check.foreign_run is None else [self.check.foreign_run]

    def _an_attachment(self) -> list[str]:
        check = self.check
        if not check.may_create or check.is_live:
            return list(self._listed("list_run_attachments")[:1])
        body = self._plain_body() | {"file_inputs": [{"filename": "a.txt", "content": "YQ=="}]}
        ids = (self._created(body) or {}).get("input_attachment_ids") or []
        return [attachment for attachment in ids if isinstance(attachment, str)][:1]


def _in_short(answer: Answer) -> str:
    is_html = (answer.header("content-type") or "").lower().startswith("text/html")
    return f"{answer.status} with an HTML page" if is_html else f"{answer.status} {excerpt(answer.body)}"


def _first_shown(answer: Answer) -> Mapping[str, Any] | None:
    return next((run.body for run in created_by(answer).runs), None)


def _first_run(answer: Answer) -> Mapping[str, Any] | None:
    run = _first_shown(answer)
    return run if run is not None and is_uuid(run.get("id")) else None
