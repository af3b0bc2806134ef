"""Defects in the separation of organisations."""

from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import FILE, Client, S, W
from tests.standin.defects.defect import plants
from tests.standin.store import TERMINAL

# -- AUTH-TENANT


def _with_all(standin: Standin, call) -> dict:
    return {run_id: run for org in standin.organisations.values() for run_id, run in org.runs.items()}


@plants("AUTH-TENANT", what="A list by session shows every organisation's runs.", rarity="one filter")
class SessionFilterForgetsTenant(Standin):
    def list_runs(self, call, query):
        self.by_session = query.session_id is not None
        return super().list_runs(call, query)

    def listed(self, call):
        return list(_with_all(self, call).values()) if self.by_session else super().listed(call)

    @staticmethod
    def witness(c: Client) -> None:
        c.create(session_id=S)
        assert c.ids(f"session_id={S}", token="two") == []


@plants("AUTH-TENANT", what="A search by a whole id finds another organisation's run.", rarity="one kind of search")
class SearchByIdForgetsTenant(Standin):
    def list_runs(self, call, query):
        self.wanted = query.search
        return super().list_runs(call, query)

    def listed(self, call):
        return (
            super().listed(call) if self.wanted not in _with_all(self, call) else list(_with_all(self, call).values())
        )

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert c.ids(f"search={run['id']}", token="two") == []


@plants(
    "AUTH-TENANT", "ATTACHMENTS", what="Another organisation's attachment can be downloaded.", rarity="one operation"
)
class DownloadForgetsTenant(Standin):
    def download_run_attachment(self, call, attachment_id):
        for org in self.organisations.values():
            if attachment_id in org.attachments:
                return self.download(org.attachments[attachment_id])
        raise self.unknown("Attachment")

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE])
        path = f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download"
        assert c.get(path, token="two").status_code == 404


@plants(
    "AUTH-TENANT", what="Another organisation's run that has ended can be retried.", rarity="one operation, ended runs"
)
class RetryForgetsTenant(Standin):
    def find(self, call, run_id):
        if call.operation == "retry_run" and run_id in _with_all(self, call):
            return _with_all(self, call)[run_id]
        return super().find(call, run_id)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post(f"/v1/runs/{c.cancelled()['id']}/retry", {}, token="two").status_code == 404


@plants(
    "AUTH-TENANT",
    what="Another organisation's run is deleted, though 404 is said.",
    rarity="the harm behind a right answer",
)
class DeleteForgetsTenant(Standin):
    def delete_run(self, call, run_id):
        for org in self.organisations.values():
            if org is not call.org and run_id in org.runs:
                self.forget(org, org.runs[run_id])
        return super().delete_run(call, run_id)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert c.delete(run, token="two").status_code == 404
        c.read(run)


@plants("AUTH-TENANT", what="With include another organisation's run can be read.", rarity="one parameter")
class IncludeForgetsTenant(Standin):
    def get_run(self, call, run_id, include):
        if include is not None and run_id in _with_all(self, call):
            return Answer(200, self.show(_with_all(self, call)[run_id], "get_run") | {"included": []})
        return super().get_run(call, run_id, include)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get(f"/v1/runs/{c.create()['id']}?include=workflow", token="two").status_code == 404


@plants(
    "AUTH-TENANT",
    what="Another organisation's run can be cancelled, not otherwise changed.",
    rarity="one update of all",
)
class CancelForgetsTenant(Standin):
    def find(self, call, run_id):
        if call.operation == "update_run" and b"cancelled" in call.body and run_id in _with_all(self, call):
            return _with_all(self, call)[run_id]
        return super().find(call, run_id)

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        assert c.call("PATCH", path, {"status": "cancelled"}, token="two").status_code == 404


@plants(
    "AUTH-TENANT",
    "LIST-PAGE",
    what="A list's total counts every organisation's runs of a workflow.",
    rarity="one number",
)
class TotalForgetsTenant(Standin):
    def total(self, call, found, query):
        if query.workflow_id is None:
            return super().total(call, found, query)
        return sum(self.matches(run, query) for run in _with_all(self, call).values())

    @staticmethod
    def witness(c: Client) -> None:
        c.create()
        assert c.listed(f"workflow_id={W}", token="two")["total"] == 0


