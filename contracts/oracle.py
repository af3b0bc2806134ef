"""Judges answers, without sending anything: what a request is worth, and which rules its answer breaks.

Every function is pure. Violations come most specific first, and one cause gives one: a field that has the wrong type
is not judged further, and an answer that is no answer at all is not judged for its content.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from contracts.exchange import Answer, Request
from contracts.shapes import (
    MAX_BODY_BYTES,
    UNREAD,
    Fault,
    Notes,
    Path,
    beyond_limits,
    body_schema,
    is_uuid,
    moment_of,
    operations,
    schema,
    shape,
)

TERMINAL: Final = frozenset({"success", "task_failed", "error", "cancelled"})
STATUSES: Final = frozenset({"scheduling", "running", "running_checks"}) | TERMINAL
_NEXT: Final = {
    "scheduling": {"running", "cancelled"},
    "running": {"running_checks", "success", "task_failed", "error", "cancelled"},
    "running_checks": {"success", "task_failed", "error", "cancelled"},
}
CREATES: Final = frozenset({"bulk_create_runs", "create_run", "create_run_chain"})
WRITES: Final = (
    "bulk_create_runs",
    "create_run",
    "create_run_chain",
    "update_run",
    "retry_run",
    "create_pool",
    "create_workflow",
    "add_machine_to_pool",
)
SUCCESS: Final = {
    "bulk_create_runs": 201,
    "create_run": 201,
    "create_run_chain": 201,
    "create_pool": 201,
    "create_workflow": 201,
    "delete_run": 204,
}
"""Documented statuses that are not 200."""

ANSWER_RULE: Final = {
    "bulk_create_runs": "BULK-STATUS",
    "create_run": "CREATE-ANSWER",
    "create_run_chain": "CHAIN-RULES",
    "retry_run": "RETRY-RULES",
    "update_run": "UPDATE-PARTIAL",
    "delete_run": "DELETE-GONE",
    "get_run": "READ-BACK",
    "list_runs": "LIST-COMPLETE",
    "list_run_attachments": "ATTACHMENTS",
    "get_run_attachment": "ATTACHMENTS",
    "download_run_attachment": "ATTACHMENTS",
    "get_run_attachment_download_url": "ATTACHMENTS",
}
"""The rule that an operation breaks when its answer to a good request is not the documented one."""

_SECRET_FIELDS: Final = {
    "bulk_create_runs": "sensitive_input_values",
    "create_run": "sensitive_input_values",
    "retry_run": "sensitive_input_values",
}
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Violation:
    """`cause` tells one cause from another under one rule; `family` is what stays the same while a request shrinks."""

    rule: str
    cause: str
    expected: str
    got: str
    family: str = ""

    @property
    def kin(self) -> str:
        return self.family or f"{self.rule}: {self.cause}"


# What a request is worth


@dataclass(frozen=True, slots=True)
class Reading:
    """A request body as the contract reads it. `value` is its normal form where there are no faults."""

    operation: str
    body: Any
    value: Any
    faults: tuple[Fault, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        return not self.faults and not self.doubts

    @property
    def is_invalid(self) -> bool:
        """Refused by every server: wrong however its doubtful parts are read."""
        return bool(self.faults) and not any(doubt.startswith("body:") for doubt in self.doubts)

    def given(self, name: str) -> Any:
        """The field's normal value; None where it is absent or null."""
        return self.value.get(name) if isinstance(self.value, dict) else None


class _DuplicateKeyError(ValueError):
    pass


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


def _not_json(_: str) -> Any:
    raise ValueError("NaN and infinities are no JSON")


def read_request(operation: str, raw: bytes | None, content_type: str | None = "application/json") -> Reading:
    """What a body is worth as it goes over the wire."""
    if raw and len(raw) > MAX_BODY_BYTES:
        return Reading(operation, None, UNREAD, doubts=("body: larger than every server must accept",))
    if content_type is None or content_type.split(";")[0].strip().lower() != "application/json":
        return Reading(operation, None, UNREAD, doubts=("body: another content type",))
    if not raw:
        if operation == "retry_run":
            return Reading(operation, None, {}, doubts=("body: none",))
        return Reading(operation, None, UNREAD, faults=(Fault((), "body"),))
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique_keys)
    except _DuplicateKeyError:
        return Reading(operation, None, UNREAD, doubts=("body: duplicate keys",))
    except RecursionError:
        return Reading(operation, None, UNREAD, doubts=("body: deeper nesting than every server must accept",))
    except ValueError as error:
        if "integer string conversion" in str(error):
            return Reading(operation, None, UNREAD, doubts=("body: an integer with too many digits",))
        if raw.startswith(b"\xef\xbb\xbf") or _is_json_in_another_encoding(raw):
            return Reading(operation, None, UNREAD, doubts=("body: another encoding",))
        return Reading(operation, None, UNREAD, faults=(Fault((), "body"),))
    return read_body(operation, body)


