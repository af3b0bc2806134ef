"""Defects in who is let in, and whose runs one sees."""

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import Client, S, W
from tests.standin.defects.defect import plants
from tests.standin.store import Organisation

FILE = {"filename": "a.txt", "content": "YQ=="}


def _first(standin: Standin):
    return next(iter(standin.organisations.values()))


def _refused(answer) -> bool:
    return answer.status_code in (401, 403)


# -- AUTH-REQUIRED


@plants("AUTH-REQUIRED", what="A download needs no Authorization.", rarity="one operation of all")
class DownloadIsOpen(Standin):
    def authorize(self, authorization, operation):
        if authorization is None and operation == "download_run_attachment":
            return _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE])
        path = f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download"
        assert _refused(c.get(path, token=None))


@plants("AUTH-REQUIRED", what="A retry needs no Authorization.", rarity="one operation of all")
class RetryIsOpen(Standin):
    def authorize(self, authorization, operation):
        if authorization is None and operation == "retry_run":
            return _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.post(f"/v1/runs/{c.cancelled()['id']}/retry", {}, token=None))


@plants("AUTH-REQUIRED", what="Without Authorization the list of pools is empty, not refused.", rarity="one operation")
class PoolsEmptyWithoutAuthorization(Standin):
    def authorize(self, authorization, operation):
        if authorization is None and operation == "list_pools":
            nobody = Organisation("org_nobody")
            nobody.pools.clear()
            return nobody
        return super().authorize(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.get("/v1/pools", token=None))


@plants("AUTH-REQUIRED", what="A chain is made for someone who did not say who.", rarity="one operation of all")
class ChainIsOpen(Standin):
    def authorize(self, authorization, operation):
        if authorization is None and operation == "create_run_chain":
            return _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.post("/v1/runs/chain", {"steps": [{"workflow_id": W}]}, token=None))


# -- AUTH-SCHEME


@plants(
    "AUTH-SCHEME", what="A scheme is compared in its capitals only: basic passes, Basic does not.", rarity="lower case"
)
class LowerCaseBasicPasses(Standin):
    def is_scheme(self, scheme):
        return super().is_scheme(scheme) or scheme == "basic"

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token=None, authorization="basic standin-token-one"))


@plants("AUTH-SCHEME", what="A bare token passes for reads.", rarity="no scheme at all, reads only")
class BareTokenReads(Standin):
    def token_in(self, authorization, operation):
        if authorization and " " not in authorization and operation.startswith(("get", "list")):
            return authorization
        return super().token_in(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token=None, authorization="standin-token-one"))


@plants("AUTH-SCHEME", what="The scheme Token passes for a delete.", rarity="one scheme, one operation")
class TokenSchemeDeletes(Standin):
    def token_in(self, authorization, operation):
        if authorization and operation == "delete_run" and authorization.lower().startswith("token "):
            return authorization[6:]
        return super().token_in(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.delete(c.create(), token=None, authorization="Token standin-token-one"))


# -- AUTH-TOKEN


@plants(
    "AUTH-TOKEN", what="An empty bearer token reads as the first organisation.", rarity="the empty token, reads only"
)
class EmptyTokenReads(Standin):
    def authorize(self, authorization, operation):
        if authorization is not None and authorization.strip().lower() == "bearer" and operation.startswith("list"):
            return _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token=None, authorization="Bearer "))


@plants("AUTH-TOKEN", what="Any token at all updates runs.", rarity="one operation of all")
class AnyTokenUpdates(Standin):
    def authorize(self, authorization, operation):
        if operation == "update_run":
            return self.owner_of(self.token_in(authorization, operation)) or _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        assert _refused(c.call("PATCH", path, {"release_session_after": True}, token="nobody-knows-this"))


@plants("AUTH-TOKEN", what="A token nobody knows gets download URLs.", rarity="one operation of all")
class AnyTokenGetsUrls(Standin):
    def authorize(self, authorization, operation):
        if operation == "get_run_attachment_download_url":
            return self.owner_of(self.token_in(authorization, operation)) or _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def obeys(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE])
        path = f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download-url"
        assert _refused(c.get(path, token="nobody-knows-this"))


@plants("AUTH-TOKEN", what="A token of over 64 characters is not looked up at all.", rarity="long tokens only")
class LongTokensPass(Standin):
    def owner_of(self, token):
        return super().owner_of(token) or (_first(self) if len(token) > 64 else None)

    @staticmethod
    def obeys(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token="n" * 65))


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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        c.create()
        assert c.listed(f"workflow_id={W}", token="two")["total"] == 0
