"""Finds secrets in a text, in any of the forms in which they may be written, and replaces them by placeholders."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import quote, quote_plus

# A server may leak a secret in another form or in part. Only for long secrets is a match then not a coincidence: from
# these lengths on, other forms (upper case, hex, base64, …) and parts are searched for, too.
_MIN_LENGTH_CHANGED = 8
_MIN_LENGTH_PARTS = 24
_BLOCK_LENGTH = 8  # any part of twice this length contains a whole block of the secret
_PROBE_LENGTH = 8
# Longer secrets are searched for in their plain and escaped forms only.
_MAX_LENGTH_CHANGED = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """What may occur in a text: `ways` are forms in which a secret may be written, `numbers` are numeric secrets, and
    `blocks` are parts of secrets. Ways and numbers are sorted by length, longest first, since a secret may contain
    another.
    """

    ways: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()

    def of_length(self, least: int) -> Found:
        return Found(tuple(way for way in self.ways if len(way) >= least), (), self.blocks)

    def __bool__(self) -> bool:
        return bool(self.ways or self.numbers or self.blocks)


class Needles:
    """The secrets to find. For speed with many secrets and long texts, a text is first searched for the first few
    characters of each way (`_probes`), which many ways share.
    """

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
            self._probes[way[:_PROBE_LENGTH]][secret] = None
        if _MIN_LENGTH_PARTS <= len(secret) <= _MAX_LENGTH_CHANGED:
            for at in (*range(0, len(secret) - _BLOCK_LENGTH, _BLOCK_LENGTH), len(secret) - _BLOCK_LENGTH):
                self._blocks[secret[at : at + _BLOCK_LENGTH]][secret, at] = None

    def add_number(self, digits: str, placeholder: str) -> None:
        self._numbers.setdefault(digits, placeholder)

    def number(self, digits: str) -> str | None:
        """The placeholder of a number, given as JSON writes it; None if it is not a secret."""
        return self._numbers.get(digits)

    def find(self, text: str) -> Found:
        """Find the secrets that may occur in the text, as it is or after decoding it as JSON."""
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
                # Secrets may share blocks: take the one of which the longest part is here.
                part, secret = max((_part_around(text, at, *each), each[0]) for each in self._blocks[block])
                start, end = at - part.before, at + _BLOCK_LENGTH + part.after
                text = text[:start] + self._placeholders[secret] + text[end:]
                at = text.find(block, start + len(self._placeholders[secret]))
        for digits in found.numbers:
            text = re.sub(rf"(?<![\w.+-]){re.escape(digits)}(?![\w.])", self._numbers[digits], text)
        return text


@dataclass(frozen=True, slots=True, order=True)
class _Part:
    """How many characters around a block of a secret also belong to that secret."""

    length: int
    before: int
    after: int


def _part_around(text: str, at: int, secret: str, position: int) -> _Part:
    before = _common_length(reversed(text[max(0, at - position) : at]), reversed(secret[:position]))
    after = _common_length(text[at + _BLOCK_LENGTH : at + len(secret)], secret[position + _BLOCK_LENGTH :])
    return _Part(before + after, before, after)


def _common_length(text: Iterable[str], secret: Iterable[str]) -> int:
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
    if not _MIN_LENGTH_CHANGED <= len(secret) <= _MAX_LENGTH_CHANGED:
        return
    yield secret.upper()
    yield secret.lower()
    yield secret.capitalize()
    yield secret[::-1]
    raw = plain.encode()
    yield raw.hex()
    for shift in range(3):  # the base64 form of a text depends on its offset modulo 3
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        yield encoded[4 if shift else 0 : (shift + len(raw)) // 3 * 4]
