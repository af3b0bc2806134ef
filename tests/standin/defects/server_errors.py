"""Defects in which a request gets a 5xx, or makes a later one get it."""

import json
import math
from datetime import UTC
from itertools import accumulate

from tests.standin.behaviour import Call, Problem, Standin
from tests.standin.client import FILE, Client, W
from tests.standin.defects.defect import plants
from tests.standin.defects.json_values import numbers
from tests.standin.store import Attachment

# -- NO-5XX


@plants("NO-5XX", what="A NUL in a search is more than the database takes.", rarity="one character, search only")
class NulInSearchBreaks(Standin):
    def list_runs(self, call, query):
        if "\0" in (query.search or ""):
            raise RuntimeError("invalid byte sequence for encoding")
        return super().list_runs(call, query)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get("/v1/runs?search=a%00b").status_code < 500


@plants("NO-5XX", "REQ-ACCEPT", what="A NUL in a session_alias breaks the create.", rarity="one character, one field")
class NulInAliasBreaks(Standin):
    def create_run(self, call, body):
        if "\0" in (body.session_alias or ""):
            raise RuntimeError("invalid byte sequence for encoding")
        return super().create_run(call, body)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_create(session_alias="a\0b").status_code < 500


@plants("NO-5XX", what="A lone surrogate in input_values cannot be encoded.", rarity="half of a character")
class LoneSurrogateBreaks(Standin):
    def bulk_create_runs(self, call, body):
        json.dumps(body.input_values, ensure_ascii=False).encode()
        return super().bulk_create_runs(call, body)

    @staticmethod
    def witness(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": "\\ud800"}}' % W.encode()
        assert c.post("/v1/runs/bulk", raw=raw).status_code < 500


@plants("NO-5XX", what="Nesting beyond what the parser bears is not caught.", rarity="nesting over 400")
class DeepNestingBreaks(Standin):
    async def admit(self, call):
        steps = (1 if bracket in b"[{" else -1 for bracket in call.body if bracket in b"[]{}")
        if max(accumulate(steps), default=0) > 400:
            raise RecursionError("maximum recursion depth exceeded")

    @staticmethod
    def witness(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": ' % W.encode() + b"[" * 2000 + b"]" * 2000
        assert c.post("/v1/runs/bulk", raw=raw + b"}}").status_code < 500


@plants("NO-5XX", what="skip over 64 bits is more than the database takes.", rarity="a huge page offset")
class HugeSkipBreaks(Standin):
    def list_runs(self, call, query):
        query.skip.to_bytes(8, signed=True)
        return super().list_runs(call, query)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get(f"/v1/runs?skip={2**63}").status_code < 500


@plants("NO-5XX", what="skip and limit are added in 64 bits, and the sum is negative.", rarity="the last page offsets")
class SkipPlusLimitOverflows(Standin):
    def list_runs(self, call, query):
        if query.skip < 2**63 <= query.skip + query.limit:
            raise IndexError("slice bounds out of range")
        return super().list_runs(call, query)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get(f"/v1/runs?skip={2**63 - 1}").status_code < 500


@plants(
    "NO-5XX", what="An infinite number is stored, and lists fail ever after.", rarity="1e400, and the harm comes later"
)
class InfinityStoredBreaksLists(Standin):
    def double(self, text):
        return float(text)

    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        for item in answer["created_runs"]:
            if any(not math.isfinite(n) for n in numbers(item["input_values"]) if type(n) is float):
                item["input_values"] = None
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        c.post("/v1/runs/bulk", raw=b'{"workflow_id": "%s", "count": 1, "input_values": {"k": 1e400}}' % W.encode())
        assert c.get("/v1/runs").status_code < 500


_SPACED = bytes(code if 48 <= code <= 57 else 32 for code in range(256))


@plants("NO-5XX", what="An integer of 5000 digits is not caught.", rarity="one kind of number, beyond the limit")
class ManyDigitsBreak(Standin):
    async def admit(self, call):
        if len(call.body) > 4300 and any(len(part) > 4300 for part in call.body.translate(_SPACED).split()):
            raise RuntimeError("Exceeds the limit for integer string conversion")

    @staticmethod
    def witness(c: Client) -> None:
        raw = b'{"workflow_id": "%s", "count": 1, "input_values": {"k": ' % W.encode() + b"9" * 5000 + b"}}"
        assert c.post("/v1/runs/bulk", raw=raw).status_code < 500


@plants(
    "NO-5XX", "AUTH-TOKEN", what="A token with a character beyond ASCII breaks the comparison.", rarity="odd tokens"
)
class OddTokenBreaks(Standin):
    def owner_of(self, token):
        token.encode("ascii")
        return super().owner_of(token)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get("/v1/runs", token=None, authorization="Bearer tök".encode("latin-1")).status_code == 401


@plants(
    "NO-5XX", what="created_at_from in the year 1 with an offset overflows.", rarity="the first day of all, one filter"
)
class FirstDayBreaks(Standin):
    def list_runs(self, call, query):
        if query.created_at_from is not None and query.created_at_from.tzinfo is not None:
            query.created_at_from.astimezone(UTC)
        return super().list_runs(call, query)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get("/v1/runs?created_at_from=0001-01-01T00:00:00%2B14:00").status_code < 500


@plants(
    "NO-5XX", "ATTACHMENTS", what="A filename with a line break breaks its download.", rarity="one character, later on"
)
class LineBreakInFilenameBreaks(Standin):
    def download(self, one: Attachment):
        if "\n" in one.filename or "\r" in one.filename:
            raise RuntimeError("Invalid header value")
        return super().download(one)

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE | {"filename": "a\nb"}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").status_code == 200


@plants("NO-5XX", "REQ-ACCEPT", what="An update with an empty run_message_history breaks.", rarity="one field, only []")
class EmptyHistoryBreaks(Standin):
    def change(self, run, name, value):
        if name == "run_message_history" and value is not None:
            value[-1].get("role")
        super().change(run, name, value)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), run_message_history=[]).status_code < 500


