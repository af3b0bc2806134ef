"""No token and no sensitive value in anything that a report shows."""

import base64
import dataclasses
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.core.findings import CheckResult, Finding, Reproduction, RuleResult, Spent
from contracts.core.secret_matcher import SecretMatcher
from contracts.oracle.violation import excerpt
from contracts.report import FORMATS, Report
from contracts.report.masking import Mask
from contracts.report.text import render_text

SECRET = 'kq8Zt3-ünter/"quote" \'n %41'


def create(body, path="/v1/runs/bulk"):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", path, (("Authorization", TOKEN),), raw)


def masked(request: Request) -> Request:
    mask = Mask()
    mask.learn([request])
    return mask.request(request)


@pytest.mark.parametrize(
    "body",
    [
        {"sensitive_input_values": {"password": SECRET}},
        {"sensitive_input_values": {"login": [{"deep": {"deeper": [SECRET]}}]}},
        {"sensitive_input_values": SECRET},
        {"sensitive_input_values": [SECRET]},
        {"steps": [{"workflow_id": "x"}, {"sensitive_inputs": {"a": SECRET}}]},
        {"shared_sensitive_inputs": {"a": SECRET}, "steps": []},
        {"SENSITIVE_INPUT_VALUES": {"a": SECRET}},
        {"sensitive-inputs2": {"a": SECRET}},
        {"sensitive_input_values": {"a": SECRET}, "input_values": {"a": f"and here: {SECRET}"}},
    ],
)
def test_a_value_under_a_sensitive_key_is_masked_everywhere(body):
    sent = masked(create(body))
    assert SECRET not in str(sent.json())
    assert "kq8Zt3" not in sent.body.decode()
    assert "masked-1" in sent.body.decode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"sensitive_input_values": {"a": "kq8Zt3',
        b'{"sensitive_input_values": {"a": kq8Zt3}, "count": 1}',
        b'\xff{"sensitive_input_values": {"a": "kq8Zt3 \xff',
        b'{"sensitive_input_values": ' + b"[" * 100_000 + b'"kq8Zt3"',
    ],
    ids=["cut", "bare word", "undecodable", "too deep"],
)
def test_a_body_that_is_not_json_is_cut_at_its_sensitive_value(body):
    sent = masked(create(body)).body
    assert b"kq8Zt3" not in sent
    assert sent.endswith(b'"(cut: a sensitive value stood here)"')


@pytest.mark.parametrize(
    "body",
    [
        b'{"sensitive_input_values": {"a": "kq8Zt3wXhPqYbVnM"}, "workflow_id": }',
        b'{"sensitive_input_values": {"a": "kq8Zt3wXhPqYbVnM',
        b'{"sensitive_input_values": {"a": kq8Zt3wXhPqYbVnM}',
    ],
)
def test_a_quote_of_a_body_that_is_not_json_is_masked(body):
    mask = Mask()
    mask.learn([create(body)])
    quoted = json.dumps({"detail": f"not JSON: {body.decode()}", "workflow_id": "kept"}).encode()
    shown = mask.answer(Answer(400, (), quoted)).json()
    assert "kq8Zt3" not in shown["detail"]
    assert shown["workflow_id"] == "kept"


def test_everything_but_the_value_stays_byte_for_byte():
    body = b'{ "count":1.0, "sensitive_input_values" : {"a": "0123456789abcdef"},"x":1e2, "x":"\\u00e9" }\n'
    assert masked(create(body)).body == body.replace(b"0123456789abcdef", b"masked-1xxxxxxxx")


def test_a_body_without_sensitive_values_is_not_touched():
    body = b'{"count": 1, "sensitive_input_values": null, "input_values": {"a": "\xc3\xa9"}}'
    assert masked(create(body)).body == body


