"""Defects in idempotency, methods, the shape of errors, and limits."""

import asyncio
import hashlib
import json
from dataclasses import replace

from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import UNKNOWN, Client, W
from tests.standin.defects.defect import plants

# -- IDEM-REPLAY


@plants("IDEM-REPLAY", what="Two equal creates that arrive at once make two runs.", rarity="only at once")
class AtOnceMakesTwo(Standin):
    async def meanwhile(self, known):
        raise self.NotYet

    class NotYet(Exception):
        pass

    async def once(self, call, handle):
        try:
            return await super().once(call, handle)
        except self.NotYet:
            return await handle()

    @staticmethod
    def obeys(c: Client) -> None:
        c.together("POST", "/v1/runs", {"workflow_id": W}, key="k")
        assert c.listed()["total"] == 1


@plants("IDEM-REPLAY", what="A key on a delete is not looked at: the repeat is 404.", rarity="one method")
class DeleteKeysIgnored(Standin):
    def keyed_methods(self):
        return super().keyed_methods() - {"DELETE"}

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        assert [c.delete(run, key="k").status_code for _ in range(2)] == [204, 204]


@plants("IDEM-REPLAY", what="A key on a chain is not looked at.", rarity="one operation")
class ChainKeysIgnored(Standin):
    async def once(self, call, handle):
        return await handle() if call.operation == "create_run_chain" else await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        for _ in range(2):
            c.post("/v1/runs/chain", {"steps": [{"workflow_id": W}]}, key="k")
        assert c.listed()["total"] == 1


@plants("IDEM-REPLAY", what="A repeat is answered with 200.", rarity="the second call")
class RepeatIs200(Standin):
    def replayed(self, known):
        answer = super().replayed(known)
        return Answer(200 if answer.status == 201 else answer.status, headers=answer.headers, raw=answer.raw)

    @staticmethod
    def obeys(c: Client) -> None:
        answers = [c.post("/v1/runs", {"workflow_id": W}, key="k").status_code for _ in range(2)]
        assert answers == [201, 201]


@plants("IDEM-REPLAY", what="Answers over 64 KiB are not kept: a repeat makes the runs again.", rarity="large counts")
class LargeAnswersNotKept(Standin):
    async def once(self, call, handle):
        answer = await super().once(call, handle)
        if call.key and len(answer.body()) > 65536:
            self.keys_of(call).pop(self.key_name(call), None)
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        for _ in range(2):
            c.post("/v1/runs/bulk", {"workflow_id": W, "count": 200}, key="k")
        assert c.listed()["total"] == 200


@plants("IDEM-REPLAY", what="A key on a retry is not looked at: the repeat is refused.", rarity="one operation")
class RetryKeysIgnored(Standin):
    async def once(self, call, handle):
        return await handle() if call.operation == "retry_run" else await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        path = f"/v1/runs/{c.cancelled()['id']}/retry"
        assert [c.post(path, {}, key="k").status_code for _ in range(2)] == [200, 200]


@plants("IDEM-REPLAY", what="The third request with a key is handled again.", rarity="the third call")
class ThirdIsHandledAgain(Standin):
    def replayed(self, known):
        answer = super().replayed(known)
        known.request, known.answer = "", None
        return answer

    async def once(self, call, handle):
        known = self.keys_of(call).get(self.key_name(call))
        if call.key and known is not None and known.request == "":
            del self.keys_of(call)[self.key_name(call)]
        return await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        for _ in range(3):
            c.post("/v1/runs", {"workflow_id": W}, key="k")
        assert c.listed()["total"] == 1


# -- IDEM-CONFLICT


@plants("IDEM-CONFLICT", what="Bodies that differ inside input_values count as the same.", rarity="a nested difference")
class NestedDifferenceOverlooked(Standin):
    def fingerprint(self, call):
        try:
            body = json.loads(call.body or b"null")
        except ValueError:
            return super().fingerprint(call)
        if isinstance(body, dict) and isinstance(body.get("input_values"), dict):
            body["input_values"] = sorted(body["input_values"])
        return f"{call.method} {call.path} {json.dumps(body, sort_keys=True)}"

    @staticmethod
    def obeys(c: Client) -> None:
        c.post("/v1/runs", {"workflow_id": W, "input_values": {"a": 1}}, key="k")
        answer = c.post("/v1/runs", {"workflow_id": W, "input_values": {"a": 2}}, key="k")
        assert answer.status_code in (409, 422)


