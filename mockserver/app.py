"""The composition root: the only module that names concrete classes and wires them together."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import blake2b

from starlette.types import Receive, Scope, Send

from mockserver.admin import PREFIX as ADMIN
from mockserver.admin import Admin, Dependencies
from mockserver.admin.seeds import seeds_of_world
from mockserver.answer_budget import AnswerBudget
from mockserver.api_document import APIDocument, api_document
from mockserver.behaviour import (
    attachments,
    chains,
    machines,
    pools,
    run_creation,
    run_list,
    run_update,
    runs,
    workflows,
)
from mockserver.behaviour.context import NO_PREFERENCES, Cache, Context, Preferences, RenderedBudget, Space
from mockserver.behaviour.seeding import Seed, is_seeded, prepare
from mockserver.behaviour.world import World
from mockserver.bodies import Bodies
from mockserver.browsers import Browsers, is_from_browser
from mockserver.clock import Clock, Instant, real_time
from mockserver.downloads import PREFIX as DOWNLOADS
from mockserver.downloads import Downloads, base_url
from mockserver.endpoint import Behaviour, Endpoint
from mockserver.errors import HTTPError, MethodNotAllowed, StartError
from mockserver.events import Events
from mockserver.faults import FaultParser, read_faults
from mockserver.faults.fault import Faults
from mockserver.faults.injector import Injector
from mockserver.headers import headers_of
from mockserver.journal import Journal, JournalBudget
from mockserver.log import AccessLog, NoAccessLog
from mockserver.memory_limit import MemoryLimit
from mockserver.namespaces import Namespace, Namespaces, namespace_of
from mockserver.organisations import Organisations
from mockserver.reference import Reference
from mockserver.response import send_error, send_reply
from mockserver.routes import Routes
from mockserver.scope_keys import JOURNAL_KEY
from mockserver.settings import Settings
from mockserver.shared_faults import SharedFaults
from mockserver.shared_journal import SharedJournal
from mockserver.shared_namespaces import SharedNamespaces
from mockserver.shared_store import SharedStore
from mockserver.spec import Bounds, Coercion, Masker, Operation, compile_operations
from mockserver.state import States, origin_of_state, settings_shared_by_servers
from mockserver.store import MemoryStore, SpaceStore, Store
from mockserver.suggestions import NearPaths

BEHAVIOURS: Mapping[str, Behaviour] = {
    behaviour.__name__: behaviour
    for behaviour in (
        run_creation.bulk_create_runs,
        run_creation.create_run,
        run_list.list_runs,
        runs.get_run,
        run_update.update_run,
        runs.delete_run,
        runs.retry_run,
        chains.create_run_chain,
        attachments.list_run_attachments,
        attachments.get_run_attachment,
        attachments.download_run_attachment,
        attachments.get_run_attachment_download_url,
        machines.list_machines,
        machines.get_machine,
        pools.list_pools,
        pools.create_pool,
        pools.get_pool,
        pools.add_machine_to_pool,
        workflows.list_workflows,
        workflows.create_workflow,
        workflows.get_workflow,
    )
}

_READS = {"Allow": "GET, HEAD"}
EXPOSED_HEADERS = (
    "Idempotency-Status",
    "Mock-Warning",
    "Preference-Applied",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Content-Disposition",
)


class MockApp:
    """The mock as an ASGI application. `operations` are those of its OpenAPI document."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        store: Store | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        """`clock` is shared by all namespaces; without it, each namespace has its own. Raises StartError."""
        self.settings = settings
        api = api_document(settings.spec)
        self.operations = _operations(settings, api)
        self._near_paths = NearPaths((each.method, each.path) for each in self.operations.values())
        self._memory_limit = MemoryLimit(settings.limits.max_memory, self._drop_caches)
        self._fault_parser = FaultParser(self.operations, self._near_paths, settings.seed)
        self._initial_faults = () if settings.faults is None else read_faults(settings.faults, self._fault_parser)
        self._clock = clock
        self._rendered_budget = RenderedBudget()
        self._world = World.from_files(settings.world)
        self._journals = JournalBudget(settings.journal_bytes)
        document = next(iter(self.operations.values())).document if self.operations else None
        self._masker = Masker(document.sensitive, document.enumerations) if document else Masker(())
        self._shared: SharedStore | None = None
        self._store: Store = store or MemoryStore()
        makers = self._make_namespace, self._make_space, self._seed_space
        max_spaces = settings.limits.max_spaces
        if store is not None or not settings.store.is_shared:
            self.namespaces = Namespaces(*makers, self._store, max_spaces=max_spaces)
        else:
            fingerprint = settings_shared_by_servers(settings, self._world, api.json, self._initial_faults)
            self._shared = SharedStore(settings.store.url, fingerprint)
            self.namespaces = SharedNamespaces(*makers, self._shared, self._fault_parser, max_spaces=max_spaces)
        world, known_only, strict = self._world, settings.known_only, settings.coercion == "strict"

        def make_context(space: Space, preferences: Preferences, now: Instant, scope: Scope) -> Context:
            def sign_download(attachment_id: str, expires: int) -> str:
                return downloads.sign(base_url(scope), space, attachment_id, expires)

            return Context(space, world, preferences, known_only, strict, settings.limits, *now, sign_download)

        self._make_context = make_context
        downloads = Downloads(self.namespaces, make_context)
        self._downloads = downloads
        self._organisations = Organisations(settings.token)
        self._seeds = self._seeds_by_organisation()
        access_log = access_log or NoAccessLog()
        routes = Routes(self.operations, first_path_only=strict)
        self._endpoint = Endpoint(
            settings,
            routes=routes,
            near_paths=self._near_paths,
            behaviours={name: each for name, each in BEHAVIOURS.items() if name in self.operations},
            organisations=self._organisations,
            namespaces=self.namespaces,
            make_context=make_context,
            memory_limit=self._memory_limit,
            access_log=access_log,
        )
        self._browsers = Browsers(
            self._route,
            refuse=self._refuse,
            origins=settings.cors_origin,
            hosts=settings.allowed_host,
            exposed_headers=EXPOSED_HEADERS,
        )
        self._keeps_journal = settings.journal_bytes > 0
        self._reference = Reference(
            api, api_has=routes.has_path, has_control_api=settings.admin, has_own_tokens=bool(settings.token)
        )
        self._pages = self._reference.paths
        body_timeout = settings.limits.body_timeout
        bodies = Bodies(max_bytes=settings.max_body, max_together=settings.max_body, timeout_s=body_timeout)
        max_held_bytes = max(settings.max_body, settings.limits.max_bodies_bytes)
        self._injector = Injector(routes, bodies, access_log, max_held_bytes=max_held_bytes)
        origin = origin_of_state(settings, self._world)
        self.states = States(self.namespaces, self._fault_parser, origin, self._make_space, make_context)
        self._admin = self._make_admin() if settings.admin else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if is_from_browser(headers_of(scope)):
                await self._browsers(scope, receive, send)
            else:
                await self._route(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            raise ValueError(f"the mock speaks HTTP, not {scope['type']}")

    def _route(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the handler. Not a coroutine itself: one more would slow down every request."""
        path: str = scope["path"]
        if not path.startswith("/__"):
            if path in self._pages:
                if scope["method"] in ("GET", "HEAD"):
                    return self._show(path, scope, send)
                if path != "/":  # of which the real server knows nothing
                    return self._refuse(MethodNotAllowed("This page is read with GET", _READS), scope, receive, send)
            if self._shared is None:
                return self._serve(self.namespaces.default, path, scope, receive, send)
        return self._route_in_namespace(scope, receive, send)

    async def _route_in_namespace(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route a path that begins with `/__`: one in a namespace, a download, or the control API.

        With a shared store also every other path: the namespace may have changed on another server.
        """
        try:
            name, path = namespace_of(scope)
            namespace = await self.namespaces.get(name)
        except HTTPError as error:
            await send_error(error, scope, send)
            return
        namespace.used_at = real_time()
        if path.startswith(DOWNLOADS):
            await self._downloads(scope, receive, send)
        elif self._admin is not None and (path == ADMIN or path.startswith(f"{ADMIN}/")):
            await self._admin(namespace, path, scope, receive, send)
        else:
            answer = partial(self._serve, namespace, path, scope, receive)
            await namespace.journal.serve_recorded(answer, scope, send)

    async def _refuse(self, refusal: HTTPError, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request that is not allowed. It is in the journal of its namespace, if there is one, unless it reads
        a page or is for the control API.
        """
        namespace = None
        with suppress(HTTPError):
            name, path = namespace_of(scope)
            reads_page = path in self._pages and scope["method"] in ("GET", "HEAD")
            if not path.startswith("/__") and not reads_page:
                # A page that may not use the mock must not create namespaces.
                namespace = await (self.namespaces.find(name) if name else self.namespaces.get(name))
        if namespace is None:
            await send_error(refusal, scope, send)
            return
        now = self._begin(namespace, scope)
        answer = partial(self._endpoint.refuse, refusal, path, now, scope, receive)
        await namespace.journal.serve_recorded(answer, scope, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close_store()
        await send({"type": "lifespan.shutdown.complete"})

    async def _show(self, path: str, scope: Scope, send: Send) -> None:
        reply = self._reference.reply(path, headers_of(scope).text("accept") or "")
        await send_reply(reply, reply.render(), {}, scope, send)

    def _serve(self, namespace: Namespace, path: str, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        now = self._begin(namespace, scope)
        if namespace.faults and scope["method"] != "OPTIONS":

            def handle(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
                return self._endpoint(namespace, path, namespace.clock.read(), scope, receive, send)

            return self._injector(namespace, path, scope, receive, send, handle)
        return self._endpoint(namespace, path, now, scope, receive, send)

    def _begin(self, namespace: Namespace, scope: Scope) -> Instant:
        """Begin the entry of a request in the journal, and return the current time."""
        now = namespace.clock.read()
        if self._keeps_journal:
            scope[JOURNAL_KEY] = namespace.journal.begin(now.moment, scope)
        return now

    def _drop_caches(self) -> None:
        for _, namespace in self.namespaces.items():
            for space in namespace.spaces.values():
                space.cached = Cache()

    def _seeds_by_organisation(self) -> Mapping[str, Sequence[Seed]]:
        """The initial runs of the world file."""
        seeds: dict[str, list[Seed]] = {}
        if self._world.runs and self.settings.world is not None:
            for seed in seeds_of_world(self._world.runs, self.settings.world):
                seeds.setdefault(seed.organisation or self._organisations.default, []).append(seed)
        return seeds

    def _make_admin(self) -> Admin:
        settings = self.settings
        dependencies = Dependencies(
            settings=settings,
            operations=self.operations,
            near_paths=self._near_paths,
            namespaces=self.namespaces,
            masker=self._masker,
            fault_parser=self._fault_parser,
            started_at=real_time(),
            states=self.states,
            make_context=self._make_context,
            default_organisation=self._organisations.default,
            world=self._world,
            seeded=self._seeds.keys(),
            answer_budget=AnswerBudget(settings.limits.max_bodies_bytes, timeout_s=settings.limits.send_timeout),
            memory_limit=self._memory_limit,
        )
        return Admin(dependencies)

    def _make_namespace(self, name: str, events: Events) -> Namespace:
        clock = self._clock or Clock(scale=self.settings.time_scale)
        journal, faults = Journal(self._journals, events), Faults()
        if self._shared is not None:
            texts = self._shared.journals
            journal = SharedJournal(name, texts, events, self._masker, self.settings.journal_bytes)
            faults = SharedFaults(name, self._shared.namespaces)
        namespace = Namespace(
            name, clock=clock, shares_clock=self._clock is not None, journal=journal, events=events, faults=faults
        )
        for source in self._initial_faults:
            self._fault_parser.add(namespace.faults, source, clock)
        namespace.faults.begin()
        return namespace

    def _make_space(self, namespace: Namespace, organisation: str, key: bytes | None) -> Space:
        """`key` determines all random draws; without it, it is derived from the seed and the names."""
        name = f"{self.settings.seed} {namespace.name} {organisation}".encode("utf-8", "surrogateescape")
        return Space(
            make_store=partial(self._make_store, namespace.epoch),
            clock=namespace.clock,
            key=key or blake2b(name, digest_size=32).digest(),
            secret=namespace.secret,
            namespace=namespace.name,
            organisation=organisation,
            world=self._world,
            progression=self.settings.progression,
            rendered_budget=self._rendered_budget,
        )

    def _make_store(self, epoch: str, space: Space) -> SpaceStore:
        if self._shared is None:
            return self._store.space(space.namespace, space.organisation)
        return self._shared.space_of(space, self._shared.namespaces.epoch(space.namespace, epoch))

    async def check_store(self) -> None:
        """Raises StartError if the store does not answer, or was made with other settings."""
        if self._shared is not None:
            await self._shared.connection.open()
            await self.close_store()

    async def close_store(self) -> None:
        if self._shared is not None:
            await self._shared.connection.close()

    async def _seed_space(self, space: Space) -> None:
        seeds = self._seeds.get(space.organisation)
        if seeds and not await is_seeded(space.store):
            _, writes = await prepare(self._make_context(space, NO_PREFERENCES, space.clock.read(), {}), seeds)
            await space.store.commit(*writes)


def create_app(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    store: Store | None = None,
    access_log: AccessLog | None = None,
) -> MockApp:
    """Return the mock as an ASGI application, for in-process use. Raises StartError if it cannot start."""
    return MockApp(settings or Settings(), clock=clock, store=store, access_log=access_log)


def _operations(settings: Settings, api: APIDocument) -> dict[str, Operation]:
    bounds = Bounds(settings.limits.max_nesting, settings.limits.max_values, settings.limits.max_violations)
    if settings.spec is not None:
        return compile_operations(api.document, coercion=settings.coercion, bounds=bounds)
    operations = _built_in_operations(settings.coercion, bounds)
    missing = BEHAVIOURS.keys() - operations.keys()
    if missing:
        raise StartError(f"the built-in spec lacks operations that have a behaviour: {', '.join(sorted(missing))}")
    return dict(operations)


@lru_cache(maxsize=8)  # operations are immutable, and a test suite may start a mock for each of its tests
def _built_in_operations(coercion: Coercion, bounds: Bounds) -> Mapping[str, Operation]:
    return compile_operations(api_document(None).document, coercion=coercion, bounds=bounds)
