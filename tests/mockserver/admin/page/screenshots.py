"""Screenshots of the page, wide and narrow, light and dark.

`python -m tests.mockserver.admin.page.screenshots FOLDER --port 4010`; what follows FOLDER goes to `mockserver serve`.
"""

import base64
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.mockserver.admin.page.browser import find_browser, launched
from tests.mockserver.admin.page.control import Control
from tests.processes import served

NOW = "2025-03-04T09:00:00Z"
OUTPUT = {"filename": "invoices-{n}.csv", "content": base64.b64encode(b"invoice,amount\n4711,12.50\n").decode()}


def seed(control: Control) -> str:
    """The same content each time. The id of a run that has an attachment."""
    control.admin("POST", "clock", {"freeze": NOW})
    minute = "2025-03-04T08:5{}:{:02}Z"
    succeeded = control.seed(
        *(
            {
                "status": "success",
                "count": 3,
                "created_at": minute.format(place % 4, place),
                "started_at": minute.format(place % 4, place + 2),
                "ended_at": minute.format(place % 4 + 1, (place * 7) % 60),
                "outputs": [OUTPUT],
            }
            for place in range(14)
        )
    )
    started = {"created_at": minute.format(8, 2), "started_at": minute.format(8, 40)}
    control.seed(
        {
            "status": "task_failed",
            "count": 4,
            **started,
            "ended_at": minute.format(9, 12),
            "error": ["No such invoice"],
        },
        {
            "status": "error",
            "count": 2,
            **started,
            "ended_at": minute.format(9, 20),
            "error": ["Machine lost"],
        },
        {"status": "cancelled", "count": 1, **started, "ended_at": minute.format(9, 30)},
        {"status": "running", "count": 6, **started},
        {"status": "running_checks", "count": 3, **started},
        {"status": "scheduling", "count": 3, "created_at": minute.format(9, 50)},
    )
    running = control.client.get("/v1/runs", params={"status": "running"}).json()["items"][0]["id"]
    for _ in range(3):
        control.client.get(f"/v1/runs/{running}")
    control.bulk(5, input_values={"invoice": "4711"})
    control.client.post("/v1/runs/bulk", json={"workflow_id": "invoices", "count": 5})
    control.client.get("/v1/runs", params={"status": "done"})
    control.admin("POST", "faults", {"match": "GET /v1/runs/*", "times": 1, "answer": {"status": 429}})
    control.admin("POST", "faults", {"preset": "partial-failure"})
    control.client.get(f"/v1/runs/{running}")
    control.client.get(f"/v1/runs/{running}")
    control.client.patch(f"/v1/runs/{running}", json={"output_data": {"total": "12.50"}, "outputdata": {}})
    control.client.get("/v1/run")
    control.client.get("/v1/machines")
    control.client.get("/v1/runs", headers={"Authorization": "nonsense"})
    control.client.post("/v1/runs/bulk", json={"workflow_id": WORKFLOW_FAILING, "count": 4})
    return succeeded[0]


WORKFLOW_FAILING = "10000000-0000-4000-8000-000000000002"


def open_page(browser: Browser, control: Control, width: int, scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 900 if width > 500 else 860},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(control.page_url)
    page.locator("#connection[data-state=live]").wait_for()
    page.locator(".card, #runs-empty:not([hidden])").first.wait_for(state="attached")
    page.locator(".request, #traffic-empty:not([hidden])").first.wait_for(state="attached")
    return page


def shoot(browser: Browser, control: Control, run_id: str, folder: Path) -> None:
    for scheme in ("light", "dark"):
        wide = open_page(browser, control, 1400, scheme)
        wide.screenshot(path=folder / f"1400-{scheme}.png")
        wide.locator(".request", has_text="422").first.click()
        wide.locator("#request-dialog[open]").wait_for()
        wide.screenshot(path=folder / f"1400-{scheme}-request.png")
        wide.keyboard.press("Escape")
        wide.locator(f".card[data-id='{run_id}'], .column.success .card").first.locator(".card-open").click()
        wide.locator("#run-dialog[open]").wait_for()
        wide.screenshot(path=folder / f"1400-{scheme}-run.png")
        narrow = open_page(browser, control, 400, scheme)
        for view in ("traffic", "runs", "clock", "faults"):
            narrow.locator(f".views button[data-view={view}]").click()
            narrow.screenshot(path=folder / f"400-{scheme}-{view}.png")
        narrow.locator(".views button[data-view=traffic]").click()
        narrow.locator(".request", has_text="422").first.click()
        narrow.locator("#request-dialog[open]").wait_for()
        narrow.screenshot(path=folder / f"400-{scheme}-request.png")


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    path = find_browser()
    if path is None:
        sys.exit("there is no Chromium here; install it, or name it with CHROMIUM=/path/to/it")
    with served(*sys.argv[2:]) as url, launched(path) as browser:
        with Control(url) as control:
            shoot(browser, control, seed(control), folder)
        with Control(f"{url}/__ns/new") as control:
            open_page(browser, control, 1400, "light").screenshot(path=folder / "1400-light-empty.png")
            open_page(browser, control, 400, "dark").screenshot(path=folder / "400-dark-empty.png")


if __name__ == "__main__":
    main()
