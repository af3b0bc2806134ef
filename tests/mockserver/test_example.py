"""examples/shared: the compose file names processes that work together. They are started here without containers."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


@contextmanager
def _two_servers(directory: Path) -> Iterator[list[Workers]]:
    """Two servers and a Valkey, started as the compose file says."""
    services = _services()
    _, *valkey_flags = shlex.split(services["valkey"]["command"])
    _, command, *flags = shlex.split(services["mock"]["command"])
    environment = {
        name: value.partition(":-")[2].rstrip("}") for name, value in services["mock"]["environment"].items()
    }
    with ExitStack() as stack:
        store = stack.enter_context(serving(directory, flags=valkey_flags))
        here = {"0.0.0.0": "127.0.0.1", "4010": "0"}
        flags = [here.get(flag, flag).replace("valkey:6379", f"127.0.0.1:{store.port}") for flag in flags]
        yield [
            Workers(*stack.enter_context(processes.serving(*flags, command=("mockserver", command), **how)))
            for how in [{"stderr": os.devnull, "environment": environment}] * 2
        ]


def test_the_processes_of_the_example_are_one_mock(tmp_path: Path):
    with _two_servers(tmp_path) as servers:
        for place in range(10):
            servers[place % 2].post("/v1/runs", {"workflow_id": SUCCEEDS})
        assert [server.ask("GET", "/v1/runs")["total"] for server in servers] == [10, 10]


def _haproxy() -> str:
    """Without it the test is skipped, or fails if REQUIRE_HAPROXY=1 insists."""
    found = shutil.which("haproxy")
    if found is None:
        (pytest.fail if os.environ.get("REQUIRE_HAPROXY") == "1" else pytest.skip)("haproxy is not installed")
    return found


def test_the_load_balancer_accepts_its_configuration():
    checked = subprocess.run([_haproxy(), "-c", "-f", _EXAMPLE / "haproxy.cfg"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def _create_run(url: str, key: str) -> None:
    """Create a run as a client should: again with its key where the answer was lost with a server."""
    headers = {"Authorization": "Bearer test", "Content-Type": "application/json", "Idempotency-Key": key}
    request = urllib.request.Request(f"{url}/v1/runs", json.dumps({"workflow_id": SUCCEEDS}).encode(), headers)
    until = time.monotonic() + processes.PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=processes.PATIENCE_S) as answer:
                assert answer.status == 201
                return
        except urllib.error.HTTPError as refused:
            if refused.code not in {502, 503, 504} or time.monotonic() > until:
                raise


def test_each_run_is_created_once_through_the_load_balancer_though_a_server_dies(tmp_path: Path):
    with _two_servers(tmp_path) as servers, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        lines = [f"server mock{number} {urlsplit(server.url).netloc} check" for number, server in enumerate(servers, 1)]
        configuration = (_EXAMPLE / "haproxy.cfg").read_text()
        configuration = re.sub("resolvers docker\n.*\n", "", configuration)  # names of containers
        configuration = re.sub("server-template .*", "\n    ".join(lines), configuration)
        file = tmp_path / "haproxy.cfg"
        file.write_text(configuration.replace("bind :4010", f"bind 127.0.0.1:{port}"))
        balancer = subprocess.Popen([_haproxy(), "-f", file])
        try:
            url = f"http://127.0.0.1:{port}"
            processes.wait_until(lambda: _accepts_connections(port))
            for place in range(10):
                if place == 5:
                    servers[0].process.kill()  # with its workers: they end with it
                _create_run(url, f"key-{place}")
            assert servers[1].ask("GET", "/v1/runs")["total"] == 10
        finally:
            balancer.terminate()
            balancer.wait(processes.PATIENCE_S)


def _accepts_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
