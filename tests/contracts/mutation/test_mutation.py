"""The operators that make mutants, and the counting of what kills them."""

from __future__ import annotations

import ast

import httpx
import pytest

from contracts.core.exchange import Answer, Exchange, Request
from tests.contracts.checks import TOKENS
from tests.contracts.matrix.replay import answers_from
from tests.contracts.mutation import score
from tests.contracts.mutation.operators import Mutant, mutated
from tests.contracts.mutation.operators import mutants as mutants_of
from tests.standin.serving import serving


def changed(source: str, operator: str) -> list[str]:
    found = [each for each in mutants_of("module", source) if each.operator == operator]
    assert all(each.before != each.after for each in found)
    return [mutated(source, each.place) for each in found]


@pytest.mark.parametrize(
    ("operator", "source", "expected"),
    [
        ("turned comparison", "a < b", ["a <= b"]),
        ("turned comparison", "a in b is c", ["a not in b is c", "a in b is not c"]),
        ("moved constant", "a[1]", ["a[2]", "a[0]"]),
        ("moved constant", "f(True)", ["f(False)"]),
        ("swapped and or", "a and b", ["a or b"]),
        ("dropped condition", "a and b and c", ["b and c", "a and c", "a and b"]),
        ("dropped not", "not a", ["a"]),
        ("turned arithmetic", "a + b", ["a - b"]),
        ("dropped branch", "if a:\n    b()\nelse:\n    c()", ["if a:\n    pass\nelse:\n    c()", "if a:\n    b()"]),
        ("one side", "a if b else c", ["a", "c"]),
        ("dropped statement", "a.b = c", ["pass"]),
        ("dropped statement", "f()", ["pass"]),
        ("dropped argument", "f(a, b=c, d=e)", ["f(a, d=e)", "f(a, b=c)"]),
        ("dropped member", "{a: b, c: d}", ["{c: d}", "{a: b}"]),
        ("dropped element", "x = (a, b)", ["x = (b,)", "x = (a,)"]),
        ("dropped filter", "[a for a in b if c if d]", ["[a for a in b if d]", "[a for a in b if c]"]),
        ("swallowed exception", "raise A()", ["pass"]),
    ],
)
def test_an_operator_makes_its_changes_and_no_others(operator: str, source: str, expected: list[str]) -> None:
    assert changed(source, operator) == expected


def test_an_await_stands_between_what_was_read_and_what_is_written() -> None:
    source = "async def f(a):\n    b = a.c\n    a.c = b + 1"
    (changed_source,) = changed(source, "await before a write")
    assert "a.c = ((await asyncio.sleep(0.005),)[0], b + 1)[1]" in changed_source


@pytest.mark.parametrize(
    ("source", "timed"),
    [
        ("a.b = c < d", {"dropped statement": False, "turned comparison": False, "await before a write": True}),
        ("a.started_at = c < d", {"dropped statement": True, "turned comparison": True}),
        ("a = now() + 1", {"turned arithmetic": True}),
        ("wait_s: float = 1", {"moved constant": True}),
        ("async def f():\n    await g(1)\n    return 1", {"moved constant": True}),
        ("async def f():\n    return 1", {"moved constant": False}),
        ("async def f():\n    async def g():\n        await h()\n    return 1", {"moved constant": False}),
        ("class Lifecycle:\n    def f(self):\n        return 1", {"moved constant": True}),
    ],
)
def test_a_change_is_timed_if_it_may_show_only_with_time_or_concurrency(source: str, timed: dict[str, bool]) -> None:
    found = mutants_of("module", source)
    assert {name: {each.timed for each in found if each.operator == name} for name in timed} == {
        name: {expected} for name, expected in timed.items()
    }


