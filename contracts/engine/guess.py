"""Guesses the cause of a violation: what the failing attempt has, and the attempts that passed lack.

A wrong guess is worse than no guess. So there is one only if all of this is true:

- An attempt that passed differs in this place only, and there only in what the guess names: a text in one character, a
  number by one, a list by one item that is like the others.
- No attempt passed although it has what the guess names, and none failed without it.
- The value occurs at no other place of the failing attempt. Otherwise it may matter only that both are equal.
"""

import json
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.common_prefix import common_prefix_length
from contracts.core.counting import counted
from contracts.engine.neighbour import ABSENT, KEY_OF, ComparableRequest, Neighbour, RequestDifference, is_number

_MAX_NAMED: Final = 3
"""The most parts that a guess names."""
_LONG: Final = 3
"""The length of a shorter text says nothing."""
_FEW: Final = 3
_EMPTY: Final[tuple[Any, ...]] = ("", [], {})


Differences = Sequence[RequestDifference]


@dataclass(frozen=True)
class _Guess:
    """`holds` says whether another value of the place, of the same type, is as the words say."""

    words: str
    holds: Callable[[Any], bool]


def guess(nearest: Sequence[Neighbour], failed: Sequence[Neighbour] = ()) -> str:
    """Return, as a question, what the failing request has and its neighbours lack; empty if that is not clear. `failed`
    are other attempts that fail too.

    Only neighbours that differ in one place are compared. If values of a place can be compared, they give the guess.
    Otherwise it names the places that only the failing request has.
    """
    by_place: dict[str, list[RequestDifference]] = {}
    for neighbour in nearest:
        if len(neighbour.differences) == 1:
            by_place.setdefault(neighbour.differences[0].place, []).append(neighbour.differences[0])
    of_failed = [difference for attempt in failed for difference in attempt.differences]
    found = {place: _guess_at(place, by_place[place], nearest, of_failed) for place in by_place}
    guesses = [one.words for place, one in found.items() if one is not None and not _is_refuted(place, one, of_failed)]
    named = guesses[:_MAX_NAMED] or _needed_places(by_place, nearest, of_failed)
    return f"only {' and '.join(named)}?" if named else ""


def _is_refuted(place: str, guessed: _Guess, of_failed: Differences) -> bool:
    """Return whether an attempt failed for which the guess does not hold. Values of another type are not compared,
    since they may contain the failing value.
    """
    differences = [difference for difference in of_failed if difference.place == place]
    return any(
        difference.other is ABSENT or (_has_one_type(difference) and not guessed.holds(difference.other))
        for difference in differences
    )


def _has_one_type(difference: RequestDifference) -> bool:
    one, other = difference.failing, difference.other
    return type(one) is type(other) or (is_number(one) and is_number(other))


# Places that the failing request needs


def _needed_places(
    by_place: Mapping[str, Differences], nearest: Sequence[Neighbour], of_failed: Differences
) -> list[str]:
    """Name the places that only the failing request has, or that are empty in the others."""
    needed = _absent_or_empty_in_others(by_place)
    outermost = [
        place
        for place in by_place
        if place in needed and not any(place != other and _is_inside(place, other) for other in needed)
    ]
    if len(outermost) > _MAX_NAMED:
        return []
    compared = by_place.keys() - needed
    named = [
        place
        for place in outermost
        if not any(_is_inside(other, place) for other in compared)  # what it contains matters
        and not _fails_without(place, of_failed)
    ]
    if named == ["status"]:  # each status has another meaning, and one was tried
        return []
    failing = {place: by_place[place][0].failing for place in named}
    requests = [place for place in named if isinstance(failing[place], ComparableRequest)]
    words = [place for place in requests if not _is_sent_by(place, nearest)]
    parts = [_part_in_words(place, failing[place], of_failed) for place in named if place not in requests]
    if parts:
        words.append(f"with {' and '.join(parts)}{' together' if len(parts) > 1 else ''}")
    return words


def _absent_or_empty_in_others(by_place: Mapping[str, Differences]) -> set[str]:
    """Return the places that all other requests lack, and, apart from these, those that are empty in them."""
    absent = {place for place, found in by_place.items() if all(difference.other is ABSENT for difference in found)}
    return absent | {
        place
        for place, found in by_place.items()
        if _is_empty_in_others(found) and not any(_is_inside(place, one) or _is_inside(one, place) for one in absent)
    }


def _is_empty_in_others(differences: Differences) -> bool:
    failing = differences[0].failing
    is_value = failing is not ABSENT and failing not in _EMPTY
    return is_value and all(difference.other is ABSENT or difference.other in _EMPTY for difference in differences)


def _is_inside(place: str, outer: str) -> bool:
    place = place.removeprefix(KEY_OF)
    return place == outer or place.startswith((f"{outer}.", f"{outer}["))


def _fails_without(place: str, of_failed: Differences) -> bool:
    return any(difference.other is ABSENT and _is_inside(place, difference.place) for difference in of_failed)


def _is_sent_by(place: str, nearest: Sequence[Neighbour]) -> bool:
    """Return whether an attempt passed though it sent the request that the place names."""
    return any(all(one.place != place for one in neighbour.differences) for neighbour in nearest)


def _part_in_words(place: str, value: Any, of_failed: Differences) -> str:
    """Return a place, with its value if that is null, true or false, and no other value was seen to fail. Other values
    are often only those that shrinking has left.
    """
    has_others = any(_is_inside(difference.place, place) for difference in of_failed)
    return f"{place} {json.dumps(value)}" if isinstance(value, bool | None) and not has_others else place


