"""Fuzzy search: whether a text is, or contains, a word with some edits (characters inserted, deleted or replaced).

Each function takes time in proportion to the length of the text. Words are short, so each character of the text is
compared with all characters of the word at once, in the bits of one integer (Wu and Manber, "Fast text searching
allowing errors", 1992).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_PART = 65_536
"""A text is searched in parts of this length: other threads wait while a regular expression searches one."""


class Misspelled:
    """A word, and the number of edits up to which a text counts as a misspelling of it."""

    def __init__(self, word: str, max_edits: int) -> None:
        self._word = word
        self._most = min(max_edits, len(word) - 1)
        self._bits = {letter: sum(1 << at for at, each in enumerate(word) if each == letter) for letter in set(word)}
        self._found = 1 << (len(word) - 1)
        # n edits change at most n of n + 1 pieces of the word: a text that contains none of the pieces cannot match.
        pieces = self._most + 1
        ends = [len(word) * piece // pieces for piece in range(pieces + 1)]
        self._pieces = [word[start:stop] for start, stop in pairwise(ends)]
        self._longest_piece = max(map(len, self._pieces))
        self._any_piece = re.compile("|".join(map(re.escape, self._pieces)))

    def is_whole(self, text: str) -> bool:
        if abs(len(text) - len(self._word)) > self._most or self._any_piece.search(text) is None:
            return False
        return self._edits(text) <= self._most

    def is_part_of(self, text: str, *, max_looks: int) -> bool:
        """Also True if the first `max_looks` occurrences of pieces do not match but more follow: it stops there."""
        reach = len(self._word) + self._most
        looked_until = 0
        for looks, piece in enumerate(self._pieces_in(text)):
            if looks == max_looks:
                return True
            start, stop = max(piece.start() - reach, looked_until - reach), piece.end() + reach
            if stop > looked_until and self._is_in(text[max(0, start) : stop]):
                return True
            looked_until = stop
        return False

    def _pieces_in(self, text: str) -> Iterator[re.Match[str]]:
        start = 0
        while start < len(text):
            stop = start + _PART
            end = stop + self._longest_piece - 1
            part = text[start:end]
            if any(piece in part for piece in self._pieces):  # ten times as fast as the regular expression
                for found in self._any_piece.finditer(text, start, end):
                    yield found
                    stop = max(stop, found.end())
            start = stop

    def _edits(self, text: str) -> int:
        """The edit distance (Levenshtein) of the whole text."""
        row = list(range(len(self._word) + 1))
        for count, letter in enumerate(text, 1):
            last, row[0] = row[0], count
            for at, each in enumerate(self._word, 1):
                last, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, last + (each != letter))
        return row[-1]

    def _is_in(self, text: str) -> bool:
        # Bit i of rows[edits]: the word's first i + 1 letters end at this position with at most `edits` edits.
        rows = [(1 << edits) - 1 for edits in range(self._most + 1)]
        for letter in text:
            fits = self._bits.get(letter, 0)
            before = rows[0]
            row = rows[0] = (before << 1 | 1) & fits
            for edits in range(1, self._most + 1):
                last = rows[edits]
                row = rows[edits] = (last << 1 | 1) & fits | before | (before | row) << 1 | 1
                before = last
            if row & self._found:
                return True
        return False
