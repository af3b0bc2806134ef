"""The journal: what a crash at any moment leaves on disk is enough to clean up, from any folder, and no check's runs
are cleaned up by another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.core.exchange import SECOND_TOKEN, Request
from contracts.core.findings import CouldNotCheck
from contracts.core.target import Budget, Target
from contracts.guard import Guard, NoAnswer, clean_up_journals, forget_journals
from contracts.guard.journal import Journal, default_directory, journals
from contracts.guard.rate_limiter import Clock
from tests.contracts.guard.conftest import ManualClock, OpenGuard
from tests.contracts.guard.requests import bulk, ids_of, post
from tests.contracts.guard.standin import CUT, FIRST, SECOND, WORKFLOW, Received, Reply, StandIn

LATER = Clock(now=lambda: datetime.now(UTC) + timedelta(minutes=2))
CHECK = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from contracts.guard import Guard, NoAnswer
    from contracts.core.target import Budget, Target
    from tests.contracts.guard.requests import bulk

    url, directory, profile, marked = sys.argv[1:]
    target = Target(url, token="{FIRST}", second_token="{SECOND}", profile=profile, clean_up=True)
    with Guard(target, journal_dir=Path(directory)) as guard:
        guard.send(bulk(2, input_values={"m": guard.ownership_marker}))
        print("made", flush=True)
        values = {"m": guard.ownership_marker} if marked == "marked" else {"same": "for all"}
        guard.send(bulk(3, input_values=values))
        print("made more", flush=True)
        sys.stdin.read()
    """
)


@contextmanager
def a_check(
    server: StandIn, journal_dir: Path, profile: str = "live", marked: str = "marked"
) -> Iterator[subprocess.Popen[str]]:
    """Another process that creates five runs, in two requests, and then waits to be told that it may end."""
    code = CHECK.replace("{FIRST}", FIRST).replace("{SECOND}", SECOND)
    arguments = [sys.executable, "-c", code, server.url, str(journal_dir), profile, marked]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def killed_at(server: StandIn, journal_dir: Path, moment: Callable[[Received], bool], **options: str) -> None:
    """Kills a check with signal 9 when the moment has come: after the server has acted, before it answers."""
    came = threading.Event()
    killed = threading.Event()

    def meddle(received: Received) -> Reply | None:
        if not moment(received):
            return None
        reply = server.answer(received)
        came.set()
        assert killed.wait(timeout=30)
        return reply

    server.meddle = meddle
    with a_check(server, journal_dir, **options) as process:
        assert came.wait(timeout=30)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        killed.set()
    server.meddle = lambda _: None


def second_create(received: Received) -> bool:
    return received.method == "POST" and received.json()["count"] == 3


def lines(journal_dir: Path) -> list[dict[str, object]]:
    [path] = journal_dir.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_after_a_kill_between_create_and_answer_everything_is_cleaned_up(
    server: StandIn, journal_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {server.add_run(), server.add_run("two")}
    before = json.dumps(server.runs)
    killed_at(server, journal_dir, second_create)
    assert len(server.runs) == 7
    monkeypatch.chdir(tmp_path)
    begun: list[tuple[str, int]] = []
    cleaned: list[None] = []

    def begin(origin: str, runs: int) -> Callable[[], None]:
        begun.append((origin, runs))
        return lambda: cleaned.append(None)

    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir, on_begin=begin)
    assert begun == [(server.url, 2)]  # those of the first create, which was answered
    assert len(cleaned) == 5
    assert (report.journals, report.cleaned, report.left, report.possibly_left, report.problems) == (1, 5, 0, [], [])
    assert set(server.runs) == theirs
    assert json.dumps(server.runs) == before
    assert list(journal_dir.iterdir()) == []


def test_after_a_kill_runs_without_proof_are_reported_and_stay(server: StandIn, journal_dir: Path) -> None:
    killed_at(server, journal_dir, second_create, marked="unmarked")
    for _ in range(2):  # nothing is forgotten after the first try
        report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
        assert (report.left, len(report.possibly_left)) == (0, 3)
        assert ids_of(report.possibly_left) == set(server.runs)
    assert {run["status"] for run in server.runs.values()} == {"scheduling"}
    server.runs.clear()
    clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir, clock=LATER)
    assert list(journal_dir.iterdir()) == []


