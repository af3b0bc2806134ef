"""The list of requests, and one request in full."""

import subprocess
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.mockserver.admin.page.control import WORKFLOW, Control


def test_a_request_of_another_client_appears_with_method_path_status_duration_and_operation(
    page: Page, control: Control
) -> None:
    control.client.get("/v1/machines", params={"limit": 5})

    row = page.locator(".request")
    expect(row.locator(".method")).to_have_text("GET")
    expect(row.locator(".path")).to_have_text("/v1/machines?limit=5")
    expect(row.locator(".status")).to_have_text("200")
    expect(row.locator(".operation")).to_have_text("list_machines")
    duration_ms = Decimal(control.admin("GET", "requests")["items"][0]["duration_ms"])
    expect(row.locator(".ms")).to_have_text(str(duration_ms.quantize(Decimal("0.1"), ROUND_HALF_UP)))  # as toFixed does


def test_requests_that_came_before_the_page_are_shown_the_newest_first(context: Any, control: Control) -> None:
    for path in ("/v1/machines", "/v1/workflows", "/v1/pools"):
        control.client.get(path)

    page = context.new_page()
    page.goto(control.page_url)

    expect(page.locator(".request .path")).to_have_text(["/v1/pools", "/v1/workflows", "/v1/machines"])


def test_a_refused_request_says_why(page: Page, control: Control) -> None:
    control.client.get("/v1/runs", params={"status": "done"})

    reason = control.admin("GET", "requests")["items"][0]["reason"]
    row = page.locator(".request")
    expect(row.locator(".status")).to_have_text("422")
    expect(row.locator(".note.reason")).to_have_text(reason)


def test_a_warning_and_a_fault_are_told_beside_the_request(page: Page, control: Control) -> None:
    control.admin("POST", "faults", {"match": "GET /v1/machines", "answer": {"status": 503}})
    control.client.get("/v1/machines")
    control.client.post("/v1/runs/bulk", json={"workflow_id": WORKFLOW, "count": 1, "inputvalues": {}})

    expect(page.locator(".request").nth(1).locator(".note.fault")).to_have_text("Fault f1: answer 503")
    expect(page.locator(".request").nth(0).locator(".note.warning")).to_contain_text("inputvalues")


def test_the_list_is_filtered_by_words_and_to_what_was_refused(page: Page, control: Control) -> None:
    control.client.get("/v1/machines")
    control.client.get("/v1/runs", params={"status": "done"})
    control.client.get("/v1/workflows")
    expect(page.locator(".request")).to_have_count(3)

    page.get_by_label("Filter the requests").fill("get machines")
    expect(page.locator(".request .path")).to_have_text(["/v1/machines"])

    page.get_by_label("Filter the requests").fill("")
    page.get_by_label("Refused only").check()
    expect(page.locator(".request .path")).to_have_text(["/v1/runs?status=done"])

    page.get_by_label("Filter the requests").fill("nothing like this")
    expect(page.locator("#traffic-empty")).to_have_text("No request matches the filter.")


def test_a_list_that_is_paused_stands_still_and_catches_up(page: Page, control: Control) -> None:
    control.client.get("/v1/machines")
    expect(page.locator(".request")).to_have_count(1)

    page.get_by_role("button", name="Pause").click()
    control.client.get("/v1/workflows")
    expect(page.locator("#traffic-count")).to_have_text("2")
    expect(page.locator(".request")).to_have_count(1)

    page.locator("#traffic").get_by_role("button", name="Resume").click()
    expect(page.locator(".request")).to_have_count(2)


def test_clear_empties_the_journal_and_the_list(page: Page, control: Control) -> None:
    control.client.get("/v1/machines")
    expect(page.locator(".request")).to_have_count(1)

    page.get_by_role("button", name="Clear").click()

    expect(page.locator(".request")).to_have_count(0)
    assert control.admin("GET", "requests")["total"] == 0


def test_a_click_shows_the_request_and_its_answer(page: Page, control: Control) -> None:
    control.client.post("/v1/runs/bulk", json={"workflow_id": WORKFLOW, "count": 2, "input_values": {"name": "Ada"}})

    page.locator(".request").click()

    dialog = page.get_by_role("dialog", name="POST")
    expect(dialog).to_contain_text("bulk_create_runs")
    expect(dialog.get_by_label("Body", exact=True).nth(0)).to_contain_text('"name": "Ada"')
    expect(dialog.get_by_label("Body", exact=True).nth(1)).to_contain_text('"created_runs"')
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(".request")).to_be_focused()


def test_from_one_request_to_its_neighbours(page: Page, control: Control) -> None:
    for path in ("/v1/machines", "/v1/workflows"):
        control.client.get(path)
    expect(page.locator(".request")).to_have_count(2)

    page.locator(".request").first.click()
    title = page.locator("#request-title")
    expect(title).to_contain_text("/v1/workflows")
    expect(page.get_by_role("button", name="Newer")).to_be_disabled()

    page.get_by_role("button", name="Older").click()
    expect(title).to_contain_text("/v1/machines")
    expect(page.get_by_role("button", name="Older")).to_be_disabled()


