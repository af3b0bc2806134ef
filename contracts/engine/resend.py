"""Sends the requests of a finding again, to a target whose answers have other ids and times.

In later requests, the ids and times of the recorded answers are replaced by those of the new answers. Idempotency keys
are replaced by new ones. Masked values are replaced by canaries, so that a leak of one is recognised.
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
from contracts.engine.request_case import judge_alone
from contracts.engine.results import Inconclusive
from contracts.engine.scenario import Scenario
from contracts.openapi.schemas import MOMENT_PATTERN, UUID_PATTERN
from contracts.oracle.refusal import accepts

_MADE_BY_TARGET: Final = re.compile(rf"{UUID_PATTERN}|{MOMENT_PATTERN}|alias_[0-9a-f]{{32}}")
"""Values that a target generates: ids, times and aliases of sensitive values."""
_MASKED: Final = re.compile(r"masked-([0-9]{1,6})x*")
_OWN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
"""An ordinary idempotency key. A key of another form is kept, since its form may matter."""


@dataclass(frozen=True)
class ResentCase(Case):
    exchanges: tuple[Exchange, ...]


def run_resent(context: CaseContext, case: ResentCase) -> None:
    """Judge each answer by the rules that hold for every answer, and each write by whether its body is valid."""
    new_values: dict[str, str] = {}
    for exchange in case.exchanges:
        result = context.send(_renewed(exchange.request, new_values, context))
        judge_alone(context, result)
        if exchange is not case.exchanges[-1] and accepts(exchange.answer) and not result.accepted:
            raise Inconclusive(
                f"{exchange.request.method} {exchange.request.path} was accepted, and is now {result.words}"
            )
        new_values.update(_replacements(exchange.answer, result.answer))


RESENT: Final[Scenario[Any]] = Scenario("the same requests", (), run_resent)


def _renewed(request: Request, new_values: dict[str, str], context: CaseContext) -> Request:
    """Replace idempotency keys, the values of earlier answers, and masked values."""
    headers = []
    for name, value in request.headers:
        if name.lower() == "idempotency-key" and _OWN_KEY.fullmatch(value):
            value = new_values.setdefault(value, str(context.placeholder(f"key:{len(new_values)}")))
        headers.append((name, value))
    body = None if request.body is None else request.body.decode("latin-1")
    return dataclasses.replace(
        request,
        path=_replaced(request.path, new_values, context),
        headers=tuple(headers),
        body=None if body is None else _replaced(body, new_values, context).encode("latin-1"),
    )


def _replaced(text: str, new_values: dict[str, str], context: CaseContext) -> str:
    if known := [value for value in new_values if value in text]:
        text = re.sub("|".join(map(re.escape, known)), lambda found: new_values[found[0]], text)
    return _MASKED.sub(lambda found: str(context.placeholder(f"secret:{found[1]}")), text)


def _replacements(recorded: Answer, new: Answer) -> Iterator[tuple[str, str]]:
    """Yield each generated value of the recorded answer with the value in the same place of the new answer, both as
    they are and percent-encoded, as in a URL.
    """
    places = dict(leaves(new.json_or_none()))
    for place, value in leaves(recorded.json_or_none()):
        if isinstance(value, str) and _MADE_BY_TARGET.fullmatch(value) and isinstance(places.get(place), str):
            yield value, places[place]
            yield quote(value, safe=""), quote(places[place], safe="", errors="surrogatepass")
