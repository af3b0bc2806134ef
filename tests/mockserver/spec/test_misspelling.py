"""Words are found but for some edits, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mockserver.spec import misspelling
from mockserver.spec.misspelling import Misspelled

_words = st.text("abc", min_size=1, max_size=7)
_texts = st.text("abcd", max_size=12)


def edits(left: str, right: str) -> int:
    """By the definition of the edit distance."""
    if not left or not right:
        return len(left) + len(right)
    if left[0] == right[0]:
        return edits(left[1:], right[1:])
    return 1 + min(edits(left[1:], right), edits(left, right[1:]), edits(left[1:], right[1:]))


@given(_words, st.text("abcd", max_size=6), st.integers(0, 2))
def test_a_text_is_the_word_if_so_many_edits_make_it_one(word: str, text: str, most: int):
    most = min(most, len(word) - 1)
    assert Misspelled(word, most).is_whole(text) == (edits(word, text) <= most)


@given(_words, _texts, st.integers(0, 2))
def test_a_text_contains_the_word_if_some_part_of_it_is_the_word(word: str, text: str, most: int):
    most = min(most, len(word) - 1)
    misspelled = Misspelled(word, most)
    shortest, longest = len(word) - most, len(word) + most
    parts = {text[a:b] for a in range(len(text) + 1) for b in range(a + shortest, min(len(text), a + longest) + 1)}
    assert misspelled.is_part_of(text, max_looks=100) == any(misspelled.is_whole(part) for part in parts)


def test_after_too_many_looks_it_is_taken_for_found():
    word = Misspelled("sensitive", 2)
    assert not word.is_part_of("sen-" * 50, max_looks=50)
    assert word.is_part_of("sen-" * 51, max_looks=50)


def test_a_long_text_is_searched_in_parts_and_a_word_that_two_of_them_share_is_found(monkeypatch):
    monkeypatch.setattr(misspelling, "_PART", 7)
    word = Misspelled("sensitive", 2)
    searched = []

    class Pieces:
        def finditer(self, text: str, start: int, stop: int) -> Iterator[re.Match[str]]:
            searched.append(stop - start)
            return re.compile("sen|sit|ive").finditer(text, start, stop)

    for before in range(20):
        assert word.is_part_of("x" * before + "senitve" + "x" * 20, max_looks=100)
    word._any_piece = Pieces()
    assert not word.is_part_of("xsenx" * 20, max_looks=100)
    assert len(searched) > 1
    assert max(searched) <= 7 + 2
