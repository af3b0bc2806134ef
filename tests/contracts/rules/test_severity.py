"""Each rule has a severity, and the table names nothing else."""

from contracts.rules import REGISTRY
from contracts.rules.rule import SEVERITY_OF


def test_each_rule_has_a_severity_and_the_table_names_nothing_else():
    assert set(SEVERITY_OF) == set(REGISTRY)


def test_loss_and_exposure_come_before_wrong_data_refusals_and_form():
    order = ["AUTH-TENANT", "BULK-ECHO", "REQ-COUNT", "HTTP-ERROR-JSON"]
    assert [REGISTRY[rule].severity for rule in order] == ["critical", "major", "moderate", "minor"]
