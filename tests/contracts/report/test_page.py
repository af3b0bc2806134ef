"""The HTML report in a browser. Without a browser these tests are skipped, unless REQUIRE_BROWSER=1 insists."""

import pytest
from playwright.sync_api import Browser, Page, expect

from contracts.report import FORMATS
from tests.contracts.report import samples
from tests.mockserver.admin.page.browser import required


@pytest.fixture(scope="module")
def browser():
    with required() as found:
        yield found


@pytest.fixture(params=[True, False], ids=["with the script", "without scripts"])
def has_script(request) -> bool:
    return request.param


def opened(browser: Browser, tmp_path, *, width: int = 1400, has_script: bool = True) -> tuple[Page, list[str]]:
    path = tmp_path / "report.html"
    path.write_text(FORMATS["html"](samples.report()), encoding="utf-8")
    page = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=has_script).new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    return page, errors


def test_the_policy_lets_the_page_style_and_search_itself(browser, tmp_path):
    page, errors = opened(browser, tmp_path)
    page.get_by_label("Search findings and rules").fill("echo item")
    expect(page.locator(".finding:visible")).to_have_count(0)
    expect(page.get_by_role("heading", name="Findings", exact=True)).to_have_count(0)
    page.get_by_label("Search findings and rules").fill("ECHO value")
    expect(page.locator(".finding:visible")).to_have_count(1)
    expect(page.locator("output")).to_have_text("1 of 10")
    page.get_by_label("Search findings and rules").fill("")
    expect(page.locator(".finding:visible")).to_have_count(4)
    assert page.locator("body").evaluate("body => getComputedStyle(body).maxWidth") == "1280px"
    assert errors == []


def test_a_finding_unfolds_without_scripts_too(browser, tmp_path, has_script):
    page, _ = opened(browser, tmp_path, has_script=has_script)
    second = page.locator(".finding").nth(1)
    expect(second.get_by_text("Fingerprint")).to_be_hidden()
    second.locator("summary").first.click()
    expect(second.get_by_text("Fingerprint")).to_be_visible()
    expect(page.get_by_label("Search findings and rules")).to_be_visible(visible=has_script)


def test_the_commands_can_be_copied(browser, tmp_path):
    page, errors = opened(browser, tmp_path)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    commands = page.locator(".finding[open] .commands")
    commands.locator("summary").click()
    commands.get_by_role("button").click()
    expect(commands.get_by_role("button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == commands.locator("pre").text_content()
    assert errors == []


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_is_never_wider_than_the_window(browser, tmp_path, width):
    page, _ = opened(browser, tmp_path, width=width)
    for summary in page.locator(".finding > summary").all()[1:]:
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
