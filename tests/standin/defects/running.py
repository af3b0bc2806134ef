"""Defects in chains, in how runs move on, and in attachments."""

import uuid

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import W2, Client, S, W
from tests.standin.defects.defect import plants
from tests.standin.models import Status
from tests.standin.store import Lifecycle

# -- CHAIN-RULES


@plants("CHAIN-RULES", what="From ten steps on, run_ids are in reverse.", rarity="long chains")
class LongChainReversed(Standin):
    def chain_ids(self, runs):
        ids = super().chain_ids(runs)
        return ids[::-1] if len(ids) >= 10 else ids

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain([{"inputs": {"n": number}} for number in range(10)])
        assert [c.read(one)["input_values"]["n"] for one in made["run_ids"]] == list(range(10))


@plants("CHAIN-RULES", what="The last of three or more steps is in no session.", rarity="the last step")
class LastStepHasNoSession(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        outside = of > 2 and index == of - 1
        return super().step_made(call, body, index, of, None if outside else session_id, created_at)

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain(3)
        assert {c.read(one)["session_id"] for one in made["run_ids"]} == {made["session_id"]}


@plants("CHAIN-RULES", what="Equal steps that follow one another make one run.", rarity="equal steps")
class EqualStepsMakeOneRun(Standin):
    def create_run_chain(self, call, body):
        steps = [step for place, step in enumerate(body.steps) if place == 0 or step != body.steps[place - 1]]
        return super().create_run_chain(call, body.model_copy(update={"steps": steps}))

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.chain(3)["run_ids"]) == 3


@plants("CHAIN-RULES", what="A chain that joins a session gets another one.", rarity="one field")
class ChainIgnoresSession(Standin):
    def chain_session(self, body):
        return str(uuid.uuid4())

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.chain(2, session_id=S)["session_id"] == S


