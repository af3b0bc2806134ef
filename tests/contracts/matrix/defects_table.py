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

import httpx

from tests.contracts.checks import TOKENS, first_finding, guarded
from tests.contracts.matrix import schemathesis_tuning
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving

ROOT = Path(__file__).parents[3]
SECONDS = 30.0
HEALTHY = "(healthy)"
TUNING = Path(schemathesis_tuning.__file__)


def checked(defect: str) -> dict[str, Any]:
    """A check of the rules that the defect breaks, up to its first stable finding."""
    began = time.monotonic()
    with serving(defect) as url:
        with guarded(url, max_time_s=SECONDS) as guard:
            finding = first_finding(guard, DEFECTS[defect].rules)
        told = [_runs(url, token) for token in TOKENS]
        left = None if None in told else sum(filter(None, told))
    seconds = round(time.monotonic() - began, 1)
    return {
        "found": None if finding is None else finding.rule,
        "s": seconds,
        "requests": guard.spent.requests,
        "runs": guard.spent.runs_created,
        "left": left,
    }


def _runs(url: str, token: str) -> int | None:
    """By the server's own word; a defect may have it lie, or say nothing."""
    answer = httpx.get(f"{url}/v1/runs", params={"limit": 1}, headers={"Authorization": f"Bearer {token}"})
    return answer.json()["total"] if answer.is_success else None


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
    return kind, name, checked(name) if kind == "check" else fuzzed(name)


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
    seconds = sorted(checks[name]["s"] for name in found)
    measured_on = max((one.get("on", "") for one in checks.values()), default="")
    earlier = sum(bool(checks[name].get("earlier")) for name in known)
    lines = [
        "# Planted defects, and what finds them",
        "",
        f"Made by `python -m tests.contracts.matrix.defects_table`; measured on {measured_on}, on two cores with other",
        "work beside it.",
        "Each row is the stand-in of `tests/standin` with one defect planted.",
        "",
        "- `contracts check`: only the rules that the defect breaks are judged, with seed 0, up to the first finding",
        f"  that showed again when it was sent alone, for at most {SECONDS:g} s. Seconds, requests and runs are those",
        "  until then; a check of all rules comes to some of them later. **no** is not found in that time.",
        "  The full profile cleans up only when asked to; that live leaves nothing is tested in",
        "  `tests/contracts/matrix`.",
    ]
    if earlier:
        lines += [
            f"- \\* {earlier} rows are of an earlier state of the engine on the same day, up to 20 s. Runs left were",
            "  not counted yet. Some of the others ran out of time on a busy machine: `misses.py` names them.",
        ]
    lines += [
        "- schemathesis alone: 4.32, all checks and phases, 20 examples, tuned as `schemathesis_tuning.py` beside the",
        "  table says, on a stand-in that reads scalars strictly; what it reports on the healthy one too is taken off.",
        f"  Run for {len(given)} of the defects, taken in turn from each rule; empty where it was not run.",
        "",
        "## Totals",
        "",
        f"- `contracts check`: {len(found)} of {len(known)} found"
        + (f"; median {seconds[len(seconds) // 2]} s, at most {seconds[-1]} s." if seconds else "."),
        f"- schemathesis alone: {len(by_both)} of the {len(given)} it was given, of which `contracts check` found "
        f"{len(set(given) & set(found))}."
        if given
        else "- schemathesis alone: not measured yet.",
        "",
        "## Each defect",
        "",
        "| defect | what | `contracts check` | schemathesis | seconds | requests | runs created | runs left |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    for name in known:
        row, defect = checks[name], DEFECTS[name]
        rule = (row["found"] or f"**no** ({defect.rule})") + (" \\*" if row.get("earlier") else "")
        left = "" if row["left"] is None else row["left"]
        lines.append(
            f"| `{name}` | {defect.what} | {rule} | {by_schemathesis(name)} | {row['s']} | {row['requests']} "
            f"| {row['runs']} | {left} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.matrix.defects_table", description=__doc__)
    parser.add_argument("--schemathesis", type=int, default=60, metavar="N", help="defects that schemathesis is given")
    parser.add_argument("--only", choices=["check", "schemathesis"], help="measure nothing of the other")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "defects.json")
    parser.add_argument("--only-write", action="store_true", help="measure nothing more")
    asked = parser.parse_args()
    cache: dict[str, dict[str, Any]] = {"check": {}, "schemathesis": {}}
    if asked.cache.exists():
        cache = json.loads(asked.cache.read_text())
    jobs = [("check", name) for name in DEFECTS]
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
