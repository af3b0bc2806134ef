"""The words of violations: what they say of counts, values, places and answers."""

import json
from typing import Any

import pytest

from contracts.core.counting import counted
from contracts.core.exchange import Answer
from contracts.oracle.run import difference
from contracts.oracle.wording import answer_in_words, keys_in_words, place_in_words, run_in_words

RUN = "0b0e1234-0000-4000-8000-000000000001"


@pytest.mark.parametrize(("number", "words"), [(0, "no runs"), (1, "1 run"), (2, "2 runs"), (2000, "2,000 runs")])
def test_a_count_agrees_with_its_noun(number: int, words: str) -> None:
    assert counted(number, "run") == words


@pytest.mark.parametrize(
    ("wrong", "of", "words"),
    [
        ([0], 1, ""),
        ([0], 3, " only in the first of 3 runs"),
        ([2], 3, " only in the last of 3 runs"),
        ([1], 3, " only in run 2 of 3"),
        ([0, 1, 2], 3, " in all 3 runs"),
        ([256, 257], 258, " in runs 257 to 258 of 258"),
        ([0, 2, 4], 6, " in 3 of 6 runs, the first of them run 1"),
    ],
)
def test_the_place_among_the_runs_of_an_answer(wrong: list[int], of: int, words: str) -> None:
    assert place_in_words(wrong, of) == words


def test_keys_are_quoted_and_counted() -> None:
    assert keys_in_words([" a"]) == 'the key " a"'
    assert keys_in_words(["a", "b", "c", "d", "e"]) == 'the keys "a", "b", "c" and 2 more'


def test_a_run_is_named_with_the_fields_that_matter() -> None:
    assert run_in_words({"id": RUN, "status": "error", "error": None}, ["status", "machine_id"]) == (
        f'run {RUN} (status "error")'
    )


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, {"detail": "Run not found"}, '404 "Run not found"'),
        (
            422,
            {"detail": [{"loc": ["body", "count"], "msg": "too large", "type": "x"}]},
            "422 (body.count: too large)",
        ),
        (
            422,
            {"detail": [{"loc": ["body"], "msg": str(n)} for n in range(3)]},
            "422 (body: 0; body: 1 and 1 more error)",
        ),
        (422, {"detail": [1]}, '422 {"detail": [1]}'),
        (201, {"created_runs": [{}]}, "201 with 1 created run"),
        (200, {"items": [], "total": 7}, "200 with no items, total 7"),
        (200, {"id": RUN, "workflow_id": RUN, "status": "error"}, f"200 with run {RUN} (status error)"),
        (200, {"other": 1}, '200 {"other": 1}'),
        (200, [1], "200 [1]"),
        (204, None, "204 without a body"),
    ],
)
def test_an_answer_in_words(status: int, body: Any, words: str) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    assert answer_in_words(Answer(status, (), content)) == words


def test_no_answer_in_words() -> None:
    assert (
        answer_in_words(Answer(0, (), b"", lost="the connection was closed")) == "no answer: the connection was closed"
    )


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        ({"a": 1.0}, {"a": 1}, "input_values.a 1 instead of 1.0"),
        ({"a": [1, 2]}, {"a": [1]}, "input_values.a with 1 item instead of 2"),
        ({" a": 1}, {"a": 1}, 'input_values without the key " a"'),
        ({}, {"b": 1}, 'input_values with the key "b", too'),
        ({"a": "x" * 300}, {"a": "x" * 255}, "input_values.a with 255 characters instead of 300"),
        (
            {"a": "x" * 300 + "E"},
            {"a": "x" * 300 + "e"},
            'input_values.a "xxxxxe" instead of "xxxxxE" at character 296',
        ),
        (
            {"a": "y" * 100},
            {"a": " " + "y" * 100},
            'input_values.a " yyyyyyyyyyyyyyyyyyy" instead of "yyyyyyyyyyyyyyyyyyyy" at character 1 '
            "(101 characters instead of 100)",
        ),
    ],
)
def test_a_difference_names_the_place_and_both_values(expected: Any, got: Any, words: str) -> None:
    assert difference(expected, got, "input_values") == words
