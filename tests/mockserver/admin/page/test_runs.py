"""The board of runs, and one run in full."""

import base64
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.mockserver.admin.page.conftest import open_live
from tests.mockserver.admin.page.control import WORKFLOW, Control
from tests.mockserver.inprocess import NEVER_ENDS

NOW = "2025-03-04T09:00:00Z"


def cards(page: Page, status: str) -> Locator:
    return page.locator(f".column.{status} .card")


def clipboard(page: Page) -> list[str]:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text.split("\n")


def test_a_bulk_create_of_another_client_appears_and_succeeds_when_a_click_advances_the_clock(
    page: Page, control: Control
) -> None:
    control.admin("POST", "clock", {"freeze": NOW})

    ids = control.bulk(3)
    expect(cards(page, "scheduling")).to_have_count(3)

    page.get_by_role("button", name="+20 min").click()
    expect(cards(page, "success")).to_have_count(3)
    expect(cards(page, "scheduling")).to_have_count(0)
    expect(page.locator(".column.success .count")).to_have_text("3")
    assert {control.status_of(id_) for id_ in ids} == {"success"}


def test_a_card_shows_the_name_of_the_workflow_if_the_world_has_one(page: Page, control: Control) -> None:
    control.seed({"workflow_id": NEVER_ENDS})
    expect(page.locator(".card .workflow")).to_have_text("Never ends")
    control.seed({"workflow_id": "aaaaaaaa-0000-4000-8000-00000000beef"})
    expect(page.locator(".card", has_text="workflow …beef")).to_have_count(1)

    page.get_by_label("Filter the runs").fill("never")
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".card .workflow")).to_have_text("Never ends")


def test_before_there_is_a_run_the_page_offers_the_command_that_makes_some(page: Page, control: Control) -> None:
    command = page.locator("#runs-empty pre")

    expect(command).to_contain_text(f"{control.url}/v1/runs/bulk")
    control.bulk(1)
    expect(page.locator("#runs-empty")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(1)


@pytest.mark.parametrize(
    ("status", "button", "becomes"),
    [
        ("scheduling", "Advance", "running"),
        ("running", "Finish", "success"),
        ("running_checks", "Fail", "task_failed"),
    ],
)
def test_a_button_of_a_card_moves_the_run(page: Page, control: Control, status: str, button: str, becomes: str) -> None:
    control.admin("POST", "clock", {"freeze": NOW})
    (run_id,) = control.seed({"status": status})

    page.get_by_role("button", name=f"{button} {run_id[:8]}").click()

    expect(cards(page, becomes)).to_have_count(1)
    expect(cards(page, status)).to_have_count(0)
    assert control.status_of(run_id) == becomes


def test_a_run_that_has_ended_offers_no_button(page: Page, control: Control) -> None:
    control.seed({"status": "success"}, {"status": "running", "workflow_id": NEVER_ENDS})

    expect(cards(page, "running").get_by_role("button", name="Finish")).to_be_visible()
    expect(cards(page, "success")).to_have_count(1)
    expect(cards(page, "success").get_by_role("button", name="Finish")).to_have_count(0)


def test_a_refusal_of_the_mock_is_shown(page: Page, control: Control) -> None:
    (run_id,) = control.seed({"status": "running", "workflow_id": NEVER_ENDS})
    expect(cards(page, "running")).to_have_count(1)
    # As if the run ended between the look at it and the click.
    page.route("**/finish", lambda route: route.fulfill(status=409, json={"detail": "This run has ended in error"}))

    page.get_by_role("button", name=f"Finish {run_id[:8]}").click()

    expect(page.locator(".toast.error")).to_have_text("This run has ended in error")


def test_the_filter_leaves_what_matches_and_copy_takes_its_ids(page: Page, control: Control) -> None:
    control.admin("POST", "clock", {"freeze": NOW})
    other = "10000000-0000-4000-8000-000000000002"
    control.seed({"status": "success", "count": 3})
    wanted = control.seed({"status": "running", "count": 2, "workflow_id": other})
    wanted += control.seed({"status": "error", "workflow_id": other})
    expect(page.locator(".card")).to_have_count(6)

    page.get_by_label("Filter the runs").fill(other)
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator("#runs-count")).to_have_text("3 of 6")
    page.get_by_role("button", name="Copy ids").click()
    expect(page.locator(".toast")).to_have_text("Copied 3 ids")
    assert sorted(clipboard(page)) == sorted(wanted)

    page.get_by_role("button", name="Copy the ids in error").click()
    expect(page.locator(".toast").last).to_have_text("Copied 1 id")
    assert clipboard(page) == wanted[2:]

    page.get_by_label("Filter the runs").fill(wanted[0])
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_label("Filter the runs").fill("no such run")
    expect(page.locator("#runs-empty")).to_have_text("No run matches the filter.")


