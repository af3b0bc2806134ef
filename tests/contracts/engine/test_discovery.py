"""What is found out about a target before it is judged: its tokens, the ids that it accepts, and what it offers."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from contracts.core.findings import CouldNotCheck
from contracts.core.target import Budget, Target
from contracts.engine.check_context import CheckContext
from contracts.engine.discovery import discover
from contracts.guard.upstream import step_without_answer
from tests.contracts.checks import TOKENS, guarded
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import UNKNOWN, M, W
from tests.standin.serving import serving, serving_app

NO_ID = ("unknown_machine_refused", "unknown_pool_refused", "unknown_session_refused")
LIVE: dict[str, Any] = {"profile": "live", "max_time_s": 20}


def found(kind: type[Standin] | None = None, *variations: str, **settings: Any) -> CheckContext:
    """What is known of a stand-in."""
    with serving(kind, variations) as url:
        return known(url, **settings)


def known(url: str, max_time_s: float = 15, **settings: Any) -> CheckContext:
    with guarded(url, max_time_s=max_time_s, **settings) as guard:
        return discover(guard.target, guard, deadline=time.monotonic() + max_time_s)


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKENS[0]}"})


# Reachability and credentials


def test_a_healthy_server_takes_made_up_ids_and_offers_everything() -> None:
    context = found()

    assert all(ids.accepts_any_id for ids in (context.workflows, context.machines, context.pools, context.sessions))
    assert context.workflows.known
    assert context.machines.known
    assert not context.not_offered
    assert not context.notes
    assert UUID(context.first_run)


def test_a_server_that_is_not_there_cannot_be_checked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(CouldNotCheck, match=rf"no answer from {url}: .*: start the server, or correct the URL$"):
        known(url, max_time_s=2)


def test_a_server_that_takes_requests_and_does_not_answer_is_told_from_one_that_is_not_there() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(CouldNotCheck, match=r"no answer in time: it took the request, so see its log$"):
            known(url, max_time_s=1)


def test_the_proxy_is_named_where_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert "HTTPS_PROXY" in step_without_answer("https://api.example.com", reached=False)
    assert "HTTPS_PROXY" not in step_without_answer("http://api.example.com", reached=False)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("token", "the token is refused: 401 .*: give a valid one with --token or CONTRACTS_TOKEN"),
        ("second_token", "the second token is refused: 401 .*: give a valid one with --second-token, or none"),
    ],
)
def test_a_refused_token_ends_the_check(token: str, why: str) -> None:
    with pytest.raises(CouldNotCheck, match=why):
        found(**{token: "nobody's"})


class ListsForbidden(Standin):
    def list_runs(self, call: Any, query: Any) -> Any:
        raise Problem(403, "No lists.")


def test_a_token_that_may_do_something_else_is_not_refused() -> None:
    assert found(ListsForbidden, second_token=None).workflows.accepts_any_id


class CreatesForbidden(Standin):
    def bulk_create_runs(self, call: Any, body: Any) -> Any:
        raise Problem(403, "No creates.")


def test_a_token_that_may_not_create_ends_the_check() -> None:
    with pytest.raises(
        CouldNotCheck, match=r"the token is refused for creates: 403 .*No creates.*: give a valid one with --token"
    ):
        found(CreatesForbidden)


class Busy(Standin):
    async def admit(self, call: Any) -> None:
        raise Problem(429, "Later.")


def test_a_target_that_always_answers_429_cannot_be_checked() -> None:
    with pytest.raises(CouldNotCheck, match=r"kept answering the first request with 429: raise its rate limit"):
        found(Busy, max_time_s=2)


class Limited(Standin):
    async def admit(self, call: Any) -> None:
        raise Problem(429, "Later.", {"retry-after": "86400"})


def test_a_target_that_asks_to_wait_for_longer_than_there_is_time_cannot_be_checked() -> None:
    with pytest.raises(CouldNotCheck, match=r"429 \(Retry-After: 86400\).*: raise --max-time, or try again later"):
        found(Limited, max_time_s=2)


def test_without_a_single_request_in_the_budget_nothing_can_be_checked() -> None:
    with pytest.raises(CouldNotCheck, match="the first request was not sent"):
        found(budget=Budget(max_requests=0))


class CreatesHang(Standin):
    async def admit(self, call: Any) -> None:
        if call.method == "POST":
            await asyncio.sleep(2)


def test_a_target_that_knows_the_keys_of_the_seed_and_salt_cannot_be_checked() -> None:
    with serving() as url:
        known(url, seed=1, salt="a")

        with pytest.raises(CouldNotCheck, match="keys of this seed and salt from an earlier check; reset the target"):
            known(url, seed=1, salt="a")

        for other in ({"seed": 2, "salt": "a"}, {"seed": 1, "salt": "b"}, {"seed": 1, "salt": "a", "shard": (1, 2)}):
            known(url, **other)


@pytest.mark.parametrize("status", [500, 503])
def test_a_target_that_fails_once_with_a_key_is_not_said_to_know_it(status: int) -> None:
    class FailsOnce(Standin):
        """Fails until a second key comes."""

        first_key: str | None = None

        async def admit(self, call: Any) -> None:
            self.first_key = self.first_key or call.key
            if call.key and call.key == self.first_key:
                raise Problem(status, "Try again.")

    assert found(FailsOnce).first_run


def test_a_target_that_refuses_all_keys_is_left_to_the_rules() -> None:
    class RefusesKeys(Standin):
        async def admit(self, call: Any) -> None:
            if call.key:
                raise Problem(400, "No keys.")

    assert found(RefusesKeys).first_run


def test_a_target_that_is_not_known_in_time_cannot_be_checked() -> None:
    with pytest.raises(CouldNotCheck, match="discovery did not finish within 1 s; raise --max-time"):
        found(CreatesHang, max_time_s=1)


# Ids


class NothingListed(Standin):
    def list_workflows(self, call: Any, query: Any) -> Any:
        return Answer(200, {"items": []})

    list_machines = list_pools = list_workflows


class ListsOdd(Standin):
    def list_workflows(self, call: Any, query: Any) -> Any:
        return Answer(200, {"items": 5})

    def list_machines(self, call: Any, query: Any) -> Any:
        return Answer(200, raw=b"no JSON")

    def list_pools(self, call: Any, query: Any) -> Any:
        return Answer(500, {"detail": "Internal Server Error"})


def test_lists_that_cannot_be_read_give_no_ids() -> None:
    context = found(ListsOdd)

    assert (context.workflows.known, context.machines.known, context.pools.known) == ((), (), ())


def test_ids_of_the_options_come_before_those_of_lists() -> None:
    context = found(workflow_id=UNKNOWN, machine_id=M, pool_id=UNKNOWN)

    assert (context.workflows.known, context.machines.known, context.pools.known) == ((UNKNOWN,), (M,), (UNKNOWN,))
    assert found(base_request={"workflow_id": W}).workflows.known == (W,)


def test_ids_of_the_options_are_used_though_made_up_ones_are_accepted() -> None:
    with serving() as url:
        client = client_of(url)

        context = known(url, workflow_id=W, machine_id=M, pool_id=UNKNOWN)

        assert {run["workflow_id"] for run in client.get("/v1/runs?limit=1000").json()["items"]} == {W}
    assert not any(ids.accepts_any_id for ids in (context.workflows, context.machines, context.pools))
    assert context.sessions.accepts_any_id


class FirstWorkflowNeedsInputs(Standin):
    def bulk_create_runs(self, call: Any, body: Any) -> Any:
        if str(body.workflow_id) == next(iter(call.org.workflows)) and not body.input_values:
            raise Problem(422, [{"type": "missing", "loc": ["body", "input_values", "name"], "msg": "Field required"}])
        return super().bulk_create_runs(call, body)


def test_where_no_workflow_can_be_made_up_those_that_need_no_inputs_are_used() -> None:
    every = found().workflows.known

    context = found(FirstWorkflowNeedsInputs, "unknown_workflow_refused")

    assert not context.workflows.accepts_any_id
    assert context.workflows.known == every[1:]


class CreatesRefused(Standin):
    def bulk_create_runs(self, call: Any, body: Any) -> Any:
        raise Problem(422, "Never.")


class CreatesFail(Standin):
    async def admit(self, call: Any) -> None:
        if call.method == "POST":
            raise RuntimeError


def test_a_url_with_a_path_too_many_is_named_as_a_cause() -> None:
    with serving() as url, pytest.raises(CouldNotCheck, match=r"\(404 .*correct the URL, which is the part before /v1"):
        known(f"{url}/nosuch")


def test_a_url_without_the_api_is_named_where_nothing_may_be_created() -> None:
    with serving() as url, pytest.raises(CouldNotCheck, match=r"no runs API \(GET /v1/runs answers 404 .*correct the"):
        known(f"{url}/nosuch", allow_writes=False)


class OnlyReads(NothingListed):
    async def admit(self, call: Any) -> None:
        if call.method != "GET":
            raise Problem(501, "Unsupported method")


def test_a_server_of_files_is_not_asked_for_a_workflow() -> None:
    with pytest.raises(CouldNotCheck) as told:
        found(OnlyReads)
    assert str(told.value).endswith("correct the URL, which is the part before /v1")


PAGE: Any = '{"items": [], "total": 0, "skip": 0, "limit": 1}'


@pytest.mark.parametrize(
    ("body", "content_type"), [("<html></html>", "text/html"), ("", "text/plain"), (PAGE, "application/json")]
)
@pytest.mark.parametrize("allow_writes", [True, False])
def test_a_server_that_has_the_same_answer_for_every_path_has_no_runs_api(
    body: str, content_type: str, allow_writes: bool
) -> None:
    methods = []

    async def answer(request: Any) -> Response:
        methods.append(request.method)
        return Response(body, media_type=content_type)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PATCH", "PUT", "DELETE"])])
    with (
        serving_app(app) as url,
        pytest.raises(CouldNotCheck, match=rf"no runs API \(GET /v1/runs answers 200 {content_type}.*correct the URL"),
    ):
        known(url, allow_writes=allow_writes)
    # What is no API may act on a POST. An answer in JSON may come from one, so a create is tried there.
    assert set(methods) == {"GET"} or (allow_writes and body == PAGE)


class CreatesAnswer(Standin):
    status, headers = 503, None

    def bulk_create_runs(self, call: Any, body: Any) -> Any:
        return Answer(self.status, {"detail": "maintenance"}, self.headers)


class CreatesAnswerWithAPage(CreatesAnswer):
    status, headers = 501, {"content-type": "text/html; charset=utf-8"}


class CreatesAreRedirected(CreatesAnswer):
    status, headers = 302, {"location": "https://runs.example/v1/runs/bulk"}


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (CreatesAnswer, {}, r"\(503 .*; try again when the target is ready$"),
        (CreatesAnswerWithAPage, {}, r"\(501 with an HTML page\); see its log"),
        (CreatesAreRedirected, {}, r"302 .*, Location: https://runs\.example/v1/runs/bulk\); give the URL that"),
        (None, {"budget": Budget(max_requests=3)}, r"3 of 3 are spent\); raise --max-requests$"),
        (None, {"budget": Budget(max_runs=0)}, r"0 of 0 are left\); raise --max-runs, or give --no-writes$"),
    ],
)
def test_what_to_do_follows_from_why_no_create_succeeds(kind: type[Standin] | None, settings: Any, said: str) -> None:
    with pytest.raises(CouldNotCheck, match=said):
        found(kind, **settings)


@pytest.mark.parametrize(
    ("kind", "said"), [(CreatesRefused, r"422 .*Never.*\); "), (CreatesFail, r"500.*\); see its log, or ")]
)
def test_a_target_where_no_create_succeeds_cannot_be_checked(kind: type[Standin], said: str) -> None:
    with pytest.raises(CouldNotCheck, match=rf"no create succeeds \({said}give --workflow-id"):
        found(kind)


@pytest.mark.parametrize(
    ("kind", "base_request", "said"),
    [
        (CreatesRefused, {"workflow_id": W, "count": 1}, r"\); correct the request of --base-request until"),
        (
            CreatesFail,
            {"workflow_id": W, "count": 1},
            r"\); see its log, or correct the request of --base-request until",
        ),
        (CreatesRefused, None, r"\); name another workflow with --workflow-id, or give --base-request a request"),
    ],
)
def test_of_a_deployment_the_request_that_was_given_is_to_be_corrected(
    kind: type[Standin], base_request: dict[str, Any] | None, said: str
) -> None:
    workflow_id = None if base_request else W
    with pytest.raises(CouldNotCheck, match=said):
        found(kind, **LIVE | {"base_request": base_request, "workflow_id": workflow_id})


class CreatesTellNothing(Standin):
    def bulk_create_runs(self, call: Any, body: Any) -> Any:
        super().bulk_create_runs(call, body)
        return Answer(201, {"created_runs": []})


def test_a_create_that_reports_no_run_is_left_to_the_rules() -> None:
    context = found(CreatesTellNothing)

    assert context.first_run is None
    assert context.workflows.accepts_any_id


def test_where_no_id_can_be_made_up_known_ones_and_a_session_of_its_own_are_used() -> None:
    context = found(None, *NO_ID)

    assert not any(ids.accepts_any_id for ids in (context.machines, context.pools, context.sessions))
    assert context.machines.available
    assert context.pools.available
    (session,) = context.sessions.known
    assert UUID(session)
    assert not context.notes


class NoSessionsNoLists(ListsOdd):
    def bulk_create_runs(self, call: Any, body: Any) -> Any:
        if body.start_session:
            raise Problem(422, "No sessions.")
        return super().bulk_create_runs(call, body)


def test_a_missing_kind_of_id_is_noted() -> None:
    notes = found(NoSessionsNoLists, *NO_ID).notes

    assert [note.split(" is known")[0] for note in notes] == ["No machine id", "No session id"]


def test_where_no_workflow_and_no_pool_is_known_they_are_created() -> None:
    context = found(NothingListed, "unknown_workflow_refused", *NO_ID)

    (workflow,), (pool,) = context.workflows.known, context.pools.known
    assert UUID(workflow) != UUID(pool)
    assert context.guard.other_resources == {"workflows": 1, "pools": 1}


class OneMachineTaken(Standin):
    def machine_of(self, org: Any, body: Any, index: int, of: int) -> Any:
        if body.machine_id is not None and str(body.machine_id) != list(org.machines)[-1]:
            raise Problem(422, "That machine is not free.")
        return super().machine_of(org, body, index, of)


def test_of_the_known_machines_only_those_that_a_create_accepts_are_used() -> None:
    every = found().machines.known

    assert found(OneMachineTaken).machines.known == every[-1:]


# What is not offered


@pytest.mark.parametrize(
    ("variation", "missing"),
    [
        ("no_delete", {"delete_run"}),
        ("read_only_runs", {"create_run_chain", "update_run", "delete_run", "retry_run"}),
        ("resources_are_given", {"create_pool", "create_workflow", "add_machine_to_pool"}),
    ],
)
def test_a_method_that_is_405_whatever_the_id_is_not_offered(variation: str, missing: set[str]) -> None:
    assert set(found(None, variation).not_offered) == missing


def test_a_server_that_offers_only_bulk_creates_offers_nothing_else() -> None:
    not_offered = found(None, "bulk_only").not_offered

    assert {"list_runs", "get_run", "create_run", "list_machines", "get_run_attachment"} <= set(not_offered)
    assert not_offered["get_run"] == "every probe of /v1/runs/{run_id} is 404 or 405"
    assert "bulk_create_runs" not in not_offered


# Where nothing, or little, may be created


def test_a_remote_target_without_leave_to_write_gets_no_create(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as url:
        client = client_of(url)
        (there,) = client.post("/v1/runs/bulk", json={"workflow_id": W, "count": 1}).json()["created_runs"]
        monkeypatch.setattr(Target, "is_loopback", False)

        context = known(url, allow_writes=False)

        assert client.get("/v1/runs").json()["total"] == 1
    assert not context.may_create
    assert (context.first_run, context.foreign_run) == (None, there["id"])
    assert [note for note in context.notes if note.startswith("Creates were not allowed (--allow-writes)")]
    assert not context.not_offered  # that of a path only an undocumented GET may be sent says nothing


def test_a_live_check_creates_one_run_and_uses_no_machine_that_the_options_do_not_name() -> None:
    context = found(**LIVE)

    assert context.guard.spent.runs_created == 1
    assert not context.machines.available
    assert len(context.workflows.known) == 1
    assert not context.not_offered


class IdsInCapitals(Standin):
    """Ids are shown in capitals, and found by them only."""

    def show(self, run: Any, *args: Any, **more: Any) -> Any:
        return super().show(run, *args, **more) | {"id": run.id.upper()}

    def find(self, call: Any, run_id: str) -> Any:
        if call.path.rpartition("/")[2] != call.path.rpartition("/")[2].upper():
            raise Problem(404, "Run not found")
        return super().find(call, run_id.lower())


def test_operations_of_runs_whose_ids_are_no_uuids_are_offered() -> None:
    assert not {"get_run", "update_run", "delete_run"}.intersection(found(IdsInCapitals).not_offered)


class OverloadedAtTimes(Standin):
    """Every second create is refused for overload."""

    creates = 0

    async def admit(self, call: Any) -> None:
        if call.operation == "bulk_create_runs":
            self.creates += 1
            if self.creates % 2 == 0:
                raise Problem(503, "overloaded")


def test_a_create_that_is_refused_for_overload_does_not_say_that_an_id_is_refused() -> None:
    context = found(OverloadedAtTimes)

    assert context.machines.accepts_any_id
    assert context.sessions.accepts_any_id


def test_a_live_check_finds_operations_that_are_not_offered() -> None:
    assert "list_machines" in found(RunsAlone, **LIVE).not_offered


class RunsAlone(Standin):
    not_offered = frozenset({"list_machines", "get_machine", "list_pools", "create_pool"})


def test_a_live_check_leaves_no_run_behind_unless_it_may() -> None:
    with pytest.raises(CouldNotCheck, match="allow it with --leave-runs"):
        found(None, "no_delete", **LIVE)

    assert "delete_run" in found(None, "no_delete", leave_runs=True, **LIVE).not_offered


def test_a_live_check_whose_budget_bears_no_run_creates_none() -> None:
    context = found(budget=Budget(max_runs=0, max_requests=100), **LIVE)

    assert not context.may_create
    assert [note for note in context.notes if "does not cover one run" in note]


def test_a_live_check_of_a_deployment_starts_no_run_of_a_workflow_that_nobody_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Target, "is_loopback", False)
    with serving() as url:
        client = client_of(url)

        with pytest.raises(CouldNotCheck, match=r"no workflow is named .*: give --workflow-id"):
            known(url, **LIVE)

        assert client.get("/v1/runs").json()["total"] == 0