REQUESTS: dict[str, dict[str, Any]] = {
    "a read": {"method": "GET", "url": "/v1/machines?limit=3"},
    "a head": {"method": "HEAD", "url": "/v1/machines"},
    "a create": {"method": "POST", "url": "/v1/runs/bulk", "json": {"workflow_id": WORKFLOW, "count": 2}},
    "a refused one": {"method": "POST", "url": "/v1/runs/bulk", "json": {"workflow_id": 'it\'s "$HOME" `id` \\'}},
    "no token": {"method": "GET", "url": "/v1/machines", "headers": {"Authorization": ""}},
    "names that come twice": {"method": "GET", "url": "/v1/runs?fields=a&fields=b%26c&x=%20%2B'"},
    "an odd path": {"method": "GET", "url": "/v1/runs/%24(id)'%20%22%C3%A4%E2%80%AE"},
    "odd headers": {
        "method": "GET",
        "url": "/v1/machines",
        "headers": {"X-Quotes": 'it\'s "$HOME" \\n', "X-Latin": b"caf\xe9 \xff", "X-Empty": ""},
    },
    "a body that is not JSON": {
        "method": "POST",
        "url": "/v1/runs/bulk",
        "content": b'{"count": 1, it\'s $(id)\n\x1b[31m "\xe2\x80\xae',
        "headers": {"Content-Type": "application/json"},
    },
    "a JSON text": {
        "method": "POST",
        "url": "/v1/runs/bulk",
        "content": b'"x"',
        "headers": {"Content-Type": "application/json"},
    },
    "a JSON null": {
        "method": "POST",
        "url": "/v1/runs/bulk",
        "content": b"null",
        "headers": {"Content-Type": "application/json"},
    },
    "a body without a type": {"method": "POST", "url": "/v1/runs/bulk", "content": b'{"count":1}'},
    "numbers that do not fit a float": {
        "method": "POST",
        "url": "/v1/runs/bulk",
        "json": {"workflow_id": WORKFLOW, "count": 1, "input_values": {"n": 12345678901234567890, "f": 1.5}},
    },
    "an unknown method": {"method": "PURGE", "url": "/v1/runs"},
}
SENT_AGAIN = ("method", "path", "query", "body", "status", "operation", "reason", "valid")


@pytest.mark.parametrize("name", REQUESTS)
def test_the_curl_command_sends_the_same_request_again(page: Page, control: Control, name: str) -> None:
    arguments = REQUESTS[name]
    control.client.request(**arguments)
    page.locator(".request").click()
    command = page.locator("#request-dialog").get_by_label("curl").text_content() or ""

    page.locator("#request-dialog").get_by_role("button", name="Copy curl").click()
    expect(page.locator(".toast")).to_have_text("Copied curl")
    copied = page.evaluate("navigator.clipboard.readText()")
    environment = {"PATH": "/usr/bin:/bin", "TOKEN": "test", "HOME": "/nowhere"}
    done = subprocess.run(["bash"], input=copied.encode(), capture_output=True, timeout=30, env=environment)

    assert command == copied
    assert (done.returncode, done.stderr) == (0, b"")
    first, again = control.admin("GET", "requests")["items"]
    assert {key: again[key] for key in SENT_AGAIN} == {key: first[key] for key in SENT_AGAIN}
    kept = {"authorization", "content-type", *(key.lower() for key in arguments.get("headers", {}))}
    for header in kept:
        # An empty token cannot be sent again by a command in which $TOKEN stands.
        if arguments.get("headers", {}).get("Authorization") != "" or header != "authorization":
            assert again["headers"].get(header) == first["headers"].get(header)


def test_the_arrow_keys_go_through_the_list_and_enter_opens(page: Page, control: Control) -> None:
    for path in ("/v1/machines", "/v1/workflows", "/v1/pools"):
        control.client.get(path)
    expect(page.locator(".request")).to_have_count(3)

    page.locator(".request").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")

    expect(page.locator("#request-title")).to_contain_text("/v1/workflows")
    assert page.locator(".request[tabindex='0']").count() == 1


def test_a_burst_of_requests_leaves_a_bounded_list_and_a_page_that_answers(page: Page, control: Control) -> None:
    for number in range(520):
        control.client.get("/v1/machines", params={"search": number})

    expect(page.locator("#traffic-count")).to_have_text("520")
    expect(page.locator(".request .path").first).to_have_text("/v1/machines?search=519")
    assert page.locator(".request").count() == 500
    page.get_by_label("Filter the requests").fill("search=519")
    expect(page.locator(".request")).to_have_count(1)
