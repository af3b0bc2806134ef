"""The stand-in as a FastAPI application: routes, bodies, errors, and nothing of what the API means.

It is a second, independent server of the runs API. It shares no code with the mock nor with the contract suite.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from tests.standin import models
from tests.standin.behaviour import Answer, Call, Problem, Settings, Standin
from tests.standin.defects import DEFECTS
from tests.standin.variations import VARIATIONS


def create_standin(
    defect: str | type[Standin] | None = None,
    variations: Collection[str] = frozenset(),
    settings: Settings | None = None,
) -> FastAPI:
    """Healthy, but for the one defect, by its name or as a class, in the lawful variations named.

    `app.state.standin` is its behaviour.
    """
    kinds: list[type] = [] if defect is None else [DEFECTS[defect].kind if isinstance(defect, str) else defect]
    kinds += [VARIATIONS[name].kind for name in sorted(variations)]
    kind = type("Varied", (*kinds, Standin), {}) if kinds else Standin
    return wire(kind(settings or Settings()))


def sent(answer: Answer) -> Response:
    headers = {"content-type": "application/json"} if answer.status != 204 else {}
    return Response(answer.body(), answer.status, headers=headers | (answer.headers or {}))


def standin_of(request: Request) -> Standin:
    return request.app.state.standin


class Body(Request):
    async def json(self) -> Any:
        return standin_of(self).parse(await self.body())


class Operation(APIRoute):
    """Authorizes before anything else is looked at, then handles a write at most once a key."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        handler = super().get_route_handler()
        name = self.name

        async def handle(request: Request) -> Response:
            standin = standin_of(request)
            try:
                answer = await admitted(standin, Body(request.scope, request.receive))
                return sent(standin.delivered(answer, request.headers))
            except Problem as problem:
                return sent(standin.refused(problem.status, problem.detail, problem.headers, request.url.path))

        async def admitted(standin: Standin, request: Request) -> Answer:
            org = standin.authorize(request.headers.get("authorization"), name)
            call = Call(
                org=org,
                operation=name,
                method=request.method,
                path=request.url.path,
                key=request.headers.get("idempotency-key"),
                body=await request.body(),
            )
            await standin.admit(call)
            request.state.call = call

            async def once() -> Answer:
                standin.advance(org)
                try:
                    response = await handler(request)
                except RequestValidationError as error:
                    violations = standin.violations(list(error.errors()), call)
                    return standin.refused(422, violations, {}, call.path)
                except Problem as problem:
                    return standin.refused(problem.status, problem.detail, problem.headers, call.path)
                except HTTPException as problem:
                    return standin.refused(problem.status_code, problem.detail, {}, call.path)
                return Answer(response.status_code, headers=dict(response.headers), raw=bytes(response.body))

            return await standin.once(call, once)

        return handle


class Wiring(NamedTuple):
    """What the routes of a stand-in depend on: under these names it is part of its behaviour."""

    RunBulkCreate: Any
    RunCreate: Any
    RunUpdate: Any
    RunRetry: Any
    ChainCreate: Any
    RunQuery: Any
    AttachmentQuery: Any
    UrlQuery: Any
    RunId: Any
    not_offered: frozenset[str]
    doors: tuple[tuple[str, str], ...]


def wire(standin: Standin) -> FastAPI:
    wiring = Wiring(*(getattr(standin, name) for name in Wiring._fields))
    app = FastAPI(title="Stand-in", openapi_url=None, redirect_slashes=False, routes=list(routes(wiring)))
    app.state.standin = standin

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, problem: HTTPException) -> Response:
        headers = dict(problem.headers or {})
        return sent(standin.refused(problem.status_code, problem.detail, headers, request.url.path))

    return app


