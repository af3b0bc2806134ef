"""What is done beside the last round of the scenarios: in which order, how long, and where not at all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.core.target import Target
from contracts.engine.check_context import CheckContext
from contracts.engine.results import OutOfTime
from contracts.engine.runner import Runner
from contracts.explore import exploration, schema_fuzz, step_sequences
from contracts.explore.exploration import exploring
from contracts.explore.model import SEQUENCES
from contracts.guard import Guard
from contracts.rules import REGISTRY


class Begun:
    """Stands for both explorations, and notes with what they were begun."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, max_time_s: float = 240, **more: Any) -> None:
        target = Target("http://127.0.0.1:9", "token", max_time_s=max_time_s, **more)
        self.check = CheckContext(target, Guard(target, journal_dir=folder), deadline=time.monotonic() + 1000)
        self.seconds: dict[str, float] = {}
        self.examples: list[tuple[int, int]] = []
        self.ended: list[str] = []
        parts = [part._replace(exploring=self.explore(part.name)) for part in exploration._PARTS]
        monkeypatch.setattr(exploration, "_PARTS", parts)
        monkeypatch.setattr(exploration, "time", SimpleNamespace(monotonic=lambda: 1000.0))

    def explore(self, name: str) -> Any:
        @contextlib.contextmanager
        def note(runner: Any, wanted: Any, *, examples: int, until: float, round_number: int) -> Iterator[None]:
            self.seconds[name] = until - 1000
            self.examples.append((examples, round_number))
            yield
            self.ended.append(name)

        return note

    def by(self, rules: Any = REGISTRY) -> None:
        """As a check begins them."""
        with exploring(Runner(self.check), rules, lambda name: None):
            self.ended.append("last round")

    def by_fuzz(self, round_number: int) -> bool:
        parts = exploring(Runner(self.check), REGISTRY, lambda name: None, round_number=round_number)
        with contextlib.suppress(OutOfTime), parts as has_begun:
            pass
        return has_begun


def test_both_run_during_the_last_round_and_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Begun(tmp_path, monkeypatch)

    begun.by()
    assert begun.seconds == {
        "schema-wide requests": schema_fuzz.MOST_S,
        SEQUENCES.name: step_sequences.MOST_S,
    }
    assert begun.examples == [(schema_fuzz.EXAMPLES, 0), (step_sequences.EXAMPLES, 0)]
    assert begun.ended == ["last round", SEQUENCES.name, "schema-wide requests"]


def test_what_schemathesis_sent_is_judged_although_the_sequences_run_out_of_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Begun(tmp_path, monkeypatch)
    (schema, sequences) = exploration._PARTS

    @contextlib.contextmanager
    def out_of_time(*args: Any, **more: Any) -> Iterator[None]:
        raise OutOfTime
        yield

    monkeypatch.setattr(exploration, "_PARTS", (schema, sequences._replace(exploring=out_of_time)))

    assert begun.by_fuzz(1)
    assert begun.ended == ["schema-wide requests"]


def test_a_round_of_a_fuzz_takes_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Begun(tmp_path, monkeypatch)

    assert begun.by_fuzz(2)
    assert begun.seconds[SEQUENCES.name] > 2 * step_sequences.MOST_S
    assert begun.examples == [(exploration.FUZZ_EXAMPLES, 1)] * 2
    assert begun.ended == [SEQUENCES.name, "schema-wide requests"]  # one during the other


def test_a_check_of_one_rule_takes_less_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Begun(tmp_path, monkeypatch)

    begun.by({"NO-5XX"})
    assert list(begun.seconds) == ["schema-wide requests"]
    assert begun.seconds["schema-wide requests"] <= schema_fuzz.MOST_S / 2


@pytest.mark.parametrize(
    ("rules", "more"),
    [
        ({"IDEM-CONFLICT"}, {}),
        (set(), {}),
        (REGISTRY, {"max_time_s": 5.0}),
        (REGISTRY, {"profile": "live", "allow_writes": True}),
    ],
)
def test_nothing_is_begun_where_nothing_could_come_of_it(
    rules: Any, more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Begun(tmp_path, monkeypatch, **more)

    begun.by(rules)
    assert begun.seconds == {}


def test_nothing_is_begun_where_nothing_may_be_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Begun(tmp_path, monkeypatch)
    begun.check.may_create = False

    begun.by()
    assert begun.seconds == {}
    assert not begun.by_fuzz(1)
