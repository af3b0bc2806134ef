"""One test per rule: `pytest --pyargs contracts --target URL`."""

import pytest

from contracts.cli.pytest_session import NO_TARGET, rules_to_test, verdict_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rules = rules_to_test(metafunc.config)
    if rules is None:
        no_target = pytest.param("", marks=pytest.mark.skip(reason=NO_TARGET), id="no-target")
        metafunc.parametrize("rule", [no_target])
    else:
        metafunc.parametrize("rule", rules)


def test_rule(rule: str, request: pytest.FixtureRequest) -> None:
    verdict = verdict_of(rule, request.session)
    if verdict.status == "failed":
        pytest.fail(verdict.text, pytrace=False)
    if verdict.status != "passed":
        pytest.skip(f"{verdict.status.replace('_', ' ')}: {verdict.why}")
