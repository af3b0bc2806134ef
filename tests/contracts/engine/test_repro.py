"""Which exchanges a finding is told with, so that they show it again on a new server."""

from __future__ import annotations

import json
from typing import Any

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.engine.repro import repro_of, succeeded_before

RUN = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
OTHER = "0b5e1d3a-7c1f-4a59-9f00-1d2c3b4a5f60"
WORKFLOW = "6f1c9a2e-3b4d-4c5e-8f60-718293a4b5c6"


def said(
    method: str, path: str, body: Any = None, *, key: str | None = None, status: int = 200, answer: Any = None
) -> Exchange:
    headers = (("Authorization", TOKEN), *((("Idempotency-Key", key),) if key else ()))
    raw = None if body is None else json.dumps(body).encode()
    return Exchange(Request(method, path, headers, raw), Answer(status, (), json.dumps(answer).encode()))


def created(run: str = RUN, **fields: Any) -> Exchange:
    return said("POST", "/v1/runs", {"workflow_id": WORKFLOW, **fields}, status=201, answer={"id": run})


def test_a_request_that_names_no_resource_is_reproduced_alone() -> None:
    wrong = said("POST", "/v1/runs/bulk", {"count": 0}, status=201)

    assert repro_of([wrong], [created(), wrong]) == (wrong,)


def test_only_the_create_of_a_run_and_its_changes_are_included() -> None:
    made, beside = created(), created(OTHER)
    cancelled = said("PATCH", f"/v1/runs/{RUN}", {"status": "cancelled"})
    read = said("GET", f"/v1/runs/{RUN}")
    refused = said("PATCH", f"/v1/runs/{RUN}", {"error": 5}, status=422)
    others = said("PATCH", f"/v1/runs/{OTHER}", {"status": "cancelled"})
    retried = said("POST", f"/v1/runs/{RUN}/retry", {}, status=500)
    told = [made, beside, cancelled, read, refused, others, retried]

    assert repro_of([retried], told) == (made, cancelled, retried)


def test_a_write_that_failed_is_included_since_it_may_have_taken_effect() -> None:
    made, read = created(), said("GET", f"/v1/runs/{RUN}", status=500)
    failed = said("PATCH", f"/v1/runs/{RUN}", {"started_at": "0001-01-01T00:00:00Z"}, status=500)

    assert repro_of([read], [made, failed, read]) == (made, failed, read)


def test_a_read_does_not_use_a_key() -> None:
    headers = (("Idempotency-Key", "k"),)
    read, wrong = (
        Exchange(Request(method, "/v1/runs", headers, body), Answer(500, (), b""))
        for method, body in (("GET", None), ("POST", b"{}"))
    )

    assert repro_of([wrong], [read, wrong]) == (wrong,)


def test_deletes_of_the_same_run_are_included_as_often_as_they_were_sent() -> None:
    made = created()
    deletes = [said("DELETE", f"/v1/runs/{RUN}", status=status) for status in (204, 404, 404, 500)]

    assert repro_of([deletes[-1]], [made, *deletes]) == (made, *deletes)


def test_later_exchanges_are_not_included() -> None:
    made, read = created(), said("GET", f"/v1/runs/{RUN}")
    deleted = said("DELETE", f"/v1/runs/{RUN}", status=204)

    assert repro_of([read], [made, read, deleted]) == (made, read)


def test_earlier_uses_of_a_key_are_included_also_refused_ones() -> None:
    first, second, third = (said("POST", "/v1/runs/bulk", {"count": 1}, key="k", status=s) for s in (201, 409, 201))
    beside = said("POST", "/v1/runs/bulk", {"count": 1}, key="other", status=201)

    assert repro_of([first, third], [first, beside, second, third]) == (first, second, third)


def test_changes_of_the_run_of_a_key_are_included_with_its_next_use() -> None:
    first, again = (said("POST", "/v1/runs", {}, key="k", status=201, answer={"id": RUN}) for _ in range(2))
    deleted = said("DELETE", f"/v1/runs/{RUN}", status=204)

    assert repro_of([first, again], [first, deleted, again]) == (first, deleted, again)


def test_the_origin_of_an_id_in_a_body_is_included() -> None:
    session = said("POST", "/v1/runs", {"start_session": True}, status=201, answer={"id": RUN, "session_id": OTHER})
    joined = created(session_id=OTHER)

    assert repro_of([joined], [session, joined]) == (session, joined)


