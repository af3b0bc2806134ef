"""The kill rate of the suite over machine-made mutants of the stand-in: `python -m tests.contracts.mutation.score`.

Of all mutants a seeded sample is taken. Each is served by a process of its own and gets a whole check, as a user runs
it, which ends at its first stable finding. A survivor is sent the recorded requests of a check of the healthy
stand-in, one after the other, while no run progresses. If it answers all of them as the healthy one does, the mutant is
counted as equivalent, unless its change concerns time or concurrency, which such a record does not show.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import contracts.check
from contracts.core.exchange import Exchange
from contracts.core.findings import CouldNotCheck
from tests.contracts.checks import first_finding, guarded
from tests.contracts.matrix.replay import answers_from
from tests.contracts.mutation.operators import Mutant, mutants, mutated
from tests.standin.behaviour import Settings
from tests.standin.serving import serving

STANDIN = Path(__file__).parents[2] / "standin"
MODULES = ("behaviour", "models", "server", "store")
RECORDED_FOR_S = 20
REPLAYED = 4_000
"""Requests, from the end of the record."""


def sample(number: int, seed: int, modules: Sequence[str] = MODULES) -> list[tuple[Mutant, str]]:
    """That many with their sources. A mutant's place in the order depends on itself only, so that a change of the
    stand-in elsewhere leaves the rest of the sample as it was.
    """
    drawn: list[tuple[Mutant, str]] = []
    for mutant in sorted(_all_mutants(modules), key=lambda each: _rank(each, seed)):
        if len(drawn) == number:
            break
        try:
            drawn.append((mutant, mutated(_source(mutant.module), mutant.place)))
        except SyntaxError:
            continue
    return drawn


def _all_mutants(modules: Sequence[str]) -> list[Mutant]:
    return [each for module in modules for each in mutants(module, _source(module))]


def _rank(mutant: Mutant, seed: int) -> tuple[bytes, int]:
    what = f"{seed}/{mutant.module}/{mutant.operator}/{mutant.before}/{mutant.after}"
    return hashlib.sha256(what.encode()).digest(), mutant.place


def _source(module: str) -> str:
    return (STANDIN / f"{module}.py").read_text(encoding="utf-8")


# Serving a mutant


class Mutated(MetaPathFinder):
    """Finds one module of the stand-in, and has it made of another source."""

    def __init__(self, module: str, source: str) -> None:
        self._name = f"tests.standin.{module}"
        self._source = source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._name else None

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        module.__dict__["asyncio"] = __import__("asyncio")
        # With this module's __future__ annotations, FastAPI could not resolve those of local classes.
        code = compile(self._source, f"<mutant of {self._name}>", "exec", dont_inherit=True)
        exec(code, module.__dict__)


def serve(module: str, source: str, *, scheduling_s: float | None) -> None:
    # Also the package: `from tests.standin import models` takes the module that the package has as an attribute.
    for name in [each for each in sys.modules if each == "tests.standin" or each.startswith("tests.standin.")]:
        del sys.modules[name]
    sys.meta_path.insert(0, Mutated(module, source))
    from tests.standin.behaviour import Settings
    from tests.standin.serving import serving

    settings = Settings() if scheduling_s is None else Settings(scheduling_s=scheduling_s, running_s=scheduling_s)
    with serving(settings=settings) as url:
        print(url, flush=True)
        sys.stdin.read()


@contextmanager
def serving_mutant(mutant: Mutant, source: str, *, scheduling_s: float | None = None) -> Iterator[str | None]:
    """Yields its URL, None where it does not start."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as file:
        file.write(source)
        file.flush()
        args = [
            "--serve",
            mutant.module,
            file.name,
            *([] if scheduling_s is None else ["--scheduling", str(scheduling_s)]),
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.contracts.mutation.score", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip() or None
        finally:
            process.kill()
            process.communicate()


# Checking it


def checked(mutant: Mutant, source: str, recorded: Sequence[Exchange], *, max_time_s: float) -> dict[str, Any]:
    began = time.monotonic()
    with serving_mutant(mutant, source) as url:
        verdict = "does not start" if url is None else whole_check(url, max_time_s)
    row = {"name": mutant.name, "verdict": verdict, "s": round(time.monotonic() - began, 1)}
    if verdict == "survived" and not mutant.timed and not _differs(mutant, source, recorded):
        row["verdict"] = "equivalent"
    return row


def whole_check(url: str, max_time_s: float) -> str:
    """The rule of the first stable finding, why there could be no check, or `survived`."""

    with guarded(url, max_time_s=max_time_s) as guard:
        try:
            finding = first_finding(guard)
        except CouldNotCheck:
            return "could not check"
    return "survived" if finding is None else finding.rule


def record() -> tuple[Exchange, ...]:
    with serving() as url, guarded(url, max_time_s=RECORDED_FOR_S) as guard:
        contracts.check.check(guard.target, guard)
        return tuple(guard.exchanges)[-REPLAYED:]


def _differs(mutant: Mutant, source: str, recorded: Sequence[Exchange]) -> bool:
    """Whether it answers otherwise where two healthy ones answer the same."""
    healthy = []
    for _ in range(2):
        with serving(settings=Settings(scheduling_s=3600, running_s=3600)) as url:
            healthy.append(answers_from(url, recorded))
    with serving_mutant(mutant, source, scheduling_s=3600) as other:
        assert other is not None
        answers = answers_from(other, recorded)
    return any(one == same != another for one, same, another in zip(*healthy, answers, strict=True))


# The table


def table(rows: Sequence[dict[str, Any]], known: dict[str, Mutant], *, seed: int, max_time_s: float) -> str:
    """Markdown: the rate, then what survived, then what was killed by which rule."""
    verdicts = Counter(row["verdict"] for row in rows)
    not_counted = verdicts["equivalent"] + verdicts["does not start"]
    counted, survived = len(rows) - not_counted, verdicts["survived"]
    lines = [
        "# Mutants of the stand-in, and what kills them",
        "",
        f"Made by `make mutants N={len(rows)}` with seed {seed}: whole checks of at most {max_time_s:g} s, up to the "
        "first stable finding.",
        "",
        f"Killed {counted - survived} of {counted}. Not counted: {verdicts['equivalent']} that answer as the healthy "
        f"stand-in does, {verdicts['does not start']} that do not start.",
        "",
        "| mutant | line | operator | before | after | verdict | seconds |",
        "|---|---:|---|---|---|---|---:|",
    ]
    for row in sorted(rows, key=lambda row: (row["verdict"] != "survived", row["name"])):
        mutant = known[row["name"]]
        before, after = (text.replace("|", "\\|") for text in (mutant.before, mutant.after))
        lines.append(
            f"| `{mutant.name}` | {mutant.line} | {mutant.operator} | `{before}` | `{after}` | {row['verdict']} "
            f"| {row['s']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.mutation.score", description=__doc__)
    parser.add_argument("--number", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", choices=MODULES, action="append", help="mutants of this one only; repeatable")
    parser.add_argument("--max-time", type=float, default=60, help="seconds of a check")
    parser.add_argument("--out", type=Path, default=Path("build") / "mutants.md")
    parser.add_argument("--serve", nargs=2, metavar=("MODULE", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--scheduling", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        module, file = asked.serve
        serve(module, Path(file).read_text(encoding="utf-8"), scheduling_s=asked.scheduling)
        return
    recorded, rows, known = record(), [], {}
    for mutant, source in sample(asked.number, asked.seed, asked.module or MODULES):
        known[mutant.name] = mutant
        rows.append(checked(mutant, source, recorded, max_time_s=asked.max_time))
        print(json.dumps(rows[-1]), f"line {mutant.line}: {mutant.before}  ->  {mutant.after}", flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(table(rows, known, seed=asked.seed, max_time_s=asked.max_time), encoding="utf-8")
    print(f"written to {asked.out}")


if __name__ == "__main__":
    main()
