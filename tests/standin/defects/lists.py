"""Defects in lists and pages."""

from tests.standin import models
from tests.standin.behaviour import Standin
from tests.standin.client import FILES, Client, P, W
from tests.standin.defects.defect import plants
from tests.standin.models import SortMode, Status
from tests.standin.store import TERMINAL

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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        c.retry(c.cancelled())
        assert len(c.ids()) == 1


@plants("LIST-COMPLETE", what="Cancelled runs are not listed unless asked for.", rarity="one status")
class CancelledUnlisted(Standin):
    def matches(self, run, query):
        return super().matches(run, query) and (run.status != Status.CANCELLED or query.status is not None)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        c.create(file_inputs=FILES[:2])
        assert len(c.ids()) == 1


@plants("LIST-COMPLETE", what="Active runs are those that wait or run: not those being checked.", rarity="one status")
class CheckedRunsUnlistedByActivity(Standin):
    def ordered(self, runs, query):
        if query.sort_mode != models.SortMode.CREATED_AT_DESC:
            runs = [run for run in runs if run.status != Status.RUNNING_CHECKS]
        return super().ordered(runs, query)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        c.patch(run, status="running_checks")
        assert run["id"] in c.get("/v1/runs").text


@plants("LIST-COMPLETE", "LIST-PAGE", what="By activity no more than 500 active runs come.", rarity="the 501st active")
class FiveHundredActive(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        if getattr(query, "sort_mode", None) != SortMode.ACTIVITY:
            return page
        active = [run for run in page if run.status not in TERMINAL]
        return active[:500] + page[len(active) :]

    @staticmethod
    def witness(c: Client) -> None:
        session = c.bulk(600, start_session=True)[0]["session_id"]  # so many that over 500 are active on a busy machine
        assert len(c.get(f"/v1/runs?session_id={session}&limit=1000").json()["items"]) == 600


# -- LIST-PAGE


@plants("LIST-PAGE", what="A limit of 1000 gives 999.", rarity="only at the limit")
class FullPageHasOneLess(Standin):
    def page(self, found, query):
        return super().page(found, query)[:999]

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(1000)
        assert len(c.ids("limit=1000")) == 1000


@plants("LIST-PAGE", what="skip is one too many where a filter is set.", rarity="two parameters meet")
class SkipOffByOneWithFilter(Standin):
    def page(self, found, query):
        if query.skip > 0 and getattr(query, "workflow_id", None) is not None:
            return found[query.skip + 1 : query.skip + 1 + query.limit]
        return super().page(found, query)

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(3)
        assert len(c.ids(f"workflow_id={W}&skip=1")) == 2


@plants("LIST-PAGE", what="The last page leaves out its last run when it is not full.", rarity="the last page only")
class LastPageLosesOne(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        return page[:-1] if query.skip > 0 and 1 < len(page) < query.limit else page

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        c.delete(c.create())
        assert c.listed()["total"] == 0


@plants("LIST-PAGE", what="With a search, total is the length of the page.", rarity="one filter, more than a page")
class TotalIsPageLengthInSearch(Standin):
    def total(self, call, found, query):
        return len(self.page(found, query)) if query.search else len(found)

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(3, input_values={"k": "marker"})
        assert c.listed("search=marker&limit=2")["total"] == 3


@plants("LIST-PAGE", what="total is never over 1000.", rarity="more than a thousand runs")
class TotalCappedAtThousand(Standin):
    def total(self, call, found, query):
        return min(1000, len(found))

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(600), c.bulk(600)
        assert c.listed("limit=1")["total"] == 1200


@plants("LIST-PAGE", what="skip beyond the end is told as 0.", rarity="a page past the end")
class SkipPastEndToldAsZero(Standin):
    def listing(self, items, total, query):
        answer = super().listing(items, total, query)
        return answer | {"skip": 0} if query.skip > total else answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.listed("skip=7")["skip"] == 7


@plants("LIST-PAGE", what="A page past the end repeats the last run.", rarity="a page past the end")
class PagePastEndRepeats(Standin):
    def page(self, found, query):
        return super().page(found, query) or found[-1:]

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        made = {run["id"] for run in c.bulk(20)}
        assert {one for skip in range(0, 20, 5) for one in c.ids(f"limit=5&skip={skip}")} == made


@plants("LIST-PAGE", what="limit 1 gives two runs.", rarity="the smallest page")
class LimitOneGivesTwo(Standin):
    def page(self, found, query):
        return found[query.skip : query.skip + max(query.limit, 2)]

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(3)
        assert len(c.ids("limit=1")) == 1


@plants("LIST-PAGE", "LIST-FILTER", what="The total of a search is remembered.", rarity="the same search again")
class TotalOfSearchRemembered(Standin):
    def total(self, call, found, query):
        if not query.search:
            return super().total(call, found, query)
        known = self.totals.setdefault((call.org.id, query.search), (self.now(call.org), len(found)))
        if self.now(call.org) - known[0] > 3:
            known = self.totals[call.org.id, query.search] = (self.now(call.org), len(found))
        return known[1]

    def __init__(self, settings):
        super().__init__(settings)
        self.totals = {}

    @staticmethod
    def witness(c: Client) -> None:
        for total in (1, 2):
            c.create(session_alias="needle4711")
            assert c.listed("search=needle4711")["total"] == total


@plants("LIST-PAGE", "LIST-COMPLETE", what="A page that includes others has at most 100.", rarity="the 101st")
class IncludeCapsPage(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        return page[:100] if getattr(query, "include", None) else page

    @staticmethod
    def witness(c: Client) -> None:
        made = c.bulk(101)
        assert len(c.ids("include=workflow&limit=1000")) == len(made)


@plants("LIST-PAGE", what="The total of pools is what was skipped and what came.", rarity="pools, past the end")
class TotalOfPoolsBySkip(Standin):
    def list_pools(self, call, query):
        answer = super().list_pools(call, query)
        if query.skip:
            answer.content["total"] = query.skip + len(answer.content["items"])
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get("/v1/pools?skip=5").json()["total"] == 2


@plants(
    "LIST-COMPLETE", "READ-BACK", what="In lists, a single pool is a text, not a list.", rarity="one field of one list"
)
class ListedPoolIsText(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "list_runs" and run.pool_ids and len(run.pool_ids) == 1:
            shown["pool_ids"] = run.pool_ids[0]
        return shown

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert isinstance(c.get("/v1/runs?status=running").json()["total"], int)
