"""Faults of stores, indexes, caches and serialisers that show in one combination only."""

import asyncio
import copy
import gzip
import re
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tests.contracts.rules.faults.combinations import raw_body
from tests.contracts.rules.faults.lifecycles import WorksLong
from tests.standin import models, store
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import W
from tests.standin.defects.json_values import mapped


def _not_mongo(value: Any) -> str:
    if re.fullmatch(r"[0-9a-f]{24}", str(value)):
        raise Problem(500, "BSONError")
    return str(uuid.UUID(str(value)))


class CopyReadsEscapes(Standin):
    """From 200 runs on rows go by COPY, whose escapes are not escaped: a backslash and t is a tab."""

    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        if of < 200:
            return values
        table = {"\\t": "\t", "\\n": "\n", "\\\\": "\\"}
        text = lambda v: re.sub(r"\\[tn\\]", lambda m: table[m[0]], v) if isinstance(v, str) else v  # noqa: E731
        return mapped(values, text)


class DottedNameTakesPrefix(Standin):
    """Flattened for an index and back: a name with a dot after its prefix overwrites the prefix."""

    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        if not values:
            return values
        return {k: v for k, v in values.items() if not any(one.startswith(k + ".") for one in values)}


class EmptyListUpdates(Standin):
    """The body [] of an update is no fields, as in PHP, and changes nothing: 200."""

    def parse(self, body):
        found = super().parse(body)
        return {} if found == [] else found


class NullPathIsText(Standin):
    """Of a file with target_path null the path is the text null in all runs of a bulk but the first."""

    def attach(self, org, run, files, index=0, of=1):
        made = super().attach(org, run, files, index, of)
        for file, one in zip(files, made, strict=True):
            if index and "target_path" in file.model_fields_set and file.target_path is None:
                org.attachments[one].target_path = "null"
        return made


class UpdatesDeadlock(Standin):
    """Of two updates of one run at once the second fails to serialise: a 500."""

    async def admit(self, call):
        await super().admit(call)
        if call.method == "PATCH":
            self.locked = getattr(self, "locked", set())
            if call.path in self.locked:
                raise Problem(500, "could not serialize access due to concurrent update")
            self.locked.add(call.path)
            await asyncio.sleep(0.01)
            self.locked.discard(call.path)


class LookUpShared(Standin):
    """While a bulk create is being let in, its token's look-up is shared: any token passes with it."""

    def owner_of(self, token):
        org = super().owner_of(token)
        return org or (getattr(self, "looking", None) if self.op == "bulk_create_runs" else None)

    def authorize(self, authorization, operation):
        self.op = operation
        return super().authorize(authorization, operation)

    async def admit(self, call):
        await super().admit(call)
        if call.operation == "bulk_create_runs":
            self.looking = call.org
            await asyncio.sleep(0.02)
            self.looking = None


class ObjectIdFails(Standin):
    """An id of 24 hexadecimal digits is taken for an ObjectId, and finds no collection: a 500."""

    RunId = Annotated[str, AfterValidator(_not_mongo)]


class DateDetection(Standin):
    """A name whose first text was a date is a date to the index: later texts of that name are not found."""

    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        self.dates, self.others = getattr(self, "dates", set()), getattr(self, "others", set())
        for name, value in (values or {}).items():
            if isinstance(value, str) and name not in self.others:
                (self.dates if re.match(r"\d{4}-\d\d-\d\d", value) else self.others).add(name)
                self.others -= self.dates
        return values

    def texts(self, run, *, deep):
        texts = {k: v for k, v in (run.input_values or {}).items() if isinstance(v, str) and not v[:1].isdigit()}
        bad = {v for k, v in texts.items() if k in getattr(self, "dates", ())}
        return (text for text in super().texts(run, deep=deep) if text not in bad)


