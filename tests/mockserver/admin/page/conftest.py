"""A browser, a mock, and a page that is watched: no script of a stranger, no foreign host, no error.

Without a browser these tests are skipped, unless REQUIRE_BROWSER=1 insists.
"""

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.mockserver.admin.page.browser import required
from tests.mockserver.admin.page.control import Control
from tests.processes import served

_numbers = itertools.count(1)


@pytest.fixture(autouse=True, scope="session")
def patience() -> None:
    """How long something may take at the most on a machine that has much else to do."""
    expect.set_options(timeout=30_000)


# Of a module, not of the session: Playwright keeps an event loop running in this thread for as long as it is open.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with required() as found:
        yield found


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    with served() as url:
        yield url


@pytest.fixture
def control(mock_url: str) -> Iterator[Control]:
    """Of a namespace that no other test uses."""
    with Control(f"{mock_url}/__ns/test-{next(_numbers)}") as control:
        yield control


class Watched:
    """What must never happen in a page of ours, whatever it is shown."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.offences: list[str] = []
        context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.offences.append(f"error: {error}"))
        page.on("console", self._hear)
        page.on("dialog", lambda dialog: (self.offences.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._see(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        # That a request was refused is logged by the browser itself, and may be what a test is about.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.offences.append(f"console: {message.text}")

    def _see(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:")):
            self.offences.append(f"request to {url}")


@pytest.fixture
def context(browser: Browser, mock_url: str) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched = Watched(context, mock_url)
    yield context
    context.close()
    assert watched.offences == []


@pytest.fixture
def page(context: BrowserContext, control: Control) -> Page:
    """The page of the namespace of `control`, connected."""
    page = context.new_page()
    open_live(page, control)
    return page


def open_live(page: Page, control: Control) -> None:
    page.goto(control.page_url)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(page.locator("#clock-time")).not_to_have_text("--:--:--")
    expect(page.locator("#presets .switch").first).to_be_attached()
