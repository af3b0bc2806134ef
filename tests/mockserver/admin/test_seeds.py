"""Seeds: runs of any status and age, put there in one call, and seen by the mocked API as any other."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import (
    FRONT_DESK_2,
    HAS_OUTPUT_FILES,
    NEVER_ENDS,
    SUCCEEDS,
    TAKES_TWENTY_MINUTES,
    TASK_FAILED,
    turns_of,
)

_STATUSES = ("scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled")


def _as_seeder(mock: ControlledMock) -> ControlledMock:
    """The mock as its default organisation, in which runs are seeded, sees it."""
    mock.token = "test"
    return mock


@pytest.fixture
def mock() -> Any:
    mock = _as_seeder(controlled_mock())
    yield mock
    mock.token = "test-one"


def _at(text: str) -> str:
    return f"2025-03-04T{text}.000000Z"


def test_250_runs_of_one_call_as_in_the_documentation(mock):
    content = base64.b64encode(b"a report").decode()
    ids = mock.seed(
        {
            "workflow_id": SUCCEEDS,
            "status": "task_failed",
            "created_at": "2025-03-04T08:00:00Z",
            "ended_at": "2025-03-04T08:20:00Z",
            "outputs": [{"filename": "r.pdf", "content": content}],
            "count": 250,
        }
    )

    assert len(set(ids)) == 250
    assert all(str(UUID(each)) == each for each in ids)
    listed = mock.listed(fields="ended_at")
    assert {each["id"] for each in listed} == set(ids)
    assert {(each["status"], each["created_at"], each["ended_at"]) for each in listed} == {
        ("task_failed", _at("08:00:00"), _at("08:20:00"))
    }
    run = mock.read(ids[17])
    [attachment_id] = run["output_attachment_ids"]
    assert mock.get(f"/v1/run-attachments/{attachment_id}/download").content == b"a report"


@pytest.mark.parametrize("status", _STATUSES)
def test_a_run_of_any_status_shows_what_fits_it(mock, status):
    [run_id] = mock.seed({"workflow_id": SUCCEEDS, "status": status, "created_at": "2025-03-04T08:00:00Z"})

    run = mock.read(run_id)

    assert (run["status"], run["created_at"]) == (status, _at("08:00:00"))
    ended = status in ("success", "task_failed", "error", "cancelled")
    assert (run["ended_at"] is not None) is ended
    assert (run["started_at"] is not None) is (status != "scheduling")
    if ended:
        assert _at("08:00:00") <= run["ended_at"] <= _at("09:00:02")
    if status == "success":
        # As if it had ended by itself, soon after it was created.
        assert run["started_at"] <= run["ended_at"] < _at("08:10:00")
    assert mock.ids(status=status) == [run_id]


@pytest.mark.parametrize("status", ["scheduling", "running", "running_checks"])
def test_a_run_that_has_not_ended_lives_on_from_its_status(mock, status):
    [run_id] = mock.seed({"workflow_id": SUCCEEDS, "status": status, "created_at": "2025-03-04T08:00:00Z"})
    assert mock.status(run_id) == status

    mock.turn_clock(advance="1d")

    assert mock.status(run_id) == "success"


def test_without_a_status_runs_live_from_their_creation_on(mock):
    seed = {"workflow_id": TAKES_TWENTY_MINUTES, "outcome": "error", "duration_s": 600}
    old, young, new = (
        mock.seed({**seed, "created_at": at})[0]
        for at in ("2025-03-04T08:00:00Z", "2025-03-04T08:55:00Z", "2025-03-04T09:00:02Z")
    )

    assert [mock.status(each) for each in (old, young, new)] == ["error", "running", "scheduling"]
    assert mock.read(old)["ended_at"][:14] == "2025-03-04T08:"
    mock.turn_clock(advance="11m")
    assert mock.status(young) == "error"


def test_a_seed_of_now_is_as_a_run_that_was_created(mock):
    [seeded] = mock.seed({"workflow_id": SUCCEEDS, "input_values": {"a": 1}})
    created = mock.create(input_values={"a": 1})

    one, other = mock.read(seeded), mock.read(created["id"])

    own = ("id", "machine_id")
    assert {name: one[name] for name in one if name not in own} == {
        name: other[name] for name in other if name not in own
    }


def test_started_at_and_ended_at_are_shown_as_they_were_given(mock):
    seed = {"workflow_id": SUCCEEDS, "created_at": "2025-03-04T08:00:00Z", "started_at": "2025-03-04T08:00:07.123456Z"}
    ended, running = mock.seed(
        {**seed, "status": "success", "ended_at": "2025-03-04T08:30:00+00:00"}, {**seed, "status": "running"}
    )

    assert (mock.read(ended)["started_at"], mock.read(ended)["ended_at"]) == (
        "2025-03-04T08:00:07.123456Z",
        _at("08:30:00"),
    )
    assert mock.read(running)["started_at"] == "2025-03-04T08:00:07.123456Z"


def test_what_else_a_seed_says_is_shown(mock):
    [run_id] = mock.seed(
        {
            "workflow_id": TASK_FAILED,
            "status": "task_failed",
            "machine_id": FRONT_DESK_2,
            "input_values": {"name": "Zoë", "n": 10**20},
            "output_data": {"found": []},
            "error": ["It did not work"],
        }
    )

    run = mock.read(run_id)

    assert (run["workflow_id"], run["machine_id"]) == (TASK_FAILED, FRONT_DESK_2)
    assert (run["input_values"], run["output_data"]) == ({"name": "Zoë", "n": 10**20}, {"found": []})
    assert run["error"] == ["It did not work"]


# --- Ids, counts, organisations


def test_given_ids_are_taken(mock):
    ids = [str(uuid4()), str(uuid4())]

    assert mock.seed({"workflow_id": SUCCEEDS, "ids": ids}) == ids

    assert sorted(mock.ids()) == sorted(ids)
    assert mock.read(ids[1])["id"] == ids[1]


def test_ids_that_share_all_but_their_beginning_are_taken_in_one_seed(mock):
    ids = [f"{place:08x}-0000-4000-8000-000000000001" for place in range(20)]

    assert mock.seed({"workflow_id": SUCCEEDS, "ids": ids, "status": "success"}) == ids

    assert {mock.status(each) for each in ids} == {"success"}
    mock.control("PATCH", f"/runs/{ids[3]}", {"status": "error"})
    assert [mock.status(each) for each in ids[2:5]] == ["success", "error", "success"]


def test_ids_are_one_text_whatever_the_case_in_which_they_are_given(mock):
    given = "ABCDEF00-0000-4000-8000-00000000000A"

    [run_id] = mock.seed({"workflow_id": SUCCEEDS, "ids": [given]})

    assert run_id == given.lower()
    assert mock.read(run_id)["id"] == mock.listed()[0]["id"] == run_id


def test_drawn_ids_are_the_same_after_a_reset_and_others_in_another_namespace():
    mock = controlled_mock()
    seeds = {"workflow_id": SUCCEEDS, "count": 3}
    first, second = mock.seed(seeds), mock.seed(seeds)
    assert set(first).isdisjoint(second)
    assert set(mock.seed(seeds, namespace="a")).isdisjoint(first)

    mock.control("POST", "/reset")

    assert mock.seed(seeds) == first


def test_runs_are_seeded_in_the_organisation_of_the_token_test_or_in_the_named_one():
    mock = controlled_mock()
    one = mock.create()["organization_id"]
    here, there = mock.seed({"workflow_id": SUCCEEDS}, {"workflow_id": SUCCEEDS, "organization": one})

    assert [run["id"] for run in mock.get("/v1/runs", token="test").json()["items"]] == [here]
    assert there in mock.ids()
    assert here not in mock.ids()
    assert {run["id"] for run in mock.asked("/runs")["items"]} >= {here, there}
    assert [run["id"] for run in mock.asked(f"/runs?organization={one}")["items"]].count(there) == 1


def test_an_organisation_that_nobody_has_seen_may_be_seeded():
    mock = controlled_mock()
    [run_id] = mock.seed({"workflow_id": SUCCEEDS, "organization": "acme"})

    assert mock.asked(f"/runs/{run_id}")["organization_id"] == "acme"


def test_no_namespace_sees_anothers_seeds():
    mock = controlled_mock()
    [run_id] = mock.seed({"workflow_id": SUCCEEDS}, namespace="a")

    assert mock.asked("/runs")["total"] == 0
    assert mock.control("GET", f"/runs/{run_id}").status_code == 404
    assert mock.asked("/runs", namespace="a")["total"] == 1


# --- What is refused


def _refused(mock: ControlledMock, *seeds: Any) -> tuple[int, str]:
    """The status and text of the refusal, after which nothing is there that was not before."""
    before = mock.control("GET", "/runs").content
    answer = mock.control("POST", "/runs", list(seeds))
    assert answer.status_code >= 400, answer.text
    assert mock.control("GET", "/runs").content == before
    return answer.status_code, answer.text


_ONE_ID = "00000000-1111-4111-8111-111111111111"
_WRONG: dict[str, tuple[list[Any], str]] = {
    "none": ([], "at least 1 item"),
    "not an object": ([5], "should be an object, not 5"),
    "no workflow": ([{}], "is missing"),
    "no id of a workflow": ([{"workflow_id": "x"}], "workflow_id"),
    "unknown field": (
        [{"workflow_id": SUCCEEDS, "stauts": "success"}],
        "unknown key 'stauts'; did you mean 'status'?",
    ),
    "unknown status": ([{"workflow_id": SUCCEEDS, "status": "done"}], "should be one of scheduling, running,"),
    "nearly a status": ([{"workflow_id": SUCCEEDS, "status": "failed"}], "did you mean 'task_failed'?"),
    "no id of a run": ([{"workflow_id": SUCCEEDS, "ids": ["x"]}], "should be a UUID such as 10000000-0000-4000"),
    "count 0": ([{"workflow_id": SUCCEEDS, "count": 0}], "should be 1 or more, not 0"),
    "count 1001": ([{"workflow_id": SUCCEEDS, "count": 1001}], "should be 1000 or less, not 1001"),
    "a moment": ([{"workflow_id": SUCCEEDS, "created_at": "yesterday"}], "created_at"),
    "not base64": (
        [{"workflow_id": SUCCEEDS, "outputs": [{"filename": "a", "content": "*"}]}],
        '["body",0,"outputs",0,"content"]',
    ),
    "a long name": (
        [{"workflow_id": SUCCEEDS, "outputs": [{"filename": "a" * 1_001, "content": ""}]}],
        "at most 1000 characters",
    ),
    "an id twice": ([{"workflow_id": SUCCEEDS, "ids": [_ONE_ID, _ONE_ID]}], "runs[0]: duplicate id in ids"),
    "an id in two seeds": (
        [{"workflow_id": SUCCEEDS, "ids": [_ONE_ID]}] * 2,
        "runs[1]: id 00000000-1111-4111-8111-111111111111 equals the id of another run",
    ),
    "an id twice in two cases": (
        [
            {"workflow_id": SUCCEEDS, "ids": [f"{head}-1111-4111-8111-111111111111"]}
            for head in ("abcdef00", "ABCDEF00")
        ],
        "runs[1]: id",
    ),
    "an end without a status": (
        [{"workflow_id": SUCCEEDS, "ended_at": "2025-03-04T08:00:00Z"}],
        "say with which status the run ended",
    ),
    "a misspelled key": ([{"workflow_id": SUCCEEDS, "stauts": "success"}], "did you mean 'status'?"),
    "a misspelled key of an output": (
        [{"workflow_id": SUCCEEDS, "outputs": [{"filename": "a", "content": "", "contents": ""}]}],
        "did you mean 'content'?",
    ),
    "created later": ([{"workflow_id": SUCCEEDS, "created_at": "2025-03-04T09:00:03Z"}], "created_at is later than"),
    "started later": (
        [{"workflow_id": SUCCEEDS, "started_at": "2025-03-04T09:00:03Z", "status": "running"}],
        "started_at is later than",
    ),
    "ended later": (
        [{"workflow_id": SUCCEEDS, "status": "success", "ended_at": "2025-03-04T09:00:03Z"}],
        "ended_at is later than",
    ),
    "started before created": (
        [
            {
                "workflow_id": SUCCEEDS,
                "status": "running",
                "created_at": "2025-03-04T08:00:00Z",
                "started_at": "2025-03-04T07:00:00Z",
            }
        ],
        "started_at is earlier than created_at",
    ),
    "ended before created": (
        [
            {
                "workflow_id": SUCCEEDS,
                "status": "error",
                "created_at": "2025-03-04T08:00:00Z",
                "ended_at": "2025-03-04T07:00:00Z",
            }
        ],
        "ended_at is earlier than created_at",
    ),
    "ended before it was created by default": (
        [{"workflow_id": SUCCEEDS, "status": "success", "ended_at": "2025-03-04T08:00:00Z"}],
        "runs[0]: ended_at is earlier than created_at, which is now by default (2025-03-04T09:00:02.000000Z)",
    ),
    "ended before started": (
        [
            {
                "workflow_id": SUCCEEDS,
                "status": "error",
                "created_at": "2025-03-04T08:00:00Z",
                "started_at": "2025-03-04T08:10:00Z",
                "ended_at": "2025-03-04T08:05:00Z",
            }
        ],
        "ended_at is earlier than started_at",
    ),
}


def test_one_seed_in_place_of_a_list_is_refused_with_what_to_write():
    mock = controlled_mock()

    answer = mock.control("POST", "/runs", {"workflow_id": SUCCEEDS})

    [violation] = answer.json()["detail"]
    assert violation["loc"] == ["body"]
    assert violation["msg"].startswith('should be a list of runs, such as [{"workflow_id": "10000000-')
    assert violation["msg"].endswith("not an object")


@pytest.mark.parametrize("what", _WRONG)
def test_a_wrong_seed_is_refused_and_none_is_planted(mock, what):
    seeds, words = _WRONG[what]
    good = [{"workflow_id": SUCCEEDS, "status": "success"}] if seeds else []

    status, text = _refused(mock, *seeds, *good)

    assert status == 422
    assert words in text


def test_more_runs_than_are_seeded_at_once_are_refused(mock):
    status, text = _refused(mock, *[{"workflow_id": SUCCEEDS, "count": 1000}] * 10, {"workflow_id": SUCCEEDS})

    assert (status, "10000 runs at most" in text) == (413, True)


def test_more_outputs_than_are_seeded_at_once_are_refused(mock):
    given = [f"{number:08x}-{number:04x}-4000-8000-000000000000" for number in range(101)]
    outputs = [{"filename": "a", "content": ""}] * 100

    status, text = _refused(mock, {"workflow_id": SUCCEEDS, "ids": given, "outputs": outputs})

    assert (status, "10000 outputs at most are seeded at once, and these runs have 10100" in text) == (413, True)
    assert len(mock.seed({"workflow_id": SUCCEEDS, "ids": given[1:], "outputs": outputs})) == 100
    assert len(mock.seed({"workflow_id": SUCCEEDS, "count": 1000, "outputs": outputs})) == 1000


def test_many_seeds_give_way(monkeypatch):
    mock = ControlledMock()
    given = [f"{number:08x}-{number:04x}-4000-8000-000000000000" for number in range(50)]
    turns = turns_of(monkeypatch)

    mock.seed({"workflow_id": SUCCEEDS, "ids": given})

    assert len(turns) >= 50


def test_ids_that_are_in_use_are_refused_and_none_of_the_others_is_planted(mock):
    created = mock.create()["id"]
    [seeded] = mock.seed({"workflow_id": SUCCEEDS, "ids": [_ONE_ID]})

    for used in (created, seeded):
        status, text = _refused(mock, {"workflow_id": SUCCEEDS}, {"workflow_id": SUCCEEDS, "ids": [used]})
        assert (status, "equals the id of another run" in text) == (409, True)


def test_one_organisation_that_is_refused_leaves_the_others_unseeded():
    mock = controlled_mock()
    mock.seed({"workflow_id": SUCCEEDS, "organization": "b", "ids": [_ONE_ID]})

    status, _ = _refused(
        mock,
        {"workflow_id": SUCCEEDS, "organization": "a"},
        {"workflow_id": SUCCEEDS, "organization": "b", "ids": [_ONE_ID]},
        {"workflow_id": SUCCEEDS, "organization": "c"},
    )

    assert status == 409


def test_the_default_organisation_is_the_same_whether_it_is_named_or_not(mock):
    [run_id] = mock.seed({"workflow_id": SUCCEEDS})
    organisation = mock.read(run_id)["organization_id"]
    seed = {"workflow_id": SUCCEEDS, "ids": [_ONE_ID]}

    status, text = _refused(mock, seed, {**seed, "organization": organisation})

    assert (status, "equals the id of another run" in text) == (422, True)


def test_workflows_that_the_world_does_not_know_are_taken_unless_only_known_ones_are():
    unknown = {"workflow_id": str(uuid4())}
    assert len(controlled_mock().seed(unknown)) == 1

    strict = controlled_mock(known_only=True)
    status, text = _refused(strict, unknown)

    assert status == 404
    assert unknown["workflow_id"] in text
    assert _refused(strict, {"workflow_id": SUCCEEDS, "machine_id": unknown["workflow_id"]})[0] == 404
    assert len(strict.seed({"workflow_id": SUCCEEDS})) == 1


# --- As any other run


def test_lists_stay_in_the_order_of_creation_whatever_was_seeded_when(mock):
    mock.create()
    mock.seed({"workflow_id": SUCCEEDS, "created_at": "2025-03-04T08:00:00Z", "count": 3, "status": "success"})
    mock.turn_clock(advance="1m")
    mock.create_many(3)
    mock.seed({"workflow_id": SUCCEEDS, "created_at": "2025-03-04T09:00:30Z", "count": 2})
    mock.seed({"workflow_id": SUCCEEDS, "created_at": "2025-01-01T00:00:00Z", "count": 2, "status": "error"})
    mock.turn_clock(advance="1m")
    mock.create()

    for listed in (mock.listed(), mock.asked("/runs")["items"]):
        moments = [run["created_at"] for run in listed]
        assert len(moments) == 12
        assert moments == sorted(moments, reverse=True)
    pages = [run["id"] for skip in range(0, 12, 5) for run in mock.get(f"/v1/runs?skip={skip}&limit=5").json()["items"]]
    assert pages == mock.ids()


def test_the_runs_of_several_organisations_are_listed_in_one_order():
    mock = controlled_mock()
    for minute in range(6):
        organisation = "a" if minute % 2 else "b"
        created_at = f"2025-03-04T08:0{minute}:00Z"
        mock.seed({"workflow_id": SUCCEEDS, "organization": organisation, "created_at": created_at})

    listed = mock.asked("/runs")["items"]

    assert [run["created_at"] for run in listed] == [_at(f"08:0{minute}:00") for minute in reversed(range(6))]
    assert [run["organization_id"] for run in listed] == ["a", "b"] * 3


def test_filters_and_search_find_seeds(mock):
    seed = {"workflow_id": TASK_FAILED, "status": "error", "machine_id": FRONT_DESK_2, "input_values": {"k": "needle"}}
    [run_id] = mock.seed({**seed, "created_at": "2025-02-01T00:00:00Z"})
    mock.create()

    for query in (
        {"status": "error"},
        {"workflow_id": TASK_FAILED},
        {"machine_id": FRONT_DESK_2},
        {"search": "needle"},
        {"search": run_id[:8]},
        {"created_at_to": "2025-02-02T00:00:00Z"},
    ):
        assert run_id in mock.ids(**query), query
        assert mock.total(**query) == len(mock.ids(**query))
    assert run_id not in mock.ids(created_at_from="2025-02-02T00:00:00Z")


def test_the_control_api_filters_counts_and_pages(mock):
    mock.seed({"workflow_id": SUCCEEDS, "status": "success", "count": 3})
    mock.seed({"workflow_id": TASK_FAILED, "status": "error", "count": 2})

    whole = mock.asked("/runs")
    assert (whole["total"], whole["counts"]) == (5, {"success": 3, "error": 2})
    failed = mock.asked("/runs?status=error&fields=ended_at")
    assert (failed["total"], failed["counts"]) == (2, {"success": 3, "error": 2})
    assert set(failed["items"][0]) >= {"id", "status", "ended_at"}
    assert "input_values" not in failed["items"][0]
    assert mock.asked(f"/runs?workflow_id={TASK_FAILED}")["total"] == 2
    page = mock.asked("/runs?skip=1&limit=2")
    assert [run["id"] for run in page["items"]] == [run["id"] for run in whole["items"][1:3]]
    for query in ("status=done", "limit=0", "limit=1001", "skip=-1", "workflow_id=x"):
        assert mock.control("GET", f"/runs?{query}").status_code == 422


def test_seeds_are_updated_retried_and_deleted_as_any_run(mock):
    ended, running = mock.seed(
        {"workflow_id": SUCCEEDS, "status": "task_failed", "created_at": "2025-03-04T08:00:00Z"},
        {"workflow_id": NEVER_ENDS, "status": "running", "created_at": "2025-03-04T08:00:00Z"},
    )

    assert mock.post(f"/v1/runs/{ended}/retry", {}).status_code == 200
    assert mock.status(ended) == "scheduling"
    mock.turn_clock(advance="1h")
    assert mock.status(ended) == "success"
    assert mock.patch(f"/v1/runs/{running}", {"status": "cancelled"}).json()["status"] == "cancelled"
    assert mock.delete(f"/v1/runs/{running}").status_code == 204
    assert mock.get(f"/v1/runs/{running}").status_code == 404


def test_outputs_are_listed_by_the_control_api_with_urls_that_need_no_token(mock):
    outputs = [{"filename": f"page-{place}-{{n}}.txt", "content": "aGVsbG8="} for place in (1, 2)]
    one, two = mock.seed({"workflow_id": SUCCEEDS, "status": "success", "outputs": outputs, "count": 2})

    listed = mock.asked(f"/runs/{two}/attachments")

    assert [each["filename"] for each in listed["items"]] == ["page-1-2.txt", "page-2-2.txt"]
    assert {each["attachment_type"] for each in listed["items"]} == {"output"}
    assert mock.get(listed["items"][0]["url"], token=None).content == b"hello"
    names = {each["filename"] for each in mock.asked(f"/runs/{one}/attachments")["items"]}
    assert names == {"page-1-1.txt", "page-2-1.txt"}
    assert mock.control("GET", f"/runs/{uuid4()}/attachments").status_code == 404


def test_a_long_name_of_a_state_is_the_same_for_all_runs(mock):
    outputs = [{"filename": "{n}", "content": ""}]
    mock.seed({"workflow_id": SUCCEEDS, "status": "success", "outputs": outputs, "count": 2})
    state = mock.asked("/state")
    (batch,) = (unit[2] for each in state["organizations"].values() for unit in each["units"] if unit[0] == "batch")
    for length, names in ((333, {"1" * 333, "2" * 333}), (334, {"{n}" * 334})):
        batch["given"][0]["filename"] = "{n}" * length
        assert mock.control("PUT", "/state", state).status_code == 204
        assert {each["filename"] for each in mock.get("/v1/run-attachments").json()["items"]} == names


def test_without_outputs_a_run_has_those_of_its_workflow(mock):
    given, own = mock.seed(
        {"workflow_id": HAS_OUTPUT_FILES, "status": "success", "outputs": [{"filename": "a", "content": ""}]},
        {"workflow_id": HAS_OUTPUT_FILES, "status": "success"},
    )

    assert [each["filename"] for each in mock.asked(f"/runs/{given}/attachments")["items"]] == ["a"]
    assert len(mock.asked(f"/runs/{own}/attachments")["items"]) >= 1


def test_a_reset_forgets_seeds(mock):
    mock.seed({"workflow_id": SUCCEEDS, "count": 5})

    mock.control("POST", "/reset")

    assert mock.asked("/runs")["total"] == mock.total() == 0
