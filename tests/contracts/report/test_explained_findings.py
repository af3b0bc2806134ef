"""What every format says of a finding beside its rule: the summary, what works, and where else the fault was seen."""

import dataclasses
import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from contracts.core.exchange import Exchange
from contracts.core.findings import CheckResult, Finding, Reproduction
from contracts.report import FORMATS
from contracts.report.json_reader import read_report
from contracts.report.masking import Mask
from contracts.report.text import render_text
from tests.contracts.report import samples

SUMMARY = "POST /v1/runs/bulk: 201; expected 422 (only with count above 1000?)"
WORKS = 'POST /v1/runs/bulk with {"count": 1000}: 201'
MAIN = dataclasses.replace(
    samples.COUNT,
    summary=SUMMARY,
    neighbour=WORKS,
    guess="only with count above 1000?",
    also_seen=("BULK-ECHO on PATCH /v1/runs/{run_id}",),
)
PART = dataclasses.replace(samples.ECHO, summary="the other sentence", part_of=MAIN.fingerprint)
RESULT: CheckResult = dataclasses.replace(samples.RESULT, findings=(MAIN, PART), unstable=(), baselined=())


def rendered(form: str, result: CheckResult = RESULT) -> str:
    render = render_text if form == "text" else FORMATS[form]
    return render(samples.report(result))


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_fault_is_shown_once_with_what_works_and_where_else_it_was_seen(form: str) -> None:
    said = rendered(form)

    assert SUMMARY in said
    assert WORKS in said
    assert "BULK-ECHO on PATCH /v1/runs/{run_id}" in said
    assert "the other sentence" not in said


@pytest.mark.parametrize("form", ["junit", "sarif"])
def test_machine_formats_have_the_sentence_of_every_finding(form: str) -> None:
    said = unescape(rendered(form)).replace('\\"', '"')

    assert SUMMARY in said
    assert "the other sentence" in said.lower()


def test_the_page_shows_a_fault_once() -> None:
    page = rendered("html")

    assert "<dt>Works</dt>" in page
    assert "<dt>Also seen</dt><dd>BULK-ECHO on PATCH" in page
    assert page.count('<details class="finding"') == 1
    assert "the other sentence" not in page


def test_the_verdict_counts_faults() -> None:
    assert "FAILED: 1 finding." in rendered("text")


def test_a_part_is_shown_if_the_main_finding_is_accepted_by_the_baseline() -> None:
    accepted = dataclasses.replace(RESULT, findings=(PART,), baselined=(MAIN,))

    assert "the other sentence" in rendered("text", accepted)
    assert "FAILED: 1 finding." in rendered("text", accepted)


def test_the_json_report_has_all_findings_and_what_belongs_together(tmp_path) -> None:
    text = rendered("json")

    main, part = json.loads(text)["findings"]
    assert part["part_of"] == main["fingerprint"]
    assert (main["summary"], main["neighbour"], main["guess"]) == (SUMMARY, WORKS, MAIN.guess)
    (tmp_path / "report.json").write_text(text)
    saved = read_report(tmp_path / "report.json").findings
    assert [(one.neighbour, one.guess, one.also_seen, one.part_of) for one in saved] == [
        (one.neighbour, one.guess, one.also_seen, one.part_of) for one in (MAIN, PART)
    ]


def test_a_secret_is_masked_in_every_sentence() -> None:
    body = b'{"sensitive_input_values": {"pin": "correct-horse"}}'
    request = dataclasses.replace(samples.CREATE, body=body)
    leak = dataclasses.replace(
        MAIN,
        exchanges=(Exchange(request, samples.CREATED),),
        summary="it shows correct-horse",
        neighbour="GET /v1/runs?search=correct-h…: 200",
        guess="only with correct-horse?",
    )
    mask = Mask()
    mask.learn([request])

    masked = mask.finding(leak)

    assert "correct" not in masked.summary + masked.neighbour + masked.guess


BESIDE = (Reproduction("a scenario", "{}", beside=(Reproduction("another scenario", "{}"),)),)
SOMETIMES = dataclasses.replace(
    samples.COUNT, summary=SUMMARY, stable=False, intermittent=True, seen=1, judged=204, reproductions=BESIDE
)


def result_of(finding: Finding) -> CheckResult:
    return dataclasses.replace(RESULT, findings=(finding,))


@pytest.mark.parametrize("form", ["text", "markdown", "html", "junit", "sarif"])
def test_the_sentence_of_an_intermittent_finding_says_how_often_it_was_seen(form: str) -> None:
    said = unescape(rendered(form, result_of(SOMETIMES))).replace('\\"', '"')

    assert f"{SUMMARY} (1 of 204 times, while other requests were answered)" in said


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"reproductions": ()}, " (1 of 204 times)"),
        ({"not_sent_again": "the time was over"}, ""),
        ({"stable": True, "intermittent": False}, ""),
    ],
)
def test_the_sentence_of_other_findings_says_no_more_than_is_known(changes: dict[str, Any], more: str) -> None:
    assert dataclasses.replace(SOMETIMES, **changes).sentence == SUMMARY + more


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_note_on_the_commands_precedes_them(form: str) -> None:
    note = "Send requests 1 and 2 at the same moment: one after the other, they may not show it."
    finding = dataclasses.replace(SOMETIMES, commands_note=note)

    said = unescape(rendered(form, result_of(finding)))

    commands = said.index("curl -sS")
    assert said.index(note) < commands
    assert said.index("Sent again alone, they did not show it") < commands


def test_the_json_report_keeps_the_note_on_the_commands(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(rendered("json", result_of(dataclasses.replace(SOMETIMES, commands_note="a note"))))

    (saved,) = read_report(path).findings

    assert (saved.commands_note, saved.summary) == ("a note", SUMMARY)
