"""Defects that the suite is not known to find: a visible list, so that none is dropped silently.

Measured on 2026-11-25. `KNOWN_MISSES` fail for sure, and the test says so when one is found after all.
`UNDECIDED` could not be measured fairly, so they count as neither found nor missed; STANDIN_MATRIX=full runs them.
"""

MUTE = {
    "history_holds_secrets": "only shows when a run has ended, and in a transcript no time passes",
    "at_once_makes_two": "only shows when two arrive at once, and a transcript is one after the other",
    "limit_without_retry_after": "shows after two hundred requests, of which one is told",
    "both_bodies_at_once_done": "only shows when two arrive at once",
    "reads_at_once_without_retry_after": "only shows when several arrive at once",
    "creates_limited_without_retry_after": "shows after many creates, of which one is told",
    "burst_of_writes_without_retry_after": "only shows when several arrive at once",
}
"""Defects whose findings do not show when their exchanges are sent one after the other."""

KNOWN_MISSES = {
    "lower_case_basic_passes": "its cases were all sent, and none showed it",
    "include_forgets_tenant": "its cases were all sent, and none showed it",
    "cancel_forgets_tenant": "its cases were all sent, and none showed it",
    "limit_without_retry_after": "its cases were all sent, and none showed it",
    "burst_of_writes_without_retry_after": "its cases were all sent, and none showed it",
}

UNDECIDED = {
    "count_1000_refused": "out of 15 s on a loaded machine",
    "count_wraps_at_32_bits": "out of 15 s on a loaded machine",
    "retry_pools_may_be_text": "out of 15 s on a loaded machine",
    "retry_refuses_null_pools": "out of 15 s on a loaded machine",
    "null_inputs_beside_secrets_refused": "out of 15 s on a loaded machine",
    "clean_up_by_default_with_target_path": "out of 15 s on a loaded machine",
    "retry_file_content_may_be_null": "out of 15 s on a loaded machine",
    "emoji_in_filename_refused": "out of 15 s on a loaded machine",
    "long_alias_refused": "out of 15 s on a loaded machine",
    "empty_file_refused": "out of 15 s on a loaded machine",
    "second_error_names_the_first": "out of 15 s on a loaded machine",
    "many_violations_as_object": "out of 15 s on a loaded machine",
    "nul_in_alias_breaks": "out of 15 s on a loaded machine",
    "odd_token_breaks": "out of 15 s on a loaded machine",
    "line_break_in_filename_breaks": "out of 15 s on a loaded machine",
    "list_body_unmasked": "out of 15 s on a loaded machine",
    "search_finds_secrets": "out of 15 s on a loaded machine",
    "retry_shows_new_secrets": "out of 15 s on a loaded machine",
    "list_shows_secrets": "out of 15 s on a loaded machine",
    "conflict_shows_body": "missed by an earlier engine, not measured since",
}
