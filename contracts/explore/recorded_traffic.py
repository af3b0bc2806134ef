"""Judges by our rules the requests that schemathesis sent through the guard, and turns them into cases of our own.

schemathesis knows little more than the schemas, so its own verdicts are not used here. `judge_recorded` judges one
exchange by the resources that are known to exist. `Record.case_at` returns a case with the requests that lead to an
exchange, beginning with the create of its run, so that they can be shrunk and sent again alone.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from contracts.core.exchange import Exchange, Request
from contracts.core.statuses import STATUSES
from contracts.data.limits import MAX_KEY_LENGTH
from contracts.engine import CallResult, Case, CaseContext, Inconclusive, Scenario, assume
from contracts.engine.placeholders import SHORT
from contracts.engine.request_case import RequestCase
from contracts.explore.schema_plan import FRESH_KEY
from contracts.guard.created import created_by
from contracts.guard.effect import canonical
from contracts.openapi.router import operation_at, resource_id_of, route_of
from contracts.openapi.schemas import UNREAD, body_schema, is_uuid, moment_of, schema
from contracts.oracle import CREATES, KnownRun, accepts, read_request
from contracts.rules.authorization import cause_of_credentials, rule_of_credentials
from contracts.rules.http_errors import judge_undocumented_method
from contracts.rules.list_checks import judge_list
from contracts.rules.list_reads import page_of
from contracts.rules.reads_by_id import judge_absent_id

MAX_EARLIER_WRITES: Final = 8
"""The most writes in a case before the exchange that it is about. Earlier writes are left out."""
_OMITTED_HEADERS: Final = frozenset({"user-agent", "accept", "accept-encoding", "connection", "content-length", "host"})


@dataclass
class KnownResources:
    """Ids that are known to exist, to be deleted or not to exist, and the idempotency keys used so far."""

    alive: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def learn(self, exchange: Exchange) -> None:
        request = exchange.request
        if key := request.idempotency_key:
            self.keys.add(key)
        if not accepts(exchange.answer):
            return
        operation = operation_at(request.method, request.path)
        if operation in CREATES:
            self.alive.update(run_id for run_id, _ in _created_runs(exchange))
        elif operation == "delete_run":
            resource_id = resource_id_of(request)
            self.alive.discard(resource_id)
            self.gone.add(resource_id)


def _created_runs(exchange: Exchange) -> Iterator[tuple[str, list[str]]]:
    """Yield (run id, attachment ids) for each run in the answer to a create."""
    for run in created_by(exchange.answer).runs:
        yield run.id, [str(attachment) for attachment in (run.body or {}).get("input_attachment_ids") or ()]


@dataclass(frozen=True)
class RecordedCase(Case):
    """Recorded requests, preceded by the create of the run that they are about. `run` is its index in the answer."""

    requests: tuple[RequestCase, ...]
    create: RequestCase | None = None
    run: int = 0


def _unused_key(key: str, numbers: dict[str, int]) -> str:
    """Return an idempotency key with a placeholder: the target remembers the recorded key, and would answer a request
    that uses it again with a conflict. It keeps the characters of an unusual key, and stays on the same side of the
    length limit. An empty key stays empty. `numbers` has the numbers of the keys of a case, and gets that of a new one.
    """
    if not key:
        return key
    number = numbers.setdefault(key, len(numbers))
    if key.startswith(FRESH_KEY):
        return f"«key:{number}»"
    kept = key if len(key) + SHORT <= MAX_KEY_LENGTH else key[:-SHORT]
    return f"{kept}«short:{number}»"


@dataclass(frozen=True, slots=True)
class _Create:
    position: int
    run: int
    attachment: int | None = None


class Record:
    """Exchanges in the order in which they were sent."""

    def __init__(self, exchanges: Sequence[Exchange], *, secret: str) -> None:
        self.exchanges = exchanges
        self._secret = secret
        self._creates: dict[str, _Create] = {}
        self._writes: dict[str, list[int]] = {}
        for position, exchange in enumerate(exchanges):
            request = exchange.request
            operation = operation_at(request.method, request.path)
            if operation in CREATES and accepts(exchange.answer):
                for index, (run_id, attachments) in enumerate(_created_runs(exchange)):
                    self._creates.setdefault(run_id, _Create(position, index))
                    for number, attachment in enumerate(attachments):
                        self._creates.setdefault(attachment, _Create(position, index, number))
            elif request.method != "GET" and (resource_id := resource_id_of(request)):
                self._writes.setdefault(resource_id, []).append(position)

    def case_at(self, position: int) -> RecordedCase:
        request = self.exchanges[position].request
        resource_id = resource_id_of(request)
        create = self._creates.get(resource_id)
        keys: dict[str, int] = {}
        if create is None or create.position >= position:
            return RecordedCase((self._request_case(request, keys),))
        earlier = [p for p in self._writes.get(resource_id, ()) if create.position < p < position]
        name = "«run»" if create.attachment is None else f"«attachment:{create.attachment}»"
        requests = [*(self.exchanges[p].request for p in earlier[-MAX_EARLIER_WRITES:]), request]
        return RecordedCase(
            create=self._request_case(self.exchanges[create.position].request, keys),
            requests=tuple(self._request_case(each, keys, (resource_id, name)) for each in requests),
            run=create.run,
        )

    def _request_case(
        self, request: Request, keys: dict[str, int], known: tuple[str, str] | None = None
    ) -> RequestCase:
        case = RequestCase.from_request(request)
        headers = tuple(
            (name, _unused_key(value, keys) if name.lower() == "idempotency-key" else value)
            for name, value in case.headers
            if name.lower() not in _OMITTED_HEADERS and not name.lower().startswith("x-schemathesis")
        )
        path, query = case.path, case.query
        if known is not None:
            path, query = path.replace(*known), tuple((name, value.replace(*known)) for name, value in query)
        body = case.json
        if body is not UNREAD:
            body = json.loads(json.dumps(body).replace(self._secret, "«secret»"))
        return dataclasses.replace(case, path=path, query=query, headers=headers, json=body)


# Sending a case


def run_recorded(context: CaseContext, case: RecordedCase) -> None:
    known_resources = KnownResources()
    if case.create is not None:
        _send_create(context, case.create, case.run)
    if "run" in context.placeholders:
        known_resources.alive.add(context.placeholder("run"))
    for each in case.requests:
        request = each.to_request(context.fill)
        if request is None:
            return
        result = context.send(request)
        judge_recorded(context, result, known_resources)
        known_resources.learn(result.exchange)


def _send_create(context: CaseContext, create: RequestCase, run: int) -> None:
    request = create.to_request(context.fill)
    if request is None:
        raise Inconclusive("no create to begin with")
    result = context.send(request)
    created = list(_created_runs(result.exchange)) if result.accepted else []
    assume(created, f"the create that a case begins with answers {result.status}")
    run_id, attachments = created[min(run, len(created) - 1)]
    context.placeholders["run"] = run_id
    for number, attachment in enumerate(attachments):
        context.placeholders[f"attachment:{number}"] = attachment


# Judging


def judge_recorded(context: CaseContext, result: CallResult, known_resources: KnownResources) -> None:
    """Raises RuleViolated. `CaseContext.observe` has already applied the rules that hold for every answer."""
    request = result.exchange.request
    operation = result.operation
    if operation is None:
        route = route_of(request.method, request.path)
        if route is not None and request.method not in {"HEAD", "OPTIONS"}:
            judge_undocumented_method(context, route.template, result)
        return
    if operation == "health_check" or result.status == 429:
        return
    if not request.has_own_token:
        _judge_unauthorized(context, result)
        return
    if request.method != "GET" and request.idempotency_key in known_resources.keys:
        return  # a replay, which may be of a resource that is deleted by now, or a conflict
    resource_id = resource_id_of(request)
    if resource_id:
        _judge_presence(context, result, operation, resource_id, known_resources)
    if body_schema(operation) is not None:
        _judge_body(context, result, operation, resource_id, known_resources)
    if operation == "list_runs":
        _judge_list(context, result)


def _judge_unauthorized(context: CaseContext, result: CallResult) -> None:
    header = result.exchange.request.header("authorization")
    if re.match("(?i)bearer test", header or ""):
        return  # a mock may accept it as the token of another organisation
    rule, credentials = rule_of_credentials(header)
    cause = cause_of_credentials(result, credentials)
    expected = "401 or 403, since the credentials are not valid"
    context.require(not result.accepted, rule, cause, expected, result)


def _judge_presence(
    context: CaseContext, result: CallResult, operation: str, resource_id: str, known_resources: KnownResources
) -> None:
    if result.accepted:
        if resource_id in known_resources.gone:
            wrong = KnownRun.gone_violations(operation, result.status, result.words)
            context.judge("DELETE-GONE", wrong, result)
        elif resource_id in known_resources.unknown:
            judge_absent_id(context, operation, result, is_malformed=False)
        elif canonical(resource_id) is None:
            judge_absent_id(context, operation, result, is_malformed=True)
    elif operation == "get_run" and resource_id in known_resources.alive and "?" not in result.exchange.request.path:
        context.expect_success(result)


def _judge_body(
    context: CaseContext, result: CallResult, operation: str, resource_id: str, known_resources: KnownResources
) -> None:
    request = result.exchange.request
    parsed = read_request(operation, request)
    key = request.idempotency_key
    if result.accepted:
        can_be_judged = operation in CREATES or parsed.is_invalid
    else:
        is_plain_key = key is None or (key.startswith((FRESH_KEY, "key-")) and len(key) <= MAX_KEY_LENGTH)
        is_plain = is_plain_key and "?" not in request.path
        # Whether a valid update is accepted depends on the status of the run.
        is_invalid_update = operation == "update_run" and parsed.is_invalid and resource_id in known_resources.alive
        is_for_body = result.refused and result.status not in {401, 403} and is_plain
        can_be_judged = is_for_body and (operation in CREATES or is_invalid_update)
    if can_be_judged:
        context.judge_write(parsed, result)


# Lists


def _judge_list(context: CaseContext, result: CallResult) -> None:
    query = _plain_query(result.exchange.request.path)
    if query is None:
        return
    if not result.accepted:
        context.expect_success(result, [])
        return
    asked = {name: int(query.pop(name)) for name in ("skip", "limit") if name in query}
    query.pop("search", None)  # only a search for a word that was made for it can be judged
    judge_list(context, page_of(result, list(query.items()), **asked), (), lambda run_id: ())


def _is_plain_moment(text: str) -> bool:
    moment = moment_of(text)
    return moment is not None and 2000 <= moment.year <= 2100


_PLAIN_QUERY: Final[Mapping[str, Callable[[str], bool]]] = {
    "workflow_id": is_uuid,
    "machine_id": is_uuid,
    "session_id": is_uuid,
    "status": lambda text: text in STATUSES,
    "created_at_from": _is_plain_moment,
    "created_at_to": _is_plain_moment,
    "search": lambda text: text.isascii() and text.isalnum(),
    "deep_search": lambda text: text in {"true", "false"},
    "sort_mode": lambda text: text in schema("RunListSortMode")["enum"],
    "skip": lambda text: re.fullmatch(r"0|[1-9][0-9]{0,5}", text) is not None,
    "limit": lambda text: re.fullmatch(r"[1-9][0-9]{0,2}|1000", text) is not None,
}


def _plain_query(path: str) -> dict[str, str] | None:
    """Return the parameters of a list; None if a server may refuse one of them, or may read one in another way."""
    given = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    query = dict(given)
    if len(query) != len(given):
        return None
    return query if all(name in _PLAIN_QUERY and _PLAIN_QUERY[name](value) for name, value in given) else None


RECORDED: Final = Scenario("schema-wide requests", (), run_recorded, is_parallel=False)
