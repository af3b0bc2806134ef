"""Answers and requests as JSON."""

from __future__ import annotations

import sys

import pytest

from contracts.core.exchange import Answer, LongInteger


def test_an_integer_of_more_digits_than_python_converts_keeps_its_digits() -> None:
    digits = "-" + "9" * (sys.get_int_max_str_digits() + 1)
    body = b'{"input_values": {"value": %b, "count": 3}}' % digits.encode()

    assert Answer(200, (), body).json() == {"input_values": {"value": digits, "count": 3}}
    assert isinstance(Answer(200, (), body).json()["input_values"]["value"], LongInteger)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|decode|nested"):
        Answer(200, (), body).json()
