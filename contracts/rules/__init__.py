"""The rules of the contract, by id, in the order in which they are told."""

from __future__ import annotations

from typing import Final

from contracts.rules import (
    accepted,
    attachments,
    authorization,
    bulk_answer,
    chains,
    deletes,
    filters,
    http,
    idempotency,
    life,
    lists,
    odd,
    reading,
    requests,
    retries,
    secrets,
    statuses,
    updates,
    windows,
)
from contracts.rules.rule import Rule
from contracts.search import Scenario

_MODULES = (
    requests,
    accepted,
    odd,
    authorization,
    bulk_answer,
    secrets,
    reading,
    windows,
    lists,
    filters,
    updates,
    statuses,
    deletes,
    retries,
    chains,
    life,
    attachments,
    idempotency,
    http,
)

REGISTRY: Final[dict[str, Rule]] = {rule.id: rule for module in _MODULES for rule in module.RULES}
SCENARIOS: Final[tuple[Scenario, ...]] = tuple(scenario for module in _MODULES for scenario in module.SCENARIOS)

__all__ = ["REGISTRY", "SCENARIOS", "Rule"]
