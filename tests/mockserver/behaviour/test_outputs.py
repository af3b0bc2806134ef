"""What runs leave behind when they end: output attachments, the history of their messages, what they used."""

from __future__ import annotations

import pytest

from mockserver.clock import ManualClock
from tests.mockserver.inprocess import (
    ENDS_AT_ONCE,
    ERROR,
    HAS_OUTPUT_FILES,
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    Mock,
    new_organisation,
    unknown_id,
    world_file,
)

REPORTS = """
workflows:
  - id: 40000000-0000-4000-8000-000000000001
    name: Reports
    running_s: 10
    scheduling_s: 0
    outcomes: {success: 1}
    outputs:
      - {filename: "{n} of many.pdf", file: report.pdf}
"""
REPORTING = "40000000-0000-4000-8000-000000000001"
INPUT = {"filename": "in.txt", "content": "aW4="}


@pytest.fixture
def mock(tmp_path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF \xff\x00")
    return Mock(world=world_file(tmp_path, REPORTS), clock=ManualClock())


def _attachments(mock, **query):
    answer = mock.get("/v1/run-attachments", params=query).json()
    assert answer["total"] == len(answer["items"]) or "limit" in query
    return answer["items"]


def test_runs_get_their_outputs_when_they_end_well(mock):
    runs = mock.create_many(3, REPORTING)
    assert [run["output_attachment_ids"] for run in runs] == [None] * 3
    mock.clock.advance(9)
    assert _attachments(mock) == []
    mock.clock.advance(1)

    for place, run in enumerate(runs, 1):
        ended = mock.read(run["id"])
        (output,) = _attachments(mock, run_id=run["id"])
        assert ended["output_attachment_ids"] == [output["id"]]
        assert output["filename"] == f"{place} of many.pdf"
        assert (output["attachment_type"], output["content_type"]) == ("output", "application/pdf")
        assert (output["size_bytes"], output["created_at"]) == (7, ended["ended_at"])
        assert mock.get(f"/v1/run-attachments/{output['id']}").json() == output
        download = mock.get(f"/v1/run-attachments/{output['id']}/download")
        assert download.content == b"%PDF \xff\x00"
        assert f'filename="{place} of many.pdf"' in download.headers["Content-Disposition"]
        url = mock.get(f"/v1/run-attachments/{output['id']}/download-url").json()["url"]
        assert mock.get(url, token=None).content == b"%PDF \xff\x00"
    assert len(_attachments(mock)) == 3


@pytest.mark.parametrize("status", ["task_failed", "error", "cancelled"])
def test_a_run_that_does_not_end_well_has_no_outputs(mock, status):
    run = mock.create(REPORTING)
    mock.clock.advance(5)
    ended = mock.patch(f"/v1/runs/{run['id']}", {"status": status}).json()

    assert ended["output_attachment_ids"] is None
    assert _attachments(mock, run_id=run["id"]) == []


def test_an_update_to_success_brings_the_outputs(mock):
    run = mock.create(REPORTING)
    (id_,) = mock.patch(f"/v1/runs/{run['id']}", {"status": "success"}).json()["output_attachment_ids"]

    assert mock.get(f"/v1/run-attachments/{id_}").status_code == 200


def test_inputs_and_outputs_are_listed_by_type_and_in_pages():
    mock = new_organisation()
    runs = mock.create_many(2, HAS_OUTPUT_FILES, file_inputs=[INPUT])
    mock.create(ENDS_AT_ONCE, file_inputs=[INPUT])
    names = ["in.txt", "report-{}.txt", "rows-{}.csv"]

    for run, number in zip(runs, (1, 2), strict=True):
        listed = _attachments(mock, run_id=run["id"])
        assert [each["filename"] for each in listed] == [name.format(number) for name in names]
        outputs = _attachments(mock, run_id=run["id"], attachment_type="output")
        assert [each["id"] for each in outputs] == mock.read(run["id"])["output_attachment_ids"]
    every = [each["id"] for each in _attachments(mock)]
    assert len(every) == 7
    assert [_attachments(mock, skip=skip, limit=1)[0]["id"] for skip in range(7)] == every
    assert len(_attachments(mock, attachment_type="output")) == 4
    assert len(_attachments(mock, attachment_type="input")) == 3
    in_pages = [each for skip in (0, 3) for each in _attachments(mock, attachment_type="output", skip=skip, limit=3)]
    assert in_pages == _attachments(mock, attachment_type="output")


def test_each_attempt_has_its_own_outputs(mock):
    run = mock.create_many(2, REPORTING)[1]
    mock.clock.advance(10)
    (first,) = mock.read(run["id"])["output_attachment_ids"]

    assert mock.post(f"/v1/runs/{run['id']}/retry", {}).json()["output_attachment_ids"] is None
    assert mock.get(f"/v1/run-attachments/{first}").status_code == 404
    mock.clock.advance(10)
    (second,) = mock.read(run["id"])["output_attachment_ids"]

    assert second != first
    assert mock.get(f"/v1/run-attachments/{second}").json()["filename"] == "2 of many.pdf"
    mock.post(f"/v1/runs/{run['id']}/retry", {})
    mock.clock.advance(10)
    assert mock.get(f"/v1/run-attachments/{second}").status_code == 404
    assert len(_attachments(mock, run_id=run["id"])) == 1


def test_a_chain_has_outputs_and_a_deleted_run_has_none(mock):
    step = {"workflow_id": REPORTING}
    run_ids = mock.post("/v1/runs/chain", {"steps": [step, step]}).json()["run_ids"]
    mock.clock.advance(10)
    assert len(_attachments(mock)) == 1
    mock.clock.advance(10)
    ids = [each["id"] for each in _attachments(mock)]
    assert len(ids) == 2

    for run_id in run_ids:
        mock.delete(f"/v1/runs/{run_id}")

    assert _attachments(mock) == []
    assert {mock.get(f"/v1/run-attachments/{id_}").status_code for id_ in ids} == {404}


def test_what_is_kept_of_outputs_goes_with_their_runs():
    mock = Mock()
    run, other = mock.create_many(2, HAS_OUTPUT_FILES)
    (space,) = mock.app.namespaces.default.spaces.values()
    mock.post(f"/v1/runs/{run['id']}/retry", {})
    assert len(mock.run(space.store.items("files"))) == 4

    mock.delete(f"/v1/runs/{run['id']}")

    left = mock.run(space.store.items("files"))
    assert [unit.value.run_place for unit in left.values()] == [None, None]  # those of the batch, which stays
    mock.delete(f"/v1/runs/{other['id']}")
    assert not mock.run(space.store.items("files"))


# --- Updates of output_attachment_ids


def test_ids_of_attachments_that_are_not_there_are_refused_in_strict_and_stored_as_asked_in_lax():
    for coercion in ("strict", "lax"):
        mock = new_organisation(coercion=coercion)
        run, other = mock.create_many(2, HAS_OUTPUT_FILES)
        one, two = mock.read(run["id"])["output_attachment_ids"]
        (strange, _) = mock.read(other["id"])["output_attachment_ids"]

        def patch(*ids, mock=mock, run=run):
            return mock.patch(f"/v1/runs/{run['id']}", {"output_attachment_ids": list(ids)})

        assert patch(two, one).json()["output_attachment_ids"] == [two, one]
        for wrong in (
            unknown_id(),
            "no-uuid",
            "",
            strange,
            *(head + one[8:] for head in ("zzzzzzzz", "+1", "1_000000")),
        ):
            answer = patch(two, wrong)
            if coercion == "strict":
                assert answer.status_code == 404
                assert wrong in answer.json()["detail"]
            else:
                assert answer.json()["output_attachment_ids"] == [two, wrong]
        assert mock.patch(f"/v1/runs/{run['id']}", {"output_attachment_ids": None}).status_code == 200
        assert mock.read(run["id"])["output_attachment_ids"] is None


# --- History and usage


@pytest.mark.parametrize(
    ("workflow_id", "last"),
    [
        (SUCCEEDS, "The workflow ran to its end."),
        (TASK_FAILED, "The invoice was not found in the list."),
        (ERROR, "The machine was lost while the run was running."),
    ],
)
def test_history_and_usage_fit_the_outcome(workflow_id, last):
    mock = new_organisation()
    run = mock.create(workflow_id)
    assert (run["run_message_history"], run["usage_metadata"]) == (None, None)
    mock.clock.advance(60)

    ended = mock.read(run["id"])

    assert ended["run_message_history"][-1] == {"role": "assistant", "content": last}
    assert ended["usage_metadata"]["steps"] >= 1
    retried = mock.post(f"/v1/runs/{run['id']}/retry", {}).json()
    assert (retried["run_message_history"], retried["usage_metadata"]) == (None, None)


def test_a_run_that_was_cancelled_has_a_history_only_if_it_had_begun():
    mock = Mock(clock=ManualClock())
    waiting = mock.create(NEVER_ENDS)
    early = mock.patch(f"/v1/runs/{waiting['id']}", {"status": "cancelled"}).json()
    begun = mock.create(NEVER_ENDS)
    mock.clock.advance(100)
    late = mock.patch(f"/v1/runs/{begun['id']}", {"status": "cancelled"}).json()

    assert (early["run_message_history"], early["usage_metadata"]) == (None, None)
    assert late["run_message_history"][-1]["content"] == "The run was cancelled."
    assert late["usage_metadata"]["steps"] >= 40


def test_a_deep_search_finds_what_the_history_says():
    mock = new_organisation()
    run = mock.create(SUCCEEDS)
    mock.create(TASK_FAILED)
    mock.clock.advance(60)

    assert mock.ids(search="RAN TO ITS END", deep_search=True) == [run["id"]]
    assert mock.ids(search="run the workflow") == []
    assert mock.total(search="run the workflow", deep_search=True) == 2
