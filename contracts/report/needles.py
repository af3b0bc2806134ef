"""Finds secrets in a text, however they are written there, and puts placeholders in their place."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

# A server may leak a secret changed or in part. Long ones can be told from chance even then.
_CHANGED_FROM = 8
_PART_FROM = 24
_PART = 12
_PROBE = 8
# Only the plain ways for what nobody would write in capitals.
_CHANGED_TO = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """What may stand in a text, the longest way first, since a secret may contain another."""

    ways: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ways or self.numbers or self.parts)


class Needles:
    """Made for many secrets and long texts: a text is first asked for a few beginnings that the ways have in common."""

    def __init__(self) -> None:
        self._ways: dict[str, tuple[str, ...]] = {}
        self._placeholders: dict[str, str] = {}
        self._probes: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._parts: dict[str, tuple[str, str]] = {}
        self._part_probes: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._numbers: dict[str, str] = {}

    def add(self, secret: str, placeholder: str) -> None:
        if secret in self._ways:
            return
        self._ways[secret] = ways = tuple(dict.fromkeys(_ways(secret)))
        for way in ways:
            self._placeholders.setdefault(way, placeholder)
            self._probes[way[:_PROBE]][secret] = None
        if _PART_FROM <= len(secret) <= _CHANGED_TO:
            for part in (secret[:_PART], secret[-_PART:]):
                self._parts.setdefault(part, (secret, placeholder))
                self._part_probes[part[:_PROBE]][part] = None

    def add_number(self, digits: str, placeholder: str) -> None:
        self._numbers.setdefault(digits, placeholder)

    def number(self, digits: str) -> str | None:
        """The placeholder of a number as JSON writes it."""
        return self._numbers.get(digits)

    def find(self, text: str) -> Found:
        """What may stand in the text as it is, or once it is decoded as JSON."""
        near = {secret: None for probe, secrets in self._probes.items() if probe in text for secret in secrets}
        parts = {part: None for probe, parts in self._part_probes.items() if probe in text for part in parts}
        here = [secret for secret in near if any(way in text for way in self._ways[secret])]
        return Found(
            tuple(sorted((way for secret in here for way in self._ways[secret]), key=len, reverse=True)),
            tuple(sorted((digits for digits in self._numbers if digits in text), key=len, reverse=True)),
            tuple(part for part in parts if part in text),
        )

    def replace(self, text: str, found: Found) -> str:
        for way in found.ways:
            text = text.replace(way, self._placeholders[way])
        for part in found.parts:
            text = self._replace_part(text, part)
        for digits in found.numbers:
            text = re.sub(rf"(?<![\w.+-]){re.escape(digits)}(?![\w.])", self._numbers[digits], text)
        return text

    def _replace_part(self, text: str, part: str) -> str:
        """With as much of the secret as stands around it."""
        secret, placeholder = self._parts[part]
        at = text.find(part)
        while at >= 0:
            start, end = at, at + len(part)
            position = secret.index(part)
            while start > 0 and position > 0 and text[start - 1] == secret[position - 1]:
                start, position = start - 1, position - 1
            position = secret.index(part) + len(part)
            while end < len(text) and position < len(secret) and text[end] == secret[position]:
                end, position = end + 1, position + 1
            text = text[:start] + placeholder + text[end:]
            at = text.find(part, start + len(placeholder))
        return text


def _ways(secret: str) -> Iterator[str]:
    plain = secret.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(plain)
    yield quote(plain, safe="")
    yield quote_plus(plain)
    if not _CHANGED_FROM <= len(secret) <= _CHANGED_TO:
        return
    yield secret.upper()
    yield secret.lower()
    yield secret.capitalize()
    yield secret[::-1]
    raw = plain.encode()
    yield raw.hex()
    for shift in range(3):  # by where it begins, base64 shows a text in one of three ways
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        yield encoded[4 if shift else 0 : (shift + len(raw)) // 3 * 4]
