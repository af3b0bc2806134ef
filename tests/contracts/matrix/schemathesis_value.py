"""What a check finds only by the requests of schemathesis: `python -m tests.contracts.matrix.schemathesis_value`.

Each server gets two checks of all rules, up to their first finding: one without schemathesis, and one of schemathesis
alone. The servers are stand-ins with a planted defect, taken in turn from each rule, or with `--mutants` machine-made
mutants, which nobody chose with the scenarios in mind.

A check limits the time of schemathesis and the number of its examples. On a busy machine it does less in that time:
`--times 4` gives four times as much, and the number of examples stays.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from unittest.mock import patch

import contracts.check
from contracts.core.findings import CouldNotCheck
from contracts.explore import exploration, schema_fuzz
from tests.contracts.checks import first_finding, guarded
from tests.contracts.matrix.defects_table import sample
from tests.contracts.mutation import score
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving

Serving = Callable[[], AbstractContextManager[str | None]]

OTHER_PARTS = tuple(part for part in exploration._PARTS if part.limits is not schema_fuzz)
SCHEMATHESIS = tuple(part for part in exploration._PARTS if part.limits is schema_fuzz)


def found_without(serving: Serving, max_time_s: float) -> str | None:
    with patch.object(exploration, "_PARTS", OTHER_PARTS):
        return _found(serving, max_time_s)


def found_by_schemathesis(serving: Serving, max_time_s: float, times: float = 1) -> str | None:
    with (
        patch.object(exploration, "_PARTS", SCHEMATHESIS),
        patch.object(contracts.check, "SCENARIOS", ()),
        patch.object(schema_fuzz, "MOST_S", schema_fuzz.MOST_S * times),
        patch.object(schema_fuzz, "JUDGING_S", schema_fuzz.JUDGING_S * times),
    ):
        return _found(serving, max_time_s)


def _found(serving: Serving, max_time_s: float) -> str | None:
    """The rule of the first finding that repeated."""
    with serving() as url:
        if url is None:
            return None
        with guarded(url, max_time_s=max_time_s) as guard:
            try:
                finding = first_finding(guard)
            except CouldNotCheck:
                return "could not check"
    return None if finding is None else finding.rule


def outcome(without: str | None, alone: str | None) -> str:
    if without:
        return "by both" if alone else "only without schemathesis"
    return "only by schemathesis" if alone else "by neither"


def servers(asked: argparse.Namespace) -> dict[str, Serving]:
    if asked.mutants:
        drawn = score.sample(asked.mutants, asked.seed)
        return {mutant.name: partial(score.serving_mutant, mutant, source) for mutant, source in drawn}
    return {name: partial(serving, name) for name in asked.defect or sample(asked.number)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.matrix.schemathesis_value", description=__doc__)
    parser.add_argument("--number", type=int, default=40, help="of planted defects")
    parser.add_argument("--defect", choices=sorted(DEFECTS), metavar="NAME", action="append", help="repeatable")
    parser.add_argument("--mutants", type=int, default=0, metavar="N", help="mutants in place of planted defects")
    parser.add_argument("--seed", type=int, default=1, help="of the sample of mutants")
    parser.add_argument("--max-time", type=float, default=90, help="seconds of a check")
    parser.add_argument("--times", type=float, default=1, help="as many times longer for schemathesis")
    asked = parser.parse_args()
    totals: Counter[str] = Counter()
    for name, serving_it in servers(asked).items():
        without = found_without(serving_it, asked.max_time)
        alone = found_by_schemathesis(serving_it, asked.max_time, asked.times)
        totals[outcome(without, alone)] += 1
        print(f"{name}: {outcome(without, alone)} ({without}, {alone})", flush=True)
    print(f"Of {totals.total()}: {', '.join(f'{count} {how}' for how, count in totals.most_common())}.")


if __name__ == "__main__":
    main()
