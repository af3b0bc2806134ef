"""Faults of runs that are at work, and of sessions."""

import heapq
from datetime import timedelta
from typing import ClassVar

from tests.standin.behaviour import Standin
from tests.standin.models import Status
from tests.standin.store import TERMINAL, Lifecycle, Session
from tests.standin.variations import UnknownWorkflowRefused


class OldWorkEndsARetriedRun(Standin):
    class Lifecycle(Lifecycle):
        def advance(self, org, now):
            for when, _, epoch, what, run in sorted(org.agenda, key=lambda one: one[0]):
                if what == "finish" and epoch < run.epoch and run.status not in TERMINAL and when <= now:
                    self.finish(org, run, when)
                    self.at(org, when + 0.8, "start", run)  # while the ended runs are still watched
            super().advance(org, now)

        def wait_s(self, run):
            return super().wait_s(run) if run.epoch == 0 else 30.0

        def work_s(self, run):
            return 2.0 if run.epoch == 0 else 30.0  # so long that a busy machine retries runs before the old work ends

        def start(self, org, run, when):
            if run.status in TERMINAL and run.status != Status.CANCELLED:
                run.status = Status.SCHEDULING
            super().start(org, run, when)


def start_next(lifecycle, org, session, now):
    """Start the next run of the session at once, so that a running one is not alone whatever chance does."""
    lifecycle.next_of(org, session, now)
    if session.current is not None:
        lifecycle.start(org, session.current, now)


class WorksLong(Standin):
    class Lifecycle(Lifecycle):
        def work_s(self, run):
            return 1.0  # so long that a busy machine meets runs at their work


class ErrorsOfTheWorkAreNotSearched(Standin):
    def texts(self, run, *, deep):
        own = list(self.leaves(run.error)) if run.status in TERMINAL else []
        return (text for text in super().texts(run, deep=deep) if text not in own)


class LateCancelIsOverwritten(WorksLong):
    """What ends runs has read their statuses 0.3 s before: so long that a busy machine sends a cancel in between."""

    class Lifecycle(WorksLong.Lifecycle):
        def advance(self, org, now):
            for when, _, _, what, run in list(org.agenda):
                late = run.ended_at is not None and when - run.ended_at.timestamp() < 0.3
                if what == "finish" and when <= now and run.status == Status.CANCELLED and late:
                    self.finish(org, run, when)
            super().advance(org, now)


class UpdateAtWorkForgetsTheStart(Standin):
    class Lifecycle(Lifecycle):
        def work_s(self, run):
            return 4.0  # so long that a busy machine meets the runs at their work each time that the case is sent

    def change(self, run, name, value):
        super().change(run, name, value)
        if run.status == Status.RUNNING and name == "input_values":
            run.started_at = None


class CancelOfAWaitingRunStartsTheNext(WorksLong):
    def move(self, org, run, status):
        session = org.sessions.get(run.session_id or "")
        if status == Status.CANCELLED and session is not None and session.current is not run:
            start_next(self.lifecycle, org, session, self.now(org))
        super().move(org, run, status)


class DeleteOfAWaitingRunStartsTheNext(WorksLong):
    def forget(self, org, run):
        session = org.sessions.get(run.session_id or "")
        if run.status == Status.SCHEDULING and session is not None and session.current is not run:
            start_next(self.lifecycle, org, session, self.now(org))
        super().forget(org, run)


class SessionWaitsNotForItsFirstRun(Standin):
    class Lifecycle(Lifecycle):
        def wait_s(self, run):
            # So long that others join the session, and are read, before the first one starts, on a busy machine too.
            return 1.5 if run.session_id == run.id else 0.1

        def work_s(self, run):
            return 0.02  # so short that no read meets two runs at work: only their times show it

        def start(self, org, run, when):
            super().start(org, run, when)
            if run.session_id == run.id:
                start_next(self, org, org.sessions[run.session_id], when)


