"""Answers of creates: every field of every run, for combinations of all request fields."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts.core.counting import counted
from contracts.core.exchange import SECOND_TOKEN, TOKEN
from contracts.core.findings import Rule
from contracts.data import files, json_values, limits, strategies, value_packs, write_bodies
from contracts.data.formats import UNUSUAL_IDS
from contracts.data.value_classes import STRUCTURES
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, WriteResult, assume
from contracts.oracle.answer_schema import ANSWER_RULE
from contracts.oracle.included import pool_ids_of, pools_of
from contracts.rules.list_reads import NEWEST_FIRST, has_filter_value, items_of
from contracts.rules.reads_by_id import judge_listed, read_back
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import (
    add_machines,
    create_resource,
    foreign_bodies,
    offered_creates,
    their_workflow,
    with_available_ids,
)

GROUP = "The answer of a create"
RULES = (
    Rule(
        "BULK-STATUS",
        "doc",
        "minor",
        "A bulk create answers 201 with the documented schema",
        "The status is 201, the content type application/json, and each item of created_runs, also the last one, has "
        "the fields of a run with the documented types. A single item without a required field breaks the rule.",
        GROUP,
    ),
    Rule(
        "BULK-COUNT",
        "doc",
        "critical",
        "A bulk create makes as many runs as count says",
        "The length of created_runs and failed_count add up to count. errors is empty when nothing failed, and not "
        "empty when something did.",
        GROUP,
        value_fields=("created_runs", "failed_count", "errors"),
    ),
    Rule(
        "BULK-IDS",
        "doc",
        "critical",
        "Run ids are unique UUIDs",
        "Every id is a UUID in lower case with dashes, unique in its answer and over all answers that the check has "
        "seen.",
        GROUP,
        value_fields=("id",),
    ),
    Rule(
        "BULK-ECHO",
        "doc",
        "major",
        "Runs have the values of the request",
        "Every run has the workflow_id, machine_id, pool_ids and input_values that were sent, with the same JSON "
        "types; 1, 1.0 and -0.0 count as different, 1e16 and 10000000000000000 do not. machine_id applies only without "
        "session_id, and pool_ids only without both. If a machine or a pool was named, input_values may have more "
        "keys, which come from it.",
        GROUP,
        value_fields=("workflow_id", "machine_id", "pool_ids", "input_values"),
    ),
    Rule(
        "BULK-INITIAL",
        "doc",
        "major",
        "A new run is scheduling and empty",
        "The status is scheduling, error and output_data are empty, and created_at is an RFC 3339 date-time with a "
        "time zone, within five minutes of now.",
        GROUP,
        value_fields=("status", "error", "output_data", "created_at"),
    ),
    Rule(
        "BULK-SESSION",
        "doc",
        "major",
        "Runs are in the session that the request asks for",
        "With session_id every run has it. With start_session, and no session_id, all runs of the call share one new "
        "session. With neither, session_id is null.",
        GROUP,
        value_fields=("session_id",),
    ),
    Rule(
        "BULK-FILES",
        "api",
        "major",
        "Each run has an attachment of its own for each input file",
        "input_attachment_ids has as many ids as the request has file_inputs, and no two runs share an id.",
        GROUP,
        value_fields=("input_attachment_ids",),
    ),
    Rule(
        "CREATE-ANSWER",
        "api",
        "major",
        "A single create follows the rules of a bulk create of one run",
        "All rules for a run of a bulk create apply here too. With start_session, the session_id is the id of the run. "
        "session_alias and release_session_after are as sent.",
        GROUP,
        needs=("create_run",),
        value_fields=(
            *("id", "workflow_id", "machine_id", "pool_ids", "input_values", "status", "error", "output_data"),
            *("created_at", "session_id", "session_alias", "release_session_after"),
            *("input_attachment_ids", "sensitive_input_aliases"),
        ),
    ),
    Rule(
        "BULK-ALIASES",
        "doc",
        "major",
        "Aliases have the keys of the sensitive values",
        "sensitive_input_aliases has exactly the keys of sensitive_input_values, on every run.",
        GROUP,
        value_fields=("sensitive_input_aliases",),
    ),
)


@dataclass(frozen=True)
class CreateCase(Case):
    """A create that is sent `times` times. If `is_read`, its runs are read one by one, and listed if `is_listed`."""

    operation: str
    body: Any
    times: int = 1
    is_read: bool = False
    is_listed: bool = False
    parts_alone: tuple[dict[str, Any], ...] = ()
    """Bodies that are sent instead if the target refuses this one."""

    @property
    def expected_runs(self) -> int:
        return write_bodies.runs_of(self.body) * self.times


def run_create(context: CaseContext, case: CreateCase) -> None:
    body = context.fill(case.body)
    for _ in range(max(1, case.times)):
        written = context.write(case.operation, body=body)
        if case.is_read and written.result.accepted and written.runs_are_reliable:
            read_back(context, written)
            if case.is_listed and context.check.offers("list_runs"):
                _list_back(context, written, is_alone=case.times <= 1 and context.check.workflows.accepts_any_id)
    for other in case.parts_alone if written.result.refused else ():
        run_create(context, replace(case, body=other, parts_alone=()))


def _list_back(context: CaseContext, written: WriteResult, *, is_alone: bool) -> None:
    """Compare the runs of a create with their items in a list. `is_alone`: no other create is of the same workflow."""
    first = written.runs[0]
    query = [("workflow_id", first["workflow_id"]), NEWEST_FIRST, ("limit", "20")]
    if not is_alone:
        query.append(("created_at_from", first["created_at"]))
    listed = judge_listed(context, written, query)
    operation = str(written.result.operation)
    of_workflow = (each for each in items_of(listed) if has_filter_value(each, "workflow_id", first["workflow_id"]))
    new = {item.get("id") for item in of_workflow}.difference(written.ids) if is_alone else ()
    cause, got = f"{operation} creates runs that it does not report", f"{counted(len(new), 'more run')} created"
    rule = "BULK-COUNT" if operation == "bulk_create_runs" else ANSWER_RULE[operation]
    context.require(not new, rule, cause, "every created run to be reported", written.result, listed, got=got)


def features_of(check: CheckContext, operation: str) -> dict[str, tuple[Any, ...]]:
    """Return the features of a create, except those that need an id of a kind of which the target has none."""
    found = with_available_ids(check, write_bodies.CREATE_FEATURES[operation])
    if not check.pools.accepts_any_id and len(check.pools.known) < 2 and "pool_ids" in found:
        found["pool_ids"] = found["pool_ids"][:1]
    return found


def _case(operation: str, *, count: int = 1, times: int = 1, read: bool = False, **fields: Any) -> CreateCase:
    return CreateCase(operation, write_bodies.minimal(operation, count=count) | fields, times, is_read=read)


def feature_cases(check: CheckContext) -> Iterator[CreateCase]:
    """Yield a few requests that reveal most faults."""
    features = features_of(check, "bulk_create_runs")
    for count in limits.few(limits.MIN_COUNT, 101):
        yield _case("bulk_create_runs", count=count, read=True)
    machines = dict.fromkeys((*check.machines.known[:1], *check.machines.known[-1:]))
    pools = dict.fromkeys((*check.pools.known[:1], *check.pools.known[-1:]))
    for machine, pool in itertools.product(machines, pools):  # a machine may be in the pool or not
        yield _case("bulk_create_runs", count=2, machine_id=machine, pool_ids=[pool])
    everything = {name: values[-1] for name, values in features.items() if name != "session_id"}
    # Many runs may be written in another way than a few, such as by COPY of PostgreSQL.
    everything["input_values"] = write_bodies.INPUTS | {"text": value_packs.TEXT_OF_EVERY_CLASS}
    for count in limits.few(limits.MIN_COUNT, limits.MAX_COUNT):
        yield _case("bulk_create_runs", count=count, read=True, **everything)
    for operation in offered_creates(check):
        for name, values in features_of(check, operation).items():
            yield from (_case(operation, count=2, read=True, **{name: value}) for value in values)
    # Without other fields, since a session takes precedence over a machine and pools.
    if "machine_id" in features:
        yield _case("bulk_create_runs", count=101, machine_id=features["machine_id"][-1])
    pool_ids = {"pool_ids": features["pool_ids"][-1]} if "pool_ids" in features else {}
    if pool_ids and check.pools.accepts_any_id:  # more rows than one statement of SQL inserts
        most = limits.SQL_PARAMETERS // limits.ABOVE_CHUNK
        pool_ids = {"pool_ids": [f"«pool:{index}»" for index in range(most + 1)]}
    yield _case("bulk_create_runs", count=limits.ABOVE_CHUNK, **pool_ids)
    for operation in offered_creates(check):
        for body in foreign_bodies(check, operation):
            yield CreateCase(operation, body, is_read=True, is_listed=True)


def count_cases(check: CheckContext) -> Iterator[CreateCase]:
    """Yield the counts near each usual limit. Of the large counts, which cost many runs, yield only those one above a
    limit, and the largest power of two (a multiple of the smaller ones). ABOVE_CHUNK, LARGE_CREATE and MAX_COUNT are
    left out: other scenarios create that many runs.
    """
    large = {*limits.above(limits.MIN_COUNT, limits.MAX_COUNT), limits.largest_power_of_two(limits.MAX_COUNT)}
    large -= {limits.ABOVE_CHUNK, limits.LARGE_CREATE, limits.MAX_COUNT}
    for count in limits.sizes(limits.MIN_COUNT, limits.MAX_COUNT):
        if count < FEW_RUNS or count in large:
            yield _case("bulk_create_runs", count=count)


FEW_RUNS: Final = 130
"""All counts below this number are tried. Together they create fewer runs than two creates of 1000 runs."""


def combined_feature_cases(check: CheckContext) -> Iterator[CreateCase]:
    """Yield pairs and the largest subsets of the features, and pairs of their states."""
    features = features_of(check, "bulk_create_runs")
    for subset in write_bodies.powerset(features):
        if len(subset) == 2 or len(subset) >= len(features) - 1:
            yield _case("bulk_create_runs", count=2, read=len(subset) == 2, **subset)
    if check.offers("create_run"):
        single = features_of(check, "create_run")
        for subset in write_bodies.powerset(single):
            if len(subset) >= len(single) - 1:
                yield _case("create_run", **subset)
        for row in write_bodies.pairs(write_bodies.states(single)):
            yield _case("create_run", read=True, **row)
    for index, row in enumerate(write_bodies.pairs(write_bodies.states(features))):
        count = (3, 1, 10)[index % 3]
        yield _case("bulk_create_runs", count=count, read=True, **row)
    sizes: dict[str, Any] = {"count": [11, 101]}
    for row in write_bodies.pairs(sizes | write_bodies.absent_or_first(features)):
        yield _case("bulk_create_runs", **row)


def unusual_value_cases(check: CheckContext) -> Iterator[CreateCase]:
    """Yield unusual ids, files and sizes. `value_echo` has the unusual values of texts and objects."""
    operations = offered_creates(check)
    for operation in operations:
        for unusual_id in UNUSUAL_IDS:
            for name in ("workflow_id", "machine_id", "session_id", "pool_ids"):
                named: dict[str, Any] = {name: [unusual_id] if name == "pool_ids" else unusual_id}
                yield _case(operation, **named)
        two: dict[str, Any] = {"count": 2} if operation == "bulk_create_runs" else {}
        yield from (_case(operation, file_inputs=some, **two) for some in files.unusual_inputs())
    yield _case("bulk_create_runs", count=101, input_values=json_values.SAMPLE, read=True)
    structures = [kind.values[-1] for kind in STRUCTURES.values()]
    yield _case("bulk_create_runs", count=101, input_values={"deep": structures})
    for some in ([files.file()], [files.file(), files.file("b.txt", b"b")]):
        for count in limits.few(3, 101):
            yield _case("bulk_create_runs", count=count, file_inputs=some)
    for size in (3, 5, 10, 11, 50, 100) if check.pools.accepts_any_id else ():
        yield _case("bulk_create_runs", pool_ids=[f"«pool:{index}»" for index in range(size)], count=2, read=True)
    for size in (2, 10, 50, 100, 256, 1000):
        secrets = {f"key{index}": f"«secret:{index}»" for index in range(size)}
        yield _case("bulk_create_runs", sensitive_input_values=secrets)


def repeated_cases(check: CheckContext) -> Iterator[CreateCase]:
    """Yield requests that are sent more than once, without an idempotency key: each call must create new runs."""
    features = features_of(check, "bulk_create_runs")
    for name, values in features.items():
        yield _case("bulk_create_runs", count=2, times=3, **{name: values[-1]})
        if name != "start_session" and "start_session" in features:
            yield _case("bulk_create_runs", count=2, times=2, **{name: values[0], "start_session": True})
    for count in (1, 2, 101):
        yield _case("bulk_create_runs", count=count, times=2)
    if check.offers("create_run"):
        for name, values in features_of(check, "create_run").items():
            yield _case("create_run", times=3, **{name: values[-1]})


def generated(check: CheckContext) -> SearchStrategy[CreateCase]:
    available = frozenset(features_of(check, "bulk_create_runs"))
    return st.sampled_from(offered_creates(check)).flatmap(
        lambda operation: st.builds(
            CreateCase, st.just(operation), strategies.bodies(operation, available), is_read=st.booleans()
        )
    )


_ANSWER_RULES = tuple(rule.id for rule in RULES)
_READ_RULES = (*_ANSWER_RULES, "READ-BACK", "REQ-ACCEPT")


# Machines that are picked from pools


@dataclass(frozen=True)
class PickCase(Case):
    """A create in pools of an organisation, which are given by their positions in `_pools_of`."""

    pools: tuple[int, ...] = (0,)
    token: str = TOKEN
    retried_in: tuple[int, ...] = ()
    """Other pools, in which the run is then retried."""
    filled: int = 0
    """How many new pools are named too, each with a machine of the organisation."""
    and_new: bool = False
    """Whether a new pool without machines is named too, as the last one."""


def run_pick(context: CaseContext, case: PickCase) -> None:
    """Judge that the machine of the run, if it gets one, belongs to its organisation and to all of its pools."""
    most = max(case.pools + case.retried_in, default=-1)
    ids = _pools_of(context, case.token, most + 1)
    assume(len(ids) > most, "the organisation has too few pools")
    pools = [ids[place] for place in case.pools]
    for _ in range(case.filled):
        pools.append(create_resource(context, "create_pool").body["id"])
        add_machines(context, pools[-1], context.check.machines.known[:1])
    if case.and_new:
        pools.append(create_resource(context, "create_pool").body["id"])
    workflow = "«workflow»" if case.token == TOKEN else their_workflow(context)
    body = {"workflow_id": workflow, "pool_ids": pools, "count": 1}
    written = context.create("bulk_create_runs", body, token=case.token)
    assume(written.runs, "no run is created")
    _judge_picked(context, written.runs[0], pools, written.result, token=case.token)
    if case.retried_in:
        run = TrackedRun.of(context, written)
        run.cancel()
        pools = [ids[place] for place in case.retried_in]
        retried = run.retry({"pool_ids": pools}).result.resource
        if retried is not None:
            _judge_picked(context, retried, pools, *run.evidence, token=case.token)


def _pools_of(context: CaseContext, token: str, number: int) -> list[str]:
    """Return the ids of pools of an organisation: first those of its first machines, then others."""
    found: list[dict[str, Any]] = []
    if context.check.offers("list_machines"):
        for machine in items_of(context.call("list_machines", query=[("limit", "2")], token=token)):
            found += pools_of(context.call("get_machine", str(machine.get("id")), token=token).body) or ()
    found += items_of(context.call("list_pools", query=[("limit", str(number))], token=token))
    return list(dict.fromkeys(pool["id"] for pool in found if isinstance(pool.get("id"), str)))


def _judge_picked(
    context: CaseContext, run: dict[str, Any], pools: Sequence[str], *evidence: CallResult, token: str
) -> None:
    for _ in range(30):  # a machine may be picked only when the run starts
        if run.get("machine_id") or run.get("status") != "scheduling":
            break  # a run that has started without a machine will not get one
        context.wait(0.1)
        run = context.call_valid("get_run", run["id"], token=token).body
    assume(run.get("machine_id"), "no machine is picked")
    machine = context.call("get_machine", run["machine_id"], token=token)
    cause, expected = "the picked machine is not of the organisation", "a machine that can be read"
    if context.require(machine.accepted, "BULK-ECHO", cause, expected, *evidence, machine):
        its_pools = pool_ids_of(machine.body)
        lacks = set(pools) - its_pools if its_pools is not None else set()
        cause, got = "the picked machine is not in the pools", f"a machine without pool {' and '.join(sorted(lacks))}"
        context.require(not lacks, "BULK-ECHO", cause, "a machine of all pool_ids", *evidence, machine, got=got)


def pick_cases(check: CheckContext) -> Iterator[PickCase]:
    for token in (TOKEN, SECOND_TOKEN) if check.has_second else (TOKEN,):
        yield PickCase(token=token)
        yield PickCase((0, 1), token)
    # A machine of the first pool may be in the second too, and not in the third.
    for pools in ((1, 0), (0, 2), (2, 1), (0, 1, 2)):
        yield PickCase(pools)
    if check.offers("create_pool"):
        yield PickCase(and_new=True)
        yield PickCase((0, 1), and_new=True)
        if check.offers("add_machine_to_pool") and check.machines.known:
            # A query for pools may have a fixed number of placeholders: the empty pool comes after all of them.
            yield from (PickCase((), filled=filled, and_new=True) for filled in (2, 10))
    if check.offers("retry_run", "update_run"):
        yield from (PickCase((one,), retried_in=(other,)) for one, other in ((0, 1), (1, 0), (0, 2), (2, 0)))


SCENARIOS = (
    Scenario(
        "machines picked from pools",
        ("BULK-ECHO",),
        run_pick,
        pick_cases,
        needs=("list_pools", "get_machine", "get_run"),
    ),
    Scenario("creates with each feature", (*_READ_RULES, "REQ-COUNT"), run_create, feature_cases, order=0),
    Scenario("creates of every count", (*_ANSWER_RULES, "REQ-COUNT"), run_create, count_cases, order=2),
    Scenario("creates with features combined", (*_READ_RULES, "REQ-NULL"), run_create, combined_feature_cases, order=3),
    Scenario("creates with unusual ids, files and sizes", _READ_RULES, run_create, unusual_value_cases, order=3),
    Scenario("creates repeated", _ANSWER_RULES, run_create, repeated_cases),
    Scenario("generated creates", _READ_RULES, run_create, generated=generated, examples=60, order=7),
)
