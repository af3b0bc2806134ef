"""The description of a rule. Its texts are for readers of a report; the scenarios judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.core.findings import Severity
from contracts.rules.severity import SEVERITY_OF
from contracts.rules.value_fields import VALUE_FIELDS


@dataclass(frozen=True, slots=True)
class Rule:
    """`source` is `doc` for what the reference page of the bulk create states, and `api` for other public facts about
    the API. `needs` are the operations without which the rule cannot be judged; of `needs_one_of` one is enough.
    """

    id: str
    source: Literal["doc", "api"]
    title: str
    explanation: str
    group: str
    needs: tuple[str, ...] = ()
    needs_one_of: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        return SEVERITY_OF[self.id]

    @property
    def value_fields(self) -> tuple[str, ...]:
        return VALUE_FIELDS.get(self.id, ())
