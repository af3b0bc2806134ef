"""Each scenario finds the faults that it was made for, under their rule, and nothing on a healthy server."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

import contracts.check
from contracts.core.findings import CheckResult, Finding
from contracts.explore import exploration
from contracts.rules import SCENARIOS
from tests.contracts.checks import checked, first_finding, guarded
from tests.contracts.plain_texts import unclear
from tests.contracts.rules.faults import changes, lifecycles, reads_and_lists, requests, rewrites, stores
from tests.contracts.rules.faults.table import ALL_RUNS, FAULTS, KEPT, KEYS, LATE, SLOW, VALUES, WINDOWS
from tests.contracts.sampling import FULL, by_hash
from tests.standin.behaviour import Standin
from tests.standin.defects import DEFECTS
from tests.standin.models import RunCreate
from tests.standin.serving import serving
from tests.standin.store import Lifecycle
from tests.standin.variations import FieldsIgnored

ONE_OF_EACH = {fault[1]: fault for fault in FAULTS}
"""Scenario → its last fault in the table, which `make test` plants; the first ones tend to take longer to find."""
SOME_OF_EACH = 10
"""How many more faults of a scenario `make matrix` plants; `make full-matrix` plants all."""


def planted() -> Iterator[Any]:
    for faults in by_hash(FAULTS, name=lambda fault: fault[0].__name__, group=lambda fault: fault[1]):
        quick = ONE_OF_EACH[faults[0][1]]
        for fault in faults if FULL else dict.fromkeys((quick, *faults[:SOME_OF_EACH])):
            marks = [pytest.mark.matrix] if fault[1] in SLOW or fault is not quick else []
            yield pytest.param(*fault, id=fault[0].__name__, marks=marks)


def only(scenario: str | tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    names = (scenario,) if isinstance(scenario, str) else scenario
    monkeypatch.setattr(contracts.check, "SCENARIOS", tuple(one for one in SCENARIOS if one.name in names))
    monkeypatch.setattr(exploration, "_PARTS", ())


def result_of(defect: type | None, *variations: str, rules: tuple[str, ...] | None = None) -> CheckResult:
    with serving(defect, variations) as url:
        return checked(url, rules, max_time_s=240)


def found_by_a_check(kind: type) -> Finding | None:
    with serving(kind) as url, guarded(url, max_time_s=240) as guard:
        return first_finding(guard)


@pytest.mark.parametrize(("kind", "scenario", "rule"), list(planted()))
def test_the_scenario_finds_the_fault(
    kind: type, scenario: str | tuple[str, ...], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(scenario, monkeypatch)

    finding = found_by_a_check(kind)
    if finding is None and any(one.attempts > 2 for one in contracts.check.SCENARIOS):
        # What depends on chance may be missed once, as on a busy machine, but not twice.
        finding = found_by_a_check(kind)

    assert finding is not None
    assert finding.rule == rule
    assert finding.exchanges
    assert not list(unclear(finding))


STRICT = ("unknown_workflow_refused", "unknown_machine_refused", "unknown_pool_refused")


@pytest.mark.parametrize(
    ("kind", "scenario", "rule"),
    [
        (reads_and_lists.FieldsHaveNoPools, "lists with selected fields", "READ-BACK"),
        (requests.StepsHaveTheLastWorkflow, "chains", "CHAIN-RULES"),
        (requests.CreatedBeforeItIsRefused, LATE, "REQ-ATOMIC"),
        (requests.FilesOfRefusedCreatesStay, LATE, "REQ-ATOMIC"),
        (requests.ChainBeginsBeforeItIsRefused, LATE, "REQ-ATOMIC"),
        (requests.BareRunOfARefusedChain, LATE, "REQ-ATOMIC"),
        (requests.ClearedBeforeTheRetryIsRefused, LATE, "REQ-ATOMIC"),
    ],
)
def test_the_scenario_finds_the_fault_of_a_server_that_refuses_unknown_ids(
    kind: type, scenario: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(scenario, monkeypatch)

    result = result_of(kind, *STRICT)

    assert rule in {finding.rule for finding in result.findings}


@pytest.mark.matrix
@pytest.mark.parametrize("kind", [None, lifecycles.SessionStopsAtADelete])
def test_a_session_that_does_not_go_on_is_told_and_fails_nothing(
    kind: type | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    only("lifecycles of runs", monkeypatch)

    result = result_of(kind)

    assert not result.findings
    told = [note for note in result.notes if "a session after one of them was changed (delete active) stayed" in note]
    assert len(told) == (kind is not None)


@pytest.mark.parametrize("kind", [None, FieldsIgnored])
def test_a_list_that_ignores_fields_is_told_and_fails_nothing(
    kind: type | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    only("lists with selected fields", monkeypatch)

    result = result_of(kind)

    assert not result.findings
    told = [note for note in result.notes if "other properties than those that `fields` names" in note]
    assert len(told) == (kind is not None)


@pytest.mark.matrix
def test_a_finding_names_the_word_that_a_search_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    only(WINDOWS, monkeypatch)

    result = result_of(reads_and_lists.SearchKnowsTheFirstAlias, rules=("LIST-FILTER",))

    (finding, *_) = result.findings
    *before, listed = finding.exchanges
    word = parse_qs(listed.request.path.partition("?")[2])["search"][0]
    assert any(word.encode() in (exchange.request.body or b"") for exchange in before)


class ListsHaveOnePool(Standin):
    def show(self, run: Any, where: str, index: int = 0, of: int = 1) -> Any:
        shown = super().show(run, where, index, of)
        return shown | {"pool_ids": shown["pool_ids"] and shown["pool_ids"][:1]} if where == "list_runs" else shown


def test_what_only_lists_show_wrongly_makes_no_finding_of_other_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    only("runs seen through every list and read", monkeypatch)

    findings = result_of(ListsHaveOnePool).findings

    assert {finding.exchanges[-1].request.path_without_query for finding in findings} == {"/v1/runs"}
    assert {finding.exchanges[-1].request.method for finding in findings} == {"GET"}


class OthersCreateAndDelete(Standin):
    """No fault: after each list, another client of the organisation deletes its oldest run and creates one."""

    def list_runs(self, call: Any, query: Any) -> Any:
        answer = super().list_runs(call, query)
        theirs = [run for run in call.org.runs.values() if run.session_alias == "of another client"]
        if theirs:
            self.forget(call.org, theirs[0])
        body = RunCreate(workflow_id=uuid.uuid4(), session_alias="of another client")
        for index in range(1 if theirs else 5):
            self.run_made(call, body, index, 5, None, self.created_at(call.org))
        return answer


def test_lists_of_all_runs_that_another_client_changes_meanwhile_are_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(("lists without filters", "lists in pages", *ALL_RUNS), monkeypatch)

    result = result_of(OthersCreateAndDelete, rules=("LIST-PAGE", "LIST-COMPLETE"))

    assert not result.findings
    assert not result.unstable


class UpdatesLeakSecrets(Standin):
    """The answer to the last update of an ended run has the secrets of all runs."""

    def update_run(self, call: Any, run_id: str, body: Any) -> Any:
        answer = super().update_run(call, run_id, body)
        if "late" in (body.output_data or {}):
            return replace(answer, headers={"x-debug": json.dumps(list(call.org.vault.values()))})
        return answer


def test_an_update_whose_answer_leaks_a_secret_is_known_when_the_run_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(KEPT, monkeypatch)

    result = result_of(UpdatesLeakSecrets)

    assert {finding.rule for finding in result.findings} == {"SECRET-LEAK"}


class KeysOfTheLast400Writes(requests.KeysOfTheLastFiftyWrites):
    kept = 400


@pytest.mark.matrix
def test_a_key_that_is_forgotten_is_not_said_to_repeat_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    only(KEYS, monkeypatch)

    result = result_of(KeysOfTheLast400Writes)

    assert {finding.rule for finding in result.findings} == {"IDEM-REPLAY"}


class PagesOverlap(Standin):
    """The second page of 1000 begins two runs early, so that two runs are on two pages, and two on none."""

    def page(self, found: Any, query: Any) -> Any:
        page = super().page(found, query)
        return page if query.skip < 1000 else [*found[998:1000], *page[2:]]


def test_pages_that_overlap_are_not_said_to_lose_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    only(("creates with each feature", "all runs listed"), monkeypatch)

    result = result_of(PagesOverlap)

    assert {finding.rule for finding in result.findings} == {"LIST-PAGE"}


@pytest.mark.matrix
@pytest.mark.parametrize(
    "name", [name for name, defect in DEFECTS.items() if defect.kind.__module__.endswith(".values")]
)
def test_values_of_every_class_find_the_change_of_one_class(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(VALUES, monkeypatch)

    with serving(name) as url, guarded(url, max_time_s=240) as guard:
        finding = first_finding(guard, DEFECTS[name].rules)

    assert finding is not None


@pytest.mark.matrix
@pytest.mark.parametrize("defect", [None, "pages_end_at_thousand"])
def test_reading_lists_of_over_1000_runs_has_a_bound_in_requests(
    defect: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server whose pages beyond the first 1000 runs are empty, too."""
    only(("lists in pages", *ALL_RUNS), monkeypatch)

    with serving(defect) as url, guarded(url, max_time_s=120) as guard:
        result = contracts.check.check(guard.target, guard, rules=("LIST-PAGE", "LIST-COMPLETE"))

    assert bool(result.findings) == (defect is not None)
    assert guard.spent.requests < 4000


