"""The severities of rules."""

from contracts.rules import REGISTRY


def test_loss_and_exposure_come_before_wrong_data_refusals_and_form():
    order = ["AUTH-TENANT", "BULK-ECHO", "REQ-COUNT", "HTTP-ERROR-JSON"]
    assert [REGISTRY[rule].severity for rule in order] == ["critical", "major", "moderate", "minor"]
