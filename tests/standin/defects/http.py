"""Defects in methods, errors as JSON, rate limits, and the schemas of other operations."""

import asyncio
from dataclasses import replace
from typing import Any

from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import UNKNOWN, Client, W
from tests.standin.defects.defect import plants

# -- HTTP-METHOD


@plants("HTTP-METHOD", what="PUT on a run is taken for an update.", rarity="one method, one path")
class PutUpdates(Standin):
    doors = (("PUT", "/runs/{run_id}"),)

    @staticmethod
    def witness(c: Client) -> None:
        assert 400 <= c.call("PUT", f"/v1/runs/{c.create()['id']}", {}).status_code < 500


@plants("HTTP-METHOD", what="DELETE on the list of runs answers 200.", rarity="one method, one path")
class DeleteOfListAnswers(Standin):
    doors = (("DELETE", "/runs"),)

    @staticmethod
    def witness(c: Client) -> None:
        assert 400 <= c.call("DELETE", "/v1/runs").status_code < 500


@plants("HTTP-METHOD", what="PATCH on a machine answers 200.", rarity="one method, one path")
class MachinePatched(Standin):
    doors = (("PATCH", "/machines/{machine_id}"),)

    @staticmethod
    def witness(c: Client) -> None:
        assert 400 <= c.call("PATCH", f"/v1/machines/{UNKNOWN}", {}).status_code < 500


@plants("HTTP-METHOD", "NO-5XX", what="A wrong method on attachments is 501.", rarity="one path")
class WrongMethodIs501(Standin):
    def refused(self, status, detail, headers, path):
        return super().refused(
            501 if status == 405 and path.endswith("-attachments") else status, detail, headers, path
        )

    @staticmethod
    def witness(c: Client) -> None:
        assert c.call("PUT", "/v1/run-attachments", {}).status_code == 405


@plants("HTTP-METHOD", what="GET starts an ended run again.", rarity="one path, ended runs")
class GetRetries(Standin):
    doors = (("GET", "/runs/{run_id}/retry"),)

    def behind_door(self, ids):
        for org in self.organisations.values():
            run = org.runs.get(ids["run_id"])
            if run is not None and self.may_retry(run):
                self.again(org, run)
                return Answer(200, self.show(run, "retry_run"))
        raise Problem(405, "Method Not Allowed")

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get(f"/v1/runs/{c.cancelled()['id']}/retry").status_code in {404, 405}


@plants("HTTP-METHOD", what="A pool that is there can be deleted.", rarity="a known pool, one method")
class PoolsCanBeDeleted(Standin):
    doors = (("DELETE", "/pools/{pool_id}"),)

    def behind_door(self, ids):
        for org in self.organisations.values():
            if org.pools.pop(ids["pool_id"], None):
                return Answer(204, raw=b"")
        raise Problem(404, "Pool not found")

    @staticmethod
    def witness(c: Client) -> None:
        pool = c.post("/v1/pools", {"name": "p"}).json()["id"]
        assert c.call("DELETE", f"/v1/pools/{pool}").status_code in {404, 405}


# -- HTTP-ERROR-JSON


