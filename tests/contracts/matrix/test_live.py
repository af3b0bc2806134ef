"""The live profile beside other people's runs, as a program: it spends what it may, and leaves all as it was."""

import json
import time

import httpx
import pytest

from tests.contracts.checks import TOKENS
from tests.standin.client import W
from tests.standin.serving import serving

WORKFLOW = "3f0a5c1e-5b0e-4a52-8a3e-0d6a2f0b9c12"
"""The workflow of the checks. The runs of others are of another one."""

STAYS = ("id", "workflow_id", "input_values", "session_id", "created_at", "input_attachment_ids")


class Others:
    """Runs of both organisations that were there before; half of them have ended, and change no more."""

    def __init__(self, url):
        self.clients = [httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) for token in TOKENS]
        for client in self.clients:
            made = client.post("/v1/runs/bulk", json={"workflow_id": W, "count": 6, "input_values": {"name": "Ada"}})
            file = {"filename": "letter.txt", "content": "TGV0dGVy"}
            client.post("/v1/runs", json={"workflow_id": W, "file_inputs": [file]}).raise_for_status()
            for run in made.json()["created_runs"][:3]:
                cancelled = client.patch(f"/v1/runs/{run['id']}", json={"status": "cancelled"})
                assert cancelled.status_code in {200, 409}  # on a busy machine, it may have ended by itself
        self.before = self.now()

    def now(self):
        return [
            {
                run["id"]: run if run["status"] == "cancelled" else {name: run.get(name) for name in STAYS}
                for run in runs
            }
            for runs in map(self.runs, self.clients)
        ]

    @staticmethod
    def runs(client):
        answer = client.get("/v1/runs", params={"limit": 100, "sort_mode": "created_at_desc"})
        assert answer.json()["total"] <= 100
        return answer.json()["items"]

    def count(self):
        return sum(len(self.runs(client)) for client in self.clients)

    def close(self):
        for client in self.clients:
            client.close()


@pytest.fixture
def seen():
    return []


@pytest.fixture
def url(seen):
    with serving(seen=seen) as url:
        yield url


@pytest.fixture
def others(url, seen):
    others = Others(url)
    seen.clear()
    yield others
    others.close()


@pytest.mark.parametrize(("max_runs", "max_requests", "at_least"), [(25, 500, 1), (4, 60, 1), (1, 50, 1), (1, 25, 0)])
def test_live_keeps_to_its_budget_and_leaves_all_as_it_was(
    contracts, tmp_path, url, others, seen, max_runs, max_requests, at_least
):
    status, out, err = contracts(
        *("check", url, "--profile", "live", "--allow-writes", "--workflow-id", WORKFLOW, "--seed", 1),
        *("--rate", 200, "--max-time", 45),
        *("--max-runs", max_runs, "--max-requests", max_requests, "--second-token", TOKENS[1]),
        *("--report", "json=report.json"),
    )
    sent = len(seen)

    assert status == 0, out + err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["findings"] == []
    assert sent <= max_requests
    assert report["spent"]["requests"] == sent
    assert at_least <= report["spent"]["runs_created"] <= max_runs
    assert report["spent"]["runs_left"] == 0
    assert others.now() == others.before


def test_a_plan_of_a_live_check_sends_nothing(contracts, url, others, seen):
    status, out, err = contracts("check", url, "--profile", "live", "--plan")

    assert status == 0, out + err
    assert seen == []
    assert others.now() == others.before


def test_only_the_runs_that_a_killed_check_left_are_cleaned_up(program, contracts, url, others, seen):
    check = program(
        *("check", url, "--profile", "live", "--allow-writes", "--workflow-id", WORKFLOW, "--seed", 1),
        *("--rate", 20, "--max-time", 45),
        *("--second-token", TOKENS[1]),
    )
    there = others.count()
    end = time.monotonic() + 60
    while others.count() < there + 2:
        assert check.poll() is None, check.communicate()
        assert time.monotonic() < end
    # The check looks for new runs after each create: when that list comes, it knows the runs. At 20 requests a second,
    # the next create is not sent yet.
    known = len(seen)
    while ("GET", "/v1/runs") not in seen[known:]:
        assert check.poll() is None, check.communicate()
        assert time.monotonic() < end
    check.kill()
    check.communicate()
    assert others.count() > there

    status, out, err = contracts("cleanup", url, "--second-token", TOKENS[1])

    assert status == 0, out + err
    assert others.now() == others.before
