"""Defects in the answer of a bulk create, but for the values that it repeats."""

import hashlib
import uuid
from datetime import timedelta

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import FILE, FILES, Client, M, P, S
from tests.standin.defects.defect import plants

# -- BULK-STATUS


@plants("BULK-STATUS", what="A bulk create of one answers 200.", rarity="only count 1")
class StatusOfOneIs200(Standin):
    def bulk_create_runs(self, call, body):
        answer = super().bulk_create_runs(call, body)
        return Answer(200, answer.content) if body.count == 1 else answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(1).status_code == 201


@plants("BULK-STATUS", what="The last of a hundred or more items has no status.", rarity="the last item, large counts")
class LastItemHasNoStatus(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        if len(runs) >= 100:
            del answer["created_runs"][-1]["status"]
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert all("status" in run for run in c.bulk(100))


@plants("BULK-STATUS", what="Answers over 256 KiB are sent as octets.", rarity="large answers only")
class LargeAnswersAreOctets(Standin):
    def bulk_create_runs(self, call, body):
        answer = super().bulk_create_runs(call, body)
        large = len(answer.body()) > 256 * 1024
        return Answer(201, answer.content, {"content-type": "application/octet-stream"} if large else None)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(1000).headers["content-type"] == "application/json"


@plants("BULK-STATUS", "BULK-ECHO", what="A single pool comes back as text, not as a list.", rarity="exactly one pool")
class OnePoolIsText(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "bulk_create_runs" and run.pool_ids is not None and len(run.pool_ids) == 1:
            shown["pool_ids"] = run.pool_ids[0]
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(pool_ids=P[:1])[0]["pool_ids"] == P[:1]


@plants("BULK-STATUS", what="failed_count is a text when files were sent.", rarity="one number, one feature")
class FailedCountIsTextWithFiles(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        return answer | {"failed_count": "0"} if body.file_inputs else answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(file_inputs=[FILE]).json()["failed_count"] == 0


# -- BULK-COUNT


@plants("BULK-COUNT", what="A count of 501 makes 500 runs.", rarity="one count of a thousand")
class Count501MakesOneLess(Standin):
    def bulk_length(self, body):
        return 500 if body.count == 501 else super().bulk_length(body)

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(501)) == 501


@plants("BULK-COUNT", what="A thousand runs are made, 999 are told.", rarity="only at the limit")
class ThousandTellsOneLess(Standin):
    def bulk_answer(self, runs, body):
        return super().bulk_answer(runs[:999], body)

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(1000)) == 1000


@plants("BULK-COUNT", what="From 101 on, only the first hundred runs are told.", rarity="counts over 100")
class OnlyFirstHundredTold(Standin):
    def bulk_answer(self, runs, body):
        return super().bulk_answer(runs[:100], body)

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(101)) == 101


