"""What the mock suggests in place of an unknown name; for paths, the tests of 404s and of matches cover more."""

import pytest

from mockserver.suggestions import NearPaths, closest, did_you_mean, suggestion

NAMES = ("get_run", "list_runs", "list_machines")


def test_the_most_similar_name_is_suggested():
    assert closest("list_rusn", NAMES) == "list_runs"
    assert did_you_mean("list_rusn", NAMES) == "; did you mean 'list_runs'?"
    assert suggestion("list_rusn", NAMES) == "did you mean 'list_runs'?"


def test_two_names_that_are_about_as_similar_are_both_suggested():
    names = ("file_inputs", "input_values", "count")
    assert did_you_mean("inputs", names) == "; did you mean 'file_inputs' or 'input_values'?"
    assert did_you_mean("file_input", names) == "; did you mean 'file_inputs'?"


def test_without_a_similar_name_an_error_lists_what_there_is_or_says_what_to_write():
    assert closest("zzz", NAMES) is None
    assert did_you_mean("zzz", NAMES) == ""
    assert suggestion("zzz", NAMES) == "there are get_run, list_runs, list_machines"
    assert suggestion("zzz", NAMES, "write an operationId") == "write an operationId"


def test_a_name_must_be_as_similar_as_the_caller_asks():
    assert closest("list_pools", ("list_runs",)) == "list_runs"
    assert closest("list_pools", ("list_runs",), 0.85) is None


PATHS = NearPaths(
    [
        ("POST", "/v1/runs/bulk"),
        ("GET", "/v1/runs"),
        ("GET", "/v1/runs/{run_id}"),
        ("DELETE", "/v1/runs/{run_id}"),
        ("POST", "/v1/runs/{run_id}/retry"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("POST", "/v1/runs/bluk", "POST /v1/runs/bulk"),
        ("POST", "/v1/runs/bluk/", "POST /v1/runs/bulk"),
        (None, "/v1/rnus", "/v1/runs"),
        ("PUT", "/v1/rnus", "/v1/runs"),
        ("POST", "/v1/runs/*/rety", "/v1/runs/{run_id}/retry"),
    ],
)
def test_a_misspelled_pattern_is_told_with_the_one_that_is_meant(method: str | None, path: str, meant: str):
    assert str(PATHS.problem(method, path)).endswith(f"did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/runs/bulk"),
        ("POST", "/v1/runs/*"),
        ("POST", "/v1/runs/{run_id}"),
        ("GET", "/v1/runs/bluk"),
        ("HEAD", "/v1/runs/bluk"),
        ("OPTIONS", "/v1/runs/bluk"),
        (None, "/v1/runs/bluk"),
        ("DELETE", "/v1/**"),
    ],
)
def test_a_pattern_that_an_operation_has_is_no_problem(method: str | None, path: str):
    assert PATHS.problem(method, path) is None
    assert PATHS.hint(method, path) is None


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/runs/*"), ("DELETE", "/v1/runs"), ("GET", "/"), (None, "/x")]
)
def test_a_pattern_that_resembles_none_gets_a_hint_only(method: str | None, path: str):
    assert PATHS.problem(method, path) is None
    assert "no operation has" in str(PATHS.hint(method, path))
