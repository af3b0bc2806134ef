"""Sends the requests of a check, judges every answer, and records what was seen.

`CheckContext` holds what the whole check knows. `CaseContext` is one attempt at one case, with the exchanges it made.
Every answer is judged by the rules that hold for all answers; `CaseContext.write` also applies the rules about request
bodies and creates.
"""

from __future__ import annotations

import base64
import json
import random
import re
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Answer, Exchange, Request
from contracts.core.findings import Broken
from contracts.core.target import Target
from contracts.data.boundary_values import ODD_IDS
from contracts.engine.unreported_runs import violation_of
from contracts.guard import Guard, NoAnswer
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle import (
    ANSWER_RULE,
    CREATES,
    ParsedRequest,
    Seen,
    Violation,
    acceptance_of_invalid,
    accepts,
    create_options_violations,
    error_violations,
    excerpt,
    judge_create,
    operation_at,
    read_request,
    refusal_of_valid,
    refuses,
    rule_of_fault,
    schema_error,
    universal_violations,
)

Query = Sequence[tuple[str, str]]
_PLACEHOLDER: Final = re.compile(r"«([a-z-]+(?::[0-9]+)?)»")
JSON_HEADER: Final = ("Content-Type", "application/json")


class RuleViolated(Broken):
    """A case has broken a rule. `exchanges` are those that show it, `told` all exchanges of the case. `dedup_key` stays
    the same while the case is shrunk.
    """

    def __init__(
        self, violation: Violation, exchanges: tuple[Exchange, ...], told: tuple[Exchange, ...] | None = None
    ) -> None:
        super().__init__(violation.rule, expected=violation.expected, got=violation.got, exchanges=exchanges)
        self.violation = violation
        self.told = exchanges if told is None else told
        self.is_certain: bool | None = None
        """None if the violation is reproduced before it is reported. Unreported runs are not, since every repeat would
        leave runs behind: this says whether the finding is stable without a repeat.
        """

    @property
    def cause(self) -> str:
        return self.violation.cause

    @property
    def dedup_key(self) -> str:
        return self.violation.dedup_key


class Inconclusive(Exception):
    """A case that cannot be judged on this target; the message says why."""