def test_after_a_kill_runs_that_existed_before_the_create_are_not_reported(server: StandIn, journal_dir: Path) -> None:
    theirs = server.add_run(input_values={"same": "for all"})
    killed_at(server, journal_dir, second_create, marked="unmarked")
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert len(server.runs) == 4
    assert ids_of(report.possibly_left) == server.runs.keys() - {theirs}


def test_after_a_kill_while_cleaning_up_the_rest_is_cleaned_up(server: StandIn, journal_dir: Path) -> None:
    killed_at(server, journal_dir, lambda received: received.method == "POST" and received.json()["count"] == 3)
    killed = iter(range(100))

    def dies(received: Received) -> Reply | None:
        return CUT if received.method == "DELETE" and next(killed) >= 2 else None

    server.meddle = dies
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert report.left + report.cleaned == 5
    assert report.left > 0
    server.meddle = lambda _: None
    report = clean_up_journals(None, token=FIRST, journal_dir=journal_dir)
    assert report.left == 0
    assert server.runs == {}


def test_a_server_that_is_gone_is_asked_and_named_once(server: StandIn, journal_dir: Path) -> None:
    asked: list[int] = []
    for number in (1, 2):
        killed_at(server, journal_dir, lambda received: received.method == "POST" and received.json()["count"] == 3)
        asked.append(0)

        def cut(received: Received) -> Reply:
            asked[-1] += 1
            return CUT

        server.meddle = cut
        report = clean_up_journals(None, token=FIRST, journal_dir=journal_dir)
        (problem,) = report.problems
        assert problem.startswith(f"{server.url}: ")
        assert problem.endswith(f"if it is gone, `contracts cleanup {server.url} --forget` discards its journals")
        assert report.journals == number
    assert asked[0] == asked[1] > 0


def test_a_journal_directory_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "journals"
    path.touch()
    report = clean_up_journals(None, token=FIRST, journal_dir=path)
    assert report.problems == [f"{path} is not a folder: correct CONTRACTS_JOURNAL_DIR"]


