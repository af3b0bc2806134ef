"""A violation: which rule is broken, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """`cause` distinguishes the causes of one rule; `family` is a dedup key that stays the same during shrinking."""

    rule: str
    cause: str
    expected: str
    got: str
    family: str = ""

    @property
    def dedup_key(self) -> str:
        return self.family or f"{self.rule}: {self.cause}"


def excerpt(content: bytes | str, length: int = 120) -> str:
    """Return the beginning of a text, short enough for one line."""
    beginning = content[: 4 * (length + 1)]  # at most 4 bytes per character; a whole answer may be large
    text = beginning.decode("utf-8", errors="replace") if isinstance(beginning, bytes) else beginning
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= length else text[: length - 1] + "…"