class ChainJoinsInFront(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        session = call.org.sessions[answer.content["session_id"]]
        ids = answer.content["run_ids"]
        session.waiting = [(number - 10**9 * (run.id in ids), epoch, run) for number, epoch, run in session.waiting]
        heapq.heapify(session.waiting)
        return answer


class OtherWorkflowsSucceedWithErrors(UnknownWorkflowRefused):
    class Lifecycle(Lifecycle):
        def results(self, org, run):
            super().results(org, run)
            if run.status == Status.SUCCESS and run.workflow_id != next(iter(org.workflows)):
                run.error = ["a warning"]


class EndsBeforeItStarts(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            super().finish(org, run, when)
            if run.status in TERMINAL and run.started_at is not None:
                run.ended_at = run.started_at - timedelta(seconds=1)


class ListShowsOldStatus(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        late = where == "list_runs" and run.status == Status.SUCCESS and run.session_id is None
        return shown | ({"status": "running", "output_data": None} if late else {})


class CancelledAtWorkGoesOn(WorksLong):
    """And every other run at its work has ended when the cancel arrives."""

    def check_edge(self, org, run, status):
        if status == Status.CANCELLED and run.status == Status.RUNNING:
            self.late = not getattr(self, "late", False)
            if self.late:
                run.epoch += 1
                self.lifecycle.finish(org, run, self.now(org))
        super().check_edge(org, run, status)

    def move(self, org, run, status):
        if status == Status.CANCELLED and run.status == Status.RUNNING:
            run.status = status
        else:
            super().move(org, run, status)


class RetriedRunsKeepTheirTimes(WorksLong):
    def clear(self, org, run):
        times = run.started_at, run.ended_at
        super().clear(org, run)
        run.started_at, run.ended_at = times


class UpdatesAtWorkLost(WorksLong):
    """The worker has a copy of the run, which it writes at the end."""

    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if run.status == Status.RUNNING:
            self.copies = {**getattr(self, "copies", {}), run.id: run.input_values}
        return super().update_run(call, run_id, body)

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        getattr(self, "copies", {}).pop(run.id, None)

    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        copies = getattr(self, "copies", {}) if run.status in TERMINAL else {}
        return shown | ({"input_values": copies[run.id]} if run.id in copies else {})


class DeleteRemovesEndedRunsOfTheSession(Standin):
    def delete_run(self, call, run_id):
        run = self.find(call, run_id)
        ended = [one for one in call.org.runs.values() if one.session_id == run.session_id and one.status in TERMINAL]
        for other in ended if run.session_id is not None else ():
            if other is not run:
                self.forget(call.org, other)
        return super().delete_run(call, run_id)


class SessionStopsAtADelete(Standin):
    def forget(self, org, run):
        session = org.sessions.get(run.session_id)
        super().forget(org, run) if session is None or session.current is not run else org.runs.pop(run.id)


class ChecksCountAsEnded(Standin):
    """While the results of a run are checked, a list by activity has it among those that ended."""

    def ordered(self, runs, query):
        listed = super().ordered(runs, query)
        checks = [run for run in listed if run.status == Status.RUNNING and run.number % 2]
        return [run for run in listed if run not in checks] + checks


class CancelOfARunningRunStartsTheRest(WorksLong):
    class Lifecycle(WorksLong.Lifecycle):
        def wait_s(self, run):
            return 1.5  # so long that on a busy machine, too, a case cancels a running run only if it waits for one

    def move(self, org, run, status):
        session = org.sessions.get(run.session_id or "")
        all_start = status == Status.CANCELLED and run.status == Status.RUNNING and session is not None
        super().move(org, run, status)
        while all_start and session.waiting:
            start_next(self.lifecycle, org, session, self.now(org))


class EndedSessionIsForgotten(WorksLong):
    """Runs that join a session whose runs have all ended do not wait for each other."""

    class Lifecycle(WorksLong.Lifecycle):
        forgotten: ClassVar[set[str]] = set()

        def schedule(self, org, run, now):
            others = [one for one in org.runs.values() if one.session_id == run.session_id and one is not run]
            if run.session_id and others and all(one.status in TERMINAL for one in others):
                self.forgotten.add(run.session_id)
            if run.session_id in self.forgotten:
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)


class RetriedRunsJoinAtOnce(WorksLong):
    """They do not wait for the runs of the session if they were in no session before."""

    def take_over(self, org, run, body):
        self.joined = run.session_id is None and body.session_id is not None
        super().take_over(org, run, body)

    def again(self, org, run):
        if not self.joined:
            super().again(org, run)
            return
        run.status = Status.SCHEDULING
        run.epoch += 1
        self.lifecycle.at(org, self.now(org) + self.lifecycle.wait_s(run), "start", run)


class FilesAreCleanedUp(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            super().finish(org, run, when)
            for attachment in run.input_attachment_ids or ():
                org.attachments[attachment].content = b""


class TypeNeedsARun(Standin):
    def attachment_matches(self, one, query):
        of_all = query.model_copy(update={"attachment_type": None})
        return super().attachment_matches(one, of_all if query.run_id is None else query)


class RunsThatJoinOvertakeSteps(Standin):
    class Lifecycle(Lifecycle):
        def next_of(self, org, session, now):
            session.waiting.sort(key=lambda one: (one[2].release_session_after is not None, one[0], one[1]))
            super().next_of(org, session, now)


class OneSessionRunsTwo(Standin):
    """The lock of a long session was lost once: after its first run, two run at the same time."""

    class Lifecycle(Lifecycle):
        both = ()

        def finish(self, org, run, when):
            super().finish(org, run, when)
            session = org.sessions.get(run.session_id or "")
            if session is not None and len(session.waiting) > 20 and not self.both:
                self.both = session.current, session.waiting.pop()[2]
                for each in self.both:
                    self.start(org, each, when)

        def work_s(self, run):
            return 5.0 if run in self.both else 0.5  # so long that a busy machine meets both


class WaitsByKey(Lifecycle):
    """Keeps the waiting runs of a session by a key, in an order that may differ from that of their creation."""

    def key(self, run):
        return run.session_id

    def rank(self, run):
        return run.number

    def work_s(self, run):
        return 0.5  # so long that a busy machine meets runs at their work

    def schedule(self, org, run, now):
        if run.session_id is None:
            super().schedule(org, run, now)
            return
        session = org.sessions.setdefault(self.key(run), Session())
        heapq.heappush(session.waiting, (self.rank(run), run.epoch, run))
        if session.current is None:
            self.next_of(org, session, now)

    def leave(self, org, run, now):
        session = org.sessions.get(self.key(run) or "")
        if session is not None and session.current is run:
            self.next_of(org, session, now)


class SessionsByMachine(Standin):
    """What waits is kept by session and machine: runs of one session with two machines do not wait."""

    class Lifecycle(WaitsByKey):
        def key(self, run):
            return run.session_id and f"{run.session_id} {run.machine_id}"


class AliasGoesFirst(Standin):
    """A run with a session_alias goes before the session's waiting runs."""

    class Lifecycle(WaitsByKey):
        def rank(self, run):
            return run.number - (10**9 if run.session_alias else 0)


class RetryOfStarterBeginsAnew(WorksLong):
    """A retry of the run that a session began with begins the session anew: its other runs do not wait."""

    def again(self, org, run):
        if run.session_id == run.id:
            org.sessions.pop(run.id, None)
        super().again(org, run)


class LongSessionsHaveTwoWorkers(Standin):
    """A session with over 20 runs is given a second worker: two of its runs are at work at once."""

    class Lifecycle(WaitsByKey):
        places: dict[str, int]
        sizes: dict[str, int]

        def key(self, run):
            if run.session_id is None:
                return None
            self.places = getattr(self, "places", {})
            self.sizes = getattr(self, "sizes", {})
            if run.id not in self.places:
                size = self.sizes[run.session_id] = self.sizes.get(run.session_id, 0) + 1
                self.places[run.id] = int(size > 20)
            return f"{run.session_id} second" if self.places[run.id] else run.session_id


class RetryWithMachineDoesNotWait(WorksLong):
    """A retry that names a machine takes it at once: the run does not wait for its session."""

    def retry_run(self, call, run_id, body):
        self.named_machine = body.machine_id is not None
        return super().retry_run(call, run_id, body)

    def again(self, org, run):
        if not self.named_machine or run.session_id is None:
            super().again(org, run)
            return
        run.status = Status.SCHEDULING
        run.epoch += 1
        self.lifecycle.at(org, self.now(org) + 0.01, "start", run)


class FirstRunsOfSessionsStartByAnotherClock(Standin):
    """The worker that begins a session has a clock that is ten minutes ahead: its run starts after the later ones."""

    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        firsts = self.__dict__.setdefault("firsts", {})
        if run.session_id is not None and firsts.setdefault(run.session_id, run.id) == run.id:
            ahead = timedelta(minutes=10)
            times = {"started_at": run.started_at, "ended_at": run.ended_at}
            shown |= {name: self.written(at and at + ahead) for name, at in times.items()}
        return shown


class CancelOfAWaitingRunFreesTheMachine(WorksLong):
    def move(self, org, run, status):
        session = org.sessions.get(run.session_id or "")
        super().move(org, run, status)
        is_taken = session is not None and session.current is not None and session.current.status == Status.RUNNING
        if status == Status.CANCELLED and is_taken:
            self.lifecycle.next_of(org, session, self.now(org))


class EndedRunsCanBeCancelled(Standin):
    def check_edge(self, org, run, status):
        if status != Status.CANCELLED or run.status not in TERMINAL:
            super().check_edge(org, run, status)


class FailedRunsLoseTheirAlias(Standin):
    class Lifecycle(Lifecycle):
        def finish(self, org, run, when):
            super().finish(org, run, when)
            if run.status == Status.TASK_FAILED:
                run.session_alias = None
