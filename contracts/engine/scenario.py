"""The class of scenarios."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hypothesis.strategies import SearchStrategy

from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext

C = TypeVar("C")


@dataclass(frozen=True)
class Scenario(Generic[C]):
    """A function that tries to violate some rules, and the cases that it is called with. `run` raises RuleViolated."""

    name: str
    rules: tuple[str, ...]
    run: Callable[[CaseContext, C], None]
    cases: Callable[[CheckContext], Iterable[C]] = lambda check: ()
    generated: Callable[[CheckContext], SearchStrategy[C]] | None = None
    """Returns a strategy for further cases. Hypothesis generates `examples` of them in one check."""
    examples: int = 0
    needs: tuple[str, ...] = ()
    """The operations that the target must offer for it to run."""
    creates_runs: bool = True
    """Whether its cases may create runs."""
    attempts: int = 2
    """How often a failing case is repeated before it counts as unstable: more than 2 if it depends on chance."""
    is_parallel: bool = True
    """Whether its cases may run in parallel with each other. Those of other scenarios may, unless it `is_exclusive`."""
    is_exclusive: bool = False
    """Whether each of its cases runs alone, except for cases of scenarios that `mostly_waits`."""
    weight: float = 1
    """Its share of requests in each round is multiplied by this. If 0, it runs in the last round only."""
    order: int = 1
    """Scenarios with a smaller number run first."""
    mostly_waits: bool = False
    """Whether its cases mostly wait for time to pass. They run in parallel with each other and all scenarios: the first
    ones from the beginning, the others from the end of the first round.
    """
    is_last: bool = False
    """Whether it runs after all others."""


ScenarioCase = tuple[Scenario[Any], Any]
"""A case and the scenario that runs it."""