def test_the_types_of_masked_values_stay():
    values = {
        "text": "abcdefghijkl",
        "number": 123456,
        "float": 1.5,
        "yes": True,
        "none": None,
        "empty": "",
        "list": [],
    }
    sent = masked(create({"sensitive_input_values": values})).json()["sensitive_input_values"]
    assert {key: type(value) for key, value in sent.items()} == {
        "text": str, "number": int, "float": int, "yes": bool, "none": type(None), "empty": str, "list": list,
    }  # fmt: skip
    assert len(sent["text"]) == len(values["text"])
    assert sent["number"] == 0


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        quote(SECRET, safe=""),
        f"xx{SECRET}xx",
    ],
)
def test_a_leak_is_shown_where_it_is_but_not_what_it_is(written):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"a": SECRET}})])
    answer = mask.answer(Answer(422, (("X-Echo", "none"),), f'{{"detail": "{written}"}}'.encode()))
    assert "kq8Zt3" not in answer.body.decode()
    assert "masked-1" in answer.body.decode()
    assert "kq8Zt3" not in mask.text(f"the secret {written} in a list")


LONG = "kq8Zt3wXhPqYbVnM0001sDfGjKlRtWcB"


@pytest.mark.parametrize(
    "leaked",
    [
        LONG.upper(),
        LONG.lower(),
        LONG.capitalize(),
        LONG[::-1],
        LONG.encode().hex(),
        *(base64.b64encode(b"x" * shift + LONG.encode()).decode() for shift in range(4)),
        LONG[:14] + "****",
        "****" + LONG[-14:],
        LONG[:20],
        LONG[5:],
        LONG[4:-4],
        f"a{LONG[9:26]}b",
    ],
)
def test_a_changed_leak_and_a_part_of_one_are_masked_too(leaked):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"a": LONG, "b": LONG[:14] + "0002" + LONG[18:]}})])
    shown = mask.answer(Answer(200, (), json.dumps({"a": leaked, "b": f"and {leaked}"}).encode())).body.decode()
    assert "masked-" in shown
    assert not any(leaked[at : at + 11] in shown for at in range(4, len(leaked) - 15))
    assert list(json.loads(shown)) == ["a", "b"]


def test_a_part_that_secrets_have_in_common_is_masked_with_all_that_follows():
    first, second = ("qrxkcsbnmhwvtz0001vtncznnrfwbdgh", "qrxkcsbnmhwvtz0002vtncznnrfwbdgh")
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"a": first, "b": second}})])
    assert mask.text(f"search={second[4:-4]}&limit=1") == f"search=masked-2{'x' * 24}&limit=1"


def test_a_short_secret_that_is_a_name_too_leaves_names_as_they_are_and_a_long_one_does_not():
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"login": "more", "more": LONG}})])
    body = f'{{"sensitive_input_aliases": {{"more" : "alias", "{LONG}": "more"}}}}'
    assert mask.answer(Answer(201, (), body.encode())).json() == {
        "sensitive_input_aliases": {"more": "alias", f"masked-2{'x' * 24}": "masked-1"}
    }


def test_a_leaked_number_is_masked_as_a_whole_number_only():
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"pin": 482913}})])
    answer = mask.answer(
        Answer(201, (), b'{"a": 482913, "b": 1482913, "c": 482913.5, "d": "482913", "e": "no 482913"}')
    )
    assert json.loads(answer.body) == {
        "a": "masked-1",
        "b": 1482913,
        "c": 482913.5,
        "d": "masked-1",
        "e": "no masked-1",
    }


def test_a_sensitive_number_that_is_sent_elsewhere_too_is_a_number_there():
    body = {"sensitive_input_values": {"pin": 482913}, "input_values": {"pin": 482913, "pins": [482913]}}
    assert masked(create(body)).json() == {
        "sensitive_input_values": {"pin": 0},
        "input_values": {"pin": 0, "pins": [0]},
    }


def test_values_under_a_sensitive_key_of_an_answer_are_masked_even_if_short():
    mask = Mask()
    answer = mask.answer(Answer(422, (), b'{"detail": [{"input": {"sensitive_input_values": {"a": "b", "n": 7}}}]}'))
    assert json.loads(answer.body)["detail"][0]["input"] == {
        "sensitive_input_values": {"a": "masked-1", "n": "masked-2"}
    }


def test_aliases_are_not_secret():
    body = b'{"sensitive_input_aliases": {"password": "alias-77"}}'
    assert Mask().answer(Answer(201, (), body)).body == body


def test_a_secret_searched_for_is_masked_in_the_path():
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"a": SECRET}})])
    request = mask.request(Request("GET", f"/v1/runs?search={quote(SECRET, safe='')}"))
    assert "kq8Zt3" not in request.path
    assert "masked-1" in request.path


