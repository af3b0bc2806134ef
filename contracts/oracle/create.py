"""Judges the answer of a create: envelope, count and each run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from contracts.core.exchange import Answer
from contracts.openapi.schemas import (
    UNREAD,
    Diagnostics,
    is_uuid,
    moment_of,
    shape,
)
from contracts.openapi.strict import differences
from contracts.oracle.answer import schema_error
from contracts.oracle.request import ParsedRequest
from contracts.oracle.run import input_difference
from contracts.oracle.violation import Violation, excerpt

_CLOCK_TOLERANCE: Final = timedelta(minutes=5)


_RUN_FIELD_RULE: Final = {"id": "BULK-IDS", "status": "BULK-INITIAL", "created_at": "BULK-INITIAL"}


@dataclass(slots=True)
class Seen:
    """Run, session and attachment ids of earlier answers, each with the `source` of its answer."""

    runs: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)


def run_schema_errors(run: Any) -> list[tuple[str, str]]:
    """Return (field, value in words) for each field that does not match the documented schema.

    The field is "" if the run is not an object; the value is "nothing" if the field is missing.
    """
    if not isinstance(run, dict):
        return [("", f"no object but {excerpt(json.dumps(run))}")]
    diagnostics = Diagnostics()
    shape("RunResponse")(run, (), diagnostics)
    found = []
    for fault in diagnostics.faults:
        name = str(fault.path[0])
        value = "nothing" if fault.kind == "missing" else excerpt(json.dumps(run.get(name)))
        found.append((name, value))
    if diagnostics.ambiguities:  # which a request may have, and an answer may not
        fields = dict.fromkeys(str(path[0]) for path in differences("RunResponse", run) if path)
        found += [(name, excerpt(json.dumps(run.get(name)))) for name in fields]
    return list(dict(found).items())


def run_schema_violations(run: Any, rule: str) -> list[Violation]:
    return [
        Violation(rule, f"{name or 'a run'} is not of its schema", f"{name or 'a run'} as documented", got)
        for name, got in run_schema_errors(run)
    ]


@dataclass(frozen=True, slots=True)
class CreateJudgement:
    """`earlier` maps the cause of a violation to the source of the earlier answer that it conflicts with."""

    violations: tuple[Violation, ...]
    runs: tuple[dict[str, Any], ...] = ()
    earlier: Mapping[str, Any] = field(default_factory=dict)


def judge_create(
    parsed: ParsedRequest, answer: Answer, *, now: datetime, seen: Seen, source: object = None
) -> CreateJudgement:
    """Judge an accepted create or bulk create by all its rules. Adds the ids of the answer to `seen`, with `source`."""
    operation = parsed.operation
    single = operation == "create_run"
    wrong = schema_error(operation, answer)
    if wrong is not None:
        return CreateJudgement((wrong,))
    body = answer.json()
    found: list[Violation] = []
    if single:
        runs = [body]
    else:
        runs = body.get("created_runs")
        if not isinstance(runs, list):
            got = excerpt(json.dumps(runs))
            return CreateJudgement((Violation("BULK-STATUS", "created_runs is no list", "a list of runs", got),))
        found.extend(_envelope_violations(body))
        found.extend(_count_violations(parsed, body, runs))
    earlier: dict[str, Any] = {}
    found.extend(_runs_violations(parsed, answer, runs, now, seen, source, earlier))
    if single:
        found = [_as_single(v) for v in found]
    return CreateJudgement(tuple(found), tuple(run for run in runs if isinstance(run, dict)), earlier)


def _as_single(violation: Violation) -> Violation:
    if violation.rule.startswith("BULK-"):
        return Violation("CREATE-ANSWER", violation.cause, violation.expected, violation.got, violation.family)
    return violation


def _envelope_violations(body: Mapping[str, Any]) -> Iterator[Violation]:
    failed, errors = body.get("failed_count", 0), body.get("errors", [])
    if isinstance(failed, bool) or not isinstance(failed, int) or failed < 0:
        yield Violation("BULK-STATUS", "failed_count is no count", "an integer", f"failed_count {json.dumps(failed)}")
    if not isinstance(errors, list) or not all(isinstance(error, str) for error in errors):
        yield Violation("BULK-STATUS", "errors is no list of texts", "a list of texts", excerpt(json.dumps(errors)))


def _count_violations(parsed: ParsedRequest, body: Mapping[str, Any], runs: Sequence[Any]) -> Iterator[Violation]:
    count, failed, errors = parsed.given("count"), body.get("failed_count", 0), body.get("errors", [])
    if isinstance(failed, bool) or not isinstance(failed, int):
        return
    if isinstance(count, int) and len(runs) + failed != count:
        got = f"{len(runs)} runs and failed_count {failed}"
        yield Violation("BULK-COUNT", "runs and failures do not add up to count", f"{count} in all", got)
    elif failed and parsed.is_valid and isinstance(errors, list) and not errors:
        yield Violation("BULK-COUNT", "failures without errors", f"errors for {failed} failures", "none")
    elif not failed and isinstance(errors, list) and errors:
        got = f"errors {excerpt(json.dumps(errors))}"
        yield Violation("BULK-COUNT", "errors although nothing failed", "no errors when nothing failed", got)


def _runs_violations(
    parsed: ParsedRequest,
    answer: Answer,
    runs: Sequence[Any],
    now: datetime,
    seen: Seen,
    source: object,
    earlier: dict[str, Any],
) -> Iterator[Violation]:
    wrong_fields: list[set[str]] = []
    for index, run in enumerate(runs):
        schema_errors = run_schema_errors(run)
        wrong_fields.append({name for name, _ in schema_errors})
        for name, got in schema_errors:
            where = f"run {index + 1} of {len(runs)}"
            rule = _RUN_FIELD_RULE.get(name, "BULK-STATUS") if got != "nothing" else "BULK-STATUS"
            cause = f"{name or 'a run'} is not of its schema"
            yield Violation(rule, cause, f"{name or 'a run'} as documented", f"{got} in {where}")
    judges = (_id_violations, _echo_violations, _initial_violations, _session_violations, _file_violations)
    context = _AnswerContext(parsed, answer, runs, wrong_fields, now, seen, source, earlier)
    for judge in (*judges, _alias_violations):
        yield from judge(context)


@dataclass(frozen=True, slots=True)
class _AnswerContext:
    parsed: ParsedRequest
    answer: Answer
    runs: Sequence[Any]
    wrong: Sequence[set[str]]
    now: datetime
    seen: Seen
    source: object
    earlier: dict[str, Any]

    def each(self, *names: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield (description, run) for each run whose named fields match the schema."""
        for index, run in enumerate(self.runs):
            if "" not in self.wrong[index] and not self.wrong[index].intersection(names):
                yield f"run {index + 1} of {len(self.runs)}", run