class KeysAtOnceRefused(Standin):
    """Refuses all requests that are sent together under an idempotency key: the first waits for another, up to 2 s."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.in_progress: Counter[str] = Counter()
        self.met: set[str] = set()

    async def once(self, call: Any, handle: Any) -> Any:
        if not call.key:
            return await super().once(call, handle)
        self.in_progress[call.key] += 1
        if self.in_progress[call.key] > 1:
            self.met.add(call.key)
        try:
            for _ in range(200):
                if call.key in self.met:
                    return self.refused(422, "One at a time.", {}, call.path)
                await asyncio.sleep(0.01)
        finally:
            self.in_progress[call.key] -= 1
        return await super().once(call, handle)


@pytest.mark.matrix
def test_concurrent_requests_are_inconclusive_if_none_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only("idempotency keys repeated concurrently", monkeypatch)

    result = result_of(KeysAtOnceRefused, rules=("IDEM-REPLAY",))

    assert not [note for note in result.notes if "could not be judged" in note]
    (rule,) = (rule for rule in result.rules if rule.id == "IDEM-REPLAY")
    assert "answers 422 when sent together" in rule.why


def test_concurrent_updates_of_a_property_that_the_server_does_not_know_lose_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only("requests at the same moment", monkeypatch)

    result = result_of(None, "older_release", rules=("UPDATE-PARTIAL",))

    assert not result.findings
    assert not result.unstable


WHERE_ALL_MUST_EXIST = ("unknown_workflow_refused", "unknown_session_refused", "unknown_machine_refused")


@pytest.mark.matrix
@pytest.mark.parametrize("scenario", [WINDOWS, "lists with filters", "lists in pages", "updates"])
def test_the_scenario_finds_nothing_where_no_id_can_be_made_up(scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(scenario, monkeypatch)

    result = result_of(None, *WHERE_ALL_MUST_EXIST)

    assert not result.findings
    assert not result.unstable


@pytest.mark.matrix
@pytest.mark.parametrize(
    "variations",
    [(), ("runs_end_at_once", "cancel_fills_error"), ("running_checks", "coarse_created_at", "ties_in_any_order")],
)
@pytest.mark.parametrize("scenario", sorted({scenario for _, scenario, _ in FAULTS}, key=str))
def test_the_scenario_finds_nothing_on_a_healthy_server(
    scenario: str | tuple[str, ...], variations: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    only(scenario, monkeypatch)

    result = result_of(None, *variations)

    assert not result.findings
    assert not result.unstable
    assert not [note for note in result.notes if not note.startswith("Not sent: ")]  # a count that the guard holds back


class FirstRunsEndAtOnce(Standin):
    """The first run of a session ends at once, and the next one waits. Runs without a session take their time."""

    class Lifecycle(Lifecycle):
        def __init__(self, *args):
            super().__init__(*args)
            self.first_of = {}

        def is_quick(self, run):
            return bool(run.session_id) and self.first_of.setdefault(run.session_id, run.id) == run.id

        def wait_s(self, run):
            return 0.0 if self.is_quick(run) else 30.0

        def work_s(self, run):
            return 0.0 if self.is_quick(run) else 30.0


def test_a_run_that_ends_before_the_others_of_its_session_may_be_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    only("retries too early", monkeypatch)

    result = result_of(FirstRunsEndAtOnce)

    assert not result.findings
    assert not result.unstable


@pytest.mark.parametrize(
    ("kind", "scenario", "rule", "cause"),
    [
        (changes.OneReadAfterAnUpdateIsStale, "updates", "UPDATE-PARTIAL", "reads differently"),
        (requests.OneReadIsOfAnotherRun, "large creates read run by run", "READ-BACK", "another resource"),
        (requests.OneReadIsUnauthorized, "updates", "REQ-ACCEPT", "a valid token is refused"),
        (reads_and_lists.OneRunIsUnlisted, "lists in pages", "LIST-COMPLETE", "a created run is not listed"),
        pytest.param(
            lifecycles.OneSessionRunsTwo,
            "lifecycles of runs",
            "LIFECYCLE",
            "two runs of a session run at a time",
            marks=pytest.mark.matrix,  # the runs work for so long that a busy machine meets both
        ),
        pytest.param(
            requests.KeyOfARetryEndsWithTheRun, KEYS, "IDEM-REPLAY", "an old key is forgotten", marks=pytest.mark.matrix
        ),
    ],
)
def test_what_one_answer_proves_is_a_finding_though_it_does_not_happen_again(
    kind: type, scenario: str | tuple[str, ...], rule: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(scenario, monkeypatch)

    with serving(kind) as url:
        result = checked(url, {rule}, max_time_s=60)

    (finding,) = result.findings
    assert (finding.rule, finding.stable, finding.intermittent) == (rule, False, True)
    assert cause in finding.cause
    assert result.verdict == "failed"


def test_a_total_that_counts_another_run_now_and_then_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    only("deletes", monkeypatch)

    with serving(stores.TotalIsReadLater) as url:
        result = checked(url, {"DELETE-GONE"}, max_time_s=60)

    assert result.verdict == "passed"


class AttachmentsAreReplaced(Standin):
    """Now and then an attachment is deleted before a read of the list, and another is created after it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.reads = 0

    def list_run_attachments(self, call: Any, query: Any) -> Any:
        answer = super().list_run_attachments(call, query)
        self.reads += 1
        if self.reads % 5 == 0:
            answer.content["total"] -= 1
        return answer