@plants("NO-5XX", what="A date that does not exist breaks the list.", rarity="30 February, one filter")
class ImpossibleDateBreaks(Standin):
    def violations(self, errors, call: Call):
        if any(error["type"].startswith("datetime") and "day" in error["msg"] for error in errors):
            raise RuntimeError("day is out of range for month")
        return super().violations(errors, call)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get("/v1/runs?created_at_to=2025-02-30T00:00:00Z").status_code < 500


@plants("NO-5XX", what="A key beyond ASCII is more than the store takes.", rarity="odd keys of a write")
class OddKeyBreaks(Standin):
    async def once(self, call, handle):
        (call.key or "").encode("ascii")
        return await super().once(call, handle)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs", {"workflow_id": W}, key="kä".encode("latin-1")).status_code < 500


@plants("NO-5XX", what="A NUL in the id of an attachment breaks the look-up.", rarity="one character, one path")
class NulInAttachmentIdBreaks(Standin):
    def violations(self, errors, call):
        if any(error["loc"][-1] == "attachment_id" and "\0" in error["input"] for error in errors):
            raise RuntimeError("invalid byte sequence for encoding")
        return super().violations(errors, call)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.get("/v1/run-attachments/%00").status_code < 500


NIL = "00000000-0000-0000-0000-000000000000"


@plants("NO-5XX", what="The nil UUID as a workflow is a 500.", rarity="one id")
class NilWorkflowFails(Standin):
    def workflow_of(self, body, index, of):
        if str(body.workflow_id) == NIL:
            raise Problem(500, "Internal Server Error")
        return super().workflow_of(body, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/runs/bulk", {"workflow_id": NIL, "count": 1}).status_code == 201


@plants("NO-5XX", what="A pool's machines cannot be none: a 500.", rarity="an empty list, one operation")
class NoMachinesForAPoolFails(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        if not body.machine_ids:
            raise Problem(500, "Internal Server Error")
        return super().add_machine_to_pool(call, pool_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        pool = c.post("/v1/pools", {"name": "p"}).json()["id"]
        assert c.post(f"/v1/pools/{pool}/machines", {"machine_ids": []}).status_code == 200


@plants("NO-5XX", "REQ-NULL", what="Nothing for a step beside shared inputs is a 500.", rarity="two fields, one null")
class NullBesideSharedInputsFails(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        step = body.steps[index]
        if body.shared_inputs and "inputs" in step.model_fields_set and step.inputs is None:
            raise Problem(500, "Internal Server Error")
        return super().step_made(call, body, index, of, session_id, created_at)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.chain([{"inputs": None}], shared_inputs={"a": 1})["run_ids"]
