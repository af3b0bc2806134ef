"""What cannot be used is told in one line that says what to do, before anything is sent."""

import json
import subprocess
import sys

import pytest

from contracts.cli.main import _EXTRA
from tests.contracts.cli.fakes import RULES

W = "10000000-0000-4000-8000-000000000004"


def written(folder, fields):
    path = folder / "base.json"
    path.write_text(json.dumps(fields))
    return path


def refused(check, *args, **where) -> str:
    status, out, err = check(*args, **where)
    assert status == 2
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:4010", "did you mean http://localhost:4010?"),
        ("ftp://localhost", "begins with http:// or https://"),
        ("http://", "begins with http:// or https://"),
        ("http://localhost:port", "is not "),
        ("http://[::1", "is not "),
        ("http://localhost:1/a ü/%20", "has spaces or unusual characters in its path: write /a%20%C3%BC/%20"),
        ("http://localhost?x=1", "give the base URL only"),
    ],
)
def test_a_text_that_is_not_a_base_url(check, engine, url, told):
    assert told in refused(check, url=url)
    assert engine.targets == []


def test_a_password_in_the_url_is_refused_and_not_repeated(check):
    told = refused(check, url="http://user:hunter22@localhost:4010")
    assert "give the token with --token" in told
    assert "hunter22" not in told


@pytest.mark.parametrize("url", ["http://localhost:4010/", "http://localhost:4010/v1", "http://localhost:4010/v1/"])
def test_a_slash_and_the_version_at_the_end_of_a_url_do_not_matter(check, engine, url):
    assert check(url=url)[0] == 0
    assert engine.targets[0].url == "http://localhost:4010"


def test_no_token(check):
    assert "give --token or set CONTRACTS_TOKEN" in refused(check, token=None)


@pytest.mark.parametrize("token", ["two words", "grün", "a\x00b"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_and_not_repeated(check, token):
    told = refused(check, token=token)
    assert "--token (CONTRACTS_TOKEN) has spaces or unusual characters" in told
    assert token not in told


def test_the_same_token_twice(check):
    assert "one of another organisation" in refused(check, "--second-token", "test-a")


@pytest.mark.parametrize("flag", ["--rule", "--skip-rule", "--require"])
@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("REQ-COUNTS", "did you mean REQ-COUNT?"),
        ("echo", "did you mean BULK-ECHO?"),
        ("???", "`contracts rules`"),
        ("XX", "`contracts rules`"),
    ],
)
def test_a_rule_that_there_is_not(check, flag, rule, told):
    assert told in refused(check, flag, rule)


def test_a_rule_both_required_and_skipped(check):
    told = refused(check, "--require", "REQ-COUNT", "--skip-rule", "req-count")
    assert "both required and skipped" in told


def test_no_rule_left(check):
    assert "drop a --skip-rule" in refused(check, *(part for rule in RULES for part in ("--skip-rule", rule)))


@pytest.mark.parametrize("time", ["soon", "-1", "10x", "1m30"])
def test_a_text_that_is_not_a_duration(check, time):
    assert "write 90s, 10m or 1h" in refused(check, "--max-time", time)


@pytest.mark.parametrize(("time", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200)])
def test_durations(check, engine, time, seconds):
    check("--max-time", time)
    assert engine.targets[0].max_time_s == seconds


@pytest.mark.parametrize("report", ["out.json", "pdf=out.pdf", "json="])
def test_a_report_of_no_known_format(check, report):
    assert "write json=report.json" in refused(check, "--report", report)


def test_a_report_with_an_empty_path_says_so(check):
    assert "the path is empty in 'markdown=' (is a variable not set?)" in refused(check, "--report", "markdown=")


def test_a_report_does_not_go_to_the_standard_output(check):
    assert "write junit=report.junit" in refused(check, "--report", "junit=-")


def test_a_report_in_a_folder_that_there_is_not(check, tmp_path):
    assert "make it first" in refused(check, "--report", f"json={tmp_path / 'none' / 'out.json'}")


def test_a_report_in_a_folder_that_cannot_be_written(check, engine, tmp_path, monkeypatch):
    def refuse(**settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    assert "cannot be written: Permission denied" in refused(check, "--report", f"json={tmp_path / 'out.json'}")
    assert engine.targets == []


def test_trying_whether_a_report_can_be_written_leaves_nothing(check, tmp_path):
    check("--report", f"json={tmp_path / 'out.json'}")
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize(
    ("text", "told"), [("[]", "holds no JSON object"), ("{", "is not JSON"), (None, "cannot be read (No such file")]
)
def test_an_invalid_base_request(check, tmp_path, text, told):
    path = tmp_path / "base.json"
    if text is not None:
        path.write_text(text)
    assert told in refused(check, "--base-request", path)


@pytest.mark.parametrize("flag", ["--workflow-id", "--machine-id", "--pool-id"])
@pytest.mark.parametrize("text", ["foo", "", W[:-1], f"{{{W}}}", W.replace("-", "")])
def test_an_id_that_is_not_a_uuid(check, engine, flag, text):
    assert f"{text!r} is not a UUID: write an id such as 1" in refused(check, flag, text)
    assert engine.targets == []


def test_fields_to_vary_without_a_base_request(check):
    assert "give that with --base-request FILE" in refused(check, "--vary", "count")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"workflow": W}, "has no field 'workflow': did you mean workflow_id?"),
        ({"workflow_id": W, "input_vals": {}}, "has no field 'input_vals': did you mean input_values"),
        ({"workflow_id": W, "zzz": 1}, "has no field 'zzz': the fields are workflow_id, count, "),
        ({"workflow_id": "Ada's"}, "workflow_id is not a UUID"),
        ({"workflow_id": None}, "workflow_id is not a UUID"),
    ],
)
def test_a_base_request_that_is_misspelled(check, engine, tmp_path, fields, told):
    assert told in refused(check, "--base-request", written(tmp_path, fields))
    assert engine.targets == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("inputs", "there is no field 'inputs': did you mean file_inputs or input_values?"),
        ("count,Pool-ID", "there is no field 'Pool-ID': did you mean pool_ids?"),
        ("zzz", "there is no field 'zzz': the fields are count, "),
        ("workflow_id", "--vary cannot name workflow_id"),
    ],
)
def test_a_field_to_vary_that_there_is_not(check, tmp_path, names, told):
    assert told in refused(check, "--vary", names, "--base-request", written(tmp_path, {"workflow_id": W}))


