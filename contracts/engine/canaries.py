"""Sensitive values that are recognised in any answer."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from typing import Final


class Canaries:
    """Makes sensitive values that can be recognised in any answer, whole or in part, plain or encoded."""

    def __init__(self) -> None:
        self._head = letters(14)
        self._tail = letters(14)
        self._digits = "8" + "".join(secrets.choice("1345679") for _ in range(17))
        self._made = 0
        self.forms: Final = tuple(self._forms())

    def text(self) -> str:
        self._made += 1
        return f"{self._head}{self._made:04d}{self._tail}"

    def value_in(self, content: bytes) -> bytes | None:
        """Return the first value that the content has as it was sent: not encoded, and not in part."""
        real = f"{self._digits[0]}.{self._digits[1:15]}"
        values = f"{self._head}[0-9]{{4}}{self._tail}|{self._digits}[0-9]{{4}}|{re.escape(real)}"
        found = re.search(values.encode(), content)
        return None if found is None else found[0]

    def integer(self) -> int:
        self._made += 1
        return int(f"{self._digits}{self._made:04d}")

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


def letters(length: int) -> str:
    return "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(length))