class OutOfTime(Exception):
    """The time of the check is over."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """An exchange, its operation and the decoded answer; `body` is None if the answer is empty or not JSON."""

    operation: str | None
    exchange: Exchange
    body: Any = None

    @property
    def answer(self) -> Answer:
        return self.exchange.answer

    @property
    def status(self) -> int:
        return self.exchange.answer.status

    @property
    def accepted(self) -> bool:
        return accepts(self.exchange.answer)

    @property
    def refused(self) -> bool:
        return refuses(self.exchange.answer)

    @property
    def words(self) -> str:
        if not self.status:
            return f"no answer: {self.answer.lost}"
        return f"{self.status} {excerpt(self.answer.body)}".strip()


class Canaries:
    """Makes sensitive values that can be recognised in any answer, whole or in part, plain or encoded."""

    def __init__(self) -> None:
        self._head = _letters(14)
        self._tail = _letters(14)
        self._digits = "8" + "".join(secrets.choice("1345679") for _ in range(17))
        self._made = 0
        self.forms: Final = tuple(self._forms())

    def text(self) -> str:
        self._made += 1
        return f"{self._head}{self._made:04d}{self._tail}"

    def integer(self) -> int:
        self._made += 1
        return int(f"{self._digits}{self._made:04d}")

    def real(self) -> float:
        return float(f"{self._digits[0]}.{self._digits[1:15]}")

    def large_real(self) -> float:
        """Above the range in which a double holds every integer. Serialisers write it with an exponent or zeros."""
        return float(f"{self._digits[0]}.{self._digits[1:15]}e18")

    def _forms(self) -> Iterable[bytes]:
        for mark in (self._head, self._tail):
            raw = mark.encode()
            yield raw
            yield raw.upper()
            yield raw.capitalize()
            yield raw[::-1]
            yield raw.hex().encode()
            for shift in range(3):  # base64 encodes a text in one of three ways, by its offset modulo 3
                encoded = base64.b64encode(b"\0" * shift + raw)
                yield encoded[4 : len(raw) * 4 // 3 - 2]
        yield self._digits.encode()
        yield f".{self._digits[1:15]}".encode()
        yield self._digits[:15].encode()


def _letters(length: int) -> str:
    return "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(length))


@dataclass(slots=True)
class Ids:
    """Ids of one kind. `known` exist on the target; `invented` is true if the target also accepts made-up ids."""

    known: tuple[str, ...] = ()
    invented: bool = False

    @property
    def available(self) -> bool:
        return self.invented or bool(self.known)


@dataclass
class CheckContext:
    """The state of a check. All its cases share it, from several threads."""

    target: Target
    guard: Guard
    deadline: float
    workflows: Ids = field(default_factory=Ids)
    machines: Ids = field(default_factory=Ids)
    pools: Ids = field(default_factory=Ids)
    sessions: Ids = field(default_factory=Ids)
    not_offered: dict[str, str] = field(default_factory=dict)
    """operationId → reason. All other operations are offered."""
    first_run: str | None = None
    """A run that this check created before it judged anything."""
    kept: dict[int, WriteResult] = field(default_factory=dict)
    """Creates from the start of the check, by number. Their runs are read again at the end."""
    others_run: str | None = None
    """A run that this check did not create, for reads where it may not create any."""
    may_create: bool = True
    seen: Seen = field(default_factory=Seen)
    canaries: Canaries = field(default_factory=Canaries)
    known: set[tuple[str, str]] = field(default_factory=set)
    judged: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)
    internal_errors: dict[str, None] = field(default_factory=dict)
    """Errors of the suite itself. They may have hidden a violation."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the check ends, for whatever reason: cases that still run in other threads send nothing more."""
    lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.run_mark = _letters(8)

    @property
    def is_live(self) -> bool:
        return self.target.profile == "live"

    @property
    def has_second(self) -> bool:
        return self.target.second_token is not None

    def offers(self, *names: str) -> bool:
        return not any(name in self.not_offered for name in names)

    @property
    def replaceable_ids(self) -> frozenset[str]:
        """Known ids of the kinds for which the target also accepts made-up ids."""
        kinds = (self.workflows, self.machines, self.pools, self.sessions)
        return frozenset(one for ids in kinds if ids.invented for one in ids.known)

    @property
    def base_request(self) -> dict[str, Any]:
        """The fields of every create on a live target, from the request that the user knows to work."""
        return dict(self.target.base_request or {}) if self.is_live else {}

    def random(self, *parts: object) -> random.Random:
        """Return a generator that depends only on the seed and `parts`."""
        return random.Random(f"{self.target.seed}/{'/'.join(map(str, parts))}")

    def count(self, rule: str, times: int = 1) -> None:
        with self.lock:
            self.judged[rule] += times

    def note(self, words: str) -> None:
        with self.lock:
            self.notes[words] = None

    def knows(self, violation: Violation) -> bool:
        """Return whether the violation is already known. A violation by a combination of filters counts as known if a
        smaller combination of the same filters has already shown it.
        """
        if (violation.rule, violation.cause) in self.known:
            return True
        names, _, how = violation.cause.partition(" ")
        return any(
            rule == violation.rule
            and known.endswith(f" {how}")
            and set(known.partition(" ")[0].split("+")) < set(names.split("+"))
            for rule, known in tuple(self.known)
        )

    def note_internal_error(self, name: str, error: Exception) -> None:
        with self.lock:
            self.internal_errors[f"{name!r} could not be judged to its end: {error!r}"] = None

    def marker(self) -> str:
        """Return a word of letters and digits that no other run contains. Nor does another run contain a part of it,
        unless that part is at one of its ends. On a live target the guard's marker follows.
        """
        word = f"{self.run_mark}{_letters(6)}{secrets.randbelow(900) + 100}{_letters(4)}"
        return f"{word} {self.guard.marker}" if self.is_live else word

    @property
    def time_left(self) -> float:
        return self.deadline - time.monotonic()


