"""The fixture `cyberdesk_mock`, in sessions of pytest's own tester."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

pytest_plugins = "pytester"

Run = Callable[..., pytest.RunResult]

PREAMBLE = """
    import asyncio
    import httpx
    import pytest

    SUCCEEDS = "10000000-0000-4000-8000-000000000001"

    def client_of(mock):
        return httpx.Client(base_url=mock.url, headers={"Authorization": f"Bearer {mock.token}"}, trust_env=False)
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """A session in this process with these tests. The plugins that this suite is run with stay out of it."""

    def run_it(tests: str, *args: str) -> pytest.RunResult:
        pytester.makepyfile(PREAMBLE + tests)
        without = (f"-pno:{name}" for name in ("cov", "hypothesispytest", "schemathesis"))
        return pytester.runpytest_inprocess(*without, "--strict-markers", *args)

    return run_it


def test_the_example_of_the_readme_passes(run):
    run("""
    class MyClient:
        def __init__(self, url, token):
            self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)

        def bulk(self, count):
            while True:
                answer = self.http.post("/v1/runs/bulk", json={"workflow_id": SUCCEEDS, "count": count})
                if answer.status_code < 500:
                    return answer.json()["created_runs"]

    def test_retries(cyberdesk_mock):
        cyberdesk_mock.fault("POST /v1/runs/bulk", status=500, times=2)
        runs = MyClient(cyberdesk_mock.url, cyberdesk_mock.token).bulk(5)
        assert len(cyberdesk_mock.requests("POST /v1/runs/bulk")) == 3
        cyberdesk_mock.clock.advance(minutes=20)
        assert cyberdesk_mock.runs[runs[0]["id"]].status == "success"
    """).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("fault('POST /v1/rums', status=500)", "no operation has the path '/v1/rums': did you mean '/v1/runs'?"),
        ("clock.advance('soon')", "invalid duration 'soon'"),
        ("seed('card')[0].finish()", "workflow_id: should be a UUID"),
        ("requests('list_rusn')", "did you mean 'list_runs'?"),
    ],
)
def test_of_a_call_that_is_refused_the_report_shows_the_line_of_the_test_alone(run, call, said):
    result = run(f"""
    def test_misspelled(cyberdesk_mock):
        cyberdesk_mock.{call}
    """)

    output = result.stdout.str()
    assert said in output
    assert f">       cyberdesk_mock.{call}" in output
    assert "/mockserver/testing/" not in output


def test_an_error_of_the_library_itself_is_shown_with_its_frames(run):
    result = run("""
    def test_wrong_type(cyberdesk_mock):
        cyberdesk_mock.fault("*", body={"/count": object()}, status=500)
    """)

    result.stdout.fnmatch_lines(["*mockserver/testing/control.py:*: *", "*object cannot be written as JSON*"])


ISOLATED = """
    @pytest.mark.parametrize("number", range(20))
    def test_is_alone(cyberdesk_mock, number):
        assert cyberdesk_mock.requests() == []
        assert len(cyberdesk_mock.runs) == 0
        assert not cyberdesk_mock.clock.frozen
        cyberdesk_mock.seed(SUCCEEDS, count=number + 1)
        cyberdesk_mock.clock.freeze("2025-03-04T09:00:00Z")
        with client_of(cyberdesk_mock) as client:
            assert client.get("/v1/runs").json()["total"] == number + 1
        cyberdesk_mock.fault("*", status=500)
"""


def test_each_test_has_a_mock_of_its_own_on_one_server(run):
    run(
        ISOLATED
        + """
    SERVERS = set()

    @pytest.fixture(autouse=True)
    def server_of(cyberdesk_mock):
        SERVERS.add(cyberdesk_mock.url.partition("/__ns/")[0])
        assert len(SERVERS) == 1
    """
    ).assert_outcomes(passed=20)


def test_each_test_has_a_mock_of_its_own_with_workers(run):
    run(ISOLATED, "-n", "2").assert_outcomes(passed=20)


def test_the_same_test_gets_the_same_ids_in_every_session(run, pytester):
    tests = """
    def test_ids(cyberdesk_mock):
        ids = [run.id for run in cyberdesk_mock.seed(SUCCEEDS, count=2)]
        with open("ids.txt", "a") as file:
            print(ids, file=file)
    """
    for _ in range(2):
        run(tests).assert_outcomes(passed=1)
    first, second = (pytester.path / "ids.txt").read_text().splitlines()
    assert first == second