@plants(
    "BULK-COUNT", what="failed_count is 1 though nothing failed, when a session meets pools.", rarity="two features"
)
class FailedCountWithSessionAndPools(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        return answer | {"failed_count": 1} if body.start_session and body.pool_ids else answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(start_session=True, pool_ids=P[:2]).json()["failed_count"] == 0


@plants(
    "BULK-COUNT", what="errors has a remark when machine_id and pool_ids are both given.", rarity="two features meet"
)
class ErrorsHoldRemark(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        return answer | {"errors": ["pool_ids ignored"]} if body.machine_id and body.pool_ids else answer

    @staticmethod
    def witness(c: Client) -> None:
        assert c.try_bulk(machine_id=M, pool_ids=P[:1]).json()["errors"] == []


@plants("BULK-COUNT", what="With files, a count over 20 is cut to 20.", rarity="large counts with files")
class FilesCapCount(Standin):
    def bulk_length(self, body):
        return min(body.count, 20) if body.file_inputs else body.count

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(21, file_inputs=[FILE])) == 21


# -- BULK-IDS


@plants(
    "BULK-IDS", "LIST-COMPLETE", what="Of a thousand runs the last has the id of the first.", rarity="only at the limit"
)
class ThousandthIdRepeats(Standin):
    def new_id(self, org, index, of):
        made = super().new_id(org, index, of)
        if index == 0:
            self.first = made
        return self.first if index == 999 else made

    @staticmethod
    def witness(c: Client) -> None:
        assert len({run["id"] for run in c.bulk(1000)}) == 1000


@plants("BULK-IDS", "BULK-STATUS", what="From the 256th run on, ids have no dashes.", rarity="items past the 255th")
class LateIdsHaveNoDashes(Standin):
    def new_id(self, org, index, of):
        made = super().new_id(org, index, of)
        return made.replace("-", "") if index > 255 else made

    @staticmethod
    def witness(c: Client) -> None:
        assert all(len(run["id"]) == 36 for run in c.bulk(257))


@plants(
    "BULK-IDS",
    "LIST-COMPLETE",
    what="The same request again makes the same ids, when it starts a session.",
    rarity="the second call",
)
class SameRequestSameIds(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        self.seed = (
            hashlib.sha256(call.body + bytes([index % 256])).digest() if getattr(body, "start_session", False) else None
        )
        return super().run_made(call, body, index, of, session_id, created_at)

    def new_id(self, org, index, of):
        return super().new_id(org, index, of) if self.seed is None else str(uuid.UUID(bytes=self.seed[:16], version=4))

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(start_session=True)[0]["id"] != c.bulk(start_session=True)[0]["id"]


@plants("BULK-IDS", what="The second of two runs has an id that is not a UUID.", rarity="a digit too many, counts of 2")
class SecondOfTwoIsNoUuid(Standin):
    def new_id(self, org, index, of):
        made = super().new_id(org, index, of)
        return made[:-1] + "g" if (index, of) == (1, 2) else made

    @staticmethod
    def witness(c: Client) -> None:
        uuid.UUID(c.bulk(3)[1]["id"])
        assert c.bulk(2)[1]["id"][-1] != "g"


# -- BULK-INITIAL


@plants("BULK-INITIAL", what="The second run of a bulk is told to be running.", rarity="the second item only")
class SecondIsRunning(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        for item in answer["created_runs"][1:2]:
            item["status"] = "running"
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert {run["status"] for run in c.bulk(3)} == {"scheduling"}


@plants(
    "BULK-INITIAL",
    what="The last of ten or more runs has an error from the start.",
    rarity="the last item, ten or more",
)
class LastHasError(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        if len(runs) >= 10:
            answer["created_runs"][-1]["error"] = ["No machine is free."]
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert not any(run["error"] for run in c.bulk(10))


@plants(
    "BULK-INITIAL", what="output_data repeats the input_values where secrets are sent too.", rarity="two features meet"
)
class OutputRepeatsInputs(Standin):
    def run_made(self, call, body, *rest):
        run = super().run_made(call, body, *rest)
        if body.sensitive_input_values and body.input_values:
            run.output_data = {"inputs": run.input_values}
        return run

    @staticmethod
    def witness(c: Client) -> None:
        assert not c.bulk(input_values={"k": 1}, sensitive_input_values={"pin": "1"})[0]["output_data"]


@plants(
    "BULK-INITIAL", "BULK-STATUS", what="created_at has no time zone where a session is joined.", rarity="one feature"
)
class JoiningRunsHaveNoZone(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "bulk_create_runs" and run.session_id is not None:
            shown["created_at"] = shown["created_at"].removesuffix("Z")
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(session_id=S)[0]["created_at"].endswith("Z")


@plants(
    "BULK-INITIAL", what="created_at is local time, two hours off, said to be UTC, with pools.", rarity="one feature"
)
class CreatedAtTwoHoursOff(Standin):
    def run_made(self, call, body, *rest):
        run = super().run_made(call, body, *rest)
        if run.pool_ids:
            run.created_at += timedelta(hours=2)
        return run

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk()[0]["created_at"][:13] == c.bulk(pool_ids=P[:1])[0]["created_at"][:13]


@plants(
    "BULK-INITIAL",
    "BULK-STATUS",
    what="created_at is written without its seconds.",
    rarity="only from the second item on",
)
class CreatedAtWithoutSeconds(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        for item in answer["created_runs"][1:]:
            item["created_at"] = item["created_at"][:16] + "Z"
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert all(len(run["created_at"]) > 17 for run in c.bulk(2))


# -- BULK-SESSION


@plants(
    "BULK-SESSION",
    what="Of fifty or more runs that start a session the last has its own.",
    rarity="last item, large counts",
)
class LastRunHasOwnSession(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        own = getattr(body, "start_session", False) and of >= 50 and index == of - 1
        return super().run_made(call, body, index, of, str(uuid.uuid4()) if own else session_id, created_at)

    @staticmethod
    def witness(c: Client) -> None:
        assert len({run["session_id"] for run in c.bulk(50, start_session=True)}) == 1


@plants("BULK-SESSION", what="No session is started where pool_ids are given.", rarity="two features meet")
class NoSessionWithPools(Standin):
    def bulk_session(self, body):
        return None if body.pool_ids and body.session_id is None else super().bulk_session(body)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(start_session=True, pool_ids=P[:1])[0]["session_id"] is not None


@plants("BULK-SESSION", what="Two runs that start a session get one each, their own ids.", rarity="only count 2")
class TwoRunsTwoSessions(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        if of == 2 and getattr(body, "start_session", False) and getattr(body, "session_id", None) is None:
            run.session_id = run.id
        return run

    @staticmethod
    def witness(c: Client) -> None:
        assert len({run["session_id"] for run in c.bulk(2, start_session=True)}) == 1


@plants(
    "BULK-SESSION", what="A session that is joined is forgotten where a machine is named.", rarity="two features meet"
)
class JoinedSessionLostWithMachine(Standin):
    def bulk_session(self, body):
        return None if body.machine_id and body.session_id else super().bulk_session(body)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(session_id=S, machine_id=M)[0]["session_id"] == S


@plants("BULK-SESSION", what="A large bulk gets a session that nobody asked for.", rarity="counts over 100")
class LargeBulkGetsSession(Standin):
    def bulk_session(self, body):
        return super().bulk_session(body) or (str(uuid.uuid4()) if body.count > 100 else None)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(101)[0]["session_id"] is None


@plants(
    "BULK-SESSION",
    what="The second call that starts a session for a machine gets the first one's.",
    rarity="second call",
)
class SecondSessionIsTheFirst(Standin):
    def bulk_session(self, body):
        if body.session_id is None and body.start_session and body.machine_id:
            self.known = getattr(self, "known", {})
            return self.known.setdefault(body.machine_id, super().bulk_session(body))
        return super().bulk_session(body)

    @staticmethod
    def witness(c: Client) -> None:
        first, second = (c.bulk(start_session=True, machine_id=M)[0]["session_id"] for _ in range(2))
        assert first != second


# -- BULK-FILES


@plants("BULK-FILES", what="The runs of one bulk share their attachments.", rarity="files with more than one run")
class RunsShareAttachments(Standin):
    def attach(self, org, run, files, index=0, of=1):
        if of == 1:
            return super().attach(org, run, files, index, of)
        if index == 0:
            self.shared = super().attach(org, run, files, index, of)
        return self.shared

    @staticmethod
    def witness(c: Client) -> None:
        first, second = (run["input_attachment_ids"] for run in c.bulk(2, file_inputs=[FILE]))
        assert not set(first) & set(second)


@plants("BULK-FILES", what="Of three or more files the last is left out.", rarity="many files")
class LastFileLeftOut(Standin):
    def attach(self, org, run, files, index=0, of=1):
        return super().attach(org, run, files[:-1] if len(files) > 2 else files, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(file_inputs=FILES[:3])[0]["input_attachment_ids"]) == 3


@plants("BULK-FILES", what="Two files of the same name become one.", rarity="equal names")
class SameNameSameFile(Standin):
    def attach(self, org, run, files, index=0, of=1):
        return super().attach(org, run, list({file.filename: file for file in files}.values()), index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(file_inputs=[FILE, FILE])[0]["input_attachment_ids"]) == 2


@plants("BULK-FILES", what="From the 32nd run on, files are not attached.", rarity="files with large counts")
class LateRunsHaveNoFiles(Standin):
    def attach(self, org, run, files, index=0, of=1):
        return super().attach(org, run, [] if index >= 32 else files, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert all(run["input_attachment_ids"] for run in c.bulk(33, file_inputs=[FILE]))


@plants("BULK-FILES", what="Larger files are one attachment for all runs.", rarity="files from 4 KiB on")
class LargeFilesShared(Standin):
    def attach(self, org, run, files, index=0, of=1):
        made = super().attach(org, run, files, index, of)
        if not index:
            self.first = made
        large = [len(self.content_of(file)) >= 4096 for file in files]
        return [one if is_large else own for one, own, is_large in zip(self.first, made, large, strict=True)]

    @staticmethod
    def witness(c: Client) -> None:
        one, other = c.bulk(2, file_inputs=[{"filename": "a.bin", "content": "YWFh" * 2000}])
        assert one["input_attachment_ids"] != other["input_attachment_ids"]