class CaseContext:
    """One attempt at one case. `only` is set while a case is shrunk or reproduced: the dedup key of the violation to
    find. All other violations are then ignored.
    """

    def __init__(self, check: CheckContext, *, only: str | None = None) -> None:
        self.check = check
        self.only = only
        self.exchanges: list[Exchange] = []
        self._named: dict[str, Any] = {}
        self._random = check.random("talk")

    # Placeholders

    def fill(self, value: Any) -> Any:
        """Replace the placeholders («session», «secret:2», …) of a case. The same name gives the same value."""
        if isinstance(value, str):
            return self._fill_text(value) if "«" in value else value
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        return value

    def _fill_text(self, text: str) -> Any:
        placeholder = _PLACEHOLDER.fullmatch(text)
        if placeholder is not None:
            return self.named(placeholder.group(1))
        return _PLACEHOLDER.sub(lambda match: str(self.named(match.group(1))), text)

    def named(self, name: str) -> Any:
        if name not in self._named:
            self._named[name] = self._make(name)
        return self._named[name]

    def has_named(self, name: str) -> bool:
        return name in self._named

    def everything_named(self) -> list[tuple[str, Any]]:
        return list(self._named.items())

    def remember(self, name: str, value: Any) -> None:
        self._named[name] = value

    def _make(self, name: str) -> Any:
        kind, _, number = name.partition(":")
        index = int(number) if number.isdigit() else 0
        check = self.check
        match kind:
            case "workflow":
                # An existing workflow may validate its inputs; so prefer a made-up id if the target accepts one.
                return str(uuid.uuid4()) if check.workflows.invented else self._id_of(check.workflows, index)
            case "machine":
                return self._id_of(check.machines, index)
            case "pool":
                return self._id_of(check.pools, index)
            case "session":
                if check.sessions.invented:
                    return check.guard.new_session() if check.is_live else str(uuid.uuid4())
                return self._id_of(check.sessions, index)
            case "own-session":
                return check.guard.new_session()
            case "proof":
                return check.guard.marker
            case "uuid":
                return str(uuid.uuid4())
            case "unknown":
                made_up = str(uuid.uuid4())
                check.guard.allow_unknown(made_up)
                return made_up
            case "secret":
                return check.canaries.text()
            case "secret-int":
                return check.canaries.integer()
            case "secret-real":
                return check.canaries.real()
            case "secret-large":
                return check.canaries.large_real()
            case "marker":
                return check.marker()
            case "number":
                return 10**14 + secrets.randbelow(9 * 10**14)
            case "key":
                return f"key-{uuid.uuid4()}"
            case "short":
                return _letters(5)
        raise ValueError(f"no such placeholder: {name}")

    def _id_of(self, ids: Ids, index: int) -> str:
        if index < len(ids.known) and (index > 0 or not ids.invented):
            return ids.known[index]
        if ids.invented:
            return str(uuid.uuid4())
        if ids.known:
            raise Inconclusive(f"the target has {len(ids.known)} ids of a kind, {index + 1} are needed")
        raise Inconclusive("no id that the target takes is known")

    # Sending

    def send(self, request: Request) -> CallResult:
        """Raises Refused if the guard refuses the request, and RuleViolated if the answer breaks a rule that holds for
        every answer.
        """
        self._check_time()
        try:
            exchange = self.check.guard.send(request)
        except NoAnswer:
            exchange = self._unanswered(request)
        self.look_for_unreported_runs()
        return self.observe(exchange)

    def send_together(self, requests: Sequence[Request]) -> list[CallResult]:
        self._check_time()
        exchanges = self.check.guard.send_together(requests)
        self.look_for_unreported_runs()
        return [self.observe(exchange) for exchange in exchanges]

    def look_for_unreported_runs(self) -> None:
        """Raises RuleViolated if the target created runs that no answer reported."""
        if self.only is not None:
            return  # another violation is to be found; the guard keeps these runs for the next attempt
        self.check.count("REQ-ATOMIC", self.check.guard.take_refused_looked_after())
        for surprise in self.check.guard.take_surprises():
            try:
                self.judge(violation_of(surprise).rule, [violation_of(surprise)], *surprise.exchanges)
            except RuleViolated as violated:
                violated.is_certain = surprise.certain
                raise

    def _check_time(self) -> None:
        if self.check.time_left <= 0 or self.check.over.is_set():
            raise OutOfTime

    def wait(self, seconds: float) -> None:
        """Raises OutOfTime if the check ends meanwhile."""
        if self.check.over.wait(max(0.0, min(seconds, self.check.time_left))):
            raise OutOfTime

    def _unanswered(self, request: Request) -> Exchange:
        """Send a request again that got no answer. If it gets none again while the target answers a list, return an
        answer with status 0, which the oracle judges like a 5xx. Raises NoAnswer if the list is not answered either.
        """
        self._check_time()
        try:
            return self.check.guard.send(request)
        except NoAnswer as error:
            self._check_time()  # the end of the check may have cut the answer off
            self.check.guard.send(Request("GET", "/v1/runs?limit=1", (("Authorization", TOKEN),)))
            return Exchange(request, Answer(0, (), b"", lost=error.lost))

    def observe(self, exchange: Exchange) -> CallResult:
        """Judge an exchange by the rules that hold for every answer. Raises Inconclusive for a 429."""
        self.exchanges.append(exchange)
        request = exchange.request
        operation = operation_at(request.method, request.path)
        self.check.count("NO-5XX")
        self.check.count("SECRET-LEAK")
        if exchange.answer.status >= 400:
            self.check.count("HTTP-ERROR-JSON")
        for violation in universal_violations(operation, exchange.answer, self.check.canaries.forms, request):
            self.fail(violation, exchange)
        if exchange.answer.status == 429:
            self.check.count("HTTP-LIMIT")
            raise Inconclusive("the target put the request off with 429 for too long")
        try:
            body = exchange.answer.json() if exchange.answer.body else None
        except (ValueError, RecursionError):
            body = None
        return CallResult(operation, exchange, body)

    def call(
        self,
        operation: str,
        *ids: str,
        query: Query = (),
        body: Any = UNREAD,
        raw: bytes | None = None,
        key: str | None = None,
        token: str | None = TOKEN,
        headers: Sequence[tuple[str, str]] = (),
    ) -> CallResult:
        return self.send(
            request_for(operation, *ids, query=query, body=body, raw=raw, key=key, token=token, headers=headers)
        )

    def ask(
        self,
        operation: str,
        *ids: str,
        query: Query = (),
        after: Sequence[CallResult | Exchange] | None = None,
        **more: Any,
    ) -> CallResult:
        """Send a valid request; the answer must be the documented success. `after` are the exchanges it depends on."""
        if operation in self.check.not_offered:
            raise Inconclusive(f"{operation} is not offered")
        result = self.call(operation, *ids, query=query, **more)
        self.expect_success(result, after)
        return result

    def expect_success(self, result: CallResult, after: Sequence[CallResult | Exchange] | None = None) -> None:
        operation = result.operation or ""
        shown = self.exchanges if after is None else [*after, result]
        rule = ANSWER_RULE.get(operation)
        if rule is None:
            if not result.accepted:
                raise Inconclusive(f"{operation} answers {result.status}")
            return
        self.check.count(rule)
        if not result.accepted:
            self.fail(Violation(rule, f"{operation} refuses a good request", "a success", result.words), *shown)
            raise Inconclusive(f"{operation} answers {result.status}")
        wrong = schema_error(operation, result.answer)
        if wrong is not None:
            self.fail(wrong, *shown)
            raise Inconclusive(f"{operation} answers otherwise than documented")

    # Judging

    def fail(self, violation: Violation, *shown: CallResult | Exchange) -> None:
        """Raises RuleViolated, unless the violation is already known, or is not the one that `only` asks for. `shown`
        are the exchanges that show it, by default all of the case.
        """
        if self.only is not None:
            if violation.dedup_key != self.only:
                return
        elif self.check.knows(violation):
            return
        exchanges = tuple(item.exchange if isinstance(item, CallResult) else item for item in shown)
        raise RuleViolated(violation, exchanges or tuple(self.exchanges), told=tuple(self.exchanges))

    def judge(self, rule: str, violations: Iterable[Violation], *shown: CallResult | Exchange) -> bool:
        """Count the rule as judged and return whether it holds. Raises RuleViolated for the first new violation."""
        self.check.count(rule)
        holds = True
        for violation in violations:
            holds = False
            self.fail(violation, *shown)
        return holds

    def require(
        self,
        holds: object,
        rule: str,
        cause: str,
        expected: str,
        got: str | Callable[[], str],
        *shown: CallResult | Exchange,
    ) -> bool:
        self.check.count(rule)
        if not holds:
            self.fail(Violation(rule, cause, expected, got if isinstance(got, str) else got()), *shown)
        return bool(holds)

    # Writes

    def write(
        self, operation: str, *ids: str, body: Any = UNREAD, raw: bytes | None = None, **more: Any
    ) -> WriteResult:
        """Send a write with any body, and judge the answer by whether the contract allows that body."""
        result = self.call(operation, *ids, body=body, raw=raw, **more)
        parsed = read_request(operation, result.exchange.request.body, result.exchange.request.header("content-type"))
        return self.judge_write(parsed, result)

    def judge_write(self, parsed: ParsedRequest, result: CallResult) -> WriteResult:
        clean = True
        if result.refused and not self.check.offers(parsed.operation):
            return WriteResult(parsed, result, (), False)
        for rule in _rules_of_request(parsed):
            self.check.count(rule)
        if result.accepted and parsed.is_invalid:
            self.fail(acceptance_of_invalid(parsed, result.answer), result)
            return WriteResult(parsed, result, (), False)
        if result.refused:
            if parsed.is_invalid:
                self.judge("REQ-ERROR", error_violations(parsed, result.answer), result)
            elif parsed.is_valid and not self._may_be_refused(parsed, result):
                self.fail(refusal_of_valid(parsed, result.answer), result)
            return WriteResult(parsed, result, (), not parsed.is_valid)
        if not result.accepted:
            return WriteResult(parsed, result, (), False)
        runs: tuple[dict[str, Any], ...] = ()
        if parsed.operation in {"bulk_create_runs", "create_run"}:
            clean, runs = self._judge_create(parsed, result)
        elif parsed.operation in ANSWER_RULE:
            wrong = schema_error(parsed.operation, result.answer)
            if wrong is not None:
                self.fail(wrong, result)
                clean = False
        return WriteResult(parsed, result, runs, clean)

    def _judge_create(self, parsed: ParsedRequest, result: CallResult) -> tuple[bool, tuple[dict[str, Any], ...]]:
        check = self.check
        if parsed.value is UNREAD:
            parsed = ParsedRequest(parsed.operation, parsed.body, UNREAD, ambiguities=parsed.ambiguities or ("unread",))
        with check.lock:
            judgement = judge_create(parsed, result.answer, now=datetime.now(UTC), seen=check.seen, source=result)
        for rule in _CREATE_RULES if parsed.operation == "bulk_create_runs" else ("CREATE-ANSWER",):
            check.count(rule)
        clean = True
        for violation in judgement.violations:
            clean = False
            earlier = judgement.earlier.get(violation.cause)
            shown = (result,) if earlier is None else (earlier, result)
            self.fail(violation, *shown)
        if parsed.operation == "create_run" and judgement.runs and isinstance(parsed.value, dict):
            clean &= self.judge("CREATE-ANSWER", create_options_violations(parsed, judgement.runs[0]), result)
        return clean, judgement.runs

    def _may_be_refused(self, parsed: ParsedRequest, result: CallResult) -> bool:
        """Return whether a valid request may be refused: for an id that the target need not know, or the status of the
        run.
        """
        if result.status in {404, 409} and (
            parsed.operation == "retry_run" or (parsed.operation == "update_run" and parsed.given("status"))
        ):
            return True  # refused for the status of the run
        return self.may_be_unknown(parsed, result)

    def may_be_unknown(self, parsed: ParsedRequest, result: CallResult) -> bool:
        """Return whether a request may be refused for an id that it names. Also true if it was sent without one of the
        two tokens of the check.
        """
        check = self.check
        if result.exchange.request.header("Authorization") not in (TOKEN, SECOND_TOKEN):
            return True
        if not isinstance(parsed.body, dict) or result.status in {401, 403}:
            return False
        steps = parsed.body.get("steps")
        named: list[tuple[Ids, Any]] = [
            (check.workflows, parsed.body.get("workflow_id")),
            (check.machines, parsed.body.get("machine_id")),
            (check.sessions, parsed.body.get("session_id")),
            *((check.pools, pool) for pool in parsed.body.get("pool_ids") or ()),
            *((check.workflows, step.get("workflow_id")) for step in steps or ()),
        ]
        return any(
            value is not None and value not in ids.known and (not ids.invented or value in ODD_IDS)
            for ids, value in named
        )

    def create(self, operation: str, body: Any, **more: Any) -> WriteResult:
        """Fill in the placeholders of a body and create runs with it. Raises Inconclusive unless it is accepted."""
        written = self.write(operation, body=self.fill(body), **more)
        if not written.result.accepted:
            raise Inconclusive(f"{operation} answers {written.result.status}")
        return written

    def some_runs(self, count: int = 1, **fields: Any) -> WriteResult:
        """Bulk create runs for the case to work with. On a live target, `count` is replaced by that of the base request
        unless the count may vary. Raises Inconclusive if the answer breaks a rule or has another number of runs.
        """
        base = self.check.base_request
        if base and "count" not in self.check.target.vary:
            count = base.get("count", 1)
        body = {"workflow_id": "«workflow»", **base, **fields, "count": count}
        written = self.create("bulk_create_runs", body)
        if len(written.runs) != count:
            raise Inconclusive("a bulk create gives too few runs to go on with")
        if not written.clean:
            raise Inconclusive("a bulk create gives runs that break a rule already")
        return written


