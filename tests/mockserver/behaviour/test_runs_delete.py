"""Deleting runs: gone from reads, lists and sessions, with their files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mockserver.inprocess import NEVER_ENDS, new_organisation, unknown_id


@pytest.mark.parametrize("seconds", [0, 5, 100])
def test_a_deleted_run_is_gone_whatever_it_was_doing(seconds):
    mock = new_organisation()
    run, other = mock.create(prefer="duration=10"), mock.create()
    mock.clock.advance(seconds)

    answer = mock.delete(f"/v1/runs/{run['id']}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert mock.get(f"/v1/runs/{run['id']}").status_code == 404
    assert mock.ids() == mock.ids(search=other["id"]) == [other["id"]]
    assert mock.ids(search=run["id"]) == []


def test_whatever_is_done_to_a_deleted_run_is_not_found():
    mock = new_organisation()
    run = mock.create()
    path = f"/v1/runs/{run['id']}"
    mock.delete(path)

    answers = [mock.delete(path), mock.patch(path, {}), mock.post(f"{path}/retry", {}), mock.get(path)]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert all(run["id"] in answer.json()["detail"] for answer in answers)


def test_a_run_that_nobody_knows_is_not_found():
    assert new_organisation().delete(f"/v1/runs/{unknown_id()}").status_code == 404


def test_its_attachments_go_with_it_and_those_of_others_stay():
    mock = new_organisation(progression="immediate")
    runs = mock.create_many(3, file_inputs=[{"filename": "a.txt", "content": "aGk="}])
    retried = mock.post(
        f"/v1/runs/{runs[1]['id']}/retry", {"file_inputs": [{"filename": "b", "content": "aG8="}]}
    ).json()

    for run in runs[:2]:
        mock.delete(f"/v1/runs/{run['id']}")

    ids = [*runs[0]["input_attachment_ids"], *retried["input_attachment_ids"], *runs[2]["input_attachment_ids"]]
    answers = [mock.get(f"/v1/run-attachments/{id_}").status_code for id_ in ids]
    assert answers == [404, 404, 200]
    listed = mock.get("/v1/run-attachments").json()
    assert [each["run_id"] for each in listed["items"]] == [runs[2]["id"]]
    assert mock.get("/v1/run-attachments", params={"run_id": runs[0]["id"]}).json()["items"] == []


@settings(max_examples=30)
@given(st.integers(1, 6), st.booleans(), st.booleans(), st.data())
def test_runs_of_a_call_are_deleted_one_by_one_until_none_is_left(count, start_session, files, data):
    mock = new_organisation()
    file_inputs = [{"filename": "a", "content": "aGk="}] if files else None
    ids = [run["id"] for run in mock.create_many(count, start_session=start_session, file_inputs=file_inputs)]
    attachments = [each["id"] for each in mock.get("/v1/run-attachments").json()["items"]]

    for run_id in data.draw(st.permutations(ids)):
        assert mock.delete(f"/v1/runs/{run_id}").status_code == 204
        ids.remove(run_id)
        assert mock.ids(sort_mode="created_at_desc") == ids[::-1]
        assert mock.get("/v1/run-attachments").json()["total"] == len(ids) * files

    assert all(mock.get(f"/v1/run-attachments/{id_}").status_code == 404 for id_ in attachments)
    assert mock.create()["id"] not in ids


def test_a_session_whose_runs_are_all_deleted_can_still_be_joined():
    mock = new_organisation()
    runs = mock.create_many(2, NEVER_ENDS, start_session=True)
    mock.clock.advance(5)
    for run in runs:
        mock.delete(f"/v1/runs/{run['id']}")

    joined = mock.create(NEVER_ENDS, session_id=runs[0]["session_id"])
    mock.clock.advance(4)

    assert joined["machine_id"] == runs[0]["machine_id"]
    assert mock.status(joined["id"]) == "running"
    assert mock.ids(session_id=runs[0]["session_id"]) == [joined["id"]]
