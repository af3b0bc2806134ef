"""The reference at `/docs` in a browser: it renders, and a request of it reaches the mock."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, expect


def test_the_reference_shows_every_operation_and_sends_a_request_to_this_mock(
    context: BrowserContext, mock_url: str
) -> None:
    page = context.new_page()
    page.goto(f"{mock_url}/")
    page.get_by_role("link", name="Reference of the API").click()
    expect(page.locator(".opblock")).to_have_count(22)
    expect(page.locator(".servers option")).to_have_text([f"{mock_url} - this mock"])

    page.locator(".btn.authorize").click()
    page.locator(".auth-container input").fill("test-reference")
    page.locator(".auth-btn-wrapper .btn.authorize").click()
    page.locator(".btn-done").click()
    operation = page.locator("#operations-machines-list_machines")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response .response-col_status")).to_have_text("200")
