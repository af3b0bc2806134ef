"""Sends the exchanges of a finding again, to a target that returns other ids and times than the first one.

In later requests, the ids and times of the recorded answers are replaced by those of the new answers. Idempotency keys
are new. Masked values become canaries, so that a leak of one is recognised.
"""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.json_tree import leaves
from contracts.engine.case import Case
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive
from contracts.engine.runner import judge_alone
from contracts.engine.scenario import Scenario
from contracts.openapi.schemas import MOMENT_PATTERN, UUID_PATTERN
from contracts.oracle.refusal import accepts

_GIVEN: Final = re.compile(rf"{UUID_PATTERN}|{MOMENT_PATTERN}|alias_[0-9a-f]{{32}}")
"""What a target makes up: ids, times and aliases of sensitive values."""
_MASKED: Final = re.compile(r"masked-([0-9]{1,6})x*")
_OWN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
"""An ordinary key that the suite made up. The form of other keys matters."""


@dataclass(frozen=True)
class ResentCase(Case):
    exchanges: tuple[Exchange, ...]


def run_resent(context: CaseContext, case: ResentCase) -> None:
    """Judge each answer by the rules that hold for every answer, and each write by whether its body is valid."""
    now: dict[str, str] = {}
    for exchange in case.exchanges:
        result = context.send(_renewed(exchange.request, now, context))
        judge_alone(context, result)
        if exchange is not case.exchanges[-1] and accepts(exchange.answer) and not result.accepted:
            raise Inconclusive(
                f"{exchange.request.method} {exchange.request.path} was accepted, and is now {result.words}"
            )
        now.update(_given_instead(exchange.answer, result.answer))


RESENT: Final[Scenario[Any]] = Scenario("the same requests", (), run_resent, lambda check: (), in_parallel=False)


def _renewed(request: Request, now: dict[str, str], context: CaseContext) -> Request:
    headers = []
    for name, value in request.headers:
        if name.lower() == "idempotency-key" and _OWN_KEY.fullmatch(value):
            value = now.setdefault(value, str(context.placeholder(f"key:{len(now)}")))
        headers.append((name, value))
    body = None if request.body is None else request.body.decode("latin-1")
    return dataclasses.replace(
        request,
        path=_replaced(request.path, now, context),
        headers=tuple(headers),
        body=None if body is None else _replaced(body, now, context).encode("latin-1"),
    )


def _replaced(text: str, now: dict[str, str], context: CaseContext) -> str:
    if known := [value for value in now if value in text]:
        text = re.sub("|".join(map(re.escape, known)), lambda found: now[found[0]], text)
    return _MASKED.sub(lambda found: str(context.placeholder(f"secret:{found[1]}")), text)


def _given_instead(then: Answer, now: Answer) -> Iterator[tuple[str, str]]:
    """Yield each value of the earlier answer with the one in the same place of the new answer, also as in a URL."""
    try:
        places = dict(leaves(now.json()))
        for place, value in leaves(then.json()):
            if isinstance(value, str) and _GIVEN.fullmatch(value) and isinstance(places.get(place), str):
                yield value, places[place]
                yield quote(value, safe=""), quote(places[place], safe="")
    except ValueError:
        return  # not JSON: it contains nothing that a later request could use