def test_async_clients_use_it(run):
    run("""
    def test_async(cyberdesk_mock):
        async def statuses():
            headers = {"Authorization": f"Bearer {cyberdesk_mock.token}"}
            async with httpx.AsyncClient(base_url=cyberdesk_mock.url, headers=headers, trust_env=False) as client:
                cyberdesk_mock.fault("list_runs", status=503, times=1)
                return sorted([each.status_code for each in await asyncio.gather(*[client.get("/v1/runs")] * 1)])

        assert asyncio.run(statuses()) == [503]
        assert len(cyberdesk_mock.requests()) == 1
    """).assert_outcomes(passed=1)


# --- When a test fails


def test_a_failure_shows_what_the_client_sent_and_no_secret(run):
    outcome = run("""
    def test_fails(cyberdesk_mock):
        cyberdesk_mock.fault("GET /v1/runs", fault="reset")
        with client_of(cyberdesk_mock) as client:
            body = {"workflow_id": SUCCEEDS, "count": 0, "sensitive_input_values": {"pin": "sesame"}}
            client.post("/v1/runs/bulk?wait=5", json=body, headers={"Prefer": "fast"})
            client.post("/v1/workflows", json={"main_prompt": "long " * 500})
            client.patch("/v1/runs/x", content=b"not\\x1b[31m json")
            with pytest.raises(httpx.TransportError):
                client.get("/v1/runs")
        assert False

    def test_passes(cyberdesk_mock):
        with client_of(cyberdesk_mock) as client:
            client.get("/v1/pools")
    """)
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(
        [
            "*Requests to the mock*",
            "Base URL http://127.0.0.1:*/__ns/test_fails-*",
            "POST /v1/runs/bulk[?]wait=5  422  * ms",
            "    ! *count*",
            "    ! *wait*",
            "    ! *fast*",
            '    > {"workflow_id": "10000000-*", "count": 0, *',
            '    < {"detail": *',
            "POST /v1/workflows  201  * ms",
            '    > {"main_prompt": "long long *…',
            "PATCH /v1/runs/x  4*",
            "    > not\\x1b[[]31m json",
            "GET /v1/runs  no answer  * ms  fault f1",
        ]
    )
    assert "sesame" not in outcome.stdout.str().partition("Requests to the mock")[2]
    assert "/v1/pools" not in outcome.stdout.str().partition("Requests to the mock")[2]


def test_a_failing_setup_shows_what_it_sent(run):
    outcome = run("""
    @pytest.fixture
    def broken(cyberdesk_mock):
        with client_of(cyberdesk_mock) as client:
            client.get("/v1/machines")
        raise ValueError

    def test_it(broken):
        pass
    """)
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["*Requests to the mock*", "GET /v1/machines  200  *"])


def test_a_client_that_loses_the_path_of_its_base_url_is_told(run):
    outcome = run("""
    def test_fails(cyberdesk_mock):
        httpx.get(cyberdesk_mock.url.partition("/__ns")[0] + "/v1/runs", trust_env=False)
        assert cyberdesk_mock.requests()
    """)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(
        ["None.", "1 request came to * outside of any namespace, the last one GET /v1/runs: *"]
    )


def test_a_client_that_loses_the_path_in_some_requests_only_is_told_too(run):
    outcome = run("""
    def test_fails(cyberdesk_mock):
        with client_of(cyberdesk_mock) as client:
            client.get("/v1/machines")
        for _ in range(2):
            httpx.get(cyberdesk_mock.url.partition("/__ns")[0] + "/v1/runs", trust_env=False)
        assert False
    """)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["GET /v1/machines  200  *", "2 requests came to * outside of any namespace, *"])


def test_a_failure_does_not_tell_of_strays_of_an_earlier_test(run):
    outcome = run("""
    def test_stray(cyberdesk_mock):
        httpx.get(cyberdesk_mock.url.split("/__ns/")[0] + "/v1/health", trust_env=False)

    def test_nothing(cyberdesk_mock):
        assert False
    """)
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(["None."])
    outcome.stdout.no_fnmatch_line("*outside of any namespace*")


def test_a_failure_with_workers_shows_it_too(run):
    outcome = run(
        """
    def test_fails(cyberdesk_mock):
        for _ in range(60):
            httpx.get(cyberdesk_mock.url + "/v1/health", trust_env=False)
        assert False
    """,
        *("-n", "1"),
    )
    outcome.stdout.fnmatch_lines(["*Requests to the mock*", "(10 earlier requests are not shown)", "GET /v1/health*"])


