"""What each scenario does, in files that can be compared.

`python -m tests.contracts.matrix.scenario_transcripts FOLDER` writes them: for each scenario, the cases that it makes
for a fresh stand-in and the requests that they send, in one thread and with seeded ids and markers. To check that a
change of the code changes no requests, make one folder before and one after it and compare them with `diff -r`. Times
and some markers differ between two runs of the same code. A scenario that waits sends as many reads as it has time
for, so equal requests in a row are written once.
"""

from __future__ import annotations

import argparse
import random
import re
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from unittest.mock import patch

from contracts.core.exchange import Exchange
from contracts.engine.case_json import case_to_json
from contracts.engine.discovery import discover
from contracts.engine.results import OutOfTime
from contracts.engine.runner import Runner
from contracts.engine.scenario import Scenario
from contracts.rules import SCENARIOS
from tests.contracts.checks import guarded
from tests.contracts.matrix.replay import plain
from tests.standin.serving import serving

CASES = 40
"""Of each scenario, spread over all of them."""
EACH_FOR_S = 20
_PORT = re.compile(r"127\.0\.0\.1:[0-9]+")


@contextmanager
def seeded(seed: str) -> Iterator[None]:
    """Everything made up is the same every time: ids, markers, keys."""
    source = random.Random(seed)
    with (
        patch.object(uuid, "uuid4", lambda: uuid.UUID(int=source.getrandbits(128), version=4)),
        patch.object(secrets, "choice", source.choice),
        patch.object(secrets, "randbelow", source.randrange),
        patch.object(secrets, "token_hex", lambda size=16: f"{source.getrandbits(8 * size):0{2 * size}x}"),
    ):
        yield


def transcript(scenario: Scenario) -> list[str]:
    """Lines of text: the cases, then the requests."""
    with seeded("the same for all"), serving() as url, guarded(url, max_time_s=EACH_FOR_S) as guard:
        runner = Runner(discover(guard.target, guard, deadline=time.monotonic() + EACH_FOR_S))
        cases = list(scenario.cases(runner.check))
        sent = len(guard.exchanges)
        try:
            for case in islice(cases, 0, None, max(1, len(cases) // CASES)):
                violated = runner.attempt(scenario, case).violated
                if violated is not None:
                    runner.investigate(scenario, case, violated)
        except OutOfTime:
            pass
        finally:
            runner.end()
        numbers: dict[str, str] = {}
        lines = [f"case {text}" for text in _texts(map(case_to_json, cases), numbers)]
        lines += [f"sent {text}" for text in _texts(map(_line, guard.exchanges[sent:]), numbers)]
        return lines


def _texts(texts: Iterator[str], numbers: dict[str, str]) -> list[str]:
    return [text for text, _ in groupby(_PORT.sub("target", plain(text, numbers)) for text in texts)]


def _line(exchange: Exchange) -> str:
    request = exchange.request
    body = "" if request.body is None else request.body.decode("latin-1")
    return f"{request.method} {request.path} {dict(request.headers)} {body[:2_000]} -> {exchange.answer.status}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.matrix.scenario_transcripts", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for number, scenario in enumerate(SCENARIOS):
        if asked.only and scenario.name not in asked.only:
            continue
        lines = transcript(scenario)
        name = f"{number:03d} {scenario.name}".replace("/", "-")
        (asked.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass")
        print(
            f"{sum(line.startswith('case') for line in lines):6d} cases {len(lines):6d} lines  {scenario.name}",
            flush=True,
        )


if __name__ == "__main__":
    main()
