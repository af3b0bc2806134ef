"""A healthy server raises nothing, however it differs where nothing is determined: five seeds each.

Variations that go together are checked together. Of a group's five seeds each judges a fifth of the rules, so that all
are judged; with STANDIN_MATRIX=full every variation by itself and every group is checked whole with each seed.
"""

from collections.abc import Sequence

import pytest

from contracts.core.exchange import Exchange
from contracts.rules import REGISTRY
from tests.contracts.checks import checked
from tests.contracts.sampling import FULL
from tests.standin.serving import serving
from tests.standin.variations import VARIATIONS

SEEDS = (1, 2, 3, 4, 5)
GROUPS = {
    "healthy": "",
    "machines": "picked_machine null_pools_with_machine null_machine_in_session both_start_new_session "
    "input_values_gain_keys counts_later",
    "much": "empty_for_null extra_properties newer_server second_waits",
    "little": "null_for_empty older_server session_has_its_own_machine no_allow no_input_in_errors "
    "machines_show_no_pools",
    "slow": "runs_never_move consecutive_ids coarse_created_at ties_in_any_order",
    "fast": "runs_end_at_once distinct_created_at cancel_fills_error nanoseconds",
    "cancelled": "others_cancel",
    "updates": "running_checks only_cancelled null_in_update_refused cancel_writes_results",
    "statuses": "unauthorized_is_403 bad_json_is_400 undecodable_is_422 key_conflict_is_422 retry_conflict_is_422 "
    "malformed_id_is_404 bulk_path_read_is_404 head_and_options_answered other_wording charset_named",
    "older": "missing_authorization_is_403 bulk_path_read_is_405 keys_are_per_path older_release no_running_checks "
    "other_filters_are_ignored fields_ignored",
    "strict": "strict_scalars limits_are_hard duplicate_names_refused other_content_type_is_415 not_base_64_refused",
    "lenient": "not_finite_is_null any_order",
    "known properties": "unknown_properties_refused",
    "partial": "partial_creates repeats_on_any_path",
    "http": "answers_compressed answers_have_etags ranges_served",
    "existing": "unknown_workflow_refused unknown_machine_refused unknown_pool_refused unknown_session_refused",
    "limited": "rate_limited",
    "bulk only": "bulk_only",
    "bulk only, 405": "bulk_only_405",
    "no changes": "read_only_runs",
    "no delete": "no_delete",
    "runs only": "runs_only",
    "no list": "no_list",
    "few operations": "few_operations resources_are_given",
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("group", GROUPS)
def test_group_of_variations_raises_nothing(group, seed):
    rules = None if FULL else list(REGISTRY)[seed - 1 :: len(SEEDS)]
    assert_nothing_found(GROUPS[group].split(), seed=seed, rules=rules)


@pytest.mark.skipif(not FULL, reason="whole checks of each variation take hours: STANDIN_MATRIX=full")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variation", VARIATIONS)
def test_variation_raises_nothing(variation, seed):
    assert_nothing_found([variation], seed=seed, rules=None)


def assert_nothing_found(variations, *, seed, rules):
    for max_time_s in (120,) if FULL else (3, 15, 75):  # longer where a busy machine has judged nothing in the time
        with serving(None, variations) as url:
            result = checked(url, rules, seed=seed, max_time_s=max_time_s)
        if {rule.status for rule in result.rules} & {"passed", "not_offered"}:
            break
    else:
        pytest.fail("no rule was judged")

    found = [f"{f.rule}: expected {f.expected}, got {f.got}\n{shown(f.exchanges)}" for f in result.findings]
    assert not found, "\n".join(found)
    assert not result.unstable


def shown(exchanges: Sequence[Exchange]) -> str:
    """The exchanges in few lines."""
    lines = []
    for exchange in exchanges:
        body = (exchange.request.body or b"")[:200].decode("utf-8", "replace")
        answer = f"{exchange.answer.status} {exchange.answer.body[:200].decode('utf-8', 'replace')}"
        lines.append(f"{exchange.request.method} {exchange.request.path[:200]} {body}\n    {answer}")
    return "\n".join(lines)