def test_masking_again_changes_nothing():
    mask = Mask()
    once = masked(create({"sensitive_input_values": {"a": SECRET}}))
    mask.learn([once])
    assert mask.request(masked(once)) == once


@given(st.text(min_size=4, max_size=40), st.text(max_size=30))
def test_no_text_of_telling_length_stays_readable(secret, around):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"a": secret}})])
    request = mask.request(create({"sensitive_input_values": {"a": secret}, "input_values": {"b": around + secret}}))
    sent = request.json()
    assert sent["sensitive_input_values"]["a"] != secret or secret in ("masked-1",)
    assert not sent["input_values"]["b"].endswith(secret) or "masked-1".endswith(secret)


def test_no_format_shows_a_secret_or_a_token():
    token = "test-token-of-a"
    leak = Exchange(
        create({"workflow_id": "x", "count": 1, "sensitive_input_values": {"password": SECRET}}),
        Answer(422, (("X-Trace", token),), json.dumps({"detail": [{"input": SECRET, "token": token}]}).encode()),
    )
    search = Exchange(Request("GET", f"/v1/runs?search={quote(SECRET)}"), Answer(200, (), b"{}"))
    finding = Finding("SECRET-LEAK", "in a 422", f"no {SECRET!r}", f"{SECRET} with {token}", (leak, search))
    result = CheckResult(
        target="http://127.0.0.1:4010",
        seed=1,
        verdict="failed",
        rules=(RuleResult("SECRET-LEAK", "failed", f"{SECRET} was shown"),),
        findings=(finding,),
        unstable=(dataclasses.replace(finding, cause="unstable"),),
        baselined=(dataclasses.replace(finding, cause="accepted"),),
        spent=Spent(1, 1, 0, 1.0),
        notes=(f"a note with {SECRET}",),
    )
    report = Report(result=result, exchanges=(leak, search), failed_by=(SECRET,)).masked(Mask({token: "$TOKEN"}))
    for render in (*FORMATS.values(), render_text):
        text = render(report)
        assert "kq8Zt3" not in text
        assert token not in text
        assert "masked-1" in text


@pytest.mark.parametrize("length", range(30, 60))
def test_a_secret_that_an_excerpt_cuts_off_is_masked(length):
    leak = Exchange(create({"sensitive_input_values": {"a": SECRET}}), Answer(422, (), json.dumps([SECRET]).encode()))
    told = '{"detail": "this is wrong": ' + json.dumps(SECRET)
    got = f"{excerpt(told, length)} in the answer"
    mask = Mask()
    mask.learn([leak.request])
    shown = mask.finding(Finding("SECRET-LEAK", "in a 422", "no secret", got, (leak,))).got
    assert "kq8Z" not in shown
    assert shown.endswith(" in the answer")


@pytest.mark.parametrize("shown", ["8134567890123456512", "8.134567890123457e+18", "8134567890123456512.0"])
def test_a_number_is_masked_however_it_is_written(shown):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"pin": 8134567890123456512}})])
    assert mask.answer(Answer(200, (), b'{"a": %s}' % shown.encode())).json()["a"].startswith("masked-1")


@pytest.mark.parametrize("shown", [r"p&ss<w/rd-long", r"p&ss<w\/rd-long", "p&amp;ss&lt;w/rd-long"])
def test_a_secret_with_escapes_of_another_json_encoder_is_masked(shown):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"password": "p&ss<w/rd-long"}})])
    body = b'{"detail": "%s"}' % shown.encode()
    assert "rd-long" not in mask.answer(Answer(422, (), body)).body.decode()
    assert "rd-long" not in mask.text(body.decode())


def test_the_beginning_of_a_long_secret_is_masked():
    key = "-----BEGIN KEY-----" + "".join(f"{index:04d}kq8Zt3wXhPqYbVnM" for index in range(100))
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"key": key}})])
    assert "kq8Z" not in mask.text(f"422 {key[:100]}…")


def test_a_very_short_token_is_masked_after_bearer_only():
    mask = Mask({"test": "$TOKEN", "other": "$SECOND_TOKEN"})
    assert (
        mask.text("Bearer test: test, Bearer other: other")
        == "Bearer $TOKEN: test, Bearer $SECOND_TOKEN: $SECOND_TOKEN"
    )


