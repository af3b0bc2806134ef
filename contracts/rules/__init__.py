"""The rules of the contract by id, in the order in which reports list them, and the scenarios that judge them.

A module with SCENARIOS says what is sent and what is expected. Long ones have a second module: `filter_cases` runs its
cases by `filtered_lists`, and `idempotency` and `refused_requests` have theirs from `idempotency_cases` and
`invalid_bodies`. `live_cases` has those for deployments, which begin with that of `first_create`. The scenarios share

- `writes`, which sends any body, and prepares and cleans up what it needs
- `list_reads` and `list_checks`, which read and judge lists; `isolated_runs`, whose runs one filter finds
- `tracked_run`, a run and its model; `run_events`, cases that change it; `polled_runs` and `ended_runs` until its end
"""

from typing import Any, Final

from contracts.core.findings import Rule
from contracts.engine import Scenario
from contracts.rules import (
    accepted_requests,
    all_runs,
    allowed_by_status,
    attachments,
    authorization,
    beyond_limits,
    chains,
    client_headers,
    concurrency,
    creates,
    deletes,
    end_of_check,
    existing_data,
    filter_cases,
    first_create,
    http_errors,
    idempotency,
    included,
    late_refusals,
    lifecycle,
    lists,
    other_filters,
    other_lists,
    other_resources,
    read_consistency,
    reads_by_id,
    refused_requests,
    retries,
    secrets,
    tenants,
    totals,
    updates,
    value_echo,
)

_MODULES = (
    *(refused_requests, accepted_requests, beyond_limits, late_refusals, authorization, tenants, creates, secrets),
    *(reads_by_id, included, read_consistency, lists, other_lists, filter_cases, other_filters, updates),
    *(allowed_by_status, deletes, retries, chains, value_echo, lifecycle, attachments, idempotency, end_of_check),
    *(all_runs, concurrency, http_errors, client_headers, other_resources, totals, existing_data, first_create),
)

REGISTRY: Final[dict[str, Rule]] = {rule.id: rule for module in _MODULES for rule in getattr(module, "RULES", ())}
SCENARIOS: Final[tuple[Scenario[Any], ...]] = tuple(scenario for module in _MODULES for scenario in module.SCENARIOS)

__all__ = ["REGISTRY", "SCENARIOS"]
