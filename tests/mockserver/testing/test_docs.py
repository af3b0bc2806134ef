"""The tests in the README and in docs/testing.md are run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[3]
MY_CLIENT = """
from types import SimpleNamespace

import httpx


class MyClient:
    def __init__(self, url, token):
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})

    def bulk(self, count):
        body = {"workflow_id": "10000000-0000-4000-8000-000000000001", "count": count}
        for _ in range(5):
            answer = self.http.post("/v1/runs/bulk", json=body)
            if answer.status_code < 500:
                return [SimpleNamespace(**run) for run in answer.json()["created_runs"]]
        raise RuntimeError("given up")
"""


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def run_all(pytester: pytest.Pytester, texts: list[str]) -> pytest.RunResult:
    pytester.makepyfile(my_client=MY_CLIENT)
    pytester.makepyfile(**{f"test_block_{number}": text for number, text in enumerate(texts)})
    pytester.syspathinsert()
    return pytester.runpytest_inprocess("-p", "no:cov", "-p", "no:schemathesis")


def test_the_test_in_the_readme_passes(pytester):
    run_all(pytester, blocks("README.md")).assert_outcomes(passed=1)


def test_the_tests_in_the_documentation_pass(pytester):
    texts = blocks("docs/testing.md")
    assert len(texts) == 4
    run_all(pytester, texts).assert_outcomes(passed=sum(text.count("\ndef test_") for text in texts))


def test_the_table_of_the_fixture_names_all_that_it_has():
    from mockserver import CyberdeskMock
    from mockserver.testing import MockClock, Run, Runs

    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    internal = {"last_requests", "requests_outside", "last_seq_outside"}
    for kind in (CyberdeskMock, MockClock, Runs, Run):
        for name in sorted(vars(kind).keys() - internal):
            assert name.startswith("_") or re.search(rf"\b{name}\b", text), f"{kind.__name__}.{name}"
