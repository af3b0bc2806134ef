"""Sensitive values that are recognised in any answer."""

import re
from typing import Final

from contracts.core.made_up import MadeUp
from contracts.core.secret_matcher import changed_forms

_DIGITS: Final = 8
NUMBERS: Final = 10**_DIGITS


class Canaries:
    """Makes sensitive values that can be recognised in any answer, whole or in part, plain or encoded.

    `forms` are the forms in which an answer could show any of them.
    """

    def __init__(self, made_up: MadeUp) -> None:
        self._head = made_up.letters(14)
        self._tail = made_up.letters(14)
        digits = made_up.digits(17, of="1345679")
        self._integer = f"8{digits}"
        self._real = f"8.{digits[:14]}"
        marks = (self._head[:12], self._tail[-12:])  # 12 bytes are whole groups of base64
        texts = [form for mark in marks for form in (mark, *changed_forms(mark))]
        numbers = [self._integer[:13], f".{digits[:12]}"]  # an encoder may round the last digits
        self.forms: Final = tuple(form.encode() for form in dict.fromkeys([*texts, *numbers]))

    def text(self, number: int) -> str:
        """Return a value with that number, which is below NUMBERS."""
        return f"{self._head}{number:0{_DIGITS}d}{self._tail}"

    def integer(self, number: int) -> int:
        return int(f"{self._integer}{number:0{_DIGITS}d}")

    def real(self) -> float:
        return float(self._real)

    def large_real(self) -> float:
        """Above the range in which a double holds every integer. Serialisers write it with an exponent or zeros."""
        return float(f"{self._real}e18")

    def value_in(self, content: bytes) -> bytes | None:
        """Return the first value that the content has as it was sent: not encoded, and not in part."""
        number = f"[0-9]{{{_DIGITS}}}"
        values = f"{self._head}{number}{self._tail}|{self._integer}{number}|{re.escape(self._real)}"
        found = re.search(values.encode(), content)
        return None if found is None else found[0]
