"""Defects in reads of a run."""

import json
from typing import Any

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import FILES, UNKNOWN, Client, P
from tests.standin.defects.defect import plants
from tests.standin.defects.json_values import mapped
from tests.standin.store import TERMINAL

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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.read(c.bulk(11, pool_ids=P[:1])[10])["pool_ids"] == P[:1]


@plants("READ-BACK", what="created_at has lost its fraction of a second when read.", rarity="one field, reads only")
class ReadCutsFractions(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run":
            shown["created_at"] = self.written(run.created_at.replace(microsecond=0))
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        runs = [c.create() for _ in range(3)]
        assert [c.read(run)["created_at"] for run in runs] == [run["created_at"] for run in runs]


@plants(
    "READ-BACK",
    what="The create shows created_at in nanoseconds, the database holds microseconds.",
    rarity="digits that datetime does not hold",
)
class ReadCutsNanoseconds(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where in {"bulk_create_runs", "create_run"}:
            shown["created_at"] = run.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f417Z")
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert c.read(run)["created_at"] == run["created_at"]


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
    def witness(c: Client) -> None:
        run = c.create(file_inputs=FILES[:2])
        assert c.read(run)["input_attachment_ids"] == run["input_attachment_ids"]


@plants("READ-BACK", what="A list shows no session_alias.", rarity="one field, lists only")
class ListForgetsAlias(Standin):
    def show(self, run, where, index=0, of=1):
        return super().show(run, where, index, of) | ({"session_alias": None} if where == "list_runs" else {})

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.read(c.bulk(101, start_session=True)[-1])["session_id"] is not None


@plants("READ-BACK", what="A list shows no inputs that are longer than 8 kB.", rarity="lists, large inputs")
class LargeInputsLeftOutOfLists(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "list_runs" and len(json.dumps(shown["input_values"])) > 8192:
            shown["input_values"] = {}
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(input_values={"a": "x" * 9000})
        assert c.listed()["items"][0]["input_values"] == {"a": "x" * 9000}


@plants("READ-BACK", what="Of many pools a read shows sixteen.", rarity="from the seventeenth pool on, reads only")
class ReadShowsSixteenPools(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run" and shown["pool_ids"]:
            shown["pool_ids"] = shown["pool_ids"][:16]
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.read(c.bulk(pool_ids=[P[n % 12] for n in range(20)])[0])["pool_ids"]) == 20


@plants(
    "READ-BACK",
    "UPDATE-PARTIAL",
    what="Names of inputs are cut when an ended run is read.",
    rarity="long names, ended runs",
)
class LongNamesCutAtTheEnd(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run" and run.status in TERMINAL and run.input_values:
            shown["input_values"] = {name[:255]: value for name, value in run.input_values.items()}
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled(input_values={"n" * 256: 1})
        assert c.read(run)["input_values"] == {"n" * 256: 1}


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
    def witness(c: Client) -> None:
        deep: Any = {}
        for _ in range(33):
            deep = {"a": deep}
        c.create(input_values=deep)
        assert c.listed()["items"][0]["input_values"] == deep


# -- READ-UNKNOWN


@plants("READ-UNKNOWN", what="The nil id reads as null with 200.", rarity="one id of all")
class NilIdReadsAsNull(Standin):
    def get_run(self, call, run_id, include):
        if run_id == "00000000-0000-0000-0000-000000000000":
            return Answer(200, None)
        return super().get_run(call, run_id, include)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.get(f"/v1/run-attachments/{UNKNOWN}/download").status_code == 404


@plants("READ-UNKNOWN", "RETRY-RULES", what="A retry of an unknown run is 409.", rarity="one operation")
class UnknownRetryConflicts(Standin):
    def retry_run(self, call, run_id, body):
        if run_id not in call.org.runs:
            raise type(self.unknown("Run"))(409, "The run has not ended.")
        return super().retry_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post(f"/v1/runs/{UNKNOWN}/retry", {}).status_code == 404


@plants("READ-UNKNOWN", what="An unknown machine reads as the first one.", rarity="one resource")
class UnknownMachineIsTheFirst(Standin):
    def get_machine(self, call, machine_id):
        known = machine_id if machine_id in call.org.machines else next(iter(call.org.machines))
        return super().get_machine(call, known)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get(f"/v1/machines/{UNKNOWN}").status_code == 404


@plants("READ-UNKNOWN", what="An update of an unknown run is 200.", rarity="one operation")
class UnknownUpdateAnswers200(Standin):
    def update_run(self, call, run_id, body):
        if run_id not in call.org.runs:
            return Answer(200, {"id": run_id})
        return super().update_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.call("PATCH", f"/v1/runs/{UNKNOWN}", {}).status_code == 404


@plants("READ-BACK", "LIFECYCLE", what="Read alone, started_at is a number when set.", rarity="one field, one read")
class ReadStartsInSeconds(Standin):
    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        started = self.find(call, run_id).started_at
        answer.content["started_at"] = started and int(started.timestamp())
        return answer

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        run = c.create(machine_id=c.get("/v1/machines").json()["items"][0]["id"])
        assert all("id" in one for one in c.get(f"/v1/runs/{run['id']}?include=machine").json()["included"])


# -- READ-INCLUDE


@plants("READ-INCLUDE", what="A resource of several runs is included once for each.", rarity="a list of two runs")
class IncludedForEachRun(Standin):
    def included(self, org, runs, include):
        return [one for run in runs for one in super(IncludedForEachRun, self).included(org, [run], include)]

    @staticmethod
    def witness(c: Client) -> None:
        workflow = c.get("/v1/workflows").json()["items"][0]["id"]
        c.bulk(2, workflow_id=workflow)
        included = c.get(f"/v1/runs?workflow_id={workflow}&include=workflow").json()["included"]
        assert [one["id"] for one in included] == [workflow]


@plants("READ-INCLUDE", what="With a machine, its workflow is not included.", rarity="two names in one parameter")
class WorkflowNotIncluded(Standin):
    def included(self, org, runs, include):
        found = super().included(org, runs, include)
        return [one for one in found if one["type"] != "workflow" or "machine" not in include]

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(workflow_id=c.get("/v1/workflows").json()["items"][0]["id"])
        included = c.get(f"/v1/runs/{run['id']}?include=machine,workflow").json()["included"]
        assert [one["type"] for one in included] == ["workflow"]
