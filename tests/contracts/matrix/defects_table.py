"""Writes docs/defects.md: what `contracts check` and schemathesis alone make of each planted defect.

`python -m tests.contracts.matrix.defects_table` measures the defects that have no row, and writes the page after each,
so that it can be stopped and continued. `--defect NAME` measures one anew, `--all` every one. `--schemathesis 60` is
how many defects schemathesis is given, taken in turn from each rule.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
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

PAGE = Path(__file__).parents[3] / "docs" / "defects.md"
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


@dataclass
class Row:
    """The cells of a defect. `found` is the rule, or None; the cells are empty where nothing was measured."""

    found: str | None = ""
    schemathesis: str = ""
    s: float = 0.0
    requests: int = 0
    runs: int = 0

    @classmethod
    def read(cls, line: str) -> tuple[str, "Row"]:
        name, _, found, schemathesis, *spent = (cell.strip() for cell in line.strip("|").split(" | "))
        row = cls(None if found.startswith("**no**") else found, schemathesis)
        if spent[0]:
            row.s, row.requests, row.runs = float(spent[0]), int(spent[1]), int(spent[2])
        return name.strip("`"), row

    def line(self, name: str) -> str:
        defect = DEFECTS[name]
        found = f"**no** ({defect.rule})" if self.found is None else self.found
        spent = ("", "", "") if self.found == "" else (self.s, self.requests, self.runs)
        return f"| {' | '.join([f'`{name}`', defect.what, found, self.schemathesis, *map(str, spent)])} |"


def read(page: str) -> tuple[dict[str, Row], set[str]]:
    """Return the rows of the defects that exist, and the days on which they were measured."""
    rows = dict(Row.read(line) for line in page.splitlines() if line.startswith("| `"))
    days = re.search(r"measured on (\S+?)(?: to (\S+?))?,", page)
    return {name: row for name, row in rows.items() if name in DEFECTS}, {*days.groups()} - {None} if days else set()


def written(rows: dict[str, Row], days: set[str]) -> str:
    """Return the page."""
    known = [name for name in DEFECTS if name in rows and rows[name].found != ""]
    given = [name for name in DEFECTS if name in rows and rows[name].schemathesis]
    by_schemathesis = [name for name in given if rows[name].schemathesis != "no"]
    by_both = [name for name in given if rows[name].found]
    measured_on = " to ".join(sorted({min(days), max(days)}))
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
        + whole_checks.summary([vars(rows[name]) | {"defect": name} for name in known]),
        f"- schemathesis alone: {len(by_schemathesis)} of the {len(given)} it was given, of which `contracts check` "
        f"found {len(by_both)}.",
        "",
        "## Each defect",
        "",
        "| defect | what | `contracts check` | schemathesis | seconds | requests | runs created |",
        "|---|---|---|---|---:|---:|---:|",
        *(rows.get(name, Row()).line(name) for name in DEFECTS),
    ]
    return "\n".join(lines) + "\n"


def measured(job: tuple[str, str]) -> tuple[str, str, dict[str, Any]]:
    kind, name = job
    return kind, name, whole_checks.checked(name, max_time_s=SECONDS) if kind == "check" else fuzzed(name)


def jobs_for(asked: argparse.Namespace, rows: dict[str, Row]) -> list[tuple[str, str]]:
    """Return what is to be measured: the kind, and the defect."""
    if asked.defect:
        return [("check", name) for name in asked.defect]
    checks = whole_checks.sample(len(DEFECTS), seed=1)  # so that a part is a sample
    jobs = [("check", name) for name in checks if asked.all or name not in rows or rows[name].found == ""]
    fuzz = [name for name in sample(asked.schemathesis) if asked.all or name not in rows or not rows[name].schemathesis]
    jobs += [("schemathesis", name) for name in (HEALTHY, *fuzz)] if fuzz else []
    return [(kind, name) for kind, name in jobs if asked.only in (None, kind)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.matrix.defects_table", description=__doc__)
    parser.add_argument("--schemathesis", type=int, default=60, metavar="N", help="defects that schemathesis is given")
    parser.add_argument("--only", choices=["check", "schemathesis"], help="measure nothing of the other")
    parser.add_argument("--defect", action="append", choices=list(DEFECTS), metavar="NAME", help="measure it anew")
    parser.add_argument("--all", action="store_true", help="measure all anew")
    asked = parser.parse_args()
    rows, days = read(PAGE.read_text()) if PAGE.exists() else ({}, set())
    usual: set[str] = set()
    with get_context("spawn").Pool(1) as pool:
        for kind, name, found in pool.imap(measured, jobs_for(asked, rows)):
            days |= {datetime.now(UTC).date().isoformat()}
            print(kind, name, found.get("found", ""), found["s"], flush=True)
            if name == HEALTHY:
                usual = set(found["failures"])
                continue
            row = rows.setdefault(name, Row())
            if kind == "check":
                row.found, row.s, row.requests, row.runs = (found[key] for key in ("found", "s", "requests", "runs"))
            else:
                new = sorted({one.split()[0] for one in set(found["failures"]) - usual})
                row.schemathesis = f"yes ({', '.join(new)})" if new else "no"
            PAGE.write_text(written(rows, days))
    PAGE.write_text(written(rows, days))


if __name__ == "__main__":
    main()
