"""Requests that are sent at the same moment: each answer must belong to its own request, and no write may be lost.

Each case sends groups of requests, over connections that are opened first. The resources that the requests name are
created before, one request at a time.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Request
from contracts.core.statuses import TERMINAL
from contracts.data import file, write_bodies
from contracts.data.limits import LARGE_CREATE
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, assume
from contracts.engine.request_building import request_for
from contracts.openapi.schemas import UNREAD, newer_properties
from contracts.oracle import KnownRun, is_same, read_body, read_request
from contracts.oracle.included import pool_ids_of
from contracts.oracle.known_run import RESULTS, SET_BY_END
from contracts.oracle.run import changed_field
from contracts.rules.isolated_runs import IsolatedRuns, create_isolated_runs
from contracts.rules.list_checks import check_list
from contracts.rules.list_reads import NEWEST_FIRST, items_of, total_of
from contracts.rules.reads_by_id import judge_gone
from contracts.rules.writes import create_resource, create_runs, created_ids, offered_creates

_UPDATE: Final = {"input_values": {"part": "new"}, "output_data": {"part": "new"}, "error": ["new"]}
_SINGLE_UPDATES: Final = (
    {"input_values": {"from": "one"}},
    {"output_data": {"from": "another"}},
    {"usage_metadata": {"from": "a third"}},
    {"run_message_history": [{"from": "a fourth"}]},
)
"""Updates of different fields. All of them must take effect, in any order."""
_CANCEL: Final = {"status": "cancelled"}


@dataclass(frozen=True)
class ConcurrentCase(Case):
    """`group` is a key of _GROUPS: the requests to send at the same moment, `width` of them in each round."""

    group: str
    rounds: int = 4
    width: int = 4

    @property
    def expected_runs(self) -> int:
        return self.rounds * _GROUPS[self.group].runs(self.width)


def run_concurrent(context: CaseContext, case: ConcurrentCase) -> None:
    for _ in range(case.rounds):
        _GROUPS[case.group].send(context, case.width)


def _different_creates(context: CaseContext, width: int) -> None:
    """Send different creates of both organisations, each with its own values. Then list the runs of the first one."""
    check = context.check
    created = IsolatedRuns(("search", check.search_word(context.made_up)))
    requests = [_create_with_own_values(context, number, created.filter[1]) for number in range(width)]
    results = _send(context, requests)
    ids = Counter(created_ids(*results))
    expected, got = "new run ids in each answer", f"run id {next(iter(ids - Counter(set(ids))), '')} twice"
    are_new = all(times == 1 for times in ids.values())
    context.require(are_new, "BULK-IDS", "one run id in two answers", expected, *results, got=got)
    _require_own_sessions(context, [result for result in results if result.operation == "create_run_chain"])
    for request, result in zip(requests, results, strict=True):
        written = context.judge_write(read_request(result.operation or "", request), result)
        if request.header("Authorization") == TOKEN:
            created.add(written)
    if created.runs and check.offers("list_runs"):
        check_list(context, created, [created.filter])


def _require_own_sessions(context: CaseContext, chains: Sequence[CallResult]) -> None:
    accepted = [result for result in chains if result.resource is not None]
    sessions = {str(result.body.get("session_id")) for result in accepted}
    cause, got = "one session for two chains", f"session_id {next(iter(sessions), '')} in two answers"
    are_new = len(sessions) == len(accepted)
    context.require(are_new, "CHAIN-RULES", cause, "a new session for each chain", *accepted, got=got)


def _create_with_own_values(context: CaseContext, number: int, common_word: str) -> Request:
    """Return a create with a word of its own in each field, and a word that all creates of the group have."""
    check, operations = context.check, offered_creates(context.check)
    word = check.search_word(context.made_up)
    body: dict[str, Any] = {
        "workflow_id": f"«workflow:{number}»" if check.workflows.accepts_any_id else "«workflow»",
        "input_values": {"marker": word, "number": number, "together": common_word},
        "sensitive_input_values": {word: "«secret»"},
        "session_alias": word,
        "file_inputs": [file(f"{number}.txt", word.encode())],
        "start_session": number // len(operations) % 2 == 0,
    }
    operation = operations[number % len(operations)]
    if number % 4 == 3 and check.offers("create_run_chain"):
        operation = "create_run_chain"
        step = {name: body[name] for name in ("workflow_id", "session_alias")}
        body = {"steps": [step] * 2, "shared_inputs": body["input_values"]}
    elif operation == "bulk_create_runs":
        body["count"] = 1 + number % 3
    is_second = check.has_second and check.workflows.accepts_any_id and number // len(operations) % 2 == 1
    return request_for(operation, body=context.fill(body), token=SECOND_TOKEN if is_second else TOKEN)


def _creates_in_a_session(context: CaseContext, width: int) -> None:
    """Send creates that are the first to name a session: each must get it."""
    assume(context.check.sessions.accepts_any_id, "the target takes no new session ids")
    _judge_equal_creates(context, width, {"session_id": context.made_up.uuid()})


def _creates_that_start_sessions(context: CaseContext, width: int) -> None:
    """Send equal creates that start a session: each must get a session of its own."""
    _judge_equal_creates(context, width, {"start_session": True})


def _judge_equal_creates(context: CaseContext, width: int, fields: Mapping[str, Any]) -> None:
    body = {**context.fill(write_bodies.minimal("bulk_create_runs")), **fields}
    for result in _send(context, [request_for("bulk_create_runs", body=body)] * width):
        context.judge_write(read_body("bulk_create_runs", body), result)


def _different_workflows(context: CaseContext, width: int) -> None:
    """Create two workflows: each answer must be about its own. Only two, since workflows cannot be deleted."""
    prompts = [context.check.search_word(context.made_up) for _ in range(2)]
    created = _send(context, [request_for("create_workflow", body={"main_prompt": prompt}) for prompt in prompts])
    for prompt, other, result in zip(prompts, reversed(prompts), created, strict=True):
        shown = result.shown("main_prompt")
        cause, expected = "a workflow has another request's main_prompt", f"main_prompt {prompt}"
        context.require(shown != other, "READ-BACK", cause, expected, *created, got=f"main_prompt {other}")


def _additions_to_a_pool(context: CaseContext, width: int) -> None:
    """Add two machines to a new pool: it must have both."""
    machines = context.check.machines.known[:2]
    assume(len(machines) >= 2, "no two machines are known")
    pool = create_resource(context, "create_pool").body["id"]
    requests = [request_for("add_machine_to_pool", pool, body={"machine_ids": [machine]}) for machine in machines]
    added = _send(context, requests)
    for machine, result in zip(machines, added, strict=True):
        read = context.call("get_machine", machine)
        pools = pool_ids_of(read.body)
        if result.accepted and pools:
            cause, expected = "one of two concurrent additions to a pool is lost", f"a machine with pool {pool}"
            context.require(pool in pools, "READ-BACK", cause, expected, *added, read, got="a machine without it")


def _lists_during_a_create(context: CaseContext, width: int, *, count: int = LARGE_CREATE) -> None:
    """A list during a bulk create must show all of its runs or none, and each run as it was created."""
    inputs = {"marker": context.check.search_word(context.made_up)}
    body = context.fill({"workflow_id": "«workflow»", "count": count, "input_values": inputs})
    filters = [("search", inputs["marker"])]
    if context.check.workflows.accepts_any_id:  # a filter by a new one finds also runs whose inputs are not stored yet
        body["workflow_id"] = context.made_up.uuid()
        filters.append(("workflow_id", body["workflow_id"]))
    queries = [[each, ("limit", "1"), NEWEST_FIRST] for each in filters]
    requests = [request_for("list_runs", query=query) for query in itertools.islice(itertools.cycle(queries), width)]
    created, *lists = _send(context, [request_for("bulk_create_runs", body=body), *requests])
    assume(created.accepted, f"a bulk create answers {created.status}")
    ids = set(created_ids(created))
    count = len(ids)  # a server may create a part of the runs
    for result in lists:
        total = total_of(result)
        if total is not None and count:
            cause, expected = "a list during a create shows a part of it", f"total 0 or {count:,}"
            right = total in (0, count)
            context.require(right, "LIST-COMPLETE", cause, expected, created, result, got=f"total {total:,}")
        for run in items_of(result):
            if run.get("id") in ids:
                cause = "a list during a create shows a run without its inputs"
                _require_shown(context, "READ-BACK", {"input_values": inputs}, run, cause, created, result)


def _reads_during_an_update(context: CaseContext, width: int) -> None:
    """A read during an update must show the run as before it or as after it, and never a part of the update."""
    before = _new_run(context)
    reads = [request_for("get_run", before["id"])] * width
    if context.check.offers("list_runs"):
        reads[1::2] = [request_for("list_runs", query=[("search", before["id"])])] * len(reads[1::2])
    update, *seen = _send(context, [request_for("update_run", before["id"], body=_UPDATE), *reads])
    assume(update.accepted, f"an update answers {update.status}")
    for result in seen:
        for run in _runs_in(result, before["id"]):
            changed = [name for name, value in _UPDATE.items() if is_same(value, run.get(name))]
            kept = [name for name in _UPDATE if is_same(before.get(name), run.get(name))]
            if run.get("status") != before.get("status"):
                continue  # the run has ended meanwhile, with an error or output of its own
            cause, expected = "a read during an update shows a part of it", "the run before the update or after it"
            got = f"a mixture: {' and '.join(changed)} as updated, but {' and '.join(kept)} as before"
            is_whole = not (changed and kept)
            context.require(is_whole, "UPDATE-PARTIAL", cause, expected, update, result, got=got)


def _different_updates(context: CaseContext, width: int) -> None:
    """Concurrent updates of different fields of one run must all take effect. Of many, one cancels the run."""
    run = _new_run(context)
    bodies: list[Mapping[str, Any]] = [*_SINGLE_UPDATES[: max(2, width)]]
    if width > len(bodies):
        bodies.append(_CANCEL)
    results = _send(context, [request_for("update_run", run["id"], body=body) for body in bodies])
    read = context.call_valid("get_run", run["id"], after=results)
    is_cancelled = bodies[-1] is _CANCEL and results[-1].accepted
    written_by_end = RESULTS if KnownRun(run).may_have_moved(read.body, _CANCEL) else SET_BY_END
    if read.body.get("status") != run.get("status") and not is_cancelled:
        return  # a run that has ended meanwhile has output of its own
    for result, body in zip(results, bodies, strict=True):
        for name, value in body.items() if result.accepted else ():
            if name in newer_properties() and name not in read.body:
                continue
            if is_cancelled and name in written_by_end:
                continue
            _require_shown(context, "UPDATE-PARTIAL", {name: value}, read.body, _LOST_UPDATE, *results, read)


def _deletes(context: CaseContext, width: int) -> None:
    """One of several deletes must succeed, and the run must be gone. A server may treat all of them as one."""
    run = _new_run(context)
    results = _send(context, [request_for("delete_run", run["id"])] * max(2, width))
    statuses = sorted(result.status for result in results)
    got = f"the statuses {', '.join(map(str, statuses))}"
    assume({204, 404, 409}.issuperset(statuses), f"deletes answer with {got}")
    cause = "none of several concurrent deletes succeeds"
    context.require(204 in statuses, "DELETE-GONE", cause, "204 for one of the deletes", *results, got=got)
    judge_gone(context, run["id"], *results)


def _update_and_delete(context: CaseContext, width: int) -> None:
    """A run that is deleted while it is updated must be gone."""
    run = _new_run(context)
    requests = [request_for("update_run", run["id"], body=body) for body in _SINGLE_UPDATES[: max(1, width - 1)]]
    # At any place, since the order has an influence on which request arrives first.
    position = context.made_up.randrange(len(requests) + 1)
    requests.insert(position, request_for("delete_run", run["id"]))
    others = _send(context, requests)
    deleted = others.pop(position)
    assume(deleted.status == 204, f"a delete answers {deleted.status}")
    judge_gone(context, run["id"], *others, deleted)


_RETRY: Final[Mapping[str, Any]] = {"session_alias": "retried"}
_UPDATE_OF_RETRIED: Final[Mapping[str, Any]] = {"input_values": {"from": "an update"}}


def _retries_and_updates(context: CaseContext, width: int) -> None:
    """A retry of a run and a concurrent update of another field must both take effect, in any order."""
    for run_id, *results in _retried_beside(context, width, "update_run", _UPDATE_OF_RETRIED):
        read = context.call_valid("get_run", run_id, after=results)
        for result, body in zip(results, (_RETRY, _UPDATE_OF_RETRIED), strict=True):
            if result.accepted:
                cause = "a concurrent retry and update lose a value"
                _require_shown(context, "UPDATE-PARTIAL", body, read.body, cause, *results, read)


def _retries_and_deletes(context: CaseContext, width: int) -> None:
    """A run that is deleted while it is retried must be gone."""
    for run_id, retried, deleted in _retried_beside(context, width, "delete_run"):
        if deleted.status == 204:
            judge_gone(context, run_id, retried, deleted)


def _retried_beside(
    context: CaseContext, width: int, operation: str, body: Any = UNREAD
) -> list[tuple[str, CallResult, CallResult]]:
    """Retry cancelled runs, each beside another operation on it. Return the id of each run and both results."""
    ids = _cancelled_runs(context, width)
    bodies = {"retry_run": _RETRY, operation: body}
    requests = [request_for(name, run_id, body=bodies[name]) for run_id in ids for name in bodies]
    is_reversed = context.made_up.randrange(2) == 1  # in any order, since it has an influence on which arrives first
    results = _send(context, requests[::-1])[::-1] if is_reversed else _send(context, requests)
    return list(zip(ids, results[::2], results[1::2], strict=True))


def _cancelled_runs(context: CaseContext, width: int) -> list[str]:
    ids = context.some_runs(width).ids
    return [run_id for run_id in ids if context.cancel(run_id).accepted]


def _reads_during_a_retry(context: CaseContext, width: int) -> None:
    """A read during a retry must show the run as before it, or waiting or running and without its earlier results."""
    old = {"output_data": {"before": context.check.search_word(context.made_up)}}
    for run_id in _cancelled_runs(context, 1):
        updated = context.call("update_run", run_id, body=old)
        assume(is_same(old["output_data"], updated.body.get("output_data")), "an ended run cannot get output_data")
        reads = [request_for("get_run", run_id)] * width
        retried, *seen = _send(context, [request_for("retry_run", run_id, body={}), *reads])
        for result in seen if retried.accepted else ():
            is_restarted = result.body.get("status") not in TERMINAL
            has_results = is_same(old["output_data"], result.body.get("output_data"))
            cause, expected = "a read during a retry shows a part of it", "the run before the retry or after it"
            got = f"status {result.body.get('status')} with the output_data of before"
            right = not (result.accepted and is_restarted and has_results)
            context.require(right, "RETRY-RULES", cause, expected, updated, retried, result, got=got)


def _retries(context: CaseContext, width: int) -> None:
    """Each of several concurrent retries must give its run its own inputs."""
    ids = _cancelled_runs(context, width)
    bodies = [{"input_values": {"retried": run_id}} for run_id in ids]
    requests = [request_for("retry_run", run_id, body=body) for run_id, body in zip(ids, bodies, strict=True)]
    results = _send(context, requests)
    for run_id, body, result in zip(ids, bodies, results, strict=True):
        assume(result.resource is not None, "a retry is refused")
        read = context.call_valid("get_run", run_id, after=results)
        for shown in (result.body, read.body):
            cause = "concurrent retries mix their inputs"
            _require_shown(context, "RETRY-RULES", body, shown, cause, *results, read)


_SIBLINGS: Final = 12
"""The number of runs to create. The others show whether runs end so fast that the run of the case may have ended."""


def _retries_of_one_run(context: CaseContext, width: int) -> None:
    """One of two concurrent retries of an ended run must be refused, since the other has restarted the run."""
    written = context.some_runs(_SIBLINGS)
    run_id, *others = written.ids
    cancelled = context.cancel(run_id)
    assume(cancelled.accepted, "a run cannot be cancelled")
    bodies = context.made_up.choice((({}, {}), ({"input_values": {"a": 1}}, {"input_values": {"b": 2}})))
    results = _send(context, [request_for("retry_run", run_id, body=body) for body in bodies])
    both = all(result.accepted for result in results)
    have_ended = both and any(context.call_valid("get_run", one).body.get("status") in TERMINAL for one in others)
    assume(not have_ended, "runs end so fast that the run may have ended between the two retries")
    cause, expected = "two concurrent retries are both carried out", "409 or 422 for one of the two retries"
    evidence = (written.result, cancelled, *results)
    context.require(not both, "RETRY-RULES", cause, expected, *evidence, got="a success for both")


def _writes_to_neighbours(context: CaseContext, width: int) -> None:
    """Updates and deletes of different runs of one create must each take effect, and only on their own run."""
    isolated = create_isolated_runs(context, [{"count": 2 * width}])
    updated, deleted = isolated.runs[::2], isolated.runs[1::2]
    bodies = [{"input_values": {**(run.get("input_values") or {}), "part": run["id"]}} for run in updated]
    updates = [request_for("update_run", run["id"], body=body) for run, body in zip(updated, bodies, strict=True)]
    deletes = [request_for("delete_run", run["id"]) for run in deleted]
    results = _send(context, [request for pair in zip(updates, deletes, strict=True) for request in pair])
    assume(all(result.accepted for result in results), "an update or a delete is refused")
    for run in deleted:
        isolated.delete(run)
    sent = [result.exchange for result in results]
    items = check_list(context, isolated, [isolated.filter], before=sent)
    for run, body in zip(updated, bodies, strict=True):
        read = context.call_valid("get_run", run["id"], after=results)
        for shown in (read.body, *([] if items is None else [items.get(run["id"], read.body)])):
            _require_shown(context, "UPDATE-PARTIAL", body, shown, _LOST_UPDATE, *results, read)


def _reads_of_two_organisations(context: CaseContext, width: int) -> None:
    """Each answer must be about the run that was asked for, and must not show a run of the other organisation."""
    assume(context.check.has_second, "no second token was given")
    assume(context.check.workflows.accepts_any_id, "no workflow of the second organisation is known")
    own = {TOKEN: _new_run(context), SECOND_TOKEN: _new_run(context, token=SECOND_TOKEN)}
    tokens = [TOKEN, SECOND_TOKEN] * max(1, width // 2)
    sent = [(token, target) for token in tokens for target in own]
    requests = [request_for("get_run", own[target]["id"], token=token) for token, target in sent]
    for (token, target), result in zip(sent, _send(context, requests), strict=True):
        if token != target:
            cause = "another organisation may use get_run"
            expected = "404, since the run belongs to the other organisation"
            context.require(result.status == 404, "AUTH-TENANT", cause, expected, result)
            continue
        cause = "a run cannot be read"
        context.require(result.accepted, "READ-BACK", cause, "200 with the run", result)


def _wrong_tokens(context: CaseContext, width: int) -> None:
    """A request with a wrong token must be refused beside the same request with a valid one."""
    wrong = f"Bearer {context.made_up.letters(24)}"
    create = request_for("bulk_create_runs", body=context.fill(write_bodies.minimal("bulk_create_runs")))
    requests = [create, create.with_header("Authorization", wrong)] * max(1, width // 2)
    for request, result in zip(requests, _send(context, requests), strict=True):
        if request.header("Authorization") == wrong:
            cause = "a wrong token passes beside a valid one"
            expected = "401 or 403, since the request has an unknown token"
            context.require(result.status in {401, 403}, "AUTH-TOKEN", cause, expected, result)


class _Group(NamedTuple):
    """`send` sends one group of requests of a given width. `runs` returns how many runs this creates."""

    send: Callable[[CaseContext, int], None]
    needs: tuple[str, ...] = ()
    runs: Callable[[int], int] = lambda width: 2


_CHANGES_AND_READ: Final = ("update_run", "delete_run", "get_run")
_GROUPS: Final[Mapping[str, _Group]] = {
    # First those with lists, which get slower during a check.
    "creates": _Group(_different_creates, runs=lambda width: 3 * width),
    "lists during a create": _Group(_lists_during_a_create, ("list_runs",), lambda width: LARGE_CREATE),
    "lists during a small create": _Group(
        partial(_lists_during_a_create, count=_SIBLINGS), ("list_runs",), lambda width: _SIBLINGS
    ),
    "reads during an update": _Group(_reads_during_an_update, ("update_run", "get_run")),
    "writes to neighbours": _Group(_writes_to_neighbours, (*_CHANGES_AND_READ, "list_runs"), lambda width: 2 * width),
    "different updates": _Group(_different_updates, ("update_run", "get_run")),
    "deletes": _Group(_deletes, ("delete_run", "get_run")),
    "updates and a delete": _Group(_update_and_delete, _CHANGES_AND_READ),
    "retries and updates": _Group(_retries_and_updates, ("retry_run", "update_run", "get_run"), lambda width: width),
    "retries and deletes": _Group(_retries_and_deletes, ("retry_run", *_CHANGES_AND_READ), lambda width: width),
    "retries": _Group(_retries, ("retry_run", "update_run", "get_run"), lambda width: width),
    "reads during a retry": _Group(_reads_during_a_retry, ("retry_run", "update_run", "get_run"), lambda width: 1),
    "retries of one run": _Group(_retries_of_one_run, ("retry_run", "update_run", "get_run"), lambda width: _SIBLINGS),
    "wrong tokens": _Group(_wrong_tokens, runs=lambda width: width),
    "reads of two organisations": _Group(_reads_of_two_organisations, ("get_run",)),
    "creates in a session": _Group(_creates_in_a_session, runs=lambda width: width),
    "creates that start sessions": _Group(_creates_that_start_sessions, runs=lambda width: width),
    "workflows": _Group(_different_workflows, ("create_workflow",), lambda width: 0),
    "additions to a pool": _Group(
        _additions_to_a_pool, ("create_pool", "add_machine_to_pool", "get_machine"), lambda width: 0
    ),
}


def _send(context: CaseContext, requests: Sequence[Request]) -> list[CallResult]:
    results = context.send_together(requests)
    assume(all(0 < result.status < 500 for result in results), "not every request is answered")  # judged by NO-5XX
    return results


def _new_run(context: CaseContext, token: str = TOKEN) -> dict[str, Any]:
    return create_runs(context, "bulk_create_runs", write_bodies.minimal("bulk_create_runs"), token=token).runs[0]


def _runs_in(result: CallResult, run_id: str) -> Iterator[Mapping[str, Any]]:
    """Yield the run, from the answer of get_run or of list_runs."""
    if result.resource is not None:
        candidates = items_of(result) if result.operation == "list_runs" else [result.resource]
        yield from (run for run in candidates if run.get("id") == run_id)


_LOST_UPDATE: Final = "one of two concurrent updates is lost"


def _require_shown(
    context: CaseContext, rule: str, sent: Mapping[str, Any], shown: Mapping[str, Any], cause: str, *results: CallResult
) -> None:
    """Require that a run shows the values of fields that were sent."""
    changed = changed_field(sent, shown, sent)
    expected, got = f"{' and '.join(sent)} as sent", "" if changed is None else changed[1]
    context.require(changed is None, rule, cause, expected, *results, got=got)


def concurrent_cases(check: CheckContext) -> Iterator[ConcurrentCase]:
    offered = [name for name, group in _GROUPS.items() if check.offers(*group.needs)]
    large = {name for name in offered if _GROUPS[name].runs(1) >= LARGE_CREATE}
    # Every group once before the wider rounds, so that the first finding of the last group comes early.
    yield from (ConcurrentCase(name, rounds=1, width=8) if name in large else ConcurrentCase(name) for name in offered)
    yield from (ConcurrentCase(name, width=8) for name in offered if name not in large)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "requests at the same moment",
        (
            *("BULK-ALIASES", "BULK-ECHO", "BULK-IDS", "BULK-SESSION", "CREATE-ANSWER", "CHAIN-RULES", "LIST-COMPLETE"),
            *("READ-BACK", "UPDATE-PARTIAL", "RETRY-RULES", "DELETE-GONE", "AUTH-TENANT", "AUTH-TOKEN", "NO-5XX"),
        ),
        run_concurrent,
        concurrent_cases,
        attempts=4,
        is_exclusive=True,  # else the requests are further apart
        weight=4,  # it lists runs, which takes longer when there are many
        order=2,
    ),
)