_CREATE_RULES: Final = (
    "BULK-STATUS",
    "BULK-COUNT",
    "BULK-IDS",
    "BULK-ECHO",
    "BULK-INITIAL",
    "BULK-SESSION",
    "BULK-FILES",
    "BULK-ALIASES",
)


def _rules_of_request(parsed: ParsedRequest) -> Iterable[str]:
    if parsed.is_valid:
        yield "REQ-ACCEPT"
        if any(value is None or value in ([], {}) for value in parsed.body.values()):
            yield "REQ-NULL"
    yield from map(rule_of_fault, parsed.faults)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """A judged write. `clean` is true if it broke no rule, so that the case can rely on its runs."""

    parsed: ParsedRequest
    result: CallResult
    runs: tuple[dict[str, Any], ...]
    clean: bool

    @property
    def ids(self) -> list[str]:
        return [run["id"] for run in self.runs]


def request_for(
    operation: str,
    *ids: str,
    query: Query = (),
    body: Any = UNREAD,
    raw: bytes | None = None,
    key: str | None = None,
    token: str | None = TOKEN,
    headers: Sequence[tuple[str, str]] = (),
) -> Request:
    method, template = operations()[operation]
    return Request(
        method,
        path_for(template, *ids) + (f"?{urlencode(list(query), quote_via=quote)}" if query else ""),
        (
            *((("Authorization", token),) if token is not None else ()),
            *(
                ((JSON_HEADER,))
                if (body is not UNREAD or raw is not None) and not _names(headers, "content-type")
                else ()
            ),
            *((("Idempotency-Key", key),) if key is not None else ()),
            *headers,
        ),
        raw if raw is not None else (encode(body) if body is not UNREAD else None),
    )


def _names(headers: Sequence[tuple[str, str]], name: str) -> bool:
    return any(key.lower() == name for key, _ in headers)


def path_for(template: str, *ids: str) -> str:
    parts = template.split("/")
    given = iter(ids)
    return "/".join(quote(next(given), safe="") if part.startswith("{") else part for part in parts)


def encode(body: Any) -> bytes:
    """Encode JSON as ordinary clients do: UTF-8 without escapes. A lone surrogate cannot be encoded in UTF-8; a body
    with one becomes ASCII, with all other characters escaped.
    """
    try:
        return json.dumps(body, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(body).encode("ascii")


def second(check: CheckContext) -> str:
    if not check.has_second:
        raise Inconclusive("no second token was given")
    return SECOND_TOKEN


def creates(operation: str) -> bool:
    return operation in CREATES


def member(body: Any, name: str) -> Any:
    return body.get(name) if isinstance(body, Mapping) else None
