"""The rules of the contract by id, in the order in which reports list them, and the scenarios that judge them."""

from typing import Any, Final

from contracts.core.findings import Rule
from contracts.engine import Scenario
from contracts.rules import (
    accepted,
    attachments,
    authorization,
    bulk_answer,
    chains,
    client_headers,
    concurrency,
    created_resources,
    deletes,
    end_of_check,
    filter_cases,
    http,
    idempotency,
    included,
    late_refusals,
    lifecycle,
    lists,
    odd_values,
    other_filters,
    read_consistency,
    reading,
    requests,
    retries,
    secrets,
    statuses,
    updates,
    value_echo,
)

_MODULES = (
    *(requests, accepted, odd_values, late_refusals, authorization, bulk_answer, secrets, reading),
    *(included, read_consistency, lists, filter_cases, other_filters, updates, statuses, deletes, retries),
    *(chains, value_echo, lifecycle, attachments, idempotency, end_of_check, concurrency),
    *(http, client_headers, created_resources),
)

REGISTRY: Final[dict[str, Rule]] = {rule.id: rule for module in _MODULES for rule in getattr(module, "RULES", ())}
SCENARIOS: Final[tuple[Scenario[Any], ...]] = tuple(scenario for module in _MODULES for scenario in module.SCENARIOS)

__all__ = ["REGISTRY", "SCENARIOS"]
