"""Ids that are written in another form, such as in capitals: each is refused, or read as the same id."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.counting import counted
from contracts.data import file, in_turn_by_kind
from contracts.data.formats import other_forms_of
from contracts.engine import Case, CaseContext, CheckContext, Inconclusive, Scenario
from contracts.openapi.schemas import UNREAD
from contracts.oracle import KnownRun, read_body, value_in_words
from contracts.rules.listing import items_of
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import ATTACHMENT_READS

_FILE: Final = file("a.txt", b"content")
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "update_run": {"input_values": {"changed": True}},
    "retry_run": {"input_values": {"retried": True}},
}
_ON_RUNS: Final = ("get_run", *_BODIES, "delete_run")
_RULES: Final = {  # of the operations that show the id
    **{"get_run": "READ-BACK", "update_run": "UPDATE-PARTIAL", "retry_run": "RETRY-RULES"},
    "get_run_attachment": "ATTACHMENTS",
}
_LIST: Final = "list_run_attachments"


@dataclass(frozen=True)
class IdFormCase(Case):
    """`form` is the position of the form in `other_forms_of`. An operation that lists has the id in its query."""

    operation: str
    form: int


def run_id_form(context: CaseContext, case: IdFormCase) -> None:
    fields = {"file_inputs": [_FILE]} if case.operation in (*ATTACHMENT_READS, _LIST) else {}
    run = TrackedRun.of(context, context.some_runs(1, **fields))
    if case.operation == "retry_run":
        run.cancel()
    known = run.id
    if case.operation in ATTACHMENT_READS:
        files = run.known.view.get("input_attachment_ids")
        if not files:
            raise Inconclusive("a run has no file")
        known = files[0]
    written = other_forms_of(known)[case.form]
    body = _BODIES.get(case.operation, {})
    if case.operation == _LIST:
        result = context.call(_LIST, query=[("run_id", written)])
    else:
        result = context.call(case.operation, written, body=body or UNREAD)
    if not result.accepted:
        return  # a target may refuse other forms of an id
    shown = result.resource.get("id") if result.resource is not None else None
    if isinstance(shown, str) and case.operation in _RULES:
        cause, got = f"{case.operation} shows another form of the id", f"id {value_in_words(shown)}"
        run.require(shown == known, _RULES[case.operation], cause, "the id in lower case, with dashes", result, got=got)
    match case.operation:
        case "get_run":
            run.judge("READ-BACK", run.known.read_violations(result.body), result)
        case "update_run":
            run.judge_update(body, result)
            run.read()
        case "retry_run":
            run.judge_retry(read_body("retry_run", body), result)
            run.read()
        case "delete_run":
            read = context.call("get_run", run.id)
            run.judge("DELETE-GONE", KnownRun.gone_violations("get_run", read.status, read.words), result, read)
        case "download_run_attachment":
            cause, expected = "a file has other bytes by another form of its id", "the bytes as they were sent"
            run.require(result.answer.body == b"content", "ATTACHMENTS", cause, expected, result)
        case "list_run_attachments":
            listed = {item.get("id") for item in items_of(result)}
            cause = "run_id in another form leaves out attachments of the run"
            got, expected = f"{counted(len(listed), 'attachment')}", "the input attachment of the run"
            is_listed = listed.issuperset(run.known.view.get("input_attachment_ids") or ())
            run.require(is_listed, "LIST-FILTER", cause, expected, result, got=got)


@in_turn_by_kind
def id_form_cases(check: CheckContext) -> Iterator[IdFormCase]:
    for number, operation in enumerate((*_ON_RUNS, *ATTACHMENT_READS, _LIST)):
        needs = ("update_run", "retry_run") if operation == "retry_run" else (operation,)
        if check.offers(*needs):
            forms = range(5) if operation == "get_run" else (0, 1 + number % 4)  # capitals are the most common
            yield from (IdFormCase(operation, form) for form in forms)


SCENARIOS: Final = (
    Scenario(
        "ids in other forms",
        ("READ-BACK", "UPDATE-PARTIAL", "RETRY-RULES", "DELETE-GONE", "ATTACHMENTS", "LIST-FILTER"),
        run_id_form,
        id_form_cases,
        needs=("get_run",),
        order=2,
    ),
)