# Values of one place


def _guess_at(place: str, found: Differences, nearest: Sequence[Neighbour], of_failed: Differences) -> _Guess | None:
    """Describe how the failing value of a place differs from those that passed; None if that is not clear."""
    failing = found[0].failing
    if "sensitive" in place and not isinstance(failing, list | dict | str):
        return None  # a report could not mask a part of a number
    if any(one.is_linked for one in found):
        return None
    if is_number(failing):
        if 0 <= failing <= _FEW and not found[0].is_judged:
            return None  # the later requests of the case may need this many
        numbers = [one.other for one in found if is_number(one.other)]
        return _guess_at_number(place, failing, numbers) if numbers else None
    others = [one.other for one in found if type(one.other) is type(failing)]
    if isinstance(failing, str) and place and others:
        return _guess_at_text(place, failing, others)
    if (
        isinstance(failing, list | dict)
        and failing
        and others
        and not any(_differs_inside(f"{place}[", neighbour.differences) for neighbour in nearest)
    ):
        is_of_length = isinstance(failing, dict) or _ends_are_like_others(place, failing, of_failed)
        return _guess_at_length(place, failing, others) if is_of_length else None
    return None


def _guess_at_number(place: str, failing: float, passing: Sequence[float]) -> _Guess | None:
    below = max((one for one in passing if one < failing), default=-math.inf)
    above = min((one for one in passing if one > failing), default=math.inf)
    if failing - below == 1 and above == math.inf:
        return _Guess(f"with {place} above {below:,}", lambda other: bool(other > below))
    if above - failing == 1 and below == -math.inf:
        return _Guess(f"with {place} below {above:,}", lambda other: bool(other < above))
    if failing - below == 1 and above - failing == 1:
        return _Guess(f"with {place} {failing:,}", lambda other: bool(other == failing))
    return None


def _differs_inside(place: str, differences: Differences) -> bool:
    """Return whether an attempt has another value somewhere inside the place, and so the same number of items."""
    return any(difference.place.startswith(place) for difference in differences)


def _ends_are_like_others(place: str, failing: list[Any], of_failed: Differences) -> bool:
    """Return whether the first and the last item each occur twice, or attempts with other ones failed too. Then the
    number of items matters, and not the item that the lists of the other attempts lack.
    """
    return all(
        failing.count(failing[at]) > 1 or _differs_inside(f"{place}[{at}]", of_failed) for at in (0, len(failing) - 1)
    )


def _guess_at_length(place: str, failing: Any, passing: Sequence[Any]) -> _Guess | None:
    """Describe the length of a value that has one part more than all that passed. The characters of a text must be all
    the same.
    """
    longest = max(map(len, passing))
    if len(failing) - longest != 1 or longest == 0:
        return None
    if isinstance(failing, str) and failing != failing[0] * len(failing):
        return None
    noun = "character" if isinstance(failing, str) else "item" if isinstance(failing, list) else "member"
    words = f"with more than {counted(longest, noun)} in {place}"
    return _Guess(words, lambda other: len(other) > longest)


def _guess_at_text(place: str, failing: str, passing: Sequence[str]) -> _Guess | None:
    if "«" in failing:
        is_new = _has_offset(failing) and not any(map(_has_offset, passing))
        return _guess_at_feature(place, "a time zone offset", _has_offset) if is_new else None
    of_length = _guess_at_length(place, failing, passing) if len(failing) > _LONG else None
    if of_length is not None:
        return of_length
    for words, has in _FEATURES.items():
        if has(failing) and not any(map(has, passing)) and any(_differ_only_in(has, failing, one) for one in passing):
            return _guess_at_feature(place, words, has)
    return None


def _has_offset(text: str) -> bool:
    return "+hh:mm" in text


def _guess_at_feature(place: str, words: str, has: Callable[[str], Any]) -> _Guess:
    return _Guess(f"with {words} in {place}", lambda other: bool(has(other)))


def _differ_only_in(has: Callable[[str], Any], failing: str, passing: str) -> bool:
    """Return whether only characters that the feature is about were replaced or removed."""
    start = common_prefix_length(failing, passing)
    end = common_prefix_length(failing[start:][::-1], passing[start:][::-1])
    replaced, new = failing[start : len(failing) - end], passing[start : len(passing) - end]
    if not replaced or len(new) > len(replaced):
        return not failing
    is_one_character = len(unicodedata.normalize("NFC", replaced)) == 1
    return bool(has(replaced)) if is_one_character else all(map(has, replaced))


_FEATURES: Final[Mapping[str, Callable[[str], Any]]] = {
    "an empty text": lambda text: not text,
    "a null character": lambda text: "\0" in text,
    "a line break": lambda text: "\n" in text or "\r" in text,
    "another control character": lambda text: any(ord(c) < 32 or ord(c) == 127 for c in text),
    "a space at an end": lambda text: text != text.strip(),
    "a character outside of the Basic Multilingual Plane": lambda text: any(ord(c) > 0xFFFF for c in text),
    "characters that Unicode normalisation composes": lambda text: unicodedata.normalize("NFC", text) != text,
    "a non-ASCII character": lambda text: not text.isascii(),
    "a quotation mark": lambda text: '"' in text or "'" in text,
    "a backslash": lambda text: "\\" in text,
    "a percent sign": lambda text: "%" in text,
    "an underscore": lambda text: "_" in text,
    "a digit": lambda text: any(c.isdigit() for c in text),
    "a capital letter": lambda text: any(c.isupper() for c in text),
}
