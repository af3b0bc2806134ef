"""Runs that the target created but no answer reported: the kinds of requests, and the rule that is violated."""

from contracts.core.counting import counted
from contracts.core.exchange import Request
from contracts.guard import RequestKind, UnreportedRuns
from contracts.openapi.router import operation_at
from contracts.oracle import CREATES, Violation, read_request
from contracts.oracle.answer_schema import ANSWER_RULE


def kind_of(request: Request) -> RequestKind:
    """Return the kind of a request. Requests that must create nothing are of one kind if the reason is the same: their
    credentials, or one field of the body.
    """
    operation = operation_at(request.method, request.path)
    if operation is None:
        return RequestKind.by_path(request)
    if not request.has_own_token:
        return RequestKind(operation, "credentials")
    if operation not in {*CREATES, "retry_run"}:
        return RequestKind(operation)
    parsed = read_request(operation, request)
    if not parsed.is_invalid:
        return RequestKind(operation)
    invalid = parsed.invalid_parts[0]
    named = [part for part in invalid.path if isinstance(part, str)]
    return RequestKind(operation, f"field {named[0]}" if named else "body")


def violation_of(found: UnreportedRuns) -> Violation:
    operation = found.operation
    if found.status >= 500:
        got = f"{found.status}, but {counted(found.runs, 'run', 'was', 'were')} created"
        return Violation("NO-5XX", f"a 5xx from {operation}", "no 5xx, whatever is sent", got)
    if found.status >= 300:
        cause, got = f"a refused {operation} makes runs", f"{found.status}, and {counted(found.runs, 'new run')}"
        return Violation("REQ-ATOMIC", cause, "nothing created by a refused request", got)
    rule = "BULK-COUNT" if operation == "bulk_create_runs" else ANSWER_RULE.get(operation, "REQ-ATOMIC")
    got = f"{counted(found.reported, 'run')} reported, {found.runs} more created"
    return Violation(rule, f"{operation} creates runs that it does not report", "every created run to be reported", got)
