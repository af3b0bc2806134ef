"""Faults of reads, lists, filters and searches of runs."""

import json
import re
from dataclasses import replace

from pydantic import UUID4, field_validator

from tests.standin.behaviour import Standin
from tests.standin.models import RunQuery, SortMode, Status
from tests.standin.store import TERMINAL, Run


class ReadTrimsAlias(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        trimmed = where == "get_run" and shown["session_alias"]
        return shown | ({"session_alias": shown["session_alias"].strip()} if trimmed else {})


class ListLowersNamesOfSecrets(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        aliases = shown["sensitive_input_aliases"]
        if where == "list_runs" and aliases:
            shown["sensitive_input_aliases"] = {name.lower(): alias for name, alias in aliases.items()}
        return shown


class SessionFilterOfVersion4(Standin):
    class RunQuery(RunQuery):
        session_id: UUID4 | None = None


class ReadShowsNinetyAttachments(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return shown | ({"input_attachment_ids": shown["input_attachment_ids"][:90]} if where == "get_run" else {})


class ReadShowsTenAttachments(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return shown | ({"input_attachment_ids": shown["input_attachment_ids"][:10]} if where == "get_run" else {})


class ListRoundsMoments(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return shown | ({"created_at": self.written(run.created_at.replace(microsecond=0))} if where[0] == "l" else {})


class IncludeLosesInputs(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        if include and "machine" in include:
            answer.content["input_values"] = None
        return answer


class PageOfActiveAndEndedIsShort(Standin):
    def page(self, found, query):
        items = super().page(found, query)
        ended = [run for run in items if isinstance(run, Run) and run.status in TERMINAL]
        return items[:-1] if query.skip and ended and len(ended) < len(items) else items


class OneRunIsUnlisted(Standin):
    """The last run of one create of several runs, and never again."""

    hidden = ""

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        if len(runs) > 2 and not self.hidden:
            self.hidden = runs[-1].id
        return runs

    def listed(self, call):
        return [run for run in super().listed(call) if run.id != self.hidden]


class MachineFilterKeepsTheFirst(Standin):
    def take_over(self, org, run, body):
        self.first = getattr(self, "first", {})
        self.first.setdefault(run.id, run.machine_id)
        super().take_over(org, run, body)

    def matches(self, run, query):
        machine = getattr(self, "first", {}).get(run.id)
        if query.machine_id is not None and machine is not None:
            return str(query.machine_id) == machine
        return super().matches(run, query)


class SearchRemembersInputs(Standin):
    def change(self, run, name, value):
        if name == "input_values":
            self.old = getattr(self, "old", {}) | {run.id: run.input_values}
        super().change(run, name, value)

    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from self.leaves(getattr(self, "old", {}).get(run.id))


class CancelDropsFiles(Standin):
    def move(self, org, run, status):
        super().move(org, run, status)
        if status == Status.CANCELLED:
            self.forget_attachments(org, run)


class CancelEmptiesAlias(Standin):
    def move(self, org, run, status):
        super().move(org, run, status)
        if status == Status.CANCELLED:
            run.session_alias = None


class AttachmentsOfOthersCounted(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        if query.run_id is None:
            answer.content["total"] += 1
        return answer


class FractionsAreMicroseconds(Standin):
    """`.5` is read as 5 µs. The moment that comes from the model is right, so all short fractions are taken."""

    def now(self, org):
        """No run is created in the last tenth of a second: no later moment of that second has one digit."""
        second, fraction = divmod(super().now(org), 1)
        return second + 0.9 * fraction

    def in_window(self, run, query):
        def misread(at):
            return at and at.replace(
                microsecond=at.microsecond // 100_000 if not at.microsecond % 100_000 else at.microsecond
            )

        given = {name: misread(getattr(query, name)) for name in ("created_at_from", "created_at_to")}
        return super().in_window(run, query.model_copy(update=given))


class SearchJoinsValues(Standin):
    def texts(self, run, *, deep):
        yield " ".join(super().texts(run, deep=deep))


class ActivityIsNewestFirst(Standin):
    def ordered(self, runs, query):
        return sorted(runs, key=self.newest_first)


class SessionHidesWorkflow(Standin):
    def matches(self, run, query):
        if query.session_id is not None and query.workflow_id is not None:
            query = query.model_copy(update={"workflow_id": None})
        return super().matches(run, query)


class SearchKnowsTheFirstAlias(Standin):
    def take_over(self, org, run, body):
        self.aliases = {run.id: run.session_alias} | getattr(self, "aliases", {})
        super().take_over(org, run, body)

    def texts(self, run, *, deep):
        new, first = run.session_alias, getattr(self, "aliases", {}).get(run.id)
        for text in super().texts(run, deep=deep):
            if run.id not in getattr(self, "aliases", {}) or new is None or text != self.folded(new):
                yield text
        if first:
            yield self.folded(first)


class SearchFindsNamesOfFiles(Standin):
    def attach(self, org, run, files, index=0, of=1):
        self.names = getattr(self, "names", {}) | {run.id: [file.filename for file in files]}
        return super().attach(org, run, files, index, of)

    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from getattr(self, "names", {}).get(run.id, ())


class SearchFindsNoNumbers(Standin):
    def leaves(self, value):
        return (text for text in super().leaves(value) if isinstance(value, dict | list | str))


class OldRunsForgotten(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        if call.org.created - self.find(call, run_id).number > 500:
            answer.content["input_values"] = None
        return answer


class BeginningOfAnIdIsEnough(Standin):
    def get_run(self, call, run_id, include):
        found = next((one for one in call.org.runs if one[:23] == run_id[:23]), run_id)
        return super().get_run(call, found, include)


class FieldsHideLastOfPage(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        return page[:-1] if getattr(query, "fields_", None) is not None and query.skip else page


class RetriedStepLeavesSession(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        self.steps = getattr(self, "steps", set()) | set(answer.content["run_ids"])
        return answer

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if run.id in getattr(self, "steps", ()):
            run.session_id = None


class UpdateOfRetriedLost(Standin):
    def update_run(self, call, run_id, body):
        answer = super().update_run(call, run_id, body)
        run = self.find(call, run_id)
        if run.epoch > 2 and body.output_data is not None:
            run.output_data = None
        return answer


class RetriedUnlistedByActivity(Standin):
    def matches(self, run, query):
        again = run.epoch > 1 and run.status == Status.SCHEDULING and str(query.sort_mode) == "activity"
        return super().matches(run, query) and not again


class LastEndedComesFirst(Standin):
    def ordered(self, runs, query):
        listed = super().ordered(runs, query)
        if str(query.sort_mode) == "created_at_desc":
            return listed
        active = [run for run in listed if run.status not in TERMINAL]
        ended = [run for run in listed if run.status in TERMINAL]
        return active + sorted(ended, key=lambda run: run.ended_at, reverse=True)


class FieldsHaveNoErrors(Standin):
    def kept_fields(self, query):
        return super().kept_fields(query) - {"error"}


class FieldsHaveNoPools(Standin):
    def kept_fields(self, query):
        return super().kept_fields(query) - {"pool_ids"}


class StartIsShownInPlaceOfCreation(Standin):
    def kept_fields(self, query):
        kept = super().kept_fields(query)
        return kept - {"created_at"} if "started_at" in kept else kept


class SearchIsCut(Standin):
    def list_runs(self, call, query):
        cut = query.search and query.search[:128]
        return super().list_runs(call, query.model_copy(update={"search": cut}))


class CapitalsFindNothing(Standin):
    class RunQuery(RunQuery):
        session_id: str | None = None


class OnlyTrueInLowerCaseIsTrue(Standin):
    class RunQuery(RunQuery):
        @field_validator("deep_search", mode="before")
        @classmethod
        def read(cls, value):
            return value == "true"


class ShortWordsFindNothing(Standin):
    """Has an index of three letters."""

    def has_text(self, run, query):
        return len(query.search) > 2 and super().has_text(run, query)


class AttachmentsOfCancelledRunsUnlisted(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        cancelled = {run.id for run in call.org.runs.values() if run.status == Status.CANCELLED}
        answer.content["items"] = [one for one in answer.content["items"] if one["run_id"] not in cancelled]
        answer.content["total"] = len(answer.content["items"])
        return answer


class SearchIsOfJsonText(Standin):
    """Searches the inputs as they are written in JSON: with escapes, and with no letters beyond ASCII."""

    def leaves(self, value):
        return (json.dumps(text)[1:-1] for text in super().leaves(value))


class SearchHasWildcards(Standin):
    def has_text(self, run, query):
        wanted = ".*".join(map(re.escape, self.folded(query.search).split("%")))
        return any(re.search(wanted, self.folded(text)) for text in self.texts(run, deep=query.deep_search))


class SortedByActivityWithinAPage(Standin):
    def list_runs(self, call, query):
        if query.sort_mode != "activity":
            return super().list_runs(call, query)
        answer = super().list_runs(call, query.model_copy(update={"sort_mode": "created_at_desc"}))
        answer.content["items"].sort(key=lambda item: item["status"] in TERMINAL)
        return answer


class DeepSearchListsARunForEachMessage(Standin):
    def ordered(self, runs, query):
        found = super().ordered(runs, query)
        if not (query.search and query.deep_search):
            return found
        return [run for run in found for _ in range(max(1, self.messages_with(run, query.search)))]

    def messages_with(self, run, word):
        messages = run.run_message_history or ()
        return sum(any(word.lower() in text.lower() for text in self.leaves(one)) for one in messages)


class SearchFindsWorkflowNames(Standin):
    def matches(self, run, query):
        return super().matches(run, query) or (
            query.search is not None
            and super().matches(run, query.model_copy(update={"search": None}))
            and query.search.lower() in self.workflow_name(run)
        )

    def listed(self, call):
        self.org = call.org
        return super().listed(call)

    def workflow_name(self, run):
        return self.org.workflows.get(run.workflow_id, {}).get("name", "").lower()


class SearchFindsSessions(Standin):
    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield run.session_id or ""


class SearchFindsStatuses(Standin):
    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield run.status


class SearchFindsAliasOfFirstStep(Standin):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.later_steps = set()

    def step_made(self, call, body, index, of, session_id, created_at):
        run = super().step_made(call, body, index, of, session_id, created_at)
        self.later_steps |= {run.id} if index else set()
        return run

    def texts(self, run, *, deep):
        texts = super().texts(run, deep=deep)
        yield from (text for text in texts if run.id not in self.later_steps or text != run.session_alias)


class DeletedListedByMachineAndStatus(Standin):
    """A list with both filters forgets that a run is deleted, whatever its status was."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.gone = []

    def forget(self, org, run):
        super().forget(org, run)
        self.gone.append((org, run))

    def listed(self, call):
        gone = [replace(run, status=self.status) for org, run in self.gone if self.is_by_both and org is call.org]
        return [*super().listed(call), *gone]

    def list_runs(self, call, query):
        self.status = query.status
        self.is_by_both = query.machine_id is not None and query.status is not None
        return super().list_runs(call, query)


class FilesOfLaterRowsAreTheNeighbours(Standin):
    """From the 101st item of a page on."""

    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        items = answer.content["items"]
        later = [item.get("input_attachment_ids") for item in items[100:]]
        for item, ids in zip(items[100:], later[1:] + later[:1], strict=True):
            item["input_attachment_ids"] = ids
        return answer


class IncludedReadsOfEndedRunsAreCached(Standin):
    """An update does not remove them from the cache."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.cache = {}

    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where != "get_run" or not self.includes or run.status not in TERMINAL:
            return shown
        return dict(self.cache.setdefault((run.id, run.epoch), shown))

    def get_run(self, call, run_id, include):
        self.includes = include is not None
        return super().get_run(call, run_id, include)


class SkipIsIgnoredBesideSearch(Standin):
    """Every page of a search is full, so that pages never end."""

    def list_runs(self, call, query):
        if query.search is None:
            return super().list_runs(call, query)
        answer = super().list_runs(call, query.model_copy(update={"skip": 0}))
        return replace(answer, content=answer.content | {"skip": query.skip})


class SkipWrapsAt32Bits(Standin):
    def list_runs(self, call, query):
        return super().list_runs(call, query.model_copy(update={"skip": query.skip % 2**32}))


class SearchFindsNamesOfObjects(Standin):
    def leaves(self, value):
        yield from super().leaves(value)
        if isinstance(value, dict):
            yield from (name for name, member in value.items() if isinstance(member, dict))


class StatusIsDroppedBesideWorkflowAndSession(Standin):
    def matches(self, run, query):
        if query.workflow_id and query.session_id:
            query = query.model_copy(update={"status": None})
        return super().matches(run, query)


class FieldsBesideIncludeCountThePage(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if query.fields_ and query.include:
            answer.content["total"] = len(answer.content["items"])
        return answer


class SkipCountsDeletedRuns(Standin):
    """By activity, a list is paged before deleted runs that had ended are left out."""

    def forget(self, org, run):
        super().forget(org, run)
        self.gone = [*getattr(self, "gone", ()), run]

    def list_runs(self, call, query):
        if query.sort_mode == SortMode.CREATED_AT_DESC or query.workflow_id is None:
            return super().list_runs(call, query)
        workflow = str(query.workflow_id)
        gone = [run for run in getattr(self, "gone", ()) if run.workflow_id == workflow and run.status in TERMINAL]
        answer = super().list_runs(call, query.model_copy(update={"skip": max(0, query.skip - len(gone))}))
        answer.content["skip"] = query.skip
        return answer


class WholeListIsCached(Standin):
    def list_runs(self, call, query):
        is_whole = all(value in (None, 0, False) for name, value in query if name not in {"limit", "sort_mode"})
        cache, key = self.__dict__.setdefault("pages", {}), (call.org.id, query.limit, query.sort_mode)
        if is_whole and key in cache and cache[key][0] > self.settings.clock():
            return cache[key][1]
        answer = super().list_runs(call, query)
        if is_whole:
            cache[key] = (self.settings.clock() + 2, answer)
        return answer
