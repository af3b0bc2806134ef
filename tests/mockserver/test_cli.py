"""The command as its users meet it: another process, its output, its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from mockserver.cli import main
from tests import processes
from tests.mockserver.refusals import assert_refused, refused
from tests.processes import PATIENCE_S

SECRET = "test-a-token-that-nobody-may-see"


def serving(*flags: str, **environment: str) -> AbstractContextManager[tuple[subprocess.Popen[bytes], str]]:
    return processes.serving(
        *flags,
        command=("mockserver", "serve"),
        environment={"MOCKSERVER_PORT": "0", "PYTHONUNBUFFERED": "1", **environment},
    )


def ended(process: subprocess.Popen[bytes], how: signal.Signals) -> str:
    """Its standard error, once it has ended well."""
    process.send_signal(how)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return err.decode()


def test_port_0_takes_a_free_port_and_prints_the_url_it_serves_on():
    with serving("--port", "0") as (_, url):
        assert httpx.get(f"{url}/v1/health").status_code == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_ends_it_well_and_without_a_traceback(how: signal.Signals):
    with serving() as (process, url):
        httpx.get(f"{url}/v1/health")
        assert "Traceback" not in ended(process, how)


def test_an_ipv6_address_is_printed_as_a_url():
    with serving("--host", "::1") as (_, url):
        assert url.startswith("http://[::1]:")
        assert httpx.get(f"{url}/v1/health").status_code == 200


def test_a_port_in_use_is_told_in_one_line_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with processes.started("--port", str(port)) as process:
            out, err = (said.decode() for said in process.communicate(timeout=PATIENCE_S))
    assert_refused(process.returncode, out, err)
    assert f"127.0.0.1:{port}" in err
    assert "is in use; --port 0 takes a free one" in err


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "this machine does not have the address; --host 127.0.0.1 serves this machine"),
        ("300.1.1.1", "300.1.1.1 is no address, and no name that is known here"),
    ],
)
def test_a_host_that_cannot_be_listened_on_is_told_with_one_that_can(host: str, why: str):
    said = refused("--host", host)
    assert f"cannot listen on {host}:0: {why}" in said
    assert "--host 0.0.0.0 others too" in said


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("start", "Did you mean 'serve'?"),
        ("run", "Did you mean 'serve'?"),
        ("frobnicate", "The commands are cards, faults, routes, serve, spec, verify."),
    ],
)
def test_an_unknown_command_is_told_which_there_are(command: str, told: str):
    done = CliRunner().invoke(main, [command])
    assert done.exit_code == 2
    assert f"No such command '{command}'. {told}" in done.stderr


def test_a_spec_that_is_not_there_is_told_in_one_line(tmp_path: Path):
    missing = tmp_path / "none.yaml"
    assert f"{missing}: cannot read the OpenAPI document: No such file" in refused("--spec", str(missing))


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("[]", ""),
        ("openapi: 3.0.0\npaths: {}", "#/openapi: "),
        ("openapi: 3.1.0", "#/paths: "),
        ("a: [", ""),
    ],
)
def test_a_broken_spec_is_told_in_one_line_that_names_file_and_pointer(tmp_path: Path, text: str, pointer: str):
    broken = tmp_path / "spec.yaml"
    broken.write_text(text, encoding="utf-8")
    assert re.search(rf"^mockserver: {broken.name}: {pointer}[A-Za-z]", refused("--spec", str(broken)), re.MULTILINE)


def test_a_world_that_is_not_there_is_told_in_one_line(tmp_path: Path):
    missing = tmp_path / "none.yaml"
    assert f"{missing}: cannot read the world file: No such file" in refused("--world", str(missing))


def test_a_broken_world_is_told_in_one_line_that_names_file_and_pointer(tmp_path: Path):
    broken = tmp_path / "world.yaml"
    broken.write_text("machines: [{id: x, name: y}]", encoding="utf-8")
    assert f"{broken}: #/machines/0/id: 'x' is not a UUID" in refused("--world", str(broken))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "65536"], "'--port' (env var: 'MOCKSERVER_PORT'): should be from 0 to 65535, not 65536"),
        (["--port", "-1"], "should be from 0 to 65535, not -1"),
        (["--time-scale", "0"], "should be above 0, and 1,000,000 at most, not 0.0"),
        (["--time-scale", "nan"], "nan is not a valid number"),
        (["--time-scale", "2e6"], "1,000,000 at most"),
        (["--max-body", "0"], "should be 1 or more, not 0"),
        (["--max-body", "10 cats"], "'10 cats' is not a number of bytes; write 4096, 512KiB or 10MiB"),
        (["--max-connections", "0"], "should be 1 or more, not 0"),
        (["--head-timeout", "0"], "should be above 0, not 0.0"),
        (["--head-timeout", "0s"], "should be above 0, not 0.0"),
        (["--head-timeout", "30x"], "invalid duration '30x'; use 20m, 1h30m, 90s, 250ms, or a number of seconds"),
        (["--shutdown-grace", "1.5s"], "should be whole seconds, not '1.5s'"),
        (["--admin-token", "a b"], "a token is missing, or has blanks"),
        (["--rate-limit", "fast"], "invalid rate 'fast'; use N/s or N/m"),
        (["--rate-limit", "0/s"], "invalid rate '0/s'"),
        (["--rate-limit", "5/h"], "invalid rate '5/h'"),
        (["--port", "http"], "'http' is not a valid integer"),
        (["--coercion", "loose"], "'loose' is not one of 'strict', 'lax'"),
        (["--progression", "never"], "'never' is not one of"),
        (["--progression", "imediate"], "did you mean 'immediate'?"),
        (["--log-level", "trace"], "'trace' is not one of"),
        (["--no-such-flag"], "No such option"),
    ],
)
def test_a_flag_with_a_bad_value_is_refused_with_what_it_should_be(flags: list[str], said: str):
    result = CliRunner().invoke(main, ["serve", *flags])
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("token", ["=org", " secret-token", "secret-token =org", "", "secret-token=", "secret-token=="])
def test_a_token_that_cannot_be_one_is_refused_without_being_shown(token: str):
    result = CliRunner().invoke(main, ["serve", "--token", token])
    assert result.exit_code == 2
    assert "write TOKEN or TOKEN=ORG" in result.output
    assert "secret" not in result.output


def test_every_setting_can_be_given_by_a_variable_of_its_name(tmp_path: Path):
    world = tmp_path / "world.yaml"
    world.write_text("builtin: false", encoding="utf-8")
    with serving(
        MOCKSERVER_WORLD=str(world),
        MOCKSERVER_KNOWN_ONLY="true",
        MOCKSERVER_TOKEN="sesame=doors",
        MOCKSERVER_RATE_LIMIT="600/m",
        MOCKSERVER_COERCION="lax",
    ) as (_, url):
        answer = httpx.get(f"{url}/v1/machines/", headers={"Authorization": "Bearer sesame"}, follow_redirects=True)
        assert answer.json()["total"] == 0
        assert answer.headers["x-ratelimit-limit"] == "600"
        assert httpx.get(f"{url}/v1/machines", headers={"Authorization": "Bearer test"}).status_code == 401


def test_a_flag_goes_before_the_variable():
    with serving("--rate-limit", "7/m", MOCKSERVER_RATE_LIMIT="600/m") as (_, url):
        answer = httpx.get(f"{url}/v1/machines", headers={"Authorization": "Bearer test"})
        assert answer.headers["x-ratelimit-limit"] == "7"


def test_a_bad_variable_is_refused_as_a_bad_flag_is():
    result = CliRunner().invoke(main, ["serve"], env={"MOCKSERVER_RATE_LIMIT": "fast"})
    assert result.exit_code == 2
    assert "invalid rate 'fast'" in result.output


def test_the_help_names_every_flag_with_its_variable():
    said = " ".join(CliRunner().invoke(main, ["serve", "--help"]).output.split())
    for flag in ("--port", "--spec", "--world", "--seed", "--rate-limit", "--cors-origin", "--self-check"):
        assert flag in said
        assert "MOCKSERVER_" + flag[2:].replace("-", "_").upper() in said


def _asked_with_secrets(url: str) -> None:
    answer = httpx.get(
        f"{url}/v1/machines", params={"search": "private"}, headers={"Authorization": f"Bearer {SECRET}"}
    )
    assert answer.status_code == 200


def test_text_lines_tell_method_path_and_status_and_neither_token_nor_query():
    with serving() as (process, url):
        _asked_with_secrets(url)
        err = ended(process, signal.SIGTERM)
    assert re.search(r"^\S+ GET /v1/machines -> 200$", err, re.MULTILINE), err
    assert SECRET not in err
    assert "private" not in err


def test_json_lines_are_json_and_tell_neither_token_nor_query():
    with serving("--log-format", "json") as (process, url):
        _asked_with_secrets(url)
        err = ended(process, signal.SIGTERM)
    lines = [json.loads(line) for line in err.splitlines()]
    asked = [line for line in lines if line.get("path") == "/v1/machines"]
    assert [(line["method"], line["status"], line["level"]) for line in asked] == [("GET", 200, "info")]
    assert SECRET not in err
    assert "private" not in err


def test_a_path_cannot_write_lines_of_its_own_into_the_log():
    with serving() as (process, url):
        httpx.get(f"{url}/v1/x%0Aforged%1b[31m")
        err = ended(process, signal.SIGTERM)
    assert not any(line.startswith("forged") for line in err.splitlines())
    assert "\x1b" not in err


def test_the_log_says_why_a_request_was_refused():
    with serving() as (process, url):
        httpx.get(f"{url}/v1/runs?limit=0", headers={"Authorization": "Bearer test"})
        err = ended(process, signal.SIGTERM)
    assert "GET /v1/runs -> 422 (query.limit: Input should be greater than or equal to 1)" in err


def test_level_warning_tells_of_no_request():
    with serving("--log-level", "warning") as (process, url):
        _asked_with_secrets(url)
        assert ended(process, signal.SIGTERM) == ""


def test_what_is_no_http_is_answered_in_json():
    with serving() as (_, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            connection.sendall(b"what\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert set(json.loads(body)) == {"detail"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "openapi: 3.1.0\nsecurity: 5\npaths: {/a: {get: {operationId: a, responses: {'204': {}}}}}",
            "#/security: a list",
        ),
        (
            "openapi: 3.1.0\npaths: {/a: {get: {operationId: a, security: 5, responses: {'204': {}}}}}",
            "#/paths/~1a/get/security",
        ),
    ],
)
def test_a_spec_with_something_else_in_place_of_a_list_is_told_in_one_line(tmp_path: Path, text: str, said: str):
    broken = tmp_path / "spec.yaml"
    broken.write_text(text, encoding="utf-8")
    assert said in refused("--spec", str(broken))


def test_a_spec_without_operations_is_served(tmp_path: Path):
    empty = tmp_path / "spec.yaml"
    empty.write_text("openapi: 3.1.0\npaths: {}", encoding="utf-8")
    with serving("--spec", str(empty)) as (_, url):
        assert httpx.get(f"{url}/v1/health").status_code == 404


def test_a_world_file_that_is_too_large_or_holds_itself_is_told_in_one_line(tmp_path: Path):
    large = tmp_path / "world.yaml"
    large.write_bytes(b"#" * 5_000_000)
    assert "4194304 bytes at most" in refused("--world", str(large))
    workflow = (
        "workflows: [{id: 10000000-0000-4000-8000-000000000009, name: x, input_schema: &a {properties: {b: *a}}}]"
    )
    large.write_text(workflow, encoding="utf-8")
    assert "#/workflows/0/input_schema: cannot be written as JSON" in refused("--world", str(large))


def _said_at_start(process: subprocess.Popen[bytes]) -> list[str]:
    """The lines after the first, which `serving` has read."""
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    return process.stdout.read().decode().splitlines()


def test_it_says_where_the_page_and_the_reference_are():
    with serving() as (process, url):
        reference = httpx.get(f"{url}/docs")
        said = _said_at_start(process)
    assert reference.status_code == 200
    assert said[:2] == [f"  page       {url}/__admin/", f"  reference  {url}/docs"]
    assert "begins with 'test'" in said[2]
    assert len(said) == 3


def test_without_the_control_api_it_names_no_page():
    with serving("--no-admin") as (process, _):
        assert "page" not in "".join(_said_at_start(process))


def test_the_routes_are_printed_at_level_debug_only():
    with serving("--log-level", "debug") as (process, _):
        said = _said_at_start(process)
    assert any(line.split() == ["POST", "/v1/runs/bulk", "bulk_create_runs"] for line in said)


def test_where_it_listens_on_every_address_the_page_is_named_by_loopback():
    with serving("--host", "0.0.0.0") as (process, url):
        assert url.startswith("http://0.0.0.0:")
        page = _said_at_start(process)[0]
    assert page.startswith("  page       http://127.0.0.1:")
    assert page.strip().endswith("/__admin/  (for this machine only; --admin-token TOKEN opens it to others)")
    with serving("--host", "0.0.0.0", "--admin-token", "s3cret") as (process, _):
        assert _said_at_start(process)[0].strip().endswith("/__admin/")


def _waited_for(path: Path, process: subprocess.Popen[bytes]) -> str:
    while not path.exists():
        assert process.poll() is None
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_ready_file_holds_the_url_for_as_long_as_it_serves(tmp_path: Path, how: signal.Signals):
    path = tmp_path / "mock.url"
    path.write_text("http://127.0.0.1:1\n", encoding="utf-8")
    with serving("--ready-file", str(path)) as (process, url):
        # The one of a server that was killed is gone by now.
        assert _waited_for(path, process) == f"{url}\n"
        assert httpx.get(f"{url}/v1/health").status_code == 200
        ended(process, how)
    assert list(tmp_path.iterdir()) == []


def test_the_ready_file_of_another_server_stays(tmp_path: Path):
    path = tmp_path / "mock.url"
    with serving("--ready-file", str(path)) as (process, _):
        _waited_for(path, process)
        path.write_text("http://127.0.0.1:1\n", encoding="utf-8")
        ended(process, signal.SIGTERM)
    assert path.read_text(encoding="utf-8") == "http://127.0.0.1:1\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_a_ready_file_that_is_no_regular_file_is_refused_and_stays(tmp_path: Path):
    """As /dev/stdout, which would be removed."""
    path = tmp_path / "mock.url"
    os.mkfifo(path)
    assert f"--ready-file {path}: cannot be written: not a regular file" in refused(
        "--port", "0", "--ready-file", str(path)
    )
    assert path.is_fifo()


def test_a_ready_file_that_cannot_be_written_is_told_in_one_line(tmp_path: Path):
    for name, why in (("none/mock.url", "No such file or directory"), ("a" * 300, "File name too long")):
        said = refused("--port", "0", "--ready-file", str(tmp_path / name))
        assert "--ready-file" in said
        assert f"cannot be written: {why}" in said


def test_open_opens_the_page_in_the_browser(tmp_path: Path):
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    with serving("--open", BROWSER=str(browser)) as (process, url):
        assert _waited_for(opened, process) == f"{url}/__admin/\n"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--open", "--no-admin"), "--open opens the page of the control API, and --no-admin turns it off"),
        (("--admin-token", "x", "--no-admin"), "--admin-token is for the control API, and --no-admin turns it off"),
        (("--progression", "immediate", "--time-scale", "5"), "with --progression immediate no time passes in them"),
        (("--progression", "manual", "--time-scale", "5"), "with --progression manual no time passes in them"),
    ],
)
def test_an_option_that_has_no_effect_beside_another_is_refused(flags: tuple[str, ...], told: str):
    said = refused(*flags)
    assert told in said
    assert "give one of them" in said


def test_the_help_names_the_default_prefix_of_a_shared_store():
    shown = " ".join(CliRunner().invoke(main, ["serve", "--help"]).stdout.split())
    assert "(default prefix: mockserver:)" in shown


def test_a_file_of_faults_that_is_wrong_is_told_in_one_line(tmp_path: Path):
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {match: nothing, answer: {status: 500}}", encoding="utf-8")
    assert f"{faults}: #/0/match: 'nothing' matches no request" in refused("--faults", str(faults))
