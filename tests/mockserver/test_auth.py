"""Who is let in, and as whom."""

from __future__ import annotations

import re

import pytest

from mockserver import organisations
from mockserver.errors import Unauthorized
from mockserver.organisations import Organisations
from mockserver.settings import Token
from tests.mockserver.inprocess import Mock, unknown_id


def test_every_operation_but_the_health_check_wants_a_token():
    mock = Mock()
    for operation in mock.app.operations.values():
        path = re.sub(r"\{\w+\}", unknown_id(), operation.path)
        answer = mock.request(operation.method, path, token=None)
        if operation.operation_id == "health_check":
            assert answer.status_code == 200
        else:
            assert answer.status_code == 401, operation.operation_id
            assert answer.headers["www-authenticate"] == "Bearer"
            assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer    ",
        "test-one",
        "Basic dGVzdDo=",
        "Token test-one",
        "Bearertest",
        "Bearer\ttest",
    ],
)
def test_a_header_that_is_no_bearer_token_is_refused(header: str):
    answer = Mock().get("/v1/runs", token=None, headers={"Authorization": header})
    assert answer.status_code == 401
    assert "Bearer <token>" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Bearer test", "bearer test", "BEARER test", "Bearer  test", "Bearer test "])
def test_the_scheme_is_read_in_any_case_and_spaces_around_the_token_do_not_count(header: str):
    assert Organisations(()).from_header(header.encode()) == Organisations(()).from_header(b"Bearer test")


@pytest.mark.parametrize("token", ["ak_real_looking", "Test-one", "xtest"])
def test_a_real_key_is_refused_and_not_repeated(token: str):
    answer = Mock().get("/v1/runs", token=token)
    assert answer.status_code == 401
    assert "no real key should be sent to it" in answer.json()["detail"]
    assert token not in answer.text


def test_each_token_is_an_organisation_which_does_not_show_it():
    mock = Mock()
    ours, theirs = mock.create(), mock.create(token="test-two-is-long-enough")
    assert ours["organization_id"] != theirs["organization_id"]
    assert "two" not in theirs["organization_id"]
    assert Mock().create()["organization_id"] == ours["organization_id"]


def test_no_organisation_sees_anothers_runs():
    mock = Mock()
    run = mock.create()
    path = f"/v1/runs/{run['id']}"
    assert mock.get(path, token="test-two").status_code == 404
    assert mock.delete(path, token="test-two").status_code == 404
    assert mock.patch(path, {"status": "cancelled"}, token="test-two").status_code == 404
    assert mock.get("/v1/runs", token="test-two").json()["total"] == 0
    assert mock.read(run["id"]) == run


def test_where_tokens_are_given_only_they_are_let_in_as_the_organisation_named():
    tokens = (Token.from_text("one=acme"), Token.from_text("two=acme"), Token.from_text("three"))
    guarded = Organisations(tokens)
    assert guarded.from_header(b"Bearer one") == guarded.from_header(b"Bearer two") == "acme"
    assert guarded.from_header(b"Bearer three") == Organisations((Token(None, "three"),)).from_header(b"Bearer three")
    for refused in (b"Bearer test", b"Bearer on", b"Bearer one=acme", b"Bearer \xff"):
        with pytest.raises(Unauthorized, match="accepts only the tokens given with --token"):
            guarded.from_header(refused)


def test_a_token_does_not_show_where_settings_are_printed():
    assert "hunter2" not in repr(Token.from_text("hunter2=acme"))


@pytest.mark.parametrize("text", ["", "=acme", " a", "a ", "\ta=b"])
def test_a_token_that_cannot_be_one_is_refused(text: str):
    with pytest.raises(ValueError, match="write TOKEN or TOKEN=ORG"):
        Token.from_text(text)


def test_what_is_remembered_of_headers_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(organisations, "_REMEMBERED", 2)
    let_in = Organisations(())
    seen = [let_in.from_header(b"Bearer test%d" % (number % 5)) for number in range(20)]
    assert len(set(seen)) == 5
    assert seen[:5] * 4 == seen
    assert len(let_in._remembered) <= 2