def _id_violations(context: _AnswerContext) -> Iterator[Violation]:
    where_by_id: dict[str, str] = {}
    for where, run in context.each("id"):
        identity = run["id"]
        if identity in where_by_id:
            got = f"{identity} for {where_by_id[identity]} and for {where}"
            yield Violation("BULK-IDS", "one id twice in an answer", "ids that are unique in the answer", got)
        elif identity in context.seen.runs:
            context.earlier["an id of an earlier answer"] = context.seen.runs[identity]
            got = f"{identity} again, in {where}"
            yield Violation("BULK-IDS", "an id of an earlier answer", "ids that are unique over all answers", got)
        where_by_id[identity] = where
    context.seen.runs.update(dict.fromkeys(where_by_id, context.source))


def _echo_violations(context: _AnswerContext) -> Iterator[Violation]:
    if context.parsed.value is UNREAD:
        # The contract does not determine what such a body asks for (one with duplicate keys, for example).
        return
    given = context.parsed.given
    workflow, machine, pools, session = (given(n) for n in ("workflow_id", "machine_id", "pool_ids", "session_id"))
    inputs = given("input_values")
    gains = machine is not None or bool(pools)
    for where, run in context.each("workflow_id"):
        if is_uuid(workflow) and run["workflow_id"] != workflow:
            got = f"{run['workflow_id']} in {where}"
            yield Violation("BULK-ECHO", "another workflow_id", f"workflow_id {workflow}", got)
    if machine is not None and machine is not UNREAD and session is None:
        for where, run in context.each("machine_id"):
            if run["machine_id"] != machine:
                got = f"{json.dumps(run['machine_id'])} in {where}"
                yield Violation("BULK-ECHO", "another machine_id", f"machine_id {machine}", got)
    if machine is None and session is None and (pools is None or UNREAD not in pools):
        for where, run in context.each("pool_ids"):
            if (run.get("pool_ids") or []) != (pools or []):
                got = f"{excerpt(json.dumps(run.get('pool_ids')))} in {where}"
                yield Violation("BULK-ECHO", "other pool_ids", f"pool_ids {excerpt(json.dumps(pools))}", got)
    if inputs is UNREAD or "one key for an input and a secret" in context.parsed.ambiguities:
        return
    if any(ambiguity.startswith("body:") for ambiguity in context.parsed.ambiguities):
        return  # the contract does not determine how a server reads such a body (one with NaN, for example)
    for where, run in context.each("input_values"):
        problem = input_difference(inputs, run.get("input_values"), may_gain=gains)
        if problem is not None:
            yield Violation("BULK-ECHO", "other input_values", "input_values as sent", f"{problem} in {where}")


