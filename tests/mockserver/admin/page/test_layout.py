"""The page is read and used by keyboard, at 400 pixels, in the light and in the dark."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.mockserver.admin.page.conftest import open_live
from tests.mockserver.admin.page.control import WORKFLOW, Control
from tests.mockserver.inprocess import NEVER_ENDS

VIEWS = ("traffic", "runs", "clock", "faults")
LONG = "x" * 300

# The contrast of every text that is seen with what is behind it, by WCAG 2.2, 1.4.3.
CONTRASTS = """() => {
  const parts = (text) => { const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number); return [r, g, b, a]; };
  const channel = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour[3] === 1) return colour;
      if (colour[3] !== 0) throw new Error(`half transparent: ${each.outerHTML}`);
    }
    throw new Error("nothing is behind");
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ opacityProperty: true })) continue;
    if (element.closest(":disabled")) continue;
    const colours = [parts(getComputedStyle(element).color), behind(element)];
    const [a, b] = colours.map(luminance).sort((x, y) => y - x);
    found.push([node.data.trim().slice(0, 40), (a + 0.05) / (b + 0.05)]);
  }
  return found;
}"""


def fill(control: Control) -> None:
    control.admin("POST", "clock", {"freeze": "2025-03-04T09:00:00Z"})
    for status in ("scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled"):
        control.seed({"status": status, "organization": LONG[:200]})
    control.client.get(f"/v1/{LONG}", params={LONG: LONG})
    control.client.post("/v1/runs/bulk", json={"workflow_id": LONG, LONG: LONG})
    control.client.post("/v1/runs/bulk", json={"workflow_id": WORKFLOW, "inputvalues": {}})
    control.admin("POST", "faults", {"match": f"GET /v1/{LONG}", "times": 1, "answer": {"status": 503}})
    control.admin("POST", "faults", {"preset": "flaky"})
    control.client.get(f"/v1/{LONG}")


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def narrow(browser: Browser, control: Control, scheme: Any) -> Iterator[Page]:
    fill(control)
    viewport = {"width": 400, "height": 800}
    with browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        page = context.new_page()
        open_live(page, control)
        expect(page.locator(".request")).to_have_count(4)
        expect(page.locator(".card")).not_to_have_count(0)
        yield page


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


def test_at_400_pixels_nothing_stands_out_to_the_side(narrow: Page) -> None:
    for view in VIEWS:
        narrow.locator(f".views [data-view={view}]").click()
        expect(narrow.locator(f"[data-section={view}]")).to_be_visible()
        assert narrow.locator("[data-section]:visible").count() == 1
        assert overflow(narrow) == 0, view
        wide = narrow.evaluate(
            """() => [...document.querySelectorAll("[data-section] *")]
                 .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > 400)
                 .map((each) => each.outerHTML.slice(0, 200))"""
        )
        assert wide == [], view


def test_at_400_pixels_a_request_and_a_run_are_read_in_full(narrow: Page) -> None:
    narrow.locator(".request").first.click()
    expect(narrow.locator("#request-dialog")).to_be_visible()
    body = narrow.locator("#request-body")
    assert body.evaluate("(each) => each.scrollWidth - each.clientWidth") == 0
    assert overflow(narrow) == 0
    narrow.get_by_role("button", name="Close").click()

    narrow.locator(".views [data-view=runs]").click()
    narrow.locator(".card-open").first.click()
    expect(narrow.locator("#run-dialog")).to_be_visible()
    body = narrow.locator("#run-body")
    assert body.evaluate("(each) => each.scrollWidth - each.clientWidth") == 0


def test_a_very_long_path_leaves_room_for_the_rest(narrow: Page, control: Control) -> None:
    control.client.get(f"/v1/{'x' * 30_000}")
    expect(narrow.locator(".request")).to_have_count(5)
    assert narrow.locator(".request").first.evaluate("(each) => each.offsetHeight") < 400
    narrow.locator(".request").first.click()
    expect(narrow.get_by_role("button", name="Close")).to_be_in_viewport()
    expect(narrow.locator("#request-body .facts")).to_be_in_viewport()
    title = narrow.locator("#request-title")
    assert title.evaluate("(each) => each.scrollHeight > each.clientHeight")  # all of it can be read


def test_all_text_has_the_contrast_of_wcag_aa(narrow: Page) -> None:
    seen = []
    for view in VIEWS:
        narrow.locator(f".views [data-view={view}]").click()
        seen += narrow.evaluate(CONTRASTS)
    narrow.locator(".views [data-view=traffic]").click()
    narrow.locator(".request").first.click()
    expect(narrow.locator("#request-dialog")).to_be_visible()
    seen += narrow.evaluate(CONTRASTS)

    assert len(seen) > 100
    assert [(text, round(ratio, 2)) for text, ratio in seen if ratio < 4.5] == []


def test_dark_is_dark_and_light_is_light(narrow: Page, scheme: str) -> None:
    red = narrow.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")

    assert red < 60 if scheme == "dark" else red > 200


def test_all_is_reached_by_tab_and_has_a_ring_and_a_name(page: Page, control: Control) -> None:
    fill(control)
    expect(page.locator(".card")).to_have_count(7)
    expect(page.locator(".request")).to_have_count(4)
    reached: list[str] = []
    for _ in range(120):
        page.keyboard.press("Tab")
        name = page.evaluate(
            """() => {
              const each = document.activeElement;
              if (each === document.body) return "";
              const { outlineStyle, outlineWidth } = getComputedStyle(each);
              if (outlineStyle === "none" || parseFloat(outlineWidth) < 2) return `no ring: ${each.outerHTML}`;
              const name = each.getAttribute("aria-label") ?? each.labels?.[0]?.textContent;
              return (name ?? each.textContent).trim();
            }"""
        )
        if name == "":
            break
        reached.append(name)

    assert [name for name in reached if name.startswith("no ring")] == []
    for wanted in ("Skip to runs", "Skip to traffic", "Reference", "Reset", "Resume", "+1 min", "+20 min", "×10"):
        assert wanted in reached
    for wanted in (
        "Remove all",
        "Filter the runs",
        "Copy ids",
        "Filter the requests",
        "Refused only",
        "Pause",
        "Clear",
    ):
        assert wanted in reached
    for beginning in ("Namespace:", "flaky", "lost-answer", "Remove fault f1", "Advance ", "Finish ", "Fail "):
        assert any(name.startswith(beginning) for name in reached), beginning
    assert any("/v1/xxx" in name for name in reached)


def test_by_keyboard_alone_a_run_is_finished_and_a_fault_turned_on(page: Page, control: Control) -> None:
    (run_id,) = control.seed({"status": "running", "workflow_id": NEVER_ENDS})
    expect(page.locator(".card")).to_have_count(1)

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    for _ in range(10):
        page.keyboard.press("Tab")
        if (page.evaluate("document.activeElement.getAttribute('aria-label')") or "").startswith("Finish"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".column.success .card")).to_have_count(1)
    # The card has moved, and has taken the focus along.
    expect(page.locator(".column.success .card-open")).to_be_focused()
    assert control.status_of(run_id) == "success"

    page.get_by_role("switch", name="slow").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("switch", name="slow")).to_have_attribute("aria-checked", "true")
