"""Sends the requests of a check, judges every answer, and records what was seen.

`CheckContext` (`check_context.py`) has the state that all cases of a check share. `CaseContext` is one attempt at one
case, with the exchanges it made. It judges every answer by the rules that hold for all answers; `CaseContext.write`
also applies the rules about request bodies and creates.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from contracts.core.exchange import TOKEN, Answer, Exchange, Request, is_nested_too_deeply
from contracts.core.findings import Remedy
from contracts.data.formats import UNUSUAL_IDS
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.placeholders import Placeholders
from contracts.engine.request_building import request_for
from contracts.engine.results import CallResult, Evidence, Inconclusive, OutOfTime, RuleViolated, WriteResult
from contracts.engine.unreported_runs import violation_of
from contracts.guard import NoAnswer
from contracts.openapi.fields import unreadable_parameter
from contracts.openapi.router import operation_at, path_parameter
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle import ParsedRequest, Query, Violation, accepts, answer_in_words, read_request
from contracts.oracle.answer import other_resource, universal_violations
from contracts.oracle.answer_schema import ANSWER_RULE, SCHEMA_RULE, answer_violations, has_documented_form, wrong_parts
from contracts.oracle.create import judge_create
from contracts.oracle.refusal import (
    acceptance_of_invalid,
    error_violations,
    refusal_of_valid,
    rule_of_invalid_part,
    status_violations,
)

_MAY_BE_OVERLOAD: Final = frozenset({0, 502, 503, 504})
"""The target may not be the cause of these: no answer (0), or an answer of a gateway."""


class CaseContext:
    """One attempt at one case. Its made-up values depend on the seed, the salt and `name`.

    While a case is shrunk or reproduced, `only` is the dedup key of the violation to look for; any other is added to
    `other_violations`. Without `only`, a violation is raised unless it is already known or `is_ignored` is true for it.
    """

    def __init__(
        self,
        check: CheckContext,
        *,
        only: str | None = None,
        name: str | None = None,
        is_ignored: Callable[[Violation], bool] = lambda violation: False,
    ) -> None:
        self.check = check
        self.only = only
        self._is_ignored = is_ignored
        self.exchanges: list[Exchange] = []
        self.other_violations: list[tuple[Violation, Exchange]] = []
        """Violations other than the one that `only` asks for, and the exchange that was judged."""
        self.concurrent: list[tuple[Exchange, ...]] = []
        """Groups of exchanges whose requests were sent at the same moment."""
        self.has_wrong_answer = False
        """Whether an answer broke a rule of every answer, so that the case may not find what it expects."""
        self.made_up = check.made_up() if name is None else check.made_up(name)
        self.placeholders = Placeholders(check, self.made_up)

    def fill(self, value: Any) -> Any:
        """Replace the placeholders («session», «secret:2», …) of a case. The same name gives the same value."""
        return self.placeholders.fill(value)

    def placeholder(self, name: str) -> Any:
        return self.placeholders[name]

    # Sending

    def send(self, request: Request) -> CallResult:
        """Raises Refused if the guard refuses the request, and RuleViolated if the answer breaks a rule that holds for
        every answer.
        """
        self._check_time()
        self.check.note_nesting(request)
        try:
            exchange = self.check.guard.send(request)
        except NoAnswer:
            exchange = self._unanswered(request)
        self.look_for_unreported_runs()
        return self.observe(exchange)

    def send_together(self, requests: Sequence[Request], *, over_s: float = 0.0) -> list[CallResult]:
        """Send requests at the same time, or one after the other within `over_s`, without waiting for answers."""
        self._check_time()
        # Nothing may be sent after the end of the check.
        over_s = max(0.0, min(over_s, self.check.time_left))
        self.check.note_nesting(*requests)
        exchanges = self.check.guard.send_together(requests, over_s=over_s)
        self.concurrent.append(tuple(exchanges))
        self.look_for_unreported_runs()
        return [self.observe(exchange) for exchange in exchanges]

    def look_for_unreported_runs(self) -> None:
        """Raises RuleViolated if the target created runs that no answer reported."""
        if self.only is not None:
            return  # this attempt looks for another violation; the guard keeps these runs for the next attempt
        self.check.count("REQ-ATOMIC", self.check.guard.take_checked_refusals())
        for found in self.check.guard.take_unreported_runs():
            violation = violation_of(found)
            try:
                self.judge(violation.rule, [violation], *found.exchanges)
            except RuleViolated as violated:
                violated.must_not_repeat, violated.is_certain = True, found.certain
                raise

    def _check_time(self) -> None:
        if self.check.is_over:
            raise OutOfTime

    def wait(self, seconds: float) -> None:
        """Wait that long. Raises OutOfTime if the check ends before."""
        self.check.over.wait(max(0.0, min(seconds, self.check.time_left)))
        self._check_time()

    def _unanswered(self, request: Request) -> Exchange:
        """Send a request again that got no answer. If it gets no answer again, but a list does, return an answer with
        status 0, which the oracle judges like a 5xx.

        Raises NoAnswer if the list gets no answer either, and for a write that is answered the second time: it is not
        known whether it was carried out the first time. With an idempotency key, it is carried out once.
        """
        self._require_answering()
        try:
            exchange = self.check.guard.send(request)
        except NoAnswer as error:
            self._require_answering()
            return Exchange(request, Answer(0, (), b"", lost=error.lost))
        if not request.is_read and request.idempotency_key is None:
            raise NoAnswer(f"{request.method} {request.path}: the first answer was lost, so the effect is not known")
        return exchange

    def _require_answering(self) -> None:
        self._check_time()
        a_list = request_for("list_runs", query=[("limit", "1")])
        try:
            self.check.guard.reachability.require_answer(lambda: self.check.guard.send(a_list))
        finally:
            self._check_time()  # the end of the check may have cut the answer off

    def observe(self, exchange: Exchange) -> CallResult:
        """Judge an exchange by the rules of every answer. Raises Inconclusive for a 429, and for an answer that cannot
        be read or is about another resource.
        """
        self.exchanges.append(exchange)
        request = exchange.request
        operation = operation_at(request.method, request.path)
        self.count("NO-5XX", exchange)
        self.count_if(self.check.canaries.are_used, "SECRET-LEAK", exchange)
        if exchange.answer.status >= 400:
            self.count("HTTP-ERROR-JSON", exchange)
        if operation is not None and operation not in ANSWER_RULE and accepts(exchange.answer):
            self.count(SCHEMA_RULE, exchange)
        proves = exchange.answer.status not in _MAY_BE_OVERLOAD
        may_be_nested = self.check.has_sent_nested_values or operation == "list_runs"  # of runs of an earlier check
        is_unreadable = may_be_nested and is_nested_too_deeply(exchange.answer.body)
        for violation in universal_violations(
            operation, request, exchange.answer, self.check.canaries.forms, judges_form=not is_unreadable
        ):
            self.has_wrong_answer = True
            self.report_violation(violation, exchange, is_proof=proves)
        self._require_resource_of_the_path(operation, exchange)
        if exchange.answer.status == 429:
            self.count("HTTP-LIMIT", exchange)
            raise Inconclusive("the target kept answering 429", Remedy.LOWER_RATE)
        self._require_known_token(exchange)
        if is_unreadable:
            raise Inconclusive("an answer is nested too deeply to be read")
        result = CallResult.of(operation, exchange)
        if operation is not None and accepts(exchange.answer):
            self.check.coverage.count_answer(ANSWER_RULE.get(operation, SCHEMA_RULE), operation, result.body)
        return result

    def _require_resource_of_the_path(self, operation: str | None, exchange: Exchange) -> None:
        """Raises Inconclusive for another resource, which no rule needs to compare field by field. The case judges that
        a made-up id has a resource at all.
        """
        violation = other_resource(operation, exchange.request, exchange.answer)
        path = exchange.request.path_without_query
        if violation is None or any(map(self.check.guard.ownership.is_made_up, path.split("/"))):
            return
        # Whether a key is of one path is not determined, so the answer may be that of an earlier request.
        key = exchange.request.idempotency_key
        with_key = [each.request for each in self.exchanges if each.request.idempotency_key == key]
        if key is not None and any(each.path_without_query != path for each in with_key):
            return
        self.has_wrong_answer = True
        self.report_violation(violation, exchange, is_proof=True)
        raise Inconclusive(violation.cause)

    def _require_known_token(self, exchange: Exchange) -> None:
        """Judge a read that gets 401 with a token of the check: it must get it again, or else it was refused by chance.
        Raises Inconclusive in the second case, since other rules would only judge the same 401.
        """
        request = exchange.request
        if exchange.answer.status != 401 or not request.is_read or not request.has_own_token:
            return
        again = self.check.guard.send(request)
        if again.answer.status == 401:
            return
        got = f"{answer_in_words(exchange.answer)}, and {again.answer.status} when it was sent again"
        expected = "no 401 at any time, since the token is valid"
        violation = Violation("REQ-ACCEPT", "a valid token is refused at times", expected, got)
        self.judge("REQ-ACCEPT", [violation], exchange, is_proof=True)
        raise Inconclusive("a valid token is refused at times")

    def call(self, operation: str, *ids: str, **parts: Any) -> CallResult:
        """Send a request; `parts` are the keywords of `request_for`."""
        return self.send(request_for(operation, *ids, **parts))

    def call_valid(
        self, operation: str, *ids: str, query: Query = (), after: Evidence | None = None, **more: Any
    ) -> CallResult:
        """Send a valid request; the answer must be the documented success. `after` are the exchanges that a finding
        shows before it; None means all of the case, `()` none.

        Raises Inconclusive if a value of the query, which comes from an answer, is not valid.
        """
        if operation in self.check.not_offered:
            raise Inconclusive(f"{operation} is not offered")
        if (name := unreadable_parameter(operation, query)) is not None:
            raise Inconclusive(f"an answer has shown a wrong value for {name}")
        result = self.call(operation, *ids, query=query, **more)
        self.expect_success(result, after)
        return result

    def expect_success(self, result: CallResult, after: Evidence | None = None) -> None:
        operation = result.operation or ""
        evidence = self.exchanges if after is None else [*after, result]
        rule = ANSWER_RULE.get(operation)
        if rule is None:
            if not result.accepted:
                raise Inconclusive(f"{operation} answers {result.status}")
            return
        # Only a list of known runs can show that it is complete: `judge_list` counts the rule for these.
        self.count_if(operation != "list_runs" or not result.accepted, rule, result)
        if not result.accepted:
            cause, expected = f"{operation} refuses a good request", "a success, since the request is valid"
            if result.status == 404 and (name := path_parameter(operations()[operation][1])):
                expected = f"the {name.removesuffix('_id')}, which an earlier answer has shown"
            self.report_violation(Violation(rule, cause, expected, result.words), *evidence)
            raise Inconclusive(f"{operation} answers {result.status}")
        if not has_documented_form(operation, result.answer):
            raise Inconclusive(f"{operation} answers otherwise than documented")
        if any(path[-1] == "id" for path in wrong_parts(operation, result.answer)):
            raise Inconclusive(f"{operation} answers without the right ids")

    def cancel(self, run_id: str, *, token: str = TOKEN) -> CallResult:
        return self.call("update_run", run_id, body={"status": "cancelled"}, token=token)

    # Judging

    def count(self, rule: str, *evidence: CallResult | Exchange) -> None:
        """Count the rule as judged by the last of the exchanges, by default the last of the case."""
        self.check.count(rule)
        last = evidence[-1] if evidence else self.exchanges[-1] if self.exchanges else None
        if last is not None:
            self.check.coverage.count_exchange(rule, last.exchange if isinstance(last, CallResult) else last)

    def count_if(self, is_exercised: bool, rule: str, *evidence: CallResult | Exchange) -> None:
        """Count the rule as judged if the exchange has what the rule is about. Otherwise the rule would seem to hold
        without having been tested. If this attempt looks for one violation, the rule is always counted.
        """
        if is_exercised or self.only is not None:
            self.count(rule, *evidence)

    def report_violation(self, violation: Violation, *evidence: CallResult | Exchange, is_proof: bool = False) -> None:
        """Raises RuleViolated, unless the violation is already known, or is not the one that `only` asks for.

        `evidence` are the exchanges that show it, by default all of the case. `is_proof`: this one answer proves it, so
        it counts even if it does not repeat.
        """
        exchanges = tuple(item.exchange if isinstance(item, CallResult) else item for item in evidence)
        judged = (exchanges or self.exchanges)[-1]
        if self.only is not None:
            if violation.dedup_key != self.only:
                self.other_violations.append((violation, judged))
                return
        else:
            self.check.saw(violation)
            if self.check.knows(violation) or self._is_ignored(violation):
                return
        others = [one for one, exchange in self.other_violations if exchange is judged]
        raise RuleViolated(
            violation,
            exchanges or tuple(self.exchanges),
            all_exchanges=tuple(self.exchanges),
            placeholders=dict(self.placeholders),
            same_answer=tuple((one.rule, one.cause) for one in others if one.field == violation.field != ""),
            concurrent=tuple(self.concurrent),
            is_proof=is_proof,
        )

    def judge(
        self, rule: str, violations: Iterable[Violation], *evidence: CallResult | Exchange, is_proof: bool = False
    ) -> bool:
        """Count the rule as judged and return whether it holds. Raises RuleViolated for the first new violation."""
        self.count(rule, *evidence)
        holds = True
        for violation in violations:
            holds = False
            self.report_violation(violation, *evidence, is_proof=is_proof)
        return holds

    def require(
        self,
        holds: object,
        rule: str,
        cause: str,
        expected: str,
        *evidence: CallResult | Exchange,
        got: str = "",
        field: str = "",
        may_be_by_others: bool = False,
    ) -> bool:
        """Count the rule as judged, and report a violation unless `holds`. Returns whether it holds.

        If `got` is empty, the finding shows the last answer of the evidence.
        """
        self.count(rule, *evidence)
        if not holds:
            got = got or answer_in_words(evidence[-1].answer)
            violation = Violation(rule, cause, expected, got, field=field, may_be_by_others=may_be_by_others)
            self.report_violation(violation, *evidence)
        return bool(holds)

    # Writes

    def write(
        self, operation: str, *ids: str, body: Any = UNREAD, raw: bytes | None = None, **more: Any
    ) -> WriteResult:
        """Send a write with any body, and judge the answer by whether the contract allows that body."""
        result = self.call(operation, *ids, body=body, raw=raw, **more)
        return self.judge_write(read_request(operation, result.exchange.request), result)

    def judge_write(self, parsed: ParsedRequest, result: CallResult) -> WriteResult:
        """Judge whether the write was accepted or refused as it should be, and the answer to a create."""
        if result.refused and not self.check.offers(parsed.operation):
            return WriteResult(parsed, result, (), False)
        for rule in _rules_of_request(parsed):
            self.count(rule, result)
            self.check.coverage.count_body(rule, parsed)
        if result.accepted and parsed.is_invalid:
            if (violation := acceptance_of_invalid(parsed, result.answer)) is not None:
                self.report_violation(violation, result, is_proof=True)
            return WriteResult(parsed, result, (), False)
        if result.refused:
            if parsed.is_invalid:
                wrong = [*error_violations(parsed, result.answer)]
                if result.exchange.request.has_own_token:
                    wrong += status_violations(result.answer)
                self.judge("REQ-ERROR", wrong, result, is_proof=True)
            elif parsed.is_valid and not self._may_be_refused(parsed, result):
                self.report_violation(refusal_of_valid(parsed, result.answer), result)
            return WriteResult(parsed, result, (), not parsed.is_valid)
        if not result.accepted:
            return WriteResult(parsed, result, (), False)
        is_documented = not any(answer_violations(parsed.operation, result.answer))
        if parsed.operation not in {"bulk_create_runs", "create_run"}:
            return WriteResult(parsed, result, (), is_documented)
        follows_rules, runs = self._judge_create(parsed, result)
        return WriteResult(parsed, result, runs, is_documented and follows_rules)

    def _judge_create(self, parsed: ParsedRequest, result: CallResult) -> tuple[bool, tuple[dict[str, Any], ...]]:
        """Return whether the answer to a create follows the rules, and its runs."""
        check = self.check
        now = result.answer.received_at or datetime.now(UTC)
        with check.lock:
            judgement = judge_create(parsed, result.answer, now=now, seen=check.seen, source=result)
        for rule, field in CREATE_RULES.items() if parsed.operation == "bulk_create_runs" else [("CREATE-ANSWER", "")]:
            self.count_if(not field or parsed.given(field) not in (None, UNREAD, [], {}), rule, result)
        for violation in judgement.violations:
            earlier = judgement.earlier.get(violation.cause)
            evidence = (result,) if earlier is None else (earlier, result)
            self.report_violation(violation, *evidence, is_proof=True)
        return not judgement.violations, judgement.runs

    def _may_be_refused(self, parsed: ParsedRequest, result: CallResult) -> bool:
        """Return whether a valid request may be refused: for the status of the run, for a name that is in use, or for
        one of its fields.
        """
        if result.status == 409 and parsed.operation in {"create_pool", "create_workflow"}:
            return True
        if result.status in {404, 409} and (
            parsed.operation == "retry_run" or (parsed.operation == "update_run" and parsed.given("status"))
        ):
            return True  # refused for the status of the run
        return self.may_refuse_fields(parsed, result)

    def may_refuse_fields(self, parsed: ParsedRequest, result: CallResult) -> bool:
        """Return whether a request may be refused for a property that is not documented, or for an id in its body that
        the target may not know. Also true if the request has neither token of the check.
        """
        if parsed.unknown_properties and result.status in {400, 422}:
            return True
        check = self.check
        if not result.exchange.request.has_own_token:
            return True
        if not isinstance(parsed.body, dict) or result.status == 401:
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
            value is not None and value not in ids.known and (not ids.accepts_any_id or value in UNUSUAL_IDS)
            for ids, value in named
        )

    def create(self, operation: str, body: Any, **more: Any) -> WriteResult:
        """Fill in the placeholders of a body and create runs with it. Raises Inconclusive unless it is accepted."""
        written = self.write(operation, body=self.fill(body), **more)
        if not written.result.accepted:
            raise Inconclusive(f"{operation} answers {written.result.status}")
        return written

    def some_runs(self, count: int = 1, **fields: Any) -> WriteResult:
        """Bulk create runs for the case to work with. On a live target, the count of the base request is used, unless
        the count may vary. Raises Inconclusive if the answer breaks a rule or has another number of runs.
        """
        base = self.check.base_request
        if base and "count" not in self.check.target.varied_fields:
            count = base.get("count", 1)
        body = {"workflow_id": "«workflow»", **base, **fields, "count": count}
        written = self.create("bulk_create_runs", body)
        if len(written.runs) != count:
            raise Inconclusive("a bulk create gives too few runs to go on with")
        if not written.runs_are_reliable:
            raise Inconclusive("a bulk create gives runs that break a rule already")
        return written


CREATE_RULES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("BULK-STATUS", "BULK-COUNT", "BULK-IDS", "BULK-ECHO", "BULK-INITIAL", "BULK-SESSION"), ""),
    "BULK-FILES": "file_inputs",
    "BULK-ALIASES": "sensitive_input_values",
}
"""The rules by which the answer to every bulk create is judged, and the field of the request that each is about. The
rule counts as judged only if the request gives that field. It is also broken by an answer that shows a value although
the request gives none.
"""


def _rules_of_request(parsed: ParsedRequest) -> Iterable[str]:
    if parsed.is_valid:
        yield "REQ-ACCEPT"
        if any(value in (None, [], {}) for value in parsed.body.values()):
            yield "REQ-NULL"
    yield from map(rule_of_invalid_part, parsed.invalid_parts)