def _initial_violations(context: _AnswerContext) -> Iterator[Violation]:
    for where, run in context.each("status"):
        if run["status"] != "scheduling":
            got = f"{json.dumps(run['status'])} in {where}"
            yield Violation("BULK-INITIAL", "another status", "status scheduling", got)
    for name in ("error", "output_data"):
        for where, run in context.each(name):
            if run.get(name):
                got = f"{excerpt(json.dumps(run[name]))} in {where}"
                yield Violation("BULK-INITIAL", f"{name} is not empty", f"no {name} at the start", got)
    server_time = _server_time(context.answer)
    for where, run in context.each("created_at"):
        moment = moment_of(run["created_at"])
        if moment is None:
            continue
        near = abs(moment - context.now) <= _CLOCK_TOLERANCE
        if not near and not (server_time is not None and abs(moment - server_time) <= _CLOCK_TOLERANCE):
            got = f"{run['created_at']} in {where}"
            yield Violation("BULK-INITIAL", "created_at is not about now", "created_at about now", got)


def _server_time(answer: Answer) -> datetime | None:
    value = answer.header("date")
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value)
    except ValueError:
        return None


def _session_violations(context: _AnswerContext) -> Iterator[Violation]:
    session, start_session = context.parsed.given("session_id"), context.parsed.given("start_session")
    if session is UNREAD or start_session is UNREAD:
        return
    found = [(where, run.get("session_id"), run) for where, run in context.each("session_id", "id")]
    if not found:
        return
    if session is not None and start_session:
        yield from _one_session(found)
    elif session is not None:
        for where, actual, _ in found:
            if actual != session:
                got = f"{json.dumps(actual)} in {where}"
                yield Violation("BULK-SESSION", "another session than the one given", f"session_id {session}", got)
    elif start_session and context.parsed.operation == "create_run":
        for where, actual, run in found:
            if actual != run["id"]:
                got = f"{json.dumps(actual)} in {where}"
                yield Violation("BULK-SESSION", "no session of its own", "the run's own id as session_id", got)
    elif start_session:
        problem = list(_one_session(found))
        yield from problem
        first = found[0][1]
        if not problem and first is None:
            yield Violation("BULK-SESSION", "no session is started", "a new session_id", "null")
        elif not problem and first in context.seen.sessions:
            context.earlier["a session of an earlier call"] = context.seen.sessions[first]
            yield Violation("BULK-SESSION", "a session of an earlier call", "a new session_id", f"{first} again")
        elif isinstance(first, str):
            context.seen.sessions[first] = context.source
    else:
        for where, actual, _ in found:
            if actual is not None:
                yield Violation("BULK-SESSION", "a session nobody asked for", "session_id null", f"{actual} in {where}")


