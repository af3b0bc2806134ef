"""How smooth the page is with 1,000 runs and 100 requests a second.

`python -m tests.mockserver.admin.page.smoothness`
"""

import argparse
import sys
import threading
import time

from tests.mockserver.admin.page.browser import find_browser, launched
from tests.mockserver.admin.page.control import Control
from tests.processes import served

SECONDS = 15
REQUESTS_A_SECOND = 100

MEASURE = """(ms) => new Promise((resolve) => {
  const found = { frames: 0, long: 0, longest: 0, tasks: [] };
  let last = performance.now();
  const end = last + ms;
  new PerformanceObserver((list) => found.tasks.push(...list.getEntries().map((each) => Math.round(each.duration))))
    .observe({ type: "longtask" });
  const frame = (now) => {
    const took = now - last;
    last = now;
    found.frames += 1;
    found.longest = Math.max(found.longest, took);
    if (took > 50) found.long += 1;
    if (now < end) requestAnimationFrame(frame); else setTimeout(() => resolve(found), 100);
  };
  requestAnimationFrame(frame);
})"""


def send_requests(url: str, stop: threading.Event) -> None:
    with Control(url) as control:
        started, sent = time.monotonic(), 0
        while not stop.is_set():
            control.client.get("/v1/machines", params={"search": sent})
            sent += 1
            stop.wait(max(0.0, started + sent / REQUESTS_A_SECOND - time.monotonic()))
        print(f"{sent / (time.monotonic() - started):.0f} requests a second were sent")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, prog="python -m tests.mockserver.admin.page.smoothness").parse_args()
    path = find_browser()
    if path is None:
        sys.exit("there is no Chromium here; install it, or name it with CHROMIUM=/path/to/it")
    with served() as url, launched(path) as browser, Control(url) as control:
        for _ in range(10):
            control.bulk(100)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(control.page_url)
        page.locator("#runs-count", has_text="1,000").wait_for()
        session = page.context.new_cdp_session(page)
        # The time that the page itself takes of a processor, whatever else the machine does.
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def cpu_s() -> dict[str, float]:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return {each["name"]: each["value"] for each in metrics}

        stop = threading.Event()
        sender = threading.Thread(target=send_requests, args=(url, stop))
        sender.start()
        before = cpu_s()
        found = page.evaluate(MEASURE, SECONDS * 1000)
        after = cpu_s()
        stop.set()
        sender.join()
        tasks = found["tasks"]
        print(f"{found['frames'] / SECONDS:.0f} frames a second, the longest {found['longest']:.0f} ms")
        print(f"{found['long']} frames over 50 ms; {len(tasks)} tasks over 50 ms: {tasks}")
        for name in ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration"):
            print(f"{name}: {100 * (after[name] - before[name]) / SECONDS:.0f} % of a processor")
        heap = after["JSHeapUsedSize"] / 1e6
        print(f"{page.locator('.request').count()} rows, {page.locator('.card').count()} cards, {heap:.0f} MB of heap")


if __name__ == "__main__":
    main()
