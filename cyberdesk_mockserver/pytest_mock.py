"""Loads `mockserver.pytest_plugin`, unless another package named mockserver is found: then pytest runs without it."""

from cyberdesk_mockserver import problem_of

_PROBLEM = problem_of("mockserver")
pytest_plugins = () if _PROBLEM else ("mockserver.pytest_plugin",)


def pytest_report_header() -> list[str]:
    return [f"cyberdesk_mock is not available: {_PROBLEM}"] if _PROBLEM else []
