"""Whether the mock gives memory back: what it takes before much is made, and after all of it has gone.

    python -m tests.bench.memory              10,000,000 runs and the rest: about an hour
    python -m tests.bench.memory --share 0.01

Each kind of thing has a server of its own, with its journal and its control API. Before the start, the journal is
filled, and a hundredth of the amount is made. The goal is a ratio of 1.2 at most.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.bench.load import Call
from tests.bench.measures import MOCK, body, bulk, serving
from tests.bench.pipeline import Pipeline
from tests.processes import resident_kib

T = TypeVar("T")
_AT_ONCE = 100
_FILLS_THE_JOURNAL = 60_000
_AUTHORIZED = ("Authorization", "Bearer test")


def runs(server: Pipeline, url: str, numbers: range, *, of: bytes = body(1000)) -> None:
    """Bulk creates of 1000 runs, each of which is deleted by a request of its own."""
    for _ in numbers[::1000]:
        ((_, answer),) = server.call(Call(f"{url}/v1/runs/bulk", "POST", of))
        ids = [run["id"] for run in json.loads(answer)["created_runs"]]
        _each(server, ids, lambda run: [Call(f"{url}/v1/runs/{run}", "DELETE")])


def runs_in_sessions(server: Pipeline, url: str, numbers: range) -> None:
    """The same, with a session for each create."""
    runs(server, url, numbers, of=body(1000)[:-1] + b', "start_session": true}')


def namespaces(server: Pipeline, url: str, numbers: range) -> None:
    """Namespaces, each with one run, which the control API deletes."""

    def calls(number: int) -> list[Call]:
        create = Call(f"{url}/__ns/n-{number}/v1/runs/bulk", "POST", body(1))
        return [create, Call(f"{url}/__admin/namespaces/n-{number}", "DELETE")]

    _each(server, numbers, calls)


def tokens(server: Pipeline, url: str, numbers: range) -> None:
    """Tokens, each of an organisation of its own, which lists its runs."""
    _each(server, numbers, lambda n: [Call(f"{url}/v1/runs", headers=(("Authorization", f"Bearer test-{n}"),))])


def idempotency_keys(server: Pipeline, url: str, numbers: range) -> None:
    """Updates of one run, each with an idempotency key of its own. Then a day passes, and some more follow."""
    ((_, answer),) = server.call(bulk(url, 1))
    run = f"{url}/v1/runs/{json.loads(answer)['created_runs'][0]['id']}"
    update = b'{"output_data": {"lines": 3}}'
    _each(server, numbers, lambda n: [Call(run, "PATCH", update, (_AUTHORIZED, ("Idempotency-Key", f"key-{n:032d}")))])
    _each(server, ["25h"], lambda time: [Call(f"{url}/__admin/clock", "POST", b'{"advance": "%b"}' % time.encode())])
    # Later requests remove the expired keys, of which there are 100,000 at most.
    enough = numbers[: min(len(numbers), 100_000) // 7]
    _each(server, enough, lambda n: [Call(run, "PATCH", update, (_AUTHORIZED, ("Idempotency-Key", f"later-{n:032d}")))])


KINDS: dict[Callable[[Pipeline, str, range], None], int] = {
    runs: 10_000_000,
    runs_in_sessions: 1_000_000,
    namespaces: 100_000,
    tokens: 100_000,
    idempotency_keys: 1_000_000,
}


def _each(server: Pipeline, items: Sequence[T], calls: Callable[[T], list[Call]]) -> None:
    """Send the calls of each item. Raises AssertionError if an answer is not a 2xx."""
    for first in range(0, len(items), _AT_ONCE):
        answers = server.call(*(call for item in items[first : first + _AT_ONCE] for call in calls(item)))
        refused = [answer for answer in answers if answer[0] // 100 != 2]
        assert not refused, refused[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the amounts")
    share = parser.parse_args().share
    fill = round(_FILLS_THE_JOURNAL * min(1, 10 * share))
    print("| made and gone | before | after | ratio |\n|---|---:|---:|---:|")
    for make, amount in KINDS.items():
        count = round(amount * share)
        with serving(*MOCK) as (process, url), Pipeline(url) as server:
            _each(server, range(fill), lambda _, url=url: [Call(f"{url}/v1/workflows")])
            make(server, url, range(count // 100))
            before = resident_kib(process.pid)
            make(server, url, range(count // 100, count))
            after = resident_kib(process.pid)
        what = make.__name__.replace("_", " ")
        print(f"| {count:,} {what} | {before >> 10} MiB | {after >> 10} MiB | {after / before:.2f} |", flush=True)


if __name__ == "__main__":
    main()
