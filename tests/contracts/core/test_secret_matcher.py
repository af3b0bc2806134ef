"""A secret is found however it is written, and nothing else is changed."""

import base64
import html
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.core.secret_matcher import Candidates, SecretMatcher

LONG = "kq8Zt3wXhPqYbVnM0001sDfGjKlRtWcB"
KEY = "\n".join(
    ["-----BEGIN KEY-----", *(f"{index:02d}{LONG}{LONG[::-1]}" for index in range(30)), "-----END KEY-----"]
)


def with_escaped(characters: str, text: str) -> str:
    """As the JSON encoders of Go, .NET and PHP write these characters."""
    return "".join(f"\\u{ord(c):04X}" if c in characters else c for c in json.dumps(text, ensure_ascii=False)[1:-1])


WRITERS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON in ASCII": lambda text: json.dumps(text)[1:-1],
    "JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON for HTML": lambda text: with_escaped("<>&'+", text),
    "JSON with escaped slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "Python": lambda text: repr(text)[1:-1],
    "a path": quote,
    "a segment": lambda text: quote(text, safe=""),
    "a form": quote_plus,
    "HTML": html.escape,
    "HTML in ASCII": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40)
ODD = st.text("ab\"'\\/%&<> \n\té😀u0n+#;", min_size=4, max_size=20)


def matcher(secret: str, **more: bool) -> SecretMatcher:
    made = SecretMatcher()
    made.add(secret, "$SECRET", **more)
    return made


@settings(max_examples=400)
@given(TEXTS | ODD, st.sampled_from(list(WRITERS)), st.sampled_from(list(WRITERS)))
@example('a\\"b/é😀', "JSON", "a segment")
@example("p&ss<w>rd", "HTML", "JSON for HTML")
def test_a_secret_is_found_however_it_is_written(secret: str, first: str, second: str) -> None:
    written = WRITERS[second](WRITERS[first](secret))

    assert matcher(secret, changed=False).replace(f"({written})") == "($SECRET)"


@given(st.text(max_size=30), TEXTS | ODD, st.text(max_size=30))
def test_a_text_without_the_secret_stays(before: str, secret: str, after: str) -> None:
    runs = re.findall("[0-9A-Za-z]+", secret)
    text = before + after
    if runs and max(runs, key=len) not in text:
        assert matcher(secret, changed=False).replace(text) == text


@pytest.mark.parametrize("near", ["kq8Zt3_secret", "kq8Zt3secret", "kq8Zt3--secret", "kq8Zt3-Secret", "kq8Zt3-"])
def test_a_text_that_only_resembles_the_secret_stays(near: str) -> None:
    assert matcher("kq8Zt3-secret").replace(near) == near


@pytest.mark.parametrize(
    "changed",
    [LONG.upper(), LONG.lower(), LONG.capitalize(), LONG[::-1], LONG.encode().hex()]
    + [base64.b64encode(b"x" * shift + LONG.encode() + b"y" * shift).decode() for shift in range(4)],
)
def test_a_changed_secret_is_found_unless_only_exact_ones_are_searched(changed: str) -> None:
    assert "$SECRET" in matcher(LONG).replace(changed)
    assert matcher(LONG, changed=False).replace(changed) == changed


@given(st.integers(0, 16), st.integers(0, 16), st.sampled_from([LONG, KEY]))
def test_a_part_of_a_secret_is_found(start: int, cut: int, secret: str) -> None:
    part = secret[start : start + 16 + cut]

    assert matcher(secret).replace(f"({part})") == "($SECRET)"


@pytest.mark.parametrize("writer", WRITERS)
def test_a_long_secret_is_found_as_a_whole(writer: str) -> None:
    assert matcher(KEY).replace(f"({WRITERS[writer](KEY)})") == "($SECRET)"


def test_a_sequence_of_one_character_is_not_part_of_a_secret() -> None:
    padded = "masked-1" + "x" * 40

    assert matcher(LONG + "x" * 5_000).replace(padded) == padded


def test_the_end_of_a_long_secret_is_found() -> None:
    shown = matcher(KEY).replace(KEY[-200:])

    assert not any(KEY[at : at + 16] in shown for at in range(len(KEY) - 16))


