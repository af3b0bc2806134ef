"""A sensitive value of the suite is recognised in any answer, whole or in part, plain or encoded."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from contracts.core.made_up import MadeUp
from contracts.engine.canaries import Canaries


def canaries_of(name: str) -> Canaries:
    return Canaries(MadeUp(name))


def is_recognised(canaries: Canaries, content: str) -> bool:
    return any(form in content.encode() for form in canaries.forms)


@pytest.mark.parametrize(
    "show",
    [
        str,
        str.upper,
        str.capitalize,
        lambda text: text[::-1],
        lambda text: text[:14],
        lambda text: text[-14:],
        lambda text: f"{text[:12]}****",
        lambda text: text.encode().hex(),
        *(lambda text, n=n: base64.b64encode(b"x" * n + text.encode()).decode() for n in range(3)),
        *(lambda text, n=n: base64.b64encode(b"x" * n + text[:14].encode() + b"yy").decode() for n in range(3)),
    ],
)
def test_a_text_is_recognised_however_it_is_shown(show: Callable[[str], str]) -> None:
    canaries = canaries_of("one")

    assert is_recognised(canaries, f'{{"a": "{show(canaries.text(1))}"}}')
    assert not is_recognised(canaries_of("another"), show(canaries.text(1)))


def test_a_number_is_recognised_however_it_is_written() -> None:
    canaries = canaries_of("one")

    for number in (canaries.integer(5), canaries.real(), canaries.large_real()):
        assert is_recognised(canaries, json.dumps([number]))
        assert is_recognised(canaries, f"{number:.17g}")
    assert is_recognised(canaries, str(int(canaries.large_real())))


def test_the_first_value_that_is_shown_as_it_was_sent_is_returned() -> None:
    canaries = canaries_of("one")
    first, second = canaries.text(1), canaries.text(2)

    assert canaries.value_in(f"{second} {first}".encode()) == second.encode()
    assert canaries.value_in(str(canaries.integer(7)).encode()) == str(canaries.integer(7)).encode()
    assert canaries.value_in(first[:20].encode()) is None