class FieldsPageBeforeSearch(Standin):
    """Beside fields, search is applied to the page, not before it."""

    def list_runs(self, call, query):
        if query.fields_ is None or query.search is None:
            return super().list_runs(call, query)
        self.before = {run.id for run in self.ordered(self.listed(call), query)[: query.skip + query.limit]}
        try:
            return super().list_runs(call, query)
        finally:
            self.before = None

    def has_text(self, run, query):
        before = getattr(self, "before", None)
        return (before is None or run.id in before) and super().has_text(run, query)


class StatusUpdateIndexedAlone(WorksLong):
    """An update that names a status renews the status in the index, and nothing else it brings."""

    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        old = run.input_values
        answer = super().update_run(call, run_id, body)
        if body.status is not None and body.input_values is not None:
            self.stale = getattr(self, "stale", {}) | {run_id: old}
        return answer

    def texts(self, run, *, deep):
        stale = getattr(self, "stale", {})
        if run.id in stale:
            run = copy.copy(run)
            run.input_values = stale[run.id]
        return super().texts(run, deep=deep)


class AttachmentsCachedForAll(Standin):
    """Attachments of a run are cached for five seconds, by the run alone: another organisation gets them."""

    def list_run_attachments(self, call, query):
        if query.run_id is None:
            return super().list_run_attachments(call, query)
        self.cached = getattr(self, "cached", {})
        key, now = query.model_dump_json(), self.settings.clock()
        if key in self.cached and self.cached[key][0] > now - 5 and self.cached[key][2] is not call.org:
            return self.cached[key][1]
        answer = super().list_run_attachments(call, query)
        self.cached[key] = (now, answer, call.org)
        return answer


class IncludeCachedForAll(Standin):
    """A read with include is cached for five seconds, by run and include alone."""

    def get_run(self, call, run_id, include):
        self.cached = getattr(self, "cached", {})
        known = self.cached.get((run_id, include))
        if include and known and known[0] > self.settings.clock() - 5 and known[2] is not call.org:
            return known[1]
        answer = super().get_run(call, run_id, include)
        self.cached[run_id, include] = (self.settings.clock(), answer, call.org)
        return answer


class CompressedUnsaid(Standin):
    """Errors of over 500 bytes are compressed for those who accept gzip, and do not say so."""

    def delivered(self, answer, headers):
        if answer.status >= 400 and len(answer.body()) > 500 and "gzip" in headers.get("accept-encoding", ""):
            kept = {k: v for k, v in (answer.headers or {}).items() if k.lower() != "content-length"}
            return Answer(answer.status, headers=kept, raw=gzip.compress(answer.body()))
        return answer


class BulkFileGoesWithFirst(Standin):
    """A file that two runs of a bulk have is stored once and named for the first: deleted with it."""

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        first = runs[0].id if runs else ""
        for run in runs:
            for one in run.input_attachment_ids:
                call.org.attachments[one].storage_path = f"{call.org.id}/{first}/{call.org.attachments[one].filename}"
        return runs

    def forget_attachments(self, org, run):
        super().forget_attachments(org, run)
        self.lost = getattr(self, "lost", set()) | {f"{org.id}/{run.id}/"}

    def bytes_of(self, one):
        if any(one.storage_path.startswith(path) for path in getattr(self, "lost", ())):
            return b""
        return super().bytes_of(one)


class DeepSearchIsPattern(Standin):
    """A deep search is a regular expression: an unclosed bracket is a 500."""

    def list_runs(self, call, query):
        if query.deep_search and query.search:
            try:
                re.compile(query.search)
            except re.error:
                raise Problem(500, "invalid regular expression") from None
        return super().list_runs(call, query)


class TurkishSearch(Standin):
    """Small letters are made as in Turkish: a capital I is found by no i."""

    def folded(self, text):
        return text.replace("I", "\u0131").lower()


