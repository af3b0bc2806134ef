"""Each scenario finds the faults that it was made for, under their rule, and nothing on a healthy server."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import pytest

import contracts.check
from contracts.core.findings import CheckResult
from contracts.explore import exploration
from contracts.rules import SCENARIOS
from tests.contracts.checks import checked, first_finding, guarded
from tests.contracts.plain_texts import unclear
from tests.contracts.rules.faults import changes, combinations, lifecycles, reads_and_lists, requests, resources
from tests.standin.behaviour import Standin
from tests.standin.defects import DEFECTS
from tests.standin.models import RunCreate
from tests.standin.serving import serving

WINDOWS = "runs seen through every list and read"
RESOURCES = "runs with their resources"
KEPT = "runs created to be read again at the end", "large creates read run by run", "runs read again at the end"
CREATED = "created pools and workflows"
STATUSES = "runs in every status"
KEYS = "idempotency keys first used, to be used again at the end", "idempotency keys used again after many others"
ALL_RUNS = "single pages", "all runs listed at the end"
MANY = "many changes of one run"
TENANTS = "access by another organisation"
NOTATIONS = "filters in other notations"
LATE = "writes that are refused late"
HEADERS = "headers of common clients"
VALUES = "values of every class"
EACH = "creates with each feature"
SLOW = {WINDOWS, "lists with filters", "lists with filters combined", "lifecycles of runs", KEYS, MANY}
"""Scenarios that need seconds to come to the fault."""
FAULTS: list[tuple[type, str | tuple[str, ...], str]] = [
    (combinations.TooManyParameters, EACH, "NO-5XX"),
    (combinations.StatusFoundInInputs, "lists with filters", "LIST-FILTER"),
    (combinations.HexSearchIsForIds, "lists with filters", "LIST-FILTER"),
    (combinations.IdSearchIgnoresFilters, "lists with filters combined", "LIST-FILTER"),
    (combinations.FieldsForgetStatus, "lists with filters combined", "LIST-FILTER"),
    (combinations.IncludeForgetsUntil, "lists with filters combined", "LIST-FILTER"),
    (combinations.MachineOutsidePoolsRefused, EACH, "REQ-ACCEPT"),
    (combinations.CancelWithErrorDropsOutput, "updates", "UPDATE-PARTIAL"),
    (combinations.CreateTakesCreatedAt, EACH, "BULK-INITIAL"),
    (combinations.SingleTakesCount, EACH, "CREATE-ANSWER"),
    (combinations.UpdateMovesOrganisation, "runs given to another organisation", "AUTH-TENANT"),
    (combinations.RetryAliasResetsRelease, "retries", "RETRY-RULES"),
    (combinations.ThreeFiltersForgetMachine, "lists with filters combined", "LIST-FILTER"),
    (combinations.BraceInSecretNameFails, VALUES, "NO-5XX"),
    (combinations.UpdateTakesMachine, "updates", "UPDATE-PARTIAL"),
    (combinations.RetryTakesOutput, "retries", "RETRY-RULES"),
    (combinations.ReadInCapitalsEchoes, "ids in other forms", "READ-BACK"),
    (combinations.DeleteInCapitalsDoesNothing, "ids in other forms", "DELETE-GONE"),
    (combinations.EndedAtOverflows, "values beyond the limits", "NO-5XX"),
    (combinations.UnknownIncludeFails, "unusual queries", "NO-5XX"),
    (combinations.BracesFilledIn, "secrets in accepted requests", "SECRET-LEAK"),
    (combinations.RetriesAtOnceShareInputs, "requests at the same moment", "RETRY-RULES"),
    (combinations.UnsignedJwt, "missing and invalid credentials", "AUTH-TOKEN"),
    (combinations.RetryMovesToSessionsOwner, TENANTS, "AUTH-TENANT"),
    (combinations.TargetPathTemplate, "secrets in accepted requests", "SECRET-LEAK"),
    (combinations.AttachmentsByName, "attachments", "ATTACHMENTS"),
    (combinations.AttachmentRunIdAsWritten, "ids in other forms", "LIST-FILTER"),
    (combinations.DigitsLoseZeros, "lists with filters", "LIST-FILTER"),
    (combinations.PoolsBeforeMachine, RESOURCES, "READ-INCLUDE"),
    (combinations.ChainsAtOnce, "requests at the same moment", "CHAIN-RULES"),
    (combinations.ReuseFalseBeatsSession, "retries", "RETRY-RULES"),
    (combinations.LargeInputsWrittenOnce, "retries", "RETRY-RULES"),
    (combinations.SameStatusReturnsEarly, "updates", "UPDATE-PARTIAL"),
    (combinations.KeyEndsAtComma, "two idempotency keys", "IDEM-REPLAY"),
    (combinations.ReplayRoundsIntegers, "idempotency keys repeated", "IDEM-REPLAY"),
    (combinations.LaterPagesFromSnapshot, "single pages", "DELETE-GONE"),
    (combinations.ResultWindow, "unusual queries", "NO-5XX"),
    (lifecycles.SessionsByMachine, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.AliasGoesFirst, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.RetryOfStarterBeginsAnew, "lifecycles of runs", "LIFECYCLE"),
    (reads_and_lists.ReadTrimsAlias, WINDOWS, "READ-BACK"),
    (reads_and_lists.ListLowersNamesOfSecrets, WINDOWS, "READ-BACK"),
    (reads_and_lists.ReadShowsTenAttachments, WINDOWS, "READ-BACK"),
    (reads_and_lists.ReadShowsNinetyAttachments, WINDOWS, "READ-BACK"),
    (reads_and_lists.ListRoundsMoments, WINDOWS, "READ-BACK"),
    (reads_and_lists.IncludeLosesInputs, WINDOWS, "READ-BACK"),
    (resources.FirstMachineIncluded, RESOURCES, "READ-INCLUDE"),
    (resources.IncludedPoolsHaveTheMachinesName, RESOURCES, "READ-INCLUDE"),
    (reads_and_lists.MachineFilterKeepsTheFirst, WINDOWS, "LIST-FILTER"),
    (reads_and_lists.SearchRemembersInputs, WINDOWS, "LIST-FILTER"),
    (reads_and_lists.CancelDropsFiles, WINDOWS, "UPDATE-PARTIAL"),
    (reads_and_lists.CancelEmptiesAlias, WINDOWS, "UPDATE-PARTIAL"),
    (reads_and_lists.RetriedStepLeavesSession, WINDOWS, "RETRY-RULES"),
    (reads_and_lists.UpdateOfRetriedLost, WINDOWS, "UPDATE-PARTIAL"),
    (reads_and_lists.RetriedUnlistedByActivity, WINDOWS, "LIST-COMPLETE"),
    (changes.DeletedCountedBySession, "deletes", "DELETE-GONE"),
    (requests.SessionsOfAllCounted, TENANTS, "AUTH-TENANT"),
    (requests.SessionsOfAllInOneTable, TENANTS, "NO-5XX"),
    (requests.ListsByStatusAreCachedForAll, TENANTS, "AUTH-TENANT"),
    (requests.AttachmentsOfAllCounted, TENANTS, "AUTH-TENANT"),
    (requests.TotalIsOneMore, TENANTS, "LIST-PAGE"),
    (lifecycles.CancelOfAWaitingRunStartsTheNext, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.DeleteOfAWaitingRunStartsTheNext, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.SessionWaitsNotForItsFirstRun, "lifecycles of runs", "LIFECYCLE"),
    (resources.MachinesOfAllOrganisationsPicked, "machines picked from pools", "BULK-ECHO"),
    (resources.AnyMachinePicked, "machines picked from pools", "BULK-ECHO"),
    (reads_and_lists.AttachmentsOfOthersCounted, "pages of other lists", "LIST-PAGE"),
    (reads_and_lists.FractionsAreMicroseconds, "lists with filters", "LIST-FILTER"),
    (changes.NullLeavesTheSession, "retries", "RETRY-RULES"),
    (changes.RetryKeepsGivenOutputs, "retries", "RETRY-RULES"),
    (changes.RefusedRetryAddsFiles, STATUSES, "RETRY-RULES"),
    (changes.FilesOfARetryStay, "deletes", "DELETE-GONE"),
    (reads_and_lists.SearchJoinsValues, "lists with filters", "LIST-FILTER"),
    (resources.IncludesOfTheFirstPage, RESOURCES, "READ-INCLUDE"),
    (resources.PoolIncludedForEachMachine, RESOURCES, "READ-INCLUDE"),
    (requests.LastOfFullChunkLost, "creates of every count", "BULK-COUNT"),
    (changes.RefusedStatusChangesTheRest, "updates", "UPDATE-PARTIAL"),
    (reads_and_lists.ActivityIsNewestFirst, "lists with filters", "LIST-PAGE"),
    (changes.RunningRunsRetried, STATUSES, "RETRY-RULES"),
    (changes.FailedTasksNotRetried, STATUSES, "RETRY-RULES"),
    (changes.RefusedRetryClears, STATUSES, "RETRY-RULES"),
    (changes.SuccessCancelled, STATUSES, "LIFECYCLE"),
    (changes.RunningRunsNotCancelled, STATUSES, "UPDATE-PARTIAL"),
    (changes.RunningRunsNotCancelled, "lifecycles of runs", "UPDATE-PARTIAL"),
    (changes.RunningRunsStay, STATUSES, "DELETE-GONE"),
    (changes.ErrorMeansFailedToo, STATUSES, "LIST-FILTER"),
    (lifecycles.ChainJoinsInFront, "lifecycles of runs", "LIFECYCLE"),
    (requests.DeletesAtOnceUnlistAnother, "requests at the same moment", "LIST-COMPLETE"),
    (lifecycles.OldWorkEndsARetriedRun, "lifecycles of runs", "RETRY-RULES"),
    (lifecycles.RetriedRunsKeepTheirTimes, "lifecycles of runs", "LIFECYCLE"),
    (changes.SecondRetryKeepsOutput, "retries", "RETRY-RULES"),
    (changes.RetryKeepsPools, "retries", "RETRY-RULES"),
    (changes.RetryLosesAlias, "retries", "RETRY-RULES"),
    (changes.RetryIgnoresEmptyInputs, "retries", "RETRY-RULES"),
    (resources.ListsOfResourcesAreCached, "created pools and workflows", "READ-BACK"),
    (changes.RetryLosesPools, "retries", "RETRY-RULES"),
    (requests.KeyOfARefusedWriteIsStuck, "idempotency keys of invalid writes", "IDEM-REPLAY"),
    (resources.FieldsLeaveOutIncluded, RESOURCES, "READ-INCLUDE"),
    (resources.IncludedOfTheFirstTen, RESOURCES, "READ-INCLUDE"),
    (reads_and_lists.PageOfActiveAndEndedIsShort, "single pages", "LIST-PAGE"),
    (changes.RetryKeepsSessionOfStarter, "retries", "RETRY-RULES"),
    (changes.RetryAlwaysReusesSession, "retries", "RETRY-RULES"),
    (changes.DeletedFoundInDeepSearch, "deletes", "DELETE-GONE"),
    (changes.DeletedCancelled, "deletes", "DELETE-GONE"),
    (requests.SharedFilesOnFirstStep, "chains", "CHAIN-RULES"),
    (resources.AttachmentTotalOfPage, "attachments", "ATTACHMENTS"),
    (resources.CleanUpLostInBulk, "attachments", "ATTACHMENTS"),
    (resources.UnknownSignaturesFail, "attachments", "NO-5XX"),
    (lifecycles.EndsBeforeItStarts, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.OtherWorkflowsSucceedWithErrors, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.ListShowsOldStatus, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.CancelledAtWorkGoesOn, "lifecycles of runs", "LIFECYCLE"),
    (reads_and_lists.SessionHidesWorkflow, "lists with filters combined", "LIST-FILTER"),
    (reads_and_lists.SearchFindsNamesOfFiles, "lists with filters", "LIST-FILTER"),
    (reads_and_lists.SearchFindsNoNumbers, "lists with filters", "LIST-FILTER"),
    (resources.RetryCutsFiles, "attachments", "ATTACHMENTS"),
    (reads_and_lists.BeginningOfAnIdIsEnough, "unknown ids", "READ-UNKNOWN"),
    (reads_and_lists.FieldsHideLastOfPage, "pages with filters", "LIST-PAGE"),
    (changes.UsageEmptiesAlias, "updates", "UPDATE-PARTIAL"),
    (lifecycles.UpdatesAtWorkLost, "lifecycles of runs", "UPDATE-PARTIAL"),
    (changes.SameBytesDeletedTogether, "deletes", "DELETE-GONE"),
    (reads_and_lists.LastEndedComesFirst, "single pages", "LIST-PAGE"),
    (changes.RetryFreesEqualFiles, "retries", "RETRY-RULES"),
    (changes.NullClearsAliasOfARetry, "retries", "RETRY-RULES"),
    (changes.RetryGoesBackToTheFirstAlias, "retries", "RETRY-RULES"),
    (requests.LongKeysIgnored, "idempotency keys repeated", "IDEM-REPLAY"),
    (requests.KeysComparedUpTo512Characters, "two idempotency keys", "IDEM-REPLAY"),
    (lifecycles.ChecksCountAsEnded, "lifecycles of runs", "LIST-PAGE"),
    (lifecycles.CancelOfARunningRunStartsTheRest, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.EndedSessionIsForgotten, "lifecycles of runs", "LIFECYCLE"),
    (lifecycles.RetriedRunsJoinAtOnce, "lifecycles of runs", "LIFECYCLE"),
    (reads_and_lists.FieldsHaveNoErrors, "lists with selected fields", "READ-BACK"),
    (reads_and_lists.FieldsHaveNoPools, "lists with selected fields", "READ-BACK"),
    (resources.RetryKeepsThePickedMachine, "machines picked from pools", "BULK-ECHO"),
    (resources.ListedForEachPool, RESOURCES, "LIST-COMPLETE"),
    (reads_and_lists.SearchIsCut, "lists with filters", "LIST-FILTER"),
    (lifecycles.FilesAreCleanedUp, "lifecycles of runs", "ATTACHMENTS"),
    (resources.NewPoolsHaveAllMachines, CREATED, "READ-BACK"),
    (resources.WebhooksAreNotEnabled, CREATED, "READ-BACK"),
    (changes.OutputsAreSorted, "updates", "UPDATE-PARTIAL"),
    (reads_and_lists.CapitalsFindNothing, NOTATIONS, "LIST-FILTER"),
    (reads_and_lists.OnlyTrueInLowerCaseIsTrue, NOTATIONS, "LIST-FILTER"),
    (reads_and_lists.ShortWordsFindNothing, "lists with filters", "LIST-FILTER"),
    (reads_and_lists.AttachmentsOfCancelledRunsUnlisted, WINDOWS, "UPDATE-PARTIAL"),
    (resources.IncludedOnceForAName, RESOURCES, "READ-INCLUDE"),
    (resources.IncludedMachinesHaveNoPools, RESOURCES, "READ-INCLUDE"),
    (requests.HealthNeedsAToken, "health without credentials", "AUTH-REQUIRED"),
    (requests.NamesInAnyCase, "invalid requests", "REQ-WORKFLOW"),
    (requests.MachineIdsMayGoOn, "invalid requests", "REQ-TYPES"),
    (requests.FirstPartOfARefusedCreateStays, LATE, "REQ-ATOMIC"),
    (requests.FilesAreDecodedAfterTheRunsAreCreated, LATE, "REQ-ATOMIC"),
    (requests.MachineOfTheFirstFifty, "creates with each feature", "BULK-ECHO"),
    (requests.ListsByMachineAndStatusShowAll, TENANTS, "AUTH-TENANT"),
    (requests.BackslashesAreUnescaped, "values of every class", "BULK-ECHO"),
    (resources.PoolGetsTheFirstMachine, "created pools and workflows", "READ-BACK"),
    (resources.DownloadsAreCached, "deletes", "DELETE-GONE"),
    (resources.FilesAreKnownByTheirBeginning, "attachments", "ATTACHMENTS"),
    (resources.RetriesStartNoSession, "retries", "RETRY-RULES"),
    (resources.ListsOfAttachmentsAreCached, "deletes", "DELETE-GONE"),
    (resources.ListsOfAttachmentsAreCached, "retries", "RETRY-RULES"),
    (reads_and_lists.SkipIsIgnoredBesideSearch, "pages with filters", "LIST-PAGE"),
    (resources.SecretsOfTheLastRetryAreSearched, "secrets in accepted requests", "SECRET-LEAK"),
    (changes.RefusedUpdatesTakeOutputThatWasLeftOut, "invalid requests", "REQ-ATOMIC"),
    (changes.RetriesCopyRuns, ("retries", "all runs listed at the end"), "LIST-COMPLETE"),
    (reads_and_lists.SkipWrapsAt32Bits, "single pages", "LIST-PAGE"),
    (lifecycles.ErrorsOfTheWorkAreNotSearched, "lifecycles of runs", "LIST-FILTER"),
    (lifecycles.TypeNeedsARun, "lifecycles of runs", "ATTACHMENTS"),
    (resources.CreatedWorkflowsForgotten, CREATED, "READ-BACK"),
    (resources.NewPoolsUnlisted, CREATED, "READ-BACK"),
    (resources.DescriptionOfPoolsLost, CREATED, "READ-BACK"),
    (resources.NamesOfWorkflowsInAscii, CREATED, "READ-BACK"),
    (resources.MachinesNotAdded, CREATED, "READ-BACK"),
    (resources.AddedMachinesReplaceOthers, CREATED, "READ-BACK"),
    (resources.MachinesLoseTheirOtherPools, CREATED, "READ-BACK"),
    (resources.PickedFromTheFirstPool, "machines picked from pools", "BULK-ECHO"),
    (resources.FilesOfASessionAreKeptByName, "attachments of one name", "ATTACHMENTS"),
    (requests.KeysOfTheLastFiftyWrites, "idempotency keys used again after some others", "IDEM-REPLAY"),
    (reads_and_lists.SearchIsOfJsonText, "lists with filters", "LIST-FILTER"),
    (reads_and_lists.SearchHasWildcards, "lists with filters", "LIST-FILTER"),
    (requests.SecondOrganisationFindsNothing, TENANTS, "LIST-FILTER"),
    (reads_and_lists.SortedByActivityWithinAPage, "lists with filters", "LIST-PAGE"),
    (resources.FirstMachineIsIncluded, RESOURCES, "READ-INCLUDE"),
    (requests.RetryWritesTheWholeRun, "requests at the same moment", "UPDATE-PARTIAL"),
    (requests.RetryBringsADeletedRunBack, "requests at the same moment", "DELETE-GONE"),
    (requests.ChunksAreSeenBeforeTheEnd, "requests at the same moment", "LIST-COMPLETE"),
    (resources.MachinesAreAddedOneByOne, CREATED, "REQ-ATOMIC"),
    (resources.MachineCountNotKept, CREATED, "READ-BACK"),
    (resources.WorkflowsOfAllOrganisationsListed, CREATED, "AUTH-TENANT"),
    (resources.PoolsOfAllOrganisationsRead, CREATED, "AUTH-TENANT"),
    (resources.NamesOfPoolsAreUniqueOverAll, CREATED, "AUTH-TENANT"),
    (resources.PickedFromTwoOfThreePools, (CREATED, "machines picked from pools"), "BULK-ECHO"),
    (reads_and_lists.OldRunsForgotten, KEPT, "READ-BACK"),
    (requests.UpdatedBeforeItIsRefused, LATE, "REQ-ATOMIC"),
    (requests.CompressedAnswersAreCut, HEADERS, "BULK-STATUS"),
    (requests.CompressedStreamsAreCut, HEADERS, "BULK-STATUS"),
    (requests.EtagsOfTheStatus, HEADERS, "UPDATE-PARTIAL"),
    (requests.PagesForBrowsers, HEADERS, "BULK-STATUS"),
    (requests.RangesAreOneLonger, HEADERS, "ATTACHMENTS"),
    (requests.WrongSecretsShownInTheBody, "secrets in invalid requests", "SECRET-LEAK"),
    (reads_and_lists.DeepSearchListsARunForEachMessage, "lists with filters", "LIST-COMPLETE"),
    (reads_and_lists.FilesOfLaterRowsAreTheNeighbours, "large creates read run by run", "READ-BACK"),
    (requests.LongChainsFail, "values beyond the limits", "NO-5XX"),
    (requests.ManyFilesInOneCreateFail, "attachments", "NO-5XX"),
    (reads_and_lists.IncludedReadsOfEndedRunsAreCached, WINDOWS, "UPDATE-PARTIAL"),
    (changes.RetryClearsTheSession, "lifecycles of runs", "RETRY-RULES"),
    (changes.DeletedStepShiftsTheInputs, "chains", "CHAIN-RULES"),
    (changes.ErrorAfterSuccessEmptiesOutput, "lifecycles of runs", "UPDATE-PARTIAL"),
    (resources.SizeIsInCharacters, "attachments", "ATTACHMENTS"),
    (resources.JsonFilesAreWrittenAnew, "attachments", "ATTACHMENTS"),
    (resources.ByteOrderMarkIsDropped, "attachments", "ATTACHMENTS"),
    (resources.OutputFilesOfAllDownloaded, "lifecycles of runs", "AUTH-TENANT"),
    (reads_and_lists.FieldsBesideIncludeCountThePage, "pages with filters", "LIST-PAGE"),
    (reads_and_lists.SkipCountsDeletedRuns, "single pages", "LIST-PAGE"),
    (reads_and_lists.WholeListIsCached, "deletes", "LIST-COMPLETE"),
    (requests.KeysOfRefusedWritesAreTakenForAll, "idempotency keys of invalid writes", "IDEM-SCOPE"),
    (resources.AttachmentsArePagedBeforeTheirType, "lifecycles of runs", "ATTACHMENTS"),
    (resources.FilesOfDeletedRunsAreCounted, "deletes", "DELETE-GONE"),
    (lifecycles.RunsThatJoinOvertakeSteps, "lifecycles of runs", "LIFECYCLE"),
    (resources.ReplacedFilesAreCounted, "retries", "RETRY-RULES"),
    (reads_and_lists.SearchFindsNamesOfObjects, "lists with filters", "LIST-FILTER"),
    (reads_and_lists.StatusIsDroppedBesideWorkflowAndSession, "lists with filters combined", "LIST-FILTER"),
    (requests.LongSearchesFail, "unusual queries", "NO-5XX"),
    (requests.ChainsOfAMomentShareIds, "requests at the same moment", "BULK-IDS"),
    (requests.CancelBesideAnUpdateIsLost, "requests at the same moment", "UPDATE-PARTIAL"),
    (changes.DeletedStaysReadWithInclude, "deletes", "DELETE-GONE"),
    (changes.FilesOfAChainGoWithTheFirstStep, "chains", "ATTACHMENTS"),
    (changes.StatusFilterForgetsRetries, STATUSES, "LIST-FILTER"),
    (changes.RetryAfterOutputDropsInputFiles, "lifecycles of runs", "RETRY-RULES"),
    (resources.UrlsLiveMilliseconds, "attachments", "ATTACHMENTS"),
    (requests.KeyOfAnUnknownRunIsStuck, "idempotency keys of invalid writes", "IDEM-REPLAY"),
    (requests.SessionsOfTheSameMoment, "requests at the same moment", "BULK-SESSION"),
    (reads_and_lists.DeletedListedByMachineAndStatus, "lists with filters", "DELETE-GONE"),
    (reads_and_lists.SearchFindsAliasOfFirstStep, WINDOWS, "LIST-FILTER"),
    (reads_and_lists.SearchFindsSessions, "lists with filters", "LIST-FILTER"),
    (reads_and_lists.SearchFindsStatuses, "lists with filters", "LIST-FILTER"),
    (reads_and_lists.SearchFindsWorkflowNames, RESOURCES, "LIST-FILTER"),
    *(
        (DEFECTS[name].kind, scenario, DEFECTS[name].rule)
        for name, scenario in {
            "last_step_unlisted": WINDOWS,
            "creates_at_once_lose_one_in_lists": "requests at the same moment",
            "included_for_each_run": RESOURCES,
            "workflow_not_included": RESOURCES,
            "scheduling_retried_in_session": "retries too early",
            "cancelled_not_retried": "retries",
            "retry_keeps_old_files": "retries",
            "retry_with_files_is_new_run": "retries",
            "retries_at_once_both_done": "concurrent retries",
            "error_empties_output": "updates",
            "neighbours_change_too": "updates",
            "outputs_replace_inputs": "updates",
            "inputs_merged": "updates",
            "twenty_keys_kept": KEYS,
            "thousand_keys_kept": KEYS,
            "hundred_updates_of_arun": MANY,
            "fifty_retries_of_arun": MANY,
        }.items()
    ),
]


FIRST = {fault[1]: fault for fault in reversed(FAULTS)}
"""Scenario → its first fault, which `make test` plants; `make matrix` plants the others."""


def only(scenario: str | tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    names = (scenario,) if isinstance(scenario, str) else scenario
    monkeypatch.setattr(contracts.check, "SCENARIOS", tuple(one for one in SCENARIOS if one.name in names))
    monkeypatch.setattr(exploration, "_PARTS", ())


def result_of(defect: type | None, *variations: str, rules: tuple[str, ...] | None = None) -> CheckResult:
    with serving(defect, variations) as url:
        return checked(url, rules, max_time_s=240)


@pytest.mark.parametrize(
    ("kind", "scenario", "rule"),
    [
        pytest.param(
            *fault,
            id=fault[0].__name__,
            marks=[pytest.mark.matrix] if fault[1] in SLOW or FIRST[fault[1]] is not fault else [],
        )
        for fault in FAULTS
    ],
)
def test_the_scenario_finds_the_fault(
    kind: type, scenario: str | tuple[str, ...], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(scenario, monkeypatch)

    with serving(kind) as url, guarded(url, max_time_s=240) as guard:
        finding = first_finding(guard)

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


@pytest.mark.matrix
def test_a_finding_names_the_word_that_a_search_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    only(WINDOWS, monkeypatch)

    result = result_of(reads_and_lists.SearchKnowsTheFirstAlias, rules=("LIST-FILTER",))

    (finding, *_) = result.findings
    *before, listed = finding.exchanges
    word = parse_qs(listed.request.path.partition("?")[2])["search"][0]
    assert any(word.encode() in (exchange.request.body or b"") for exchange in before)


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


def test_one_stale_read_after_an_update_is_a_finding_though_it_does_not_happen_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only("updates", monkeypatch)

    with serving(changes.OneReadAfterAnUpdateIsStale) as url:
        result = checked(url, {"UPDATE-PARTIAL"}, max_time_s=20)

    assert [(one.rule, one.stable, one.intermittent) for one in result.findings] == [("UPDATE-PARTIAL", False, True)]


def test_a_run_that_no_list_shows_is_a_finding_though_it_does_not_happen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    only("lists in pages", monkeypatch)

    with serving(reads_and_lists.OneRunIsUnlisted) as url:
        result = checked(url, {"LIST-COMPLETE"}, max_time_s=20)

    found = {(one.cause, one.stable, one.intermittent) for one in result.findings}
    assert ("a created run is not listed", False, True) in found
    assert result.verdict == "failed"


@pytest.mark.matrix
def test_a_retry_whose_key_ends_with_the_run_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    only(KEYS, monkeypatch)

    with serving(requests.KeyOfARetryEndsWithTheRun) as url:
        result = checked(url, {"IDEM-REPLAY"}, max_time_s=30)

    assert [(one.cause, one.intermittent) for one in result.findings] == [("an old key is forgotten", True)]


def test_no_scenario_at_the_beginning_seems_to_be_at_the_end_by_its_name() -> None:
    """The progress shows the names."""
    assert not [scenario.name for scenario in SCENARIOS if "at the end:" in scenario.name]