@plants(
    "IDEM-CONFLICT",
    what="A key with another body is refused, but the runs are made.",
    rarity="the harm behind a refusal",
)
class ConflictMakesRuns(Standin):
    async def once(self, call, handle):
        try:
            return await super().once(call, handle)
        except Problem as problem:
            if problem.status == 409 and not problem.headers:
                await handle()
            raise

    @staticmethod
    def obeys(c: Client) -> None:
        c.post("/v1/runs", {"workflow_id": W}, key="k")
        c.post("/v1/runs", {"workflow_id": W, "session_alias": "a"}, key="k")
        assert c.listed()["total"] == 1


@plants("IDEM-CONFLICT", what="A key with another count gets the first answer.", rarity="one field differs")
class CountDifferenceOverlooked(Standin):
    def fingerprint(self, call):
        try:
            body = json.loads(call.body or b"null")
        except ValueError:
            return super().fingerprint(call)
        if isinstance(body, dict) and "count" in body:
            return f"{call.path} {json.dumps({**body, 'count': None}, sort_keys=True)}"
        return super().fingerprint(call)

    @staticmethod
    def obeys(c: Client) -> None:
        answers = [c.post("/v1/runs/bulk", {"workflow_id": W, "count": n}, key="k").status_code for n in (1, 2)]
        assert answers[1] in (409, 422)


@plants("IDEM-CONFLICT", what="A chain with a used key and another body is made.", rarity="one operation")
class ChainConflictOverlooked(Standin):
    def key_name(self, call):
        name = super().key_name(call)
        return f"{name} {hashlib.sha256(call.body).hexdigest()}" if call.operation == "create_run_chain" else name

    @staticmethod
    def obeys(c: Client) -> None:
        answers = [c.post("/v1/runs/chain", {"steps": [{"workflow_id": W}] * n}, key="k").status_code for n in (1, 2)]
        assert answers[1] in (409, 422)


@plants("IDEM-CONFLICT", what="Only the first 1,000 bytes of a body are compared.", rarity="a difference far behind")
class OnlyBeginningCompared(Standin):
    def fingerprint(self, call):
        return f"{call.method} {call.path} {hashlib.sha256(call.body[:1000]).hexdigest()}"

    @staticmethod
    def obeys(c: Client) -> None:
        answers = [
            c.post("/v1/runs", {"workflow_id": W, "input_values": {"k": "x" * 1000 + end}}, key="k").status_code
            for end in "ab"
        ]
        assert answers[1] in (409, 422)


# -- IDEM-SCOPE


@plants(
    "IDEM-SCOPE",
    "AUTH-TENANT",
    what="Keys are everybody's: another organisation gets the first one's answer.",
    rarity="one key, two organisations",
)
class KeysAreEverybodys(Standin):
    def keys_of(self, call):
        return next(iter(self.organisations.values())).keys

    @staticmethod
    def obeys(c: Client) -> None:
        first, second = (c.post("/v1/runs", {"workflow_id": W}, key="k", token=who).json() for who in ("one", "two"))
        assert first["id"] != second["id"]


@plants(
    "IDEM-SCOPE",
    what="A key that another organisation used for a bulk create is refused.",
    rarity="one operation, two organisations",
)
class KeysOfOthersRefused(Standin):
    async def once(self, call, handle):
        others = [org for org in self.organisations.values() if org is not call.org]
        if call.operation == "bulk_create_runs" and call.key and any(call.key in org.keys for org in others):
            raise self.key_conflict()
        return await super().once(call, handle)

    @staticmethod
    def obeys(c: Client) -> None:
        body = {"workflow_id": W, "count": 1}
        assert [c.post("/v1/runs/bulk", body, key="k", token=who).status_code for who in ("one", "two")] == [201, 201]


# -- HTTP-METHOD


@plants("HTTP-METHOD", what="PUT on a run is taken for an update.", rarity="one method, one path")
class PutUpdates(Standin):
    doors = (("PUT", "/runs/{run_id}"),)

    @staticmethod
    def obeys(c: Client) -> None:
        assert 400 <= c.call("PUT", f"/v1/runs/{c.create()['id']}", {}).status_code < 500


@plants("HTTP-METHOD", what="DELETE on the list of runs answers 200.", rarity="one method, one path")
class DeleteOfListAnswers(Standin):
    doors = (("DELETE", "/runs"),)

    @staticmethod
    def obeys(c: Client) -> None:
        assert 400 <= c.call("DELETE", "/v1/runs").status_code < 500


