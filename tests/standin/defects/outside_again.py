"""Defects that two more people planted in servers of their own, and that the suite missed at first."""

import asyncio
import base64
import gzip
from typing import Any, ClassVar

from pydantic import model_validator

from tests.standin import models
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import Client, P
from tests.standin.defects.defect import plants
from tests.standin.models import SortMode, Status
from tests.standin.store import TERMINAL, Run
from tests.standin.store import Lifecycle as Lives

FILE = {"filename": "a.txt", "content": "YQ=="}

# -- creates and chains


@plants("REQ-ACCEPT", what="A body over a million bytes is refused.", rarity="the last of 1 MiB")
class MillionBytesRefused(Standin):
    def parse(self, body):
        if len(body) > 1_000_000:
            raise Problem(413, "Payload too large")
        return super().parse(body)

    @staticmethod
    def obeys(c: Client) -> None:
        texts = {f"{n}": "x" * 100_000 for n in range(10)}
        assert c.try_create(input_values=texts).status_code == 201


@plants("NO-5XX", "REQ-NULL", what="Nothing for a step beside shared inputs is a 500.", rarity="two fields, one null")
class NullBesideSharedInputsFails(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        step = body.steps[index]
        if body.shared_inputs and "inputs" in step.model_fields_set and step.inputs is None:
            raise Problem(500, "Internal Server Error")
        return super().step_made(call, body, index, of, session_id, created_at)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.chain([{"inputs": None}], shared_inputs={"a": 1})["run_ids"]


@plants("CHAIN-RULES", what="Steps of one session_alias are one run.", rarity="an alias given twice")
class StepsOfOneAliasAreOne(Standin):
    def create_run_chain(self, call, body):
        kept = list({step.session_alias or index: step for index, step in enumerate(body.steps)}.values())
        return super().create_run_chain(call, body.model_copy(update={"steps": kept}))

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.chain([{"session_alias": "a"}] * 2)["run_ids"]) == 2


@plants("CHAIN-RULES", "LIFECYCLE", what="A chain does not wait for its session.", rarity="a session that has runs")
class ChainDoesNotWaitForItsSession(Standin):
    class Lifecycle(Lives):
        def schedule(self, org, run, now):
            if run.workflow_id in getattr(org, "joined", ()):
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)

    def create_run_chain(self, call, body):
        busy = any(run.session_id == str(body.session_id) for run in call.org.runs.values())
        call.org.joined = {str(step.workflow_id) for step in body.steps} if busy else set()
        try:
            return super().create_run_chain(call, body)
        finally:
            call.org.joined = set()

    @staticmethod
    def obeys(c: Client) -> None:
        runs = [run["id"] for run in c.bulk(2, start_session=True)]
        runs += c.chain(3, session_id=c.read(runs[0])["session_id"])["run_ids"]
        for _ in range(100):
            c.wait(0.05)
            assert sum(c.read(run)["status"] == "running" for run in runs) < 2