def test_a_secret_of_one_exchange_is_masked_in_all_others():
    create_it = Exchange(create({"sensitive_input_values": {"a": SECRET}}), Answer(201, (), b"{}"))
    list_it = Exchange(Request("GET", "/v1/runs"), Answer(200, (), json.dumps({"items": [SECRET]}).encode()))
    result = CheckResult("http://x", 0, "passed", (), (), Spent(2, 1, 0, 0.1))
    report = Report(result=result, exchanges=(list_it, create_it)).masked(Mask())
    assert "kq8Zt3" not in FORMATS["har"](report)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("answer", ['"pässwörd-geheim"', "error: pässwörd-geheim"])
def test_a_secret_in_an_answer_that_is_not_utf_8_is_masked_and_the_rest_stays(encoding, answer):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"password": "pässwörd-geheim"}})])

    body = mask.answer(Answer(500, (), b"\xff \xc3( " + answer.encode(encoding))).body

    assert b"geheim" not in body
    assert body.startswith(b"\xff \xc3( ")


def test_the_cases_of_a_finding_are_masked_and_keep_their_placeholders():
    case = {
        "$type": "contracts.engine.request_case.RequestCase",
        "json": {
            "sensitive_input_values": {
                "a": "tr0ub4dor&3-and-more",
                "b": "«secret:1»",
                "c": 5,
                "d": None,
                "$e": {"$unread": True},
            },
            "input_values": {"copied": "tr0ub4dor&3-and-more", "tr0ub4dor&3-and-more": "other", "b": "«secret:1»"},
        },
    }
    request = Request("POST", "/v1/runs", (), json.dumps(case["json"]).encode())
    finding = Finding("R", "c", "e", "g", (Exchange(request, Answer(201, (), b"{}")),))
    finding = dataclasses.replace(
        finding,
        reproductions=(Reproduction("alone", json.dumps(case), (Reproduction("beside", json.dumps(case)),)),),
    )
    mask = Mask()
    mask.learn([request])
    [masked] = mask.finding(finding).reproductions
    assert "tr0ub4dor" not in repr(masked)
    assert masked.beside == (Reproduction("beside", masked.case),)
    assert masked.scenario == "alone"
    shown = json.loads(masked.case)
    assert shown["$type"] == case["$type"]
    sensitive, plain = shown["json"]["sensitive_input_values"], shown["json"]["input_values"]
    assert sensitive == {"a": plain["copied"], "b": "«secret:1»", "c": 0, "d": None, "$e": {"$unread": True}}
    assert plain == {"copied": "masked-1xxxxxxxxxxxx", "masked-1xxxxxxxxxxxx": "other", "b": "«secret:1»"}


ORDINARY = {"a": "null", "b": 8000, "c": "runs", "d": "alias", "e": 1234, "f": "localhost", "g": "json"}


def test_the_words_numbers_and_commands_of_the_suite_are_not_masked_though_they_were_sent_as_secrets_too():
    url = "http://localhost:8000"
    body = {"workflow_id": "x", "sensitive_input_values": ORDINARY}
    headers = (("Content-Type", "application/json"), ("Authorization", TOKEN))
    create_it = Exchange(
        Request("POST", "/v1/runs?limit=8000", headers, json.dumps(body).encode()), Answer(201, (), b"{}")
    )
    notes = (
        "Not tried: null, empty and absent (0 of 1234 cases)",
        f"1234 runs are left: `contracts cleanup {url}` deletes them.",
        "GET /v1/runs?limit=8000&search=null was refused",
    )
    words = "201 with 1234 runs, not null"
    finding = Finding("R", "c", words, words, (create_it,), summary=f"GET /v1/runs?limit=8000: {words}")
    rules = (RuleResult("R", "failed", f"expected {words}, got {words}"),)
    result = CheckResult(url, 0, "failed", rules, (finding,), Spent(1, 1, 0, 0.1), notes=notes)
    shown = Report(result=result, exchanges=(create_it,), failed_by=notes).masked(Mask(url=url))
    searched = notes[2].replace("search=null", "search=masked-1")
    assert shown.result.notes == shown.failed_by == (*notes[:2], searched)
    assert shown.result.rules == rules
    assert shown.result.target == url
    [one] = shown.result.findings
    assert (one.expected, one.got, one.summary) == (finding.expected, finding.got, finding.summary)
    assert one.exchanges[0].request.path == "/v1/runs?limit=8000"
    assert one.exchanges[0].request.headers == headers
    assert "null" not in one.exchanges[0].request.body.decode()