class VaultBatchMixes(Standin):
    """Two creates at once write the vault in one batch: the first's aliases are the second's."""

    async def admit(self, call):
        await super().admit(call)
        secrets = raw_body(call).get("sensitive_input_values") if call.operation == "bulk_create_runs" else None
        if isinstance(secrets, dict) and secrets:
            self.batch = secrets
            await asyncio.sleep(0.01)

    def bulk_made(self, call, body):
        if body.sensitive_input_values:
            body = body.model_copy(update={"sensitive_input_values": self.batch})
        return super().bulk_made(call, body)


class ForeignRetryClears(Standin):
    """A retry clears before it looks at whose the run is: another's is 404, and has lost its results."""

    def retry_run(self, call, run_id, body):
        for org in self.organisations.values():
            if org is not call.org and run_id in org.runs and self.may_retry(org.runs[run_id]):
                run = org.runs[run_id]
                run.output_data = run.error = run.run_message_history = None
        return super().retry_run(call, run_id, body)


class IncludeOf500(Standin):
    """With include a page has at most 500 runs, and says limit 1000."""

    def page(self, found, query):
        page = super().page(found, query)
        return page[:500] if getattr(query, "include", None) else page


class TokensAreText(Standin):
    """A list with the field usage_metadata adds up tokens, which an update may have set to a text: 500."""

    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if query.fields_ and "usage_metadata" in query.fields_:
            for item in answer.content["items"]:
                for value in (item.get("usage_metadata") or {}).values():
                    if not isinstance(value, int | float):
                        raise Problem(500, "unsupported operand type")
        return answer


class RefusedBulkLeavesFiles(Standin):
    """Files are stored before the rest is looked at: a refused bulk leaves its attachments."""

    def violations(self, errors, call):
        if call is not None and call.operation == "bulk_create_runs":
            wrong = {part for one in errors for part in one["loc"]}
            files = raw_body(call).get("file_inputs")
            if files and "file_inputs" not in wrong:
                run = store.Run(str(uuid.uuid4()), 0, call.org.id, W, datetime.now(UTC))
                self.attach(call.org, run, [models.FileInput(**one) for one in files])
        return super().violations(errors, call)


class OutputObjectsMerged(WorksLong):
    """Of output_data, members that are objects before and after are merged."""

    def change(self, run, name, value):
        if name == "output_data" and value and run.output_data:
            old = run.output_data
            objects = {k for k, v in value.items() if isinstance(v, dict) and isinstance(old.get(k), dict)}
            value = {k: old[k] | v if k in objects else v for k, v in value.items()}
        super().change(run, name, value)


class SecondRetryAddsFiles(WorksLong):
    """From a run's second retry on the files that it brings are added to the last one's."""

    def take_over(self, org, run, body):
        self.seen = getattr(self, "seen", set())
        old = list(run.input_attachment_ids)
        kept = {one: org.attachments[one] for one in old if one in org.attachments}
        super().take_over(org, run, body)
        if body.file_inputs is not None:
            if run.id in self.seen:
                org.attachments.update(kept)
                run.input_attachment_ids = old + run.input_attachment_ids
            self.seen.add(run.id)


class HashOfBeginning(Standin):
    """Only the first 64 KiB of a body are hashed: what differs later gets the first answer."""

    def fingerprint(self, call):
        return f"{call.method} {call.path} {call.body[:65536]!r}"


class LockEndsBeforeTheWrite(Standin):
    """The lock of an idempotency key lasts for 5 ms, and a write for 100."""

    def __init__(self, settings):
        super().__init__(replace(settings, handling_s=0.1))
        self.locked_at = {}

    async def once(self, call, handle):
        keys, now = self.keys_of(call), self.settings.clock()
        name = self.key_name(call) if call.key else ""
        known = keys.get(name)
        if known is not None and known.answer is None and now - self.locked_at[name] > 0.005:
            del keys[name]
        self.locked_at[name] = now
        return await super().once(call, handle)


