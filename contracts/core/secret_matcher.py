"""Finds secrets in texts, however they are written, and replaces them by placeholders.

A secret may stand in a text escaped (for JSON, Python, a URL or HTML, up to three times over), changed (in upper case,
reversed, as hex or base64, …), or in part. Three kinds of texts are searched for:

    form       a secret, or a changed form of it. A regular expression finds it however it is escaped
    literal    a sequence of letters and digits in a form. No encoder escapes these, so a text without the literal
               does not contain the form. An automaton searches for the literals of all forms at once
    block      8 characters of a long secret, which show where a part of it may be
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from contracts.core.common_prefix import common_prefix_length
from contracts.core.printable import replace_unprintable

SENSITIVE_KEY: Final = re.compile(r"(?!sensitive_input_aliases(?![\w.-]))[\w.-]*sensitive[\w.-]*", re.IGNORECASE)
"""The keys whose values are secret: those of sensitive inputs, in any spelling. Aliases are not secret."""

# A short secret may equal a changed form or a part of something else by coincidence.
_MIN_LENGTH_CHANGED: Final = 8
_MAX_LENGTH_CHANGED: Final = 10_000
_MIN_LENGTH_PARTS: Final = 24
_BLOCK_LENGTH: Final = 8  # any part of twice this length contains a whole block of the secret
_MIN_CHARACTERS: Final = 4  # a block of fewer different characters, such as `xxxxxxxx`, does not identify the secret
_ENDS_LENGTH: Final = 1_000  # a longer secret has blocks at both ends only
_COMPARED_LENGTH: Final = 200  # of a secret longer than twice this, only both ends and their distance are compared
_MAX_LITERAL_LENGTH: Final = 64
_MIN_LITERAL_LENGTH: Final = 2  # almost every text contains a shorter one
_MAX_FORMS_OF_LITERAL: Final = 8  # then other forms that contain it get another literal, if they have one
_FEW_KEYS: Final = 8

_NUMBER: Final = re.compile(r"(?<![\w.+-])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")
_ALPHANUMERIC: Final = re.compile(r"[0-9A-Za-z]+")
_ESCAPE: Final = re.compile(r"[\\%&]")
"""What each way of escaping a character begins with, apart from `+` for a space."""
_PIECE: Final = re.compile(r"[0-9A-Za-z]+|\\+|.", re.DOTALL)
_ESCAPE_LETTERS: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\0": "0"}
_HTML_NAMES: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


def changed_forms(secret: str) -> Iterator[str]:
    """Yield the forms in which a server might show a secret, apart from the secret itself."""
    yield secret.upper()
    yield secret.lower()
    yield secret.capitalize()
    yield secret[::-1]
    raw = secret.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()
    yield raw.hex()
    for shift in range(3):  # the base64 form of a text depends on its offset modulo 3
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        yield encoded[4 if shift else 0 : (shift + len(raw)) // 3 * 4]


def regex_of(text: str) -> str:
    """Return a regular expression for a text in which any characters except letters and digits may be escaped."""
    if (between := len(text) - 2 * _COMPARED_LENGTH) > 0:
        gap = rf"(?s:.{{{between},{12 * between}}}?)"  # an escaped character has at most 12
        return regex_of(text[:_COMPARED_LENGTH]) + gap + regex_of(text[-_COMPARED_LENGTH:])
    pieces: list[str] = _PIECE.findall(text)
    return "".join(piece if piece.isascii() and piece.isalnum() else _regex_of_piece(piece) for piece in pieces)


def _percent(byte: int) -> str:
    """Return a regular expression for a byte in a URL. The `%` may itself be escaped, up to twice."""
    return rf"%(?:25){{0,2}}(?i:{byte:02x})"


_BACKSLASH: Final = rf"(?:\\|{_percent(0x5C)})"
_HASH: Final = rf"(?:#|{_percent(0x23)})"
_SEMICOLON: Final = rf"(?:;|{_percent(0x3B)})"
_AMPERSAND: Final = rf"(?:&|{_BACKSLASH}{{1,7}}u0026|{_percent(0x26)})(?:amp{_SEMICOLON}){{0,2}}"


def _regex_of_piece(piece: str) -> str:
    """Return a regular expression for one character, or for a sequence of backslashes."""
    character, code = piece[0], ord(piece[0])
    html_name = f"|{_HTML_NAMES[character]}" if character in _HTML_NAMES else ""
    alternatives = [  # one that contains another one comes first
        rf"{_AMPERSAND}(?i:{_HASH}0*{code}|{_HASH}x0*{code:x}{html_name}){_SEMICOLON}",
        rf"{_BACKSLASH}{{1,7}}(?i:[ux]0*{code:x})",
        "".join(map(_percent, character.encode("utf-8", "surrogatepass"))),
    ]
    if code > 0xFFFF:
        pair = character.encode("utf-16-be").hex()
        alternatives.append(rf"{_BACKSLASH}{{1,7}}(?i:u{pair[:4]}){_BACKSLASH}{{1,7}}(?i:u{pair[4:]})")
    if character in _ESCAPE_LETTERS:
        alternatives.append(rf"{_BACKSLASH}{{1,7}}{_ESCAPE_LETTERS[character]}")
    if character == " ":
        alternatives.append(_regex_of_piece("+"))  # as a form writes it
    if not character.isprintable():
        alternatives.append(" ")  # as an excerpt shows it
    if character == "\\":  # matched as a sequence: to match them one by one may take exponential time
        return rf"(?:{_BACKSLASH}{{{len(piece)},{8 * len(piece)}}}|(?:{'|'.join(alternatives)}){{{len(piece)}}})"
    before = rf"{_BACKSLASH}{{0,7}}" if character in "\"'/" else ""
    return rf"{before}(?:{'|'.join(alternatives)}|{re.escape(character)})"


def _with_spaces(text: str) -> str:
    """Replace `+` and unprintable characters by spaces: encoders and excerpts write one for the other."""
    return replace_unprintable(text.replace("+", " "))


@dataclass(frozen=True)
class _Form:
    """A secret or a changed form of it."""

    text: str
    placeholder: str
    literal: str
    """A part that is the same however the form is escaped; "" if it has none."""

    @cached_property
    def _alphanumeric_parts(self) -> list[str]:
        return _ALPHANUMERIC.findall(self.text)

    @cached_property
    def beginning(self) -> str:
        """If a text contains the form without escapes, `_with_spaces` of the text contains this."""
        return _with_spaces(self.text[:_COMPARED_LENGTH])

    def may_be_escaped_in(self, text: str) -> bool:
        if not self._alphanumeric_parts:
            return any(character in text for character in self._first_characters)
        if self.literal == self.text:  # all letters and digits: nothing to escape
            return False
        return all(part in text for part in self._alphanumeric_parts)

    @cached_property
    def _first_characters(self) -> str:
        """The characters with which the form, or an escaped one, may begin. For a form without letters and digits."""
        first = self.text[0]
        return f"{first}\\%&" + (" +" if first == " " or not first.isprintable() else "")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(regex_of(self.text))


@dataclass(frozen=True)
class _Block:
    """A part of a secret, which begins at `start`."""

    secret: str
    start: int
    placeholder: str

    def part_at(self, text: str, position: int) -> tuple[int, int]:
        """Return where the longest part of the secret around this block, which is at `position`, starts and ends."""
        text_before = text[max(0, position - self.start) : position]
        before = common_prefix_length(text_before[::-1], self.secret[: self.start][::-1])
        after = common_prefix_length(text[position : position + len(self.secret)], self.secret[self.start :])
        return position - before, position + after


@dataclass(frozen=True)
class Candidates:
    """The secrets that a text may contain. Longer forms come first: one may contain another. `numbers` are placeholders
    by digits, and `blocks` the blocks of all secrets by their content.
    """

    forms: tuple[_Form, ...] = ()
    numbers: Mapping[str, str] = field(default_factory=dict)
    blocks: Mapping[str, tuple[_Block, ...]] = field(default_factory=dict)

    def of_length(self, least: int) -> Candidates:
        """Return the candidates of at least that length, without numbers."""
        return Candidates(tuple(form for form in self.forms if len(form.text) >= least), {}, self.blocks)

    def replace(self, text: str) -> str:
        for form in self.forms:
            if form.text[:1].isalnum() and form.text[-1:].isalnum():  # a backslash next to it is not part of it
                text = text.replace(form.text, form.placeholder)
            if form.may_be_escaped_in(text):
                text = form.pattern.sub(form.placeholder, text)
        for content, blocks in self.blocks.items():
            position = text.find(content)
            while position >= 0:
                # Secrets may share blocks: take the secret with the longest part here.
                (start, end), placeholder = max(
                    ((block.part_at(text, position), block.placeholder) for block in blocks),
                    key=lambda part: part[0][1] - part[0][0],
                )
                text = text[:start] + placeholder + text[end:]
                position = text.find(content, start + len(placeholder))
        return _NUMBER.sub(lambda found: self.numbers.get(found[0], found[0]), text) if self.numbers else text


def _possible_forms(forms: Sequence[_Form], text: str) -> Sequence[_Form]:
    """Return the forms that a text with their literals may contain."""
    if _ESCAPE.search(text):
        return [form for form in forms if form.literal == form.text or form.may_be_escaped_in(text)]
    unescaped = _with_spaces(text)  # most texts have no escapes, so one comparison is enough
    return [form for form in forms if form.beginning in unescaped]


class SecretMatcher:
    """The secrets to find, with the placeholder of each."""

    def __init__(self) -> None:
        self._forms: defaultdict[str, dict[_Form, None]] = defaultdict(dict)
        """By their literals, which several forms may share."""
        self._blocks: defaultdict[str, dict[_Block, None]] = defaultdict(dict)
        self.numbers: dict[str, str] = {}
        """Placeholders by the digits of numbers."""
        self._added: set[str] = set()
        self._automaton: Any = None
        """Finds the keys of `_forms` and `_blocks` in a text. It is made for the first text that is searched after a
        change.
        """
        self._few_keys: tuple[str, ...] = ()
        """These keys, if there are few of them: then it is faster to look for each of them first."""

    def add(self, secret: str, placeholder: str, *, changed: bool = True) -> None:
        """Add a secret; if it is long enough and `changed` is set, also its changed forms and its parts."""
        if secret in self._added:
            return
        self._added.add(secret)
        self._automaton = None
        forms = [secret]
        if changed and _MIN_LENGTH_CHANGED <= len(secret) <= _MAX_LENGTH_CHANGED:
            forms += changed_forms(secret)
        for text in forms:
            literal = self._literal_of(text)
            self._forms[literal][_Form(text, placeholder, literal)] = None
        if changed and len(secret) >= _MIN_LENGTH_PARTS:
            last = len(secret) - _BLOCK_LENGTH
            for start in (*range(0, last, _BLOCK_LENGTH), last):
                content = secret[start : start + _BLOCK_LENGTH]
                is_at_an_end = start < _ENDS_LENGTH or start > last - _ENDS_LENGTH
                if is_at_an_end and len(set(content)) >= _MIN_CHARACTERS:
                    self._blocks[content][_Block(secret, start, placeholder)] = None

    def _literal_of(self, text: str) -> str:
        """Return the longest sequence of letters and digits in a text that is not yet the literal of many forms
        (`item` may be that of `item 1`, `item 2`, …), or else the longest one; "" if the text has none.
        """
        sequences: set[str] = {each[:_MAX_LITERAL_LENGTH] for each in _ALPHANUMERIC.findall(text)}
        longest_first = sorted(sequences, key=lambda each: (-len(each), each))
        for each in longest_first:
            if len(each) >= _MIN_LITERAL_LENGTH and len(self._forms.get(each, ())) < _MAX_FORMS_OF_LITERAL:
                return each
        return longest_first[0] if longest_first else ""

    def add_number(self, digits: str, placeholder: str) -> None:
        self.numbers.setdefault(digits, placeholder)

    def may_be_in(self, text: str) -> bool:
        """Return whether the text may contain a secret."""
        return (
            "" in self._forms
            or next(self._keys_in(text), None) is not None
            or any(found[0] in self.numbers for found in _NUMBER.finditer(text))
        )

    def _keys_in(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the keys of `_forms` and `_blocks` that the text contains, once for each place. Each comes after its
        number in the order in which the keys were added.
        """
        if self._automaton is None:
            # A library of the extra: without it, the commands still start and say what is missing.
            from ahocorasick import Automaton

            self._automaton = Automaton()
            keys = (*self._forms, *self._blocks)
            for number, key in enumerate(keys):
                if key and key not in self._automaton:
                    self._automaton.add_word(key, (number, key))
            self._automaton.make_automaton()
            self._few_keys = keys if len(keys) <= _FEW_KEYS else ()
        if not self._automaton or (self._few_keys and not any(key in text for key in self._few_keys)):
            return iter(())
        return (numbered_key for _, numbered_key in self._automaton.iter(text))

    def candidates(self, text: str) -> Candidates:
        found = sorted(set(self._keys_in(text)))
        keys = ["", *(key for _, key in found)]  # "": any text may contain a form without a literal
        forms: Sequence[_Form] = [form for key in keys for form in self._forms.get(key, ())]
        if forms:
            forms = _possible_forms(forms, text)
        numbers = {digits for digits in _NUMBER.findall(text) if digits in self.numbers} if self.numbers else ()
        return Candidates(
            tuple(sorted(forms, key=lambda form: -len(form.text))),
            {digits: self.numbers[digits] for digits in numbers},
            {key: tuple(self._blocks[key]) for key in keys if key in self._blocks},
        )

    def replace(self, text: str) -> str:
        return self.candidates(text).replace(text)

    def replace_cut_off(self, text: str) -> str:
        """Mask a secret that the end of the text cuts off, if 4 or more of its characters are left."""
        longest, placeholder = 3, ""
        for form in (form for forms in self._forms.values() for form in forms):
            for written in {form.text, json.dumps(form.text)[1:-1]}:
                for length in range(min(len(written), len(text)), longest, -1):
                    if text.endswith(written[:length]):
                        longest, placeholder = length, form.placeholder
                        break
        return text[:-longest] + placeholder if placeholder else text

    def replace_in_bytes(self, content: bytes) -> bytes:
        """Replace the secrets. All other bytes stay the same, also bytes that are not text."""
        try:
            text = content.decode()
        except UnicodeDecodeError:
            # In bytes that are not UTF-8, a secret may be written in UTF-8 or in latin-1.
            text = self.replace(content.decode("utf-8", "surrogateescape"))
            latin = text.encode("utf-8", "surrogateescape").decode("latin-1")
            return self.replace(latin).encode("latin-1")
        replaced = self.replace(text)
        return content if replaced == text else replaced.encode()