@plants(
    "CHAIN-RULES",
    "READ-BACK",
    what="From the second step on, a step has the first one's workflow.",
    rarity="different workflows",
)
class StepsShareWorkflow(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        run = super().step_made(call, body, index, of, session_id, created_at)
        run.workflow_id = str(body.steps[0].workflow_id)
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain([{"workflow_id": W}, {"workflow_id": W2}])
        assert [c.read(one)["workflow_id"] for one in made["run_ids"]] == [W, W2]


@plants(
    "CHAIN-RULES",
    "LIFECYCLE",
    what="In chains of four or more two steps run at a time.",
    rarity="long chains, and time",
)
class LongChainsOverlap(Standin):
    class Lifecycle(Lifecycle):
        def schedule(self, org, run, now):
            session = org.sessions.get(run.session_id or "")
            if session is not None and len(session.waiting) >= 2:
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain(8)
        for _ in range(60):
            c.wait(0.05)
            assert [c.read(one)["status"] for one in made["run_ids"]].count("running") < 2


@plants(
    "CHAIN-RULES", what="The session that the answer of a chain tells is not the runs'.", rarity="five steps or more"
)
class ToldSessionIsAnother(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        if body.machine_id is None and body.session_id is None and len(body.steps) > 4:
            return Answer(201, answer.content | {"session_id": str(uuid.uuid4())})
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        made = c.chain(5)
        assert c.read(made["run_ids"][0])["session_id"] == made["session_id"]


# -- LIFECYCLE


@plants(
    "LIFECYCLE",
    "BULK-SESSION",
    what="In a session of three or more runs all start at once.",
    rarity="bulk with a session, and time",
)
class SessionRunsOverlap(Standin):
    class Lifecycle(Lifecycle):
        def next_of(self, org, session, now):
            first = session.current is None
            super().next_of(org, session, now)
            while first and len(session.waiting) > 1:
                self.at(org, now + self.wait_s(session.waiting[-1][2]), "start", session.waiting.pop()[2])

    def bulk_made(self, call, body):
        runs = super().bulk_made(call, body)
        for session in call.org.sessions.values():
            while len(session.waiting) > 1:
                run = session.waiting.pop()[2]
                self.lifecycle.at(call.org, self.now(call.org) + self.lifecycle.wait_s(run), "start", run)
        return runs

    @staticmethod
    def obeys(c: Client) -> None:
        runs = c.bulk(8, start_session=True)
        for _ in range(60):
            c.wait(0.05)
            assert [c.read(run)["status"] for run in runs].count("running") < 2


@plants("LIFECYCLE", what="A run that is running goes back to scheduling once.", rarity="a moment of one status")
class GoesBackToScheduling(Standin):
    class Lifecycle(Lifecycle):
        def start(self, org, run, when):
            super().start(org, run, when)
            if run.status == Status.RUNNING:
                self.at(org, when + self.work_s(run) / 2, "back", run)

        def finish(self, org, run, when):
            if run.status == Status.RUNNING and not run.usage_metadata:
                run.status, run.usage_metadata = Status.SCHEDULING, {"preempted": 1}
            else:
                super().finish(org, run, when)

    @staticmethod
    def obeys(c: Client) -> None:
        run, seen = c.create(), []
        for _ in range(60):
            c.wait(0.02)
            seen.append(c.read(run)["status"])
        assert "running" not in seen or "scheduling" not in seen[seen.index("running") :]


@plants("LIFECYCLE", what="A task that failed has no error.", rarity="one outcome of three")
class TaskFailedHasNoError(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            super().finish(org, run, when)
            if run.status == Status.TASK_FAILED:
                run.error = None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.read(c.ended("task_failed"))["error"]


@plants("LIFECYCLE", what="A success has an error beside its output.", rarity="one outcome, half of the runs")
class SuccessHasError(Standin):
    class Lifecycle(Lifecycle):
        def results(self, org, run):
            super().results(org, run)
            if run.status == Status.SUCCESS and run.output_attachment_ids:
                run.error = ["The printer was offline."]

    @staticmethod
    def obeys(c: Client) -> None:
        for _ in range(20):
            assert not c.read(c.ended("success"))["error"]


@plants("LIFECYCLE", what="output_data is there while a run is still running.", rarity="one status")
class OutputWhileRunning(Standin):
    class Lifecycle(Lifecycle):
        def start(self, org, run, when):
            super().start(org, run, when)
            run.output_data = run.output_data or {"progress": 50}

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create()
        for _ in range(60):
            c.wait(0.02)
            seen = c.read(run)
            assert seen["status"] not in ("scheduling", "running") or not seen["output_data"]


@plants(
    "LIFECYCLE",
    what="A run that was cancelled while scheduling ends in success later.",
    rarity="after a cancel, and time",
)
class CancelledGoesOn(Standin):
    class Lifecycle(Lifecycle):
        def start(self, org, run, when):
            if run.status == Status.CANCELLED:
                self.at(org, when + self.work_s(run), "finish", run)
            else:
                super().start(org, run, when)

    def move(self, org, run, status):
        epoch = run.epoch
        super().move(org, run, status)
        if status == Status.CANCELLED:
            run.epoch = epoch

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.cancelled()
        c.wait(60)
        assert c.read(run)["status"] == "cancelled"


@plants(
    "LIFECYCLE",
    what="A run that has ended is an error a second later, when it has secrets.",
    rarity="one feature, and time",
)
class EndedTurnsIntoError(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            if run.status == Status.SUCCESS:
                run.status, run.error, run.output_data = Status.ERROR, ["The vault was closed."], None
                return
            super().finish(org, run, when)
            if run.status == Status.SUCCESS and run.sensitive_input_aliases:
                self.at(org, when + 0.5, "finish", run)

    @staticmethod
    def obeys(c: Client) -> None:
        for _ in range(20):
            run = c.create(sensitive_input_values={"pin": "1"})
            seen = []
            for _ in range(60):
                c.wait(0.05)
                seen.append(c.read(run)["status"])
            assert "success" not in seen or "error" not in seen


# -- ATTACHMENTS


@plants("ATTACHMENTS", what="A file whose base64 needs no padding loses its last byte.", rarity="every third length")
class UnpaddedLosesLastByte(Standin):
    def content_of(self, file):
        content = super().content_of(file)
        return content[:-1] if content and len(content) % 3 == 0 else content

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YWJj"}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"abc"


@plants("ATTACHMENTS", what="Line ends of a text file are changed.", rarity="one pair of bytes")
class LineEndsChanged(Standin):
    def bytes_of(self, one):
        return super().bytes_of(one).replace(b"\r\n", b"\n")

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a.txt", "content": "YQ0KYg=="}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a\r\nb"


@plants("ATTACHMENTS", what="A file ends at its first NUL.", rarity="one byte")
class FileEndsAtNul(Standin):
    def content_of(self, file):
        return super().content_of(file).partition(b"\0")[0]

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YQBi"}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a\0b"


@plants("ATTACHMENTS", what="Files are cut at 64 KiB.", rarity="large files")
class FilesCutAt64Kib(Standin):
    def content_of(self, file):
        return super().content_of(file)[:65536]

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "A" * 120_000}])
        assert len(c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content) == 90_000


@plants("ATTACHMENTS", what="Bytes that are no UTF-8 are replaced.", rarity="bytes over 127")
class BytesReplaced(Standin):
    def bytes_of(self, one):
        return super().bytes_of(one).decode("utf-8", "replace").encode()

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "/w=="}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"\xff"


