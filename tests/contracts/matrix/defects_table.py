"""Writes docs/defects.md: what `contracts check` and schemathesis alone make of each planted defect.

`python -m tests.contracts.matrix.defects_table`: what was measured before is kept in a cache, so that it can be stopped
and gone on with. `--schemathesis 60` is how many defects schemathesis is given, taken in turn from each rule.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from importlib.resources import files
from itertools import chain, zip_longest
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.contracts.checks import TOKENS
from tests.contracts.matrix import schemathesis_tuning, whole_checks
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving

ROOT = Path(__file__).parents[3]
SECONDS = 120.0
HEALTHY = "(healthy)"
TUNING = Path(schemathesis_tuning.__file__)


def fuzzed(defect: str) -> dict[str, Any]:
    """What schemathesis reports, with every check, on a stand-in that reads scalars strictly."""
    began = time.monotonic()
    with (
        serving(None if defect == HEALTHY else defect, {"strict_scalars"}) as url,
        tempfile.TemporaryDirectory() as folder,
    ):
        Path(folder, "hooks.py").write_text(TUNING.read_text())
        Path(folder, "schemathesis.toml").write_text(schemathesis_tuning.CONFIG)
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(files("openapi") / "cyberdesk.yaml")]
        command += ["--url", url, "-H", f"Authorization: Bearer {TOKENS[0]}", "--checks", "all"]
        command += ["--continue-on-failure", "--seed", "1", "--max-examples", "20", "--generation-database", "none"]
        command += ["--report", "json", "--report-json-path", "report.json", "--no-color"]
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": folder}
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
        report = json.loads(Path(folder, "report.json").read_text())
    failures = [f"{one['code']} {operation}" for one in report["failures"] for operation in one["operations"]]
    return {"failures": sorted(failures), "s": round(time.monotonic() - began, 1)}


def sample(size: int) -> list[str]:
    """The first defect of each rule, then the second of each, and so on."""
    by_rule: dict[str, list[str]] = defaultdict(list)
    for defect in DEFECTS.values():
        by_rule[defect.rule].append(defect.id)
    return [name for name in chain.from_iterable(zip_longest(*by_rule.values())) if name is not None][:size]


def measured(job: tuple[str, str]) -> tuple[str, str, dict[str, Any]]:
    kind, name = job
    return kind, name, whole_checks.checked(name, max_time_s=SECONDS) if kind == "check" else fuzzed(name)


def table(cache: dict[str, dict[str, Any]]) -> str:
    checks, fuzz = cache["check"], cache["schemathesis"]
    usual = set(fuzz.get(HEALTHY, {"failures": ()})["failures"])

    def by_schemathesis(name: str) -> str:
        if name not in fuzz:
            return ""
        new = set(fuzz[name]["failures"]) - usual
        return f"yes ({', '.join(sorted({one.split()[0] for one in new}))})" if new else "no"

    known = [name for name in DEFECTS if name in checks]
    found = [name for name in known if checks[name]["found"]]
    given = [name for name in known if name in fuzz]
    by_both = [name for name in given if by_schemathesis(name) != "no"]
    days = sorted({one.get("on", "") for one in checks.values()}) or [""]
    measured_on = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    lines = [
        "# Planted defects, and what finds them",
        "",
        f"Made by `python -m tests.contracts.matrix.defects_table`; measured on {measured_on}, on two cores.",
        "Each row is the stand-in of `tests/standin` with one defect planted.",
        "",
        "- `contracts check`: a whole check with its default options and seed 0, up to the first finding under a rule",
        "  that the defect breaks, which showed again when it was sent alone. Seconds, requests and runs are those",
        f"  until then. **no** is not found within {SECONDS:g} s; empty where it was not run.",
        "- schemathesis alone: 4.32, all checks and phases, 20 examples, tuned as `schemathesis_tuning.py` beside the",
        "  table says, on a stand-in that reads scalars strictly; what it reports on the healthy one too is taken off.",
        f"  Run for {len(given)} of the defects, taken in turn from each rule; empty where it was not run.",
        "",
        "## Totals",
        "",
        f"- `contracts check`, run for {len(known)} of {len(DEFECTS)} defects: "
        + whole_checks.summary([checks[name] | {"defect": name} for name in known]),
        f"- schemathesis alone: {len(by_both)} of the {len(given)} it was given, of which `contracts check` found "
        f"{len(set(given) & set(found))}."
        if given
        else "- schemathesis alone: not measured yet.",
        "",
        "## Each defect",
        "",
        "| defect | what | `contracts check` | schemathesis | seconds | requests | runs created |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for name, defect in DEFECTS.items():
        row = checks.get(name)
        rule = "" if row is None else row["found"] or f"**no** ({defect.rule})"
        spent = " | ".join("" if row is None else str(row[key]) for key in ("s", "requests", "runs"))
        lines.append(f"| `{name}` | {defect.what} | {rule} | {by_schemathesis(name)} | {spent} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.matrix.defects_table", description=__doc__)
    parser.add_argument("--schemathesis", type=int, default=60, metavar="N", help="defects that schemathesis is given")
    parser.add_argument("--only", choices=["check", "schemathesis"], help="measure nothing of the other")
    parser.add_argument("--workers", type=int, default=1, help="processes: each has a stand-in beside it")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "defects.json")
    parser.add_argument("--only-write", action="store_true", help="measure nothing more")
    asked = parser.parse_args()
    cache: dict[str, dict[str, Any]] = {"check": {}, "schemathesis": {}}
    if asked.cache.exists():
        cache = json.loads(asked.cache.read_text())
    jobs = [("check", name) for name in whole_checks.sample(len(DEFECTS), seed=1)]  # so that a part is a sample
    jobs += [("schemathesis", name) for name in (HEALTHY, *sample(asked.schemathesis))]
    jobs = [(kind, name) for kind, name in jobs if name not in cache[kind] and asked.only in (None, kind)]
    asked.cache.parent.mkdir(parents=True, exist_ok=True)
    if not asked.only_write:
        with get_context("spawn").Pool(asked.workers) as pool:
            for kind, name, row in pool.imap_unordered(measured, jobs):
                cache[kind][name] = row | {"on": datetime.now(UTC).date().isoformat()}
                asked.cache.write_text(json.dumps(cache, indent=1))
                print(kind, name, row.get("found", ""), row["s"], flush=True)
    (ROOT / "docs" / "defects.md").write_text(table(cache))


if __name__ == "__main__":
    main()