# --- Its settings


def test_settings_come_from_the_ini_file_and_markers_have_the_last_word(run, pytester):
    pytester.makeini(
        "[pytest]\ncyberdesk_mock_settings =\n    progression: manual\n    seed: 7\n"
        "    rate_limit: 100/s\n    token: [a=b, c]\n"
    )
    run("""
    def test_ini(cyberdesk_mock):
        assert (cyberdesk_mock.settings.progression, cyberdesk_mock.settings.seed) == ("manual", 7)
        assert (cyberdesk_mock.settings.rate_limit.limit, cyberdesk_mock.token) == (100, "a")

    @pytest.mark.cyberdesk_mock(seed=8, known_only=True)
    class TestMarked:
        @pytest.mark.cyberdesk_mock(seed=9, port=4010)
        def test_both(self, cyberdesk_mock):
            settings = cyberdesk_mock.settings
            assert (settings.progression, settings.seed, settings.known_only) == ("manual", 9, True)
            assert settings.port == 0

        def test_one(self, cyberdesk_mock):
            assert cyberdesk_mock.settings.seed == 8
    """).assert_outcomes(passed=3)


def test_settings_come_from_a_fixture(run):
    run("""
    from mockserver import Settings

    @pytest.fixture(scope="session")
    def cyberdesk_mock_settings():
        return Settings(progression="immediate")

    def test_it(cyberdesk_mock):
        run, = cyberdesk_mock.seed(SUCCEEDS)
        with client_of(cyberdesk_mock) as client:
            assert client.get(f"/v1/runs/{run.id}").json()["status"] == "success"
    """).assert_outcomes(passed=1)


def test_settings_that_mean_nothing_are_told(run, pytester):
    outcome = run("""
    @pytest.mark.cyberdesk_mock(time_scale=0)
    def test_it(cyberdesk_mock): pass

    @pytest.mark.cyberdesk_mock("manual")
    def test_more(cyberdesk_mock): pass

    @pytest.mark.cyberdesk_mock(progresion="manual")
    def test_misspelled(cyberdesk_mock): pass

    @pytest.mark.cyberdesk_mock(state="state.json")
    def test_shared(cyberdesk_mock): pass
    """)
    outcome.assert_outcomes(errors=4)
    outcome.stdout.fnmatch_lines(
        [
            "The mock cannot start: time_scale: *",
            "The mock cannot start: *takes settings by name*",
            "The mock cannot start: *'progresion'*",
            "The mock cannot start: state: *load_state*",
        ]
    )

    pytester.makeini("[pytest]\ncyberdesk_mock_settings = manual\n")
    outcome = run("""
    def test_it(cyberdesk_mock): pass
    """)
    outcome.stdout.fnmatch_lines(["*one setting a line*"])


def test_settings_that_are_no_yaml_are_told(run, pytester):
    pytester.makeini("[pytest]\ncyberdesk_mock_settings = progression: manual: yes\n")
    outcome = run("""
    def test_it(cyberdesk_mock): pass
    """)
    outcome.stdout.fnmatch_lines(["cyberdesk_mock_settings in the ini file: its lines: not YAML at line 1: *"])
    outcome.stdout.no_fnmatch_line("*Traceback*")


def test_a_fixture_of_settings_that_returns_something_else_is_told(run):
    outcome = run("""
    @pytest.fixture(scope="session")
    def cyberdesk_mock_settings():
        return {"progression": "immediate"}

    def test_it(cyberdesk_mock): pass
    """)
    outcome.stdout.fnmatch_lines(["The mock cannot start: *returns a dict: let it return Settings(...)"])


# --- In anybody else's sessions


def test_the_plugin_imports_nothing_but_pytest():
    program = (
        "import pytest, sys; before = set(sys.modules); import mockserver.pytest_plugin; "
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"mockserver", "mockserver.errors", "mockserver.pytest_plugin"}


def test_sessions_that_do_not_ask_for_it_start_nothing(pytester, monkeypatch):
    pytester.makepyfile("""
    import sys, threading

    def test_it():
        assert not {"uvicorn", "starlette", "mockserver.app"} & set(sys.modules)
        assert threading.active_count() == 1
    """)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    pytester.runpytest_subprocess("-p", "mockserver.pytest_plugin").assert_outcomes(passed=1)


def test_the_plugin_is_found_by_its_entry_point(pytestconfig):
    assert pytestconfig.pluginmanager.get_plugin("cyberdesk_mock") is not None
