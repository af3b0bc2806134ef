"""The load profile passes a healthy server, and fails for one that breaks a rule under load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.measures import send
from tests.processes import serving as serving_mock
from tests.standin.serving import serving as serving_standin

_PROFILE = Path(__file__).parent / "locustfile.py"


def loaded(url: str, token: str, *, users: int = 4, requests: int = 60) -> tuple[int, dict[str, int], str]:
    """Return the exit code of locust, the number of requests by name, and what it writes to standard error."""
    users_and_requests = ["--users", str(users), "--spawn-rate", str(users), "--requests", str(requests)]
    command = ["-m", "locust", "-f", str(_PROFILE), "--host", url, "--token", token, *users_and_requests]
    finished = subprocess.run(
        [sys.executable, *command, "--headless", "--json"], capture_output=True, text=True, timeout=300
    )
    told = json.loads(finished.stdout)
    return finished.returncode, {each["name"]: each["num_requests"] for each in told}, finished.stderr


def test_the_mock_keeps_the_contract_under_load() -> None:
    with serving_mock("--time-scale", "20") as (_, url):
        code, requests, said = loaded(url, "test")

    assert code == 0, said
    assert sum(requests.values()) == 4 * 60
    assert {name for name in requests if "(" not in name} == {
        *("bulk_create_runs", "create_run", "create_run_chain", "list_runs", "get_run"),
        *("update_run", "retry_run", "delete_run"),
    }


def test_a_user_waits_after_a_429_which_is_no_failure() -> None:
    with serving_mock("--rate-limit", "4/s") as (_, url):
        code, _, said = loaded(url, "test", users=2, requests=8)
        refused = json.loads(send(f"{url}/__admin/requests?status=429"))["total"]

    assert code == 0, said
    assert 1 <= refused <= 8  # of 16; without the waits, all but the first four or so


def test_a_request_without_an_answer_is_a_failure_and_the_user_goes_on() -> None:
    with serving_mock() as (_, url):
        pass
    code, requests, said = loaded(url, "test", users=1, requests=3)

    assert (code, sum(requests.values())) == (1, 3), said
    assert "no answer: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("defect", "rule"),
    [
        ("creates_at_once_share_inputs", "BULK-ECHO"),
        pytest.param("neighbour_goes_too", "READ-BACK", marks=pytest.mark.matrix),
        pytest.param("cancelled_goes_on", "LIFECYCLE", marks=pytest.mark.matrix),
    ],
)
def test_a_broken_rule_makes_it_fail(defect: str, rule: str) -> None:
    with serving_standin(defect) as url:
        code, _, said = loaded(url, "standin-token-one", users=8, requests=120)

    assert code == 1
    assert f"{rule}: expected" in said


@pytest.mark.matrix
def test_a_healthy_server_of_another_hand_passes() -> None:
    with serving_standin() as url:
        code, _, said = loaded(url, "standin-token-one")

    assert code == 0, said