def _one_session(found: Sequence[tuple[str, Any, Any]]) -> Iterator[Violation]:
    first = found[0][1]
    for where, actual, _ in found:
        if actual != first:
            got = f"{json.dumps(first)} in {found[0][0]}, {json.dumps(actual)} in {where}"
            yield Violation("BULK-SESSION", "runs of one call in several sessions", "one session for all runs", got)


def _file_violations(context: _AnswerContext) -> Iterator[Violation]:
    files = context.parsed.given("file_inputs")
    if files is UNREAD:
        return
    expected = len(files or [])
    ids_so_far: set[str] = set()
    for where, run in context.each("input_attachment_ids"):
        ids = run.get("input_attachment_ids") or []
        if len(ids) != expected:
            got = f"{len(ids)} in {where}"
            yield Violation("BULK-FILES", "not one attachment a file", f"{expected} input attachments", got)
        elif len(set(ids)) != len(ids) or ids_so_far.intersection(ids):
            yield Violation(
                "BULK-FILES", "attachments that are shared", "attachments of its own", f"others' in {where}"
            )
        elif old := next((i for i in ids if i in context.seen.attachments), None):
            context.earlier["attachments of an earlier answer"] = context.seen.attachments[old]
            yield Violation(
                "BULK-FILES", "attachments of an earlier answer", "attachments of its own", f"{old} again, in {where}"
            )
        elif not all(ids):
            yield Violation("BULK-FILES", "an empty attachment id", "an id for each attachment", f"none in {where}")
        ids_so_far.update(ids)
    context.seen.attachments.update(dict.fromkeys(ids_so_far, context.source))


def _alias_violations(context: _AnswerContext) -> Iterator[Violation]:
    secrets = context.parsed.given("sensitive_input_values")
    if secrets is UNREAD:
        return
    for where, run in context.each("sensitive_input_aliases"):
        problem = alias_difference(secrets or {}, run.get("sensitive_input_aliases"))
        if problem is not None:
            expected = "aliases with the keys of the sensitive values"
            yield Violation("BULK-ALIASES", "other keys", expected, f"{problem} in {where}")


def alias_difference(secrets: Mapping[str, Any], aliases: Any) -> str | None:
    aliases = aliases or {}
    if not isinstance(aliases, dict):
        return excerpt(json.dumps(aliases))
    if aliases.keys() != secrets.keys():
        lost = [key for key in secrets if key not in aliases]
        new = [key for key in aliases if key not in secrets]
        return f"without {excerpt(json.dumps(lost[:3]))}" if lost else f"with {excerpt(json.dumps(new[:3]))}"
    empty = [key for key, value in secrets.items() if isinstance(value, str) and value and not aliases[key]]
    return f"no alias for {excerpt(json.dumps(empty[:3]))}" if empty else None


def create_options_violations(parsed: ParsedRequest, run: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield CREATE-ANSWER violations of the options that only a single create has."""
    for name in ("session_alias", "release_session_after"):
        asked = parsed.given(name)
        if asked is not None and asked is not UNREAD and run.get(name) != asked:
            got = excerpt(json.dumps(run.get(name)))
            yield Violation("CREATE-ANSWER", f"another {name}", f"{name} {excerpt(json.dumps(asked))}", got)
        if name == "session_alias" and asked is None and run.get(name):
            got = excerpt(json.dumps(run.get(name)))
            yield Violation("CREATE-ANSWER", f"a {name} nobody gave", f"no {name}", got)