@plants("ATTACHMENTS", what="The runs of one bulk get the first file's bytes for every file.", rarity="two files")
class SecondFileIsTheFirst(Standin):
    def attach(self, org, run, files, index=0, of=1):
        ids = super().attach(org, run, files, index, of)
        for one in ids[1:]:
            org.attachments[one].content = org.attachments[ids[0]].content
        return ids

    @staticmethod
    def obeys(c: Client) -> None:
        files = [{"filename": "a", "content": "YQ=="}, {"filename": "b", "content": "Yg=="}]
        (run,) = c.bulk(file_inputs=files)
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][1]}/download").content == b"b"


@plants("ATTACHMENTS", what="size_bytes is that of the base64 text.", rarity="one number")
class SizeIsOfBase64(Standin):
    def size(self, one):
        return -(-len(one.content) // 3) * 4

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YQ=="}])
        assert c.attachments(run)[0]["size_bytes"] == 1


@plants("ATTACHMENTS", what="The files of a retry are told, but cannot be downloaded.", rarity="after a retry")
class RetriedFilesMissing(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        for one in run.input_attachment_ids if body.file_inputs else ():
            org.attachments.pop(one)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.retry(c.cancelled(), file_inputs=[{"filename": "a", "content": "YQ=="}]).json()
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a"


@plants("ATTACHMENTS", what="From the second run of a bulk on, files are empty.", rarity="files with more than one run")
class LaterRunsFilesEmpty(Standin):
    def attach(self, org, run, files, index=0, of=1):
        ids = super().attach(org, run, files, index, of)
        for one in ids if index else ():
            org.attachments[one].content = b""
        return ids

    @staticmethod
    def obeys(c: Client) -> None:
        _, run = c.bulk(2, file_inputs=[{"filename": "a", "content": "YQ=="}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a"


@plants("CHAIN-RULES", what="A chain of one tells its run_ids as a text.", rarity="one step")
class ChainOfOneTellsText(Standin):
    def chain_ids(self, runs):
        ids = super().chain_ids(runs)
        return ids[0] if len(ids) == 1 else ids

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.chain(1)["run_ids"]) == 1


@plants("ATTACHMENTS", what="In lists, created_at of an attachment has no time zone.", rarity="one field of one list")
class ListedAttachmentWithoutZone(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        for item in answer.content["items"]:
            item["created_at"] = item["created_at"].removesuffix("Z")
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YQ=="}])
        (item,) = c.get(f"/v1/run-attachments?run_id={run['id']}").json()["items"]
        assert item["created_at"].endswith("Z")
