"""`mockserver spec`, `routes`, `cards`, `faults`, the help of every command, and variables that nobody reads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mockserver import Settings, create_app
from mockserver.behaviour.world import World
from mockserver.cli import main
from mockserver.commands.options import settings_from
from mockserver.faults import PRESETS
from mockserver.settings import SETTINGS

ROOT = Path(__file__).parents[3]


def run(*arguments: str, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(main, arguments, env=env)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_spec_prints_the_document_that_the_mock_serves():
    text = (files("openapi") / "cyberdesk.yaml").read_text(encoding="utf-8")
    assert run("spec") == text
    assert json.loads(run("spec", "--json")) == yaml.safe_load(text)


def test_routes_are_those_of_the_app():
    operations = create_app(Settings()).operations
    rows = json.loads(run("routes", "--json"))
    assert [(row["method"], row["path"]) for row in rows] == [(each.method, each.path) for each in operations.values()]
    assert [row["operation"] for row in rows] == list(operations)
    lines = run("routes").splitlines()
    assert [line.split() for line in lines] == [list(row.values()) for row in rows]


def test_routes_of_a_document_of_ones_own(tmp_path: Path):
    own = tmp_path / "own.yaml"
    own.write_text("openapi: 3.1.0\npaths: {/a: {get: {operationId: get_a, responses: {'204': {description: x}}}}}")
    assert run("routes", "--spec", str(own)) == "GET  /a  get_a\n"
    assert run("routes", env={"MOCKSERVER_SPEC": str(own)}) == "GET  /a  get_a\n"


@pytest.mark.parametrize("command", ["routes", "spec"])
def test_a_document_that_is_not_there_is_told_in_one_line(command: str):
    result = CliRunner().invoke(main, [command, "--spec", "none.yaml"])
    assert (result.exit_code, result.output) == (
        2,
        "mockserver: none.yaml: cannot read the OpenAPI document: No such file or directory\n",
    )


def test_cards_are_the_workflows_of_the_world_and_the_readme_has_them_all():
    rows = json.loads(run("cards", "--json"))
    assert [row["workflow_id"] for row in rows] == list(World.from_files(None).workflows)
    assert all(row["behaviour"] for row in rows)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(1[0-9-]{35})` \|", readme, re.MULTILINE) == [row["workflow_id"] for row in rows]
    first = run("cards").splitlines()[0]
    assert first.startswith("10000000-0000-4000-8000-000000000001  Always succeeds")
    assert first.endswith("  Every run ends in success after 2 to 3 seconds.")


def test_cards_of_a_world_of_ones_own(tmp_path: Path):
    world = tmp_path / "world.yaml"
    world.write_text(
        "builtin: false\n"
        "workflows: [{id: 10000000-0000-4000-8000-000000000099, name: Mine, main_prompt: Does nothing.}]\n"
    )
    assert run("cards", "--world", str(world)) == "10000000-0000-4000-8000-000000000099  Mine  Does nothing.\n"


def test_faults_are_the_presets():
    items = json.loads(run("faults", "--json"))
    assert {item["name"]: item["summary"] for item in items} == {name: each.summary for name, each in PRESETS.items()}
    assert [item["faults"] for item in items] == [list(each.faults) for each in PRESETS.values()]
    assert [line.split()[0] for line in run("faults").splitlines()] == list(PRESETS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("buffering", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", ["spec", "routes", "cards --json", "faults --json", "verify --help", "--version"])
def test_output_that_cannot_be_written_is_told_in_one_line(arguments: str, buffering: dict[str, str]):
    command = [sys.executable, "-m", "mockserver", *arguments.split()]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env={**environment, **buffering}, check=False
        )
    told = "mockserver: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize("command", [None, *main.commands])
def test_every_help_has_an_example(command: str | None):
    said = run(*(() if command is None else (command,)), "--help")
    assert "Examples:\n  " in said
    examples = said.partition("Examples:\n")[2]
    assert f"mockserver {command or 'serve'}" in examples


def test_commands_and_options_are_in_groups():
    said = run("--help")
    assert "Commands:" not in said
    said = run("serve", "--help")
    others = said.partition("Other options:\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"--[\w-]+", others)) == {"--help"}
    for setting in SETTINGS:
        assert re.search(rf"^  --{setting.name.replace('_', '-')}\b", said, re.MULTILINE), setting.name


def test_the_command_line_without_options_gives_the_default_settings():
    context = main.commands["serve"].make_context("serve", [])
    given = {name: value for name, value in context.params.items() if name not in ("ready_file", "open_page")}
    assert settings_from(given) == Settings()


@pytest.mark.parametrize(
    ("name", "said", "status"),
    [
        ("MOCKSERVER_RATELIMIT", "did you mean MOCKSERVER_RATE_LIMIT?", 2),
        ("MOCKSERVER_MAX_CONECTIONS", "did you mean MOCKSERVER_MAX_CONNECTIONS?", 2),
        ("MOCKSERVER_COLOUR", "mockserver serve --help and docs/limits.md list them", 0),
    ],
)
def test_a_misspelled_variable_is_refused_and_another_unknown_one_is_warned_of(name: str, said: str, status: int):
    result = CliRunner().invoke(main, ["faults"], env={name: "1"})
    assert result.exit_code == status
    assert result.stderr.startswith(f"mockserver: {name} is set, but there is no such option")
    assert result.stderr.endswith(f"{said}\n")
    assert result.stderr.count("\n") == 1


def test_variables_of_settings_and_those_that_kubernetes_sets_are_passed_over():
    names = [f"MOCKSERVER_{each.name.upper()}" for each in SETTINGS if each.metadata["parse"] is None]
    names += [
        "MOCKSERVER_READY_FILE",
        "MOCKSERVER_SERVICE_HOST",
        "MOCKSERVER_PORT_4010_TCP_ADDR",
        "MOCKSERVER_A_PORT",
        "MOCKSERVER_MAX_SPACES",
    ]
    result = CliRunner().invoke(main, ["faults"], env=dict.fromkeys(names, "1"))
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("value", "port"), [("tcp://10.0.0.1:4010", 4010), ("tcp://[fd00::1]:80", 4010), ("4321", 4321)]
)
def test_the_url_that_kubernetes_sets_for_a_service_named_mockserver_is_not_a_port(
    monkeypatch: pytest.MonkeyPatch, value: str, port: int
):
    monkeypatch.setenv("MOCKSERVER_PORT", value)
    assert main.commands["serve"].make_context("serve", []).params["port"] == port
