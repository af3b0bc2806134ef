"""The scenario of a single request: whether it shows a violation when nothing else of its case is sent."""

from typing import Any, Final

from contracts.engine.context import CaseContext
from contracts.engine.request_case import RequestCase
from contracts.engine.results import CallResult
from contracts.engine.scenario import Scenario
from contracts.openapi.schemas import body_schema
from contracts.oracle import read_request


def run_alone(context: CaseContext, case: RequestCase) -> None:
    request = case.to_request()
    if request is None:
        return
    judge_alone(context, context.send(request))


def judge_alone(context: CaseContext, result: CallResult) -> None:
    """Judge an answer by its request alone."""
    request, operation = result.exchange.request, result.operation
    if operation is not None and body_schema(operation) is not None:
        context.judge_write(read_request(operation, request.body, request.header("content-type")), result)


SINGLE_REQUEST: Final[Scenario[Any]] = Scenario("alone", (), run_alone, lambda check: (), is_parallel=False)
