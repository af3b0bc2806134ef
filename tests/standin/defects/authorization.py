"""Defects in which a request without a valid token is let in."""

from tests.standin.behaviour import Standin
from tests.standin.client import FILE, Client, W
from tests.standin.defects.defect import plants
from tests.standin.store import Organisation

# -- AUTH-REQUIRED


def _first(standin: Standin):
    return next(iter(standin.organisations.values()))


def _refused(answer) -> bool:
    return answer.status_code in (401, 403)


@plants("AUTH-REQUIRED", what="A download needs no Authorization.", rarity="one operation of all")
class DownloadIsOpen(Standin):
    def authorize(self, authorization, operation):
        if authorization is None and operation == "download_run_attachment":
            return _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert _refused(c.get("/v1/pools", token=None))


@plants("AUTH-REQUIRED", what="A chain is made for someone who did not say who.", rarity="one operation of all")
class ChainIsOpen(Standin):
    def authorize(self, authorization, operation):
        if authorization is None and operation == "create_run_chain":
            return _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def witness(c: Client) -> None:
        assert _refused(c.post("/v1/runs/chain", {"steps": [{"workflow_id": W}]}, token=None))


# -- AUTH-SCHEME


@plants(
    "AUTH-SCHEME", what="A scheme is compared in its capitals only: basic passes, Basic does not.", rarity="lower case"
)
class LowerCaseBasicPasses(Standin):
    def is_scheme(self, scheme):
        return super().is_scheme(scheme) or scheme == "basic"

    @staticmethod
    def witness(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token=None, authorization="basic standin-token-one"))


@plants("AUTH-SCHEME", what="A bare token passes for reads.", rarity="no scheme at all, reads only")
class BareTokenReads(Standin):
    def token_in(self, authorization, operation):
        if authorization and " " not in authorization and operation.startswith(("get", "list")):
            return authorization
        return super().token_in(authorization, operation)

    @staticmethod
    def witness(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token=None, authorization="standin-token-one"))


@plants("AUTH-SCHEME", what="The scheme Token passes for a delete.", rarity="one scheme, one operation")
class TokenSchemeDeletes(Standin):
    def token_in(self, authorization, operation):
        if authorization and operation == "delete_run" and authorization.lower().startswith("token "):
            return authorization[6:]
        return super().token_in(authorization, operation)

    @staticmethod
    def witness(c: Client) -> None:
        assert _refused(c.delete(c.create(), token=None, authorization="Token standin-token-one"))


@plants("AUTH-SCHEME", what="Bearer with a colon behind it passes.", rarity="one character")
class ColonAfterBearerPasses(Standin):
    def is_scheme(self, scheme):
        return super().is_scheme(scheme.rstrip(":"))

    @staticmethod
    def witness(c: Client) -> None:
        answer = c.get("/v1/runs", token=None, authorization="Bearer: standin-token-one")
        assert answer.status_code in (401, 403)


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
    def witness(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token=None, authorization="Bearer "))


@plants("AUTH-TOKEN", what="Any token at all updates runs.", rarity="one operation of all")
class AnyTokenUpdates(Standin):
    def authorize(self, authorization, operation):
        if operation == "update_run":
            return self.owner_of(self.token_in(authorization, operation)) or _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        assert _refused(c.call("PATCH", path, {"release_session_after": True}, token="nobody-knows-this"))


@plants("AUTH-TOKEN", what="A token nobody knows gets download URLs.", rarity="one operation of all")
class AnyTokenGetsUrls(Standin):
    def authorize(self, authorization, operation):
        if operation == "get_run_attachment_download_url":
            return self.owner_of(self.token_in(authorization, operation)) or _first(self)
        return super().authorize(authorization, operation)

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE])
        path = f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download-url"
        assert _refused(c.get(path, token="nobody-knows-this"))


@plants("AUTH-TOKEN", what="A token of over 64 characters is not looked up at all.", rarity="long tokens only")
class LongTokensPass(Standin):
    def owner_of(self, token):
        return super().owner_of(token) or (_first(self) if len(token) > 64 else None)

    @staticmethod
    def witness(c: Client) -> None:
        assert _refused(c.get("/v1/runs", token="n" * 65))
