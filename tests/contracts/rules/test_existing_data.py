"""A check that may create nothing judges what the target has already."""

import httpx
import pytest

from contracts.core.findings import CheckResult
from tests.contracts.checks import TOKENS, checked
from tests.standin.behaviour import Standin
from tests.standin.serving import serving

RULES = {"AUTH-REQUIRED", "AUTH-SCHEME", "AUTH-TOKEN", "AUTH-TENANT", "READ-INCLUDE", "REQ-ERROR"}


class ReadsNeedNoToken(Standin):
    def authorize(self, authorization, operation):
        is_read = operation.startswith(("list", "get"))
        return super().authorize(f"Bearer {TOKENS[0]}" if is_read and not authorization else authorization, operation)


class TokensShareAnOrganisation(Standin):
    def authorize(self, authorization, operation):
        return super().authorize((authorization or "").replace(TOKENS[1], TOKENS[0]), operation)


class IncludedWorkflowsAreRenamed(Standin):
    def included(self, org, runs, include):
        return [{**one, "name": "another"} for one in super().included(org, runs, include)]


def checked_without_writes(kind: type[Standin] | None, **settings: object) -> CheckResult:
    with serving(kind) as url:
        for token in TOKENS:
            headers = {"Authorization": f"Bearer {token}"}
            workflow = httpx.get(f"{url}/v1/workflows", headers=headers).json()["items"][0]["id"]
            made = httpx.post(f"{url}/v1/runs/bulk", headers=headers, json={"workflow_id": workflow, "count": 2})
            assert made.status_code == 201
        return checked(url, allow_writes=False, **settings)


@pytest.mark.parametrize("settings", [{}, {"profile": "live"}])
def test_reads_alone_judge_credentials_organisations_and_included_resources(settings: dict[str, object]) -> None:
    result = checked_without_writes(None, **settings)

    assert not result.findings
    assert {rule.id for rule in result.rules if rule.status == "passed"} >= RULES
    assert result.spent.runs_created == 0


@pytest.mark.parametrize(
    ("kind", "rule", "cause"),
    [
        (ReadsNeedNoToken, "AUTH-REQUIRED", "list_runs succeeds without Authorization"),
        (TokensShareAnOrganisation, "AUTH-TENANT", "both tokens list the same run"),
        (IncludedWorkflowsAreRenamed, "READ-INCLUDE", "name of an included workflow reads differently"),
    ],
)
def test_reads_alone_find_a_fault(kind: type[Standin], rule: str, cause: str) -> None:
    result = checked_without_writes(kind, rules={rule}, profile="live")

    assert (rule, cause) in {(finding.rule, finding.cause) for finding in result.findings}
