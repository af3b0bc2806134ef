"""Defects that are found only under some conditions: a visible list, so that none is dropped silently."""

from tests.standin.defects import DEFECTS

_TAKES_TIME = "only shows when runs move on by themselves, and in a replay no time passes"
_LATER = "only shows after thousands of runs or keys, of which few are told"
_AT_ONCE = "only shows when two arrive at once"
NOT_IN_A_REPLAY = {
    **{name: _TAKES_TIME for name, defect in DEFECTS.items() if defect.rule == "LIFECYCLE"},
    "retry_keeps_output_attachments": _TAKES_TIME,
    "output_files_stay": _TAKES_TIME,
    "attachments_stay": "may be found by an output attachment, which only a run that moves on by itself gets",
    "since_is_early": _TAKES_TIME,
    "long_chains_overlap": _TAKES_TIME,
    "second_retry_refused": _TAKES_TIME,
    "chain_does_not_wait_for_its_session": _TAKES_TIME,
    "deleted_at_work_comes_back": _TAKES_TIME,
    "cancel_tells_secret": _TAKES_TIME,
    "output_listed_after_retry": _TAKES_TIME,
    "total_by_type_counts_all": _TAKES_TIME,
    "read_starts_in_seconds": _TAKES_TIME,
    "read_cuts_nanoseconds": "the moments of answers are not compared in a replay",
    "to_is_the_whole_second": "shows for the second in which a run was made, which is another later",
    "total_counts_deleted": "shows in any list once something was deleted, by whomever",
    "ties_change_between_pages": "shows for some runs by their number, which is another on a new server",
    "history_holds_secrets": _TAKES_TIME,
    "retries_at_once_both_done": _AT_ONCE,
    "at_once_makes_two": "only shows when two arrive at once, and a replay is one after the other",
    "limit_without_retry_after": "shows after two hundred requests, of which one is told",
    "both_bodies_at_once_done": _AT_ONCE,
    "reads_at_once_without_retry_after": "only shows when several arrive at once",
    "creates_limited_without_retry_after": "shows after many creates, of which one is told",
    "thousand_keys_kept": _LATER,
    "old_runs_unlisted": _LATER,
    "old_runs_gone": _LATER,
    "old_files_gone": _LATER,
    "skip_ends_at_2048": _LATER,
    "creates_at_once_share_inputs": _AT_ONCE,
    "creates_at_once_lose_one_in_lists": _AT_ONCE,
    "updates_at_once_lose_one": _AT_ONCE,
    "update_is_seen_in_parts": _AT_ONCE,
    "update_brings_back_deleted": _AT_ONCE,
    "reads_at_once_for_the_latest": _AT_ONCE,
    "burst_of_writes_without_retry_after": "only shows when several arrive at once",
}
"""Defects whose findings do not show when their exchanges are sent one after the other."""

NEEDS_A_WHOLE_CHECK = {
    "old_files_gone": "shows after 4,000 runs; a check of its rule alone creates 2,000",
}
"""Defects for which a check of all rules is made."""

NEEDS_LONG_RUNS = {
    "refused_retry_clears": "a run must not end before it is retried, as it would on a busy machine",
}
"""Defects of a stand-in whose runs take longer than usual."""