def test_a_secret_that_contains_another_is_replaced_first() -> None:
    made = matcher("inner-secret")
    made.add("an inner-secret and more", "$OUTER")

    assert made.replace("inner-secret, an inner-secret and more") == "$SECRET, $OUTER"


def test_a_text_is_compared_with_few_of_many_secrets_that_are_alike() -> None:
    made = SecretMatcher()
    for number in range(5_000):
        made.add(f"item {number}", f"$ITEM{number}")

    assert made.replace("an item 4711, ITEM+4712 or item%204713") == "an $ITEM4711, $ITEM4712 or $ITEM4713"
    assert len(made.candidates("item 4711").forms) < 200  # of 25,000


@given(TEXTS | ODD)
@example("a+b\nc")
def test_a_secret_is_found_in_an_excerpt_which_has_spaces_for_control_characters(secret: str) -> None:
    excerpt = "".join(each if each.isprintable() else " " for each in secret)

    assert matcher(secret, changed=False).replace(f"({excerpt})") == "($SECRET)"


def test_a_text_without_escapes_is_compared_with_the_secrets_that_it_contains_only() -> None:
    made = SecretMatcher()
    for number in range(60, 100):
        made.add(f"20:{number}", "$TIME")
        made.add("é" * number, "$LETTERS")

    assert not made.candidates("2026-11-29T20:11:20+00:00 1f2e20a6-60").forms
    assert made.replace("at 20:61, éééé: " + "é" * 60) == "at $TIME, éééé: $LETTERS"


def test_a_secret_that_is_added_after_a_search_is_found_too() -> None:
    made = matcher("first-secret")
    assert made.replace("first-secret, second-secret, 482913") == "$SECRET, second-secret, 482913"

    made.add("second-secret", "$SECOND")
    made.add_number("482913", "$NUMBER")

    assert made.may_be_in("second-secret")
    assert made.replace("first-secret, second-secret, 482913") == "$SECRET, $SECOND, $NUMBER"


def test_a_number_is_found_as_a_whole_only() -> None:
    made = SecretMatcher()
    made.add_number("482913", "$NUMBER")

    assert made.replace("482913 1482913 482913.5 -482913 x482913") == "$NUMBER 1482913 482913.5 -482913 x482913"


@given(st.binary(max_size=20), st.binary(max_size=20), st.sampled_from(["utf-8", "latin-1"]))
def test_bytes_around_a_secret_stay(before: bytes, after: bytes, encoding: str) -> None:
    secret, valid = "pässwörd-geheim", "\xff" if encoding == "latin-1" else "é"
    content = before + valid.encode(encoding) + secret.encode(encoding) + b" " + after

    assert matcher(secret).replace_in_bytes(content) == content.replace(secret.encode(encoding), b"$SECRET")


@pytest.mark.parametrize("secret", ["\\" * 60, '\\"' * 30, '"' * 60, "\\\n" * 30, "%" * 60, "&" * 60, "é" * 60])
@pytest.mark.parametrize("text", ["\\" * 5_000, '\\"' * 5_000, "%25" * 5_000, "&amp;" * 5_000, "\\u00e" * 5_000])
def test_a_hostile_text_takes_no_long_time(secret: str, text: str) -> None:
    started = time.process_time()
    matcher(secret).replace(text + "!")

    assert time.process_time() - started < 2


def test_a_secret_without_letters_and_digits_is_looked_for_only_where_it_can_be():
    matcher = SecretMatcher()
    matcher.add("😀😀😀😀", "hidden")
    assert matcher.candidates("a plain text of a thousand words") == Candidates()
    for written in ("😀😀😀😀", json.dumps("😀😀😀😀"), quote("😀😀😀😀"), "&#x1f600;" * 4):
        assert "hidden" in matcher.replace(f"text {written} text")


def test_a_number_is_looked_for_only_where_the_text_has_it_as_a_whole_number():
    matcher = SecretMatcher()
    matcher.add_number("4010", "hidden")
    assert matcher.candidates("34010 and 4010.5 and a4010") == Candidates()
    assert not matcher.may_be_in("34010")
    assert matcher.may_be_in("is 4010")
    assert matcher.replace("34010, 4010") == "34010, hidden"
