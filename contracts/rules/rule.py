"""What a rule is. Its words are for the person who reads a report; how it is judged stands in the scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rule:
    """`source`: `doc` for what the reference page of the bulk create states, `api` for the public facts beside it.
    `needs` are the operations without which it cannot be judged at all.
    """

    id: str
    source: Literal["doc", "api"]
    title: str
    explanation: str
    group: str
    needs: tuple[str, ...] = ()