@pytest.mark.matrix
def test_a_timed_survivor_is_not_equivalent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "whole_check", lambda url, max_time_s: "survived")
    source = score._source("store")
    by_time = {each.timed: each for each in mutants_of("store", source) if each.operator == "moved constant"}

    verdicts = {timed: score.checked(each, source, (), max_time_s=1)["verdict"] for timed, each in by_time.items()}

    assert verdicts == {True: "survived", False: "equivalent"}


def test_a_text_that_is_not_python_is_refused() -> None:
    source = "def f(a):\n    a.c = 1"
    (mutant,) = (each for each in mutants_of("module", source) if each.operator == "await before a write")
    with pytest.raises(SyntaxError):
        mutated(source, mutant.place)


def test_annotations_decorators_docstrings_and_imports_stay() -> None:
    source = '"""1 < 2"""\nfrom . import a\n\n@a(1)\ndef f(b: a[1]) -> a[2]:\n    """2"""'
    assert mutants_of("module", source) == []


def test_every_change_of_the_stand_in_is_one_of_its_source_and_the_same_each_time() -> None:
    drawn = score.sample(5, seed=3, modules=("models", "store"))
    assert drawn == score.sample(5, seed=3, modules=("models", "store"))
    for mutant, source in drawn:
        original = ast.unparse(ast.parse(score._source(mutant.module)))
        lines = [old == new for old, new in zip(original.splitlines(), source.splitlines(), strict=False)]
        assert not all(lines) or len(original) != len(source), mutant


@pytest.mark.matrix
def test_a_mutant_is_served_in_place_of_the_healthy_module() -> None:
    """One that lets in any scheme of authorization."""
    source = score._source("behaviour")
    (mutant,) = (
        each
        for each in mutants_of("behaviour", source)
        if each.before == "raise self.unauthorized('Only Bearer is understood.')"
    )
    row = score.checked(mutant, mutated(source, mutant.place), (), max_time_s=300)
    assert row["verdict"] == "AUTH-SCHEME"


@pytest.mark.matrix
@pytest.mark.parametrize("module", score.MODULES)
def test_a_module_that_is_made_of_its_own_source_works_as_before(module: str) -> None:
    unchanged = Mutant(module, 0, 1, "none", "", "")
    with score.serving_mutant(unchanged, score._source(module)) as url:
        created = httpx.post(
            f"{url}/v1/runs/bulk",
            json={"workflow_id": "10000000-0000-4000-8000-000000000001", "count": 2},
            headers={"Authorization": f"Bearer {TOKENS[0]}"},
        )

    assert created.status_code == 201
    assert len(created.json()["created_runs"]) == 2


def test_a_module_that_is_imported_from_the_package_is_the_mutated_one() -> None:
    source = score._source("models")
    (mutant,) = (each for each in mutants_of("models", source) if (each.before, each.after) == ("1000", "999"))
    with score.serving_mutant(mutant, mutated(source, mutant.place)) as url:
        answer = httpx.get(f"{url}/v1/runs?limit=1000", headers={"Authorization": f"Bearer {TOKENS[0]}"})

    assert answer.status_code == 422


def test_recorded_requests_that_other_clients_refuse_are_sent_to_a_survivor_too() -> None:
    request = Request("GET", "/v1/runs", (("Authorization", "Bearer "),))
    recorded = Exchange(request, Answer(401, (("content-type", "application/json"),), b"{}"))
    with serving() as url:
        ((status, _, _),) = answers_from(url, [recorded])

    assert status == 401


def test_the_table_counts_what_could_be_killed() -> None:
    known = {f"m:{place}": Mutant("m", place, 7, "operator", "a | b", "b") for place in range(4)}
    verdicts = ("NO-5XX", "survived", "equivalent", "does not start")
    rows = [{"name": name, "verdict": verdict, "s": 1.0} for name, verdict in zip(known, verdicts, strict=True)]

    text = score.table(rows, known, seed=1, max_time_s=60)

    assert "Killed 1 of 2." in text
    assert text.index("| survived |") < text.index("| NO-5XX |")
    assert "`a \\| b`" in text
