"""Judges requests and answers without sending anything: is the request valid, and which rules does its answer break?

The functions have no side effects, except that `judge_create` adds ids to `seen`. The most specific violation comes
first, and one cause yields one violation: a field of the wrong type is not judged further, and neither is the content
of an answer without the documented status, content type and JSON object.
"""

from __future__ import annotations

from contracts.oracle.answer import is_retry_after, universal_violations
from contracts.oracle.answer_schema import (
    ANSWER_RULE,
    SCHEMA_RULE,
    answer_violations,
    has_documented_form,
    is_run,
    wrong_parts,
)
from contracts.oracle.create import Seen, alias_difference, judge_create
from contracts.oracle.included import INCLUDE_RULE, included_violations, pools_of
from contracts.oracle.known_run import CHANGEABLE, RESULTS, KnownRun
from contracts.oracle.operation import CREATES
from contracts.oracle.refusal import (
    acceptance_of_invalid,
    accepts,
    error_violations,
    ignored_properties,
    names_a_fault,
    parameter_error_violations,
    refusal_of_valid,
    refuses,
    rule_of_fault,
)
from contracts.oracle.request import ParsedRequest, is_plain_filename, read_body, read_request
from contracts.oracle.run import (
    STABLE,
    STATUSES,
    TERMINAL,
    can_follow,
    changed_field,
    difference,
    gains_inputs,
    input_difference,
    stable_fields,
    status_schema_error,
    step_violation,
)
from contracts.oracle.run_list import (
    DELETED,
    FOREIGN,
    NEWEST,
    Candidate,
    ListFault,
    Page,
    Query,
    filter_names,
    frame_violations,
    items_in,
    list_faults,
    matches,
    missing_in_words,
    missing_runs,
)
from contracts.oracle.violation import FilterCause, Violation, excerpt, gives_others_too, misses_a_run
from contracts.oracle.wording import answer_in_words, counted, keys_in_words, run_in_words, value_in_words

__all__ = [
    "ANSWER_RULE",
    "CHANGEABLE",
    "CREATES",
    "DELETED",
    "FOREIGN",
    "INCLUDE_RULE",
    "NEWEST",
    "RESULTS",
    "SCHEMA_RULE",
    "STABLE",
    "STATUSES",
    "TERMINAL",
    "Candidate",
    "FilterCause",
    "KnownRun",
    "ListFault",
    "Page",
    "ParsedRequest",
    "Query",
    "Seen",
    "Violation",
    "acceptance_of_invalid",
    "accepts",
    "alias_difference",
    "answer_in_words",
    "answer_violations",
    "can_follow",
    "changed_field",
    "counted",
    "difference",
    "error_violations",
    "excerpt",
    "filter_names",
    "frame_violations",
    "gains_inputs",
    "gives_others_too",
    "has_documented_form",
    "ignored_properties",
    "included_violations",
    "input_difference",
    "is_plain_filename",
    "is_retry_after",
    "is_run",
    "items_in",
    "judge_create",
    "keys_in_words",
    "list_faults",
    "matches",
    "misses_a_run",
    "missing_in_words",
    "missing_runs",
    "names_a_fault",
    "parameter_error_violations",
    "pools_of",
    "read_body",
    "read_request",
    "refusal_of_valid",
    "refuses",
    "rule_of_fault",
    "run_in_words",
    "stable_fields",
    "status_schema_error",
    "step_violation",
    "universal_violations",
    "value_in_words",
    "wrong_parts",
]
