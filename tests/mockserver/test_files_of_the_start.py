"""Files given to `mockserver serve` that have no end, or that stand for more than they hold."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mockserver.refusals import assert_refused, refused
from tests.processes import PATIENCE_S

_MEMORY = 2 << 30


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
@pytest.mark.parametrize("flag", ["--spec", "--world", "--faults"])
def test_a_file_without_an_end_is_not_read_into_memory(flag: str):
    command = [sys.executable, "-m", "mockserver", "serve", "--port", "0", flag, "/dev/zero"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, preexec_fn=_limit_memory
    )
    assert_refused(done.returncode, done.stdout, done.stderr)
    assert " at most" in done.stderr


def test_an_output_of_a_world_that_is_no_regular_file_is_told(tmp_path: Path):
    """Nobody writes to this pipe: it would be waited for."""
    world = tmp_path / "world.yaml"
    subprocess.run(["mkfifo", tmp_path / "pipe"], check=True)
    workflow = "{id: 10000000-0000-4000-8000-000000000101, name: x, outputs: [{filename: a, file: pipe}]}"
    world.write_text(f"workflows: [{workflow}]", encoding="utf-8")
    assert f"#/workflows/0/outputs/0/file: cannot read {tmp_path / 'pipe'}: not a regular file" in refused(
        "--world", str(world)
    )


def aliases_of_aliases(indent: int) -> str:
    """Seven lines of YAML that stand for a million texts of a hundred characters."""
    lines = [f"a0: &a0 {'x' * 100}"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 7)]
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--spec", "openapi: 3.1.0\npaths: {}\nx-examples:\n" + aliases_of_aliases(2)),
        ("--faults", "- match: '*'\n  answer:\n    status: 500\n    body:\n" + aliases_of_aliases(6)),
        (
            "--world",
            "runs:\n- workflow_id: 10000000-0000-4000-8000-000000000001\n  input_values:\n" + aliases_of_aliases(4),
        ),
    ],
)
def test_aliases_that_stand_for_too_much_are_told_in_one_line(tmp_path: Path, flag: str, text: str):
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    assert "with its aliases written out it has more than" in refused(flag, str(path))
