"""Listing runs: filters, search, fields, order and pages, held against a naive model of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mockserver.behaviour import run_search, search_texts, workflows
from mockserver.behaviour.batch import BATCH, Batch
from mockserver.behaviour.chains import MergedInputs
from mockserver.behaviour.run_search import TextSearch
from mockserver.behaviour.run_view import unchanged_runs_json
from mockserver.behaviour.search_texts import values_of
from mockserver.behaviour.session_timelines import SessionTimelines
from mockserver.clock import text_of
from mockserver.spec import render_json
from tests.mockserver.inprocess import (
    ACCOUNTING_1,
    ENDS_AT_ONCE,
    FRONT_DESK_1,
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    TERMINAL,
    Mock,
    new_organisation,
    unknown_id,
    violations,
)

ALWAYS = {"id", "workflow_id", "machine_id", "status", "created_at"}

# --- The model -----------------------------------------------------------------------------------------------------


def _values(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for member in value.values() for text in _values(member)]
    if isinstance(value, list):
        return [text for member in value for text in _values(member)]
    if value is None:
        return []
    return [value if isinstance(value, str) else json.dumps(value)]


def _mentions(run: dict[str, Any], text: str, deep: bool) -> bool:
    names = ["id", "input_values", "output_data", "error", "session_alias", *["run_message_history"] * deep]
    return any(text.casefold() in value.casefold() for name in names for value in _values(run[name]))


def _expected(runs: list[dict[str, Any]], query: dict[str, Any]) -> list[dict[str, Any]]:
    """`runs` are in the order of their creation."""
    matching = [
        run
        for run in reversed(runs)
        if query.get("workflow_id") in (None, run["workflow_id"])
        and query.get("machine_id") in (None, run["machine_id"])
        and query.get("session_id") in (None, run["session_id"])
        and query.get("status") in (None, run["status"])
        and query.get("created_at_from", "") <= run["created_at"] <= query.get("created_at_to", "9")
        and _mentions(run, query.get("search", ""), query.get("deep_search") == "true")
    ]
    if query.get("sort_mode", "activity") == "activity":
        matching.sort(key=lambda run: run["status"] in TERMINAL)
    return matching


class Listing(RuleBasedStateMachine):
    @initialize(progression=st.sampled_from(["time", "time", "immediate", "manual"]))
    def begin(self, progression):
        self.mock = new_organisation(progression=progression)
        self.ids: list[str] = []
        self.sessions: list[str] = []
        self.moments: list[str] = []

    @rule(
        count=st.sampled_from([1, 1, 2, 5, 20]),
        workflow_id=st.sampled_from([SUCCEEDS, TASK_FAILED, NEVER_ENDS, ENDS_AT_ONCE]),
        machine_id=st.sampled_from([None, FRONT_DESK_1, ACCOUNTING_1]),
        session=st.sampled_from(["none", "none", "start", "join"]),
        input_values=st.sampled_from([None, {"name": "Ägypten"}, {"n": [{"x": 4711}, True]}, {"key": "STRASSE"}]),
        data=st.data(),
    )
    def create(self, count, workflow_id, machine_id, session, input_values, data):
        body: dict[str, Any] = {"machine_id": machine_id, "input_values": input_values}
        if session == "start":
            body["start_session"] = True
        elif session == "join" and self.sessions:
            body["session_id"] = data.draw(st.sampled_from(self.sessions))
        runs = self.mock.create_many(count, workflow_id, **body)
        self.ids += [run["id"] for run in runs]
        self.moments.append(runs[0]["created_at"])
        if runs[0]["session_id"] not in (None, *self.sessions):
            self.sessions.append(runs[0]["session_id"])

    @rule(aliases=st.lists(st.sampled_from(["alpha", "beta"]), min_size=1, max_size=3))
    def chain(self, aliases):
        steps = [{"workflow_id": SUCCEEDS, "session_alias": alias} for alias in aliases]
        answer = self.mock.post("/v1/runs/chain", {"steps": steps}).json()
        self.ids += answer["run_ids"]
        self.sessions.append(answer["session_id"])

    @precondition(lambda self: self.ids)
    @rule(
        body=st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from(["cancelled", "running", "success"]),
                "error": st.sampled_from([["Straße is closed"], None]),
                "output_data": st.sampled_from([{"found": "ägypten"}, {"x": 1.5}]),
                "run_message_history": st.just([{"said": "hello 4711"}]),
            },
        ),
        data=st.data(),
    )
    def update(self, body, data):
        self.mock.patch(f"/v1/runs/{data.draw(st.sampled_from(self.ids))}", body)

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def delete(self, data):
        run_id = data.draw(st.sampled_from(self.ids))
        self.mock.delete(f"/v1/runs/{run_id}")
        self.ids.remove(run_id)

    @precondition(lambda self: self.ids)
    @rule(
        body=st.fixed_dictionaries(
            {},
            optional={
                "reuse_session": st.booleans(),
                "machine_id": st.sampled_from([FRONT_DESK_1, ACCOUNTING_1]),
                "input_values": st.just({"fresh": "new"}),
            },
        ),
        data=st.data(),
    )
    def retry(self, body, data):
        self.mock.post(f"/v1/runs/{data.draw(st.sampled_from(self.ids))}/retry", body)

    @rule(seconds=st.sampled_from([0.000001, 1, 4, 9, 60]))
    def advance(self, seconds):
        self.mock.clock.advance(seconds)

    @rule(
        search=st.sampled_from(
            [None, None, "strasse", "ÄGYPTEN", "4711", "true", "alpha", "name", "new", "id", "submit"]
        ),
        deep_search=st.sampled_from([None, "true"]),
        status=st.sampled_from([None, None, None, "running", "success", "cancelled"]),
        workflow_id=st.sampled_from([None, None, None, SUCCEEDS, NEVER_ENDS]),
        machine_id=st.sampled_from([None, None, None, FRONT_DESK_1]),
        sort_mode=st.sampled_from([None, "activity", "created_at_desc"]),
        limit=st.sampled_from([1, 3, 7, 1000]),
        data=st.data(),
    )
    def look(self, search, deep_search, status, workflow_id, machine_id, sort_mode, limit, data):
        query = {
            "search": search,
            "deep_search": deep_search,
            "status": status,
            "workflow_id": workflow_id,
            "machine_id": machine_id,
            "sort_mode": sort_mode,
            "session_id": data.draw(st.sampled_from([None, None, *self.sessions]), label="session_id"),
            "created_at_from": data.draw(st.sampled_from([None, None, *self.moments]), label="created_at_from"),
            "created_at_to": data.draw(st.sampled_from([None, None, *self.moments]), label="created_at_to"),
        }
        query = {name: value for name, value in query.items() if value is not None}
        if search is not None and data.draw(st.booleans(), label="by id") and self.ids:
            query["search"] = data.draw(st.sampled_from(self.ids))[:13].upper()
        runs = [self.mock.read(run_id) for run_id in self.ids]
        expected = _expected(runs, query)

        whole: list[dict[str, Any]] = []
        while True:
            page = self.mock.get("/v1/runs", params={**query, "skip": len(whole), "limit": limit}).json()
            assert (page["total"], page["skip"], page["limit"]) == (len(expected), len(whole), limit)
            whole += page["items"]
            if not page["items"]:
                break
        assert whole == expected


TestListing = Listing.TestCase
TestListing.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)

# --- Order ---------------------------------------------------------------------------------------------------------


def test_active_runs_come_first_and_the_newest_first_in_each():
    mock = new_organisation()
    kinds = [NEVER_ENDS, ENDS_AT_ONCE, NEVER_ENDS, ENDS_AT_ONCE]
    first, second, third, fourth = (mock.create(kind)["id"] for kind in kinds)

    assert mock.ids() == mock.ids(sort_mode="activity") == [third, first, fourth, second]
    assert mock.ids(sort_mode="created_at_desc") == [fourth, third, second, first]


def test_a_retried_run_keeps_its_place_among_those_of_its_age():
    mock = new_organisation()
    old = mock.create(ENDS_AT_ONCE)["id"]
    new = mock.create(ENDS_AT_ONCE)["id"]

    mock.post(f"/v1/runs/{old}/retry", {})
    mock.patch(f"/v1/runs/{new}", {"output_data": {}})

    assert mock.ids(sort_mode="created_at_desc") == [new, old]


def test_a_list_of_no_runs_is_a_list():
    assert new_organisation().get("/v1/runs").json() == {"items": [], "total": 0, "skip": 0, "limit": 100}


# --- Pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort_mode", ["activity", "created_at_desc"])
def test_a_page_beyond_the_end_is_empty_and_knows_the_total(sort_mode):
    mock = new_organisation()
    mock.create_many(5)

    for skip in (5, 6, 10**30):
        page = mock.get("/v1/runs", params={"skip": skip, "sort_mode": sort_mode}).json()
        assert (page["items"], page["total"], page["skip"]) == ([], 5, skip)


def test_a_page_holds_a_hundred_unless_it_is_told_otherwise():
    mock = new_organisation()
    mock.create_many(150)

    assert len(mock.get("/v1/runs").json()["items"]) == 100
    assert len(mock.get("/v1/runs", params={"limit": 1000}).json()["items"]) == 150


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("skip", "-1", "greater_than_equal"),
        ("limit", "0", "greater_than_equal"),
        ("limit", "1001", "less_than_equal"),
        ("limit", "x", "int_parsing"),
        ("limit", "", "int_parsing"),
        ("workflow_id", "x", "uuid_parsing"),
        ("machine_id", "", "uuid_parsing"),
        ("session_id", "null", "uuid_parsing"),
        ("status", "done", "enum"),
        ("sort_mode", "newest", "enum"),
        ("deep_search", "maybe", "bool_parsing"),
        ("created_at_from", "yesterday", "datetime_from_date_parsing"),
        ("fields", "password", "enum"),
    ],
)
def test_a_wrong_query_is_named(name, value, kind):
    ((loc, type_),) = violations(new_organisation().get("/v1/runs", params={name: value}))

    assert loc[:2] == ("query", name)
    assert type_ == kind


def test_a_query_that_is_unknown_is_passed_over_and_the_last_of_two_counts():
    mock = new_organisation()
    mock.create_many(3)

    page = mock.get("/v1/runs?limit=1&colour=blue&limit=2").json()

    assert (len(page["items"]), page["limit"]) == (2, 2)


# --- Filters -------------------------------------------------------------------------------------------------------


def test_the_bounds_of_created_at_are_inclusive_to_the_microsecond():
    mock = new_organisation()
    moments = []
    for _ in range(3):
        moments.append(mock.create()["created_at"])
        mock.clock.advance(0.000001)

    def count(**query):
        return mock.total(**query)

    assert len(set(moments)) == 3
    assert [count(created_at_from=moment) for moment in moments] == [3, 2, 1]
    assert [count(created_at_to=moment) for moment in moments] == [1, 2, 3]
    assert count(created_at_from=moments[1], created_at_to=moments[1]) == 1
    assert count(created_at_from=moments[2], created_at_to=moments[0]) == 0


def test_the_bounds_of_created_at_are_read_in_any_time_zone():
    mock = new_organisation()
    mock.create()
    now = datetime.fromisoformat(text_of(mock.clock.now()))
    there = now.astimezone(timezone(timedelta(hours=-7, minutes=-30))) - timedelta(microseconds=1)

    assert mock.total(created_at_from=there.isoformat()) == 1
    assert mock.total(created_at_to=there.isoformat()) == 0
    assert mock.total(created_at_from="0001-01-01T00:00:00+23:59", created_at_to="9999-12-31T23:59:59-23:59") == 1


def test_filters_together_give_what_fits_them_all():
    mock = new_organisation()
    mock.create_many(2, NEVER_ENDS, machine_id=FRONT_DESK_1)
    wanted = mock.create(SUCCEEDS, machine_id=FRONT_DESK_1, input_values={"a": "needle"})
    mock.create(SUCCEEDS, machine_id=ACCOUNTING_1, input_values={"a": "needle"})

    found = mock.ids(workflow_id=SUCCEEDS, machine_id=FRONT_DESK_1, search="NEEDLE", status="scheduling")

    assert found == [wanted["id"]]


def test_a_filter_by_what_nobody_knows_finds_nothing():
    mock = new_organisation()
    mock.create(start_session=True)

    for name in ("workflow_id", "machine_id", "session_id"):
        assert mock.total(**{name: unknown_id()}) == 0


# --- Search --------------------------------------------------------------------------------------------------------


def test_a_search_looks_into_values_at_any_depth_and_not_into_names():
    mock = new_organisation()
    run = mock.create(input_values={"outer": [{"inner": ["Find Me"]}, 4711, 1.5, True, None]})

    for text in ("find me", "D ME", "4711", "71", "1.5", "TRUE"):
        assert mock.ids(search=text) == [run["id"]], text
    for text in ("outer", "inner", "null", "[", '"'):
        assert mock.ids(search=text) == [], text


@pytest.mark.parametrize("name", ["output_data", "error", "session_alias", "id"])
def test_a_search_looks_into(name):
    mock = new_organisation()
    run, _ = mock.create(session_alias="NEEDLE" if name == "session_alias" else None), mock.create()
    if name in ("output_data", "error"):
        mock.patch(f"/v1/runs/{run['id']}", {name: {"a": "a needle b"} if name == "output_data" else ["neeDLE"]})

    assert mock.ids(search=run["id"].upper()[4:30] if name == "id" else "needle") == [run["id"]]


def test_long_texts_are_searched_in_one_other_thread_while_other_requests_are_answered(monkeypatch):
    threads = []

    def recorded(text: bytes, *overlap: int) -> Iterable[str]:
        threads.append(threading.current_thread().name if len(text) > 32_768 else None)
        return values_of(text, *overlap)

    monkeypatch.setattr(run_search, "values_of", recorded)
    mock = Mock()
    mock.create(input_values={"a": ["\N{HOT BEVERAGE}", *range(10_000)]})
    query = {"search": "\N{HOT BEVERAGE}"}

    answers = mock.together(*(mock.sent("GET", "/v1/runs", params=query) for _ in range(8)))

    assert [answer.json()["total"] for answer in answers] == [1] * 8
    assert [name for name in threads if name is not None] == ["searcher_0"] * 8


def test_many_inputs_that_the_steps_of_a_chain_share_are_searched_once_and_in_the_thread(monkeypatch):
    threads: list[str] = []
    searched: list[int] = []
    names_with = run_search._names_with

    def merged(inputs: MergedInputs) -> bytes:
        threads.append(threading.current_thread().name)
        return render_json({**inputs.shared, **inputs.own})

    def recorded(values: Mapping[str, Any], sought: str) -> Iterator[str]:
        threads.append(threading.current_thread().name)
        searched.append(len(values))
        return names_with(values, sought)

    mock = Mock(store="memory")  # in which the steps share one object
    steps = [{"workflow_id": SUCCEEDS, "inputs": {"a": 1}}] * 20
    mock.post("/v1/runs/chain", {"steps": steps, "shared_inputs": {f"k{number}": number for number in range(5_000)}})
    monkeypatch.setattr(MergedInputs, "__bytes__", merged)
    monkeypatch.setattr(run_search, "_names_with", recorded)

    assert mock.get("/v1/runs", params={"search": "zebra", "limit": 1}).json()["total"] == 0

    assert (set(threads), searched) == ({"searcher_0"}, [5_000])


@pytest.mark.parametrize("most", [2, 10_000])
def test_a_search_in_large_inputs_of_a_chain_finds_what_each_run_shows_of_them(most, monkeypatch):
    monkeypatch.setattr(run_search, "_MAX_NAMES", most)
    mock = Mock()
    shared = {
        **{f"k{number}": "padding" * 20 for number in range(700)},
        **{name: ["Needle"] for name in ("a", "b", "c")},
        "d": {"number": 0.5, "Zebra": None},
        "\ud800": "\udfff",
    }
    each = ({"a": 1}, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": "needle"}, {"a": 1, "b": 1}, {"d": 1, "e": 7}, {})
    steps = [{"workflow_id": NEVER_ENDS, "inputs": own} for own in each]
    run_ids = mock.post("/v1/runs/chain", {"steps": steps, "shared_inputs": shared}).json()["run_ids"]

    def found(text: str) -> list[int]:
        return sorted(map(run_ids.index, mock.ids(search=text)))

    assert [found(text) for text in ("needle", "0.5", "padding", "zebra")] == [
        [0, 2, 3, 4, 5],
        [0, 1, 2, 3, 5],
        [0, 1, 2, 3, 4, 5],
        [],
    ]


def test_a_search_looks_only_at_long_texts_one_by_one_where_the_joined_texts_do_not_contain_the_text(monkeypatch):
    mock = Mock()
    long, changed, joins, *_ = (
        mock.create(input_values={"a": "needle " + "x" * 5_000}),
        mock.create(input_values={"a": "old"}),
        mock.create(input_values={"a": "other"}, start_session=True),
        *(mock.create(input_values={"a": str(number)}) for number in range(5)),
    )
    mock.patch(f"/v1/runs/{changed['id']}", {"input_values": {"a": "new"}})
    mock.patch(f"/v1/runs/{joins['id']}", {"status": "cancelled"})
    looked_at: list[str] = []
    finds_batch = TextSearch.finds_batch

    async def recorded(self: TextSearch, batch: Batch) -> bool | None:
        looked_at.append(batch.ids.id(0))
        return await finds_batch(self, batch)

    monkeypatch.setattr(TextSearch, "finds_batch", recorded)

    assert mock.ids(search="needle") == [long["id"]]
    assert looked_at == [long["id"]]
    assert mock.ids(search="new") == [changed["id"]]
    assert mock.ids(search="old") == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(_JSON)
@example({'"': '"', "a:": '":', "\\": "\\", "1": ["true", True, False, None, 1e300, -1e-7, -0.0, 5e22, "\ud800", "1"]})
def test_what_is_searched_are_the_values_as_the_json_parser_reads_them(value):
    text = render_json(value)
    expected = [each.casefold() for each in _values(json.loads(text))]
    assert sorted(values_of(text)) == sorted(values_of(text + b" " * 5_000)) == sorted(expected)


@given(_JSON, st.data())
@example([1.23456e-5, "\x1fab"], None)
@example(["\\u0063", "\u212a\ud800"], None)
def test_a_search_finds_each_part_of_each_value_with_and_without_parsing(value, data):
    text = render_json(value)
    values = [each.casefold() for each in _values(json.loads(text))]
    for one in values:
        at = data.draw(st.integers(0, len(one))) if data else 0
        sought = one[at : at + 6]
        assert run_search._has_value_with(text, sought)
    for sought in ("-05", "1.2", "2345", "05", "e", "ue", "0063", "1f", "k", "null", ":", "{", ",", "zz"):
        assert run_search._has_value_with(text, sought) == any(sought in each for each in values)


@given(st.text("aAßſK", max_size=40), st.text("aAßſK", max_size=5))
def test_a_long_text_is_searched_in_parts_of_which_none_is_long(text: str, sought: str):
    sought = sought.casefold()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search_texts, "_FOLDED_AT_ONCE", 3)
        parts = list(search_texts.folded(text, len(sought)))
    assert any(sought in part for part in parts) == (sought in text.casefold())
    assert all(len(part) <= 2 * 3 + len(sought) for part in parts)


def test_no_more_of_a_long_text_is_folded_at_once_than_others_can_wait_for(monkeypatch):
    sizes: list[int] = []

    def recorded(text: str, overlap: int) -> Iterator[str]:
        for part in folded(text, overlap):
            sizes.append(len(part))
            yield part

    folded = search_texts.folded
    for module in (search_texts, run_search, workflows):
        monkeypatch.setattr(module, "folded", recorded)
    mock = Mock()
    run = mock.create(input_values={"a": "é" * 200_000 + "NEEDLE É"})
    mock.post("/v1/workflows", {"main_prompt": "p", "name": "é" * 200_000 + "NEEDLE É"})

    assert mock.ids(search="needle é") == [run["id"]]
    assert mock.get("/v1/workflows", params={"search": "needle é"}).json()["total"] == 1
    assert sum(sizes) > 400_000
    assert max(sizes) < 70_000


def test_a_search_does_not_read_integers_which_takes_quadratic_time():
    assert list(values_of(b'{"a":[%b]}' % b",".join([b"-" + b"9" * 5_000] * 2))) == ["-" + "9" * 5_000] * 2


@pytest.mark.parametrize("what", ["/v1/runs", "/v1/runs/{}"])
def test_a_long_session_is_computed_in_parts_so_that_other_requests_are_answered_between_them(monkeypatch, what):
    parts = []
    compute_to = SessionTimelines._compute_to

    def recorded(self: SessionTimelines, position: int) -> None:
        before = len(self._timelines)
        compute_to(self, position)
        parts.append(len(self._timelines) - before)

    monkeypatch.setattr(SessionTimelines, "_compute_to", recorded)
    mock = Mock()
    runs = mock.create_many(500, start_session=True)

    mock.get(what.format(runs[-1]["id"]))

    assert sum(parts) == 500
    assert max(parts) < 100


def test_a_search_finds_ids_by_any_part_of_them():
    mock = new_organisation()
    runs = [*mock.create_many(3), *mock.create_many(20, input_values={"a": "4f-8"}), mock.create(start_session=True)]

    for run in (runs[0], runs[2], runs[20], runs[-1]):
        parts = {run["id"][start:end] for start in range(36) for end in (start + 1, start + 3, start + 10, 36)}
        for text in {*parts, *(f"{part}-" for part in parts), *(f"0{part}" for part in parts)}:
            assert set(mock.ids(search=text, limit=1000)) == {
                one["id"] for one in runs if _mentions(one, text, deep=False)
            }, text


def test_a_search_among_runs_that_end_in_several_ways_finds_those_whose_words_fit():
    mock = new_organisation()
    mock.create_many(500, unknown_id())
    mock.clock.advance(60)
    runs = mock.get("/v1/runs", params={"limit": "1000"}).json()["items"]
    assert len({run["status"] for run in runs}) > 1

    for text in ("ran to its end", "42", "was", "e", "zzz"):
        for status in (None, "success", "error"):
            query = {"search": text, "status": status}
            assert set(mock.ids(limit=1000, **{k: v for k, v in query.items() if v})) == {
                run["id"] for run in _expected(runs, query)
            }


def test_only_a_deep_search_looks_into_messages():
    mock = new_organisation()
    run = mock.create()
    mock.patch(f"/v1/runs/{run['id']}", {"run_message_history": [{"content": [{"text": "Needle"}]}]})

    assert mock.ids(search="needle") == []
    assert mock.ids(search="needle", deep_search="false") == []
    assert mock.ids(search="needle", deep_search="true") == mock.ids(search="needle", deep_search="1") == [run["id"]]


def test_a_search_finds_what_the_workflow_produced_once_it_has():
    mock = new_organisation()
    run = mock.create(TASK_FAILED)

    before = mock.ids(search="INVOICE was not")
    mock.clock.advance(60)

    assert (before, mock.ids(search="INVOICE was not")) == ([], [run["id"]])


@pytest.mark.parametrize("text", ["ß", "SS", "İ", "é", "日本", "\u0000", "%", "_", "a\\b", "😀"])
def test_a_search_takes_any_text_by_the_letter(text):
    mock = new_organisation()
    run, _ = mock.create(input_values={"a": f"x{text}x"}), mock.create(input_values={"a": "xx"})

    assert mock.ids(search=text) == [run["id"]]


def test_an_empty_search_finds_everything():
    mock = new_organisation()
    mock.create_many(2)

    assert mock.total(search="") == 2


# --- Fields --------------------------------------------------------------------------------------------------------


def test_only_the_fields_that_are_asked_for_are_shown_and_those_that_always_are():
    mock = new_organisation()
    run = mock.create(input_values={"a": 1}, start_session=True)

    (shown,) = mock.listed(fields=["input_values", "session_id"])

    assert shown == {name: run[name] for name in ALWAYS | {"input_values", "session_id"}}


def test_every_field_that_there_is_can_be_asked_for():
    mock = new_organisation()
    run = mock.create()
    names = set(run) - {"id", "workflow_id", "status", "created_at"}

    for name in sorted(names):
        assert mock.listed(fields=name) == [{each: run[each] for each in ALWAYS | {name}}]


def test_fields_that_only_newer_servers_have_are_left_out():
    mock = new_organisation()
    mock.create()

    assert set(mock.listed(fields=["is_priority", "post_run_checks"])[0]) == ALWAYS


def test_fields_do_not_change_what_is_found_or_included():
    mock = new_organisation()
    mock.create(input_values={"a": "needle"})

    page = mock.get("/v1/runs", params={"fields": "error", "search": "needle", "include": "workflow"}).json()

    assert (len(page["items"]), len(page["included"])) == (1, 1)


# --- Blocks of batches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort_mode", ["activity", "created_at_desc"])
def test_a_list_of_many_calls_stays_true_while_they_live_and_change(sort_mode):
    mock = new_organisation()
    made = [mock.create(NEVER_ENDS if number % 50 == 3 else ENDS_AT_ONCE)["id"] for number in range(200)]
    assert mock.total(sort_mode=sort_mode) == 200

    for place in (0, 64, 130, 199):
        mock.delete(f"/v1/runs/{made[place]}")
    mock.patch(f"/v1/runs/{made[3]}", {"status": "cancelled"})
    mock.post(f"/v1/runs/{made[100]}/retry", {"reuse_session": False})
    mock.clock.advance(0.5)
    left = [run_id for place, run_id in enumerate(made) if place not in (0, 64, 130, 199)]

    expected = _expected([mock.read(run_id) for run_id in left], {"sort_mode": sort_mode})
    assert mock.listed(sort_mode=sort_mode) == expected
    pages = [
        mock.get("/v1/runs", params={"sort_mode": sort_mode, "skip": skip, "limit": 60}).json()["items"]
        for skip in range(0, 240, 60)
    ]
    assert [run for page in pages for run in page] == expected
    mock.clock.advance(60)
    after = _expected([mock.read(run_id) for run_id in left], {"sort_mode": sort_mode})
    assert mock.listed(sort_mode=sort_mode) == after


def test_a_bulk_of_which_some_have_ended_is_listed_the_active_first():
    mock = new_organisation()
    made = [run["id"] for _ in range(2) for run in mock.create_many(60, unknown_id())]
    mixed = 0
    for _ in range(4):
        mock.clock.advance(9)
        runs = [mock.read(run_id) for run_id in made]
        mixed += len({run["status"] in TERMINAL for run in runs}) == 2
        for query in ({}, {"status": "success"}, {"status": "running"}):
            expected = _expected(runs, query)
            assert mock.listed(**query) == expected
            pages = [
                mock.get("/v1/runs", params={**query, "skip": skip, "limit": 25}).json()["items"]
                for skip in range(0, 125, 25)
            ]
            assert [run for page in pages for run in page] == expected
    assert mixed


def test_a_list_of_an_earlier_moment_does_not_show_what_a_later_one_has_shown():
    mock = Mock()
    mock.create_many(3, SUCCEEDS)
    (space,) = mock.app.namespaces.default.spaces.values()
    ((_, unit),) = mock.run(space.store.items(BATCH)).items()
    began = mock.clock.read().sim_time
    mock.clock.advance(3600)
    mock.listed()

    text = unchanged_runs_json(space, unit.value, range(3), began)

    assert {run["status"] for run in json.loads(b"[%b]" % text)} == {"scheduling"}