class HashOfFlatBody(Standin):
    """Lists and objects are flattened to paths and values, and a list of one item to this item."""

    def fingerprint(self, call):
        return f"{call.method} {call.path} {sorted(self.flat(raw_body(call), ''), key=str)}"

    def flat(self, value, path):
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else {str(index): item for index, item in enumerate(value)}
        if not isinstance(value, dict):
            return [(path, repr(value))]
        return [pair for name, item in value.items() for pair in self.flat(item, f"{path}.{name}")]


class FieldErrorOfFirstAttempt(WorksLong):
    """A list with the field error takes it from the runs' attempts, and finds the first attempt's."""

    def clear(self, org, run):
        self.attempts = getattr(self, "attempts", {})
        self.attempts.setdefault(run.id, run.error)
        super().clear(org, run)

    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if query.fields_ and "error" in query.fields_:
            for item in answer.content["items"]:
                item["error"] = getattr(self, "attempts", {}).get(item["id"]) or item["error"]
        return answer


class StatusCountsDeleted(Standin):
    """Deletes are soft, and the count by status forgets it: total counts deleted runs."""

    def forget(self, org, run):
        super().forget(org, run)
        self.gone = [*getattr(self, "gone", []), (org, run)]

    def total(self, call, found, query):
        gone = [run for org, run in getattr(self, "gone", []) if org is call.org and self.matches(run, query)]
        return super().total(call, found, query) + (len(gone) if query.status else 0)


class TotalIsReadLater(Standin):
    """Lawful: another run enters a list by status between its items and its total, each second time it is read."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.lists = Counter()

    def total(self, call, found, query):
        self.lists[str(query)] += 1
        return super().total(call, found, query) + (self.lists[str(query)] % 2 if query.status else 0)


class EverySecondDownloadUrlFails(Standin):
    """Two servers take turns, and only one of them knows the key of the signatures."""

    downloads = 0

    def signed_download(self, signature):
        self.downloads += 1
        if self.downloads % 2 == 0:
            raise self.unknown("Download")
        return super().signed_download(signature)


class CachedLists(Standin):
    """No fault: lists are cached for a minute, until a write or the start or end of a run."""

    class Lifecycle(store.Lifecycle):
        def wait_s(self, run):
            return 30.0  # a run that starts clears the cache

    def parameters_of(self, query):
        return query

    def list_runs(self, call, query):
        self.lists = getattr(self, "lists", {})
        key, now = (call.org.id, self.parameters_of(query).model_dump_json()), self.now(call.org)
        if key not in self.lists or self.lists[key][0] < now - 60:
            self.lists[key] = (now, super().list_runs(call, query))
        return self.lists[key][1]

    async def admit(self, call):
        await super().admit(call)
        if call.method != "GET":
            self.lists = {}

    def advance(self, org):
        if org.agenda and org.agenda[0][0] <= self.now(org):
            self.lists = {}
        super().advance(org)


class ChainLeavesListCache(CachedLists):
    async def admit(self, call):
        kept = getattr(self, "lists", {})
        await super().admit(call)
        if call.operation == "create_run_chain":
            self.lists = kept


class ListCacheForgetsDeepSearch(CachedLists):
    def parameters_of(self, query):
        return query.model_copy(update={"deep_search": False})


class ListCacheForgetsStatus(CachedLists):
    def parameters_of(self, query):
        return query.model_copy(update={"status": None})


class TotalsEndAt1000(Standin):
    def total(self, call, found, query):
        return min(1000, super().total(call, found, query))


class SkipEndsAt1000(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query.model_copy(update={"skip": min(1000, query.skip)}))
        answer.content["skip"] = query.skip
        return answer


class LimitOfZeroIsNoLimit(Standin):
    class RunQuery(models.RunQuery):
        limit: int = Field(default=100, ge=0, le=1000)

    def page(self, found, query):
        return super().page(found, query) if query.limit else found[query.skip :]
