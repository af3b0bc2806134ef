"""Whether a text is, or contains, a word but for some edits (characters put in, left out or replaced).

Each function takes time in proportion to the text. Words are short: what is done for each character is done for all
of the word's at once, in the bits of one number (Wu and Manber, "Fast text searching allowing errors", 1992).
"""

from __future__ import annotations

import re
from itertools import pairwise


class Misspelled:
    """A word that may be misspelled with so many edits. `part_of` texts, or the whole of them."""

    def __init__(self, word: str, most_edits: int) -> None:
        self._word = word
        self._most = min(most_edits, len(word) - 1)
        self._bits = {letter: sum(1 << at for at, each in enumerate(word) if each == letter) for letter in set(word)}
        self._found = 1 << (len(word) - 1)
        # Of so many pieces and one more, one stands in the text as it is: so most texts need no second look.
        pieces = self._most + 1
        ends = [len(word) * piece // pieces for piece in range(pieces + 1)]
        self._pieces = re.compile("|".join(re.escape(word[start:stop]) for start, stop in pairwise(ends)))

    def is_whole(self, text: str) -> bool:
        if abs(len(text) - len(self._word)) > self._most or self._pieces.search(text) is None:
            return False
        return self._edits(text) <= self._most

    def is_part_of(self, text: str, *, most_looks: int) -> bool:
        """True as well where it would take more than so many looks to tell."""
        reach = len(self._word) + self._most
        looked_until = 0
        for looks, piece in enumerate(self._pieces.finditer(text)):
            if looks == most_looks:
                return True
            start, stop = max(piece.start() - reach, looked_until - reach), piece.end() + reach
            if stop > looked_until and self._stands_in(text[max(0, start) : stop]):
                return True
            looked_until = stop
        return False

    def _edits(self, text: str) -> int:
        """The edit distance (Levenshtein) of the whole text."""
        row = list(range(len(self._word) + 1))
        for count, letter in enumerate(text, 1):
            last, row[0] = row[0], count
            for at, each in enumerate(self._word, 1):
                last, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, last + (each != letter))
        return row[-1]

    def _stands_in(self, text: str) -> bool:
        # Bit i of rows[edits]: the word's first i + 1 letters end here with at most so many edits.
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
