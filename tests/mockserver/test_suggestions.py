"""What the mock suggests in place of an unknown name; for paths, the tests of 404s and of matches cover it."""

from mockserver.suggestions import closest, did_you_mean, suggestion

NAMES = ("get_run", "list_runs", "list_machines")


def test_the_most_similar_name_is_suggested():
    assert closest("list_rusn", NAMES) == "list_runs"
    assert did_you_mean("list_rusn", NAMES) == "; did you mean 'list_runs'?"
    assert suggestion("list_rusn", NAMES) == "did you mean 'list_runs'?"


def test_without_a_similar_name_an_error_lists_what_there_is_or_says_what_to_write():
    assert closest("zzz", NAMES) is None
    assert did_you_mean("zzz", NAMES) == ""
    assert suggestion("zzz", NAMES) == "there are get_run, list_runs, list_machines"
    assert suggestion("zzz", NAMES, "write an operationId") == "write an operationId"


def test_a_name_must_be_as_similar_as_the_caller_asks():
    assert closest("list_pools", ("list_runs",)) == "list_runs"
    assert closest("list_pools", ("list_runs",), 0.85) is None
