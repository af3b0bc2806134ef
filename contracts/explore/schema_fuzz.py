"""Runs schemathesis in addition to our own engine. It covers every schema, boundary values of each (its coverage phase)
and links between operations.

schemathesis runs in a separate process, by its command line and its hooks, against the guard's loopback proxy. So the
guard's budget, ownership, pace and journal apply to its requests, and it knows no token. Our rules judge its requests
and their answers (`recorded_traffic`), and what its own checks report is not used. Our runner shrinks and repeats the
failures, and leaves out those that our own scenarios have found already.

Only the command line, the configuration and the hooks of schemathesis are used. They are documented, with two
exceptions: `python -m schemathesis.cli`, which works even if its script is not on the path, and `Case.meta` in the
hooks, the only source for the phase of a request and for whether it is meant to be invalid.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import contracts
from contracts.core.exchange import Exchange
from contracts.engine import CaseContext, CheckContext, RuleViolated
from contracts.engine.results import NOT_JUDGED
from contracts.engine.runner import Runner
from contracts.explore.recorded_traffic import RECORDED, KnownResources, Record, judge_recorded
from contracts.explore.schema_plan import VARIABLE, SchemaPlan
from contracts.rules.writes import optional_ids

JUDGES: Final = frozenset(
    {
        *("REQ-COUNT", "REQ-WORKFLOW", "REQ-TYPES", "REQ-NULL", "REQ-FILES", "REQ-ACCEPT", "REQ-BODY", "REQ-ERROR"),
        *("NO-5XX", "AUTH-REQUIRED", "AUTH-SCHEME", "AUTH-TOKEN", "SECRET-LEAK"),
        *("BULK-STATUS", "BULK-COUNT", "BULK-IDS", "BULK-ECHO", "BULK-INITIAL", "BULK-SESSION", "BULK-FILES"),
        *("BULK-ALIASES", "CREATE-ANSWER", "READ-BACK", "READ-UNKNOWN", "LIST-COMPLETE", "LIST-PAGE", "LIST-FILTER"),
        *("UPDATE-PARTIAL", "DELETE-GONE", "RETRY-RULES", "CHAIN-RULES", "ATTACHMENTS"),
        *("HTTP-ERROR-JSON", "HTTP-SCHEMA"),
    }
)
EXAMPLES: Final = 6
"""The number of requests for each operation in the fuzzing phase, in one check."""
MOST_S: Final = 10.0
"""The most seconds in one check, in parallel with scenarios."""
LEAST_S: Final = 4.0
"""The least seconds for which it is worth starting the process."""
MAX_REQUESTS: Final = 700
"""The most requests for each of the two entries of PHASES."""
NICE: Final = 10
"""The niceness of the process: the scenarios that run in parallel find more, so they come first."""
POLL_S: Final = 0.05
_MAX_JUDGEMENTS: Final = 4
"""How often one exchange is judged at most."""
JUDGING_S: Final = 10.0
"""The most seconds for judging the recorded exchanges, in addition to the part's share of the time."""

PHASES: Final = (("fuzzing,stateful", "--include-path-regex", "^/v1/runs"), ("examples,coverage",))
"""Phases and their flags, by call of schemathesis. Two calls, so that a slow target gets requests of both. The first is
limited to runs: among all operations, it would hardly follow any link. The second sends the same requests each time,
so it runs only in the first round.
"""

_SEQUENCES: Final = 4
"""The number of sequences of linked requests for each example."""
_CONFIG: Final = """\
max-redirects = 0
[phases.fuzzing.generation]
max-examples = {examples}
[phases.stateful.generation]
max-examples = {sequences}
[phases.coverage]
unexpected-methods = []
[checks.allow_header_conformance]
enabled = false
[checks.response_headers_conformance]
enabled = false
[checks.object_level_authorization]
enabled = false
"""
"""Undocumented methods are left out, since `rules/http_errors.py` sends them all."""


@contextlib.contextmanager
def exploring_schema(
    runner: Runner, wanted: Collection[str], *, examples: int, until: float, round_number: int = 0
) -> Iterator[None]:
    """Run schemathesis during the `with` block, until `until` (monotonic). After the block, judge its requests for at
    most JUDGING_S. Raises OutOfTime if the time of the check ends meanwhile.
    """
    check = runner.check
    with tempfile.TemporaryDirectory(prefix="contracts-") as name:
        folder = Path(name)
        plan, prepared = _plan(check)
        check.guard.proxy.take_exchanges()
        plan.write(folder / "plan.json")
        config = _CONFIG.format(examples=examples, sequences=_SEQUENCES * examples)
        (folder / "schemathesis.toml").write_text(config, encoding="utf-8")
        seed = check.random("schema", round_number, *check.target.shard).getrandbits(31)
        commands = [[*_flags(check, seed), "--phases", *phases] for phases in (PHASES[:1] if round_number else PHASES)]
        ended = threading.Event()

        def run_all() -> None:
            for flags in commands:
                if time.monotonic() < until and not ended.is_set():
                    _run(check, folder, flags, until, ended)

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run_all)
            try:
                yield
                running.result()
            finally:
                ended.set()
        exchanges = [*prepared, *check.guard.proxy.take_exchanges()]
        _judge_exchanges(runner, wanted, exchanges, plan, time.monotonic() + JUDGING_S)


