"""The commands and pytest, where a project has packages of its own that are called as ours are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("mockserver", "contracts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("", encoding="utf-8")
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The project comes first on the path, as with `python -m` in its folder."""
    path = os.pathsep.join((str(project), str(ROOT)))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_entry_points_are_those_of_the_package_that_looks_first():
    for group in ("console_scripts", "pytest11"):
        found = {
            each.name: each.value for each in entry_points(group=group) if each.dist.name == "cyberdesk-mockserver"
        }
        assert {value.partition(":")[0].partition(".")[0] for value in found.values()} == {"cyberdesk_mockserver"}
        for each in entry_points(group=group):
            if each.name in found:
                each.load()


@pytest.mark.parametrize("name", ["mockserver", "contracts"])
def test_a_command_says_which_other_package_is_in_the_way(project: Path, name: str):
    done = run(project, "-c", f"import cyberdesk_mockserver; cyberdesk_mockserver.{name}()")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{name}: another package is called '{name}' too, and comes first on the path: ")
    assert str(project / name) in done.stderr
    assert done.stderr.count("\n") == 1


def test_pytest_goes_on_without_the_plugins_and_says_so(project: Path):
    (project / "test_own.py").write_text("def test_own(): pass\n", encoding="utf-8")
    without = (f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "schemathesis"))
    done = run(project, "-m", "pytest", *without, "test_own.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cyberdesk_mock is not available: another package is called 'mockserver' too" in done.stdout


@pytest.mark.parametrize("name", ["mockserver", "contracts"])
def test_where_ours_come_first_the_commands_run(name: str):
    done = run(
        ROOT, "-c", f"import sys; sys.argv = ['{name}', '--version']; import cyberdesk_mockserver as it; it.{name}()"
    )
    assert done.returncode == 0, done.stderr
    assert "version" in done.stdout


@pytest.mark.parametrize("module", ["tests.contracts.matrix.coverage", "tests.mockserver.admin.page.smoothness"])
def test_a_tool_that_measures_for_minutes_shows_its_help_and_does_nothing(module: str):
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.startswith(f"usage: python -m {module}")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_virtual_environment_that_could_not_be_made_does_not_stay(tmp_path: Path):
    """As on Debian without python3-venv: once that is installed, `make serve` works."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nif [ "$2" = venv ]; then mkdir -p .venv/bin; touch .venv/bin/python; exit 1; fi\n')
    python.chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    command = ["make", "-f", str(ROOT / "Makefile"), "serve", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "Making a virtual environment" in done.stdout
    assert done.returncode != 0
    assert not (tmp_path / ".venv").exists()
