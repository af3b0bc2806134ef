"""Checks of a stand-in that runs in this process, and what a finding's exchanges give when they are sent again."""

import os
import re
import tempfile
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

import contracts.check
from contracts.exchange import Exchange
from contracts.findings import CheckResult, Finding
from contracts.guard import Guard
from contracts.target import Target
from tests.standin.behaviour import Settings
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving

FULL = os.environ.get("STANDIN_MATRIX") == "full"
TOKENS = Settings().tokens
UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
ALIAS = re.compile(r"alias_[0-9a-f]{32}")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")


class Enough(Exception):
    """Raised out of a check when it has found what it was sent for: what it costs to go on tells nothing new."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.rule)
        self.finding = finding


def target(url: str, *, seed: int, max_time_s: float) -> Target:
    return Target(url=url, token=TOKENS[0], second_token=TOKENS[1], seed=seed, max_time_s=max_time_s)


def first_finding(defect: str, *, seed: int = 0, max_time_s: float = 30) -> Finding | None:
    """The first stable finding under one of the rules that the defect breaks, with only those rules judged."""
    rules = DEFECTS[defect].rules

    def stop(finding: Finding) -> None:
        if finding.stable and finding.rule in rules:
            raise Enough(finding)

    with serving(defect) as url, tempfile.TemporaryDirectory() as journal:
        aim = target(url, seed=seed, max_time_s=max_time_s)
        with Guard(aim, journal_dir=Path(journal)) as guard:
            try:
                contracts.check.check(aim, guard, rules=rules, on_finding=stop)
            except Enough as enough:
                return enough.finding
    return None


def whole_check(
    variations: Collection[str], *, rules: Collection[str] | None, seed: int, max_time_s: float
) -> CheckResult:
    with serving(None, variations) as url, tempfile.TemporaryDirectory() as journal:
        aim = target(url, seed=seed, max_time_s=max_time_s)
        with Guard(aim, journal_dir=Path(journal)) as guard:
            return contracts.check.check(aim, guard, rules=rules)


def transcript(exchanges: Sequence[Exchange], defect: str | None) -> list[tuple[int, str, str]]:
    """What a fresh stand-in answers to the same requests, without what is another in every run.

    Ids that an answer gave then are, in the requests after it, those that it gives now.
    """
    known: dict[str, str] = {}
    answers = []
    with serving(defect, settings=Settings(scheduling_s=3600)) as url, httpx.Client(base_url=url) as client:
        for exchange in exchanges:
            request = exchange.request
            headers = [(name, _authorized(value)) for name, value in request.headers]
            body = None if request.body is None else _now(request.body.decode("latin-1"), known).encode("latin-1")
            answer = client.request(request.method, _now(request.path, known), headers=headers, content=body)
            then, now = (ids(text) for text in (exchange.answer.body.decode("latin-1"), answer.text))
            known.update(pair for pair in zip(then, now, strict=False) if pair[0] not in known)
            answers.append((answer.status_code, answer.headers.get("content-type", ""), answer.text))
    numbers: dict[str, str] = {}
    return [(status, kind, _plain(text, numbers)) for status, kind, text in answers]


def ids(text: str) -> list[str]:
    return list(dict.fromkeys(UUID.findall(text)))


def _authorized(value: str) -> str:
    return value.replace("$SECOND_TOKEN", TOKENS[1]).replace("$TOKEN", TOKENS[0])


def _now(text: str, known: dict[str, str]) -> str:
    return UUID.sub(lambda found: known.get(found[0], found[0]), text)


def _plain(text: str, numbers: dict[str, str]) -> str:
    text = UUID.sub(lambda found: numbers.setdefault(found[0], f"id-{len(numbers)}"), text)
    return MOMENT.sub(_about, ALIAS.sub("alias", text))


def _about(found: re.Match[str]) -> str:
    moment = datetime.fromisoformat(found[0])
    return "now" if abs((datetime.now(UTC) - moment).total_seconds()) < 300 else "another time"


def shown(exchanges: Sequence[Exchange]) -> str:
    """The exchanges in few lines, for a message of a test that failed."""
    lines = []
    for exchange in exchanges:
        body = (exchange.request.body or b"")[:200].decode("utf-8", "replace")
        answer = f"{exchange.answer.status} {exchange.answer.body[:200].decode('utf-8', 'replace')}"
        lines.append(f"{exchange.request.method} {exchange.request.path[:200]} {body}\n    {answer}")
    return "\n".join(lines)
