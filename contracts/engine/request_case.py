"""A single request as a case, so that it can be shrunk, and the scenario that sends it alone."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, urlencode

from contracts.core.exchange import Headers, Request
from contracts.engine.case import Case
from contracts.engine.context import CaseContext
from contracts.engine.request_building import encode
from contracts.engine.results import CallResult
from contracts.engine.scenario import Scenario
from contracts.openapi.schemas import UNREAD, body_schema
from contracts.oracle import read_request


@dataclass(frozen=True)
class RequestCase(Case):
    """`json` is the decoded body, `text` a body that is not JSON, decoded as latin-1. Without both, there is no body.
    `query` is the query string if it has the usual form and each parameter has a name; otherwise `path` contains it.
    `token` is that of the check, if the request has one. It has no default, so that shrinking keeps it: in a finding,
    "without a token" would look like the cause.
    """

    method: str
    path: str
    token: str | None
    headers: Headers = ()
    json: Any = UNREAD
    text: str | None = None
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_request(cls, request: Request) -> Self:
        path, _, text = request.path.partition("?")
        query = tuple(parse_qsl(text, keep_blank_values=True))
        if _written(query) != text or not all(name for name, _ in query):
            path, query = request.path, ()
        token = request.header("Authorization") if request.has_own_token else None
        headers = request.headers if token is None else request.with_header("Authorization", None).headers
        case = cls(request.method, path, token, headers, query=query)
        if request.body is None:
            return case
        try:
            return dataclasses.replace(case, json=request.json())
        except ValueError:
            return dataclasses.replace(case, text=request.body.decode("latin-1"))

    def to_request(self, fill: Callable[[Any], Any] = lambda value: value) -> Request | None:
        """Return the request, its placeholders replaced by `fill`; None if shrinking has left an incomplete header."""
        if not all(len(pair) == 2 and pair[0] for pair in (*self.headers, *self.query)):
            return None
        own = () if self.token is None else (("Authorization", self.token),)
        headers = (*own, *((name, str(fill(value))) for name, value in self.headers))
        body = None if self.text is None else self.text.encode("latin-1")
        if self.json is not UNREAD:
            body = encode(fill(self.json))
        filled = [(name, str(fill(value))) for name, value in self.query]
        query = f"?{_written(filled)}" if filled else ""
        return Request(self.method, str(fill(self.path)) + query, headers, body)


def _written(query: Sequence[tuple[str, str]]) -> str:
    return urlencode(list(query), quote_via=quote)


def run_alone(context: CaseContext, case: RequestCase) -> None:
    request = case.to_request()
    if request is not None:
        judge_alone(context, context.send(request))


def judge_alone(context: CaseContext, result: CallResult) -> None:
    """Judge an answer by its request alone."""
    operation = result.operation
    if operation is not None and body_schema(operation) is not None:
        context.judge_write(read_request(operation, result.exchange.request), result)


SINGLE_REQUEST: Final[Scenario[Any]] = Scenario("alone", (), run_alone)