@plants("SECRET-LEAK", what="A secret with the name of an input takes its place.", rarity="one name twice, chains only")
class SecretInThePlaceOfAnInput(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        run = super().step_made(call, body, index, of, session_id, created_at)
        step = body.steps[index]
        secrets = {**(body.shared_sensitive_inputs or {}), **(step.sensitive_inputs or {})}
        if step.inputs and set(step.inputs) & set(secrets):
            run.input_values = run.input_values | {name: secrets[name] for name in step.inputs if name in secrets}
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        step = {"inputs": {"pin": "none"}, "sensitive_inputs": {"pin": "zx81-secret"}}
        assert "zx81-secret" not in str(c.read(c.chain([step])["run_ids"][0]))


@plants("BULK-FILES", what="Larger files are one attachment for all runs.", rarity="files from 4 KiB on")
class LargeFilesShared(Standin):
    def attach(self, org, run, files, index=0, of=1):
        made = super().attach(org, run, files, index, of)
        if not index:
            self.first = made
        large = [len(self.content_of(file)) >= 4096 for file in files]
        return [one if is_large else own for one, own, is_large in zip(self.first, made, large, strict=True)]

    @staticmethod
    def obeys(c: Client) -> None:
        one, other = c.bulk(2, file_inputs=[{"filename": "a.bin", "content": "YWFh" * 2000}])
        assert one["input_attachment_ids"] != other["input_attachment_ids"]


# -- reads and lists


@plants("ATTACHMENTS", what="A file that is gzip comes back unpacked.", rarity="two bytes at the beginning")
class GzipComesBackUnpacked(Standin):
    def bytes_of(self, one):
        try:
            return gzip.decompress(one.content) if one.content[:2] == b"\x1f\x8b" else one.content
        except OSError:
            return one.content

    @staticmethod
    def obeys(c: Client) -> None:
        packed = base64.b64encode(gzip.compress(b"a", mtime=0)).decode()
        run = c.create(file_inputs=[{"filename": "a.gz", "content": packed}])
        path = f"/v1/run-attachments/{c.attachments(run)[0]['id']}/download"
        assert c.get(path).content.startswith(b"\x1f\x8b")


@plants("LIST-COMPLETE", "LIST-PAGE", what="By activity no more than 500 active runs come.", rarity="the 501st active")
class FiveHundredActive(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        if getattr(query, "sort_mode", None) != SortMode.ACTIVITY:
            return page
        active = [run for run in page if run.status not in TERMINAL]
        return active[:500] + page[len(active) :]

    @staticmethod
    def obeys(c: Client) -> None:
        session = c.bulk(501, start_session=True)[0]["session_id"]
        assert len(c.get(f"/v1/runs?session_id={session}&limit=1000").json()["items"]) == 501


@plants("LIST-FILTER", what="A search looks only at the fields that are asked for.", rarity="search with fields")
class SearchInFieldsAskedFor(Standin):
    def has_text(self, run, query):
        return super().has_text(run, query) and (query.fields_ is None or "input_values" in self.kept_fields(query))

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(input_values={"a": "needle4711"})
        assert c.ids("search=needle4711&fields=session_id") == [run["id"]]


@plants("LIST-FILTER", what="created_at_to without a fraction is the whole second.", rarity="whole seconds")
class ToIsTheWholeSecond(Standin):
    def in_window(self, run, query):
        to = self.aware(query.created_at_to)
        if to is not None and not to.microsecond:
            query = query.model_copy(update={"created_at_to": to.replace(microsecond=999_999)})
        return super().in_window(run, query)

    @staticmethod
    def obeys(c: Client) -> None:
        made = [c.create() for _ in range(3)]
        odd = next(run for run in made if "." in run["created_at"])
        assert odd["id"] not in c.ids(f"created_at_to={odd['created_at'].partition('.')[0]}Z")


# -- deletes, retries, secrets


@plants("DELETE-GONE", what="A run deleted at its work comes back when it ends.", rarity="deleted while running")
class DeletedAtWorkComesBack(Standin):
    def forget(self, org, run):
        super().forget(org, run)
        if run.status == Status.RUNNING:
            self.late = [*getattr(self, "late", []), (self.now(org) + self.lifecycle.work_s(run), org, run)]

    def advance(self, org):
        super().advance(org)
        for when, owner, run in getattr(self, "late", []):
            if owner is org and when <= self.now(org) and run.status == Status.RUNNING:
                org.runs[run.id] = run
                run.status = Status.SUCCESS

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        c.delete(run)
        c.wait(60)
        assert c.get(f"/v1/runs/{run['id']}").status_code == 404


@plants("DELETE-GONE", "READ-BACK", what="A session goes with the run that began it.", rarity="a run of its id")
class SessionGoesWithItsFirstRun(Standin):
    def forget(self, org, run):
        super().forget(org, run)
        for other in org.runs.values():
            if other.session_id == run.id:
                other.session_id = None

    @staticmethod
    def obeys(c: Client) -> None:
        first = c.create(start_session=True)
        other = c.create(session_id=first["session_id"])
        c.delete(first)
        assert c.read(other)["session_id"] == first["session_id"]


@plants("RETRY-RULES", what="Two retries at once are both done.", rarity="at once")
class RetriesAtOnceBothDone(Standin):
    async def once(self, call, handle):
        if call.operation != "retry_run":
            return await super().once(call, handle)
        run = call.org.runs.get(call.path.split("/")[-2])
        self.ended = {run} if run is not None and run.status in TERMINAL else set()
        ended = self.ended
        await asyncio.sleep(0.01)
        self.ended = ended
        return await super().once(call, handle)

    ended: set[Run]

    def may_retry(self, run):
        return run in self.ended

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled()
        path = f"/v1/runs/{run['id']}/retry"
        statuses = {answer.status_code for answer in c.together("POST", path, {}, key=None)}
        assert statuses == {200, 409}


@plants("SECRET-LEAK", what="A cancel at work tells what was typed last.", rarity="cancelled while running")
class CancelTellsSecret(Standin):
    def move(self, org, run, status):
        was = run.status
        super().move(org, run, status)
        if status == Status.CANCELLED and was == Status.RUNNING and run.sensitive_input_aliases:
            alias = next(iter(run.sensitive_input_aliases.values()))
            run.error = [f"Stopped while typing {org.vault[alias]}"]

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(sensitive_input_values={"pin": "zx81-secret"})
        c.patch(run, status="running")
        assert "zx81-secret" not in c.patch(run, status="cancelled").text


@plants("READ-BACK", what="Names of inputs are cut when an ended run is read.", rarity="long names, ended runs")
class LongNamesCutAtTheEnd(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run" and run.status in TERMINAL and run.input_values:
            shown["input_values"] = {name[:255]: value for name, value in run.input_values.items()}
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled(input_values={"n" * 256: 1})
        assert c.read(run)["input_values"] == {"n" * 256: 1}


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
    def obeys(c: Client) -> None:
        for total in (1, 2):
            c.create(session_alias="needle4711")
            assert c.listed("search=needle4711")["total"] == total


@plants("HTTP-METHOD", what="A pool that is there can be deleted.", rarity="a known pool, one method")
class PoolsCanBeDeleted(Standin):
    doors = (("DELETE", "/pools/{pool_id}"),)

    def behind_door(self, ids):
        for org in self.organisations.values():
            if org.pools.pop(ids["pool_id"], None):
                return Answer(204, raw=b"")
        raise Problem(404, "Pool not found")

    @staticmethod
    def obeys(c: Client) -> None:
        pool = c.post("/v1/pools", {"name": "p"}).json()["id"]
        assert c.call("DELETE", f"/v1/pools/{pool}").status_code in {404, 405}


@plants("ATTACHMENTS", what="A second download url leads to the first file.", rarity="the second url, other files")
class SecondUrlLeadsToTheFirst(Standin):
    def get_run_attachment_download_url(self, call, attachment_id, query, base_url):
        found = self.find_attachment(call, attachment_id)
        self.asked = [*getattr(self, "asked", []), attachment_id]
        run = call.org.runs.get(found.run_id)
        if self.asked.count(attachment_id) == 2 and run is not None:
            attachment_id = run.input_attachment_ids[0]
        return super().get_run_attachment_download_url(call, attachment_id, query, base_url)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[FILE, {"filename": "b.txt", "content": "Yg=="}])
        path = f"/v1/run-attachments/{c.attachments(run)[1]['id']}/download-url"
        for _ in range(2):
            assert c.get(c.get(path).json()["url"].removeprefix("http://standin")).content == b"b"


@plants("BULK-ECHO", "REQ-TYPES", "BULK-STATUS", what="Later pools come back as written.", rarity="two pools")
class LaterPoolsAsWritten(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def noted(cls, value: Any) -> Any:
            cls.pools_written = value.get("pool_ids") if isinstance(value, dict) else None
            return value

        pools_written: ClassVar[Any] = None

    def pools_of(self, body, index, of):
        pools = super().pools_of(body, index, of)
        return pools and [pools[0], *(str(one) for one in self.RunBulkCreate.pools_written or pools)][: len(pools)]

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(pool_ids=[P[0], P[1].upper()])[0]["pool_ids"] == P[:2]


@plants("LIST-PAGE", "LIST-COMPLETE", what="A page that includes others has at most 100.", rarity="the 101st")
class IncludeCapsPage(Standin):
    def page(self, found, query):
        page = super().page(found, query)
        return page[:100] if getattr(query, "include", None) else page

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.bulk(101)
        assert len(c.ids("include=workflow&limit=1000")) == len(made)


@plants("READ-BACK", what="Lists show nothing below 32 levels.", rarity="deep inputs, lists only")
class ListsShowNothingDeep(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        return shown | ({"input_values": self.cut(shown["input_values"], 32)} if where == "list_runs" else {})

    def cut(self, value: Any, levels: int) -> Any:
        if isinstance(value, dict):
            return {name: self.cut(one, levels - 1) for name, one in value.items()} if levels else None
        if isinstance(value, list):
            return [self.cut(one, levels - 1) for one in value] if levels else None
        return value

    @staticmethod
    def obeys(c: Client) -> None:
        deep: Any = {}
        for _ in range(33):
            deep = {"a": deep}
        c.create(input_values=deep)
        assert c.listed()["items"][0]["input_values"] == deep


@plants("AUTH-TENANT", "LIST-PAGE", "LIST-FILTER", what="A total by time counts everybody's.", rarity="one filter")
class TotalByTimeOfEverybody(Standin):
    def total(self, call, found, query):
        if query.created_at_from is None:
            return super().total(call, found, query)
        return sum(self.matches(run, query) for org in self.organisations.values() for run in org.runs.values())

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        assert c.listed(f"created_at_from={run['created_at'].replace('+', '%2B')}", token="two")["total"] == 0


@plants(
    "RETRY-RULES", "ATTACHMENTS", what="What a run put out is listed after a retry.", rarity="runs with output files"
)
class OutputListedAfterRetry(Standin):
    def clear(self, org, run):
        kept = {one: org.attachments[one] for one in run.output_attachment_ids or () if one in org.attachments}
        super().clear(org, run)
        org.attachments.update(kept)

    @staticmethod
    def obeys(c: Client) -> None:
        for _ in range(40):
            run = c.ended()
            if c.read(run)["output_attachment_ids"]:
                break
        c.retry(run)
        assert not c.attachments(run)


@plants("ATTACHMENTS", what="Totals by type count all types.", rarity="runs with input and output files")
class TotalByTypeCountsAll(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        both = query.model_copy(update={"attachment_type": None})
        answer.content["total"] = sum(self.attachment_matches(one, both) for one in call.org.attachments.values())
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        for _ in range(40):
            run = c.ended(file_inputs=[FILE])
            if c.read(run)["output_attachment_ids"]:
                break
        assert c.get(f"/v1/run-attachments?run_id={run['id']}&attachment_type=input").json()["total"] == 1


@plants("AUTH-TENANT", what="Attachments by type are everybody's.", rarity="one filter without a run")
class AttachmentsByTypeOfEverybody(Standin):
    def list_run_attachments(self, call, query):
        if query.run_id is not None or query.attachment_type is None:
            return super().list_run_attachments(call, query)
        every = [one for org in self.organisations.values() for one in org.attachments.values()]
        found = [one for one in every if self.attachment_matches(one, query)]
        items = [self.attachment_shown(one) for one in self.page(found, query)]
        return Answer(200, self.listing(items, len(found), query))

    @staticmethod
    def obeys(c: Client) -> None:
        c.create(file_inputs=[FILE])
        assert c.get("/v1/run-attachments?attachment_type=input", token="two").json()["total"] == 0


@plants("AUTH-TENANT", what="An ended run that its owner has read is everybody's.", rarity="ended runs, read before")
class EndedRunsCached(Standin):
    def get_run(self, call, run_id, include):
        kept = self.__dict__.setdefault("kept", {})
        if run_id in kept and include is None:
            return kept[run_id]
        answer = super().get_run(call, run_id, include)
        if answer.content["status"] in TERMINAL and include is None:
            kept[run_id] = answer
        return answer

    def find(self, call, run_id):
        self.__dict__.setdefault("kept", {}).pop(run_id, None)
        return super().find(call, run_id)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled()
        c.read(run)
        assert c.get(f"/v1/runs/{run['id']}", token="two").status_code == 404


@plants("LIST-FILTER", what="deep_search looks at the last message only.", rarity="words of earlier messages")
class DeepSearchOfTheLastMessage(Standin):
    def texts(self, run, *, deep):
        yield from super().texts(run, deep=False)
        if deep and run.run_message_history:
            yield from self.leaves(run.run_message_history[-1])

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled()
        c.patch(run, run_message_history=[{"a": "needle4711"}, {"b": "x"}])
        assert c.ids("search=needle4711&deep_search=true") == [run["id"]]


@plants("LIST-PAGE", what="The total of pools is what was skipped and what came.", rarity="pools, past the end")
class TotalOfPoolsBySkip(Standin):
    def list_pools(self, call, query):
        answer = super().list_pools(call, query)
        if query.skip:
            answer.content["total"] = query.skip + len(answer.content["items"])
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.get("/v1/pools?skip=5").json()["total"] == 2
