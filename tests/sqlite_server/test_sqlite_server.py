"""The server works, and differs from the stand-in where that is what it is for."""

import time
from itertools import pairwise
from uuid import UUID

import httpx
import pytest

from tests.processes import serving

W = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


@pytest.fixture(scope="module")
def client():
    with (
        serving(command=("tests.sqlite_server",), stderr="shared") as (_, url),
        httpx.Client(base_url=url, headers={"Authorization": "Bearer standin-token-one"}) as client,
    ):
        yield client


def created(client, **fields):
    answer = client.post("/v1/runs/bulk", json={"workflow_id": W, "count": 1, **fields})
    assert answer.status_code == 201
    return answer.json()["created_runs"]


def ended(client, run_id):
    while (run := client.get(f"/v1/runs/{run_id}").json())["status"] in ("scheduling", "running"):
        time.sleep(0.05)
    return run


def test_a_run_ends_by_itself_and_is_found_by_its_inputs(client):
    (run,) = created(client, input_values={"name": "Grüße\0 4711x"}, sensitive_input_values={"key": "hidden"})

    run = ended(client, run["id"])

    assert UUID(run["id"]).version == 7
    assert run["started_at"] < run["ended_at"]
    assert client.get("/v1/runs", params={"search": "GRÜßE"}).json()["total"] == 1
    assert client.get("/v1/runs", params={"search": "hidden"}).json()["total"] == 0


def test_runs_of_a_session_execute_one_after_the_other(client):
    ids = [run["id"] for run in created(client, count=3, start_session=True)]

    runs = [ended(client, run_id) for run_id in ids]

    assert all(first["ended_at"] < second["started_at"] for first, second in pairwise(runs))


def test_a_retry_takes_an_ended_run_back(client):
    (run,) = created(client)
    assert client.post(f"/v1/runs/{run['id']}/retry", json={}).status_code == 409
    client.patch(f"/v1/runs/{run['id']}", json={"status": "cancelled"}).raise_for_status()

    retried = client.post(f"/v1/runs/{run['id']}/retry", json={"input_values": {"a": 1}}).json()

    assert (retried["status"], retried["input_values"]) == ("scheduling", {"a": 1})


def test_a_file_comes_back_by_its_link(client):
    ((attachment_id,),) = (
        run["input_attachment_ids"] for run in created(client, file_inputs=[{"filename": "ä.txt", "content": "aGk="}])
    )

    link = client.get(f"/v1/run-attachments/{attachment_id}/download-url").json()["url"]

    assert httpx.get(link).content == b"hi"


def test_the_same_json_under_the_same_key_is_the_same_request(client):
    headers = {"Idempotency-Key": "one", "Content-Type": "application/json"}
    first = client.post("/v1/runs", content=f'{{"workflow_id": "{W}", "session_alias": "a"}}', headers=headers)
    again = client.post("/v1/runs", content=f'{{"session_alias":"a","workflow_id":"{W}"}}', headers=headers)
    other = client.post("/v1/runs", content=f'{{"workflow_id": "{W}"}}', headers=headers)

    assert (first.status_code, again.content, other.status_code) == (201, first.content, 422)


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("GET", "/v1/runs", {"headers": {"Authorization": ""}}, 403),
        ("POST", "/v1/runs", {"content": b"{"}, 400),
        ("GET", "/v1/runs/abc", {}, 400),
        ("GET", "/v1/runs/bulk", {}, 405),
        ("GET", "/v1/machines", {}, 404),
        ("POST", f"/v1/pools/{W}/machines", {"json": {}}, 405),
        ("BREW", "/v1/runs", {}, 405),
    ],
)
def test_refusals_have_statuses_of_their_own(client, method, path, how, status):
    answer = client.request(method, path, **how)

    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)


def test_only_the_first_error_is_named(client):
    answer = client.post("/v1/runs/bulk", json={"count": 0, "pool_ids": 5})

    assert [error["loc"] for error in answer.json()["detail"]] == [["body", "workflow_id"]]