@plants("HTTP-ERROR-JSON", "HTTP-METHOD", what="405 is plain text.", rarity="one status")
class WrongMethodInPlainText(Standin):
    def refused(self, status, detail, headers, path):
        if status == 405:
            return Answer(405, headers={**headers, "content-type": "text/plain"}, raw=b"Method Not Allowed")
        return super().refused(status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.call("PUT", "/v1/runs", {}).headers["content-type"] == "application/json"


@plants("HTTP-ERROR-JSON", what="An unknown path is answered with a page.", rarity="paths that nobody documented")
class UnknownPathIsPage(Standin):
    def refused(self, status, detail, headers, path):
        if status == 404 and detail == "Not Found":
            return Answer(404, headers={"content-type": "text/html"}, raw=b"<h1>Not Found</h1>")
        return super().refused(status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        assert "detail" in c.get("/v1/nothing-here").text


@plants("HTTP-ERROR-JSON", "READ-UNKNOWN", what="404 of an attachment has message for detail.", rarity="one resource")
class AttachmentErrorHasMessage(Standin):
    def refused(self, status, detail, headers, path):
        if status == 404 and "/run-attachments/" in path:
            return Answer(404, {"message": detail}, headers)
        return super().refused(status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        assert "detail" in c.get(f"/v1/run-attachments/{UNKNOWN}").json()


@plants(
    "HTTP-ERROR-JSON",
    "AUTH-REQUIRED",
    "AUTH-TOKEN",
    what="401 of a delete has no body.",
    rarity="one operation, one status",
)
class RefusedDeleteHasNoBody(Standin):
    def authorize(self, authorization, operation):
        try:
            return super().authorize(authorization, operation)
        except Problem as problem:
            if operation == "delete_run":
                raise Problem(401, None, {"x-empty": "1"}) from problem
            raise

    def refused(self, status, detail, headers, path):
        if headers.get("x-empty"):
            return Answer(401, raw=b"", headers={"content-type": "application/json"})
        return super().refused(status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        assert "detail" in c.call("DELETE", f"/v1/runs/{UNKNOWN}", token=None).text


@plants(
    "HTTP-ERROR-JSON", "RETRY-RULES", what="409 of a retry is JSON without detail.", rarity="one operation, one status"
)
class RetryConflictHasNoDetail(Standin):
    def refused(self, status, detail, headers, path):
        if status == 409 and path.endswith("/retry"):
            return Answer(409, {"error": detail}, headers)
        return super().refused(status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        assert "detail" in c.retry(c.create()).json()


# -- HTTP-LIMIT


@plants("HTTP-LIMIT", what="The limit is told without a Retry-After.", rarity="after two hundred requests")
class LimitWithoutRetryAfter(Standin):
    async def admit(self, call):
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen % 200 == 0:
            raise Problem(429, "Too many requests.")

    @staticmethod
    def witness(c: Client) -> None:
        answers = [c.get("/v1/pools") for _ in range(200)]
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


@plants(
    "HTTP-LIMIT",
    what="Of writes at once the fourth is 429, without a Retry-After.",
    rarity="writes at once, one of many",
)
class BurstOfWritesWithoutRetryAfter(Standin):
    async def admit(self, call):
        if call.method != "POST":
            return
        self.busy = getattr(self, "busy", 0) + 1
        try:
            await asyncio.sleep(0.01)
            if self.busy > 1 and call.key:
                self.met = getattr(self, "met", 0) + 1
                if self.met % 3 == 0:
                    raise Problem(429, "One write at a time.")
        finally:
            self.busy -= 1

    @staticmethod
    def witness(c: Client) -> None:
        answers = [
            answer
            for number in range(5)
            for answer in c.together("POST", "/v1/runs", {"workflow_id": W}, key=f"k{number}")
        ]
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


@plants("HTTP-LIMIT", what="Of reads at once the ninth is 429, without a Retry-After.", rarity="many reads at once")
class ReadsAtOnceWithoutRetryAfter(Standin):
    async def admit(self, call):
        if call.method != "GET":
            return
        self.reading = getattr(self, "reading", 0) + 1
        try:
            await asyncio.sleep(0.01)
            if self.reading > 8:
                raise Problem(429, "Too many at once.")
        finally:
            self.reading -= 1

    @staticmethod
    def witness(c: Client) -> None:
        async def twenty() -> list[Any]:
            return await asyncio.gather(
                *(c._sent("GET", "/v1/pools", None, "one", None, None, None) for _ in range(20))
            )

        answers = c.runner.run(twenty())
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


@plants("HTTP-LIMIT", what="After fifty creates each tenth is 429, without a Retry-After.", rarity="creates alone")
class CreatesLimitedWithoutRetryAfter(Standin):
    async def admit(self, call):
        if call.operation == "bulk_create_runs":
            self.creates = getattr(self, "creates", 0) + 1
            if self.creates >= 50 and self.creates % 10 == 0:
                raise Problem(429, "Too many runs.")

    @staticmethod
    def witness(c: Client) -> None:
        answers = [c.try_bulk() for _ in range(60)]
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


# -- HTTP-SCHEMA


@plants("HTTP-SCHEMA", what="created_at of a machine is a number, in lists.", rarity="one field of one list")
class MachineCreatedAtIsANumber(Standin):
    def list_machines(self, call, query):
        answer = super().list_machines(call, query)
        for item in answer.content["items"]:
            item["created_at"] = 1_700_000_000
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert all(isinstance(item["created_at"], str) for item in c.get("/v1/machines").json()["items"])


@plants("HTTP-SCHEMA", what="A pool that was just created is 200, not 201.", rarity="one status")
class PoolCreatedWith200(Standin):
    def create_pool(self, call, body):
        answer = super().create_pool(call, body)
        return replace(answer, status=200)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/pools", {"name": "one"}).status_code == 201


@plants("HTTP-SCHEMA", what="A workflow that is read alone lacks updated_at.", rarity="one field of one read")
class WorkflowWithoutUpdatedAt(Standin):
    def get_workflow(self, call, workflow_id):
        answer = super().get_workflow(call, workflow_id)
        return replace(answer, content={name: one for name, one in answer.content.items() if name != "updated_at"})

    @staticmethod
    def witness(c: Client) -> None:
        first = c.get("/v1/workflows").json()["items"][0]
        assert "updated_at" in c.get(f"/v1/workflows/{first['id']}").json()


@plants(
    "HTTP-ERROR-JSON", what="The detail of a run that is unknown is an object.", rarity="one status of one resource"
)
class UnknownRunIsObject(Standin):
    def refused(self, status, detail, headers, path):
        if status == 404 and path.startswith("/v1/runs/"):
            detail = {"code": 404, "message": detail}
        return super().refused(status, detail, headers, path)

    @staticmethod
    def witness(c: Client) -> None:
        assert isinstance(c.get(f"/v1/runs/{UNKNOWN}").json()["detail"], str)
