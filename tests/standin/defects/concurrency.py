"""Defects that show only when two requests meet."""

import asyncio
import copy
import json
from contextlib import suppress
from typing import Any

from tests.standin.behaviour import Problem, Standin
from tests.standin.client import Client, W
from tests.standin.defects.defect import plants

_CHANGED = ("input_values", "output_data", "error", "usage_metadata", "run_message_history")


async def gathered(c: Client, *requests: tuple[str, str, Any]) -> list[Any]:
    return await asyncio.gather(*(c._sent(*request, "one", None, None, None) for request in requests))


@plants("BULK-ECHO", "CREATE-ANSWER", what="Two creates at once both get the inputs of the later.", rarity="at once")
class CreatesAtOnceShareInputs(Standin):
    latest: Any = None

    async def admit(self, call):
        if call.operation in {"bulk_create_runs", "create_run"}:
            with suppress(ValueError, AttributeError):
                self.latest = json.loads(call.body).get("input_values")
            await asyncio.sleep(0.005)

    def inputs_of(self, body, index, of):
        return body.input_values and self.latest

    @staticmethod
    def witness(c: Client) -> None:
        bodies = [{"workflow_id": W, "input_values": {"n": number}} for number in range(2)]
        answers = c.runner.run(gathered(c, *(("POST", "/v1/runs", body) for body in bodies)))
        assert [answer.json()["input_values"] for answer in answers] == [{"n": 0}, {"n": 1}]


@plants("UPDATE-PARTIAL", what="Of two updates of a run at once one is lost.", rarity="at once")
class UpdatesAtOnceLoseOne(Standin):
    async def once(self, call, handle):
        run = call.org.runs.get(call.path.split("/")[-1])
        if call.operation != "update_run" or run is None:
            return await super().once(call, handle)
        before = {name: copy.deepcopy(getattr(run, name)) for name in _CHANGED}
        await asyncio.sleep(0.005)
        for name, value in before.items():
            setattr(run, name, value)
        return await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        bodies = ({"output_data": {"a": 1}}, {"usage_metadata": {"b": 2}})
        c.runner.run(gathered(c, *(("PATCH", path, body) for body in bodies)))
        run = c.get(path).json()
        assert (run["output_data"], run["usage_metadata"]) == ({"a": 1}, {"b": 2})


@plants("UPDATE-PARTIAL", what="A read during an update sees its first field only.", rarity="at once")
class UpdateIsSeenInParts(Standin):
    async def once(self, call, handle):
        run = call.org.runs.get(call.path.split("/")[-1])
        if call.operation == "update_run" and run is not None:
            with suppress(ValueError, AttributeError):
                name, value = next(iter(json.loads(call.body).items()), ("", None))
                if name == "input_values" and isinstance(value, dict):
                    run.input_values = value
                    await asyncio.sleep(0.02)
        return await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        update = ("PATCH", path, {"input_values": {"a": 1}, "output_data": {"a": 1}})
        _, read = c.runner.run(gathered(c, update, ("GET", path, None)))
        assert (read.json()["input_values"] is None) == (read.json()["output_data"] is None)


@plants("DELETE-GONE", what="A run that is updated while it is deleted comes back.", rarity="at once")
class UpdateBringsBackDeleted(Standin):
    async def once(self, call, handle):
        run = call.org.runs.get(call.path.split("/")[-1])
        if call.operation == "update_run" and run is not None:
            await asyncio.sleep(0.01)
            call.org.runs[run.id] = run
        return await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/runs/{c.create()['id']}"
        c.runner.run(gathered(c, ("PATCH", path, {"output_data": {"a": 1}}), ("DELETE", path, None)))
        assert c.get(path).status_code == 404


@plants("AUTH-TENANT", "READ-BACK", what="A read is done for whoever asked last.", rarity="two organisations at once")
class ReadsAtOnceForTheLatest(Standin):
    latest: Any = None

    async def admit(self, call):
        self.latest = call.org
        if call.operation == "get_run":
            await asyncio.sleep(0.005)

    def find(self, call, run_id):
        if call.operation != "get_run":
            return super().find(call, run_id)
        run = self.latest.runs.get(run_id)
        if run is None:
            raise Problem(404, "Run not found")
        return run

    @staticmethod
    def witness(c: Client) -> None:
        async def both() -> list[Any]:
            path = f"/v1/runs/{mine['id']}"
            return await asyncio.gather(*(c._sent("GET", path, None, who, None, None, None) for who in ("one", "two")))

        mine = c.create()
        assert [answer.status_code for answer in c.runner.run(both())] == [200, 404]


@plants("LIST-COMPLETE", what="Of two single creates at once one is on no list.", rarity="at once")
class CreatesAtOnceLoseOneInLists(Standin):
    unlisted: frozenset[str] = frozenset()

    async def once(self, call, handle):
        if call.operation == "create_run":
            before = set(call.org.runs)
            await asyncio.sleep(0.005)
            self.unlisted |= call.org.runs.keys() - before
        return await super().once(call, handle)

    def listed(self, call):
        return [run for run in super().listed(call) if run.id not in self.unlisted]

    @staticmethod
    def witness(c: Client) -> None:
        c.runner.run(gathered(c, *(("POST", "/v1/runs", {"workflow_id": W}) for _ in range(3))))
        assert len(c.listed()["items"]) == 3