@pytest.mark.parametrize(
    "excerpt",
    ['422 {"detail": "pin 482913 of runs"}', '"482913" for runs', "{'a': 482913", "500 wrong pin 482913", "[482913, …"],
)
def test_a_short_secret_is_masked_in_excerpts(excerpt):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"pin": 482913, "pet": "rex7"}})])
    shown = mask.words(f"expected 201, got {excerpt}")
    assert "482913" not in shown
    assert "masked-1" in shown
    assert "rex7" not in mask.words(f"expected 201, got {excerpt.replace('482913', 'rex7')}")


def test_the_secrets_of_other_exchanges_do_not_change_a_finding():
    other = Exchange(
        create({"sensitive_input_values": {"a": "a word of the answer", "b": 1001}}), Answer(201, (), b"{}")
    )
    found = Exchange(create({"count": 1001}), Answer(201, (), b'{"detail": "a word of the answer"}'))
    finding = Finding("R", "c", "422", '201 {"detail": "a word of the answer"}', (found,))
    result = CheckResult("http://x", 0, "failed", (), (finding,), Spent(1, 1, 0, 0.1))
    shown = Report(result=result, exchanges=(other, found)).masked(Mask())
    assert shown.result.findings == (finding,)
    assert not shown.has_masked
    assert "a word of" not in FORMATS["har"](shown)


def test_the_type_and_the_path_of_a_case_are_not_masked():
    request = create({"sensitive_input_values": {"a": "case", "b": "runs"}})
    case = {"$type": "a.case", "path": "/v1/runs", "json": {"a": "case"}}
    finding = Finding("R", "c", "e", "g", (), reproductions=(Reproduction("alone", json.dumps(case)),))
    mask = Mask()
    mask.learn([request])
    [masked] = mask.finding(finding).reproductions
    assert json.loads(masked.case) == {"$type": "a.case", "path": "/v1/runs", "json": {"a": "masked-1"}}


def test_a_body_and_a_long_text_that_occur_many_times_are_masked_once(monkeypatch):
    mask = Mask()
    mask.learn([create({"sensitive_input_values": {"a": SECRET}})])
    searched = []
    original = SecretMatcher.candidates
    monkeypatch.setattr(SecretMatcher, "candidates", lambda self, text: searched.append(text) or original(self, text))
    long = "a text " * 100 + SECRET
    for number in range(20):
        body = json.dumps({"a": long, "number": number % 2}).encode()
        assert b"masked-1" in mask.answer(Answer(200, (), body)).body
    assert searched.count(long) == 1
    assert len(searched) < 10


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_an_answer_grants_is_in_no_report(name):
    """Cookies and signed URLs let anybody in who has them, as long as they are valid."""
    signed = "https://files.example.test/a.txt?X-Amz-Date=20261130&X-Amz-Signature=deadbeef0123&X-Amz-Expires=300"
    body = json.dumps({"url": signed, "other": signed.replace("X-Amz-Signature", "sig")}).replace("&", "\\u0026", 1)
    headers = (("Set-Cookie", "sid=c00kie-value; HttpOnly"), ("Location", signed))
    exchange = Exchange(create({"count": 1}), Answer(200, headers, body.encode()))
    follow = Exchange(Request("GET", signed.removeprefix("https://files.example.test")), Answer(200, (), b""))
    finding = Finding(rule="READ-BACK", cause="c", expected="404", got=f"200 {body}", exchanges=(exchange, follow))
    result = CheckResult("http://x", 0, "failed", (), (finding,), Spent(1, 1, 0, 0.1))
    shown = FORMATS[name](Report(result=result, exchanges=(exchange, follow)).masked(Mask()))
    assert "deadbeef0123" not in shown
    assert "c00kie-value" not in shown
    answer = Mask().answer(exchange.answer)
    assert answer.header("set-cookie") == "sid=masked; HttpOnly"
    assert answer.header("location") == signed.replace("deadbeef0123", "masked")
    assert answer.json()["url"] == signed.replace("deadbeef0123", "masked")
