"""What the stand-in does, in small methods, so that a planted defect or a lawful variation overrides one of them.

A method is named for the question it answers. `where` is the operation an answer belongs to; `index` and `of` say
which item of how many is being made or shown. HTTP wiring is in server.py, state in store.py.
"""

import asyncio
import base64
import binascii
import hashlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from tests.standin import models
from tests.standin.models import Status
from tests.standin.store import EDGES, TERMINAL, Answered, Attachment, Lifecycle, Organisation, Run, moment

SECRETS = frozenset({"sensitive_input_values", "sensitive_inputs", "shared_sensitive_inputs"})
MASK = "***"
ALWAYS = ("id", "workflow_id", "machine_id", "status", "created_at")
MAX_DEPTH = 150
MAX_BODY_BYTES = 64 * 1024 * 1024
SEARCHED_VALUES = 20_000  # whose texts are remembered
TYPES = {"txt": "text/plain", "pdf": "application/pdf", "csv": "text/csv", "json": "application/json"}


@dataclass(frozen=True)
class Settings:
    """`handling_s` is how long a write with an idempotency key takes, so that two that arrive at once do meet."""

    tokens: tuple[str, ...] = ("standin-token-one", "standin-token-two")
    scheduling_s: float = 0.2
    running_s: float = 0.3
    handling_s: float = 0.02
    clock: Callable[[], float] = time.time


