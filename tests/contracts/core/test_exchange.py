"""Answers and requests as JSON."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts.core.exchange import Answer, LongInteger, date_of, retry_after_of


def test_an_integer_of_more_digits_than_python_converts_keeps_its_digits() -> None:
    digits = "-" + "9" * (sys.get_int_max_str_digits() + 1)
    body = b'{"input_values": {"value": %b, "count": 3}}' % digits.encode()

    assert Answer(200, (), body).json() == {"input_values": {"value": digits, "count": 3}}
    assert isinstance(Answer(200, (), body).json()["input_values"]["value"], LongInteger)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|decode|nested"):
        Answer(200, (), body).json()


MOMENT = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
DATES = [
    ("Wed, 21 Oct 2026 07:28:00 GMT", MOMENT),
    ("Wed, 21 Oct 2026 09:28:00 +0200", MOMENT.astimezone(timezone(timedelta(hours=2)))),
    ("Wed, 21 Oct 2026 07:28:00 -0000", MOMENT),
    ("Wed, 21 Oct 2026 07:28:00", MOMENT),
    ("Wed, 21 Oct 2026 07:28:00 +9999", None),
    ("Wed, 21 Oct 2026 07:28:00 +99999999999999999999", None),
    ("soon", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "moment"), DATES)
def test_a_date_has_a_zone_or_is_none(text: str, moment: datetime | None) -> None:
    found = date_of(Answer(200, (("date", text),), b""))

    assert found == moment
    assert found is None or found.tzinfo is not None


@pytest.mark.parametrize(
    ("text", "asked"),
    [("0", 0.0), (" 3 ", 3.0), ("9" * 20, 999_999_999.0), *DATES, *((text, None) for text in ("²", "١", "1.5", "-1"))],
)
def test_retry_after_is_seconds_in_ascii_digits_or_a_date(text: str, asked: float | datetime | None) -> None:
    assert retry_after_of(Answer(429, (("Retry-After", text),), b"")) == asked


def test_an_answer_without_the_headers_has_neither() -> None:
    assert date_of(Answer(200, (), b"")) is None
    assert retry_after_of(Answer(429, (), b"")) is None
