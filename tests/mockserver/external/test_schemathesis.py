"""schemathesis, with every check it has, against the mock: undeclared methods, negative data and the links included.

Strict reading is what is tested. In lax the mock takes what the real server takes, which is more than the document
says, and schemathesis would rightly find that.
"""

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.matrix

# Enough for every phase to go beyond its fixed cases; ten times as many found nothing more.
MAX_EXAMPLES = 40

FRESH_KEYS = """
import uuid
import schemathesis

@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is not None and not case.meta.generation.mode.is_negative:
        for name in case.headers or ():
            if name.lower() == "idempotency-key":
                case.headers[name] = str(uuid.uuid4())
"""


def run_schemathesis(url: str, token: str, folder: Path, *, seed: int, max_examples: int, hooks: str = "") -> Any:
    """The report, with what it printed under `printed`."""
    (folder / "hooks.py").write_text(hooks)
    (folder / "schemathesis.toml").touch()  # so that none of a folder further up is taken
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(files("openapi") / "cyberdesk.yaml")]
    command += ["--url", url, "-H", f"Authorization: Bearer {token}", "--checks", "all", "--continue-on-failure"]
    command += ["--seed", str(seed), "--max-examples", str(max_examples), "--generation-database", "none"]
    command += ["--report", "json", "--report-json-path", "report.json", "--no-color"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (folder / "report.json").exists(), done.stdout + done.stderr
    return {**json.loads((folder / "report.json").read_text()), "printed": done.stdout}


def assert_nothing_found(report: Any) -> None:
    assert (report["failures"], report["errors"]) == ([], []), report["printed"]
    assert (report["exit_code"], report["complete"]) == (0, True)
    assert report["operations"]["tested"] == report["operations"]["total"] == 22
    assert {name: phase["status"] for name, phase in report["phases"].items()} == dict.fromkeys(
        ("examples", "coverage", "fuzzing", "stateful"), "success"
    )
    assert report["test_cases"]["generated"] > 1500
    print("schemathesis: seed {seed}, {test_cases[generated]} cases, 0 failures".format(**report))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_schemathesis_finds_nothing(serve, token, tmp_path, seed):
    url = serve()
    httpx.post(
        f"{url}/v1/runs", headers={"Authorization": f"Bearer {token}"}, json=A_RUN_WITH_A_FILE
    ).raise_for_status()

    assert_nothing_found(run_schemathesis(url, token, tmp_path, seed=seed, max_examples=MAX_EXAMPLES))


def test_schemathesis_finds_nothing_where_keys_are_fresh_and_runs_have_ended_so_that_writes_get_through(
    serve, token, tmp_path
):
    url = serve("--progression", "immediate")

    report = run_schemathesis(url, token, tmp_path, seed=1, max_examples=5, hooks=FRESH_KEYS)

    assert_nothing_found(report)
    sent = {name: rates["coverage"] for name, rates in report["valid_rates"].items() if name.startswith("POST ")}
    assert len(sent) == 7
    assert all(rates["accepted"] > 3 and rates["conflicts"] == 0 for rates in sent.values()), sent


A_RUN_WITH_A_FILE = {
    "workflow_id": "10000000-0000-4000-8000-000000000005",
    "file_inputs": [{"filename": "referral.txt", "content": "UmVmZXJyYWw="}],
}