class WorkflowsAreReplaced(Standin):
    """Before the first read of a second page, a workflow is created, which moves the others, and another is deleted."""

    is_moved = False

    def list_workflows(self, call: Any, query: Any) -> Any:
        if query.skip and not self.is_moved:
            self.is_moved = True
            query = query.model_copy(update={"skip": query.skip - 1})
        return super().list_workflows(call, query)


def test_a_list_that_is_changed_and_changed_back_between_reads_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    only("pages of other lists", monkeypatch)

    result = result_of(AttachmentsAreReplaced)

    assert result.findings == result.unstable == ()


def test_an_item_that_moves_to_the_next_page_meanwhile_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    only("order of other lists", monkeypatch)

    result = result_of(WorkflowsAreReplaced)

    assert result.findings == result.unstable == ()


def test_filters_that_a_target_ignores_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    only("filters of other lists", monkeypatch)

    with serving(variations=("other_filters_are_ignored",)) as url:
        result = checked(url, {"LIST-FILTER"}, max_time_s=60)

    assert result.findings == ()


def test_no_scenario_at_the_beginning_seems_to_be_at_the_end_by_its_name() -> None:
    """The progress shows the names."""
    assert not [scenario.name for scenario in SCENARIOS if "at the end:" in scenario.name]


def test_a_refused_page_is_shown_with_a_valid_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with limit 0 is refused too, but rightly."""
    only("single pages", monkeypatch)

    result = result_of(rewrites.SearchBeyondTheWindowIsRefused)

    (finding,) = result.findings
    assert "limit=0" not in finding.exchanges[-1].request.path


class ListsEverything(Standin):
    """Ignores all filters, as a server does whose author has not come to them yet."""

    def matches(self, run: Any, query: Any) -> bool:
        return True


def test_a_server_that_ignores_filters_is_not_blamed_for_the_runs_of_other_cases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(("creates with each feature", "secrets in accepted requests"), monkeypatch)

    result = result_of(ListsEverything, rules=("BULK-COUNT", "SECRET-LEAK"))

    assert [finding.summary for finding in (*result.findings, *result.unstable)] == []
    assert {rule.status for rule in result.rules} == {"passed"}