# The parameters of schemathesis


def _plan(check: CheckContext) -> tuple[SchemaPlan, list[Exchange]]:
    """Return the plan, and the exchanges that have created its runs."""
    unknown = [str(CaseContext(check).placeholder("unknown")) for _ in range(20)]
    context = CaseContext(check)
    runs, attachments = _runs_for_schemathesis(context)
    in_bodies = {"workflow_id": check.workflows} | optional_ids(check)
    plan = SchemaPlan(
        secret=check.canaries.text(0),
        known={name: list(ids.known) for name, ids in in_bodies.items() if not ids.accepts_any_id},
        paths={name: list(ids[:3]) for name, ids in check.known_ids.items()}
        | {"run_id": runs, "attachment_id": attachments},
        unknown=unknown,
    )
    return plan, context.exchanges


def _runs_for_schemathesis(context: CaseContext) -> tuple[list[str], list[str]]:
    """Create some runs, cancel a third of them, and return the ids of the runs and of their attachments."""
    body = {"workflow_id": "«workflow»", "count": 9, "file_inputs": [{"filename": "a.txt", "content": "YQ=="}]}
    try:
        runs = context.create("bulk_create_runs", body).runs
        if context.check.offers("update_run"):
            for run in runs[::3]:
                context.cancel(run["id"])
    except (RuleViolated, *NOT_JUDGED):
        return [], []
    attachments = [
        attachment
        for run in runs
        for attachment in run.get("input_attachment_ids") or ()
        if isinstance(attachment, str)
    ]
    return [run["id"] for run in runs], attachments


# The process


def _run(check: CheckContext, folder: Path, flags: Sequence[str], until: float, ended: threading.Event) -> None:
    """Run schemathesis until it ends, until `until`, until it has sent MAX_REQUESTS or until `ended` is set."""
    output = folder / "output.txt"
    with as_file(files("openapi") / "cyberdesk.yaml") as document, output.open("wb") as out:
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(document), *flags]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # only this process handles Ctrl-C
        )
        if hasattr(os, "setpriority"):  # not on Windows
            with contextlib.suppress(ProcessLookupError):  # it may have ended
                os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        enough = check.guard.proxy.forwarded + MAX_REQUESTS
        try:
            while process.poll() is None and not ended.is_set():
                if time.monotonic() >= until or check.guard.proxy.forwarded >= enough:
                    return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode not in {0, 1} and not ended.is_set():
        printed = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        check.note(f"schemathesis could not run: {' '.join(printed[-3:])[:300]}")


def _flags(check: CheckContext, seed: int) -> Iterator[str]:
    yield from ("--url", check.guard.proxy.url, "-H", "Authorization: Bearer $TOKEN")
    yield from ("--checks", "all", "--continue-on-failure", "--no-shrink", "--no-color")
    yield from ("--seed", str(seed), "--generation-database", "none")
    yield from ("--generation-with-security-parameters", "false", "--request-timeout", "20")
    yield from ("--suppress-health-check", "all", "--warnings", "off")
    for operation in check.not_offered:
        yield from ("--exclude-operation-id", operation)


def _environment(folder: Path) -> dict[str, str]:
    """Return our environment without tokens, and without proxies, since the guard's proxy is on this machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "TOKEN" not in name and not name.lower().endswith("_proxy") and not name.startswith("SCHEMATHESIS")
    }
    paths = [str(Path(contracts.__file__).parents[1]), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {
        "SCHEMATHESIS_HOOKS": "contracts.explore.schema_hooks",
        "PYTHONPATH": os.pathsep.join(paths),
        VARIABLE: str(folder / "plan.json"),
        "NO_PROXY": "*",
    }


# Results


def _judge_exchanges(
    runner: Runner, wanted: Collection[str], exchanges: Sequence[Exchange], plan: SchemaPlan, until: float
) -> None:
    """Judge the recorded exchanges in their order, and look into new violations."""
    check = runner.check
    record = Record(exchanges, secret=plan.secret)
    known_resources = KnownResources(unknown=set(plan.unknown))
    known_resources.alive.update(plan.paths["run_id"])
    for position, exchange in enumerate(exchanges):
        if time.monotonic() > until:
            check.note("Not all of what schemathesis sent could be looked into in time.")
            return
        if (exchange.request.header("user-agent") or "").startswith("schemathesis"):
            violated = _first_wanted(check, exchange, known_resources, wanted)
            # One cause is one finding: a field that is wrong in every answer is reported by the first rule that saw it.
            if violated is not None and not check.knows_cause(violated.violation):
                runner.investigate(RECORDED, record.case_at(position), violated)
        known_resources.learn(exchange)


def _first_wanted(
    check: CheckContext, exchange: Exchange, known_resources: KnownResources, wanted: Collection[str]
) -> RuleViolated | None:
    """Return the first new violation of a wanted rule; None if there is none.

    After a violation of another rule, which is known from then on, the exchange is judged again.
    """
    for _ in range(_MAX_JUDGEMENTS):
        context = CaseContext(check)
        try:
            judge_recorded(context, context.observe(exchange), known_resources)
            return None
        except RuleViolated as violated:
            if violated.rule in wanted:
                return violated
            check.note_known(violated.violation)
        except NOT_JUDGED:
            return None
    return None
