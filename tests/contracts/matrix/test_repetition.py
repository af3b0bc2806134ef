"""A check repeats: the same seed and salt send the same requests, however slow the target is."""

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import contracts.check
from contracts.core.exchange import Exchange
from contracts.core.findings import CheckResult
from contracts.core.target import Target
from contracts.guard import Guard
from tests.contracts.checks import TOKENS
from tests.standin.behaviour import Settings
from tests.standin.serving import serving

RULES = ("IDEM-REPLAY", "LIST-PAGE", "UPDATE-PARTIAL")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_PART_OF_UUID = re.compile(r"search=[0-9A-Fa-f-]{20,35}(?![0-9A-Fa-f-])")
_STATUS = re.compile(r"\bstatus=[a-z_]+")
_MOMENT = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9%A-Z:.]+[0-9]Z?")
SLOW_RUNS = Settings(scheduling_s=600, running_s=600)
"""No run ends by itself. A case begins again if its run has ended, so it would send more to a slow target."""


def checked(*, salt: str, delay_s: float = 0.0, max_time_s: float) -> tuple[CheckResult, Counter[str]]:
    """The result, and how often each request was sent."""
    with serving(settings=SLOW_RUNS, delay_s=delay_s) as url, tempfile.TemporaryDirectory() as journal:
        target = Target(url, *TOKENS, seed=5, salt=salt, max_time_s=max_time_s)
        with Guard(target, journal_dir=Path(journal)) as guard:
            result = contracts.check.check(target, guard, rules=RULES)
            return result, requests_of(guard.exchanges)


def requests_of(exchanges: Sequence[Exchange]) -> Counter[str]:
    """Requests as texts. What an answer gave, an id, a moment or the status of a run, is replaced by a name."""
    sent: set[str] = set()
    received: set[str] = set()
    texts: Counter[str] = Counter()
    for exchange in exchanges:
        request = exchange.request
        text = f"{request.method} {request.path} {request.header('idempotency-key')} {request.body!r}"
        sent.update(set(_UUID.findall(text.lower())) - received)
        received.update(set(_UUID.findall(exchange.answer.body.decode("latin-1").lower())) - sent)
        text = _UUID.sub(lambda found: "made by the server" if found[0].lower() in received else found[0], text)
        for pattern, name in ((_PART_OF_UUID, "search=part"), (_STATUS, "status"), (_MOMENT, "moment")):
            text = pattern.sub(name, text)
        texts[text] += 1
    return texts


def test_a_slow_target_is_sent_the_same_requests_and_fewer_of_them():
    quick, of_quick = checked(salt="a", max_time_s=600)
    slow, of_slow = checked(salt="a", delay_s=0.03, max_time_s=8)

    assert of_slow.total() >= 50
    assert not of_slow - of_quick
    of_both = zip(quick.scenarios, slow.scenarios, strict=True)
    assert all(one.scenario == other.scenario and one.done >= other.done for one, other in of_both)
    assert [one.scenario for one in slow.scenarios if not one.finished and one.done < one.planned]


def test_another_salt_makes_up_other_ids():
    _, one = checked(salt="a", max_time_s=3)
    _, other = checked(salt="b", max_time_s=3)

    creates = [text for text in one if text.startswith("POST /v1/runs/bulk")]
    assert creates
    assert not set(creates) & set(other)
