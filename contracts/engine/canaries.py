"""Makes sensitive values that are recognised in any answer, whole or in part, plain or encoded."""

import re
from typing import Final

from contracts.core.made_up import MadeUp
from contracts.core.secret_matcher import changed_forms

_DIGITS: Final = 8
NUMBERS: Final = 10**_DIGITS


class Canaries:
    """`forms` are the texts to search for: the parts that all values share, plain and in each encoded form."""

    def __init__(self, made_up: MadeUp) -> None:
        self.are_used = False
        """Whether any value was made. Before, no answer can show one."""
        self._head = made_up.letters(14)
        self._tail = made_up.letters(14)
        digits = "".join(made_up.choice("1345679") for _ in range(17))
        self._integer = f"8{digits}"
        self._real = f"8.{digits[:14]}"
        marks = (self._head[:12], self._tail[-12:])  # 12 bytes are whole groups of base64
        texts = [form for mark in marks for form in (mark, *changed_forms(mark))]
        numbers = [self._integer[:13], f".{digits[:12]}"]  # an encoder may round the last digits
        self.forms: Final = tuple(form.encode() for form in dict.fromkeys([*texts, *numbers]))

    def text(self, number: int) -> str:
        """Return the value with that number, which must be below NUMBERS."""
        self.are_used = True
        return f"{self._head}{number:0{_DIGITS}d}{self._tail}"

    def integer(self, number: int) -> int:
        self.are_used = True
        return int(f"{self._integer}{number:0{_DIGITS}d}")

    def real(self) -> float:
        self.are_used = True
        return float(self._real)

    def large_real(self) -> float:
        """Return a number above the range in which a double represents every integer. Serialisers write it with an
        exponent or with zeros.
        """
        self.are_used = True
        return float(f"{self._real}e18")

    def value_in(self, content: bytes) -> bytes | None:
        """Return the first value in the content that is whole and not encoded."""
        number = f"[0-9]{{{_DIGITS}}}"
        values = f"{self._head}{number}{self._tail}|{self._integer}{number}|{re.escape(self._real)}"
        found = re.search(values.encode(), content)
        return None if found is None else found[0]
