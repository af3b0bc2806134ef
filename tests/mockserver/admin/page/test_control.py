"""The clock, the faults, the namespaces, the reset, and the connection."""

from playwright.sync_api import BrowserContext, Page, Route, expect

from mockserver.faults.parsing import _MAKERS
from tests.mockserver.admin.page.conftest import open_live
from tests.mockserver.admin.page.control import Control


def test_the_clock_is_frozen_advanced_and_resumed(page: Page, control: Control) -> None:
    control.admin("POST", "clock", {"freeze": "2025-03-04T23:59:30Z"})
    expect(page.locator("#clock-time")).to_have_text("23:59:30")
    expect(page.locator("#clock-state")).to_have_text("Frozen")

    page.get_by_role("button", name="+1 min").click()
    expect(page.locator("#clock-time")).to_have_text("00:00:30")
    expect(page.locator("#clock-date")).to_have_text("2025-03-05 UTC")

    page.locator("#clock").get_by_role("button", name="Resume").click()
    expect(page.locator("#clock-state")).to_have_text("Running")
    assert control.admin("GET", "clock")["frozen"] is False

    page.get_by_role("button", name="Freeze").click()
    expect(page.locator("#clock-state")).to_have_text("Frozen")
    assert control.admin("GET", "clock")["frozen"] is True


def test_the_clock_runs_ten_times_faster_and_the_page_shows_it_tick(page: Page, control: Control) -> None:
    control.admin("POST", "clock", {"freeze": "2025-03-04T09:00:00Z"})
    page.get_by_role("button", name="×10", exact=True).click()
    expect(page.locator("#clock [aria-pressed=true][data-scale]")).to_have_text("×10")
    assert control.admin("GET", "clock")["scale"] == 10

    page.locator("#clock").get_by_role("button", name="Resume").click()
    expect(page.locator("#clock-state")).to_have_text("Running ×10")
    # No event tells of each second: the page knows how the clock runs.
    expect(page.locator("#clock-time")).not_to_have_text("09:00:00")


def test_the_time_of_a_clock_with_a_scale_passes_as_real_time(page: Page, control: Control) -> None:
    control.admin("POST", "clock", {"freeze": "2025-03-04T09:00:00Z", "scale": 600, "resume": True})
    expect(page.locator("#clock-state")).to_have_text("Running ×600")
    expect(page.locator("#clock-time")).to_have_text("09:00:02")


def test_a_preset_is_turned_on_and_off(page: Page, control: Control) -> None:
    switch = page.get_by_role("switch", name="flaky")
    expect(switch).to_have_attribute("aria-checked", "false")

    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(page.locator("#faults-state")).to_have_text("2 active")
    assert [fault["match"] for fault in control.admin("GET", "faults")["items"]] == ["*", "*"]

    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(page.locator("#faults-state")).to_have_text("None active")
    assert control.admin("GET", "faults")["items"] == []


def test_a_preset_that_is_on_is_seen_by_a_page_that_opens_later_and_off_leaves_other_faults(
    context: BrowserContext, control: Control
) -> None:
    control.admin("POST", "faults", {"match": "get_run", "answer": {"status": 503}})
    control.admin("POST", "faults", {"preset": "outage"})
    page = context.new_page()
    open_live(page, control)
    switch = page.get_by_role("switch", name="outage")

    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()

    expect(switch).to_have_attribute("aria-checked", "false")
    assert [fault["match"] for fault in control.admin("GET", "faults")["items"]] == ["get_run"]


def test_a_clock_that_was_moved_is_told(page: Page, control: Control) -> None:
    page.get_by_role("button", name="+20 min").click()
    expect(page.locator(".toast")).to_have_text("The clock was moved forward 20 min")


def test_faults_are_listed_with_how_often_they_met_and_are_removed(page: Page, control: Control) -> None:
    control.admin("POST", "faults", {"match": "GET /v1/machines", "times": 1, "answer": {"status": 503}})
    row = page.locator("#fault-list li")
    expect(row).to_contain_text("applied to 0 of 0 matching requests")

    control.client.get("/v1/machines")
    expect(row).to_contain_text("applied to 1 of 1 matching requests, over")
    expect(page.locator("#faults-state")).to_have_text("None active")

    page.get_by_role("button", name="Remove fault f1").click()
    expect(row).to_have_count(0)
    assert control.admin("GET", "faults")["items"] == []


def test_a_fault_is_listed_with_all_that_it_was_given(page: Page, control: Control) -> None:
    bulk = {"match": "POST /v1/runs/bulk", "fault": "partial-failure"}
    given = {
        "cut, after 7 bytes": {"match": "*", "fault": "cut", "after_bytes": 7},
        "partial-failure, 3 runs fail": {**bulk, "failed": 3},
        "partial-failure, a share of 0.25 fails": {**bulk, "share": 0.25},
        "reset, the 1st of every 2 requests that reach it": {"match": "*", "fault": "reset", "cycle": 2, "nth": 1},
        "reset, the 2nd to 3rd request that reaches it, 1×": {
            "match": "*",
            "fault": "reset",
            "nth": [2, 3],
            "times": 1,
        },
        "stale-read, 60 s old, for 3600 s": {"match": "*", "fault": "stale-read", "stale_s": 60, "for_s": 3600},
    }
    for fault in given.values():
        control.admin("POST", "faults", fault)
    expect(page.locator("#fault-list .fault-effect")).to_have_text(list(given))


