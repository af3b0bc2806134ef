"""What a fresh stand-in answers to a finding's requests: the proof, apart from the engine, that they show a defect.

Where a healthy and a defective stand-in answer the same, the exchanges do not tell the whole story.
"""

import contextlib
import dataclasses
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from contracts.core.exchange import Exchange
from contracts.guard.upstream import Lost, Upstream
from tests.contracts.checks import TOKENS
from tests.standin.behaviour import Settings
from tests.standin.serving import serving

UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
NAME = re.compile(UUID.pattern + r"|alias_[0-9a-f]{32}")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")
IN_REQUEST = re.compile(UUID.pattern + r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}%3A[0-9]{2}%3A[0-9]{2}(?:\.[0-9]+)?Z")


def answers(exchanges: Sequence[Exchange], defect: str | None) -> list[tuple[int, str, str]]:
    """What a fresh stand-in with that defect answers. Runs do not move by themselves here, so what shows with time only
    does not show.
    """
    with serving(defect, settings=Settings(scheduling_s=3600)) as url:
        return answers_from(url, exchanges)


def answers_from(url: str, exchanges: Sequence[Exchange]) -> list[tuple[int, str, str]]:
    """Status, content type and text of each answer, without what is another every time: ids and aliases are numbered.

    Ids that an answer gave when the exchange was recorded are, in the requests after it, those that it gives now.
    """
    known: dict[str, str] = {}
    given = []
    made_up: set[str] = set()
    with contextlib.closing(Upstream(url)) as client:  # other clients refuse some of the requests
        for exchange in exchanges:
            request = exchange.request
            body = None if request.body is None else _now(request.body.decode("latin-1"), known).encode("latin-1")
            made_up.update(_ids(request.path + (request.body or b"").decode("latin-1")) - known.keys())
            now_sent = dataclasses.replace(request, path=_now(request.path, known), body=body)
            answer = client.exchange(now_sent, _authorized)
            if isinstance(answer, Lost):
                given.append((0, "", answer.reason.encode()))
                continue
            then, now = (_names(raw.decode("latin-1")) for raw in (exchange.answer.body, answer.body))
            known.update(pair for pair in zip(then, now, strict=False) if pair[0] not in known)
            given.append((answer.status, answer.header("content-type") or "", answer.body))
    numbers = {one: one for one in made_up}
    return [(status, kind, plain(raw.decode("latin-1"), numbers)) for status, kind, raw in given]


def _ids(text: str) -> set[str]:
    return set(UUID.findall(text))


def _names(text: str) -> list[str]:
    """Ids first, then moments as they stand in a query."""
    moments = (quote(found[0], safe="") for found in MOMENT.finditer(text))
    return [*dict.fromkeys(UUID.findall(text)), *dict.fromkeys(moments)]


def _authorized(value: str) -> str:
    return value.replace("$SECOND_TOKEN", TOKENS[1]).replace("$TOKEN", TOKENS[0])


def _now(text: str, known: dict[str, str]) -> str:
    return IN_REQUEST.sub(lambda found: known.get(found[0], found[0]), text)


def plain(text: str, numbers: dict[str, str] | None = None) -> str:
    """A text without what is another every time. `numbers` are those that names have had in texts before it."""
    numbers = {} if numbers is None else numbers
    text = NAME.sub(lambda found: numbers.setdefault(found[0], f"name-{len(numbers)}"), text)
    return MOMENT.sub(_about, text)


def _about(found: re.Match[str]) -> str:
    try:
        away_s = abs((datetime.now(UTC) - datetime.fromisoformat(found[0])).total_seconds())
    except ValueError:
        return found[0]  # a thirtieth of February, as it was sent
    return ("now" if away_s < 300 else "another time") + (" to the second" if found[1] is None else "")