@lru_cache(maxsize=16)
def routes(wiring: Wiring) -> tuple[BaseRoute, ...]:
    """To make them takes longer than most tests, so stand-ins with the same wiring share them."""
    app = FastAPI(openapi_url=None)
    app.router.route_class = Operation

    def route(method: str, path: str) -> Callable[[Any], Any]:
        def add(handler: Any) -> Any:
            if handler.__name__ not in wiring.not_offered:
                app.add_api_route(f"/v1{path}", handler, methods=[method], name=handler.__name__, response_model=None)
            return handler

        return add

    @route("POST", "/runs/bulk")
    async def bulk_create_runs(request: Request, body: wiring.RunBulkCreate) -> Response:
        return sent(standin_of(request).bulk_create_runs(request.state.call, body))

    @route("POST", "/runs/chain")
    async def create_run_chain(request: Request, body: wiring.ChainCreate) -> Response:
        return sent(standin_of(request).create_run_chain(request.state.call, body))

    @route("POST", "/runs")
    async def create_run(request: Request, body: wiring.RunCreate) -> Response:
        return sent(standin_of(request).create_run(request.state.call, body))

    @route("GET", "/runs")
    async def list_runs(request: Request, query: Annotated[wiring.RunQuery, Query()]) -> Response:
        return sent(standin_of(request).list_runs(request.state.call, query))

    @route("GET", "/runs/{run_id}")
    async def get_run(request: Request, run_id: wiring.RunId, include: str | None = None) -> Response:
        return sent(standin_of(request).get_run(request.state.call, str(run_id), include))

    @route("PATCH", "/runs/{run_id}")
    async def update_run(request: Request, run_id: wiring.RunId, body: wiring.RunUpdate) -> Response:
        return sent(standin_of(request).update_run(request.state.call, str(run_id), body))

    @route("DELETE", "/runs/{run_id}")
    async def delete_run(request: Request, run_id: wiring.RunId) -> Response:
        return sent(standin_of(request).delete_run(request.state.call, str(run_id)))

    @route("POST", "/runs/{run_id}/retry")
    async def retry_run(request: Request, run_id: wiring.RunId, body: wiring.RunRetry) -> Response:
        return sent(standin_of(request).retry_run(request.state.call, str(run_id), body))

    @route("GET", "/run-attachments")
    async def list_run_attachments(request: Request, query: Annotated[wiring.AttachmentQuery, Query()]) -> Response:
        return sent(standin_of(request).list_run_attachments(request.state.call, query))

    @route("GET", "/run-attachments/{attachment_id}")
    async def get_run_attachment(request: Request, attachment_id: UUID) -> Response:
        return sent(standin_of(request).get_run_attachment(request.state.call, str(attachment_id)))

    @route("GET", "/run-attachments/{attachment_id}/download")
    async def download_run_attachment(request: Request, attachment_id: UUID) -> Response:
        return sent(standin_of(request).download_run_attachment(request.state.call, str(attachment_id)))

    @route("GET", "/run-attachments/{attachment_id}/download-url")
    async def get_run_attachment_download_url(
        request: Request, attachment_id: UUID, query: Annotated[wiring.UrlQuery, Query()]
    ) -> Response:
        call, base_url = request.state.call, str(request.base_url)
        return sent(standin_of(request).get_run_attachment_download_url(call, str(attachment_id), query, base_url))

    @route("GET", "/machines")
    async def list_machines(request: Request, query: Annotated[models.MachineQuery, Query()]) -> Response:
        return sent(standin_of(request).list_machines(request.state.call, query))

    @route("GET", "/machines/{machine_id}")
    async def get_machine(request: Request, machine_id: UUID) -> Response:
        return sent(standin_of(request).get_machine(request.state.call, str(machine_id)))

    @route("GET", "/pools")
    async def list_pools(request: Request, query: Annotated[models.Page, Query()]) -> Response:
        return sent(standin_of(request).list_pools(request.state.call, query))

    @route("POST", "/pools")
    async def create_pool(request: Request, body: models.PoolCreate) -> Response:
        return sent(standin_of(request).create_pool(request.state.call, body))

    @route("GET", "/pools/{pool_id}")
    async def get_pool(request: Request, pool_id: UUID) -> Response:
        return sent(standin_of(request).get_pool(request.state.call, str(pool_id)))

    @route("POST", "/pools/{pool_id}/machines")
    async def add_machine_to_pool(request: Request, pool_id: UUID, body: models.PoolMachines) -> Response:
        return sent(standin_of(request).add_machine_to_pool(request.state.call, str(pool_id), body))

    @route("GET", "/workflows")
    async def list_workflows(request: Request, query: Annotated[models.WorkflowQuery, Query()]) -> Response:
        return sent(standin_of(request).list_workflows(request.state.call, query))

    @route("POST", "/workflows")
    async def create_workflow(request: Request, body: models.WorkflowCreate) -> Response:
        return sent(standin_of(request).create_workflow(request.state.call, body))

    @route("GET", "/workflows/{workflow_id}")
    async def get_workflow(request: Request, workflow_id: UUID) -> Response:
        return sent(standin_of(request).get_workflow(request.state.call, str(workflow_id)))

    for method, path in wiring.doors:

        async def door(request: Request) -> Response:
            return sent(standin_of(request).behind_door(request.path_params))

        app.add_api_route(f"/v1{path}", door, methods=[method], name=f"{method} {path}", response_model=None)

    async def health_check(request: Request) -> Response:
        return sent(standin_of(request).health_check())

    async def signed_download(request: Request) -> Response:
        try:
            return sent(standin_of(request).signed_download(request.path_params["signature"]))
        except Problem as problem:
            return sent(standin_of(request).refused(problem.status, problem.detail, problem.headers, request.url.path))

    if "health_check" not in wiring.not_offered:
        app.add_route("/v1/health", health_check, methods=["GET"])
    app.add_route("/signed-downloads/{signature}", signed_download, methods=["GET"])
    return tuple(app.router.routes)