class Problem(Exception):
    """A refusal, as it goes out."""

    def __init__(self, status: int, detail: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


@dataclass(frozen=True)
class Answer:
    status: int
    content: Any = None
    headers: dict[str, str] | None = None
    raw: bytes | None = None

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return json.dumps(self.content, allow_nan=False, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Call:
    """One request, once its sender is known. Header names are in lower case here and in answers."""

    org: Organisation
    operation: str
    method: str
    path: str
    key: str | None
    body: bytes


class Standin:
    RunBulkCreate: type[BaseModel] = models.RunBulkCreate
    RunCreate: type[BaseModel] = models.RunCreate
    RunUpdate: type[BaseModel] = models.RunUpdate
    RunRetry: type[BaseModel] = models.RunRetry
    ChainCreate: type[BaseModel] = models.ChainCreate
    RunQuery: type[BaseModel] = models.RunQuery
    AttachmentQuery: type[BaseModel] = models.AttachmentQuery
    UrlQuery: type[BaseModel] = models.UrlQuery
    RunId: type = uuid.UUID  # what a path takes for the id of a run
    Lifecycle = Lifecycle
    not_offered: frozenset[str] = frozenset()
    doors: tuple[tuple[str, str], ...] = ()  # (method, path) beyond the documented ones

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lifecycle = self.Lifecycle(settings.scheduling_s, settings.running_s)
        self.organisations = {
            token: Organisation(f"org_{number}") for number, token in enumerate(settings.tokens, start=1)
        }
        self.signed: dict[str, tuple[float, Attachment]] = {}
        self.leaves_of: dict[int, tuple[Any, list[str]]] = {}

    def behind_door(self, ids: dict[str, str]) -> Answer:
        return Answer(200, {"status": "ok"})

    # -- who asks

    def authorize(self, authorization: str | None, operation: str) -> Organisation:
        token = self.token_in(authorization, operation)
        org = self.owner_of(token)
        if org is None:
            raise self.unauthorized("The token is not valid.")
        return org

    def token_in(self, authorization: str | None, operation: str) -> str:
        if authorization is None:
            raise self.unauthorized("An Authorization header is needed.")
        scheme, _, token = authorization.partition(" ")
        if not self.is_scheme(scheme):
            raise self.unauthorized("Only Bearer is understood.")
        return token.strip()

    def is_scheme(self, scheme: str) -> bool:
        return scheme.lower() == "bearer"

    def owner_of(self, token: str) -> Organisation | None:
        return self.organisations.get(token)

    def unauthorized(self, detail: str) -> Problem:
        return Problem(401, detail, {"www-authenticate": "Bearer"})

    def refused(self, status: int, detail: Any, headers: dict[str, str], path: str) -> Answer:
        """Every error of every path becomes an answer here."""
        return Answer(status, {"detail": detail}, headers)

    def delivered(self, answer: Answer, headers: Mapping[str, str]) -> Answer:
        """An answer to a request with these headers, as it goes out."""
        return answer

    async def admit(self, call: Call) -> None:
        """The last word before an operation: rate limits are here. May raise Problem."""

    # -- reading a body

    def parse(self, body: bytes) -> Any:
        """The body as JSON. Raises json.JSONDecodeError for what is none, UnicodeDecodeError for undecodable bytes."""
        if len(body) > MAX_BODY_BYTES:
            raise Problem(413, "The body is too large.")
        text = body.decode("utf-8")
        try:
            parsed = json.loads(text, parse_constant=self.constant, parse_float=self.double)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError("beyond what is read: a number or its nesting", "", 0) from error
        if self.depth(parsed) > MAX_DEPTH:
            raise json.JSONDecodeError("nested too deeply", "", 0)
        return parsed

    def constant(self, name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    def double(self, text: str) -> float:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"{text} is out of range")
        return value

    def depth(self, value: Any) -> int:
        deepest, level = 0, [value]
        while level:
            level = [
                child
                for one in level
                if isinstance(one, dict | list)
                for child in (one.values() if isinstance(one, dict) else one)
            ]
            deepest += 1
        return deepest

    def violations(self, errors: list[dict[str, Any]], call: Call | None) -> list[dict[str, Any]]:
        return [self.violation(error, call) for error in errors]

    def violation(self, error: dict[str, Any], call: Call | None) -> dict[str, Any]:
        shown = {"type": error["type"], "loc": list(error["loc"]), "msg": error["msg"]}
        if "input" in error:
            shown["input"] = self.input_shown(error, call)
        if error.get("ctx"):
            shown["ctx"] = {name: self.plain(value) for name, value in error["ctx"].items()}
        return shown

    def input_shown(self, error: dict[str, Any], call: Call | None) -> Any:
        if SECRETS.intersection(part for part in error["loc"] if isinstance(part, str)):
            return MASK
        if tuple(error["loc"]) == ("body",) and not isinstance(error["input"], dict | list | None):
            return MASK
        return self.masked(error["input"])

    def masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.plain(key): MASK if key in SECRETS else self.masked(content) for key, content in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked(content) for content in value]
        return self.plain(value)

    def plain(self, value: Any) -> Any:
        return value if isinstance(value, str | int | float | bool | None) else str(value)

    # -- idempotency

    async def once(self, call: Call, handle: Callable[[], Awaitable[Answer]]) -> Answer:
        """Handles a write at most once a key."""
        if not call.key or call.method not in self.keyed_methods():
            return await handle()
        name = self.key_name(call)
        known = self.keys_of(call).get(name)
        if known is not None:
            if known.request != self.fingerprint(call):
                raise self.key_conflict()
            if known.answer is None:
                return await self.meanwhile(known)
            return self.replayed(known)
        known = self.keys_of(call)[name] = Answered(self.fingerprint(call))
        await asyncio.sleep(self.settings.handling_s)
        try:
            answer = await handle()
            known.answer = (answer.status, answer.headers or {}, answer.body())
        except BaseException:
            del self.keys_of(call)[name]
            raise
        finally:
            known.done.set()
        return answer

    def keyed_methods(self) -> frozenset[str]:
        return frozenset({"POST", "PATCH", "DELETE"})

    def keys_of(self, call: Call) -> dict[str, Answered]:
        return call.org.keys

    def key_name(self, call: Call) -> str:
        return call.key or ""

    def fingerprint(self, call: Call) -> str:
        return f"{call.method} {call.path} {hashlib.sha256(call.body).hexdigest()}"

    def key_conflict(self) -> Problem:
        return Problem(409, "The idempotency key was used for another request.")

    async def meanwhile(self, known: Answered) -> Answer:
        raise Problem(409, "A request with this key is being handled.", {"idempotency-status": "in_progress"})

    def replayed(self, known: Answered) -> Answer:
        assert known.answer is not None
        status, headers, body = known.answer
        return Answer(status, headers=headers, raw=body)

    # -- time

    def now(self, org: Organisation) -> float:
        """Never earlier than the newest run, so that the order of creation is the order of created_at."""
        org.newest = max(org.newest, self.settings.clock())
        return org.newest

    def advance(self, org: Organisation) -> None:
        self.lifecycle.advance(org, self.now(org))

    # -- creating runs

    def bulk_create_runs(self, call: Call, body: Any) -> Answer:
        runs = self.bulk_made(call, body)
        return Answer(201, self.bulk_answer(runs, body))

    def bulk_made(self, call: Call, body: Any) -> list[Run]:
        session_id = self.bulk_session(body)
        return [
            self.run_made(call, body, index, body.count, session_id, self.created_at(call.org))
            for index in range(self.bulk_length(body))
        ]

    def bulk_length(self, body: Any) -> int:
        return int(body.count)

    def bulk_session(self, body: Any) -> str | None:
        if body.session_id is not None:
            return str(body.session_id)
        return str(uuid.uuid4()) if body.start_session else None

    def bulk_answer(self, runs: list[Run], body: Any) -> dict[str, Any]:
        shown = [self.show(run, "bulk_create_runs", index, len(runs)) for index, run in enumerate(runs)]
        return {"created_runs": shown, "failed_count": 0, "errors": []}

    def create_run(self, call: Call, body: Any) -> Answer:
        session_id = None if body.session_id is None else str(body.session_id)
        run = self.run_made(call, body, 0, 1, session_id, self.created_at(call.org))
        return Answer(201, self.show(run, "create_run"))

    def single_session(self, body: Any, run: Run) -> str | None:
        return run.id if body.start_session else None

    def created_at(self, org: Organisation) -> datetime:
        return moment(self.now(org))

    def run_made(self, call: Call, body: Any, index: int, of: int, session_id: str | None, created_at: datetime) -> Run:
        """One run of a create, stored and on its way. `body` is a RunBulkCreate or a RunCreate."""
        org = call.org
        org.created += 1
        run = Run(
            id=self.new_id(org, index, of),
            number=org.created,
            organization_id=org.id,
            workflow_id=self.workflow_of(body, index, of),
            created_at=created_at,
            session_id=session_id,
            session_alias=getattr(body, "session_alias", None),
            release_session_after=getattr(body, "release_session_after", None),
        )
        if call.operation == "create_run" and session_id is None:
            run.session_id = self.single_session(body, run)
        run.machine_id = self.machine_of(org, body, index, of)
        run.pool_ids = self.pools_of(body, index, of)
        run.input_values = self.inputs_of(body, index, of)
        run.sensitive_input_aliases = self.hide(org, body.sensitive_input_values, index, of)
        run.input_attachment_ids = self.attach(org, run, body.file_inputs or [], index, of)
        self.put(org, run)
        return run

    def put(self, org: Organisation, run: Run) -> None:
        org.runs[run.id] = run
        self.lifecycle.schedule(org, run, self.now(org))

    def new_id(self, org: Organisation, index: int, of: int) -> str:
        return str(uuid.uuid4())

    def workflow_of(self, body: Any, index: int, of: int) -> str:
        return str(body.workflow_id)

    def machine_of(self, org: Organisation, body: Any, index: int, of: int) -> str | None:
        return None if body.machine_id is None else str(body.machine_id)

    def pools_of(self, body: Any, index: int, of: int) -> list[str] | None:
        return None if body.pool_ids is None else [str(pool_id) for pool_id in body.pool_ids]

    def inputs_of(self, body: Any, index: int, of: int) -> dict[str, Any] | None:
        values: dict[str, Any] | None = body.input_values
        return values

    def hide(
        self, org: Organisation, values: dict[str, Any] | None, index: int = 0, of: int = 1
    ) -> dict[str, str] | None:
        """The values go to the vault; what is left of each is an alias."""
        if values is None:
            return None
        aliases = {name: self.alias(name, value) for name, value in values.items()}
        org.vault.update((aliases[name], value) for name, value in values.items())
        return aliases

    def alias(self, name: str, value: Any) -> str:
        return f"alias_{uuid.uuid4().hex}"

    def attach(self, org: Organisation, run: Run, files: list[Any], index: int = 0, of: int = 1) -> list[str]:
        made = [self.attachment(org, run, file) for file in files]
        org.attachments.update((one.id, one) for one in made)
        return [one.id for one in made]

    def attachment(self, org: Organisation, run: Run, file: Any) -> Attachment:
        attachment_id = str(uuid.uuid4())
        return Attachment(
            id=attachment_id,
            run_id=run.id,
            filename=file.filename,
            content=self.content_of(file),
            content_type=TYPES.get(file.filename.rpartition(".")[2].lower(), "application/octet-stream"),
            attachment_type="input",
            target_path=file.target_path,
            cleanup_imports_after_run=file.cleanup_imports_after_run,
            created_at=run.created_at,
            storage_path=f"{org.id}/{run.id}/{attachment_id}",
        )

    def content_of(self, file: Any) -> bytes:
        """What is not base64 is kept as it is written."""
        try:
            return base64.b64decode(file.content, validate=True)
        except (binascii.Error, ValueError):
            return str(file.content).encode("utf-8", "surrogatepass")

    # -- showing runs

    def show(self, run: Run, where: str, index: int = 0, of: int = 1) -> dict[str, Any]:
        return {
            "id": run.id,
            "workflow_id": run.workflow_id,
            "machine_id": run.machine_id,
            "user_id": None,
            "organization_id": run.organization_id,
            "status": str(run.status),
            "error": run.error,
            "output_data": run.output_data,
            "input_attachment_ids": run.input_attachment_ids,
            "output_attachment_ids": run.output_attachment_ids,
            "run_message_history": run.run_message_history,
            "input_values": run.input_values,
            "pool_ids": run.pool_ids,
            "sensitive_input_aliases": run.sensitive_input_aliases,
            "session_id": run.session_id,
            "session_alias": run.session_alias,
            "release_session_after": run.release_session_after,
            "usage_metadata": run.usage_metadata,
            "created_at": self.written(run.created_at),
            "started_at": self.written(run.started_at),
            "ended_at": self.written(run.ended_at),
        }

    def written(self, at: datetime | None) -> str | None:
        return None if at is None else at.isoformat().replace("+00:00", "Z")

    # -- reading runs

    def find(self, call: Call, run_id: str) -> Run:
        run = call.org.runs.get(run_id)
        if run is None:
            raise self.unknown("Run")
        return run

    def unknown(self, what: str) -> Problem:
        return Problem(404, f"{what} not found")

    def get_run(self, call: Call, run_id: str, include: str | None) -> Answer:
        run = self.find(call, run_id)
        shown = self.show(run, "get_run")
        if include is not None:
            shown["included"] = self.included(call.org, [run], include)
        return Answer(200, shown)

    def list_runs(self, call: Call, query: Any) -> Answer:
        query = query.model_copy(update=self.ids_as_texts(query))
        found = self.ordered([run for run in self.listed(call) if self.matches(run, query)], query)
        page = self.page(found, query)
        items = [self.show(run, "list_runs", index, len(page)) for index, run in enumerate(page)]
        if query.fields_ is not None:
            kept = self.kept_fields(query)
            items = [{name: value for name, value in item.items() if name in kept} for item in items]
        answer = self.listing(items, self.total(call, found, query), query)
        if query.include is not None:
            answer["included"] = self.included(call.org, page, query.include)
        return Answer(200, answer)

    def ids_as_texts(self, query: Any) -> dict[str, str]:
        """A UUID is slow to turn into a text: once for a query, not once for each run."""
        return {name: str(value) for name, value in query if isinstance(value, uuid.UUID)}

    def listing(self, items: list[Any], total: int, query: Any) -> dict[str, Any]:
        return {"items": items, "total": total, "skip": query.skip, "limit": query.limit}

    def listed(self, call: Call) -> list[Run]:
        return list(call.org.runs.values())

    def total(self, call: Call, found: list[Run], query: Any) -> int:
        return len(found)

    def kept_fields(self, query: Any) -> set[str]:
        return {*ALWAYS, *(str(name) for name in query.fields_)}

    def ordered(self, runs: list[Run], query: Any) -> list[Run]:
        """Newest first; sorting is stable, so that activity keeps that order within the active and the ended."""
        newest_first = sorted(runs, key=self.newest_first)
        if query.sort_mode == models.SortMode.CREATED_AT_DESC:
            return newest_first
        return sorted(newest_first, key=lambda run: run.status in TERMINAL)

    def newest_first(self, run: Run) -> Any:
        return -run.number

    def page(self, found: list[Any], query: Any) -> list[Any]:
        return found[query.skip : query.skip + query.limit]

    def matches(self, run: Run, query: Any) -> bool:
        return (
            (query.workflow_id is None or run.workflow_id == query.workflow_id)
            and (query.machine_id is None or run.machine_id == query.machine_id)
            and (query.session_id is None or run.session_id == query.session_id)
            and (query.status is None or run.status == query.status)
            and ((query.created_at_from is None and query.created_at_to is None) or self.in_window(run, query))
            and (query.search is None or self.has_text(run, query))
        )

    def in_window(self, run: Run, query: Any) -> bool:
        since, until = self.aware(query.created_at_from), self.aware(query.created_at_to)
        return (since is None or since <= run.created_at) and (until is None or run.created_at <= until)

    def aware(self, at: datetime | None) -> datetime | None:
        return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at

    def has_text(self, run: Run, query: Any) -> bool:
        wanted = self.folded(query.search)
        return any(wanted in self.folded(text) for text in self.texts(run, deep=query.deep_search))

    def folded(self, text: str) -> str:
        return text.lower()

    def texts(self, run: Run, *, deep: bool) -> Iterator[str]:
        yield run.id
        yield from self.leaves_once(run.input_values)
        yield from self.leaves_once(run.output_data)
        yield from self.leaves_once(run.error)
        yield run.session_alias or ""
        if deep:
            yield from self.leaves_once(run.run_message_history)

    def leaves_once(self, value: Any) -> list[str]:
        """The leaves of a value, which every search asks for again. A value is replaced, never changed in place;
        the entry keeps the value alive, so that its id() stays its own."""
        if value is None:
            return []
        known = self.leaves_of.get(id(value))
        if known is None:
            if len(self.leaves_of) >= SEARCHED_VALUES:
                self.leaves_of.clear()
            known = self.leaves_of[id(value)] = value, list(self.leaves(value))
        return known[1]

    def leaves(self, value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for content in value.values():
                yield from self.leaves(content)
        elif isinstance(value, list):
            for content in value:
                yield from self.leaves(content)
        elif isinstance(value, str):
            yield value
        elif type(value) in {int, float}:
            yield repr(value)  # as json.dumps does, which is slow
        elif value is not None:
            yield json.dumps(value)

    def included(self, org: Organisation, runs: list[Run], include: str) -> list[dict[str, Any]]:
        """What cannot be included is not asked about."""
        wanted = {name.strip() for name in include.split(",")}
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for run in runs:
            machine = org.machines.get(run.machine_id or "")
            if "workflow" in wanted and run.workflow_id in org.workflows:
                found["workflow", run.workflow_id] = self.workflow_shown(org.workflows[run.workflow_id])
            if "machine" in wanted and machine is not None:
                found["machine", machine["id"]] = self.machine_shown(org, machine)
            if "machine.pools" in wanted and machine is not None:
                found.update((("pool", one), self.pool_shown(org, org.pools[one])) for one in machine["pools"])
        return [{"type": kind, **shown} for (kind, _), shown in found.items()]

    # -- changing runs

    def update_run(self, call: Call, run_id: str, body: Any) -> Answer:
        run = self.find(call, run_id)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        status = given.pop("status", None)
        if status is not None and status != run.status:
            self.check_edge(call.org, run, status)
        for name, value in given.items():
            self.change(run, name, value)
        if status is not None and status != run.status:
            self.move(call.org, run, status)
        return Answer(200, self.show(run, "update_run"))

    def change(self, run: Run, name: str, value: Any) -> None:
        setattr(run, name, self.aware(value) if isinstance(value, datetime) else value)

    def check_edge(self, org: Organisation, run: Run, status: Status) -> None:
        if status not in EDGES.get(Status(run.status), set()):
            raise Problem(409, f"A run that is {run.status} does not become {status}.")
        session = org.sessions.get(run.session_id or "")
        if status == Status.RUNNING and session is not None and session.current is not run:
            raise Problem(409, "Another run has the session's machine.")

    def move(self, org: Organisation, run: Run, status: Status) -> None:
        now = self.now(org)
        if status == Status.RUNNING:
            run.epoch += 1
            self.lifecycle.start(org, run, now)
            return
        run.status = status
        if status in TERMINAL:
            run.epoch += 1
            run.ended_at = run.ended_at or moment(now)
            if status in (Status.ERROR, Status.TASK_FAILED):
                run.error = run.error or ["Ended by an update."]
            self.lifecycle.leave(org, run, now)

    def delete_run(self, call: Call, run_id: str) -> Answer:
        run = self.find(call, run_id)
        self.forget(call.org, run)
        self.forget_attachments(call.org, run)
        return Answer(204, raw=b"")

    def forget(self, org: Organisation, run: Run) -> None:
        del org.runs[run.id]
        run.epoch += 1
        self.lifecycle.leave(org, run, self.now(org))

    def forget_attachments(self, org: Organisation, run: Run) -> None:
        for one in [one for one in org.attachments.values() if one.run_id == run.id]:
            del org.attachments[one.id]

    def retry_run(self, call: Call, run_id: str, body: Any) -> Answer:
        run = self.find(call, run_id)
        if not self.may_retry(run):
            raise Problem(409, "Only a run that has ended can be retried.")
        self.take_over(call.org, run, body)
        self.clear(call.org, run)
        self.again(call.org, run)
        return Answer(200, self.show(run, "retry_run"))

    def may_retry(self, run: Run) -> bool:
        return run.status in TERMINAL

    def take_over(self, org: Organisation, run: Run, body: Any) -> None:
        """What a retry names replaces what the run had."""
        if body.input_values is not None:
            run.input_values = self.inputs_of(body, 0, 1)
        if body.sensitive_input_values is not None:
            run.sensitive_input_aliases = self.hide(org, body.sensitive_input_values)
        if body.file_inputs is not None:
            for attachment_id in run.input_attachment_ids:
                org.attachments.pop(attachment_id, None)
            run.input_attachment_ids = self.attach(org, run, body.file_inputs)
        if body.machine_id is not None:
            run.machine_id = self.machine_of(org, body, 0, 1)
        if body.pool_ids is not None:
            run.pool_ids = self.pools_of(body, 0, 1)
        if body.session_alias is not None:
            run.session_alias = body.session_alias
        if body.release_session_after is not None:
            run.release_session_after = body.release_session_after
        if body.session_id is not None:
            run.session_id = str(body.session_id)
        elif body.start_session:
            run.session_id = self.single_session(body, run)
        elif body.reuse_session is False:
            run.session_id = None

    def clear(self, org: Organisation, run: Run) -> None:
        run.output_data = run.error = run.run_message_history = None
        for attachment_id in run.output_attachment_ids or []:
            org.attachments.pop(attachment_id, None)
        run.output_attachment_ids = None
        run.started_at = run.ended_at = None

    def again(self, org: Organisation, run: Run) -> None:
        run.status = Status.SCHEDULING
        run.epoch += 1
        self.lifecycle.schedule(org, run, self.now(org))

    # -- chains

    def create_run_chain(self, call: Call, body: Any) -> Answer:
        session_id = self.chain_session(body)
        runs = [
            self.step_made(call, body, index, len(body.steps), session_id, self.created_at(call.org))
            for index in range(self.chain_length(body))
        ]
        return Answer(201, {"session_id": session_id, "run_ids": self.chain_ids(runs)})

    def chain_length(self, body: Any) -> int:
        return len(body.steps)

    def chain_session(self, body: Any) -> str:
        return str(uuid.uuid4() if body.session_id is None else body.session_id)

    def chain_ids(self, runs: list[Run]) -> list[str]:
        return [run.id for run in runs]

    def step_made(self, call: Call, body: Any, index: int, of: int, session_id: str, created_at: datetime) -> Run:
        step = body.steps[index]
        last = index == of - 1
        create = models.RunCreate.model_construct(
            workflow_id=step.workflow_id,
            machine_id=body.machine_id,
            pool_ids=body.pool_ids,
            input_values=self.merged(body.shared_inputs, step.inputs),
            sensitive_input_values=self.merged(body.shared_sensitive_inputs, step.sensitive_inputs),
            file_inputs=body.shared_file_inputs,
            session_alias=step.session_alias,
            release_session_after=last and not body.keep_session_after_completion,
        )
        return self.run_made(call, create, index, of, session_id, created_at)

    def merged(self, shared: dict[str, Any] | None, own: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if shared is None and own is None else {**(shared or {}), **(own or {})}

    # -- attachments

    def find_attachment(self, call: Call, attachment_id: str) -> Attachment:
        found = call.org.attachments.get(attachment_id)
        if found is None:
            raise self.unknown("Attachment")
        return found

    def attachment_shown(self, one: Attachment) -> dict[str, Any]:
        return {
            "id": one.id,
            "run_id": one.run_id,
            "filename": one.filename,
            "content_type": one.content_type,
            "attachment_type": one.attachment_type,
            "size_bytes": self.size(one),
            "storage_path": one.storage_path,
            "target_path": one.target_path,
            "cleanup_imports_after_run": one.cleanup_imports_after_run,
            "created_at": self.written(one.created_at),
        }

    def size(self, one: Attachment) -> int:
        return len(one.content)

    def list_run_attachments(self, call: Call, query: Any) -> Answer:
        query = query.model_copy(update=self.ids_as_texts(query))
        found = [one for one in call.org.attachments.values() if self.attachment_matches(one, query)]
        items = [self.attachment_shown(one) for one in self.page(found, query)]
        return Answer(200, self.listing(items, len(found), query))

    def attachment_matches(self, one: Attachment, query: Any) -> bool:
        return (query.run_id is None or one.run_id == query.run_id) and (
            query.attachment_type is None or one.attachment_type == query.attachment_type
        )

    def get_run_attachment(self, call: Call, attachment_id: str) -> Answer:
        return Answer(200, self.attachment_shown(self.find_attachment(call, attachment_id)))

    def download_run_attachment(self, call: Call, attachment_id: str) -> Answer:
        return self.download(self.find_attachment(call, attachment_id))

    def download(self, one: Attachment) -> Answer:
        headers = {
            "content-type": one.content_type,
            "content-disposition": f"attachment; filename*=UTF-8''{quote(one.filename, safe='', errors='replace')}",
        }
        return Answer(200, headers=headers, raw=self.bytes_of(one))

    def bytes_of(self, one: Attachment) -> bytes:
        return one.content

    def get_run_attachment_download_url(self, call: Call, attachment_id: str, query: Any, base_url: str) -> Answer:
        found = self.find_attachment(call, attachment_id)
        signature = uuid.uuid4().hex
        self.signed[signature] = (self.settings.clock() + query.expires_in, found)
        return Answer(200, {"url": f"{base_url}signed-downloads/{signature}", "expires_in": query.expires_in})

    def signed_download(self, signature: str) -> Answer:
        until, found = self.signed.get(signature, (0.0, None))
        if found is None or until < self.settings.clock():
            raise self.unknown("Download")
        return self.download(found)

    # -- machines, pools, workflows

    def find_in(self, kept: dict[str, dict[str, Any]], key: str, what: str) -> dict[str, Any]:
        if key not in kept:
            raise self.unknown(what)
        return kept[key]

    def machine_shown(self, org: Organisation, machine: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": machine["id"],
            "name": machine["name"],
            "unkey_key_id": f"key_{machine['id'][:8]}",
            "status": "connected",
            "is_available": True,
            "alerts_enabled": False,
            "created_at": self.written(machine["created_at"]),
            "last_seen": self.written(datetime.now(UTC)),
            "reserved_session_id": None,
            "organization_id": org.id,
            "pools": [self.pool_shown(org, org.pools[pool_id]) for pool_id in machine["pools"]],
        }

    def pool_shown(self, org: Organisation, pool: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": pool["id"],
            "name": pool["name"],
            "description": pool["description"],
            "pool_parameters": pool.get("pool_parameters"),
            "organization_id": org.id,
            "created_at": self.written(pool["created_at"]),
            "updated_at": self.written(pool["created_at"]),
            "machine_count": sum(pool["id"] in machine["pools"] for machine in org.machines.values()),
        }

    def workflow_shown(self, workflow: dict[str, Any]) -> dict[str, Any]:
        return workflow | {name: self.written(workflow[name]) for name in ("created_at", "updated_at")}

    def list_machines(self, call: Call, query: Any) -> Answer:
        shown = [self.machine_shown(call.org, one) for one in call.org.machines.values()]
        shown = [one for one in shown if query.status in (None, one["status"]) and query.name in (None, one["name"])]
        found = self.having(shown, query.search, "name", "hostname", "id")
        items = self.page(found, query)
        return Answer(200, self.listing(items, len(found), query))

    def having(self, items: list[dict[str, Any]], text: str, *names: str) -> list[dict[str, Any]]:
        return [one for one in items if any(text.lower() in str(one.get(name) or "").lower() for name in names)]

    def get_machine(self, call: Call, machine_id: str) -> Answer:
        return Answer(200, self.machine_shown(call.org, self.find_in(call.org.machines, machine_id, "Machine")))

    def list_pools(self, call: Call, query: Any) -> Answer:
        found = list(call.org.pools.values())
        items = [self.pool_shown(call.org, one) for one in self.page(found, query)]
        return Answer(200, self.listing(items, len(found), query))

    def create_pool(self, call: Call, body: Any) -> Answer:
        pool_id = str(uuid.uuid4())
        made = {
            "id": pool_id,
            "name": body.name,
            "description": body.description,
            "pool_parameters": body.pool_parameters,
            "created_at": self.created_at(call.org),
        }
        call.org.pools[pool_id] = made
        return Answer(201, self.pool_shown(call.org, made))

    def get_pool(self, call: Call, pool_id: str) -> Answer:
        return Answer(200, self.pool_shown(call.org, self.find_in(call.org.pools, pool_id, "Pool")))

    def add_machine_to_pool(self, call: Call, pool_id: str, body: Any) -> Answer:
        pool = self.find_in(call.org.pools, pool_id, "Pool")
        machines = [self.find_in(call.org.machines, str(one), "Machine") for one in body.machine_ids]
        for machine in machines:
            if pool_id not in machine["pools"]:
                machine["pools"].append(pool_id)
        return Answer(200, self.pool_shown(call.org, pool))

    def list_workflows(self, call: Call, query: Any) -> Answer:
        found = self.having(list(call.org.workflows.values()), query.search, "name", "main_prompt", "id")
        items = [self.workflow_shown(one) for one in self.page(found, query)]
        return Answer(200, self.listing(items, len(found), query))

    def create_workflow(self, call: Call, body: Any) -> Answer:
        now = self.created_at(call.org)
        made = {"id": str(uuid.uuid4()), **body.model_dump(), "created_at": now, "updated_at": now}
        call.org.workflows[made["id"]] = made
        return Answer(201, self.workflow_shown(made))

    def get_workflow(self, call: Call, workflow_id: str) -> Answer:
        return Answer(200, self.workflow_shown(self.find_in(call.org.workflows, workflow_id, "Workflow")))

    def health_check(self) -> Answer:
        return Answer(200, {"status": "ok"})
