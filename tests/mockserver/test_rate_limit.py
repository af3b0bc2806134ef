"""Rate limits: so many requests in each window of the clock, for each organisation."""

from __future__ import annotations

import asyncio

import pytest

from mockserver.errors import TooManyConflicts, TooManyRequests, VersionConflict
from mockserver.rate_limit import count_request
from mockserver.settings import RateLimit
from mockserver.store import MemoryStore, Write
from tests.mockserver.inprocess import Mock


@pytest.mark.parametrize(
    ("text", "limit", "window"), [("1/s", 1, 1), (" 600/m ", 600, 60), ("10", 10, 1), ("999999999/s", 999999999, 1)]
)
def test_a_rate_is_so_many_a_second_or_a_minute(text: str, limit: int, window: int):
    assert RateLimit.from_text(text) == RateLimit(limit, window)


@pytest.mark.parametrize("text", ["", "/s", "-1/s", "1.5/s", "10/h", "10 / s", "10/", "٣/s"])
def test_what_is_no_rate_is_refused(text: str):
    with pytest.raises(ValueError, match=r"invalid rate .*; use N/s or N/m"):
        RateLimit.from_text(text)


@pytest.mark.parametrize("text", ["0/s", "0", "00/m", "01/s", "9999999999/s", "9" * 5_000])
def test_a_rate_out_of_range_is_refused_with_the_range(text: str):
    with pytest.raises(ValueError, match=r"invalid rate '\d+(/.)?'; N is from 1 to 999,999,999"):
        RateLimit.from_text(text)


def test_each_answer_counts_down_and_past_the_limit_it_is_429_until_the_window_ends():
    mock = Mock(rate_limit=RateLimit(3, 60))
    mock.clock.advance(20)
    left = []
    for _ in range(3):
        answer = mock.get("/v1/runs")
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-limit"] == "3"
        left.append(answer.headers["x-ratelimit-remaining"])
    assert left == ["2", "1", "0"]

    refused = mock.get("/v1/runs")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "40"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert int(refused.headers["x-ratelimit-reset"]) == mock.clock.now() // 1_000_000 + 40

    mock.clock.advance(39.5)
    assert mock.get("/v1/runs").headers["retry-after"] == "1"
    mock.clock.advance(0.5)
    assert mock.get("/v1/runs").headers["x-ratelimit-remaining"] == "2"


def test_each_organisation_has_its_own():
    mock = Mock(rate_limit=RateLimit(1, 60))
    assert mock.get("/v1/runs").status_code == 200
    assert mock.get("/v1/runs").status_code == 429
    assert mock.get("/v1/runs", token="test-two").status_code == 200


def test_a_refused_request_does_nothing_and_a_broken_one_counts():
    mock = Mock(rate_limit=RateLimit(2, 60))
    broken = mock.post("/v1/runs", {})
    assert (broken.status_code, broken.headers["x-ratelimit-remaining"]) == (422, "1")
    mock.create()
    assert mock.post("/v1/runs", {}).status_code == 429
    mock.clock.advance(60)
    assert mock.total() == 1


def test_what_needs_no_token_is_not_counted():
    mock = Mock(rate_limit=RateLimit(1, 60))
    for _ in range(3):
        answer = mock.get("/v1/health", token=None)
        assert answer.status_code == 200
        assert "x-ratelimit-limit" not in answer.headers
    assert mock.get("/v1/runs", token=None).status_code == 401


def test_without_a_limit_no_answer_speaks_of_one():
    assert not [name for name in Mock().get("/v1/runs").headers if name.startswith("x-ratelimit")]


def test_of_many_at_once_just_as_many_as_the_limit_are_let_in():
    mock = Mock(rate_limit=RateLimit(5, 60))
    answers = mock.together(*(mock.sent("GET", "/v1/machines") for _ in range(12)))
    assert sorted(each.status_code for each in answers) == [200] * 5 + [429] * 7


class _QuickerOnce:
    def __init__(self) -> None:
        self.space = MemoryStore().space("", "")
        self.load_uncommitted = self.space.load_uncommitted
        self.times = 0

    async def commit(self, *writes: Write) -> None:
        self.times += 1
        if self.times == 1:
            await self.space.commit(*writes)
            raise VersionConflict("another was quicker")
        await self.space.commit(*writes)


def test_where_another_request_was_counted_meanwhile_both_count():
    async def counted() -> None:
        space = _QuickerOnce()
        headers = await count_request(space, RateLimit(2, 1), 0)
        assert headers["X-RateLimit-Remaining"] == "0"
        with pytest.raises(TooManyRequests):
            await count_request(space, RateLimit(2, 1), 999_999)
        assert (await count_request(space, RateLimit(2, 1), 1_000_000))["X-RateLimit-Reset"] == "2"

    asyncio.run(counted())


class _QuickerAlways(_QuickerOnce):
    async def commit(self, *writes: Write) -> None:
        self.times += 1
        assert self.times <= 1_000, "it tries for ever"
        raise VersionConflict("another was quicker")


def test_where_another_request_is_always_quicker_it_gives_up():
    async def counted() -> None:
        space = _QuickerAlways()
        with pytest.raises(TooManyConflicts):
            await count_request(space, RateLimit(2, 1), 0)

    asyncio.run(counted())
