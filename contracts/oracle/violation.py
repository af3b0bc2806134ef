"""What a judgement says: which rule is broken, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """`cause` tells one cause from another under one rule; `family` is what stays the same while a request shrinks."""

    rule: str
    cause: str
    expected: str
    got: str
    family: str = ""

    @property
    def dedup_key(self) -> str:
        return self.family or f"{self.rule}: {self.cause}"


def excerpt(content: bytes | str, length: int = 120) -> str:
    """The beginning of a text, short enough for one line."""
    beginning = content[: 4 * (length + 1)]  # of a UTF-8 text that is enough, and an answer may be large
    text = beginning.decode("utf-8", errors="replace") if isinstance(beginning, bytes) else beginning
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= length else text[: length - 1] + "…"