def _is_json_in_another_encoding(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def read_body(operation: str, body: Any) -> Reading:
    name = body_schema(operation)
    if name is None:
        return Reading(operation, body, body, doubts=("body: the operation has none",))
    beyond = beyond_limits(body)
    if not isinstance(body, dict):
        if body is None and operation == "retry_run":
            return Reading(operation, body, {}, doubts=("body: null for none",))
        return Reading(operation, body, UNREAD, faults=(Fault((), "body"),))
    notes = Notes()
    value = shape(name)(body, (), notes)
    doubts = [*notes.doubts, *_domain_doubts(operation, body)]
    if beyond is not None:
        doubts.append(f"body: {beyond}")
    return Reading(operation, body, value, tuple(notes.faults), tuple(doubts))


def _domain_doubts(operation: str, body: Mapping[str, Any]) -> Iterator[str]:
    """What is of the right type, and still not determined."""
    for files in (body.get("file_inputs"), body.get("shared_file_inputs")):
        for file in files if isinstance(files, list) else ():
            if isinstance(file, dict):
                if isinstance(file.get("filename"), str) and not is_plain_filename(file["filename"]):
                    yield "an odd file name"
                if "cleanup_imports_after_run" in file and file["cleanup_imports_after_run"] is None:
                    yield "body: null for a flag of a file"
    if operation == "update_run":
        if body.get("status") not in (None, "cancelled"):
            yield "an update of status"
        if any(value is None for value in body.values()):
            yield "null in an update"
        if body.get("output_attachment_ids"):
            yield "attachments that may be unknown"
    if operation == "create_run_chain" and '"$ref"' in json.dumps(body):
        yield "a reference to another step"
    plain, secret = body.get("input_values"), body.get("sensitive_input_values")
    if isinstance(plain, dict) and isinstance(secret, dict) and plain.keys() & secret.keys():
        yield "one key for an input and a secret"
    if operation == "add_machine_to_pool":
        yield "body: machines that may be unknown"
    elif operation in {"create_pool", "create_workflow"} and not _is_plain_resource(body):
        yield "body: a resource beside the runs"


def _is_plain_resource(body: Mapping[str, Any]) -> bool:
    """A pool or a workflow that every server takes: it has a name to go by, and nothing to be parsed."""
    named = body.get("name", "unnamed"), body.get("main_prompt", "unnamed")
    return all(text is None or (isinstance(text, str) and text.strip()) for text in named) and not any(
        body.get(name) is not None for name in ("input_schema", "output_schema", "pool_parameters")
    )


def is_plain_filename(name: str) -> bool:
    return 0 < len(name.encode(errors="replace")) <= 255 and name.isprintable() and not set(name) & set('/\\:*?"<>|')


# What an answer to a write says about the request


def accepts(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def refuses(answer: Answer) -> bool:
    return 400 <= answer.status < 500


def refusal_of_valid(reading: Reading, answer: Answer) -> Violation:
    """A valid request was refused. Which rule that breaks follows from what is left in the request."""
    rule, cause = _blame(reading)
    return Violation(
        rule, cause, "a valid request to be accepted", f"{answer.status} {excerpt(answer.body)}", family="refused"
    )


def _blame(reading: Reading) -> tuple[str, str]:
    body = reading.body
    required = set(schema(body_schema(reading.operation) or "")["required"]) if reading.operation in CREATES else set()
    optional = {name: value for name, value in body.items() if name not in required}
    known = set(schema(body_schema(reading.operation) or "")["properties"])
    if reading.operation == "bulk_create_runs" and not optional:
        return "REQ-COUNT", "a count in range is refused"
    for name, value in optional.items():
        if name in known and (value is None or value in ([], {})):
            return "REQ-NULL", "null or an empty value is refused"
    files = [file for name in ("file_inputs", "shared_file_inputs") for file in body.get(name) or ()]
    if any(file.get("target_path", "") is None for file in files):
        return "REQ-NULL", "null or an empty value is refused"
    if files and all(map(_is_plain_file, files)):
        return "REQ-FILES", "a good file input is refused"
    if files:
        return "REQ-ACCEPT", "an unusual file input is refused"
    if body.get("count", 1) > _FEW and reading.operation == "bulk_create_runs":
        return "REQ-COUNT", "a count in range is refused"
    for step in body.get("steps") or ():
        if any(value is None or value == {} for value in step.values()):
            return "REQ-NULL", "null or an empty value is refused"
    return "REQ-ACCEPT", "a valid request is refused"


_FEW: Final = 10
"""A count above this would have been made smaller if it did not matter."""


def _is_plain_file(file: Mapping[str, Any]) -> bool:
    """One that is refused for being a file, if it is refused: nothing about it is unusual."""
    name, path, content = file["filename"], file.get("target_path") or "", file["content"]
    return (name + path).isascii() and len(name + path) < 100 and 0 < len(content) < 10_000


_FAULT_WORDS: Final = {
    "missing": "is missing",
    "type": "has the wrong type",
    "range": "is out of range",
    "form": "is malformed",
    "length": "has too few items",
    "body": "is no JSON object",
}


def rule_of_fault(fault: Fault) -> str:
    last = next((part for part in reversed(fault.path) if isinstance(part, str)), "")
    if fault.kind == "body":
        return "REQ-BODY"
    if last == "count":
        return "REQ-COUNT"
    if last == "workflow_id":
        return "REQ-WORKFLOW"
    if fault.kind == "missing" and last in {"filename", "content"}:
        return "REQ-FILES"
    return "REQ-TYPES"


def acceptance_of_invalid(reading: Reading, answer: Answer) -> Violation:
    fault = reading.faults[0]
    said = f"{fault.where} {_FAULT_WORDS[fault.kind]}"
    return Violation(
        rule_of_fault(fault),
        f"accepted although {said}",
        f"a refusal with 4xx, since {said}",
        f"{answer.status} {excerpt(answer.body)}",
        family=f"accepted: {rule_of_fault(fault)}",
    )


def _validation_detail(answer: Answer) -> tuple[list[Any] | None, Violation | None]:
    """What a 422 tells, or how it is not of the shape; neither where it is no JSON object, as HTTP-ERROR-JSON says."""
    try:
        detail = answer.json().get("detail")
    except (ValueError, AttributeError):
        return None, None
    problem = _misfit_of_validation_error(detail)
    if problem is None:
        return detail, None
    return None, Violation("REQ-ERROR", "not the shape", "a 422 in the shape of HTTPValidationError", problem)


def error_violations(reading: Reading, answer: Answer) -> Iterator[Violation]:
    """REQ-ERROR: what a 422 for an invalid request has to say."""
    if answer.status != 422 or not reading.is_invalid:
        return
    detail, misshapen = _validation_detail(answer)
    if misshapen is not None:
        yield misshapen
    if detail is None:
        return
    wrong = [fault.path for fault in reading.faults]
    locs = [list(item["loc"]) for item in detail]
    where = " or ".join(".".join(map(str, ("body", *path))) for path in wrong[:3])
    if not any(_names(loc, path) for loc in locs for path in wrong):
        yield Violation("REQ-ERROR", "loc names another place", f"a loc that names {where}", f"loc {locs[:3]}")
    elif len(locs) > len({json.dumps(loc) for loc in locs}) and not all(
        any(_names(loc, path) for loc in locs) for path in wrong
    ):
        yield Violation("REQ-ERROR", "one loc for two errors", "a loc of its own for each field", f"loc {locs[:3]}")
    elif not reading.doubts:
        beside = next((loc for loc in locs if not _is_about(loc, wrong)), None)
        if beside is not None:
            yield Violation("REQ-ERROR", "loc names a field that is right", f"only {where} named", f"loc {beside}")


def parameter_error_violations(where: Path, answer: Answer) -> Iterator[Violation]:
    """REQ-ERROR for a wrong parameter of a path or a query: `where` is ("query", "limit"), say."""
    if answer.status != 422:
        return
    detail, misshapen = _validation_detail(answer)
    if misshapen is not None:
        yield misshapen
    elif detail is not None and not any(item["loc"][: len(where)] == [*where] for item in detail):
        named = ".".join(map(str, where))
        got = f"loc {[item['loc'] for item in detail[:3]]}"
        yield Violation("REQ-ERROR", "loc names another parameter", f"a loc that names {named}", got)


def _is_about(loc: Sequence[Any], wrong: Sequence[Path]) -> bool:
    """Whether an error is about a field that is wrong, or an id, which a server may know to be unknown, or no field."""
    field_names = [part for part in loc[1:2] if isinstance(part, str)]
    tops = {path[0] for path in wrong if path}
    return not tops or all(name in tops or name in _MAY_BE_UNKNOWN for name in field_names)


_MAY_BE_UNKNOWN: Final = frozenset({"workflow_id", "machine_id", "pool_ids", "session_id", "steps"})


def _misfit_of_validation_error(detail: Any) -> str | None:
    if not isinstance(detail, list) or not detail:
        return f"detail {excerpt(json.dumps(detail))}"
    for item in detail:
        if not isinstance(item, dict):
            return f"an item {excerpt(json.dumps(item))}"
        loc = item.get("loc")
        if not isinstance(loc, list) or not loc or not all(isinstance(part, (str, int)) for part in loc):
            return f"loc {excerpt(json.dumps(loc))}"
        for name in ("msg", "type"):
            if not isinstance(item.get(name), str):
                return f"{name} {excerpt(json.dumps(item.get(name)))}"
    return None


def _names(loc: Sequence[Any], path: Path) -> bool:
    """Whether loc has the path's parts in their order: unions put names of their own between them."""
    parts = iter(loc)
    return all(any(part == wanted and type(part) is type(wanted) for part in parts) for wanted in ("body", *path))


# What every answer must be


def universal_violations(
    operation: str | None, answer: Answer, sought: Sequence[bytes], request: Request | None = None
) -> Iterator[Violation]:
    """What holds for every answer to anything. `sought` are the forms in which a secret could be seen; what a request
    itself sends openly may come back.
    """
    at = operation or "an undocumented place"
    if answer.status >= 500 or answer.status == 0:
        got = f"{answer.status} {excerpt(answer.body)}" if answer.status else "no answer"
        yield Violation("NO-5XX", f"a 5xx from {at}", "no 5xx, whatever is sent", got)
    if _shows_any(answer, sought) and not (request is not None and sends_openly(request, sought)):
        yield Violation(
            "SECRET-LEAK",
            f"in an answer of {at}" if answer.status < 400 else "in an error",
            "no sensitive value in any answer",
            f"one in the {answer.status} of {at}",
        )
    if 400 <= answer.status < 500:
        problem = _misfit_of_error(answer)
        if problem is not None:
            yield Violation("HTTP-ERROR-JSON", f"{answer.status}: {problem}", "an error as JSON with detail", problem)
        if answer.status == 429 and not is_retry_after(answer.header("retry-after")):
            waits = answer.header("retry-after")
            yield Violation("HTTP-LIMIT", "no Retry-After", "a 429 with Retry-After", f"Retry-After {waits!r}")


def _shows_any(answer: Answer, sought: Sequence[bytes]) -> bool:
    told = [answer.body, *(value.encode(errors="replace") for _, value in answer.headers)]
    return any(form in text for form in sought for text in told)


_SENSITIVE: Final = ("sensitive_input_values", "sensitive_inputs", "shared_sensitive_inputs")


def sends_openly(request: Request, sought: Sequence[bytes]) -> bool:
    """Whether a body has a secret outside of every field for secrets: there it is a value like any other."""
    try:
        body = request.json() if request.body else None
    except (ValueError, RecursionError):
        body = (request.body or b"").decode("latin-1")
    if isinstance(body, str):
        return not any(name in body for name in _SENSITIVE)
    open_part = json.dumps(_without_sensitive(body), ensure_ascii=False).encode(errors="replace")
    return any(form in open_part for form in sought)


def _without_sensitive(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sensitive(item) for key, item in value.items() if key not in _SENSITIVE}
    return [_without_sensitive(item) for item in value] if isinstance(value, list) else value


def _misfit_of_error(answer: Answer) -> str | None:
    if not is_json(answer):
        return f"content type {answer.header('content-type')}"
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return "a body that is no JSON"
    if not isinstance(body, dict) or body.get("detail") in (None, "", [], {}):
        return "no detail"
    return None


def is_json(answer: Answer) -> bool:
    return (answer.header("content-type") or "").split(";")[0].strip().lower() == "application/json"


def is_retry_after(value: str | None) -> bool:
    if value is None:
        return False
    if value.strip().isdigit():
        return True
    try:
        parsedate_to_datetime(value)
    except ValueError:
        return False
    return True


def misfit(operation: str, answer: Answer) -> Violation | None:
    """A success that is not the documented one: another status, no JSON, no object."""
    rule = ANSWER_RULE.get(operation)
    if rule is None or not accepts(answer):
        return None
    status = SUCCESS.get(operation, 200)
    if answer.status != status:
        return Violation(rule, f"another status from {operation}", f"status {status}", f"status {answer.status}")
    if status == 204 or operation == "download_run_attachment":
        return None
    if not is_json(answer):
        kind = answer.header("content-type")
        return Violation(rule, f"another content type from {operation}", "application/json", f"content type {kind}")
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return Violation(rule, f"no JSON from {operation}", "a JSON object", excerpt(answer.body))
    if not isinstance(body, dict):
        return Violation(rule, f"no object from {operation}", "a JSON object", excerpt(answer.body))
    return None


# Runs


_RUN_FIELD_RULE: Final = {"id": "BULK-IDS", "status": "BULK-INITIAL", "created_at": "BULK-INITIAL"}


@dataclass(slots=True)
class Seen:
    """Ids that answers have had before: run ids, session ids, attachment ids, each with where it stood."""

    runs: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)


def run_misfits(run: Any) -> list[tuple[str, str]]:
    """(field, what is wrong) where a run is not of the documented schema."""
    if not isinstance(run, dict):
        return [("", f"no object but {excerpt(json.dumps(run))}")]
    notes = Notes()
    shape("RunResponse")(run, (), notes)
    found = []
    for fault in notes.faults:
        name = str(fault.path[0])
        value = "nothing" if fault.kind == "missing" else excerpt(json.dumps(run.get(name)))
        found.append((name, value))
    if notes.doubts:
        for name in ("id", "workflow_id", "machine_id", "session_id", "pool_ids", "created_at"):
            told = run.get(name)
            texts = told if isinstance(told, list) else [told]
            if name == "created_at":
                wrong = told is not None and moment_of(told) is None
            else:
                wrong = any(isinstance(text, str) and not is_uuid(text) for text in texts)
            if wrong:
                found.append((name, excerpt(json.dumps(told))))
    return list(dict(found).items())


@dataclass(frozen=True, slots=True)
class CreateJudgement:
    """`earlier` has, by cause, the source of an earlier answer that the violation is about as well."""

    violations: tuple[Violation, ...]
    runs: tuple[dict[str, Any], ...] = ()
    earlier: Mapping[str, Any] = field(default_factory=dict)


def judge_create(
    reading: Reading, answer: Answer, *, now: datetime, seen: Seen, source: object = None
) -> CreateJudgement:
    """All rules of the answer of a create or bulk create that was accepted. Adds its ids to `seen`, as of `source`."""
    operation = reading.operation
    single = operation == "create_run"
    wrong = misfit(operation, answer)
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
        found.extend(_count_violations(reading, body, runs))
    earlier: dict[str, Any] = {}
    found.extend(_runs_violations(reading, answer, runs, now, seen, source, earlier))
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


def _count_violations(reading: Reading, body: Mapping[str, Any], runs: Sequence[Any]) -> Iterator[Violation]:
    count, failed, errors = reading.given("count"), body.get("failed_count", 0), body.get("errors", [])
    if isinstance(failed, bool) or not isinstance(failed, int):
        return
    if isinstance(count, int) and len(runs) + failed != count:
        got = f"{len(runs)} runs and failed_count {failed}"
        yield Violation("BULK-COUNT", "runs and failures do not add up to count", f"{count} in all", got)
    elif failed and reading.is_valid and isinstance(errors, list) and not errors:
        yield Violation("BULK-COUNT", "failures without errors", f"errors for {failed} failures", "none")
    elif not failed and isinstance(errors, list) and errors:
        got = f"errors {excerpt(json.dumps(errors))}"
        yield Violation("BULK-COUNT", "errors although nothing failed", "no errors when nothing failed", got)


def _runs_violations(
    reading: Reading,
    answer: Answer,
    runs: Sequence[Any],
    now: datetime,
    seen: Seen,
    source: object,
    earlier: dict[str, Any],
) -> Iterator[Violation]:
    wrong_fields: list[set[str]] = []
    for index, run in enumerate(runs):
        misfits = run_misfits(run)
        wrong_fields.append({name for name, _ in misfits})
        for name, got in misfits:
            where = f"run {index + 1} of {len(runs)}"
            rule = _RUN_FIELD_RULE.get(name, "BULK-STATUS") if got != "nothing" else "BULK-STATUS"
            cause = f"{name or 'a run'} is not of its schema"
            yield Violation(rule, cause, f"{name or 'a run'} as documented", f"{got} in {where}")
    judges = (_id_violations, _echo_violations, _initial_violations, _session_violations, _file_violations)
    context = _Answered(reading, answer, runs, wrong_fields, now, seen, source, earlier)
    for judge in (*judges, _alias_violations):
        yield from judge(context)


@dataclass(frozen=True, slots=True)
class _Answered:
    reading: Reading
    answer: Answer
    runs: Sequence[Any]
    wrong: Sequence[set[str]]
    now: datetime
    seen: Seen
    source: object
    earlier: dict[str, Any]

    def each(self, *names: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The runs whose named fields are of their schema, each with what to call it."""
        for index, run in enumerate(self.runs):
            if "" not in self.wrong[index] and not self.wrong[index].intersection(names):
                yield f"run {index + 1} of {len(self.runs)}", run


def _id_violations(at: _Answered) -> Iterator[Violation]:
    own: dict[str, str] = {}
    for where, run in at.each("id"):
        identity = run["id"]
        if identity in own:
            got = f"{identity} for {own[identity]} and for {where}"
            yield Violation("BULK-IDS", "one id twice in an answer", "ids that are unique in the answer", got)
        elif identity in at.seen.runs:
            at.earlier["an id of an earlier answer"] = at.seen.runs[identity]
            got = f"{identity} again, in {where}"
            yield Violation("BULK-IDS", "an id of an earlier answer", "ids that are unique over all answers", got)
        own[identity] = where
    at.seen.runs.update(dict.fromkeys(own, at.source))


def _echo_violations(at: _Answered) -> Iterator[Violation]:
    if at.reading.value is UNREAD:
        # Duplicate keys, say: what was asked for is the server's to decide.
        return
    given = at.reading.given
    workflow, machine, pools, session = (given(n) for n in ("workflow_id", "machine_id", "pool_ids", "session_id"))
    inputs = given("input_values")
    gains = machine is not None or bool(pools)
    for where, run in at.each("workflow_id"):
        if is_uuid(workflow) and run["workflow_id"] != workflow:
            got = f"{run['workflow_id']} in {where}"
            yield Violation("BULK-ECHO", "another workflow_id", f"workflow_id {workflow}", got)
    if machine is not None and machine is not UNREAD and session is None:
        for where, run in at.each("machine_id"):
            if run["machine_id"] != machine:
                got = f"{json.dumps(run['machine_id'])} in {where}"
                yield Violation("BULK-ECHO", "another machine_id", f"machine_id {machine}", got)
    if machine is None and session is None and (pools is None or UNREAD not in pools):
        for where, run in at.each("pool_ids"):
            if (run.get("pool_ids") or []) != (pools or []):
                got = f"{excerpt(json.dumps(run.get('pool_ids')))} in {where}"
                yield Violation("BULK-ECHO", "other pool_ids", f"pool_ids {excerpt(json.dumps(pools))}", got)
    if inputs is UNREAD or "one key for an input and a secret" in at.reading.doubts:
        return
    if any(doubt.startswith("body:") for doubt in at.reading.doubts):
        return  # beyond what every server must accept: what one makes of NaN, say, is its own affair
    for where, run in at.each("input_values"):
        problem = input_difference(inputs, run.get("input_values"), may_gain=gains)
        if problem is not None:
            yield Violation("BULK-ECHO", "other input_values", "input_values as sent", f"{problem} in {where}")


def input_difference(sent: Any, read: Any, *, may_gain: bool) -> str | None:
    """How input_values differ from those sent, in words; None where they are the same."""
    if not sent and not read:
        return None
    if not isinstance(read, dict):
        return excerpt(json.dumps(read))
    if may_gain:
        read = {key: value for key, value in read.items() if key in (sent or {})}
    return difference(sent or {}, read)


def difference(expected: Any, got: Any, path: str = "") -> str | None:
    """The first place where two JSON values differ, types included, in words; None where they are the same."""
    todo: list[tuple[Any, Any, str]] = [(expected, got, path)]
    while todo:
        one, other, at = todo.pop()
        if one is other:
            continue
        if type(one) is not type(other):
            return f"{excerpt(json.dumps(other))} for {excerpt(json.dumps(one))} at {at or 'the top'}"
        if isinstance(one, dict):
            if one.keys() != other.keys():
                lost = [key for key in one if key not in other]
                new = [key for key in other if key not in one]
                said = f"without {excerpt(json.dumps(lost[:3]))}" if lost else f"with {excerpt(json.dumps(new[:3]))}"
                return f"{said} at {at or 'the top'}"
            todo.extend((one[key], other[key], f"{at}.{excerpt(key, 20)}") for key in one)
        elif isinstance(one, list):
            if len(one) != len(other):
                return f"{len(other)} items for {len(one)} at {at or 'the top'}"
            todo.extend((a, b, f"{at}[{index}]") for index, (a, b) in enumerate(zip(one, other, strict=True)))
        elif one != other and not (isinstance(one, float) and math.isnan(one) and math.isnan(other)):
            return f"{excerpt(json.dumps(other))} for {excerpt(json.dumps(one))} at {at or 'the top'}"
    return None


def _initial_violations(at: _Answered) -> Iterator[Violation]:
    for where, run in at.each("status"):
        if run["status"] != "scheduling":
            got = f"{json.dumps(run['status'])} in {where}"
            yield Violation("BULK-INITIAL", "another status", "status scheduling", got)
    for name in ("error", "output_data"):
        for where, run in at.each(name):
            if run.get(name):
                got = f"{excerpt(json.dumps(run[name]))} in {where}"
                yield Violation("BULK-INITIAL", f"{name} is not empty", f"no {name} at the start", got)
    theirs = _server_time(at.answer)
    for where, run in at.each("created_at"):
        moment = moment_of(run["created_at"])
        if moment is None:
            continue
        near = abs(moment - at.now) <= _CLOCK_TOLERANCE
        if not near and not (theirs is not None and abs(moment - theirs) <= _CLOCK_TOLERANCE):
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


def _session_violations(at: _Answered) -> Iterator[Violation]:
    session, starts = at.reading.given("session_id"), at.reading.given("start_session")
    if session is UNREAD or starts is UNREAD:
        return
    found = [(where, run.get("session_id"), run) for where, run in at.each("session_id", "id")]
    if not found:
        return
    if session is not None and starts:
        yield from _one_session(found)
    elif session is not None:
        for where, got, _ in found:
            if got != session:
                said = f"{json.dumps(got)} in {where}"
                yield Violation("BULK-SESSION", "another session than the one given", f"session_id {session}", said)
    elif starts and at.reading.operation == "create_run":
        for where, got, run in found:
            if got != run["id"]:
                said = f"{json.dumps(got)} in {where}"
                yield Violation("BULK-SESSION", "no session of its own", "the run's own id as session_id", said)
    elif starts:
        problem = list(_one_session(found))
        yield from problem
        first = found[0][1]
        if not problem and first is None:
            yield Violation("BULK-SESSION", "no session is started", "a new session_id", "null")
        elif not problem and first in at.seen.sessions:
            at.earlier["a session of an earlier call"] = at.seen.sessions[first]
            yield Violation("BULK-SESSION", "a session of an earlier call", "a new session_id", f"{first} again")
        elif isinstance(first, str):
            at.seen.sessions[first] = at.source
    else:
        for where, got, _ in found:
            if got is not None:
                yield Violation("BULK-SESSION", "a session nobody asked for", "session_id null", f"{got} in {where}")


def _one_session(found: Sequence[tuple[str, Any, Any]]) -> Iterator[Violation]:
    first = found[0][1]
    for where, got, _ in found:
        if got != first:
            said = f"{json.dumps(first)} in {found[0][0]}, {json.dumps(got)} in {where}"
            yield Violation("BULK-SESSION", "runs of one call in several sessions", "one session for all runs", said)


def _file_violations(at: _Answered) -> Iterator[Violation]:
    files = at.reading.given("file_inputs")
    if files is UNREAD:
        return
    expected = len(files or [])
    own: set[str] = set()
    for where, run in at.each("input_attachment_ids"):
        ids = run.get("input_attachment_ids") or []
        if len(ids) != expected:
            got = f"{len(ids)} in {where}"
            yield Violation("BULK-FILES", "not one attachment a file", f"{expected} input attachments", got)
        elif len(set(ids)) != len(ids) or own.intersection(ids):
            yield Violation(
                "BULK-FILES", "attachments that are shared", "attachments of its own", f"others' in {where}"
            )
        elif old := next((i for i in ids if i in at.seen.attachments), None):
            at.earlier["attachments of an earlier answer"] = at.seen.attachments[old]
            yield Violation(
                "BULK-FILES", "attachments of an earlier answer", "attachments of its own", f"{old} again, in {where}"
            )
        elif not all(ids):
            yield Violation("BULK-FILES", "an empty attachment id", "an id for each attachment", f"none in {where}")
        own.update(ids)
    at.seen.attachments.update(dict.fromkeys(own, at.source))


def _alias_violations(at: _Answered) -> Iterator[Violation]:
    secrets = at.reading.given("sensitive_input_values")
    if secrets is UNREAD:
        return
    for where, run in at.each("sensitive_input_aliases"):
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


def create_options_violations(reading: Reading, run: Mapping[str, Any]) -> Iterator[Violation]:
    """CREATE-ANSWER: what only a single create can be asked."""
    for name in ("session_alias", "release_session_after"):
        asked = reading.given(name)
        if asked is not None and asked is not UNREAD and run.get(name) != asked:
            got = excerpt(json.dumps(run.get(name)))
            yield Violation("CREATE-ANSWER", f"another {name}", f"{name} {excerpt(json.dumps(asked))}", got)
        if name == "session_alias" and asked is None and run.get(name):
            got = excerpt(json.dumps(run.get(name)))
            yield Violation("CREATE-ANSWER", f"a {name} nobody gave", f"no {name}", got)


# Runs that are read


STABLE: Final = (
    "id",
    "workflow_id",
    "user_id",
    "organization_id",
    "input_attachment_ids",
    "sensitive_input_aliases",
    "session_id",
    "session_alias",
    "release_session_after",
    "created_at",
)
"""What never changes by itself. pool_ids, machine_id and input_values depend on what was asked for."""
_MOMENTS: Final = frozenset({"created_at", "started_at", "ended_at"})


def stable_fields(reading: Reading | None) -> tuple[str, ...]:
    """The fields in which a run made by that request reads the same for ever, as long as nobody changes it."""
    if reading is None:
        return STABLE
    machine, session = reading.given("machine_id"), reading.given("session_id")
    more = ["input_values"]
    if machine is not None and session is None:
        more.append("machine_id")
    if machine is None and session is None:
        more.append("pool_ids")
    return (*STABLE, *more)


def gains_inputs(reading: Reading | None) -> bool:
    """Whether the target may add keys of a machine or a pool to input_values."""
    return reading is not None and (reading.given("machine_id") is not None or bool(reading.given("pool_ids")))


def changed_field(
    before: Mapping[str, Any], after: Mapping[str, Any], fields: Iterable[str] = STABLE, *, may_gain: bool = False
) -> tuple[str, str] | None:
    """The first of the fields that is not the same, and how. Null, empty and absent are the same, and what was not in
    the first view cannot be compared.
    """
    for name in fields:
        if name not in before:
            continue
        one, other = before.get(name), after.get(name)
        if one is other or (one in (None, [], {}) and other in (None, [], {})):
            continue
        if name in _MOMENTS and moment_of(one) == moment_of(other) is not None:
            continue
        if name == "input_values":
            problem = input_difference(one, other, may_gain=may_gain)
        else:
            problem = difference(one, other)
        if problem is not None:
            return name, problem
    return None


def can_follow(before: str, after: str) -> bool:
    """Whether a status that was read can be reached from the one read before, without a retry between."""
    if before == after:
        return True
    reached, todo = set(), [before]
    while todo:
        for status in _NEXT.get(todo.pop(), ()):
            if status not in reached:
                reached.add(status)
                todo.append(status)
    return after in reached


def status_misfit(run: Mapping[str, Any]) -> str | None:
    """How error and output_data do not fit the status, in words. Only for runs that nobody has updated."""
    status, error, output = run.get("status"), run.get("error"), run.get("output_data")
    if status in {"scheduling", "running", "running_checks"}:
        if error:
            return f"an error while {status}"
        if output:
            return f"output_data while {status}"
    elif status == "success" and error:
        return "an error in a success"
    elif status == "error" and not error:
        return "no error in status error"
    elif status == "task_failed" and not error and not output:
        return "neither error nor output_data in status task_failed"
    return None


# Words


def excerpt(content: bytes | str, length: int = 120) -> str:
    """The beginning of a text, short enough for one line."""
    text = content.decode("utf-8", errors="replace") if isinstance(content, bytes) else content
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= length else text[: length - 1] + "…"


def operation_at(method: str, path: str) -> str | None:
    """The operation that a request line names, where it names one: concrete paths come before templates."""
    segments = path.partition("?")[0].strip("/").split("/")
    best: tuple[int, str] | None = None
    for name, (verb, template) in operations().items():
        parts = template.strip("/").split("/")
        if verb != method or len(parts) != len(segments):
            continue
        if all(p == s or p.startswith("{") for p, s in zip(parts, segments, strict=True)):
            rank = sum(p.startswith("{") for p in parts)
            if best is None or rank < best[0]:
                best = (rank, name)
    return best[1] if best else None