def test_a_fault_is_added_by_the_form_and_all_are_removed(page: Page, control: Control) -> None:
    page.get_by_text("Add a fault").click()
    page.get_by_label("For requests").fill("GET /v1/machines")
    page.get_by_label("Answer with").select_option("503 Service Unavailable")
    page.get_by_label("How often").fill("2")
    page.get_by_role("button", name="Add", exact=True).click()

    expect(page.locator("#fault-list li")).to_contain_text("answer 503")
    statuses = [control.client.get("/v1/machines").status_code for _ in range(3)]
    assert statuses == [503, 503, 200]

    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("#fault-list li")).to_have_count(0)


def test_a_fault_that_means_nothing_is_refused_with_the_words_of_the_mock(page: Page, control: Control) -> None:
    page.get_by_text("Add a fault").click()
    page.get_by_label("For requests").fill("no_such_operation")
    page.get_by_role("button", name="Add", exact=True).click()

    wrong = page.locator("#fault-form .wrong")
    expect(wrong).to_contain_text("no_such_operation")
    expect(page.locator(".toast.error")).to_have_count(0)

    page.get_by_text("Add a fault").click()
    page.get_by_text("Add a fault").click()
    expect(wrong).to_be_hidden()

    page.get_by_role("button", name="Add", exact=True).click()
    expect(wrong).to_be_visible()
    page.get_by_label("For requests").fill("list_runs")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#fault-list li")).to_have_count(1)
    expect(wrong).to_be_hidden()


def test_every_effect_that_the_form_offers_is_one_that_the_mock_takes(page: Page, control: Control) -> None:
    page.get_by_text("Add a fault").click()
    page.get_by_label("For requests").fill("*")
    effects = page.get_by_label("Answer with")
    names = effects.locator("option").all_text_contents()
    for count, name in enumerate(names, 1):
        effects.select_option(name)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#fault-list li")).to_have_count(count)

    offered = {fault["fault"] for fault in control.admin("GET", "faults")["items"] if "fault" in fault}
    assert offered == set(_MAKERS)
    assert page.locator(".toast.error").count() == 0


def test_reset_asks_first_and_then_empties_the_namespace(page: Page, control: Control) -> None:
    control.admin("POST", "clock", {"freeze": "2025-03-04T09:00:00Z"})
    control.admin("POST", "faults", {"match": "get_run", "answer": {"status": 503}})
    control.bulk(2)
    expect(page.locator(".card")).to_have_count(2)

    page.get_by_role("button", name="Reset").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert control.admin("GET", "runs")["total"] == 2

    page.get_by_role("button", name="Reset").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset").click()

    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator(".request")).to_have_count(0)
    expect(page.locator("#fault-list li")).to_have_count(0)
    expect(page.locator("#clock-state")).to_have_text("Running")
    assert control.admin("GET", "runs")["total"] == 0
    # It goes on watching.
    control.bulk(1)
    expect(page.locator(".card")).to_have_count(1)


def test_a_namespace_without_requests_tells_of_those_that_other_namespaces_have(
    page: Page, control: Control, mock_url: str
) -> None:
    with Control(f"{mock_url}/__ns/checkout <b>") as checkout:
        for _ in range(1_000):
            checkout.client.get("/v1/health")
        hint = page.locator("#traffic-elsewhere")
        expect(hint).to_contain_text("Other namespaces have requests: 1000 requests in checkout <b>")

        control.client.get("/v1/health")
        expect(hint).to_be_hidden()
        page.get_by_role("button", name="Clear").click()

        hint.get_by_role("link", name="checkout <b>").click()
        expect(page.locator("#namespace-name")).to_have_text("checkout <b>")
        checkout.admin("POST", "reset")


def test_from_one_namespace_to_another_and_back(page: Page, control: Control, mock_url: str) -> None:
    name = control.url.rpartition("/")[2]
    expect(page.locator("#namespace-name")).to_have_text(name)
    control.bulk(1)
    expect(page.locator(".card")).to_have_count(1)

    page.get_by_role("button", name="Namespace:").click()
    page.get_by_label("Open or create").fill("side room")
    page.get_by_role("button", name="Open", exact=True).click()

    expect(page).to_have_url(f"{mock_url}/__ns/side%20room/__admin/")
    expect(page.locator("#namespace-name")).to_have_text("side room")
    expect(page.locator("#runs-empty")).to_be_visible()
    expect(page.locator("#base-url")).to_have_text(f"{mock_url}/__ns/side%20room")

    page.get_by_role("button", name="Namespace:").click()
    page.get_by_role("dialog").get_by_role("link", name=name, exact=True).click()
    expect(page.locator(".card")).to_have_count(1)


def test_another_namespace_is_deleted_after_a_question(page: Page, mock_url: str, control: Control) -> None:
    with Control(f"{mock_url}/__ns/unwanted") as other:
        other.bulk(1)

    page.get_by_role("button", name="Namespace:").click()
    page.get_by_role("button", name="Delete unwanted").click()
    page.get_by_role("dialog", name="Delete the namespace").get_by_role("button", name="Delete").click()

    expect(page.get_by_role("link", name="unwanted")).to_have_count(0)
    assert "unwanted" not in [each["name"] for each in control.admin("GET", "namespaces")["items"]]


def test_a_lost_connection_is_told_and_made_anew_and_the_page_reads_what_it_missed(
    context: BrowserContext, control: Control
) -> None:
    page = context.new_page()
    attempts: list[str] = []

    def refuse(route: Route) -> None:
        attempts.append(route.request.url)
        route.abort()

    page.route("**/__admin/events", refuse)
    page.goto(control.page_url)
    expect(page.locator("#connection")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#connection-text")).to_contain_text("The mock cannot be reached; next attempt in")
    control.bulk(2)

    page.unroute("**/__admin/events")

    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator(".card")).to_have_count(2)
    expect(page.locator(".request")).to_have_count(1)
    assert attempts
