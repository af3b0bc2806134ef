"""Defects in reading a run, in lists, pages, filters and searches."""

from datetime import timedelta

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import UNKNOWN, W2, Client, M, P, S, W
from tests.standin.defects.bulk import mapped
from tests.standin.defects.defect import plants
from tests.standin.models import SortMode, Status
from tests.standin.store import TERMINAL

FILES = [{"filename": f"{name}.txt", "content": "YQ=="} for name in "abc"]

# -- READ-BACK


@plants(
    "READ-BACK",
    what="Read back, a double without a fraction has become an integer.",
    rarity="one kind of number, reads only",
)
class ReadMakesWholeDoublesIntegers(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run":
            shown["input_values"] = mapped(
                run.input_values, lambda v: int(v) if type(v) is float and v.is_integer() and abs(v) < 1e15 else v
            )
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(input_values={"k": 2.0})
        assert '"k":2.0' in c.get(f"/v1/runs/{run['id']}").text


@plants(
    "READ-BACK",
    what="A run of a bulk has lost its pool_ids when read from the eleventh on.",
    rarity="past the tenth item",
)
class LateRunsLosePools(Standin):
    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        self.late = getattr(self, "late", set()) | {run.id for run in runs[10:]}
        return runs

    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where != "bulk_create_runs" and run.id in getattr(self, "late", ()):
            shown["pool_ids"] = None
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.read(c.bulk(11, pool_ids=P[:1])[10])["pool_ids"] == P[:1]


@plants("READ-BACK", what="created_at has lost its fraction of a second when read.", rarity="one field, reads only")
class ReadCutsFractions(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run":
            shown["created_at"] = self.written(run.created_at.replace(microsecond=0))
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        runs = [c.create() for _ in range(3)]
        assert [c.read(run)["created_at"] for run in runs] == [run["created_at"] for run in runs]


@plants(
    "READ-BACK", what="Two or more attachments are listed in another order when read.", rarity="two files, reads only"
)
class ReadReversesAttachments(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run":
            shown["input_attachment_ids"] = run.input_attachment_ids[::-1]
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=FILES[:2])
        assert c.read(run)["input_attachment_ids"] == run["input_attachment_ids"]


@plants("READ-BACK", what="A list shows no session_alias.", rarity="one field, lists only")
class ListForgetsAlias(Standin):
    def show(self, run, where, index=0, of=1):
        return super().show(run, where, index, of) | ({"session_alias": None} if where == "list_runs" else {})

    @staticmethod
    def obeys(c: Client) -> None:
        c.create(session_alias="a")
        assert c.listed()["items"][0]["session_alias"] == "a"


@plants("READ-BACK", what="Text beyond Latin-1 is garbled when read.", rarity="some letters, reads only")
class ReadGarblesText(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run":
            shown["input_values"] = mapped(
                run.input_values,
                lambda v: v.encode("latin-1", "replace").decode("latin-1") if isinstance(v, str) else v,
            )
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(input_values={"k": "ł"})
        assert c.read(run)["input_values"] == {"k": "ł"}


@plants("READ-BACK", what="The aliases of secrets are others at every read.", rarity="one field, the second read")
class AliasesChangeAtEveryRead(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run" and run.sensitive_input_aliases:
            shown["sensitive_input_aliases"] = {name: self.alias(name, None) for name in run.sensitive_input_aliases}
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(sensitive_input_values={"pin": "1"})
        assert c.read(run)["sensitive_input_aliases"] == run["sensitive_input_aliases"]


@plants(
    "READ-BACK",
    what="A session that was started is not on the run when it is read, in a large bulk.",
    rarity="counts over 100",
)
class LargeBulkSessionNotStored(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        if body.start_session and len(runs) > 100:
            for run in runs[100:]:
                run.session_id = None
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.read(c.bulk(101, start_session=True)[-1])["session_id"] is not None


# -- READ-UNKNOWN


@plants("READ-UNKNOWN", what="The nil id reads as null with 200.", rarity="one id of all")
class NilIdReadsAsNull(Standin):
    def get_run(self, call, run_id, include):
        if run_id == "00000000-0000-0000-0000-000000000000":
            return Answer(200, None)
        return super().get_run(call, run_id, include)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/runs/00000000-0000-0000-0000-000000000000").status_code == 404


@plants(
    "READ-UNKNOWN",
    "ATTACHMENTS",
    what="The download of an unknown attachment is empty, with 200.",
    rarity="one operation",
)
class UnknownDownloadIsEmpty(Standin):
    def download_run_attachment(self, call, attachment_id):
        if attachment_id not in call.org.attachments:
            return Answer(200, raw=b"", headers={"content-type": "application/octet-stream"})
        return super().download_run_attachment(call, attachment_id)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get(f"/v1/run-attachments/{UNKNOWN}/download").status_code == 404


@plants("READ-UNKNOWN", "RETRY-RULES", what="A retry of an unknown run is 409.", rarity="one operation")
class UnknownRetryConflicts(Standin):
    def retry_run(self, call, run_id, body):
        if run_id not in call.org.runs:
            raise type(self.unknown("Run"))(409, "The run has not ended.")
        return super().retry_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post(f"/v1/runs/{UNKNOWN}/retry", {}).status_code == 404


@plants("READ-UNKNOWN", what="An unknown machine reads as the first one.", rarity="one resource")
class UnknownMachineIsTheFirst(Standin):
    def get_machine(self, call, machine_id):
        known = machine_id if machine_id in call.org.machines else next(iter(call.org.machines))
        return super().get_machine(call, known)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get(f"/v1/machines/{UNKNOWN}").status_code == 404


@plants("READ-UNKNOWN", what="An update of an unknown run is 200.", rarity="one operation")
class UnknownUpdateAnswers200(Standin):
    def update_run(self, call, run_id, body):
        if run_id not in call.org.runs:
            return Answer(200, {"id": run_id})
        return super().update_run(call, run_id, body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.call("PATCH", f"/v1/runs/{UNKNOWN}", {}).status_code == 404


# -- LIST-COMPLETE


@plants(
    "LIST-COMPLETE", what="The last run of a bulk of a hundred or more is not listed.", rarity="last item, large counts"
)
class LastOfLargeBulkUnlisted(Standin):
    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        if len(runs) >= 100:
            self.hidden = getattr(self, "hidden", set()) | {runs[-1].id}
        return runs

    def listed(self, call):
        return [run for run in super().listed(call) if run.id not in getattr(self, "hidden", ())]

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(100)
        assert len(c.ids("limit=1000")) == 100


@plants("LIST-COMPLETE", what="The last step of a chain is not listed.", rarity="one operation, last item")
class LastStepUnlisted(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        self.hidden = getattr(self, "hidden", set()) | {answer.content["run_ids"][-1]}
        return answer

    def listed(self, call):
        return [run for run in super().listed(call) if run.id not in getattr(self, "hidden", ())]

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain(2)["run_ids"]
        assert set(c.ids()) == set(made)


@plants("LIST-COMPLETE", "RETRY-RULES", what="A retried run is listed twice.", rarity="after a retry")
class RetriedListedTwice(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        self.twice = [*getattr(self, "twice", []), call.org.runs[run_id]]
        return answer

    def listed(self, call):
        runs = super().listed(call)
        return runs + [run for run in getattr(self, "twice", []) if run in runs]

    @staticmethod
    def obeys(c: Client) -> None:
        c.retry(c.cancelled())
        assert len(c.ids()) == 1


@plants("LIST-COMPLETE", what="Cancelled runs are not listed unless asked for.", rarity="one status")
class CancelledUnlisted(Standin):
    def matches(self, run, query):
        return super().matches(run, query) and (run.status != Status.CANCELLED or query.status is not None)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.ids(f"search={(run := c.cancelled())['id']}") == [run["id"]]


@plants(
    "LIST-COMPLETE",
    "READ-BACK",
    what="A single run of two files or more is not listed.",
    rarity="files, single create",
)
class RunsWithFilesUnlisted(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        if made[0].operation == "create_run" and len(run.input_attachment_ids) > 1:
            self.hidden = getattr(self, "hidden", set()) | {run.id}
        return run

    def listed(self, call):
        return [run for run in super().listed(call) if run.id not in getattr(self, "hidden", ())]

    @staticmethod
    def obeys(c: Client) -> None:
        c.create(file_inputs=FILES[:2])
        assert len(c.ids()) == 1


# -- LIST-PAGE


@plants("LIST-PAGE", what="A limit of 1000 gives 999.", rarity="only at the limit")
class FullPageHasOneLess(Standin):
    def page(self, found, query):
        return super().page(found, query)[:999]

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(1000)
        assert len(c.ids("limit=1000")) == 1000


@plants("LIST-PAGE", what="skip is one too many where a filter is set.", rarity="two parameters meet")
class SkipOffByOneWithFilter(Standin):
    def page(self, found, query):
        if query.skip > 0 and getattr(query, "workflow_id", None) is not None:
            return found[query.skip + 1 : query.skip + 1 + query.limit]
        return super().page(found, query)

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(3)
        assert len(c.ids(f"workflow_id={W}&skip=1")) == 2


@plants("LIST-PAGE", what="The last page leaves out its last run when it is not full.", rarity="the last page only")
class LastPageLosesOne(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        return page[:-1] if query.skip > 0 and 1 < len(page) < query.limit else page

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(5)
        assert len(c.ids("skip=3&limit=3")) == 2


@plants("LIST-PAGE", "DELETE-GONE", what="total counts deleted runs as well.", rarity="after a delete")
class TotalCountsDeleted(Standin):
    def delete_run(self, call, run_id):
        answer = super().delete_run(call, run_id)
        self.gone = getattr(self, "gone", 0) + 1
        return answer

    def total(self, call, found, query):
        return super().total(call, found, query) + getattr(self, "gone", 0)

    @staticmethod
    def obeys(c: Client) -> None:
        c.delete(c.create())
        assert c.listed()["total"] == 0


@plants("LIST-PAGE", what="With a search, total is the length of the page.", rarity="one filter, more than a page")
class TotalIsPageLengthInSearch(Standin):
    def total(self, call, found, query):
        return len(self.page(found, query)) if query.search else len(found)

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(3, input_values={"k": "marker"})
        assert c.listed("search=marker&limit=2")["total"] == 3


@plants("LIST-PAGE", what="total is never over 1000.", rarity="more than a thousand runs")
class TotalCappedAtThousand(Standin):
    def total(self, call, found, query):
        return min(1000, len(found))

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(600), c.bulk(600)
        assert c.listed("limit=1")["total"] == 1200


@plants("LIST-PAGE", what="skip beyond the end is told as 0.", rarity="a page past the end")
class SkipPastEndToldAsZero(Standin):
    def listing(self, items, total, query):
        answer = super().listing(items, total, query)
        return answer | {"skip": 0} if query.skip > total else answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.listed("skip=7")["skip"] == 7


@plants("LIST-PAGE", what="A page past the end repeats the last run.", rarity="a page past the end")
class PagePastEndRepeats(Standin):
    def page(self, found, query):
        return super().page(found, query) or found[-1:]

    @staticmethod
    def obeys(c: Client) -> None:
        c.create()
        assert c.ids("skip=1") == []


@plants("LIST-PAGE", what="Runs made at one moment change places between pages.", rarity="bulk runs, two pages")
class TiesChangeBetweenPages(Standin):
    def ordered(self, runs, query):
        if query.sort_mode != SortMode.CREATED_AT_DESC or query.limit >= len(runs):
            return super().ordered(runs, query)
        turn = query.skip // query.limit
        return sorted(runs, key=lambda run: (-run.created_at.timestamp(), (run.number * 7 + turn * 3) % 11, run.number))

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        for run in runs:
            run.created_at = runs[0].created_at
        return runs

    @staticmethod
    def obeys(c: Client) -> None:
        made = {run["id"] for run in c.bulk(20)}
        assert {one for skip in range(0, 20, 5) for one in c.ids(f"limit=5&skip={skip}")} == made


@plants("LIST-PAGE", what="limit 1 gives two runs.", rarity="the smallest page")
class LimitOneGivesTwo(Standin):
    def page(self, found, query):
        return found[query.skip : query.skip + max(query.limit, 2)]

    @staticmethod
    def obeys(c: Client) -> None:
        c.bulk(3)
        assert len(c.ids("limit=1")) == 1


# -- LIST-FILTER


@plants("LIST-FILTER", what="created_at_to leaves out its own moment.", rarity="one filter, at its edge")
class UntilIsExclusive(Standin):
    def in_window(self, run, query):
        return super().in_window(run, query) and run.created_at != self.aware(query.created_at_to)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        assert c.ids(f"created_at_to={run['created_at']}") == [run["id"]]


@plants("LIST-FILTER", what="created_at_from lets in the second before it.", rarity="one filter, near its edge")
class SinceIsEarly(Standin):
    def in_window(self, run, query):
        since = self.aware(query.created_at_from)
        if since is not None and query.created_at_to is None:
            return since.replace(microsecond=0) - timedelta(seconds=1) <= run.created_at
        return super().in_window(run, query)

    @staticmethod
    def obeys(c: Client) -> None:
        c.create()
        c.wait(0.5)
        new = c.create()
        assert c.ids(f"created_at_from={new['created_at']}") == [new["id"]]


@plants("LIST-FILTER", what="The search minds capitals in session_alias, and only there.", rarity="one field, capitals")
class SearchMindsCapitalsInAlias(Standin):
    def has_text(self, run, query):
        if query.search is not None and run.session_alias and query.search not in run.session_alias:
            alias, run.session_alias = run.session_alias, None
            try:
                return super().has_text(run, query)
            finally:
                run.session_alias = alias
        return super().has_text(run, query)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(session_alias="FrontDesk7")
        assert c.ids("search=frontdesk7") == [run["id"]]


@plants(
    "LIST-FILTER", what="The search does not look deeper than three levels into input_values.", rarity="deep values"
)
class SearchIsShallow(Standin):
    def leaves(self, value, left=3):
        if isinstance(value, dict | list):
            for content in value.values() if isinstance(value, dict) else value:
                if left > 0:
                    yield from self.leaves(content, left - 1)
        else:
            yield from super().leaves(value)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(input_values={"a": {"b": {"c": {"d": "marker"}}}})
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="The search passes lists by.", rarity="values inside lists")
class SearchPassesLists(Standin):
    def leaves(self, value):
        if isinstance(value, list) and not all(isinstance(one, str) for one in value):
            return
        yield from super().leaves(value)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(input_values={"a": [{"b": "marker"}]})
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="The search finds error only by its first item.", rarity="one field, the second item")
class SearchFindsFirstErrorOnly(Standin):
    def texts(self, run, *, deep):
        error, run.error = run.error, run.error and run.error[:1]
        texts = list(super().texts(run, deep=deep))
        run.error = error
        yield from texts

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, error=["one", "marker"])
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="The search looks at output_data only in a deep search.", rarity="one field")
class SearchSkipsOutput(Standin):
    def texts(self, run, *, deep):
        output, run.output_data = run.output_data, run.output_data if deep else None
        texts = list(super().texts(run, deep=deep))
        run.output_data = output
        yield from texts

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, output_data={"k": "marker"})
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="A plain search looks into run_message_history too.", rarity="one parameter's default")
class PlainSearchIsDeep(Standin):
    def texts(self, run, *, deep):
        return super().texts(run, deep=True)

    @staticmethod
    def obeys(c: Client) -> None:
        c.patch(c.create(), run_message_history=[{"content": "marker"}])
        assert c.ids("search=marker") == []


@plants("LIST-FILTER", what="The search finds runs by a key of input_values.", rarity="keys, not values")
class SearchFindsKeys(Standin):
    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from run.input_values or ()

    @staticmethod
    def obeys(c: Client) -> None:
        c.create(input_values={"marker": 1})
        assert c.ids("search=marker") == []


@plants("LIST-FILTER", what="With a session_id the workflow_id is not looked at.", rarity="two filters together")
class SessionHidesWorkflow(Standin):
    def matches(self, run, query):
        if query.session_id is not None and query.workflow_id is not None:
            query = query.model_copy(update={"workflow_id": None})
        return super().matches(run, query)

    @staticmethod
    def obeys(c: Client) -> None:
        c.create(session_id=S)
        assert c.ids(f"session_id={S}&workflow_id={W2}") == []


@plants("LIST-FILTER", what="A status and a search find what fits either.", rarity="two filters together")
class StatusOrSearch(Standin):
    def matches(self, run, query):
        if query.status is not None and query.search:
            return any(
                super(StatusOrSearch, self).matches(run, query.model_copy(update={name: None}))
                for name in ("status", "search")
            )
        return super().matches(run, query)

    @staticmethod
    def obeys(c: Client) -> None:
        c.cancelled(input_values={"k": "marker"})
        assert c.ids("status=scheduling&search=marker") == []


@plants(
    "LIST-FILTER", what="A machine's runs that have ended are not found by it.", rarity="one filter, one kind of run"
)
class MachineFindsActiveOnly(Standin):
    def matches(self, run, query):
        return super().matches(run, query) and not (query.machine_id is not None and run.status in TERMINAL)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled(machine_id=M)
        assert c.ids(f"machine_id={M}") == [run["id"]]


@plants("LIST-FILTER", what="The offset of a time window is ignored.", rarity="offsets, one filter")
class OffsetsIgnored(Standin):
    def aware(self, at):
        return super().aware(at if at is None else at.replace(tzinfo=None))

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        until = run["created_at"].replace("Z", "%2B00:00")
        assert c.ids(f"created_at_to={until}") == [run["id"]]
        assert c.ids("created_at_from=2000-01-01T00:00:00-23:59") == [run["id"]]
        assert c.ids(f"created_at_to={run['created_at'][:-1]}-05:00") == [run["id"]]
        assert c.ids(f"created_at_to={run['created_at'][:-1]}%2B05:00") == []


@plants("LIST-FILTER", what="A search for digits finds no number.", rarity="numbers among the values")
class SearchFindsNoNumbers(Standin):
    def leaves(self, value):
        return (text for text in super().leaves(value) if isinstance(value, dict | list | str))

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(input_values={"k": 8172635495})
        assert c.ids("search=8172635495") == [run["id"]]


@plants("LIST-FILTER", what="Runs of a chain are not found by their session.", rarity="one filter, one kind of run")
class ChainNotFoundBySession(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        self.steps = getattr(self, "steps", set()) | set(answer.content["run_ids"][1:])
        return answer

    def matches(self, run, query):
        hidden = query.session_id is not None and run.id in getattr(self, "steps", ())
        return super().matches(run, query) and not hidden

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain(2)
        assert set(c.ids(f"session_id={made['session_id']}")) == set(made["run_ids"])


@plants("READ-BACK", "LIFECYCLE", what="Read alone, started_at is a number when set.", rarity="one field, one read")
class ReadStartsInSeconds(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        started = self.find(call, run_id).started_at
        answer.content["started_at"] = started and int(started.timestamp())
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, started_at="2026-01-02T03:04:05Z")
        assert isinstance(c.read(run["id"])["started_at"], str)


@plants("READ-BACK", what="A machine that is included with a run has no id.", rarity="one parameter of one read")
class IncludedMachineHasNoId(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        for one in answer.content.get("included") or ():
            if one["type"] == "machine":
                del one["id"]
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(machine_id=c.get("/v1/machines").json()["items"][0]["id"])
        assert all("id" in one for one in c.get(f"/v1/runs/{run['id']}?include=machine").json()["included"])


@plants("LIST-COMPLETE", what="In lists, a single pool is a text, not a list.", rarity="one field of one list")
class ListedPoolIsText(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "list_runs" and run.pool_ids and len(run.pool_ids) == 1:
            shown["pool_ids"] = run.pool_ids[0]
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(pool_ids=P[:1])
        (item,) = c.get(f"/v1/runs?search={run['id']}").json()["items"]
        assert item["pool_ids"] == P[:1]


@plants("LIST-PAGE", what="total is a text in lists that were filtered.", rarity="one number, with a filter")
class TotalIsText(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if query.status is not None:
            answer.content["total"] = str(answer.content["total"])
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert isinstance(c.get("/v1/runs?status=running").json()["total"], int)
