"""Faults of attachments, workflows and machines, and of `included`."""

import contextlib
import json
import random
import re
import time
from dataclasses import replace

from tests.standin.behaviour import Standin
from tests.standin.defects.json_values import mapped


class FirstMachineIncluded(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        return found + [{"type": "machine", **self.machine_shown(org, one)} for one in org.machines.values()][:1]


class IncludedPoolsHaveTheMachinesName(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        return [one | ({"name": found[0]["name"]} if one["type"] == "pool" else {}) for one in found]


class PoolIncludedForEachMachine(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        machines = {run.machine_id for run in runs if run.machine_id}
        pools = [one for one in found if one["type"] == "pool"]
        twice = [pool for pool in pools if all(pool["id"] in org.machines[one]["pools"] for one in machines)]
        return found + (twice if len(machines) > 1 else [])


class UnknownSignaturesFail(Standin):
    def signed_download(self, signature):
        if signature not in self.signed:
            raise KeyError(signature)
        return super().signed_download(signature)


class FieldsLeaveOutIncluded(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if query.fields_:
            answer.content.pop("included", None)
        return answer


class IncludedOfTheFirstTen(Standin):
    def included(self, org, runs, include):
        return super().included(org, runs[:10], include)


class IncludesOfTheFirstPage(Standin):
    def page(self, found, query):
        self.found = found
        return super().page(found, query)

    def included(self, org, runs, include):
        return super().included(
            org, self.found[: len(runs)] if runs[0] in getattr(self, "found", ()) else runs, include
        )


class AttachmentsOfBothTypesCounted(Standin):
    """In the list of all attachments, which is counted by another query than that of a run."""

    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        if query.run_id is None:
            answer.content["total"] = len(call.org.attachments)
        return answer


class AttachmentTotalOfPage(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        answer.content["total"] = len(answer.content["items"])
        return answer


class CleanUpLostInBulk(Standin):
    def attach(self, org, run, files, index=0, of=1):
        ids = super().attach(org, run, files, index, of)
        for one in ids if index else ():
            org.attachments[one].cleanup_imports_after_run = False
        return ids


class RetryCutsFiles(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        for one in run.input_attachment_ids:
            org.attachments[one].content = org.attachments[one].content[:65536]


class CreatedWorkflowsForgotten(Standin):
    def create_workflow(self, call, body):
        answer = super().create_workflow(call, body)
        del call.org.workflows[answer.content["id"]]
        return answer


class NamesOfWorkflowsInAscii(Standin):
    def create_workflow(self, call, body):
        return super().create_workflow(call, body.model_copy(update={"name": body.name and ascii(body.name)}))


class ListedForEachPool(Standin):
    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        if "pools" in str(query.include):
            pools = {name: len(machine["pools"]) for name, machine in call.org.machines.items()}
            items = answer.content["items"]
            answer.content["items"] = [item for item in items for _ in range(pools.get(item["machine_id"], 1))]
        return answer


class WebhooksAreNotEnabled(Standin):
    def create_workflow(self, call, body):
        return super().create_workflow(call, body.model_copy(update={"is_webhooks_enabled": False}))


class IncludedOnceForAName(Standin):
    def included(self, org, runs, include):
        return list({one["name"]: one for one in super().included(org, runs, include)}.values())


class IncludedMachinesHaveNoPools(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        return [one | ({"pools": []} if one["type"] == "machine" else {}) for one in found]


class FirstMachineIsIncluded(Standin):
    """Includes the machine on which a run was before it was retried."""

    def retry_run(self, call, run_id, body):
        run = self.find(call, run_id)
        machines = self.__dict__.setdefault("machines", {})
        machines.setdefault(run_id, run.machine_id)
        return super().retry_run(call, run_id, body)

    def included(self, org, runs, include):
        machines = self.__dict__.get("machines", {})
        before = [replace(run, machine_id=machines.get(run.id, run.machine_id)) for run in runs]
        return super().included(org, before, include)


class FilesOfASessionAreKeptByName(Standin):
    def attach(self, org, run, files, index=0, of=1):
        made = super().attach(org, run, files, index, of)
        for new in map(org.attachments.get, made):
            for one in org.attachments.values():
                is_of_session = org.runs.get(one.run_id, run).session_id == run.session_id is not None
                if is_of_session and one.filename == new.filename:
                    one.content = new.content
        return made


class WorkflowsOfAllOrganisationsListed(Standin):
    def list_workflows(self, call, query):
        every = {name: one for org in self.organisations.values() for name, one in org.workflows.items()}
        return super().list_workflows(replace(call, org=replace(call.org, workflows=every)), query)


class ListsOfResourcesAreCached(Standin):
    """For one second, by the query."""

    def cached(self, call, query, answer):
        cache, now = vars(self).setdefault("resource_pages", {}), time.monotonic()
        key = (call.org.id, answer.__name__, query.model_dump_json())
        if key not in cache or cache[key][0] < now - 1:
            cache[key] = (now, answer(call, query))
        return cache[key][1]

    def list_pools(self, call, query):
        return self.cached(call, query, super().list_pools)

    def list_workflows(self, call, query):
        return self.cached(call, query, super().list_workflows)


class ListsOfAttachmentsAreCached(ListsOfResourcesAreCached):
    def list_run_attachments(self, call, query):
        return self.cached(call, query, super().list_run_attachments)


class DownloadsAreCached(Standin):
    def download_run_attachment(self, call, attachment_id):
        cache = vars(self).setdefault("downloads", {})
        if attachment_id not in cache:
            cache[attachment_id] = super().download_run_attachment(call, attachment_id)
        return cache[attachment_id]


class FilesAreKnownByTheirBeginning(Standin):
    """Files of one size with the same first 16 bytes are stored once."""

    def content_of(self, file):
        content = super().content_of(file)
        return vars(self).setdefault("contents", {}).setdefault((len(content), content[:16]), content)


class RetriesStartNoSession(Standin):
    def retry_run(self, call, run_id, body):
        in_session = self.find(call, run_id).session_id is not None
        update = {"start_session": False, "reuse_session": True} if in_session and body.start_session else {}
        return super().retry_run(call, run_id, body.model_copy(update=update))


class SecretsOfTheLastRetryAreSearched(Standin):
    def retry_run(self, call, run_id, body):
        vars(self).setdefault("secrets_of_retries", {})[run_id] = body.sensitive_input_values
        return super().retry_run(call, run_id, body)

    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from self.leaves(vars(self).get("secrets_of_retries", {}).get(run.id))


class UrlsLiveMilliseconds(Standin):
    def get_run_attachment_download_url(self, call, attachment_id, query, base_url):
        answer = super().get_run_attachment_download_url(call, attachment_id, query, base_url)
        signature = answer.content["url"].rpartition("/")[2]
        self.signed[signature] = (self.settings.clock() + query.expires_in / 1000, self.signed[signature][1])
        return answer


class AttachmentsArePagedBeforeTheirType(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        if query.run_id is None:
            return answer
        of_run = [one for one in call.org.attachments.values() if one.run_id == str(query.run_id)]
        ids = {one.id for one in self.page(of_run, query)}
        items = [item for item in answer.content["items"] if item["id"] in ids]
        return replace(answer, content=answer.content | {"items": items})


class ReplacedFilesAreCounted(Standin):
    """The total of the files of a run has those that its retries have replaced."""

    def take_over(self, org, run, body):
        if body.file_inputs is not None:
            replaced = self.__dict__.setdefault("replaced", {})
            replaced[run.id] = replaced.get(run.id, 0) + len(run.input_attachment_ids)
        super().take_over(org, run, body)

    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        if query.attachment_type != "output":
            answer.content["total"] += self.__dict__.get("replaced", {}).get(str(query.run_id), 0)
        return answer


class FilesOfDeletedRunsAreCounted(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        if query.run_id is not None and str(query.run_id) not in call.org.runs:
            answer.content["total"] += 1
        return answer


class SizeIsInCharacters(Standin):
    def size(self, one):
        try:
            return len(one.content.decode()) if one.content_type.startswith("text/") else super().size(one)
        except UnicodeDecodeError:
            return super().size(one)


class JsonFilesAreWrittenAnew(Standin):
    def bytes_of(self, one):
        with contextlib.suppress(ValueError):
            if one.content_type == "application/json":
                return json.dumps(json.loads(one.content)).encode()
        return one.content


class ByteOrderMarkIsDropped(Standin):
    def bytes_of(self, one):
        return one.content.removeprefix(b"\xef\xbb\xbf") if one.content_type == "text/csv" else one.content


class OutputFilesOfAllDownloaded(Standin):
    def download_run_attachment(self, call, attachment_id):
        for org in self.organisations.values():
            one = org.attachments.get(attachment_id)
            if one is not None and one.attachment_type == "output":
                return self.download(one)
        return super().download_run_attachment(call, attachment_id)


class MachineIsReadWithItsKey(Standin):
    def get_machine(self, call, machine_id):
        answer = super().get_machine(call, machine_id)
        return replace(answer, content={**answer.content, "name": answer.content["unkey_key_id"]})


class ListedFilesHaveNoType(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        for item in answer.content["items"]:
            item["content_type"] = "application/octet-stream"
        return answer


class WholeParametersAreIntegers(Standin):
    """A pool's parameters lose the fraction .0 of their numbers."""

    def pool_shown(self, org, pool):
        shown = super().pool_shown(org, pool)
        parameters = mapped(
            shown["pool_parameters"], lambda v: int(v) if type(v) is float and v.is_integer() and abs(v) < 1e15 else v
        )
        return shown | {"pool_parameters": parameters}


class NulInParametersFails(Standin):
    """As in a column of the type jsonb."""

    def create_pool(self, call, body):
        if "\\u0000" in json.dumps(body.pool_parameters):
            raise RuntimeError("unsupported Unicode escape sequence")
        return super().create_pool(call, body)


class PromptsAreTrimmed(Standin):
    def create_workflow(self, call, body):
        return super().create_workflow(call, body.model_copy(update={"main_prompt": body.main_prompt.strip()}))


class SchemasChangePlaces(Standin):
    def create_workflow(self, call, body):
        swapped = {"input_schema": body.output_schema, "output_schema": body.input_schema}
        return super().create_workflow(call, body.model_copy(update=swapped))


class SchemasLoseRepeatedSpaces(Standin):
    def create_workflow(self, call, body):
        schema = body.input_schema and re.sub(" +", " ", body.input_schema)
        return super().create_workflow(call, body.model_copy(update={"input_schema": schema}))


class PathsAreTrimmed(Standin):
    def attachment(self, org, run, file):
        return super().attachment(org, run, file.model_copy(update={"target_path": (file.target_path or "").strip()}))


class NamesInAnyCapitals(Standin):
    def list_machines(self, call, query):
        names = {one["name"].lower(): one["name"] for one in call.org.machines.values()}
        name = names.get((query.name or "").lower(), query.name)
        return super().list_machines(call, query.model_copy(update={"name": name}))


class SearchesHaveNoIds(Standin):
    def having(self, items, text, *names):
        return super().having(items, text, *(name for name in names if name != "id" or not text))


class AttachmentsByTypeHaveNoOrder(Standin):
    """The index by type does not keep the order."""

    def list_run_attachments(self, call, query):
        org = call.org
        if query.attachment_type and not query.run_id:
            self.turns = getattr(self, "turns", 0) + 1
            kept = list(org.attachments.items())
            org = replace(org, attachments=dict(random.Random(self.turns).sample(kept, len(kept))))
        return super().list_run_attachments(replace(call, org=org), query)
