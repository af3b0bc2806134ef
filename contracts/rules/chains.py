"""Chains: several workflows, one after the other, in one session."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts.data import boundary_values, write_bodies
from contracts.data.sample_values import VALUES
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import Violation, difference, excerpt, is_run
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule

GROUP = "Reading and changing"
RULES = (
    Rule(
        "CHAIN-RULES",
        "api",
        "A chain is one run a step, in order, in one session",
        "201 with session_id and run_ids, one a step in the order of the steps. Each run has its step's workflow, "
        "inputs, session_alias and the keys of its secrets, and the shared ones; all have the one session, and "
        "execute one after the other.",
        GROUP,
        needs=("create_run_chain",),
    ),
)


def run_chain(context: CaseContext, case: Case) -> None:
    check = context.check
    body = context.fill(case["body"])
    written = context.write("create_run_chain", body=body)
    result = written.result
    if not result.accepted or not written.parsed.is_valid:
        return
    steps = body["steps"]
    session, ids = result.body.get("session_id"), result.body.get("run_ids")

    def fail(cause: str, expected: str, got: str, *shown: CallResult) -> None:
        context.fail(Violation("CHAIN-RULES", cause, expected, got), result, *shown)

    check.count("CHAIN-RULES")
    if not written.clean:
        return
    if len(ids) != len(steps):
        fail("not one run a step", f"{len(steps)} run_ids", f"{len(ids)}")
    if len(set(ids)) != len(ids):
        fail("one run for several steps", "a run of its own for each step", "an id twice")
    with check.lock:
        old = [one for one in ids if one in check.seen.runs]
        check.seen.runs.update(dict.fromkeys(ids, result))
        known_session = session in check.seen.sessions and body.get("session_id") is None
        check.seen.sessions.setdefault(session, result)
    if old:
        fail("run ids of an earlier answer", "new runs", f"{old[0]} again")
    if body.get("session_id") is not None and session != body["session_id"]:
        fail("another session than the one given", f"session_id {body['session_id']}", str(session))
    if known_session:
        fail("a session of an earlier call", "a new session", f"{session} again")
    if not check.offers("get_run") or len(ids) != len(steps):
        return
    picked = (
        sorted({0, 1, len(ids) // 2, len(ids) - 2, len(ids) - 1} & set(range(len(ids))))
        if not case.get("all")
        else range(len(ids))
    )
    reads = [(index, context.ask("get_run", ids[index], after=[result])) for index in picked]
    for index, read in reads:
        _judge_step(context, body, steps[index], index, session, result, read)
    moments = [(index, moment_of(read.body.get("created_at"))) for index, read in reads]
    for (_, one), (_, other) in itertools.pairwise(moments):
        if one is not None and other is not None and one > other:
            fail(
                "steps created out of order",
                "runs created in the order of the steps",
                "a later step created earlier",
                *(r for _, r in reads[:2]),
            )
    attachments = [a for _, read in reads for a in read.body.get("input_attachment_ids") or ()]
    if len(set(attachments)) != len(attachments):
        fail(
            "steps share attachments",
            "attachments of its own for each run",
            "one attachment on two runs",
            *(r for _, r in reads[:2]),
        )
    if body.get("shared_file_inputs"):
        for index, read in (*reads[:2], *reads[2:][-1:]):
            _judge_files(
                context, body["shared_file_inputs"], read.body.get("input_attachment_ids") or (), index, result, fail
            )
    if check.offers("list_runs"):
        listed = context.ask("list_runs", query=[("session_id", session), ("limit", "1000")], after=[result])
        found = {item.get("id") for item in items_of(listed)}
        if not set(ids) <= found and body.get("session_id") is None:
            context.fail(
                Violation(
                    "LIST-COMPLETE", "a run of a chain is not listed", f"{len(ids)} runs", f"{len(found & set(ids))}"
                ),
                result,
                listed,
            )


def _judge_step(
    context: CaseContext,
    body: Mapping[str, Any],
    step: Mapping[str, Any],
    index: int,
    session: str,
    result: CallResult,
    read: CallResult,
) -> None:
    run = read.body

    def fail(cause: str, expected: str, got: Any) -> None:
        said = got if isinstance(got, str) else excerpt(json.dumps(got))
        context.fail(Violation("CHAIN-RULES", cause, expected, f"{said} in step {index + 1}"), result, read)

    if not is_run(run):
        return
    if run["workflow_id"] != step["workflow_id"]:
        fail("another workflow_id", f"workflow_id {step['workflow_id']}", run["workflow_id"])
    if run.get("session_id") != session:
        fail("another session", f"session_id {session}", run.get("session_id"))
    if (run.get("session_alias") or None) != (step.get("session_alias") or None):
        fail(
            "another session_alias", f"session_alias {json.dumps(step.get('session_alias'))}", run.get("session_alias")
        )
    shared, own = body.get("shared_inputs") or {}, step.get("inputs") or {}
    wanted = {**shared, **own}
    read_inputs = run.get("input_values") or {}
    named = body.get("machine_id") or body.get("pool_ids")
    has = {key: value for key, value in read_inputs.items() if key in wanted} if named else read_inputs
    clash = shared.keys() & own.keys()
    problem = difference(
        {k: v for k, v in wanted.items() if k not in clash}, {k: v for k, v in has.items() if k not in clash}
    )
    if problem is not None:
        fail("other inputs", "the step's and the shared inputs", problem)
    secrets = {**(body.get("shared_sensitive_inputs") or {}), **(step.get("sensitive_inputs") or {})}
    aliases = run.get("sensitive_input_aliases") or {}
    if aliases.keys() != secrets.keys():
        fail("aliases of other keys", f"aliases of {json.dumps(sorted(secrets))}", sorted(aliases))


def _judge_files(
    context: CaseContext,
    files: Sequence[Mapping[str, Any]],
    attachments: Sequence[str],
    index: int,
    result: CallResult,
    fail: Any,
) -> None:
    """Check that the run of a step has each of the shared files."""
    if len(attachments) != len(files):
        fail("shared files are not on a run", f"{len(files)} attachments in step {index + 1}", f"{len(attachments)}")
        return
    if not context.check.offers("download_run_attachment"):
        return
    left = sorted(base64.b64decode(file["content"]) for file in files)
    for attachment in attachments:
        read = context.ask("download_run_attachment", attachment, after=[result])
        if read.answer.body not in left:
            context.fail(
                Violation("ATTACHMENTS", "other bytes", "a shared file's bytes", f"{len(read.answer.body)} bytes"),
                result,
                read,
            )
            return
        left.remove(read.answer.body)


def _step(index: int, *names: str) -> dict[str, Any]:
    step: dict[str, Any] = {"workflow_id": f"«workflow:{index}»"}
    for name in names:
        value = write_bodies.STEP_FEATURES[name][0]
        step[name] = json.loads(json.dumps(value).replace("%d", str(index)))
    return step


def chain_cases(check: CheckContext) -> Iterator[Case]:
    distinct = check.workflows.invented
    many = (1, 2, 3, 4, 5, 8, 10, 11, 16, 17, 20, 33, 50, 51, 64, 100, 101)
    names = tuple(write_bodies.STEP_FEATURES)
    for size in many:
        steps = [_step(index if distinct else 0, *names) for index in range(size)]
        yield {"body": {"steps": steps}, "all": size <= 20}
        yield {"body": {"steps": [{"workflow_id": step["workflow_id"]} for step in steps]}}
    features = dict(write_bodies.CHAIN_FEATURES)
    for name, ids in (("machine_id", check.machines), ("pool_ids", check.pools), ("session_id", check.sessions)):
        if not ids.available:
            del features[name]
    plain = [_step(0), _step(1 if distinct else 0)]
    for subset in write_bodies.powerset(features):
        if len(subset) <= 2 or len(subset) == len(features):
            yield {"body": {"steps": plain} | subset, "all": True}
            yield {
                "body": {"steps": [_step(index if distinct else 0, *names) for index in range(3)]} | subset,
                "all": True,
            }
    for name in names:
        for position in (0, 1, 2):
            steps = [_step(index if distinct else 0, *([name] if index == position else [])) for index in range(3)]
            yield {"body": {"steps": steps}, "all": True}
    odd = {"inputs": VALUES, "session_alias": "  MiXed é łŁ 😀 ", "sensitive_inputs": {"Pass Word": "«secret»"}}
    plain_step: dict[str, Any] = {"workflow_id": "«workflow:0»"}
    for position in (0, 1, 2):
        steps = [plain_step | (odd if index == position else {}) for index in range(3)]
        yield {"body": {"steps": steps}, "all": True}
        yield {"body": {"steps": steps, "shared_inputs": {"shared": 1.0}}, "all": True}
    yield {"body": {"steps": [plain_step] * 3, "shared_inputs": VALUES}, "all": True}
    for alike in (_step(0), _step(0, "session_alias"), _step(0, *names)):
        yield {"body": {"steps": [alike] * 3}, "all": True}
    for name, value in (
        ("shared_inputs", {}),
        ("shared_inputs", None),
        ("shared_sensitive_inputs", {}),
        ("shared_file_inputs", []),
    ):
        yield {"body": {"steps": plain, name: value}}
    yield {
        "body": {
            "steps": plain,
            "shared_file_inputs": [boundary_values.file(), boundary_values.file("b.bin", bytes(range(256)))],
        },
        "all": True,
    }


def empty_cases(check: CheckContext) -> Iterator[Case]:
    """Yield chains in which a step has an empty field, with and without shared fields, or a shared field is empty."""
    shared = {name: values[0] for name, values in write_bodies.CHAIN_FEATURES.items() if name.startswith("shared")}
    full = _step(0, *write_bodies.STEP_FEATURES)
    for name in write_bodies.STEP_FEATURES:
        for empty in write_bodies.EMPTY["steps.session_alias" if name == "session_alias" else name]:
            yield {"body": {"steps": [full | {name: empty}, full], **shared}, "all": True}
            yield {"body": {"steps": [full, full | {name: empty}]}, "all": True}
    for name in shared:
        for empty in write_bodies.EMPTY[name]:
            yield {"body": {"steps": [full, _step(0)], **shared, name: empty}, "all": True}


SCENARIOS = (
    Scenario("chains", ("CHAIN-RULES", "ATTACHMENTS"), run_chain, chain_cases, needs=("create_run_chain",), priority=1),
    Scenario(
        "chains with empty fields",
        ("CHAIN-RULES", "REQ-NULL"),
        run_chain,
        empty_cases,
        needs=("create_run_chain",),
        priority=1,
    ),
)
