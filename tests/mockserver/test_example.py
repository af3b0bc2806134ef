"""examples/shared: the compose file names processes that work together. They are started here without containers."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import processes
from tests.mockserver.inprocess import SUCCEEDS
from tests.mockserver.valkey import serving
from tests.mockserver.workers import Workers

_EXAMPLE = Path(__file__).parents[2] / "examples" / "shared"


def _services() -> dict[str, Any]:
    return yaml.safe_load((_EXAMPLE / "compose.yaml").read_text())["services"]


def test_the_services_of_the_example_find_each_other():
    services = _services()
    balancer = (_EXAMPLE / "haproxy.cfg").read_text()
    mock = shlex.split(services["mock"]["command"])
    port = mock[mock.index("--port") + 1]
    assert f" mock:{port} " in balancer
    assert f"bind :{port}" in balancer
    assert services["balancer"]["ports"] == [f"{port}:{port}"]
    assert f"valkey://{next(name for name in services if name == 'valkey')}:6379/0" in services["mock"]["command"]
    for service, needed in (("balancer", "mock"), ("mock", "valkey")):
        assert services[service]["depends_on"] == [needed]
    volume = services["balancer"]["volumes"][0].split(":")[0]
    assert (_EXAMPLE / volume).is_file()


def test_the_processes_of_the_example_are_one_mock(tmp_path: Path):
    services = _services()
    _, *valkey_flags = shlex.split(services["valkey"]["command"])
    _, command, *flags = shlex.split(services["mock"]["command"])
    environment = {
        name: value.partition(":-")[2].rstrip("}") for name, value in services["mock"]["environment"].items()
    }
    with ExitStack() as stack:
        store = stack.enter_context(serving(tmp_path, flags=valkey_flags))
        here = {"0.0.0.0": "127.0.0.1", "4010": "0"}
        flags = [here.get(flag, flag).replace("valkey:6379", f"127.0.0.1:{store.port}") for flag in flags]
        servers = [
            Workers(*stack.enter_context(processes.serving(*flags, command=("mockserver", command), **how)))
            for how in [{"stderr": os.devnull, "environment": environment}] * 2
        ]
        for place in range(10):
            servers[place % 2].post("/v1/runs", {"workflow_id": SUCCEEDS})
        assert [server.ask("GET", "/v1/runs")["total"] for server in servers] == [10, 10]


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_the_load_balancer_accepts_its_configuration():
    checked = subprocess.run(["haproxy", "-c", "-f", _EXAMPLE / "haproxy.cfg"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