def test_a_folder_of_journals_that_is_named_and_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRACTS_JOURNAL_DIR", str(tmp_path / "misspelled"))
    report = clean_up_journals(None, token="t")
    assert (report.unclear, report.problems) == (
        1,
        [f"there is no folder {tmp_path / 'misspelled'}: correct CONTRACTS_JOURNAL_DIR"],
    )
    monkeypatch.setenv("CONTRACTS_JOURNAL_DIR", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of a user who has made no check"))
    assert clean_up_journals(None, token="t").problems == []
    assert report.unclear == 1


def test_a_journal_in_use_is_left_alone(server: StandIn, journal_dir: Path) -> None:
    with a_check(server, journal_dir) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        assert process.stdout.readline() == "made more\n"
        report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
        assert (report.journals, report.cleaned) == (0, 0)
        assert "in use" in report.problems[0]
        assert forget_journals(server.url, journal_dir=journal_dir).problems == report.problems
        with StandIn() as other:
            assert clean_up_journals(other.url, token=FIRST, journal_dir=journal_dir).problems == []
        assert len(server.runs) == 5
        process.kill()
        process.wait(timeout=30)
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert (report.journals, report.cleaned, server.runs) == (1, 5, {})


def test_the_intent_is_on_disk_before_the_create_is_sent_and_the_ids_before_its_answer_is_returned(
    server: StandIn, journal_dir: Path, live_guard: Guard
) -> None:
    seen: list[list[dict[str, object]]] = []

    def look(received: Received) -> Reply | None:
        if received.method == "POST":
            seen.append(lines(journal_dir))
        return None

    server.meddle = look
    exchange = live_guard.send(bulk(2, input_values={"m": live_guard.ownership_marker, "card": "4111-1111"}))
    made = [run["id"] for run in exchange.answer.json()["created_runs"]]
    [at_sending] = seen
    assert {k: v for k, v in at_sending[-1].items() if k not in {"at", "digest"}} == {
        "intent": 1,
        "as": "first",
        "runs": 2,
        "workflows": [WORKFLOW],
        "marked": True,
    }
    told, closed = lines(journal_dir)[-2:]
    assert {k: v for k, v in told.items() if k != "at"} == {"answered": 1, "as": "first", "ids": made}
    assert closed == {"closed": [1]}  # only once it was looked what else came into being


def test_a_journal_holds_no_token_and_no_value(server: StandIn, journal_dir: Path, live_guard: Guard) -> None:
    live_guard.send(bulk(1, input_values={"card": "4111-1111"}, sensitive_input_values={"pin": "pin-of-someone"}))
    live_guard.send(bulk(1, authorization="Bearer made-up-token-of-a-test"))
    [path] = journal_dir.glob("*.jsonl")
    text = path.read_text()
    for secret in (FIRST, SECOND, "4111-1111", "pin-of-someone", "made-up-token"):
        assert secret not in text
    assert path.stat().st_mode & 0o077 == 0


def test_a_check_that_leaves_nothing_leaves_no_journal(open_guard: OpenGuard, journal_dir: Path) -> None:
    parsed, cleaning, leaving = open_guard(), open_guard(), open_guard()
    cleaning.send(bulk(3))
    cleaning.clean_up()
    leaving.send(bulk(3))
    for guard in (parsed, cleaning, leaving):
        guard.__exit__(None, None, None)
    assert [path.suffix for path in sorted(journal_dir.iterdir())] == [".jsonl", ".lock"]


def leave_runs_of_both(open_guard: OpenGuard) -> None:
    """Leave three runs of the first organisation, and two of the second."""
    guard = open_guard()
    guard.send(bulk(3))
    guard.send(bulk(2, authorization=SECOND_TOKEN))
    guard.__exit__(None, None, None)


def test_runs_that_were_left_on_purpose_are_cleaned_up_later(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    leave_runs_of_both(open_guard)
    report = clean_up_journals(None, token=FIRST, journal_dir=journal_dir)
    assert (report.cleaned, report.left) == (3, 2)
    assert "token" in report.problems[0]
    report = clean_up_journals(None, token=SECOND, journal_dir=journal_dir)
    assert (report.cleaned, report.left, report.problems) == (2, 0, [])
    assert server.runs == {}


def test_the_tokens_of_a_later_clean_up_may_come_in_any_order(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    leave_runs_of_both(open_guard)
    report = clean_up_journals(None, token=SECOND, second_token=FIRST, journal_dir=journal_dir)
    assert (report.cleaned, report.left, report.problems) == (5, 0, [])
    assert server.runs == {}


def send_and_close(guard: Guard, request: Request) -> None:
    """Send a create as a check that does not clean up."""
    guard.send(request)
    guard.__exit__(None, None, None)


def test_runs_made_without_a_token_are_looked_for_with_those_given(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    server.requires_auth = False
    send_and_close(open_guard(), bulk(2, authorization=None))
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert (report.cleaned, report.left, server.runs) == (2, 0, {})
    assert report.elsewhere == []


def test_a_token_goes_to_no_other_origin_than_it_was_used_for(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    send_and_close(open_guard(), bulk(3))
    before = len(server.received)
    with StandIn() as other:
        report = clean_up_journals(other.url, token=FIRST, journal_dir=journal_dir)
        assert (report.journals, other.received) == (0, [])
        assert report.elsewhere == [server.url]

    def begin(origin: str, runs: int) -> Callable[[], None]:
        raise AssertionError(f"{runs} runs at {origin} would be cleaned up")

    report = clean_up_journals(None, token="another-token-0123456789", journal_dir=journal_dir, on_begin=begin)
    assert (report.journals, report.left) == (1, 3)
    assert "another token" in report.problems[0]
    assert len(server.received) == before


RENEWED = "renewed-token-0123456789abcdef"


def test_a_renewed_token_cleans_up_at_a_url_that_is_named(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    leave_runs_of_both(open_guard)
    server.organisations = {RENEWED: "one", SECOND: "two"}
    theirs = server.add_run()
    before = len(server.received)
    report = clean_up_journals(None, token=RENEWED, journal_dir=journal_dir)
    assert (report.cleaned, report.left, len(server.received)) == (0, 5, before)
    report = clean_up_journals(server.url, token=SECOND, second_token=RENEWED, journal_dir=journal_dir)
    assert (report.cleaned, report.left, report.problems) == (5, 0, [])
    assert set(server.runs) == {theirs}


def test_a_token_of_another_organisation_is_not_taken_for_a_renewed_one(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    send_and_close(open_guard(second_token=None), bulk(3))
    report = clean_up_journals(server.url, token=SECOND, journal_dir=journal_dir)
    assert (report.cleaned, report.left, len(server.runs)) == (0, 3, 3)
    assert report.problems[0].endswith("reads none of its runs; give one of the same organisation")
    assert not server.sent("DELETE")


def test_a_target_that_does_not_answer_is_reported_and_its_journal_stays(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    send_and_close(open_guard(), bulk(3))
    server.__exit__(None, None, None)
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    server.__enter__()
    assert (report.cleaned, report.left) == (0, 3)
    assert "cannot connect" in report.problems[0]
    assert len(list(journal_dir.glob("*.jsonl"))) == 1


def test_a_later_clean_up_sends_no_faster_than_the_check_was_allowed_to(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path, manual: ManualClock
) -> None:
    guard = open_guard(profile="live", budget=Budget(max_runs=25, max_requests=500, rate=5.0))
    guard.send(bulk(6))
    guard.__exit__()
    before, began = len(server.received), manual.moment
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir, clock=manual.clock)
    sent = len(server.received) - before
    assert (report.cleaned, server.runs) == (6, {})
    assert sent > 20
    assert manual.moment - began >= (sent - 1) / 5


def test_an_intent_that_was_never_sent_does_not_hinder_the_clean_up(
    server: StandIn, journal_dir: Path, live_guard: Guard
) -> None:
    server.meddle = lambda received: CUT if received.method == "POST" else None
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(5, input_values={"m": live_guard.ownership_marker}))
    live_guard.__exit__(None, None, None)
    assert len(list(journal_dir.glob("*.jsonl"))) == 1
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert (report.journals, report.cleaned, report.left) == (1, 0, 0)
    assert "again in a minute" in report.problems[0]  # the target may be at work on it still
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir, clock=LATER)
    assert (report.problems, list(journal_dir.iterdir())) == ([], [])


def test_a_create_that_is_carried_out_after_the_first_clean_up_is_found_by_the_second(
    server: StandIn, journal_dir: Path, live_guard: Guard
) -> None:
    late: list[Received] = []

    def carry_out_later(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        late.append(received)
        return CUT

    server.meddle = carry_out_later
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(2, input_values={"m": live_guard.ownership_marker}))
    assert live_guard.clean_up() == 0
    assert "again in a minute" in live_guard.log.skipped[-1]
    live_guard.__exit__(None, None, None)
    server.answer(late[0])
    assert len(server.runs) == 2
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert (report.cleaned, report.problems, server.runs) == (2, [], {})


def test_a_line_that_a_crash_cut_short_is_passed_over(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    send_and_close(open_guard(), bulk(2))
    [path] = journal_dir.glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"intent": 2, "at": 17')
    found = [each for _, each in journals(journal_dir) if isinstance(each, Journal)]
    found[0].record_gone([next(iter(found[0].record.runs))])
    found[0].close(keep=True)
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert (report.cleaned, report.left) == (1, 0)
    assert len(server.runs) == 1


def test_files_that_are_not_journals_are_reported_and_kept(journal_dir: Path, server: StandIn) -> None:
    journal_dir.mkdir()
    for name, text in (("a", "{}\n"), ("b", '{"journal": 99}\n'), ("c", "[]\nx\n"), ("d", '{"journal": 1}\n')):
        (journal_dir / f"{name}.jsonl").write_text(text)
    (journal_dir / "empty.jsonl").write_text('{"journal": 1, "url"')
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert [words.split(" ")[0] for words in report.problems] == ["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"]
    assert sorted(path.name for path in journal_dir.iterdir()) == ["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"]


def test_journals_of_loopback_servers_long_gone_do_not_pile_up(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    kept = {}
    for name, profile in (("full", "full"), ("live", "live")):
        guard = open_guard(profile=profile, clean_up=False)
        guard.send(bulk(1))
        kept[name] = guard._journal.path
        guard.__exit__(None, None, None)
        long_ago = datetime.now(UTC) - timedelta(days=2)
        text = kept[name].read_text().splitlines()
        header = json.loads(text[0]) | {"started_at": long_ago.timestamp()}
        kept[name].write_text("\n".join([json.dumps(header), *text[1:], ""]))
        os.utime(kept[name], (long_ago.timestamp(), long_ago.timestamp()))
    open_guard()
    assert (kept["full"].exists(), kept["live"].exists()) == (False, True)


def test_a_journal_that_another_check_removes_meanwhile_is_no_problem(open_guard: OpenGuard, journal_dir: Path) -> None:
    journal_dir.mkdir(parents=True, exist_ok=True)
    (journal_dir / "gone.jsonl").symlink_to("nowhere")  # listed, and not there
    assert open_guard().spent.requests == 0


def test_the_journals_directory_is_the_same_from_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: StandIn
) -> None:
    monkeypatch.delenv("CONTRACTS_JOURNAL_DIR", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_directory() == Path.home() / ".local" / "state" / "cyberdesk-contracts"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_directory() == Path("/state/cyberdesk-contracts")
    monkeypatch.setenv("CONTRACTS_JOURNAL_DIR", str(tmp_path / "chosen"))
    with Guard(Target(server.url, FIRST)) as guard:
        assert guard._journal.path.parent == tmp_path / "chosen"
    assert clean_up_journals(None, token=FIRST).journals == 0


def test_without_a_place_for_the_journal_nothing_can_be_checked(server: StandIn, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with (
        pytest.raises(CouldNotCheck, match="set CONTRACTS_JOURNAL_DIR to a folder"),
        Guard(Target(server.url, FIRST), journal_dir=blocked),
    ):
        pass


def test_a_create_that_cannot_be_written_down_is_not_sent(
    guard: Guard, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(CouldNotCheck, match="No space left"):
        guard.send(bulk())
    assert server.received == []


def test_the_journal_of_a_target_on_another_machine_is_synced_to_disk(
    journal_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for url, count in (("http://127.0.0.1:1", 0), ("https://runs.example.test", 1)):
        journal = Journal.create(journal_dir, Target(url, FIRST), "marker", datetime.now(UTC))
        journal.add_session(str(uuid.uuid4()))
        journal.close(keep=False)
        assert len(synced) == count


def test_nothing_is_written_to_a_closed_journal(journal_dir: Path) -> None:
    journal = Journal.create(journal_dir, Target("http://127.0.0.1:1", FIRST), "marker", datetime.now(UTC))
    journal.close(keep=True)
    with (journal_dir / "other").open("wb"), pytest.raises(CouldNotCheck, match="cannot be written"):
        journal.add_session(str(uuid.uuid4()))
    assert (journal_dir / "other").read_bytes() == b""


def test_a_guard_creates_only_inside_its_with_block(server: StandIn) -> None:
    guard = Guard(Target(server.url, FIRST))
    with pytest.raises(RuntimeError, match="with"):
        guard.send(post("/v1/runs", {}))
    assert server.received == []


def test_a_target_that_offers_nothing_is_named_once_and_its_journals_can_be_discarded(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    server.meddle = lambda received: Reply(501 if received.method == "POST" else 404)
    for _ in range(2):
        guard = open_guard()
        guard.send(bulk(2))
        guard.clean_up()
        guard.__exit__(None, None, None)

    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert (report.journals, report.unclear) == (2, 2)
    [problem] = report.problems
    assert (
        "the target offers no list of runs (GET /v1/runs: 404), so it cannot be searched for runs of creates" in problem
    )
    assert f"`contracts cleanup {server.url} --forget`" in problem

    sent = len(server.received)
    with StandIn() as other:
        assert forget_journals(other.url, journal_dir=journal_dir).journals == 0
    assert forget_journals(server.url, journal_dir=journal_dir).journals == 2
    assert list(journal_dir.iterdir()) == []
    assert len(server.received) == sent


def test_creates_answered_with_501_are_settled_by_the_lists(
    open_guard: OpenGuard, server: StandIn, journal_dir: Path
) -> None:
    server.meddle = lambda received: Reply(501) if received.method == "POST" else None
    send_and_close(open_guard(), bulk(2))
    report = clean_up_journals(server.url, token=FIRST, journal_dir=journal_dir)
    assert (report.left, report.unclear, report.problems) == (0, 0, [])
    assert list(journal_dir.iterdir()) == []
