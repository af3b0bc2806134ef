"""Defects in deletes."""

import itertools

from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import FILE, Client, S
from tests.standin.defects.defect import plants
from tests.standin.models import Status
from tests.standin.store import TERMINAL

# -- DELETE-GONE


@plants("DELETE-GONE", "ATTACHMENTS", what="A deleted run's attachments stay.", rarity="files, then a delete")
class AttachmentsStay(Standin):
    def forget_attachments(self, org, run):
        pass

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[FILE])
        c.delete(run)
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}").status_code == 404


@plants(
    "DELETE-GONE",
    "LIST-COMPLETE",
    "READ-BACK",
    what="A delete takes the next run of the same bulk with it.",
    rarity="bulk runs",
)
class NeighbourGoesToo(Standin):
    def __init__(self, settings):
        super().__init__(settings)
        self.next = {}

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        self.next |= {run.id: other.id for run, other in itertools.pairwise(runs)}
        return runs

    def delete_run(self, call, run_id):
        answer = super().delete_run(call, run_id)
        if (other := call.org.runs.get(self.next.get(run_id))) is not None:
            self.forget(call.org, other)
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        runs = c.bulk(3)
        c.delete(runs[0])
        assert len(c.ids()) == 2


@plants("DELETE-GONE", what="A deleted run is still listed in its session.", rarity="one filter, after a delete")
class DeletedListedInSession(Standin):
    def delete_run(self, call, run_id):
        self.gone = [*getattr(self, "gone", []), self.find(call, run_id)]
        return super().delete_run(call, run_id)

    def list_runs(self, call, query):
        self.by_session = query.session_id is not None
        return super().list_runs(call, query)

    def listed(self, call):
        return super().listed(call) + (getattr(self, "gone", []) if self.by_session else [])

    @staticmethod
    def witness(c: Client) -> None:
        c.delete(c.create(session_id=S))
        assert c.ids(f"session_id={S}") == []


@plants("DELETE-GONE", what="A second delete is 204 again.", rarity="the second call")
class SecondDeleteIs204(Standin):
    def delete_run(self, call, run_id):
        self.gone = getattr(self, "gone", set())
        if run_id in self.gone:
            return Answer(204, raw=b"")
        answer = super().delete_run(call, run_id)
        self.gone.add(run_id)
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.delete(run)
        assert c.delete(run).status_code == 404


@plants("DELETE-GONE", what="A deleted run can be read with include.", rarity="one parameter, after a delete")
class DeletedReadWithInclude(Standin):
    def delete_run(self, call, run_id):
        self.gone = getattr(self, "gone", {}) | {run_id: self.find(call, run_id)}
        return super().delete_run(call, run_id)

    def get_run(self, call, run_id, include):
        if include is not None and run_id in getattr(self, "gone", {}):
            return Answer(200, self.show(self.gone[run_id], "get_run") | {"included": []})
        return super().get_run(call, run_id, include)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.delete(run)
        assert c.get(f"/v1/runs/{run['id']}?include=workflow").status_code == 404


@plants("DELETE-GONE", what="A delete of a run that has ended says 204 and does nothing.", rarity="ended runs only")
class EndedRunsStay(Standin):
    def delete_run(self, call, run_id):
        if self.find(call, run_id).status in TERMINAL:
            return Answer(204, raw=b"")
        return super().delete_run(call, run_id)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        c.delete(run)
        assert c.get(f"/v1/runs/{run['id']}").status_code == 404


@plants("DELETE-GONE", "RETRY-RULES", what="A retry brings a deleted run back.", rarity="a delete, then a retry")
class RetryBringsBack(Standin):
    def delete_run(self, call, run_id):
        self.gone = getattr(self, "gone", {}) | {run_id: self.find(call, run_id)}
        return super().delete_run(call, run_id)

    def retry_run(self, call, run_id, body):
        run = getattr(self, "gone", {}).get(run_id)
        if run is not None and run.organization_id == call.org.id and run_id not in call.org.runs:
            run.status = Status.CANCELLED
            call.org.runs[run_id] = run
        return super().retry_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.delete(run)
        assert c.retry(run).status_code == 404


@plants("DELETE-GONE", "NO-5XX", what="The fourth delete of a run is a 500.", rarity="the fourth of a kind")
class FourthDeleteFails(Standin):
    def delete_run(self, call, run_id):
        tried = self.tried = getattr(self, "tried", {})
        tried[run_id] = tried.get(run_id, 0) + 1
        if tried[run_id] > 3:
            raise Problem(500, "Internal Server Error")
        return super().delete_run(call, run_id)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert [c.delete(run).status_code for _ in range(4)] == [204, 404, 404, 404]


@plants("DELETE-GONE", what="With the run that began a session its other runs go.", rarity="the first of a session")
class SessionGoesWithItsFirst(Standin):
    def delete_run(self, call, run_id):
        answer = super().delete_run(call, run_id)
        for run in [run for run in call.org.runs.values() if run.session_id == run_id]:
            self.forget(call.org, run)
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        first = c.create(start_session=True)
        second = c.create(session_id=first["session_id"])
        c.delete(first)
        assert c.read(second)


@plants("DELETE-GONE", what="What a run put out stays when it is deleted.", rarity="output files only")
class OutputFilesStay(Standin):
    def forget_attachments(self, org, run):
        for one in [one for one in org.attachments.values() if one.run_id == run.id and one.attachment_type == "input"]:
            del org.attachments[one.id]

    @staticmethod
    def witness(c: Client) -> None:
        while not (run := c.read(c.ended()))["output_attachment_ids"]:
            continue
        c.delete(run)
        assert c.get(f"/v1/run-attachments/{run['output_attachment_ids'][0]}").status_code == 404


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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        first = c.create(start_session=True)
        other = c.create(session_id=first["session_id"])
        c.delete(first)
        assert c.read(other)["session_id"] == first["session_id"]
