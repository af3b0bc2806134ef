"""Defects in chains."""

import uuid

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import W2, Client, S, W
from tests.standin.defects.defect import plants
from tests.standin.store import Lifecycle

# -- CHAIN-RULES


@plants("CHAIN-RULES", what="From ten steps on, run_ids are in reverse.", rarity="long chains")
class LongChainReversed(Standin):
    def chain_ids(self, runs):
        ids = super().chain_ids(runs)
        return ids[::-1] if len(ids) >= 10 else ids

    @staticmethod
    def witness(c: Client) -> None:
        made = c.chain([{"inputs": {"n": number}} for number in range(10)])
        assert [c.read(one)["input_values"]["n"] for one in made["run_ids"]] == list(range(10))


@plants("CHAIN-RULES", what="The last of three or more steps is in no session.", rarity="the last step")
class LastStepHasNoSession(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        outside = of > 2 and index == of - 1
        return super().step_made(call, body, index, of, None if outside else session_id, created_at)

    @staticmethod
    def witness(c: Client) -> None:
        made = c.chain(3)
        assert {c.read(one)["session_id"] for one in made["run_ids"]} == {made["session_id"]}


@plants("CHAIN-RULES", what="Equal steps that follow one another make one run.", rarity="equal steps")
class EqualStepsMakeOneRun(Standin):
    def create_run_chain(self, call, body):
        steps = [step for place, step in enumerate(body.steps) if place == 0 or step != body.steps[place - 1]]
        return super().create_run_chain(call, body.model_copy(update={"steps": steps}))

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.chain(3)["run_ids"]) == 3


@plants("CHAIN-RULES", what="A chain that joins a session gets another one.", rarity="one field")
class ChainIgnoresSession(Standin):
    def chain_session(self, body):
        return str(uuid.uuid4())

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        made = c.chain(8)
        for _ in range(60):
            c.wait(0.05)
            assert c.running(made["session_id"]) < 2


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
    def witness(c: Client) -> None:
        made = c.chain(5)
        assert c.read(made["run_ids"][0])["session_id"] == made["session_id"]


@plants("CHAIN-RULES", what="Steps of one session_alias are one run.", rarity="an alias given twice")
class StepsOfOneAliasAreOne(Standin):
    def create_run_chain(self, call, body):
        kept = list({step.session_alias or index: step for index, step in enumerate(body.steps)}.values())
        return super().create_run_chain(call, body.model_copy(update={"steps": kept}))

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.chain([{"session_alias": "a"}] * 2)["run_ids"]) == 2


@plants("CHAIN-RULES", "LIFECYCLE", what="A chain does not wait for its session.", rarity="a session that has runs")
class ChainDoesNotWaitForItsSession(Standin):
    class Lifecycle(Lifecycle):
        def schedule(self, org, run, now):
            if run.workflow_id in getattr(org, "joined", ()):
                self.at(org, now + self.wait_s(run), "start", run)
            else:
                super().schedule(org, run, now)

    def create_run_chain(self, call, body):
        busy = any(run.session_id == str(body.session_id) for run in call.org.runs.values())
        call.org.joined = {str(step.workflow_id) for step in body.steps} if busy else set()
        try:
            return super().create_run_chain(call, body)
        finally:
            call.org.joined = set()

    @staticmethod
    def witness(c: Client) -> None:
        session = c.bulk(2, start_session=True)[0]["session_id"]
        c.chain(3, session_id=session)
        for _ in range(100):
            c.wait(0.05)
            assert c.running(session) < 2


@plants("CHAIN-RULES", what="A chain of one tells its run_ids as a text.", rarity="one step")
class ChainOfOneTellsText(Standin):
    def chain_ids(self, runs):
        ids = super().chain_ids(runs)
        return ids[0] if len(ids) == 1 else ids

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.chain(1)["run_ids"]) == 1
