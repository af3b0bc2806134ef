"""The mock in lax agrees with FastAPI and pydantic, request by request: status, what is wrong, where, and the words."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mockserver import Settings, create_app
from tests.mockserver.external import cases
from tests.mockserver.external.asgi import Answer, ask
from tests.mockserver.external.cases import Case
from tests.mockserver.external.reference import create_reference

pytestmark = pytest.mark.matrix

Problem = tuple[str, str]  # loc as JSON, and type


class Verdict(NamedTuple):
    status: int
    problems: frozenset[Problem]
    words: frozenset[tuple[str, str, str]]

    @classmethod
    def from_answer(cls, answer: Answer) -> "Verdict":
        detail = json.loads(answer.body)["detail"] if answer.status >= 400 and answer.body else None
        listed = detail if isinstance(detail, list) else []
        words = {(json.dumps(each["loc"]), each["type"], each["msg"]) for each in listed}
        return cls(answer.status, frozenset((loc, type_) for loc, type_, _ in words), frozenset(words))


class Difference(NamedTuple):
    """A kind of request that the mock treats in another way, and why it should."""

    reason: str
    applies: Callable[[Case, Verdict, Verdict], bool]


DIFFERENCES: list[Difference] = [
    Difference(
        "the mock's own root leads to its page and to the reference of the API",
        lambda case, ours, theirs: case.target.partition("?")[0] == "/" and (ours.status, theirs.status) == (200, 404),
    ),
    Difference(
        "HEAD and OPTIONS are answered on every path, which FastAPI does only where it is told to",
        lambda case, ours, theirs: case.method in ("HEAD", "OPTIONS"),
    ),
    Difference(
        "who asks is settled before the body is read: FastAPI parses a stranger's JSON before it refuses him",
        lambda case, ours, theirs: ours.status == 401 and {type_ for _, type_ in theirs.problems} == {"json_invalid"},
    ),
    Difference(
        "a header is named in lower case, as HTTP/2 has it, not as the document spells it",
        lambda case, ours, theirs: (
            ours.status == theirs.status and ours.problems == {(loc.lower(), type_) for loc, type_ in theirs.problems}
        ),
    ),
    Difference(
        "numbers that are not finite are refused in free-form values too: no JSON could say them back",
        lambda case, ours, theirs: (
            theirs.status < 300 and ours.status == 422 and {type_ for _, type_ in ours.problems} == {"finite_number"}
        ),
    ),
    Difference(
        "nesting past 256 is refused early, so that what was read can always be written",
        lambda case, ours, theirs: ours.status == 400 and b"[" * 257 in case.body,
    ),
    Difference(
        "bytes that are no text are echoed with replacements, where FastAPI fails",
        lambda case, ours, theirs: theirs.status == 500 and ours.status == 422,
    ),
]


def agree(case: Case, ours: Verdict, theirs: Verdict) -> bool:
    """The reference keeps nothing: whatever id a path has it takes, also where the mock knows no such thing (404)."""
    has_id = len(case.target.split("/")) > 3
    return ours[:2] == theirs[:2] or (has_id and ours.status == 404 and 200 <= theirs.status < 300)


class Asked(NamedTuple):
    case: Case
    ours: Verdict
    theirs: Verdict


class Comparison:
    """Sends each case to both."""

    def __init__(self) -> None:
        self._mock = create_app(Settings(coercion="lax", progression="manual", log_level="warning"))
        self._reference = create_reference()
        self._runner = asyncio.Runner()
        self.asked: list[Asked] = []

    def close(self) -> None:
        self._runner.close()

    def compare(self, case: Case) -> None:
        self.asked.append(self._runner.run(self._compare(case)))

    async def _compare(self, case: Case) -> Asked:
        if "{run}" in case.target:
            case = case._replace(target=case.target.replace("{run}", await self._run(case)))
        headers = list(case.headers)
        if case.token:
            headers.append((b"authorization", b"Bearer " + case.token.encode()))
        if case.content_type is not None:
            headers.append((b"content-type", case.content_type.encode()))
        ours = await ask(self._mock, case.method, case.target, headers, case.body)
        try:
            theirs = await ask(self._reference, case.method, case.target, headers, case.body)
        except UnicodeDecodeError:
            theirs = Answer(500, b"")  # the reference fails to write what it echoes
        return Asked(case, Verdict.from_answer(ours), Verdict.from_answer(theirs))

    async def _run(self, case: Case) -> str:
        headers = [(b"authorization", b"Bearer " + case.token.encode()), (b"content-type", b"application/json")]
        made = await ask(self._mock, "POST", "/v1/runs", headers, b'{"workflow_id": "%b"}' % cases.UUID.encode())
        run_id: str = json.loads(made.body)["id"]
        if case.ended:
            await ask(self._mock, "PATCH", f"/v1/runs/{run_id}", headers, b'{"status": "success"}')
        return run_id


@pytest.fixture
def comparison() -> Iterator[Comparison]:
    comparison = Comparison()
    for case in cases.boundary_cases():
        comparison.compare(case)

    @settings(
        max_examples=1500,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases.generated_writes | cases.generated_reads)
    def generate(case: Case) -> None:
        comparison.compare(case)

    generate()
    yield comparison
    comparison.close()


# One test, since the requests take most of a minute.
def test_what_is_refused_and_why_is_the_same_but_for_the_differences_listed_and_in_the_same_words(comparison):
    differing = [each for each in comparison.asked if not agree(*each)]
    counts: Counter[str] = Counter()
    unlisted = []
    for each in differing:
        reason = next((known.reason for known in DIFFERENCES if known.applies(*each)), None)
        if reason is None:
            unlisted.append(each)
        else:
            counts[reason] += 1
    asked = len(comparison.asked)
    print(f"agreement: {asked - len(differing)} of {asked} requests, {1 - len(differing) / asked:.2%}")
    for reason, count in counts.most_common():
        print(f"{count:6} {reason}")

    assert not unlisted, "\n".join(f"{each.case}\n  {each.ours[:2]}\n  {each.theirs[:2]}" for each in unlisted)
    assert asked >= 3000
    assert len(differing) <= asked / 100
    assert counts.keys() == {known.reason for known in DIFFERENCES}
    assert_same_words(comparison)


def assert_same_words(comparison: Comparison) -> None:
    def words(verdict: Verdict, shared: frozenset[Problem]) -> set[Any]:
        return {each for each in verdict.words if each[:2] in shared}

    differing = []
    for case, ours, theirs in comparison.asked:
        shared = ours.problems & theirs.problems
        if words(ours, shared) != words(theirs, shared):
            differing.append((case, words(ours, shared) ^ words(theirs, shared)))

    assert sum(1 for _, ours, theirs in comparison.asked if ours.problems & theirs.problems) > 1000
    assert differing == []
