"""Sensitive values that are recognised in any answer."""

from __future__ import annotations

import re
import secrets
from typing import Final

from contracts.core.secret_matcher import changed_forms


class Canaries:
    """Makes sensitive values that can be recognised in any answer, whole or in part, plain or encoded.

    `forms` are the forms in which an answer could show any of them.
    """

    def __init__(self) -> None:
        self._head = letters(14)
        self._tail = letters(14)
        digits = "".join(secrets.choice("1345679") for _ in range(17))
        self._integer = f"8{digits}"
        self._real = f"8.{digits[:14]}"
        self._made = 0
        marks = (self._head[:12], self._tail[-12:])  # 12 bytes are whole groups of base64
        texts = [form for mark in marks for form in (mark, *changed_forms(mark))]
        numbers = [self._integer[:13], f".{digits[:12]}"]  # an encoder may round the last digits
        self.forms: Final = tuple(form.encode() for form in dict.fromkeys([*texts, *numbers]))

    def text(self) -> str:
        self._made += 1
        return f"{self._head}{self._made:04d}{self._tail}"

    def integer(self) -> int:
        self._made += 1
        return int(f"{self._integer}{self._made:04d}")

    def real(self) -> float:
        return float(self._real)

    def large_real(self) -> float:
        """Above the range in which a double holds every integer. Serialisers write it with an exponent or zeros."""
        return float(f"{self._real}e18")

    def value_in(self, content: bytes) -> bytes | None:
        """Return the first value that the content has as it was sent: not encoded, and not in part."""
        values = f"{self._head}[0-9]{{4}}{self._tail}|{self._integer}[0-9]{{4}}|{re.escape(self._real)}"
        found = re.search(values.encode(), content)
        return None if found is None else found[0]


def letters(length: int) -> str:
    return "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(length))
