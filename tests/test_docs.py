"""What the documents say of the code is so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from contracts.report import FORMATS
from mockserver import MockServer
from mockserver.behaviour import world
from mockserver.faults.parsing import _MAKERS
from mockserver.settings import LIMITS, SETTINGS
from tests.documents import control_document

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")))


def rows(text: str) -> list[list[str]]:
    """The cells of each row of a table in Markdown."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]


def written(value: float) -> str:
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:g}"


def test_the_table_of_limits_is_that_of_the_settings():
    default = {each.name: each.default for each in SETTINGS}
    journal = "The journals of all namespaces together."
    expected = [
        ["`--max-body`", f"{written(default['max_body'])} bytes", "The body of a request.", "413"],
        ["`--journal-bytes`", f"{written(default['journal_bytes'])} bytes", journal, "the oldest entries are dropped"],
    ]
    for limit in LIMITS:
        amount = f"{written(limit.default)} {limit.metadata['unit']}".strip()
        flag = f"`--{limit.name.replace('_', '-')}`"
        expected.append([flag, amount, limit.metadata["help"], limit.metadata["past"]])

    assert rows((ROOT / "docs" / "limits.md").read_text(encoding="utf-8")) == expected


def test_the_table_of_the_world_names_every_key_of_a_workflow():
    table = (ROOT / "docs" / "world.md").read_text(encoding="utf-8").partition("| a machine")[0]
    named = [name for row in rows(table) for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted((*world._WORKFLOW, *world._PROFILE))


def test_the_table_of_reports_names_every_format():
    section = (
        (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8").partition("## Reports")[2].partition("\n## ")[0]
    )
    assert {row[0].strip("`") for row in rows(section)} == set(FORMATS)


def test_the_documents_of_the_control_api_name_every_kind_of_fault():
    for path in (ROOT / "docs" / "control.md", ROOT / "mockserver" / "admin" / "openapi.yaml"):
        text = path.read_text(encoding="utf-8")
        assert [name for name in _MAKERS if f'"{name}"' not in text and f"`{name}`" not in text] == [], path.name


def test_the_world_in_the_documentation_can_be_served(tmp_path: Path):
    text = (ROOT / "docs" / "world.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    (tmp_path / "world.yaml").write_text(example, encoding="utf-8")
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    with MockServer(world=tmp_path / "world.yaml") as mock:
        assert [run.status for run in mock.runs] == ["success"] * 20
        [waiting] = mock.seed("10000000-0000-4000-8000-000000000101")
        mock.clock.advance(minutes=60)
        assert waiting.status == "scheduling"
        waiting.finish()
        assert waiting.status == "success"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_javascript_in_the_documentation_passes(tmp_path: Path):
    text = (ROOT / "docs" / "javascript.md").read_text(encoding="utf-8")
    for name, source in re.findall(r"^```js\n// ([\w.-]+)(.*?)^```", text, re.M | re.S)[:2]:
        (tmp_path / name).write_text(f"//{source}", encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["node", "--test", "runs.test.mjs"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^. pass 2$", done.stdout, re.M), done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_can_be_pasted_into_an_interactive_zsh(document: Path):
    """By default, it takes the words after a # as arguments, and expands ? and [ outside of quotes."""
    text = document.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    for session in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        lines += [line[2:] for line in session.splitlines() if line.startswith(("$ ", "> "))]
    commands = []
    for line in lines:
        if line.startswith("#"):
            assert not re.search(r"""['"`?*()\[\]{}&|<>$!\\]""", line), line
        else:
            commands.append(line)
    # A quoted text may take several lines.
    unquoted = re.sub(r"""'[^']*'|"[^"]*\"""", "", "\n".join(commands))
    assert not re.search(r"\s#.*|\S[?\[]\S", unquoted)


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)


def test_every_workflow_in_the_documents_can_be_copied():
    """GitHub refuses one that does not say when it runs."""
    workflows = [
        yaml.load(block, Loader=yaml.BaseLoader)
        for document in DOCUMENTS
        for block in blocks(document, "yaml")
        if block.startswith("# .github/workflows/")
    ]
    assert len(workflows) == 2
    for workflow in workflows:
        assert workflow["on"], workflow
        for job in workflow["jobs"].values():
            assert job["runs-on"]
            assert all(("run" in step) != ("uses" in step) for step in job["steps"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_examples_in_a_document_can_be_parsed(document: Path):
    for block in blocks(document, "yaml"):
        assert isinstance(yaml.safe_load(block), dict), block
    for block in blocks(document, "json"):
        json.loads(block)
    for block in blocks(document, "sh"):
        assert subprocess.run(["bash", "-n"], input=block, text=True, check=False).returncode == 0, block
        for body in re.findall(r"--json '([^']*)'", block):
            json.loads(body)


def test_every_relative_link_of_the_documents_leads_somewhere():
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_request_to_the_control_api_in_the_documents_is_one_of_its_operations():
    paths = control_document()["paths"]
    known = {re.sub(r"\{[^}]+\}", "*", path): set(operations) for path, operations in paths.items()}
    for document in DOCUMENTS:
        for method, path in re.findall(
            r"\b(GET|POST|PUT|PATCH|DELETE) (/__admin/[\w/{}.-]*)", document.read_text(encoding="utf-8")
        ):
            named = re.sub(r"\{[^}]+\}|\b[A-Z]+\b", "*", path.rstrip("."))
            assert method.lower() in known.get(named, ()), f"{document.name}: {method} {path}"


def test_every_module_that_the_architecture_names_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|js|css|yaml))`", text))
    files = [
        path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if "." not in path.relative_to(ROOT).parts[0]
    ]

    assert len(names) > 50
    assert [name for name in sorted(names) if not any(("/" + file).endswith("/" + name) for file in files)] == []
