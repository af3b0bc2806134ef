"""`--faults FILE`: what each namespace begins with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mockserver import Settings, StartError, create_app
from tests.mockserver.inprocess import Mock

ADMIN: dict[str, Any] = {"headers": {"Host": "localhost"}, "token": None}
FAULTS = """
- {match: list_machines, times: 1, answer: {status: 503}}
- {preset: partial-failure}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "faults.yaml"
    path.write_text(FAULTS, encoding="utf-8")
    return path


def statuses(mock: Mock, namespace: str) -> list[int]:
    return [mock.get(f"{namespace}/v1/machines", fails=fails).status_code for fails in (True, False)]


@pytest.mark.parametrize("namespace", ["", "/__ns/a"])
def test_every_namespace_begins_with_them_and_again_after_a_reset(path: Path, namespace: str):
    mock = Mock(faults=path)
    assert statuses(mock, namespace) == [503, 200]
    mock.request("DELETE", f"{namespace}/__admin/faults", **ADMIN)
    assert mock.get(f"{namespace}/__admin/faults", **ADMIN).json()["total"] == 0
    mock.post(f"{namespace}/__admin/reset", **ADMIN)
    assert mock.get(f"{namespace}/__admin/faults", **ADMIN).json()["total"] == 2
    assert statuses(mock, namespace) == [503, 200]


def test_json_is_taken_too(tmp_path: Path):
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([{"match": "list_machines", "times": 1, "answer": {"status": 500}}]), encoding="utf-8")
    assert statuses(Mock(faults=str(path)), "/__ns/b") == [500, 200]


def test_a_namespace_that_holds_nothing_else_is_let_go(path: Path):
    mock = Mock(faults=path)
    namespace = mock.app.namespaces.default
    assert mock.run(namespace.is_empty())
    statuses(mock, "")
    assert not mock.run(namespace.is_empty())
    mock.post("/__admin/reset", **ADMIN)
    assert mock.run(mock.app.namespaces.default.is_empty())
    mock.request("DELETE", "/__admin/faults", **ADMIN)
    assert not mock.run(mock.app.namespaces.default.is_empty())


def refusal_of(path: Path, text: str) -> str:
    """Why a mock does not start with a file of this text, without the path that it begins with."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StartError) as refused:
        create_app(Settings(faults=path))
    start = f"{path}: "
    assert str(refused.value).startswith(start)
    return str(refused.value).removeprefix(start)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1", "should be a list of faults"),
        ("", "should be a list of faults"),
        ("- 5", "#/0: should be a fault, such as"),
        ("- {1: 2}", "#/0: should be a fault, such as"),
        ("- {match: lst_runs, times: 1, answer: {status: 500}}", "#/0/match: 'lst_runs' matches no request: did you"),
        ("- {answer: {status: 500}}", "#/0/match: say which requests are meant"),
        ("- {preset: flaky}\n- {match: '*', answer: {status: 99}}", "#/1/answer/status: from 200 to 599, not 99"),
        ("- {match: '*', times: 0, answer: {status: 500}}", "#/0/times: a whole number from 1, not 0"),
        ("- {match: '*', fault: hangg}", "#/0/fault: unknown fault 'hangg'; did you mean 'hang'?"),
        ("- {preset: flakey}", "#/0/preset: 'flakey' is not one of flaky"),
        ("- {macth: '*'}", "#/0: unknown key 'macth' in a fault; did you mean 'match'?"),
        ("- {match: '*', body: {/a: 2025-01-01}, delay_s: 1}", "#/0: cannot be written as JSON"),
        ("- &a {match: '*', body: {/a: *a}, delay_s: 1}", "#/0: cannot be written as JSON"),
        ("- {match: '*', answer: {status: 503, headers: {on: x}}}", "#/0/answer/headers: a mapping of names to texts"),
        ("- {match: '*', headers: {on: x}, delay_s: 1}", "#/0/headers: a mapping of names to values"),
        ("- {match: '*', body: {1: x}, delay_s: 1}", "#/0/body: a mapping of JSON pointers to values"),
        ("- [", "not YAML at line"),
        ("- {match: '*', body: {/a: 2025-99-99}}", "cannot read the YAML: "),
        ("[" * 5_000, "not YAML"),
    ],
)
def test_a_wrong_one_is_told_in_one_line_with_file_and_pointer(tmp_path: Path, text: str, said: str):
    told = refusal_of(tmp_path / "faults.yaml", text)
    assert told.startswith(said)
    assert "\n" not in told


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path):
    path = tmp_path / "faults.yaml"
    told = refusal_of(path, "- 5\n- {preset: flaky}\n- {macth: '*'}\n- {match: '*', answer: {status: 99}}")

    places = [line.removeprefix(f"{path}: ").partition(": ")[0] for line in told.splitlines()]
    assert places == ["#/0", "#/2", "#/3/answer/status"]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("- {match: *, retry_after: 1}", "; a text that begins with * needs quotes, as in match: '*'"),
        ("- match: *\n  retry_after: 1", "; a text that begins with * needs quotes, as in match: '*'"),
        ("- match: list_runs\n\tretry_after: 1", "; indent with spaces, not with tabs"),
        ("\t- {preset: flaky}", "; indent with spaces, not with tabs"),
    ],
)
def test_common_mistakes_in_yaml_are_told_with_what_to_write(tmp_path: Path, text: str, advice: str):
    told = refusal_of(tmp_path / "faults.yaml", text)
    assert told.startswith("not YAML at line ")
    assert told.endswith(advice)


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(StartError, match="cannot read the file of faults: No such file"):
        create_app(Settings(faults=tmp_path / "none.yaml"))


@pytest.mark.skipif(not hasattr(yaml, "CSafeLoader"), reason="PyYAML was built without libyaml")
def test_it_is_not_read_by_the_slow_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Which would take a quarter of a minute for the largest file."""
    monkeypatch.setattr(yaml, "SafeLoader", None)
    path = tmp_path / "faults.yaml"
    path.write_text("- {preset: flaky}", encoding="utf-8")
    create_app(Settings(faults=path))
