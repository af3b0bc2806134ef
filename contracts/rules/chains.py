"""Chains: several workflows, one after the other, in one session."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.findings import Rule
from contracts.data import file, limits, write_bodies
from contracts.data.json_values import SAMPLE
from contracts.data.value_packs import without_references
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario
from contracts.openapi.schemas import moment_of
from contracts.oracle import ParsedRequest, Violation, difference, value_in_words
from contracts.oracle.answer_schema import is_run
from contracts.rules.list_reads import WHOLE_PAGE, items_of
from contracts.rules.reads_by_id import READING_AND_CHANGING, judge_read
from contracts.rules.writes import with_available_ids

RULES = (
    Rule(
        "CHAIN-RULES",
        "api",
        "major",
        "A chain has one run for each step, in order, in one session",
        "201 with session_id and run_ids, one for each step, in their order. Each run has its step's workflow, "
        "inputs, session_alias and the keys of its secrets, and the shared ones. All are in the same session, and "
        "execute one after the other. None was created before the request.",
        READING_AND_CHANGING,
        needs=("create_run_chain",),
        value_fields=(
            *("run_ids", "session_id", "workflow_id", "session_alias", "input_values"),
            *("sensitive_input_aliases", "input_attachment_ids"),
        ),
    ),
)


@dataclass(frozen=True)
class ChainCase(Case):
    """A chain that is sent `times` times."""

    body: dict[str, Any]
    times: int = 1
    reads_all: bool = False
    """Whether all of its runs are read, and not only the first two, a middle one and the last two."""
    deletes_first: bool = False
    """Whether the run of the first step is then deleted: the others must keep their files."""

    @property
    def expected_runs(self) -> int:
        return super().expected_runs * self.times


def run_chain(context: CaseContext, case: ChainCase) -> None:
    body = context.fill(case.body)
    for _ in range(max(1, case.times)):
        _create_and_judge(context, case, body)


def _create_and_judge(context: CaseContext, case: ChainCase, body: dict[str, Any]) -> None:
    began = context.check.seen.earliest_clock_at(datetime.now(UTC))
    written = context.write("create_run_chain", body=body)
    ended = context.check.seen.latest_clock_at(datetime.now(UTC))
    result = written.result
    if not result.accepted or not written.parsed.is_valid or not written.runs_are_reliable:
        return
    ids = result.body["run_ids"]
    chain = _Chain(context, body, written.parsed, result, result.body["session_id"], ids)
    chain.judge_ids()
    if not context.check.offers("get_run") or len(ids) != len(body["steps"]):
        return
    steps, last = range(len(ids)), len(ids) - 1
    to_read = [step for step in steps if case.reads_all or step in {0, 1, len(ids) // 2, last - 1, last}]
    reads = [(index, context.call_valid("get_run", ids[index], after=[result])) for index in to_read]
    for index, read in reads:
        chain.judge_step(index, read)
    chain.judge_together([read for _, read in reads], began, ended)
    has_files = bool(body.get("shared_file_inputs"))
    downloads: list[CallResult] = []
    if has_files:
        for index, read in (*reads[:2], *reads[2:][-1:]):
            downloads = chain.judge_files(index, read)
    if context.check.offers("list_runs"):
        chain.judge_list([read for _, read in reads])
    if case.deletes_first and context.check.offers("delete_run"):
        deleted = context.call("delete_run", ids[0])
        if deleted.accepted:
            if has_files:
                chain.judge_files(*reads[-1], *downloads, deleted)
            chain.judge_step(1, context.call_valid("get_run", ids[1], after=[result, deleted]), deleted)


@dataclass(frozen=True, slots=True)
class _Chain:
    """A chain that the target created, with its request and what the answer reports."""

    context: CaseContext
    body: Mapping[str, Any]
    parsed: ParsedRequest
    result: CallResult
    session: str
    ids: list[str]

    def _require(self, holds: bool, cause: str, expected: str, *reads: CallResult, got: str) -> bool:
        return self.context.require(holds, "CHAIN-RULES", cause, expected, self.result, *reads, got=got)

    def judge_ids(self) -> None:
        """Judge the ids of the answer: new ones, one for each step, and the session that the request names."""
        ids, session, joins, seen = self.ids, self.session, self.body.get("session_id"), self.context.check.seen
        steps, got = len(self.body["steps"]), counted(len(ids), "run id")
        self._require(len(ids) == steps, "not one run per step", counted(steps, "run id"), got=got)
        expected = "a run of its own for each step"
        self._require(len(set(ids)) == len(ids), "one run for several steps", expected, got="a run id twice")
        with self.context.check.lock:
            old = [run_id for run_id in ids if run_id in seen.runs]
            seen.runs.update(dict.fromkeys(ids, self.result))
            known_session = session in seen.sessions and joins is None
            seen.sessions.setdefault(session, self.result)
        got = f"run id {next(iter(old), '')} of an earlier answer"
        self._require(not old, "run ids of an earlier answer", "new run ids", got=got)
        expected = f"session_id {joins}"
        self._require(joins in (None, session), "not the session of the request", expected, got=f"session_id {session}")
        got = f"session_id {session} of an earlier answer"
        self._require(not known_session, "a session of an earlier call", "a new session", got=got)

    def judge_step(self, index: int, read: CallResult, *earlier: CallResult) -> None:
        """Judge the run of a step by the step and by what all steps share. `earlier` may have changed the run."""
        run, step = read.body, self.body["steps"][index]

        def fail(cause: str, expected: str, got: str, field: str = "") -> None:
            at = f" in the run of step {index + 1} of {len(self.body['steps'])}"
            violation = Violation("CHAIN-RULES", cause, expected, got + at, field=field)
            self.context.report_violation(violation, self.result, *earlier, read)

        if not is_run(run):
            return
        if run["workflow_id"] != step["workflow_id"]:
            fail("another workflow_id", f"workflow_id {step['workflow_id']}", f"workflow_id {run['workflow_id']}")
        if run.get("session_id") != self.session:
            fail("another session", f"session_id {self.session}", f"session_id {run.get('session_id') or 'null'}")
        alias, wanted_alias = run.get("session_alias"), step.get("session_alias")
        if (alias or None) != (wanted_alias or None):
            expected, got = (f"session_alias {value_in_words(one)}" for one in (wanted_alias, alias))
            fail("another session_alias", expected, got)
        problem = self._input_difference(step, run)
        if problem is not None:
            fail("other inputs", "the step's and the shared inputs", problem, "input_values")
        secrets = self._secrets_of(step)
        aliases = run.get("sensitive_input_aliases") or {}
        if aliases.keys() != secrets.keys():
            expected, got = (f"aliases of {value_in_words(sorted(one))}" for one in (secrets, aliases))
            fail("aliases of other keys", expected, got)

    def _input_difference(self, step: Mapping[str, Any], run: Mapping[str, Any]) -> str | None:
        """Describe how the inputs of a run differ from those of its step and the shared ones."""
        shared, own = self.body.get("shared_inputs") or {}, step.get("inputs") or {}
        wanted, shown = {**shared, **own}, run.get("input_values") or {}
        if self.body.get("machine_id") or self.body.get("pool_ids"):  # these may add inputs
            shown = {key: value for key, value in shown.items() if key in wanted}
        # The contract does not determine the value of a key that is both an input and a secret.
        clash = wanted.keys() & self._secrets_of(step).keys()
        sent, read_back = ({key: one for key, one in each.items() if key not in clash} for each in (wanted, shown))
        return difference(sent, read_back, "input_values")

    def _secrets_of(self, step: Mapping[str, Any]) -> dict[str, Any]:
        return {**(self.body.get("shared_sensitive_inputs") or {}), **(step.get("sensitive_inputs") or {})}

    def judge_together(self, reads: Sequence[CallResult], began: datetime, ended: datetime) -> None:
        """Judge that the runs were created from `began` to `ended`, in order, with their own files."""
        moments = [at for at in (moment_of(read.body.get("created_at")) for read in reads) if at is not None]
        if moments:
            expected, got = f"created_at from {began.isoformat()} on", f"created_at {min(moments).isoformat()}"
            self._require(min(moments) >= began, "created_at is before the request", expected, *reads[:1], got=got)
            expected, got = f"created_at until {ended.isoformat()}", f"created_at {max(moments).isoformat()}"
            self._require(max(moments) <= ended, "created_at is after the answer", expected, *reads[-1:], got=got)
        expected, got = "runs created in the order of the steps", "a later step created earlier"
        self._require(moments == sorted(moments), "steps created out of order", expected, *reads[:2], got=got)
        attachments = [a for read in reads for a in read.body.get("input_attachment_ids") or ()]
        is_own, expected = len(set(attachments)) == len(attachments), "attachments of its own for each run"
        self._require(is_own, "steps share attachments", expected, *reads[:2], got="one attachment on two runs")

    def judge_files(self, index: int, read: CallResult, *earlier: CallResult) -> list[CallResult]:
        """Judge that the run of a step has each of the shared files. `earlier` may have changed them. Return the
        downloads.
        """
        context, files = self.context, self.body["shared_file_inputs"]
        attachments = read.body.get("input_attachment_ids") or ()
        cause, noun = "shared files are not on a run", "input attachment"
        expected, got = f"{counted(len(files), noun)} in the run of step {index + 1}", counted(len(attachments), noun)
        has_all = len(attachments) == len(files)
        downloads: list[CallResult] = []
        if not self._require(has_all, cause, expected, got=got):
            return downloads
        left = sorted(base64.b64decode(file["content"]) for file in files)
        for attachment in attachments if context.check.offers("download_run_attachment") else ():
            content = context.call_valid("download_run_attachment", attachment, after=[self.result, *earlier])
            downloads.append(content)
            raw, expected = content.answer.body, "the bytes of a shared file"
            got = f"other content ({counted(len(raw), 'byte')})"
            evidence = (self.result, *earlier, content)
            if not context.require(raw in left, "ATTACHMENTS", "other bytes", expected, *evidence, got=got):
                return downloads
            left.remove(raw)
        return downloads

    def judge_list(self, reads: Sequence[CallResult]) -> None:
        """Judge that a list by the session has the runs, as they were read."""
        query = [("session_id", self.session), WHOLE_PAGE]
        listed = self.context.call_valid("list_runs", query=query, after=[self.result])
        items = {item.get("id"): item for item in items_of(listed)}
        found = items.keys() & set(self.ids)
        is_listed = len(found) == len(self.ids) or self.body.get("session_id") is not None
        cause = "a run of a chain is not listed"
        wanted, got = f"the {counted(len(self.ids), 'run')} of the chain", f"a list with {len(found)} of them"
        self.context.require(is_listed, "LIST-COMPLETE", cause, wanted, self.result, listed, got=got)
        for read in reads:
            item = items.get(read.body.get("id"))
            if item is not None:
                judge_read(self.context, read.body, item, self.parsed, (self.result, read, listed))


def _step(index: int, *names: str, workflow: int | None = None) -> dict[str, Any]:
    features = {name: write_bodies.for_step(write_bodies.STEP_FEATURES[name][0], index) for name in names}
    return {"workflow_id": f"«workflow:{index if workflow is None else workflow}»"} | features


def chain_cases(check: CheckContext) -> Iterator[ChainCase]:
    workflows = limits.MAX_COUNT if check.workflows.accepts_any_id else max(1, len(check.workflows.known))
    names = tuple(write_bodies.STEP_FEATURES)

    def steps_of(*features: Sequence[str]) -> list[dict[str, Any]]:
        return [_step(index, *some, workflow=index % workflows) for index, some in enumerate(features)]

    features = with_available_ids(check, write_bodies.CHAIN_FEATURES)
    plain = steps_of((), ())
    # The first two chains have every field between them.
    yield _full_case(steps_of(names, ("inputs",), names))
    placed = {name: values[0] for name, values in features.items() if name not in _SHARED}
    yield ChainCase({"steps": plain} | placed, reads_all=True)
    for number, size in enumerate(reversed(limits.above(1, 101))):  # the longest chain has every field
        yield ChainCase({"steps": steps_of(*[() if number % 2 else names] * size)}, reads_all=size <= 11)
    yield ChainCase({"steps": steps_of(names)})
    for number, subset in enumerate(write_bodies.powerset(features)):
        if len(subset) <= 2 or len(subset) == len(features):
            steps = steps_of(*[names] * 3) if number % 2 else plain
            yield ChainCase({"steps": steps} | subset, reads_all=True)
    for name in names:
        for position in range(3):
            one: list[tuple[str, ...]] = [(name,) if index == position else () for index in range(3)]
            yield ChainCase({"steps": steps_of(*one)}, reads_all=True)
    inputs = without_references(SAMPLE)
    unusual = {"inputs": inputs, "session_alias": "  MiXed é łŁ 😀 ", "sensitive_inputs": {"Pass Word": "«secret»"}}
    plain_step: dict[str, Any] = {"workflow_id": "«workflow:0»"}
    # A step's value takes the place of the shared one of its name, whole: what is in them is not merged.
    same_names = {name: {"shared": 1.0} for name, value in inputs.items() if isinstance(value, dict | list)}
    for position in range(3):
        steps = [plain_step | (unusual if index == position else {}) for index in range(3)]
        yield ChainCase({"steps": steps}, reads_all=True)
        yield ChainCase({"steps": steps, "shared_inputs": {"shared": 1.0} | same_names}, reads_all=True)
    yield ChainCase({"steps": [plain_step] * 3, "shared_inputs": inputs}, reads_all=True)
    empty = {"text": "", "no": False, "zero": 0, "list": [], "object": {}}  # a server may take them for no value
    steps = [plain_step | {"inputs": empty}, plain_step]
    yield ChainCase({"steps": steps, "shared_inputs": dict.fromkeys(empty, "shared")}, reads_all=True)
    for alike in (_step(0), _step(0, "session_alias"), _step(0, *names)):
        yield ChainCase({"steps": [alike] * 3}, times=2, reads_all=True)


_SHARED: Final[dict[str, Any]] = {
    name: values[0] for name, values in write_bodies.CHAIN_FEATURES.items() if name.startswith("shared")
}


def _full_case(steps: Sequence[dict[str, Any]]) -> ChainCase:
    """Return a chain with every shared field, in which each step has its own value for one of the shared inputs."""
    own = dict.fromkeys(list(_SHARED["shared_inputs"])[:1], "own")
    steps = [step | {"inputs": step["inputs"] | own} for step in steps]
    files = [file(), file("b.bin", bytes(range(256)))]
    return ChainCase({"steps": steps, **_SHARED, "shared_file_inputs": files}, reads_all=True, deletes_first=True)


def empty_cases(check: CheckContext) -> Iterator[ChainCase]:
    """Yield chains in which a step has an empty field, with and without shared fields, or a shared field is empty."""
    full = _step(0, *write_bodies.STEP_FEATURES)
    for name in write_bodies.STEP_FEATURES:
        for empty in write_bodies.EMPTY[name]:
            yield ChainCase({"steps": [full | {name: empty}, full], **_SHARED}, reads_all=True)
            yield ChainCase({"steps": [full, full | {name: empty}]}, reads_all=True)
    for name in _SHARED:
        for empty in write_bodies.EMPTY[name]:
            yield ChainCase({"steps": [full, _step(0)], **_SHARED, name: empty}, reads_all=True)
            yield ChainCase({"steps": [_step(0), _step(0)], name: empty})


SCENARIOS = (
    Scenario("chains", ("CHAIN-RULES", "ATTACHMENTS"), run_chain, chain_cases, needs=("create_run_chain",)),
    Scenario(
        "chains with empty fields", ("CHAIN-RULES", "REQ-NULL"), run_chain, empty_cases, needs=("create_run_chain",)
    ),
)
