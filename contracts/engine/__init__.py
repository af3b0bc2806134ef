"""Runs the cases of scenarios, judges the answers, and turns violations into findings.

This module exports what scenarios use.
"""

from contracts.engine.case import Case
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Evidence, Inconclusive, OutOfTime, RuleViolated, WriteResult, assume
from contracts.engine.scenario import Scenario, ScenarioCase

__all__ = ["CallResult", "Case", "CaseContext", "CheckContext", "Evidence", "Ids", "Inconclusive", "OutOfTime"]
__all__ += ["RuleViolated", "Scenario", "ScenarioCase", "WriteResult", "assume"]
