"""Lists of runs, judged by the query and the runs that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from contracts.oracle.request import ParsedRequest
from contracts.oracle.run_list import DELETED, FOREIGN, ListCandidate, Page, list_violations, matches, missing_runs

W, W2 = "3c90c3cc-0d44-4b50-8888-8dd25736052a", "6f1c9a2e-3b4d-4c5e-8f60-718293a4b5c6"
M, S = "5e551011-0000-4000-8000-000000000001", "5e551011-0000-4000-8000-000000000002"
NEWEST_FIRST = (("workflow_id", W), ("sort_mode", "created_at_desc"))


def view(number: int = 1, **fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("input_values", "output_data", "error", "session_alias", "run_message_history"))
    made = {"id": f"aaaaaaaa-0000-4000-8000-{number:012}", "workflow_id": W, "machine_id": None, "session_id": None}
    return empty | made | {"status": "scheduling", "created_at": f"2026-01-02T03:04:{60 - number:02}Z"} | fields


def run(number: int = 1, sent: Mapping[str, Any] | None = None, absence: Any = None, **fields: Any) -> ListCandidate:
    body = {"workflow_id": W, **(sent or {})}
    return ListCandidate.of(view(number, **fields), ParsedRequest("bulk_create_runs", body, body), absence)


def page(*numbers: int, skip: int = 0, limit: int = 100, total: int | None = None, **fields: Any) -> Page:
    items = [view(number, **fields) for number in numbers]
    body = {"items": items, "total": len(items) if total is None else total, "skip": skip, "limit": limit}
    return Page(skip, limit, body)


def causes(pages: Sequence[Page], runs: Sequence[ListCandidate], query: Any = NEWEST_FIRST) -> list[tuple[str, str]]:
    return [(wrong.violation.rule, wrong.violation.cause) for wrong in list_violations(pages, query, runs)]


ENDED = {"status": "success", "machine_id": M, "output_data": {"a": ["Found-It-4711"]}, "error": None}
ON_MACHINE = run(sent={"machine_id": M}, machine_id=M)


@pytest.mark.parametrize(
    ("known", "query", "answer"),
    [
        (run(), {"workflow_id": W}, True),
        (run(), {"workflow_id": W2}, False),
        (run(), {"workflow_id": "0"}, False),
        (run(session_id=S), {"session_id": S}, True),
        (run(), {"session_id": S}, False),
        (ON_MACHINE, {"machine_id": M}, True),
        (ON_MACHINE, {"machine_id": W}, False),
        (run(), {"machine_id": M}, None),
        (run(), {"machine_id": "null"}, False),
        (run(**ENDED), {"machine_id": M}, True),
        (run(), {"status": "scheduling"}, None),
        (run(), {"status": "success"}, None),
        (run(), {"status": "cancelled"}, None),
        (run(status="running"), {"status": "scheduling"}, False),
        (run(status="cancelled"), {"status": "cancelled"}, True),
        (run(status="cancelled"), {"status": "scheduling"}, False),
        (run(), {"created_at_from": "2026-01-02T03:04:59Z"}, True),
        (run(), {"created_at_from": "2026-01-02T03:04:59.000001Z"}, False),
        (run(), {"created_at_to": "2026-01-02T04:04:59+01:00"}, True),
        (run(), {"created_at_to": "2026-01-02T03:04:58Z"}, False),
        (run(), {"created_at_to": "yesterday"}, None),
        (run(created_at="2026-01-02T03:04:59.123456789Z"), {"created_at_to": "2026-01-02T03:04:59.123456Z"}, None),
        (run(created_at="2026-01-02T03:04:59.123456789Z"), {"created_at_to": "2026-01-02T03:04:59.123457Z"}, True),
        (run(created_at="2026-01-02T03:04:59.123456789Z"), {"created_at_from": "2026-01-02T03:04:59.123457Z"}, False),
        (run(created_at="2026-01-02T03:04:59.123456789Z"), {"created_at_to": "2026-01-02T03:04:59.123456789Z"}, True),
        (run(input_values={"a": [{"b": "xx Found4711 yy"}]}), {"search": "fOUND4711"}, True),
        (run(input_values={"a": 172635495}), {"search": "172635495"}, True),
        (run(input_values={"Found4711": "x"}), {"search": "Found4711"}, False),
        (run(), {"search": "aaaaaaaa-0000-4000-8000-000000000001"}, True),
        (run(), {"search": "x"}, None),
        (run(output_data={"a": "x"}), {"search": "x"}, None),
        (ListCandidate(view(input_values={"a": "b"}), frozenset(view())), {"search": "x"}, False),
        (ListCandidate(view(input_values={"a": 3.5}), frozenset(view())), {"search": "e5"}, None),
        (run(input_values={"a": [{"b": "Zx"}]}), {"search": "zX"}, True),
        (run(input_values={"a": 25}), {"search": "25"}, None),
        (run(output_data={"a": "Found4711"}), {"search": "Found4711"}, None),
        (run(**ENDED), {"search": "Found-It-4711"}, True),
        (run(**ENDED | {"run_message_history": [{"a": "Found4711"}]}), {"search": "Found4711"}, False),
        (
            run(**ENDED | {"run_message_history": [{"a": "Found4711"}]}),
            {"search": "Found4711", "deep_search": "true"},
            True,
        ),
        (run(), {"workflow_id": W, "status": "running", "session_id": S}, False),
        (run(), {"workflow_id": W, "status": "running"}, None),
        (run(), {"include": "workflow", "fields": "error", "sort_mode": "activity"}, True),
    ],
)
def test_a_run_matches_or_does_not_or_the_contract_leaves_it_open(
    known: ListCandidate, query: dict[str, str], answer: bool | None
) -> None:
    assert matches(known, list(query.items())) is answer


def test_nothing_is_wrong_with_a_list_of_the_matching_runs() -> None:
    runs = [run(1), run(2), run(3), run(4, workflow_id=W2), run(5, absence=DELETED)]
    pages = [page(1, 2, limit=2, total=3), page(3, skip=2, limit=2, total=3)]

    assert causes(pages, runs) == []
    assert missing_runs(pages, NEWEST_FIRST, runs) == []


def test_unknown_runs_are_judged_by_the_fields_that_the_list_shows() -> None:
    assert causes([page(7, 8)], []) == []
    assert causes([page(7, 8, workflow_id=W2)], []) == [("LIST-FILTER", "workflow_id returns other runs")]
    shown = [page(7, status="running")]
    assert causes(shown, [run(7)], [("status", "success")]) == [("LIST-FILTER", "status returns other runs")]


def test_a_run_of_another_case_that_is_listed_wrongly_is_named_so_that_its_create_is_found() -> None:
    (wrong,) = list_violations([page(7, workflow_id=W2)], [NEWEST_FIRST[0]], [])
    (known,) = list_violations([page(7, workflow_id=W2)], [NEWEST_FIRST[0]], [run(7, workflow_id=W2)])

    assert (wrong.violation.about, wrong.run_id) == (view(7)["id"], None)
    assert (known.violation.about, known.run_id) == ("", view(7)["id"])


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input_values": {"a": [{"My Word": 1}]}}, " (the text is a name in input_values)"),
        ({"run_message_history": [{"content": "a word"}]}, " (the text is in run_message_history)"),
        ({"input_values": {"other": 1}}, ""),
    ],
)
def test_a_run_that_a_search_must_not_find_is_named_with_the_place_of_the_text(
    fields: dict[str, Any], where: str
) -> None:
    (wrong,) = list_violations([page(7, **fields)], [("search", "WORD")], [run(7, **fields)])

    assert wrong.violation.got.endswith(f"which does not match search{where}")


def test_a_field_that_the_list_does_not_show_is_not_judged() -> None:
    shown = page(7)
    del shown.body["items"][0]["input_values"]

    assert causes([shown], [], [("search", "Found4711"), ("fields", "error")]) == []
    assert causes([shown], [], [("search", "Found4711")]) == [("LIST-FILTER", "search returns other runs")]


@pytest.mark.parametrize(
    ("pages", "runs", "expected"),
    [
        ([Page(0, 100, {"items": []})], [], [("LIST-PAGE", "a list is not of its schema")]),
        ([Page(0, 100, None)], [], [("LIST-PAGE", "a list is not of its schema")]),
        ([Page(1, 100, page(1).body)], [], [("LIST-PAGE", "skip or limit is not as asked")]),
        ([page(1, limit=2, total=3)], [run(1), run(2)], [("LIST-PAGE", "a page has fewer items than total says")]),
        (
            [page(1, 1)],
            [run(1)],
            [("LIST-COMPLETE", "a run twice in one page"), ("LIST-PAGE", "total is not the number of runs")],
        ),
        (
            [page(1, 2, limit=2, total=3), page(2, skip=2, limit=2, total=3)],
            [run(1), run(2), run(3)],
            [("LIST-PAGE", "a run on two pages")],
        ),
        ([page(1, 2)], [run(1), run(2, workflow_id=W2)], [("LIST-FILTER", "workflow_id returns other runs")]),
        ([page(2, 1)], [run(1), run(2)], [("LIST-PAGE", "created_at_desc is not newest first")]),
        ([page(1, 2)], [run(1), run(2, absence=DELETED)], [("DELETE-GONE", "a deleted run is listed")]),
        (
            [page(1, total=2)],
            [run(1), run(2, absence=DELETED)],
            [
                ("DELETE-GONE", "a deleted run is counted"),
                ("LIST-PAGE", "total is not the number of runs"),
                ("LIST-PAGE", "a page has fewer items than total says"),
            ],
        ),
        (
            [page(1, total=3)],
            [run(1), run(2, absence=DELETED)],
            [
                ("LIST-PAGE", "total is not the number of runs"),
                ("LIST-PAGE", "a page has fewer items than total says"),
            ],
        ),
        (
            [page(total=1)],
            [run(1, absence=FOREIGN)],
            [("LIST-PAGE", "a page has fewer items than total says")],
        ),
    ],
)
def test_each_fault_of_a_list_has_its_cause(
    pages: list[Page], runs: list[ListCandidate], expected: list[tuple[str, str]]
) -> None:
    assert causes(pages, runs) == expected


def test_a_run_that_must_be_listed_is_missing_only_from_a_whole_list() -> None:
    runs = [run(1), run(2), run(3, workflow_id=W2), run(4, absence=DELETED)]

    assert missing_runs([page(1)], NEWEST_FIRST, runs) == [runs[1]]
    assert missing_runs([page(1, limit=1, total=2)], NEWEST_FIRST, runs) == []
    assert missing_runs([page(1, skip=1)], NEWEST_FIRST, runs) == []


def test_a_page_with_known_runs_alone_may_be_of_a_longer_list() -> None:
    found, runs = page(1, 2, limit=2, total=9), [run(1), run(2)]

    assert causes([found], runs) == []
    all_known = [wrong.violation.cause for wrong in list_violations([found], NEWEST_FIRST, runs, are_all=True)]
    assert all_known == ["total is not the number of runs"]


def test_a_fault_names_the_pages_and_the_run_that_show_it() -> None:
    pages = [page(1, 2, limit=2, total=4), page(3, 1, skip=2, limit=2, total=4), page(skip=4, limit=2, total=4)]
    repeated = next(list_violations(pages, NEWEST_FIRST, [run(1), run(2), run(3)]))
    assert (repeated.pages, repeated.run_id) == ((0, 1), None)

    listed = next(list_violations(pages[:1], NEWEST_FIRST, [run(2, absence=FOREIGN)]))
    assert (listed.pages, listed.run_id) == ((0,), run(2).id)


@pytest.mark.parametrize(
    ("query", "candidates", "are_all", "is_judged"),
    [
        ([("workflow_id", W)], [run()], False, True),
        ([("workflow_id", W)], [run(), run(2)], True, True),
        ([("status", "scheduling")], [run()], False, False),
        ([("machine_id", M)], [ON_MACHINE], False, False),
        ([("machine_id", M)], [ON_MACHINE, run(2)], True, False),  # the second run may get that machine
        ([("machine_id", M)], [ON_MACHINE], True, True),
        ([("status", "success")], [run(**ENDED), run(2, **ENDED)], True, True),
        ([("status", "running")], [run(status="running")], True, False),
    ],
)
def test_items_and_total_are_compared_where_no_run_enters_or_leaves_by_itself(
    query: Any, candidates: Sequence[ListCandidate], are_all: bool, is_judged: bool
) -> None:
    body = {"items": [dict(candidates[0].view)], "total": 2, "skip": 0, "limit": 100}
    violations = list_violations([Page(0, 100, body)], query, candidates, are_all=are_all)

    assert ("a page has fewer items than total says" in [wrong.violation.cause for wrong in violations]) is is_judged


@pytest.mark.parametrize(("total", "is_counted"), [(2, True), (100, True), (101, False)])
def test_a_deleted_run_is_counted_only_where_the_whole_list_fits_on_the_page(total: int, is_counted: bool) -> None:
    shown = [dict(run(number).view) for number in range(2, total)]  # one less than asked for, and than total says
    body = {"items": [dict(run().view), *shown][: min(total, 100) - 1], "total": total, "skip": 0, "limit": 100}
    deleted = run(200, absence=DELETED)
    violations = list_violations([Page(0, 100, body)], NEWEST_FIRST, [run(), deleted], are_all=False)

    assert ("a deleted run is counted" in [wrong.violation.cause for wrong in violations]) is is_counted


@pytest.mark.parametrize(("query", "is_judged"), [(NEWEST_FIRST, True), ((*NEWEST_FIRST, ("machine_id", M)), False)])
def test_a_run_is_on_two_pages_if_another_one_has_entered_the_list_meanwhile(query: Any, is_judged: bool) -> None:
    pages = [page(1, limit=1, total=3, machine_id=M), page(1, skip=1, limit=1, total=3, machine_id=M)]
    violations = list_violations(pages, query, [ON_MACHINE, run(2)], are_all=True)

    assert ("a run on two pages" in [wrong.violation.cause for wrong in violations]) is is_judged


def test_a_parameter_that_is_not_known_is_not_taken_for_one_that_matches_every_run() -> None:
    neutral = [("fields", "id"), ("include", "machine"), ("sort_mode", "activity"), ("deep_search", "true")]
    assert matches(run(), neutral) is True
    with pytest.raises(ValueError, match="usage_above"):
        matches(run(), [*neutral, ("usage_above", "3")])


def test_the_order_is_not_judged_where_pages_overlap() -> None:
    """Each page may be in order: what follows from one to the next is that of the overlap."""
    pages = [page(1, 2, limit=2, total=4), page(1, 2, skip=2, limit=2, total=4)]

    assert {cause for _, cause in causes(pages, [])} == {"a run on two pages"}
