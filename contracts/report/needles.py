"""Finds secrets in a text, however they are written there, and puts placeholders in their place."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import quote, quote_plus

# A server may leak a secret changed or in part. Long ones can be told from chance even then.
_CHANGED_FROM = 8
_PART_FROM = 24
_BLOCK = 8  # any part of twice this length has one of the secret's blocks in it
_PROBE = 8
# Only the plain ways for what nobody would write in capitals.
_CHANGED_TO = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """What may stand in a text, the longest way first, since a secret may contain another."""

    ways: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()

    def of_length(self, least: int) -> Found:
        return Found(tuple(way for way in self.ways if len(way) >= least), (), self.blocks)

    def __bool__(self) -> bool:
        return bool(self.ways or self.numbers or self.blocks)


class Needles:
    """Made for many secrets and long texts: a text is first asked for a few beginnings that the ways have in common."""

    def __init__(self) -> None:
        self._ways: dict[str, tuple[str, ...]] = {}
        self._placeholders: dict[str, str] = {}
        self._probes: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._blocks: defaultdict[str, dict[tuple[str, int], None]] = defaultdict(dict)
        self._numbers: dict[str, str] = {}

    def add(self, secret: str, placeholder: str) -> None:
        if secret in self._ways:
            return
        self._ways[secret] = ways = tuple(dict.fromkeys(_ways(secret)))
        for way in ways:
            self._placeholders.setdefault(way, placeholder)
            self._probes[way[:_PROBE]][secret] = None
        if _PART_FROM <= len(secret) <= _CHANGED_TO:
            for at in (*range(0, len(secret) - _BLOCK, _BLOCK), len(secret) - _BLOCK):
                self._blocks[secret[at : at + _BLOCK]][secret, at] = None

    def add_number(self, digits: str, placeholder: str) -> None:
        self._numbers.setdefault(digits, placeholder)

    def number(self, digits: str) -> str | None:
        """The placeholder of a number as JSON writes it."""
        return self._numbers.get(digits)

    def find(self, text: str) -> Found:
        """What may stand in the text as it is, or once it is decoded as JSON."""
        near = {secret: None for probe, secrets in self._probes.items() if probe in text for secret in secrets}
        here = [secret for secret in near if any(way in text for way in self._ways[secret])]
        return Found(
            tuple(sorted((way for secret in here for way in self._ways[secret]), key=len, reverse=True)),
            tuple(sorted((digits for digits in self._numbers if digits in text), key=len, reverse=True)),
            tuple(block for block in self._blocks if block in text),
        )

    def replace(self, text: str, found: Found) -> str:
        for way in found.ways:
            text = text.replace(way, self._placeholders[way])
        for block in found.blocks:
            at = text.find(block)
            while at >= 0:
                # Secrets may have blocks in common: the one that fits best is the one that stands here.
                part, secret = max((_around(text, at, *each), each[0]) for each in self._blocks[block])
                start, end = at - part.before, at + _BLOCK + part.after
                text = text[:start] + self._placeholders[secret] + text[end:]
                at = text.find(block, start + len(self._placeholders[secret]))
        for digits in found.numbers:
            text = re.sub(rf"(?<![\w.+-]){re.escape(digits)}(?![\w.])", self._numbers[digits], text)
        return text


@dataclass(frozen=True, slots=True, order=True)
class _Part:
    """How much of a secret stands around a block of it."""

    length: int
    before: int
    after: int


def _around(text: str, at: int, secret: str, position: int) -> _Part:
    before = _in_common(reversed(text[max(0, at - position) : at]), reversed(secret[:position]))
    after = _in_common(text[at + _BLOCK : at + len(secret)], secret[position + _BLOCK :])
    return _Part(before + after, before, after)


def _in_common(text: Iterable[str], secret: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, secret, strict=False)))


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
