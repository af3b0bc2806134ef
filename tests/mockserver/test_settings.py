"""Settings made in Python are read as those of the command line are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mockserver import Limits, MockServer, Settings, StartError
from mockserver.settings import RateLimit, Token


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"progression": "imediate"}, "progression: 'imediate' is not one of 'time', 'immediate', 'manual'; did you"),
        ({"coercion": None}, "coercion: None is not one of 'strict', 'lax'"),
        ({"rate_limit": "fast"}, "rate_limit: invalid rate 'fast'; use N/s or N/m, such as 10/s"),
        ({"rate_limit": 5}, "rate_limit: should be text or RateLimit, not int"),
        ({"port": 65536}, "port: should be from 0 to 65535, not 65536"),
        ({"port": "http"}, "port: 'http' is not a valid integer"),
        ({"port": True}, "port: True is not a valid integer"),
        ({"port": 80.0}, "port: 80.0 is not a valid integer"),
        ({"time_scale": 0}, "time_scale: should be above 0, and 1,000,000 at most, not 0.0"),
        ({"time_scale": float("nan")}, "time_scale: nan is not a valid number"),
        ({"time_scale": 10**400}, "time_scale: 1000"),
        ({"time_scale": "quick"}, "time_scale: 'quick' is not a valid number"),
        ({"max_body": "10 cats"}, "max_body: '10 cats' is not a number of bytes; write 4096, 512KiB or 10MiB"),
        ({"journal_bytes": -1}, "journal_bytes: should be 0 or more, not -1"),
        ({"known_only": "perhaps"}, "known_only: should be true or false, not 'perhaps'"),
        ({"admin": 1}, "admin: should be true or false, not 1"),
        ({"host": None}, "host: should be text, not None"),
        ({"spec": 3}, "spec: should be a path, not 3"),
        ({"world": ""}, "world: should be a path, not ''"),
        ({"cors_origin": ["https://a.example", "b"]}, "cors_origin: invalid origin 'b'"),
        ({"admin_token": ""}, "admin_token: a token is missing"),
        ({"token": ["a=x", "a=y"]}, "--token: a token is given for two organisations"),
        ({"store": "valkey://h:abc"}, "store: invalid store; use memory or valkey://HOST:PORT/0"),
        ({"store": "valkey://h:65536"}, "store: invalid store; use memory or valkey://HOST:PORT/0"),
        ({"limits": 3}, "limits: should be Limits, not int"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_the_setting_and_what_would_be_right(given: dict, said: str):
    with pytest.raises(StartError) as refused:
        Settings(**given)
    assert str(refused.value).startswith(said)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30.0), ("30s", 30.0), ("0.5", 0.5), ("500ms", 0.5), ("1m30s", 90.0), ("1e3", 1000.0)]
)
def test_a_time_to_wait_is_a_number_of_seconds_or_a_duration(text: str, seconds: float):
    assert Limits(head_timeout=text).head_timeout == seconds


def test_a_time_in_whole_seconds_may_be_a_duration_too():
    assert [Limits(shutdown_grace=text).shutdown_grace for text in ("3", "3s", "1m")] == [3, 3, 60]


def test_a_wrong_limit_is_refused_too():
    with pytest.raises(StartError, match="max_connections: should be 1 or more, not -1"):
        Limits(max_connections=-1)
    with pytest.raises(StartError, match="max_violations: should be 1 or more, not 0"):
        Limits(max_violations=0)
    with pytest.raises(StartError, match="head_timeout: inf is not a valid number"):
        Limits(head_timeout=float("inf"))


@pytest.mark.parametrize(
    "name",
    [
        "max_connections",
        "max_target_bytes",
        "max_header_bytes",
        "max_nesting",
        "max_values",
        "max_spaces",
        "head_timeout",
        "body_timeout",
        "send_timeout",
    ],
)
def test_a_limit_that_would_let_nothing_be_answered_is_refused(name: str):
    with pytest.raises(StartError, match=f"{name}: should be (1 or more|2 or more|above 0), not 0"):
        Limits(**{name: 0})


def test_a_refusal_never_shows_a_token():
    for given in ({"token": " secret"}, {"token": [b"secret"]}, {"admin_token": "sec ret"}, {"admin_token": b"secret"}):
        with pytest.raises(StartError) as refused:
            Settings(**given)
        assert "sec" not in str(refused.value)


def test_no_secret_is_in_the_repr():
    settings = Settings(admin_token="secret", token=("secret=org",), store="valkey://:secret@127.0.0.1:1/0")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"rate_limit": "2/s"}, RateLimit(2, 1)),
        ({"rate_limit": RateLimit(3, 60)}, RateLimit(3, 60)),
        ({"rate_limit": None}, None),
        ({"max_body": "10MiB"}, 10 * 1024 * 1024),
        ({"max_body": "1 kb"}, 1000),
        ({"journal_bytes": "0"}, 0),
        ({"port": "0"}, 0),
        ({"time_scale": "2.5"}, 2.5),
        ({"known_only": "yes"}, True),
        ({"admin": "false"}, False),
        ({"world": "world.yaml"}, Path("world.yaml")),
        ({"token": "test-a=org"}, (Token("org", "test-a"),)),
        ({"token": ["a", Token("o", "b")]}, (Token(None, "a"), Token("o", "b"))),
        ({"allowed_host": ["Mock.Example"]}, ("mock.example",)),
    ],
)
def test_what_the_command_line_takes_is_taken_as_text(given: dict, read: object):
    ((name, _),) = given.items()
    assert getattr(Settings(**given), name) == read


def test_the_defaults_are_what_they_say():
    assert Settings() == Settings(port="4010", max_body="32MiB", time_scale="1", token=[])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Settings(**{"progresion": "manual"}), "Settings has no 'progresion': did you mean 'progression'?"),
        (
            lambda: Settings(**{"max_connections": 3}),
            "'max_connections' is one of the limits: write limits=Limits(max_connections=...)",
        ),
        (lambda: Settings(**{"zzz": 3}), "Settings has no 'zzz': there are host, port, "),
        (lambda: Limits(**{"max_conections": 3}), "Limits has no 'max_conections': did you mean 'max_connections'?"),
        (lambda: MockServer(progresion="manual"), "did you mean 'progression'?"),
        (lambda: MockServer(Settings(), progresion="manual"), "did you mean 'progression'?"),
    ],
)
def test_a_name_that_is_no_setting_is_told_with_the_one_that_may_be_meant(make: Callable[[], object], words: str):
    with pytest.raises(TypeError, match=re.escape(words)):
        make()


def test_limits_may_be_a_mapping_as_in_an_ini_file():
    given: dict[str, Any] = {"limits": {"max_connections": 3}}
    assert Settings(**given) == Settings(limits=Limits(max_connections=3))
