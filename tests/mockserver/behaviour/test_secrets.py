"""Sensitive values: no answer shows one, and no store keeps one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from mockserver.behaviour.secrets import aliases
from tests.mockserver.inprocess import NEEDS_AN_INVOICE_NUMBER, SUCCEEDS, Mock

_SECRET = "hunter2-that-nobody-may-see"
_KEY = b"k" * 32


@pytest.mark.parametrize("values", [None, {}])
def test_where_there_are_none_there_is_null(values: Any):
    assert aliases(values, key=_KEY, owner="run") == b"null"


def test_an_alias_is_made_without_the_value_and_is_each_owners_and_each_names_own():
    made = aliases({"a": "x"}, key=_KEY, owner="run")
    assert made == aliases({"a": "y"}, key=_KEY, owner="run")
    others = [
        aliases({"b": "x"}, key=_KEY, owner="run"),
        aliases({"a": "x"}, key=_KEY, owner="other"),
        aliases({"a": "x"}, key=b"o" * 32, owner="run"),
    ]
    assert len({text.partition(b":")[2] for text in (made, *others)}) == 4


_REQUESTS = {
    "create": ("/v1/runs", {"workflow_id": SUCCEEDS, "sensitive_input_values": {"pin": _SECRET}}),
    "bulk": ("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": 2, "sensitive_input_values": {"pin": _SECRET}}),
    "chain": (
        "/v1/runs/chain",
        {
            "shared_sensitive_inputs": {"shared": _SECRET},
            "steps": [{"workflow_id": SUCCEEDS, "sensitive_inputs": {"pin": _SECRET}}],
        },
    ),
}


def _everything(mock: Mock) -> str:
    """All that the store keeps, as text."""
    shared = mock.app._shared
    if shared is None:
        return repr([space._units for space in mock.app._store._spaces.values()])
    address = shared.connection.address
    with redis.Redis.from_url(address.url) as client:
        keys = client.keys(f"{address.prefix}*")
        return repr([_READS[client.type(key)](client, key) for key in keys])


_READS: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
}


@pytest.mark.parametrize("way", _REQUESTS)
def test_no_answer_shows_a_sensitive_value_and_nothing_keeps_it(way: str, capfd: pytest.CaptureFixture[str]):
    path, body = _REQUESTS[way]
    mock = Mock(log_level="debug")
    created = mock.post(path, body, key="k")
    assert created.status_code == 201, created.text
    answers = [created.text, mock.get("/v1/runs").text]
    for run in mock.listed(fields="sensitive_input_aliases"):
        assert set(run["sensitive_input_aliases"]) >= {"pin"}
        mock.clock.advance(3600)
        path = f"/v1/runs/{run['id']}"
        retried = mock.post(f"{path}/retry", {"sensitive_input_values": {"pin": _SECRET + "-2"}})
        answers += [mock.get(path).text, retried.text]
    assert _SECRET not in "".join(answers)
    assert SUCCEEDS in _everything(mock)
    assert _SECRET not in _everything(mock)
    out, err = capfd.readouterr()
    assert _SECRET not in out + err


def test_the_same_run_shows_the_same_alias_each_time_and_another_run_another():
    mock = Mock()
    one = mock.create(sensitive_input_values={"pin": "1"})
    two = mock.create(sensitive_input_values={"pin": "1"})
    assert mock.read(one["id"])["sensitive_input_aliases"] == one["sensitive_input_aliases"]
    assert one["sensitive_input_aliases"] != two["sensitive_input_aliases"]


def test_a_refusal_does_not_repeat_a_sensitive_value():
    mock = Mock()
    body = {"workflow_id": NEEDS_AN_INVOICE_NUMBER, "sensitive_input_values": {"unknown": _SECRET}}
    answer = mock.post("/v1/runs", body)
    assert answer.status_code in (400, 422)
    assert _SECRET not in answer.text