@plants("HTTP-METHOD", what="PATCH on a machine answers 200.", rarity="one method, one path")
class MachinePatched(Standin):
    doors = (("PATCH", "/machines/{machine_id}"),)

    @staticmethod
    def obeys(c: Client) -> None:
        assert 400 <= c.call("PATCH", f"/v1/machines/{UNKNOWN}", {}).status_code < 500


@plants("HTTP-METHOD", "NO-5XX", what="A wrong method on attachments is 501.", rarity="one path")
class WrongMethodIs501(Standin):
    def refused(self, status, detail, headers, path):
        return super().refused(
            501 if status == 405 and path.endswith("-attachments") else status, detail, headers, path
        )

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.call("PUT", "/v1/run-attachments", {}).status_code == 405


# -- HTTP-ERROR-JSON


@plants("HTTP-ERROR-JSON", "HTTP-METHOD", what="405 is plain text.", rarity="one status")
class WrongMethodInPlainText(Standin):
    def refused(self, status, detail, headers, path):
        if status == 405:
            return Answer(405, headers={**headers, "content-type": "text/plain"}, raw=b"Method Not Allowed")
        return super().refused(status, detail, headers, path)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.call("PUT", "/v1/runs", {}).headers["content-type"] == "application/json"


@plants("HTTP-ERROR-JSON", what="An unknown path is answered with a page.", rarity="paths that nobody documented")
class UnknownPathIsPage(Standin):
    def refused(self, status, detail, headers, path):
        if status == 404 and detail == "Not Found":
            return Answer(404, headers={"content-type": "text/html"}, raw=b"<h1>Not Found</h1>")
        return super().refused(status, detail, headers, path)

    @staticmethod
    def obeys(c: Client) -> None:
        assert "detail" in c.get("/v1/nothing-here").text


@plants("HTTP-ERROR-JSON", "READ-UNKNOWN", what="404 of an attachment has message for detail.", rarity="one resource")
class AttachmentErrorHasMessage(Standin):
    def refused(self, status, detail, headers, path):
        if status == 404 and "/run-attachments/" in path:
            return Answer(404, {"message": detail}, headers)
        return super().refused(status, detail, headers, path)

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        assert "detail" in c.retry(c.create()).json()


# -- HTTP-LIMIT


@plants("HTTP-LIMIT", what="The limit is told without a Retry-After.", rarity="after two hundred requests")
class LimitWithoutRetryAfter(Standin):
    async def admit(self, call):
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen % 200 == 0:
            raise Problem(429, "Too many requests.")

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        answers = [
            answer
            for number in range(5)
            for answer in c.together("POST", "/v1/runs", {"workflow_id": W}, key=f"k{number}")
        ]
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


@plants("HTTP-SCHEMA", what="created_at of a machine is a number, in lists.", rarity="one field of one list")
class MachineCreatedAtIsANumber(Standin):
    def list_machines(self, call, query):
        answer = super().list_machines(call, query)
        for item in answer.content["items"]:
            item["created_at"] = 1_700_000_000
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert all(isinstance(item["created_at"], str) for item in c.get("/v1/machines").json()["items"])


@plants("HTTP-SCHEMA", what="A pool that was just created is 200, not 201.", rarity="one status")
class PoolCreatedWith200(Standin):
    def create_pool(self, call, body):
        answer = super().create_pool(call, body)
        return replace(answer, status=200)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.post("/v1/pools", {"name": "one"}).status_code == 201


@plants("HTTP-SCHEMA", what="A workflow that is read alone lacks updated_at.", rarity="one field of one read")
class WorkflowWithoutUpdatedAt(Standin):
    def get_workflow(self, call, workflow_id):
        answer = super().get_workflow(call, workflow_id)
        return replace(answer, content={name: one for name, one in answer.content.items() if name != "updated_at"})

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        assert isinstance(c.get(f"/v1/runs/{UNKNOWN}").json()["detail"], str)


@plants("REQ-ERROR", what="The errors of a list's parameters have no type.", rarity="parameters only")
class ParameterErrorsHaveNoType(Standin):
    def violation(self, error, call):
        shown = super().violation(error, call)
        return {name: shown[name] for name in shown if name != "type" or shown["loc"][0] != "query"}

    @staticmethod
    def obeys(c: Client) -> None:
        assert "type" in c.get("/v1/runs?limit=0").json()["detail"][0]
