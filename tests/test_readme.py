"""The sessions in the documents are run as they stand there, and print what they say they print."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import served

ROOT = Path(__file__).parent.parent


def session(document: str) -> list[tuple[str, str]]:
    """Command and output of each step."""
    text = (ROOT / document).read_text(encoding="utf-8")
    block = re.search(r"<!-- tests/test_readme.py runs.*?```console\n(.*?)```", text, re.DOTALL)
    assert block is not None
    steps: list[tuple[str, str]] = []
    for line in block[1].splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif line.startswith("> "):
            steps[-1] = (f"{steps[-1][0]}\n{line[2:]}", "")
        else:
            steps[-1] = (steps[-1][0], steps[-1][1] + line)
    return steps


def pattern(output: str) -> str:
    """`…` stands for anything."""
    return ".*".join(re.escape(part.strip()) for part in output.split("…"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the sessions need curl")
@pytest.mark.parametrize("document", ["README.md", "docs/control.md"])
def test_the_session_in_a_document_prints_what_it_says(document):
    with served(log=os.devnull) as url:
        steps = session(document)
        script = "\n".join(f"{command}\necho; echo ---" for command, _ in steps)
        script = script.replace("http://127.0.0.1:4010", url)
        shell = subprocess.run(
            ["bash", "-euc", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "no_proxy": "*"},
        )
    printed = [output.strip() for output in shell.stdout.split("---\n")]
    assert len(steps) > 5
    for (command_line, output), came in zip(steps, printed, strict=False):
        assert re.fullmatch(pattern(output), came, re.DOTALL), f"{command_line}\nprints {came}\nand not {output}"
