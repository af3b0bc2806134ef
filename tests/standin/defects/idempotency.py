"""Defects in idempotency keys."""

import asyncio
import hashlib
import json
from typing import Any

from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import Client, W
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
    def witness(c: Client) -> None:
        c.together("POST", "/v1/runs", {"workflow_id": W}, key="k")
        assert c.listed()["total"] == 1


@plants("IDEM-REPLAY", what="A key on a delete is not looked at: the repeat is 404.", rarity="one method")
class DeleteKeysIgnored(Standin):
    def keyed_methods(self):
        return super().keyed_methods() - {"DELETE"}

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert [c.delete(run, key="k").status_code for _ in range(2)] == [204, 204]


@plants("IDEM-REPLAY", what="A key on a chain is not looked at.", rarity="one operation")
class ChainKeysIgnored(Standin):
    async def once(self, call, handle):
        return await handle() if call.operation == "create_run_chain" else await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        for _ in range(2):
            c.post("/v1/runs/chain", {"steps": [{"workflow_id": W}]}, key="k")
        assert c.listed()["total"] == 1


@plants("IDEM-REPLAY", what="A repeat is answered with 200.", rarity="the second call")
class RepeatIs200(Standin):
    def replayed(self, known):
        answer = super().replayed(known)
        return Answer(200 if answer.status == 201 else answer.status, headers=answer.headers, raw=answer.raw)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        for _ in range(2):
            c.post("/v1/runs/bulk", {"workflow_id": W, "count": 200}, key="k")
        assert c.listed()["total"] == 200


@plants("IDEM-REPLAY", what="A key on a retry is not looked at: the repeat is refused.", rarity="one operation")
class RetryKeysIgnored(Standin):
    async def once(self, call, handle):
        return await handle() if call.operation == "retry_run" else await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        for _ in range(3):
            c.post("/v1/runs", {"workflow_id": W}, key="k")
        assert c.listed()["total"] == 1


@plants("IDEM-REPLAY", what="When its run was deleted a repeated create makes another.", rarity="a delete in between")
class RepeatAfterDeleteCreates(Standin):
    async def once(self, call, handle):
        known = self.keys_of(call).get(self.key_name(call)) if call.key else None
        if known is not None and known.answer is not None and call.operation == "create_run":
            made = json.loads(known.answer[2])
            if made.get("id") not in call.org.runs:
                del self.keys_of(call)[self.key_name(call)]
        return await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        first = c.post("/v1/runs", {"workflow_id": W}, key="k").json()
        c.delete(first)
        assert c.post("/v1/runs", {"workflow_id": W}, key="k").json() == first


@plants("IDEM-REPLAY", what="A key on a new pool is not looked at.", rarity="one operation beside the runs")
class PoolKeysIgnored(Standin):
    async def once(self, call, handle):
        return await handle() if call.operation == "create_pool" else await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        ids = [c.post("/v1/pools", {"name": "a"}, key="k").json()["id"] for _ in range(2)]
        assert ids[0] == ids[1]


@plants("IDEM-REPLAY", what="Short keys are overlooked.", rarity="keys of a few letters")
class ShortKeysOverlooked(Standin):
    async def once(self, call, handle):
        return await (handle() if len(call.key or "") < 8 else super().once(call, handle))

    @staticmethod
    def witness(c: Client) -> None:
        first, second = (c.post("/v1/runs", {"workflow_id": W}, key="k7").json() for _ in range(2))
        assert first["id"] == second["id"]


@plants("IDEM-REPLAY", what="Keys of large bodies are overlooked.", rarity="bodies over 10 kB")
class KeysOfLargeBodiesOverlooked(Standin):
    async def once(self, call, handle):
        return await (handle() if len(call.body) > 10_000 else super().once(call, handle))

    @staticmethod
    def witness(c: Client) -> None:
        body = {"workflow_id": W, "input_values": {"a": "x" * 11_000}}
        first, second = (c.post("/v1/runs", body, key="a-key-of-some-length").json() for _ in range(2))
        assert first["id"] == second["id"]


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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        answers = [c.post("/v1/runs/bulk", {"workflow_id": W, "count": n}, key="k").status_code for n in (1, 2)]
        assert answers[1] in (409, 422)


