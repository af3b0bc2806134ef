"""Defects in how runs progress."""

from datetime import timedelta

from tests.standin.behaviour import Standin
from tests.standin.client import Client
from tests.standin.defects.defect import plants
from tests.standin.models import Status
from tests.standin.store import Lifecycle

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
    def witness(c: Client) -> None:
        runs = c.bulk(8, start_session=True)
        for _ in range(60):
            c.wait(0.05)
            assert c.running(runs[0]["session_id"]) < 2


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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.read(c.ended("task_failed"))["error"]


@plants("LIFECYCLE", what="A success has an error beside its output.", rarity="one outcome, half of the runs")
class SuccessHasError(Standin):
    class Lifecycle(Lifecycle):
        def results(self, org, run):
            super().results(org, run)
            if run.status == Status.SUCCESS and run.output_attachment_ids:
                run.error = ["The printer was offline."]

    @staticmethod
    def witness(c: Client) -> None:
        for _ in range(20):
            assert not c.read(c.ended("success"))["error"]


@plants("LIFECYCLE", what="output_data is there while a run is still running.", rarity="one status")
class OutputWhileRunning(Standin):
    class Lifecycle(Lifecycle):
        def start(self, org, run, when):
            super().start(org, run, when)
            run.output_data = run.output_data or {"progress": 50}

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        for _ in range(20):
            run = c.create(sensitive_input_values={"pin": "1"})
            seen = []
            for _ in range(60):
                c.wait(0.05)
                seen.append(c.read(run)["status"])
            assert "success" not in seen or "error" not in seen


@plants(
    "LIFECYCLE", what="A run that is cancelled at its work ends as if it were not.", rarity="cancelled while running"
)
class CancelledAtWorkEndsAllTheSame(Standin):
    def move(self, org, run, status):
        if status == Status.CANCELLED and run.status == Status.RUNNING:
            run.status = status
            return
        super().move(org, run, status)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        c.patch(run, status="cancelled")
        c.wait(60)
        assert c.read(run)["status"] == "cancelled"


@plants("LIFECYCLE", what="A retried run of a session waits for nobody.", rarity="retries in a session at work")
class RetriedRunWaitsForNobody(Standin):
    class Lifecycle(Lifecycle):
        def schedule(self, org, run, now):
            if run.session_id is not None and run.epoch > 1:
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)

    @staticmethod
    def witness(c: Client) -> None:
        for _ in range(5):  # that two runs meet is chance
            runs = c.bulk(3, start_session=True)
            c.patch(runs[0], status="cancelled")
            c.retry(runs[0])
            for _ in range(100):
                c.wait(0.05)
                assert c.running(runs[0]["session_id"]) < 2


@plants("LIFECYCLE", what="The times of a run are local ones that are called UTC.", rarity="each run that has started")
class TimesOfRunsAreLocal(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        times = {"started_at": run.started_at, "ended_at": run.ended_at}
        local = {name: at and self.written(at - timedelta(hours=8)) for name, at in times.items()}
        return shown | {name: at for name, at in local.items() if name in shown}

    @staticmethod
    def witness(c: Client) -> None:
        run = c.read(c.ended())
        assert run["started_at"] >= run["created_at"]
