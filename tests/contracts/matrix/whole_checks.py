"""Whole checks of planted defects, as a user runs them: `python -m tests.contracts.matrix.whole_checks`.

Each stand-in runs in a process of its own. A check judges all rules, with its default options, and ends at its first
stable finding under a rule that the defect breaks. The sample depends on the ids of the defects only.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.contracts.checks import first_finding, guarded
from tests.processes import started
from tests.standin.defects import DEFECTS


def sample(number: int, seed: int) -> list[str]:
    return sorted(DEFECTS, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[:number]


@contextmanager
def standin(defect: str) -> Iterator[str]:
    """Yields its URL."""
    with started("--defect", defect, command=("tests.standin",), stderr="shared") as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()


def checked(defect: str, *, max_time_s: float) -> dict[str, Any]:
    began = time.monotonic()
    with standin(defect) as url, guarded(url, max_time_s=max_time_s) as guard:
        finding = first_finding(guard, DEFECTS[defect].rules, is_whole=True)
        return {
            "defect": defect,
            "found": None if finding is None else finding.rule,
            "by": "" if finding is None or not finding.reproductions else finding.reproductions[-1].scenario,
            "s": round(time.monotonic() - began, 1),
            "requests": guard.spent.requests,
            "runs": guard.spent.runs_created,
        }


def summary(rows: Sequence[dict[str, Any]]) -> str:
    found = [row for row in rows if row["found"]]
    text = f"{len(found)} of {len(rows)} found"
    for name, words in {"s": "seconds", "requests": "requests", "runs": "runs created"}.items() if found else ():
        values = sorted(row[name] for row in found)
        text += f"; {words}: median {values[len(values) // 2]:,}, 95 % within {values[int(len(values) * 0.95)]:,}"
    missed = ", ".join(row["defect"] for row in rows if not row["found"])
    return f"{text}. Not found: {missed or 'none'}."


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.matrix.whole_checks", description=__doc__)
    parser.add_argument("--number", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-time", type=float, default=120, help="seconds of a check")
    asked = parser.parse_args()
    rows = []
    for defect in sample(asked.number, asked.seed):
        rows.append(checked(defect, max_time_s=asked.max_time))
        print(json.dumps(rows[-1]), flush=True)
    print(summary(rows))


if __name__ == "__main__":
    main()
