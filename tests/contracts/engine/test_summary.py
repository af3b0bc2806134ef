"""What a finding says in one sentence."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Answer, Exchange, Request
from contracts.engine.request_building import encode, request_for
from contracts.engine.summary import commands_note_of, request_in_words, shorten_ids, summary_of
from contracts.openapi.schemas import UNREAD
from tests.contracts.engine.attempts import RUN, sent

ALIKE = "0b0e1234-0000-4000-8000-000000000002"
WORKFLOW = "10000000-0000-4000-8000-000000000001"


def test_a_summary_names_the_request_the_answer_and_what_was_expected() -> None:
    listed = sent("list_runs", query=[("created_at_from", "2026-11-26T07:02:56+05:30")])

    said = summary_of("every run that matches", f'a list without run {RUN} (created_at "…")', [listed])

    assert said == (
        "GET /v1/runs?created_at_from=2026-11-26T07:02:56+05:30: "
        'a list without run 0b0e1234… (created_at "…"); expected every run that matches'
    )


def test_a_summary_says_which_requests_were_sent_at_the_same_moment() -> None:
    update, retry, read = sent("update_run", RUN, body={}), sent("retry_run", RUN), sent("get_run", RUN)
    first, second = sent("delete_run", RUN), sent("delete_run", RUN)

    after = summary_of("a", "b", [update, read], concurrent=[(update, retry, first)])
    beside = summary_of("a", "b", [read], concurrent=[(update, read)])
    twice = summary_of("a", "b", [first, second], concurrent=[(update, retry), (first, second)])

    patch, at_once = "PATCH /v1/runs/0b0e1234… with {}", "requests at the same moment"
    assert after == f"GET /v1/runs/0b0e1234… after {patch} (one of 3 {at_once}): b; expected a"
    assert beside == f"GET /v1/runs/0b0e1234… (one of 2 {at_once}): b; expected a"
    assert twice == "DELETE /v1/runs/0b0e1234…, sent 2 times at the same moment: b; expected a"


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"workflow_id": RUN, "count": 1}, {"workflow_id": WORKFLOW, "count": 1}, "workflow_id"),
        ({"sensitive_input_values": {"a": "b"}}, {"sensitive_input_values": {"a": "c"}}, "sensitive_input_values"),
        ([1], [1.0, 2], ""),
    ],
)
def test_two_requests_that_differ_only_in_what_is_left_out_do_not_read_the_same(
    one: Any, other: Any, words: str
) -> None:
    first, second = (sent("bulk_create_runs", body=body, key="k") for body in (one, other))

    said = summary_of("a", "b", [first, second])

    assert (f" after the same with another {words}: b; expected a" in said) == bool(words)


@pytest.mark.parametrize(("path", "shown"), [("/v1/runs/%C3%A9", "/v1/runs/é"), ("/v1/runs/%FF", "/v1/runs/%FF")])
def test_a_path_is_decoded_where_that_can_be_read(path: str, shown: str) -> None:
    assert request_in_words(Request("GET", path, (("Authorization", TOKEN),))) == f"GET {shown}"


def test_a_summary_without_exchanges_says_what_was_found() -> None:
    assert summary_of("a success", "500", []) == "500; expected a success"


def test_ids_are_shortened_unless_two_of_them_begin_alike() -> None:
    assert shorten_ids([f"run {RUN}", f"session {WORKFLOW}"]) == ["run 0b0e1234…", "session 10000000…"]
    assert shorten_ids([f"run {RUN}", f"run {ALIKE}"]) == [f"run {RUN}", f"run {ALIKE}"]
    assert shorten_ids([f"run {RUN}, not {RUN.upper()}"]) == [f"run {RUN}, not {RUN.upper()}"]


@pytest.mark.parametrize(
    ("exchanges", "words"),
    [
        (
            [sent("update_run", RUN, body={"error": ["x"]}), sent("get_run", RUN)],
            f'GET /v1/runs/{RUN} after PATCH /v1/runs/{RUN} with {{"error": ["x"]}}',
        ),
        ([sent("get_run", RUN), sent("list_runs")], "GET /v1/runs"),
        (
            [sent("delete_run", RUN), sent("delete_run", RUN)],
            f"DELETE /v1/runs/{RUN} again",
        ),
        ([sent("delete_run", RUN)] * 3, f"DELETE /v1/runs/{RUN}, sent 3 times"),
        (
            [
                sent("create_run", body={"workflow_id": WORKFLOW}, key="k"),
                sent("delete_run", RUN),
                sent("create_run", body={"workflow_id": WORKFLOW, "session_alias": "a"}, key="k"),
            ],
            'POST /v1/runs with Idempotency-Key k with {"session_alias": "a"} '
            "after POST /v1/runs with Idempotency-Key k",
        ),
        (
            [
                sent("retry_run", RUN),
                sent("update_run", RUN, body={"status": "error"}),
                sent("retry_run", RUN, body={}),
            ],
            f'the second POST /v1/runs/{RUN}/retry after PATCH /v1/runs/{RUN} with {{"status": "error"}}',
        ),
        (
            [sent("create_run", body={}), sent("delete_run", RUN), sent("create_run", body={"session_alias": "a"})],
            f'POST /v1/runs with {{"session_alias": "a"}} after DELETE /v1/runs/{RUN}',
        ),
    ],
)
def test_the_request_before_it_that_matters_is_named(exchanges: list[Exchange], words: str) -> None:
    assert summary_of("a", "b", exchanges) == shorten_ids([f"{words}: b; expected a"])[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"workflow_id": WORKFLOW}, ""),
        ({"workflow_id": WORKFLOW, "count": 501}, ' with {"count": 501}'),
        ({"workflow_id": "x", "count": 1}, ' with {"workflow_id": "x", "count": 1}'),
        (
            {"workflow_id": WORKFLOW, "input_values": {"a": "x" * 1000}},
            ' with {"input_values": {"a": "%s…" (1,000 characters)}}' % ("x" * 20),
        ),
        ({"pool_ids": [1, 2, 3, 4, 5]}, ' with {"pool_ids": [1, 2, …] (5 items)}'),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, ' with {"a": 1, "b": 2, …} (4 members)'),
        ({"error": "\u00a0"}, ' with {"error": "\\u00a0"}'),
        ([], " with []"),
        (None, " with null"),
        (UNREAD, ""),
    ],
)
def test_a_body_is_shown_without_what_every_body_has(body: Any, words: str) -> None:
    assert request_in_words(request_for("create_run", body=body)) == f"POST /v1/runs{words}"


@pytest.mark.parametrize("secret", ["tOpSeCrEt", 12345678, ["tOpSeCrEt"], {"password": "tOpSeCrEt"}])
def test_a_sensitive_value_is_never_shown(secret: Any) -> None:
    body = {"steps": [{"sensitive_inputs": secret}], "shared_sensitive_inputs": secret}

    words = request_in_words(request_for("create_run_chain", body=body))

    assert "tOpSeCrEt" not in words
    assert "12345678" not in words


def test_a_body_that_is_nested_deeply_is_cut() -> None:
    body: Any = 1
    for _ in range(200):
        body = {"a": [body]}

    words = request_in_words(request_for("create_run", body=body))

    assert words == 'POST /v1/runs with {"a": [{"a": [{…}]}]}'


def test_a_body_that_is_not_json_is_counted() -> None:
    request = Request("POST", "/v1/runs", (("Authorization", TOKEN), ("Content-Type", "text/plain")), b'{"a":')

    assert request_in_words(request) == (
        "POST /v1/runs with Content-Type text/plain with a body of 5 bytes that is not JSON"
    )


def test_it_says_who_sent_the_request() -> None:
    def words(*headers: tuple[str, str]) -> str:
        return request_in_words(Request("GET", "/v1/runs", headers, None))

    assert words(("Authorization", TOKEN)) == "GET /v1/runs"
    assert words(("Authorization", SECOND_TOKEN)) == "GET /v1/runs as the other organisation"
    assert words() == "GET /v1/runs without a token"
    assert words(("authorization", "Basic x")) == 'GET /v1/runs with Authorization "Basic x"'


def test_a_summary_is_short_whatever_was_sent() -> None:
    body = {f"key{n}" * 50: {"text" * 100: ["y" * 1000] * 50} for n in range(50)}
    request = Request(
        "POST", "/v1/runs?" + "&".join(["search=" + "z" * 100] * 50), (("Authorization", TOKEN),), encode(body)
    )

    assert len(request_in_words(request)) < 500


START = datetime(2026, 11, 26, tzinfo=UTC)


def at_second(seconds: float, exchange: Exchange) -> Exchange:
    answer = dataclasses.replace(exchange.answer, received_at=START + timedelta(seconds=seconds))
    return Exchange(exchange.request, answer)


def said_of(seconds: float, others: int, *, forgotten: int = 0) -> str:
    created, read = at_second(0, sent("create_run")), at_second(seconds, sent("get_run", RUN))
    between = [at_second(seconds * (n + 1) / (others + 1), sent("list_runs")) for n in range(others)]
    recorded = [created, *between, read][forgotten:]
    return summary_of("200", "404", [created, read], recorded=recorded).removesuffix(": 404; expected 200")


@pytest.mark.parametrize(
    ("seconds", "others", "words"),
    [
        (41.2, 1204, ", 41 s and 1,204 requests after"),
        (5, 100, ", 5 s and 100 requests after"),
        (4.9, 1204, " after"),
        (600, 99, " after"),
    ],
)
def test_a_summary_says_how_long_before_the_request_an_earlier_one_was_sent(
    seconds: float, others: int, words: str
) -> None:
    assert said_of(seconds, others) == f"GET /v1/runs/0b0e1234…{words} POST /v1/runs"


def test_requests_that_are_no_longer_recorded_are_not_counted() -> None:
    assert ", 41 s and at least 999 requests after" in said_of(41, 1000, forgotten=2)


def test_a_repeated_request_says_how_much_later_it_was_sent() -> None:
    first, again = at_second(0, sent("create_run", key="k")), at_second(60, sent("create_run", key="k"))
    recorded = [first, *(at_second(n % 60 + 0.5, sent("list_runs")) for n in range(300)), again]

    said = summary_of("a", "b", [first, again], recorded=recorded)

    assert said == "POST /v1/runs with Idempotency-Key k again, 60 s and 300 requests later: b; expected a"


def test_the_commands_of_requests_at_the_same_moment_have_a_note() -> None:
    create, one, two, three = (sent("delete_run", RUN) for _ in range(4))

    def note(*concurrent: tuple[Exchange, ...]) -> str:
        return commands_note_of([create, one, two, three], concurrent)

    at_once = "at the same moment: one after the other, they may not show it."
    assert note((one, three)) == f"Send requests 2 and 4 {at_once}"
    assert note((one, two, three)) == f"Send requests 2 to 4 {at_once}"
    assert note((create, one, three)) == f"Send requests 1, 2 and 4 {at_once}"
    assert note((two, sent("delete_run", RUN))) == (
        "Request 3 was sent at the same moment as 1 other: alone, it may not show it."
    )
    assert note((sent("delete_run", RUN), sent("delete_run", RUN))) == note() == ""


def test_the_write_of_the_run_that_a_list_shows_wrongly_is_named() -> None:
    create = dataclasses.replace(
        sent("bulk_create_runs", body={"workflow_id": WORKFLOW, "count": 1}), answer=Answer(201, (), RUN.encode())
    )
    exchanges = [create, sent("delete_run", ALIKE), sent("list_runs", query=[("search", "x")])]

    said = summary_of("only runs that match", f"run {RUN}, which does not match search", exchanges)

    assert said.startswith('GET /v1/runs?search=x after POST /v1/runs/bulk with {"count": 1}: run 0b0e1234…, which')


def test_the_write_that_gives_the_wrong_field_is_named_too() -> None:
    def answered(status: int, *request: Any, **more: Any) -> Exchange:
        return dataclasses.replace(sent(*request, **more), answer=Answer(status, (), b'{"error": ["new"]}'))

    def said(*exchanges: Exchange, field: str = "error") -> str:
        return summary_of("a", "b", exchanges, field=field).removesuffix(": b; expected a")

    given = answered(200, "update_run", RUN, body={"error": ["new"]})
    cancelled = answered(200, "update_run", RUN, body={"status": "cancelled"})
    refused = answered(404, "update_run", RUN, body={"error": ["new"]})
    refused_otherwise = answered(404, "update_run", RUN, body={"error": ["other"]})
    deleted, read = answered(404, "delete_run", RUN), answered(200, "get_run", RUN)
    retried = answered(200, "retry_run", RUN, body={"error": []})
    update, then = f'PATCH /v1/runs/{RUN} with {{"error": ["new"]}}', f'PATCH /v1/runs/{RUN} with {{"status"'
    update, then = shorten_ids([update])[0], shorten_ids([then])[0]

    assert said(given, cancelled, read).endswith(f'after {update}, then {then}: "cancelled"}}')
    assert said(given, cancelled, read, field="status").endswith(f'after {then}: "cancelled"}}')
    assert said(given, cancelled, retried).endswith(f'after {then}: "cancelled"}}')
    assert said(given, cancelled, sent("list_runs")).endswith(f'after {then}: "cancelled"}}')
    assert said(given, cancelled, sent("retry_run", RUN, key="k")).endswith(f'after {then}: "cancelled"}}')
    assert said(refused, deleted, read).endswith(f"after {update}")
    assert said(refused_otherwise, deleted, read).endswith(f"after DELETE /v1/runs/{RUN[:8]}…")


def test_the_time_is_counted_from_the_write_that_is_named() -> None:
    answer = Answer(404, (), b'{"error": ["new"]}')
    refused = at_second(0, dataclasses.replace(sent("update_run", RUN, body={"error": ["new"]}), answer=answer))
    deleted = at_second(40, sent("delete_run", RUN))
    read = at_second(41, dataclasses.replace(sent("get_run", RUN), answer=answer))
    between = [at_second(n / 10 + 0.05, sent("list_runs")) for n in range(400)]

    said = summary_of("a", "b", [refused, deleted, read], recorded=[refused, *between, deleted, read], field="error")

    assert ", 41 s and 401 requests after PATCH" in said