# The workflow of the runs on a deployment


@pytest.mark.parametrize("fields", [None, {}, {"input_values": {"name": "Ada"}}])
def test_writes_on_a_deployment_need_a_workflow_that_is_named(check, engine, tmp_path, fields):
    base = () if fields is None else ("--base-request", written(tmp_path, fields))
    told = refused(check, "--allow-writes", *base, url="https://api.example.com")
    assert "no workflow is named: give --workflow-id ID, or" in told
    assert engine.targets == []


def test_a_base_request_of_more_runs_than_the_budget_has_is_refused(check, engine, tmp_path):
    base = ("--allow-writes", "--base-request", written(tmp_path, {"workflow_id": W, "count": 30}))
    told = refused(check, *base, url="https://api.example.com")
    assert 'creates 30 runs, and --max-runs is 25: write "count": 1 in its file, or give --max-runs 30' in told
    assert check(*base, "--max-runs", 30, url="https://api.example.com")[0] == 0


def test_a_workflow_is_named_by_a_flag_or_in_the_base_request(check, engine, tmp_path):
    for named in (("--workflow-id", W), ("--base-request", written(tmp_path, {"workflow_id": W.upper()}))):
        assert check("--allow-writes", *named, url="https://api.example.com")[0] == 0
    assert [target.named_workflow for target in engine.targets] == [W, W]


@pytest.mark.parametrize(
    ("url", "flags"),
    [
        ("https://api.example.com", ()),
        ("https://api.example.com", ("--profile", "full", "--allow-writes")),
        ("http://127.0.0.1:4010", ("--profile", "live")),
    ],
)
def test_a_check_that_starts_no_runs_on_a_deployment_needs_no_workflow(check, url, flags):
    assert check(*flags, url=url)[0] == 0


def test_two_workflows(check, tmp_path):
    base = written(tmp_path, {"workflow_id": W})
    other = W.replace("1", "2")
    assert "leave one of them out" in refused(check, "--base-request", base, "--workflow-id", other)


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_an_invalid_ca_bundle(check, tmp_path, text):
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    assert "name a PEM file" in refused(check, "--ca-bundle", path)


def test_live_without_cleaning_up(check):
    assert "always cleans up" in refused(check, "--profile", "live", "--no-clean-up")


def test_updating_no_baseline(check):
    assert "add --baseline FILE" in refused(check, "--update-baseline")


@pytest.mark.parametrize(
    "args", [("--profile", "half"), ("--max-runs", "-1"), ("--rate", "0"), ("--seed", "x"), ("--nonsense",)]
)
def test_errors_of_click_are_one_line_too(check, args):
    refused(check, *args)


@pytest.mark.parametrize(
    ("written", "per_second"), [("5/s", 5), ("300/m", 5), ("5", 5), (" 0.5/s ", 0.5), ("1/m", 1 / 60)]
)
def test_a_rate_is_written_as_for_the_mock_or_as_a_number_a_second(check, engine, written, per_second):
    check("--rate", written)
    assert engine.targets[0].budget.rate == per_second


@pytest.mark.parametrize("written", ["0/s", "5/h", "fast", "-1", "5/", "/s", "1e9/s", "\u0665/s\x1b[31m"])
def test_an_invalid_rate_is_refused_with_both_ways_to_write_it(check, written):
    assert "is not a rate: write 5/s or 300/m" in refused(check, "--rate", written)


def test_nothing_in_an_error_line_moves_the_terminal(check):
    assert "\x1b" not in refused(check, "--rate", "\x1b[2J", url="http://127.0.0.1:1")


def test_a_command_that_there_is_not(contracts, engine):
    status, _, err = contracts("chekc")
    assert (status, err.count("\n")) == (2, 1)


def test_a_missing_extra_is_reported_with_the_command_that_installs_it(check, contracts, monkeypatch):
    monkeypatch.setattr("contracts.cli.main._EXTRA", ("hypothesis", "no_such_module"))
    assert "pip install '.[contracts]'" in refused(check)
    for command in (("rules",), ("explain", "X"), ("cleanup", "--token", "t"), ("fuzz", "http://x", "--token", "t")):
        status, _, err = contracts(*command)
        assert (status, err.count("\n")) == (2, 1)


def test_no_library_of_the_extra_is_imported_before_it_is_looked_for():
    missing = f"import sys; sys.modules |= dict.fromkeys({_EXTRA!r})"
    start = f"{missing}; from cyberdesk_mockserver import contracts; contracts()"
    command = [sys.executable, "-c", start, "check", "http://127.0.0.1:9", "--token", "t"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "pip install '.[contracts]'" in done.stderr


def test_the_command_alone_prints_its_help_as_it_is_written(contracts):
    status, out, err = contracts()
    assert (status, out) == (2, "")
    assert err.startswith("Usage: contracts [OPTIONS] COMMAND [ARGS]...\n\n")
    assert "Error" not in err