@plants("AUTH-TENANT", what="The first organisation reads everybody's runs.", rarity="one organisation, one operation")
class FirstOrganisationReadsAll(Standin):
    def get_run(self, call, run_id, include):
        first = next(iter(self.organisations.values()))
        for org in self.organisations.values() if call.org is first else ():
            if run_id in org.runs:
                return Answer(200, self.show(org.runs[run_id], "get_run"))
        return super().get_run(call, run_id, include)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.post("/v1/runs", {"workflow_id": W}, token="two").json()
        assert c.get(f"/v1/runs/{run['id']}", token="one").status_code == 404


@plants("AUTH-TENANT", what="The runs of a chain can be read by everybody.", rarity="runs made in one way")
class ChainsAreEverybodys(Standin):
    def find(self, call, run_id):
        for org in self.organisations.values():
            run = org.runs.get(run_id)
            if run is not None and call.operation == "get_run" and run.release_session_after is not None:
                return run
        return super().find(call, run_id)

    @staticmethod
    def witness(c: Client) -> None:
        made = c.chain(1)
        assert c.get(f"/v1/runs/{made['run_ids'][0]}", token="two").status_code == 404


@plants(
    "AUTH-TENANT", what="Another's error is written, though 404 is said.", rarity="one field, behind a right answer"
)
class ErrorsOfOthersWritten(Standin):
    def update_run(self, call, run_id, body):
        for org in self.organisations.values():
            if org is not call.org and run_id in org.runs and body.error:
                org.runs[run_id].error = body.error
        return super().update_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        c.call("PATCH", f"/v1/runs/{run['id']}", {"error": ["mine"]}, token="two")
        assert c.read(run)["error"] is None


@plants("AUTH-TENANT", what="A list by workflow and status forgets whose runs they are.", rarity="two filters together")
class ListByWorkflowAndStatusForgetsTenant(Standin):
    def list_runs(self, call, query):
        if query.workflow_id is None or query.status is None:
            return super().list_runs(call, query)
        self.everyone = True
        try:
            return super().list_runs(call, query)
        finally:
            self.everyone = False

    everyone = False

    def listed(self, call):
        if not self.everyone:
            return super().listed(call)
        return [run for org in self.organisations.values() for run in org.runs.values()]

    @staticmethod
    def witness(c: Client) -> None:
        c.create()
        assert c.ids(f"workflow_id={W}&status=scheduling", token="two") == []


@plants("AUTH-TENANT", what="A retry of another's run that goes on is a conflict.", rarity="retries of active runs")
class RetryTellsOfOthersRuns(Standin):
    def retry_run(self, call, run_id, body):
        theirs = [org.runs[run_id] for org in self.organisations.values() if run_id in org.runs and org is not call.org]
        if theirs and theirs[0].status not in TERMINAL:
            raise Problem(409, "Only a run that has ended can be retried.")
        return super().retry_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert c.post(f"/v1/runs/{run['id']}/retry", {}, token="two").status_code == 404


@plants("AUTH-TENANT", what="A delete of another's run drops its files.", rarity="what a 404 leaves behind")
class DeleteDropsFilesOfOthers(Standin):
    def delete_run(self, call, run_id):
        for org in self.organisations.values():
            if run_id in org.runs:
                self.forget_attachments(org, org.runs[run_id])
        return super().delete_run(call, run_id)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[FILE])
        c.delete(run, token="two")
        assert len(c.attachments(run)) == 1


@plants("AUTH-TENANT", "LIST-PAGE", "LIST-FILTER", what="A total by time counts everybody's.", rarity="one filter")
class TotalByTimeOfEverybody(Standin):
    def total(self, call, found, query):
        if query.created_at_from is None:
            return super().total(call, found, query)
        return sum(self.matches(run, query) for org in self.organisations.values() for run in org.runs.values())

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert c.listed(f"created_at_from={run['created_at'].replace('+', '%2B')}", token="two")["total"] == 0


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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        run = c.cancelled()
        c.read(run)
        assert c.get(f"/v1/runs/{run['id']}", token="two").status_code == 404