def test_a_run_in_full_with_its_attachment(page: Page, control: Control, tmp_path: Path) -> None:
    content = base64.b64encode(b"a,b\n1,2\n").decode()
    control.seed(
        {"status": "success", "input_values": {"a": 1}, "outputs": [{"filename": "r.csv", "content": content}]}
    )

    page.locator(".card-open").click()

    dialog = page.get_by_role("dialog", name="Run")
    expect(dialog).to_contain_text(WORKFLOW)
    expect(dialog.get_by_label("Input values")).to_contain_text('"a": 1')
    expect(dialog.locator(".filename")).to_have_text("r.csv")
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download r.csv").click()
    download.value.save_as(tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_bytes() == b"a,b\n1,2\n"
    assert download.value.suggested_filename == "r.csv"


def test_the_buttons_of_an_open_run_work_and_it_follows_what_others_do(page: Page, control: Control) -> None:
    control.admin("POST", "clock", {"freeze": NOW})
    (run_id,) = control.seed({"status": "scheduling"})
    page.locator(".card-open").click()
    dialog = page.get_by_role("dialog", name="Run")

    dialog.get_by_role("button", name="Advance").click()
    expect(dialog.locator(".run-status")).to_have_text("running")

    control.admin("POST", f"runs/{run_id}/fail")
    expect(dialog.locator(".run-status")).to_have_text("task_failed")
    expect(dialog.get_by_role("button", name="Advance")).to_have_count(0)


def test_what_moved_last_is_on_top(page: Page, control: Control) -> None:
    control.admin("POST", "clock", {"freeze": NOW})
    first, second = control.seed({"status": "running", "count": 2, "created_at": "2025-03-04T08:00:00Z"})
    expect(cards(page, "running")).to_have_count(2)

    control.admin("POST", f"runs/{second}/finish")
    expect(cards(page, "success")).to_have_count(1)
    control.admin("POST", "clock", {"advance": 1})
    control.admin("POST", f"runs/{first}/finish")

    expect(cards(page, "success").locator(".id")).to_have_text([first[:8], second[:8]])


def test_a_deleted_run_leaves_the_board(page: Page, control: Control) -> None:
    ids = control.bulk(2)
    expect(page.locator(".card")).to_have_count(2)

    control.client.delete(f"/v1/runs/{ids[0]}")

    expect(page.locator(".card")).to_have_count(1)


def test_a_thousand_runs_are_counted_and_a_bounded_number_of_cards_is_made(
    context: BrowserContext, control: Control
) -> None:
    control.seed(
        {"status": "running", "count": 400, "workflow_id": NEVER_ENDS},
        {"status": "success", "count": 590},
        {"status": "error", "count": 10},
    )
    page = context.new_page()
    open_live(page, control)

    expect(page.locator("#runs-count")).to_have_text("1,000")
    expect(page.locator(".column.success .count")).to_have_text("590")
    expect(page.locator(".column.success .more")).to_have_text("and 550 more")
    assert page.locator(".card").count() == 40 + 40 + 10

    control.bulk(1000, workflow_id=NEVER_ENDS)
    expect(page.locator("#runs-count")).to_have_text("1,000 newest of 2,000")
    expect(cards(page, "scheduling").or_(cards(page, "running")).first).to_be_visible()
    expect(page.locator(".column.success .count")).to_have_text("590")
    expect(page.locator(".column.success .more")).to_have_text("590 older")
    assert page.locator(".card").count() <= 7 * 40
