"""What becomes of a case that fails: told alone where it can be, made small, sent again, and told once."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.core.findings import Finding, Reason, Remedy, Spent, fingerprint_of
from contracts.core.target import Target
from contracts.engine import confirm
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.context import CaseContext
from contracts.engine.found_violations import MAX_CAUSES, MAX_UNSTABLE_IN_ALL
from contracts.engine.parallel import CaseGroup
from contracts.engine.request_case import RequestCase, run_alone
from contracts.engine.results import CallResult, Inconclusive, OutOfTime, RuleViolated
from contracts.engine.runner import Runner
from contracts.engine.same_fault import grouped
from contracts.engine.scenario import Scenario
from contracts.guard import NoAnswer, NotAllowed, UnreportedRuns
from contracts.guard.ownership import Ownership
from contracts.guard.rate_limiter import Clock
from contracts.guard.reachability import Reachability
from contracts.oracle.request import read_request
from contracts.oracle.violation import Violation
from contracts.rules import idempotency
from contracts.rules.lifecycle import LifecycleCase, run_lifecycle
from contracts.rules.refused_requests import WrongParameter, run_wrong_parameter

JSON = (("Content-Type", "application/json"),)
W = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
OTHER_ID = "4c90c3cc-0d44-4b50-8888-8dd25736052a"
PAGE = {"items": [], "total": 0, "skip": 0, "limit": 100}
RUN = {"id": W, "workflow_id": W, "machine_id": None, "status": "scheduling", "created_at": "2026-01-02T03:04:05Z"}
Case = dict[str, Any]
Reply = Callable[[Request], tuple[int, Any]]


class Server:
    """In the place of a guard: answers by a function, and records as a guard does."""

    why_no_request_left = ""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.exchanges: list[Exchange] = []
        self.spent = Spent(0, 0, 0, 0.0)
        self.unreported: list[UnreportedRuns] = []
        self.reachability = Reachability(Clock())
        self.ownership = Ownership()

    def send(self, request: Request) -> Exchange:
        status, body = self.reply(request)
        exchange = Exchange(request, Answer(status, JSON, json.dumps(body).encode()))
        self.exchanges.append(exchange)
        return exchange

    def allow_unknown(self, run_id: str) -> None:
        pass

    def take_unreported_runs(self) -> list[UnreportedRuns]:
        unreported, self.unreported = self.unreported, []
        return unreported

    def take_checked_refusals(self) -> int:
        return 0


def world_of(reply: Reply) -> CheckContext:
    some = Ids(accepts_any_id=True)
    server: Any = Server(reply)
    target = Target("http://127.0.0.1:9", "token")
    return CheckContext(target, server, math.inf, workflows=some, machines=some, pools=some, sessions=some)


def scenario(run: Callable[[CaseContext, Case], None], **more: Any) -> Scenario:
    return Scenario("a scenario", ("NO-5XX",), run, lambda check: (), is_parallel=False, **more)


def after_running(reply: Reply, run: Callable[[CaseContext, Case], None], *cases: Case, **more: Any) -> Runner:
    runner = Runner(world_of(reply))
    run_cases(runner, run, *cases, **more)
    return runner


def run_cases(runner: Runner, run: Callable[[CaseContext, Case], None], *cases: Case, **more: Any) -> None:
    runner.run([CaseGroup(scenario(run, **more), iter(cases))])


def create(context: CaseContext, case: Case) -> None:
    context.call("bulk_create_runs", body=context.fill(case["body"]))


def list_runs(context: CaseContext, case: Case) -> None:
    context.call("list_runs")


def count_in(request: Request) -> int:
    body = request.json() if request.body else {}
    count = body.get("count") if isinstance(body, dict) else None
    return count if isinstance(count, int) else 0


def breaks_from(least: int) -> Reply:
    return lambda request: (500, {"detail": "x"}) if count_in(request) >= least else (404, {"detail": "x"})


def test_a_failing_request_is_reported_alone_and_as_small_as_possible() -> None:
    def run(context: CaseContext, case: Case) -> None:
        context.call("list_runs")
        create(context, case)

    runner = after_running(breaks_from(7), run, {"body": {"count": 900, "input_values": {"a": ["x"] * 9}}})

    (finding,) = runner.findings
    assert (finding.rule, finding.stable) == ("NO-5XX", True)
    (exchange,) = finding.exchanges
    assert exchange.request.json() == {"count": 7}


def test_a_violation_that_depends_on_earlier_answers_and_does_not_repeat_is_unstable() -> None:
    found: list[Finding] = []
    runner = Runner(world_of(lambda request: (200, PAGE)), on_finding=found.append)
    holds = iter([False])

    def run(context: CaseContext, case: Case) -> None:
        context.require(next(holds, True), "LIST-PAGE", "a cause", "one", context.call("list_runs"), got="another")

    run_cases(runner, run, {"a": 1})

    assert not runner.findings
    assert [(finding.stable, finding.fails) for finding in runner.unstable] == [(False, False)]
    assert found == runner.unstable


def test_a_violation_that_one_answer_proves_is_an_intermittent_finding_if_it_does_not_repeat() -> None:
    answers = iter([404, 500])
    runner = Runner(world_of(lambda request: (next(answers, 404), {"detail": "x"})))

    run_cases(runner, create, *({"body": {"count": count}} for count in range(1, 6)))

    (finding,) = runner.findings
    assert (finding.rule, finding.stable, finding.intermittent, finding.fails) == ("NO-5XX", False, True, True)
    assert finding.not_sent_again == ""
    assert runner.check.seen_violations["NO-5XX", finding.cause] == 1
    assert not runner.unstable


def test_a_finding_that_does_not_show_each_time_says_so() -> None:
    answers = iter([500, 500, 500, 404, 500])
    sent: list[Request] = []

    def reply(request: Request) -> tuple[int, Any]:
        sent.append(request)
        return next(answers, 404) if request == sent[0] else 404, {"detail": "x"}

    runner = after_running(reply, create, {"body": {"count": 1}})

    (finding,) = runner.findings
    assert (finding.stable, finding.guess) == (True, "not each time: in 1 of 6 further attempts")
    assert finding.first_line.endswith(f"({finding.guess})")


def test_a_violation_that_shows_by_chance_is_shrunk_with_several_attempts_at_each_smaller_case() -> None:
    sent = itertools.count()

    def reply(request: Request) -> tuple[int, Any]:
        return 500 if count_in(request) >= 2 and next(sent) % 3 == 0 else 404, {"detail": "x"}

    values = {f"v{index}": index for index in range(8)}
    runner = after_running(reply, create, {"body": {"workflow_id": W, "count": 9, "input_values": values}})

    (finding,) = runner.findings
    assert finding.guess == "not each time: in 2 of 6 further attempts"
    assert json.loads(finding.exchanges[-1].request.body or b"") == {"count": 2}


def test_a_case_that_sends_a_request_often_does_not_hide_that_it_fails_by_chance() -> None:
    sent = itertools.count()

    def delete(context: CaseContext, case: Case) -> None:
        for number in range(4):
            context.call("delete_run", str(uuid.UUID(int=number)))

    runner = after_running(lambda request: (500 if next(sent) % 4 == 3 else 404, {"detail": "x"}), delete, {"n": 1})

    (finding,) = runner.findings
    assert finding.guess.startswith("not each time: in ")
    assert len(finding.exchanges) == 1


def test_a_scenario_ignores_what_it_has_shown_twice_by_chance_and_another_still_looks_for_it() -> None:
    page = (200, PAGE)
    runner = Runner(world_of(lambda request: page))
    tried: list[int] = []
    fails = {1, 2, 3, 7}

    def by_chance(context: CaseContext, case: Case) -> None:
        tried.append(case["n"])
        holds = tried.count(case["n"]) > 1 or case["n"] not in fails
        context.require(holds, "LIST-PAGE", "a cause", "one", context.call("list_runs"), got="another")

    def each_time(context: CaseContext, case: Case) -> None:
        context.require(False, "LIST-PAGE", "a cause", "one", context.call("list_runs"), got="another")

    run_cases(runner, by_chance, *({"n": number} for number in range(4)))

    assert (len(runner.findings), len(runner.unstable)) == (0, 1)
    assert [tried.count(number) > 1 for number in range(4)] == [False, True, True, False]  # the third is ignored

    runner.run([CaseGroup(dataclasses.replace(scenario(each_time), name="another"), iter([{"n": 0}]))])

    assert [(finding.cause, finding.stable) for finding in runner.findings] == [("a cause", True)]
    assert not runner.unstable


def test_a_cause_that_many_scenarios_show_by_chance_is_known() -> None:
    runner = Runner(world_of(lambda request: (200, PAGE)))
    tried: Counter[str] = Counter()

    def by_chance(context: CaseContext, case: Case) -> None:
        tried[case["name"]] += 1
        holds = tried[case["name"]] > 1
        context.require(holds, "LIST-PAGE", "a cause", "one", context.call("list_runs"), got="another")

    for name in map(str, range(MAX_UNSTABLE_IN_ALL + 1)):
        runner.run([CaseGroup(dataclasses.replace(scenario(by_chance), name=name), iter([{"name": name}]))])

    assert [count > 1 for count in tried.values()] == [True] * MAX_UNSTABLE_IN_ALL + [False]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_answer_that_a_gateway_may_have_given_proves_nothing(status: int) -> None:
    answers = iter([status])
    runner = Runner(world_of(lambda request: (next(answers, 404), {"detail": "x"})))

    run_cases(runner, create, {"body": {"count": 1}})

    assert not runner.findings
    assert [finding.intermittent for finding in runner.unstable] == [False]


@pytest.mark.parametrize("by_others", [False, True])
def test_a_violation_that_was_seen_under_load_is_repeated_under_load_unless_it_may_be_by_others(
    by_others: bool,
) -> None:
    def run(context: CaseContext, case: Case) -> None:
        is_alone, result = threading.current_thread() is threading.main_thread(), context.call("list_runs")
        wrong = "LIST-PAGE", "two at once", "one"
        context.require(is_alone, *wrong, result, got="another", may_be_by_others=by_others)

    runner = Runner(world_of(lambda request: (200, PAGE)))
    both = dataclasses.replace(scenario(run), is_parallel=True)

    runner.run([CaseGroup(both, iter([{"a": 1}, {"a": 2}]))])

    found = [("two at once", False, True)]
    assert [(finding.cause, finding.stable, finding.fails) for finding in runner.findings] == found * (not by_others)
    assert bool(runner.unstable) == by_others


@pytest.mark.parametrize(("shown", "is_stable"), [(2, False), (8, False), (100, True)])
def test_what_others_may_have_done_is_a_finding_if_it_shows_each_time(shown: int, is_stable: bool) -> None:
    times = iter(range(shown))

    def run(context: CaseContext, case: Case) -> None:
        wrong = Violation("AUTH-TENANT", "a cause", "one", "another", may_be_by_others=True)
        result = context.call("list_runs")
        context.judge("AUTH-TENANT", [wrong] if next(times, None) is not None else [], result)

    runner = Runner(world_of(lambda request: (200, PAGE)))
    both = dataclasses.replace(scenario(run), is_parallel=True)

    runner.run([CaseGroup(both, iter([{"a": 1}, {"a": 2}]))])

    assert [finding.stable for finding in runner.findings] == [True] * is_stable
    assert [finding.stable for finding in runner.unstable] == [False] * (not is_stable)


def test_a_finding_that_repeats_alone_replaces_one_that_did_not() -> None:
    answers = iter([500, 404, 404])
    runner = Runner(world_of(lambda request: (next(answers, 500), {"detail": "x"})))

    run_cases(runner, create, {"body": {"count": 1}}, {"body": {"count": 2}})

    assert [(finding.rule, finding.stable) for finding in runner.findings] == [("NO-5XX", True)]


def test_a_case_is_reported_unshrunk_if_the_smallest_one_fails_only_by_chance() -> None:
    lucky = iter([500])

    def reply(request: Request) -> tuple[int, Any]:
        return (500 if count_in(request) >= 7 else next(lucky, 404)), {"detail": "x"}

    runner = after_running(reply, create, {"body": {"count": 9}})

    (finding,) = runner.findings
    assert finding.exchanges[0].request.json()["count"] >= 7
    assert not runner.unstable


def test_one_cause_is_reported_once() -> None:
    runner = after_running(breaks_from(1), create, {"body": {"count": 1}}, {"body": {"count": 5}})

    assert len(runner.findings) == 1


def test_the_number_of_findings_under_one_rule_is_limited() -> None:
    def run(context: CaseContext, case: Case) -> None:
        context.require(False, "READ-BACK", f"cause {case['cause']}", "this", context.call("list_runs"), got="that")

    runner = after_running(lambda request: (200, PAGE), run, *({"cause": number} for number in range(9)))

    assert len(runner.findings) == MAX_CAUSES


def test_findings_that_a_baseline_accepts_leave_room_for_new_ones() -> None:
    def run(context: CaseContext, case: Case) -> None:
        context.require(False, "READ-BACK", f"cause {case['cause']}", "this", context.call("list_runs"), got="that")

    runner = Runner(world_of(lambda request: (200, PAGE)))
    accepted = frozenset(fingerprint_of("READ-BACK", f"cause {number}") for number in range(4))
    runner.check.target = dataclasses.replace(runner.check.target, accepted=accepted)
    run_cases(runner, run, *({"cause": number} for number in range(9)))

    assert [finding.cause for finding in runner.findings] == [f"cause {number}" for number in range(4 + MAX_CAUSES)]


def test_a_violation_that_another_one_of_the_same_case_hides_is_found_too() -> None:
    def run(context: CaseContext, case: Case) -> None:
        result = context.call("list_runs")
        for cause in ("first", "second"):
            context.require(False, "READ-BACK", cause, "this", result, got="that")

    runner = after_running(lambda request: (200, PAGE), run, {"a": 1})

    assert [finding.cause for finding in runner.findings] == ["first", "second"]


class Runs:
    """Creates and reads runs; a read of one with `odd` in its inputs fails, and so do all lists where `spreads`."""

    def __init__(self, *, spreads: bool = False) -> None:
        self.made: dict[str, Any] = {}
        self.spreads = spreads

    def __call__(self, request: Request) -> tuple[int, Any]:
        if request.method == "POST":
            run_id = str(uuid.uuid4())
            self.made[run_id] = request.json()
            return 201, RUN | {"id": run_id}
        if self.spreads and request.path.startswith("/v1/runs?"):
            return (500 if any(map(self.is_odd, self.made)) else 200), PAGE
        run_id = request.path.rpartition("/")[2]
        return (500 if self.is_odd(run_id) else 200), RUN | {"id": run_id}

    def is_odd(self, run_id: str) -> bool:
        return "odd" in json.dumps(self.made.get(run_id))


def test_a_read_that_fails_is_reported_with_the_shrunk_create_of_its_run() -> None:
    def run(context: CaseContext, case: Case) -> None:
        made = context.call("create_run", body=case["body"])
        context.call("get_run", made.body["id"])

    body = {"workflow_id": W, "input_values": {"a": "plain", "b": {"c": "odd"}}, "session_alias": "x"}
    runner = after_running(Runs(), run, {"body": body})

    (finding,) = runner.findings
    made, read = finding.exchanges
    assert made.answer.json()["id"] in read.request.path
    assert made.request.json() == {"input_values": {"b": {"c": "odd"}}} or "odd" in made.request.body.decode()  # type: ignore[union-attr]
    assert len(made.request.body or b"") < len(json.dumps(body))


def test_a_list_that_fails_because_of_a_write_is_reported_with_that_write() -> None:
    def run(context: CaseContext, case: Case) -> None:
        context.call("create_run", body=case["body"])
        context.call("list_runs", query=[("limit", "20")])

    cases: Iterable[Case] = (
        {"body": {"workflow_id": W, "input_values": {"a": value}}} for value in ("fine", "odd", "x")
    )
    runner = after_running(Runs(spreads=True), run, *cases)

    (finding,) = runner.findings
    made, listed = finding.exchanges
    assert made.request.json()["input_values"] == {"a": "odd"}
    assert listed.request.path == "/v1/runs?limit=20"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Inconclusive("no id"), Reason("no id")),
        (Inconclusive("429", Remedy.LOWER_RATE), Reason("429", Remedy.LOWER_RATE)),
        (NotAllowed("not this", Remedy.ALLOW_FIELDS), Reason("not this", Remedy.ALLOW_FIELDS)),
        (NoAnswer("cut"), Reason("no answer: cut")),
        (KeyError("id"), Reason("internal error after this answer: KeyError('id')")),
        (StopIteration(), Reason("internal error after this answer: StopIteration()")),
    ],
)
def test_a_case_that_cannot_be_judged_says_why(error: Exception, why: Reason) -> None:
    def run(context: CaseContext, case: Case) -> None:
        raise error

    runner = after_running(lambda request: (200, PAGE), run, {"a": 1})

    assert runner.skipped["a scenario"] == why
    assert not runner.findings
    assert bool(runner.check.internal_errors) == why.text.startswith("internal error")


@pytest.mark.parametrize(
    ("key", "is_judged"), [(None, False), ("key-1", True)], ids=["without a key", "with an idempotency key"]
)
def test_what_follows_a_write_whose_first_answer_was_lost_is_not_judged(key: str | None, is_judged: bool) -> None:
    deletes: list[Request] = []

    def reply(request: Request) -> tuple[int, Any]:
        if request.method == "DELETE":
            deletes.append(request)
            if len(deletes) == 1:
                raise NoAnswer("cut off")
            return 404, {"detail": "Run not found"}
        return 200, PAGE

    reached: list[int] = []

    def run(context: CaseContext, case: Case) -> None:
        reached.append(context.call("delete_run", W, key=key).status)

    runner = after_running(reply, run, {"a": 1})

    assert len(deletes) == 2
    assert reached == ([404] if is_judged else [])
    assert ("a scenario" in runner.skipped) != is_judged


def test_an_error_is_ours_unless_an_answer_of_its_case_is_wrong() -> None:
    def run(context: CaseContext, case: Case) -> None:
        wanted = context.call("get_run", W).body if case["reads"] else {}
        assert wanted["id"]

    without_id = {name: value for name, value in RUN.items() if name != "id"}

    wrong = after_running(lambda request: (200, without_id), run, {"reads": True})
    assert [finding.rule for finding in wrong.findings] == ["READ-BACK"]
    assert not wrong.check.internal_errors

    ours = after_running(lambda request: (200, without_id), run, {"reads": True}, {"reads": False})
    assert ours.check.internal_errors


def test_an_answer_under_a_key_that_was_used_on_another_path_may_be_about_another_run() -> None:
    """Whether such a repeat gets the first answer is not determined."""

    def run(context: CaseContext, case: Case) -> None:
        context.call("get_run", W, key=case["first"])
        context.call("get_run", OTHER_ID, key="key-2")

    same, other = (after_running(lambda request: (200, RUN), run, {"first": key}) for key in ("key-2", "key-1"))

    assert not same.findings
    assert [finding.cause for finding in other.findings] == ["get_run answers with another resource"]


def test_an_error_that_a_case_cannot_bring_about_is_not_swallowed() -> None:
    def run(context: CaseContext, case: Case) -> None:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        after_running(lambda request: (200, PAGE), run, {"a": 1})


def test_a_scenario_stops_when_its_time_is_over() -> None:
    runner = Runner(world_of(lambda request: (200, PAGE)))

    with pytest.raises(OutOfTime):
        runner.run([CaseGroup(scenario(lambda context, case: None), iter([{"n": 1}]))], until=-math.inf)

    assert not runner.tried


def test_what_a_case_makes_up_follows_from_seed_salt_and_shard_and_is_new_each_time_it_is_tried() -> None:
    def made_up(seed: int, salt: str, **more: Any) -> list[Any]:
        values: list[Any] = []
        names = ("workflow", "uuid", "key", "marker", "number", "short", "secret:1", "secret:2", "secret-int")
        run = scenario(lambda context, case: values.extend(context.placeholder(name) for name in names))
        target = Target("http://127.0.0.1:9", "token", seed=seed, salt=salt, **more)
        runner = Runner(dataclasses.replace(world_of(lambda request: (200, PAGE)), target=target))
        runner.run([CaseGroup(run, iter([{"a": 1}, {"a": 2}, {"a": 1}]))])
        return values

    first = made_up(1, "salt")

    assert first == made_up(1, "salt")
    assert len(set(first)) == len(first) == 27
    assert not set(first) & set(made_up(1, "pepper"))
    assert not set(first) & set(made_up(2, "salt"))
    for shard in ((1, 2), (2, 2)):
        assert made_up(1, "salt", shard=shard) == made_up(1, "salt", shard=shard)
        assert not set(first) & set(made_up(1, "salt", shard=shard))
    assert not set(made_up(1, "salt", shard=(1, 2))) & set(made_up(1, "salt", shard=(2, 2)))


def test_nothing_is_sent_when_the_check_is_over() -> None:
    check = world_of(lambda request: (200, PAGE))
    check.deadline = 0.0

    with pytest.raises(OutOfTime):
        CaseContext(check).call("list_runs")


def generated(check: CheckContext) -> st.SearchStrategy[Case]:
    return st.fixed_dictionaries({"body": st.fixed_dictionaries({"count": st.integers(0, 1000)})})


def test_generated_cases_find_what_fails_and_are_kept_for_the_next_time() -> None:
    database = InMemoryExampleDatabase()
    one = scenario(create, generated=generated, examples=200)
    runner = Runner(world_of(breaks_from(900)), database=database)

    runner.run_generated(one, examples=200)

    assert [finding.exchanges[0].request.json() for finding in runner.findings] == [{"count": 900}]
    again = Runner(world_of(breaks_from(900)), database=database)
    again.run_saved_examples(one)
    assert len(again.findings) == 1


def test_a_database_that_knows_nothing_shows_nothing() -> None:
    one = scenario(create, generated=generated, examples=5)
    runner = Runner(world_of(breaks_from(0)), database=InMemoryExampleDatabase())

    runner.run_saved_examples(one)

    assert not runner.findings
    Runner(world_of(breaks_from(0))).run_saved_examples(one)


def test_a_seed_gives_the_same_generated_cases() -> None:
    def tried() -> list[Case]:
        cases: list[Case] = []
        one = scenario(lambda context, case: cases.append(case), generated=generated, examples=20)
        Runner(world_of(lambda request: (200, PAGE))).run_generated(one, examples=20)
        return cases

    first = tried()
    assert len(first) == 20
    assert first == tried()


def test_no_more_is_generated_when_the_time_is_over() -> None:
    cases: list[Case] = []

    def run(context: CaseContext, case: Case) -> None:
        context.call("list_runs")
        cases.append(case)

    one = scenario(run, generated=generated, examples=20)
    check = world_of(lambda request: (200, PAGE))
    check.deadline = 0.0

    with pytest.raises(OutOfTime):
        Runner(check).run_generated(one, examples=20)

    assert not cases


@pytest.mark.parametrize("body", [None, b'{"a": 1}', b"\xff{", b""])
def test_a_request_is_the_same_as_a_case(body: bytes | None) -> None:
    seen: list[Request] = []

    def reply(request: Request) -> tuple[int, Any]:
        seen.append(request)
        return 404, {"detail": "x"}

    request = Request("POST", "/v1/nothing", (("Authorization", TOKEN),), body)
    run_alone(CaseContext(world_of(reply)), RequestCase.from_request(request))

    assert seen == [request]


@pytest.mark.parametrize("headers", [(("Authorization",),), (("", "x"),)])
def test_a_case_that_was_cut_down_to_no_request_is_not_sent(headers: Any) -> None:
    def reply(request: Request) -> tuple[int, Any]:
        raise AssertionError(request)

    run_alone(CaseContext(world_of(reply)), RequestCase("POST", "/v1/runs", None, headers, json={}))


@pytest.mark.parametrize(("authorization", "is_judged"), [(TOKEN, True), (None, False), ("Bearer nobody", False)])
def test_a_valid_request_may_be_refused_to_those_who_give_no_token(authorization: str | None, is_judged: bool) -> None:
    headers = (*((("Authorization", authorization),) if authorization else ()), *JSON)
    request = Request("POST", "/v1/runs", headers, json.dumps({"workflow_id": W}).encode())
    check = world_of(lambda sent: (422, {"detail": [{"loc": ["body"], "msg": "m", "type": "t"}]}))
    runner = Runner(check)

    def run(context: CaseContext, case: Case) -> None:
        result: CallResult = context.send(request)
        context.judge_write(read_request("create_run", request), result)

    run_cases(runner, run, {"a": 1})

    assert [finding.rule for finding in runner.findings] == (["REQ-ACCEPT"] if is_judged else [])


def test_the_name_of_a_wrong_parameter_is_not_shrunk() -> None:
    problem = {"loc": ["query", "skip"], "msg": "x", "type": "x"}
    case: Any = WrongParameter("list_pools", "query", "limit", "a", after_valid=True)

    runner = after_running(lambda request: (422, {"detail": [problem]}), run_wrong_parameter, case)

    (finding,) = runner.findings
    assert finding.expected == "an error with loc query.limit"


@pytest.mark.parametrize("placeholder", ["«secret»", "«secret-int»", "«secret-real»"])
def test_a_leak_in_a_list_of_all_runs_is_reported_with_the_request_that_sent_the_secret(placeholder: str) -> None:
    """The case that sees it first need not be the one that created the run."""
    stored: list[Any] = []

    def reply(request: Request) -> tuple[int, Any]:
        if request.method == "POST":
            stored.append(request.json().get("sensitive_input_values"))
            return 201, {"created_runs": []}
        return 200, PAGE | {"items": [RUN | {"run_message_history": stored}]}

    runner = Runner(world_of(reply))
    body = {"count": 1, "sensitive_input_values": {"a": placeholder}}
    run_cases(runner, create, {"body": body})
    run_cases(runner, list_runs, {})

    (finding,) = runner.findings
    assert finding.rule == "SECRET-LEAK"
    sent, listed = finding.exchanges
    assert "sensitive_input_values" in sent.request.json()
    assert listed.request.method == "GET"


def test_a_run_that_a_list_shows_wrong_is_reported_with_its_create() -> None:
    """The case that sees it first need not be the one that created the run."""

    def reply(request: Request) -> tuple[int, Any]:
        run = RUN | {"started_at": 1_700_000_000 if request.method == "GET" else None}
        return (200, PAGE | {"items": [run]}) if request.method == "GET" else (201, {"created_runs": [run]})

    runner = Runner(world_of(reply))
    run_cases(runner, create, {"body": {"workflow_id": W, "count": 1}})
    run_cases(runner, list_runs, {})

    (finding,) = runner.findings
    assert (finding.rule, finding.got) == ("READ-BACK", "items.0.started_at 1700000000")
    assert [exchange.request.method for exchange in finding.exchanges] == ["POST", "GET"]


def test_a_write_that_leaves_its_run_changed_is_made_small_with_the_create_of_the_run() -> None:
    """Sent alone again, any update would show what the first one has stored."""
    stored: dict[str, Any] = {}

    def reply(request: Request) -> tuple[int, Any]:
        if request.method == "POST":
            return 201, {"created_runs": [RUN | {"id": str(uuid.uuid4())}]}
        run_id = request.path.rpartition("/")[2]
        stored[run_id] = request.json().get("error", stored.get(run_id))
        return 200, RUN | {"id": run_id, "error": stored[run_id] and "a text"}

    def run(context: CaseContext, case: Case) -> None:
        made = context.call("bulk_create_runs", body={"workflow_id": W, "count": 1})
        context.call("update_run", made.body["created_runs"][0]["id"], body=case["body"])

    runner = after_running(reply, run, {"body": {"error": ["late", "later"], "release_session_after": True}})

    (finding,) = runner.findings
    assert finding.cause == "error of update_run is not of its schema"
    assert [exchange.request.method for exchange in finding.exchanges] == ["POST", "PATCH"]
    assert [*finding.exchanges[1].request.json()] == ["error"]


def test_a_violation_that_is_seen_as_the_time_ends_is_kept_unrepeated() -> None:
    check = world_of(lambda request: (500, {"detail": "x"}))
    runner = Runner(check)

    def run(context: CaseContext, case: Case) -> None:
        try:
            context.call("list_runs")
        finally:
            check.deadline = 0.0

    with pytest.raises(OutOfTime):
        run_cases(runner, run, {"a": 1})

    assert [(finding.rule, finding.stable, finding.intermittent) for finding in runner.findings] == [
        ("NO-5XX", False, True)
    ]
    assert runner.findings[0].not_sent_again == "the time was over"


def test_all_that_fails_as_the_time_ends_is_kept() -> None:
    check = world_of(lambda request: (500, {"detail": "x"}))
    runner = Runner(check)
    meeting = threading.Barrier(2, timeout=30)

    def run(context: CaseContext, case: Case) -> None:
        try:
            context.call(case["operation"])
        finally:
            meeting.wait()
            check.deadline = 0.0

    both = dataclasses.replace(scenario(run), is_parallel=True)
    with pytest.raises(OutOfTime):
        runner.run([CaseGroup(both, iter([{"operation": "list_runs"}, {"operation": "list_pools"}]))])

    assert sorted(finding.cause for finding in runner.findings) == ["a 5xx from list_pools", "a 5xx from list_runs"]


def test_a_waiting_case_that_the_end_of_the_time_cut_off_stays_unsettled() -> None:
    check = world_of(lambda request: (200, PAGE))
    runner = Runner(check)

    def run(context: CaseContext, case: Case) -> None:
        if case["sends"]:
            context.call("list_runs")

    waiting = scenario(run, mostly_waits=True)
    check.deadline = 0.0
    runner.waiting.start(waiting, {"sends": True})
    runner.waiting.start(waiting, {"sends": False})

    runner.collect_waiting(until=time.monotonic() + 60)

    assert list(runner.waiting.scenarios) == [waiting]
    assert runner.tried["a scenario"] == 1
    runner.end()


def test_a_waiting_case_runs_again_behind_a_known_violation_and_holds_up_nothing() -> None:
    check = world_of(lambda request: (500, {"detail": "x"}))
    check.known_violations.add(("NO-5XX", "a 5xx from list_runs"))
    runner, tries, may_end = Runner(check), 0, threading.Event()

    def run(context: CaseContext, case: Case) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuleViolated(Violation("NO-5XX", "a 5xx from list_runs", "", ""), ())
        assert may_end.wait(30)
        context.judge("READ-BACK", [Violation("READ-BACK", "it was hidden", "", "")], context.call("get_run", W))

    waiting = scenario(run, mostly_waits=True)
    check.known_violations.add(("NO-5XX", "a 5xx from get_run"))
    runner.waiting.start(waiting, {})
    while not runner.waiting.have_failed:
        time.sleep(0.01)
    runner.collect_waiting()
    assert list(runner.waiting.scenarios) == [waiting]

    may_end.set()
    runner.collect_waiting(until=time.monotonic() + 60)
    runner.end()
    assert [finding.rule for finding in runner.findings] == ["READ-BACK"]
    assert runner.tried["a scenario"] == 1


def new_runs(request: Request) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    runs = [RUN | {"id": str(uuid.uuid4()), "created_at": now, "workflow_id": W} for _ in range(count_in(request))]
    return {"created_runs": runs, "failed_count": 0}


def test_a_finding_shows_the_nearest_request_that_is_answered_rightly_and_guesses_why() -> None:
    def reply(request: Request) -> tuple[int, Any]:
        return (500, {}) if count_in(request) > 500 else (201, new_runs(request))

    runner = after_running(reply, create, {"body": {"workflow_id": W, "count": 1000}})

    (finding,) = runner.findings
    assert finding.summary == (
        'POST /v1/runs/bulk with {"count": 501}: 500 {}; expected no 5xx, whatever is sent (only with count above 500?)'
    )
    assert finding.neighbour == 'POST /v1/runs/bulk with {"count": 500}: 201 with 500 created runs'


def test_a_guess_does_not_name_a_value_if_others_failed_before_shrinking() -> None:
    def reply(request: Request) -> tuple[int, Any]:
        return (500, {}) if b"input_values" in (request.body or b"") else (201, new_runs(request))

    runner = after_running(reply, create, {"body": {"workflow_id": W, "input_values": {"a": [1], "b": 2}}})

    (finding,) = runner.findings
    assert finding.exchanges[-1].request.json()["input_values"] == {}
    assert finding.guess == "only with input_values?"


def test_an_attempt_with_another_violation_is_not_shown_as_answered_rightly() -> None:
    def reply(request: Request) -> tuple[int, Any]:
        if request.header("Authorization") != TOKEN:
            return 401, {"detail": "no token"}
        return (500, {}) if count_in(request) > 500 else (200, new_runs(request))  # it should be 201

    runner = after_running(reply, create, {"body": {"workflow_id": W, "count": 1000}})

    found = {finding.rule: finding for finding in runner.findings}
    assert found["NO-5XX"].exchanges[-1].request.json()["count"] == 501
    assert found["NO-5XX"].neighbour == ""
    assert "?" not in found["NO-5XX"].summary


def test_a_finding_names_the_other_violation_that_its_answer_shows_in_the_same_field() -> None:
    def judge_all(context: CaseContext, case: Case) -> None:
        result = context.call("list_runs")
        for rule, field in (("SECRET-LEAK", "error"), ("LIST-PAGE", "total"), ("READ-BACK", "error")):
            context.judge(rule, [Violation(rule, "a cause", "one", "another", field=field)], result)

    runner = after_running(lambda request: (200, PAGE), judge_all, {})

    found = {finding.rule: finding for finding in runner.findings}
    assert found["READ-BACK"].same_answer == (("SECRET-LEAK", "a cause"),)
    assert found["LIST-PAGE"].same_answer == found["SECRET-LEAK"].same_answer == ()
    assert [one.rule for one in grouped(runner.findings) if one.part_of] == ["READ-BACK"]


def test_runs_that_cannot_be_read_are_not_waited_for() -> None:
    def reply(request: Request) -> tuple[int, Any]:
        if request.method == "POST":
            created = new_runs(request)
            workflow = {"workflow_id": request.json()["workflow_id"]}
            return 201, created | {"created_runs": [run | workflow for run in created["created_runs"]]}
        return (200, PAGE | {"limit": 1000}) if "?" in request.path else (404, {"detail": "x"})

    check = world_of(reply)

    with pytest.raises(Inconclusive, match="the runs cannot be read"):
        run_lifecycle(CaseContext(check), LifecycleCase(count=2))


def test_a_wait_until_the_time_is_over_ends_the_case() -> None:
    check = world_of(breaks_from(1000))
    check.deadline = time.monotonic() - 1

    with pytest.raises(OutOfTime):
        CaseContext(check).wait(60)


def test_a_repeat_in_progress_is_awaited_so_that_the_end_of_the_check_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(CaseContext, "wait", lambda context, seconds: waits.append(seconds))
    statuses = iter([409, 409, 201])
    context = CaseContext(world_of(lambda request: (next(statuses), {"detail": "x"})))

    assert idempotency._send_until_settled(context, Request("POST", "/v1/nothing")).status == 201
    assert len(waits) == 2


def test_a_case_with_large_answers_is_shrunk_in_fewer_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "MAX_SHRINK_COST", 30)
    monkeypatch.setattr(confirm, "MOST_TO_REPEAT", 0)  # only tries at smaller cases count

    def tries(padding: int) -> int:
        sent: list[Request] = []

        def reply(request: Request) -> tuple[int, Any]:
            sent.append(request)
            return 500 if count_in(request) >= 2 else 404, {"detail": "x" * padding}

        values = {f"v{index}": index for index in range(40)}
        after_running(reply, create, {"body": {"workflow_id": W, "count": 9, "input_values": values}})
        return len(sent)

    assert tries(10 * confirm.BYTES_OF_A_REQUEST) < tries(10) / 2


def test_a_listed_run_is_shown_with_its_create_and_its_last_write() -> None:
    """The last write may be what makes it wrong."""

    def reply(request: Request) -> tuple[int, Any]:
        wrong = RUN | {"error": 5}
        answers: dict[str, tuple[int, Any]] = {
            "POST": (201, {"created_runs": [RUN], "failed_count": 0, "errors": []}),
            "PATCH": (200, RUN),
            "GET": (200, PAGE | {"items": [wrong]}),
        }
        return answers[request.method]

    def update(context: CaseContext, case: Case) -> None:
        for number in range(3):
            context.call("update_run", W, body={"error": [str(number)]})

    runner = Runner(world_of(reply))
    run_cases(runner, create, {"body": {"workflow_id": W, "count": 1}})
    run_cases(runner, update, {})
    run_cases(runner, list_runs, {})

    (finding,) = runner.findings
    writes = [exchange.request for exchange in finding.exchanges if not exchange.request.is_read]
    assert [request.method for request in writes] == ["POST", "PATCH"]
    assert writes[-1].json() == {"error": ["2"]}


def test_no_repr_has_what_the_check_has_seen() -> None:
    """A report of a failing test with a traceback would have hundreds of megabytes, several times."""
    runner = Runner(world_of(lambda request: (404, {})))
    runner.check.seen.runs[W] = Exchange(Request("GET", "/v1/runs"), Answer(200, JSON, b"x" * 10_000))

    for value in (runner.check, runner.check.seen, runner._confirmer, runner._found):
        assert len(repr(value)) < 1_000