def test_an_id_that_a_request_made_up_leads_nowhere() -> None:
    first, again = (created(workflow_id=WORKFLOW) for _ in range(2))

    assert repro_of([again], [first, again]) == (again,)


def test_a_filtered_list_includes_the_runs_that_the_filter_is_about() -> None:
    made = created()
    beside = said("POST", "/v1/runs", {"workflow_id": OTHER}, status=201, answer={"id": OTHER})
    listed = said("GET", f"/v1/runs?workflow_id={WORKFLOW}", answer={"items": [{"id": RUN}]})
    cancelled = said("PATCH", f"/v1/runs/{RUN}", {"status": "cancelled"})

    assert repro_of([listed], [beside, made, cancelled, listed]) == (made, cancelled, listed)


def test_changes_of_a_run_are_included_with_a_list_in_which_it_is_missing() -> None:
    made, listed = created(), said("GET", "/v1/runs?status=cancelled", answer={"items": []})
    cancelled = said("PATCH", f"/v1/runs/{RUN}", {"status": "cancelled"})

    assert repro_of([made, listed], [made, cancelled, listed]) == (made, cancelled, listed)


def test_the_origin_of_an_id_is_searched_in_the_whole_check_if_the_case_does_not_have_it() -> None:
    pools = said("GET", "/v1/pools", answer={"items": [{"id": OTHER}]})
    later = said("GET", f"/v1/runs?search={OTHER}", answer={"items": [{"id": OTHER}]})
    read = said("GET", f"/v1/pools/{OTHER}", status=200)

    assert repro_of([read], [read], [pools, later, read]) == (pools, read)


def test_an_id_in_a_body_that_any_other_could_stand_for_needs_no_list() -> None:
    pools = said("GET", "/v1/pools", answer={"items": [{"id": OTHER}]})
    made, read = created(pool_ids=[OTHER]), said("GET", f"/v1/pools/{OTHER}")

    assert repro_of([made], [made], [pools, made]) == (pools, made)
    assert repro_of([made], [made], [pools, made], replaceable={OTHER}) == (made,)
    assert repro_of([read], [read], [pools, read], replaceable={OTHER}) == (pools, read)


def test_an_earlier_answer_of_another_case_comes_first() -> None:
    earlier, again = created(), created()

    assert repro_of([earlier, again], [again], [earlier, again]) == (earlier, again)


def test_a_read_that_succeeded_before_includes_the_writes_since() -> None:
    good = said("GET", "/v1/runs?limit=20", answer={"items": []})
    harmless, harmful = created(), created(OTHER, input_values={"value": "odd"})
    failing = said("GET", "/v1/runs?limit=20", status=500)
    recorded = [harmless, good, harmful, failing]

    assert succeeded_before(failing.request, recorded)
    assert repro_of([failing], [harmful, failing], recorded) == (harmful, failing)


def test_a_read_that_other_cases_made_fail_includes_their_last_writes() -> None:
    good = said("GET", "/v1/runs?limit=20", answer={"items": []})
    theirs = [created() for _ in range(20)]
    failing = said("GET", "/v1/runs?limit=20", status=500)

    story = repro_of([failing], [failing], [good, *theirs, failing])

    assert story[-1] is failing
    assert [id(exchange) for exchange in story[:-1]] == [id(exchange) for exchange in theirs[-12:]]


def test_a_read_that_never_succeeded_includes_no_writes_of_others() -> None:
    failing = said("GET", "/v1/runs?skip=-1", status=500)

    assert not succeeded_before(failing.request, [created(), failing])
    assert repro_of([failing], [failing], [created(), failing]) == (failing,)


def test_a_run_that_is_gone_comes_with_the_deletes_of_runs_from_the_same_create() -> None:
    made = said(
        "POST", "/v1/runs/bulk", {"count": 2}, status=201, answer={"created_runs": [{"id": RUN}, {"id": OTHER}]}
    )
    deleted = said("DELETE", f"/v1/runs/{OTHER}", status=204)
    gone = said("GET", f"/v1/runs/{RUN}", status=404)

    assert repro_of([gone], [made, deleted, gone]) == (made, deleted, gone)
