"""Sensitive values that are recognised in any answer."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final

from contracts.core.made_up import MadeUp

_DIGITS: Final = 8
NUMBERS: Final = 10**_DIGITS


class Canaries:
    """Makes sensitive values that can be recognised in any answer, whole or in part, plain or encoded."""

    def __init__(self, made_up: MadeUp) -> None:
        self._head = made_up.letters(14)
        self._tail = made_up.letters(14)
        self._digits = "8" + made_up.digits(17, of="1345679")
        self.forms: Final = tuple(self._forms())

    def text(self, number: int) -> str:
        """Return a value with that number, which is below NUMBERS."""
        return f"{self._head}{number:0{_DIGITS}d}{self._tail}"

    def value_in(self, content: bytes) -> bytes | None:
        """Return the first value that the content has as it was sent: not encoded, and not in part."""
        real = f"{self._digits[0]}.{self._digits[1:15]}"
        number = f"[0-9]{{{_DIGITS}}}"
        values = f"{self._head}{number}{self._tail}|{self._digits}{number}|{re.escape(real)}"
        found = re.search(values.encode(), content)
        return None if found is None else found[0]

    def integer(self, number: int) -> int:
        return int(f"{self._digits}{number:0{_DIGITS}d}")

    def real(self) -> float:
        return float(f"{self._digits[0]}.{self._digits[1:15]}")

    def large_real(self) -> float:
        """Above the range in which a double holds every integer. Serialisers write it with an exponent or zeros."""
        return float(f"{self._digits[0]}.{self._digits[1:15]}e18")

    def _forms(self) -> Iterable[bytes]:
        for mark in (self._head, self._tail):
            raw = mark.encode()
            yield raw
            yield raw.upper()
            yield raw.capitalize()
            yield raw[::-1]
            yield raw.hex().encode()
            for shift in range(3):  # base64 encodes a text in one of three ways, by its offset modulo 3
                encoded = base64.b64encode(b"\0" * shift + raw)
                yield encoded[4 : len(raw) * 4 // 3 - 2]
        yield self._digits.encode()
        yield f".{self._digits[1:15]}".encode()
        yield self._digits[:15].encode()