@plants("IDEM-CONFLICT", what="A chain with a used key and another body is made.", rarity="one operation")
class ChainConflictOverlooked(Standin):
    def key_name(self, call):
        name = super().key_name(call)
        return f"{name} {hashlib.sha256(call.body).hexdigest()}" if call.operation == "create_run_chain" else name

    @staticmethod
    def witness(c: Client) -> None:
        answers = [c.post("/v1/runs/chain", {"steps": [{"workflow_id": W}] * n}, key="k").status_code for n in (1, 2)]
        assert answers[1] in (409, 422)


@plants("IDEM-CONFLICT", what="Only the first 1,000 bytes of a body are compared.", rarity="a difference far behind")
class OnlyBeginningCompared(Standin):
    def fingerprint(self, call):
        return f"{call.method} {call.path} {hashlib.sha256(call.body[:1000]).hexdigest()}"

    @staticmethod
    def witness(c: Client) -> None:
        answers = [
            c.post("/v1/runs", {"workflow_id": W, "input_values": {"k": "x" * 1000 + end}}, key="k").status_code
            for end in "ab"
        ]
        assert answers[1] in (409, 422)


@plants("IDEM-CONFLICT", what="Two bodies under a key that arrive at once are both done.", rarity="only at once")
class BothBodiesAtOnceDone(Standin):
    async def once(self, call, handle):
        known = self.keys_of(call).get(self.key_name(call)) if call.key else None
        if known is not None and known.answer is None and known.request != self.fingerprint(call):
            return await handle()
        return await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        async def both() -> list[Any]:
            bodies = ({"workflow_id": W}, {"workflow_id": W, "session_alias": "a"})
            return await asyncio.gather(*(c._sent("POST", "/v1/runs", body, "one", "k", None, None) for body in bodies))

        assert sorted(answer.status_code for answer in c.runner.run(both()))[1] == 409


@plants("IDEM-CONFLICT", what="A key with another update is refused, and the update made.", rarity="behind a refusal")
class ConflictUpdates(Standin):
    async def once(self, call, handle):
        try:
            return await super().once(call, handle)
        except Problem as problem:
            if problem.status == 409 and not problem.headers and call.operation == "update_run":
                await handle()
            raise

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        for value in (1, 2):
            c.call("PATCH", path, {"usage_metadata": {"a": value}}, key="k")
        assert c.get(path).json()["usage_metadata"] == {"a": 1}


@plants("IDEM-CONFLICT", what="true and 1 are the same to the comparison of bodies.", rarity="one pair of values")
class TrueAndOneAreOneBody(Standin):
    def fingerprint(self, call):
        if not call.body:
            return super().fingerprint(call)
        return f"{call.method} {call.path} {hash(self.frozen(json.loads(call.body)))}"

    def frozen(self, value: Any) -> Any:
        if isinstance(value, dict):
            return frozenset((name, self.frozen(one)) for name, one in value.items())
        return tuple(map(self.frozen, value)) if isinstance(value, list) else value

    @staticmethod
    def witness(c: Client) -> None:
        c.post("/v1/runs", {"workflow_id": W, "input_values": {"a": 1}}, key="one-key")
        again = c.post("/v1/runs", {"workflow_id": W, "input_values": {"a": True}}, key="one-key")
        assert again.status_code == 409


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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        body = {"workflow_id": W, "count": 1}
        assert [c.post("/v1/runs/bulk", body, key="k", token=who).status_code for who in ("one", "two")] == [201, 201]


@plants("IDEM-SCOPE", what="A key that another organisation used is refused for a delete.", rarity="one operation")
class DeleteKeysOfOthersRefused(Standin):
    async def once(self, call, handle):
        others = [org for org in self.organisations.values() if org is not call.org]
        if call.operation == "delete_run" and call.key and any(call.key in org.keys for org in others):
            raise self.key_conflict()
        return await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        mine = c.create()
        theirs = c.post("/v1/runs", {"workflow_id": W}, token="two").json()
        assert c.delete(mine, key="k").status_code == 204
        assert c.delete(theirs, key="k", token="two").status_code == 204


@plants("IDEM-SCOPE", "AUTH-TENANT", what="Keys of updates are everybody's.", rarity="updates only")
class KeysOfUpdatesShared(Standin):
    def keys_of(self, call):
        first = next(iter(self.organisations.values()))
        return first.keys if call.method == "PATCH" else super().keys_of(call)

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        c.call("PATCH", path, {"error": ["x"]}, key="one-key")
        assert c.call("PATCH", path, {"error": ["x"]}, key="one-key", token="two").status_code == 404
