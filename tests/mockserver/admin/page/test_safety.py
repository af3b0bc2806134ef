"""Text from requests is never markup, no secret is shown, and the page is let to the callers of the control API."""

import base64
import re
from collections.abc import Iterator
from importlib.resources import files

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.mockserver.admin.page.control import WORKFLOW, Control
from tests.processes import served

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script></style></textarea></title><script>alert(2)</script>"
LINK = "javascript:alert(3)//https://elsewhere.example/"
BACKWARDS = "invoice\u202efdp.exe\u2066\u200b"
HOSTILE = (IMAGE, SCRIPT, LINK, BACKWARDS, "'\"`${alert(4)}{{alert(5)}}\\")
TOKEN = "correct-horse-battery"


def markup_of(page: Page) -> list[str]:
    """Elements that only a client could have brought."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("img:not([src='page/icon.svg']), script:not([src='page/main.js']),"
            + "iframe, object, embed, svg, [onerror], [onload], [style], a[href^='javascript:']")]
            .map((each) => each.outerHTML)"""
    )
    return found


def open_all(page: Page) -> None:
    """Of the request that is shown, its headers too."""
    expect(page.locator("#request-body details")).not_to_have_count(0)
    page.locator("#request-body details").evaluate_all("(found) => found.forEach((each) => (each.open = true))")


@pytest.mark.parametrize("text", HOSTILE)
def test_paths_queries_headers_and_bodies_are_shown_as_text(page: Page, control: Control, text: str) -> None:
    control.client.post(
        "/v1/runs/bulk",
        params={text: text},
        headers={"X-Odd": text.encode(), "Prefer": text.encode(), "Content-Type": "application/json"},
        json={"workflow_id": text, text: {text: text}, "input_values": {text: text}},
    )
    control.client.request("GET", httpx.URL(f"{control.url}/v1/{text}".split("#")[0]))
    expect(page.locator("#traffic-count")).to_have_text("2")
    # It is there to be seen: the test would find nothing in a page that leaves it out.
    shown = text if text.isascii() else "\\u202e"
    expect(page.locator(".request .path", has_text=shown)).not_to_have_count(0)
    assert markup_of(page) == []

    page.locator(".request").last.click()
    open_all(page)
    dialog = page.locator("#request-dialog")
    expect(dialog).to_contain_text("x-odd")
    assert markup_of(page) == []
    assert not {"\u202e", "\u2066", "\u200b"} & set(dialog.text_content() or "")


@pytest.mark.parametrize("text", HOSTILE)
def test_file_names_inputs_outputs_and_organisations_are_shown_as_text(page: Page, control: Control, text: str) -> None:
    content = base64.b64encode(b"x").decode()
    control.seed(
        {
            "status": "task_failed",
            "organization": f"{text}-organisation",
            "input_values": {text: text},
            "output_data": {text: [text]},
            "error": [text],
            "outputs": [{"filename": text.replace("{", "(").replace("/", "_"), "content": content}],
        }
    )

    page.locator(".card-open").click()

    shown = "fdp.exe" if text is BACKWARDS else text.replace("{", "(").replace("/", "_")
    expect(page.locator("#run-dialog .filename")).to_contain_text(shown)
    expect(page.locator("#run-dialog .facts")).to_contain_text("-organisation")
    assert markup_of(page) == []
    assert not {"\u202e", "\u2066", "\u200b"} & set(page.locator("body").text_content() or "")


def test_faults_and_namespaces_are_shown_as_text(context: BrowserContext, mock_url: str) -> None:
    with Control(f"{mock_url}/__ns/{IMAGE.replace('/', '')}") as control:
        control.admin("POST", "faults", {"match": f"GET /v1/{IMAGE}", "answer": {"status": 503, "body": SCRIPT}})
        page = context.new_page()
        page.goto(control.page_url)

        expect(page.locator("#namespace-name")).to_have_text(IMAGE)
        expect(page.locator(".fault-match")).to_have_text(f"GET /v1/{IMAGE}")
        page.get_by_role("button", name="Namespace:").click()
        expect(page.get_by_role("dialog").get_by_role("link", name=IMAGE)).to_be_visible()
        assert markup_of(page) == []


def test_the_policy_of_the_page_stops_a_script_that_got_in(browser: Browser, control: Control) -> None:
    # Not in the context that is watched: here an offence is what is wanted.
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(control.page_url)
        heard: list[str] = []
        page.on("console", lambda message: heard.append(message.text))

        page.evaluate(
            """() => { const script = document.createElement("script"); script.append("window.gotIn = 1");
                       document.body.append(script); }"""
        )
        refused = page.evaluate(
            "() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } }"
        )

        assert page.evaluate("window.gotIn") is None
        assert refused
        assert any("TrustedScript" in text for text in heard), heard


def test_no_secret_is_shown(page: Page, control: Control) -> None:
    secret = "test-s3cr3t-of-a-client"
    control.client.post(
        "/v1/runs/bulk",
        headers={"Authorization": f"Bearer {secret}", "Cookie": f"a={secret}", "X-Api-Key": secret},
        json={"workflow_id": WORKFLOW, "count": 1, "sensitive_input_values": {"password": secret, "user": secret}},
    )
    expect(page.locator(".request")).to_have_count(1)

    page.locator(".request").click()
    open_all(page)
    page.locator("#request-dialog").get_by_role("button", name="Copy curl").click()
    expect(page.locator(".toast")).to_have_text("Copied curl")
    copied = page.evaluate("navigator.clipboard.readText()")
    page.keyboard.press("Escape")
    page.locator(".card-open").click()
    expect(page.locator("#run-dialog")).to_be_visible()

    assert secret not in page.content()
    assert secret not in copied
    assert "Authorization: Bearer $TOKEN" in copied
    assert '"sensitive_input_values":"**********"' in copied


# --- Who is let in


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    with served("--admin-token", TOKEN) as url:
        yield url


def test_the_page_asks_for_the_token_keeps_it_in_the_tab_and_forgets_it(browser: Browser, guarded_url: str) -> None:
    with browser.new_context() as context, Control(guarded_url, admin_token=TOKEN) as control:
        control.bulk(2)
        page = context.new_page()
        page.goto(control.page_url)
        token = page.locator("#token-input")
        expect(token).to_be_focused()
        expect(page.locator("#connection-text")).to_have_text("Token needed")
        assert page.locator(".card").count() == 0

        token.fill("wrong")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#token-wrong")).to_be_visible()
        page.keyboard.press("Escape")
        expect(token).to_be_visible()

        token.fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#token-dialog")).to_be_hidden()
        expect(page.locator(".card")).to_have_count(2)
        expect(page.locator("#connection-text")).to_have_text("Live")
        assert TOKEN not in page.content()
        assert TOKEN not in page.url

        page.reload()
        expect(page.locator(".card")).to_have_count(2)
        assert page.evaluate("Object.values(localStorage).length") == 0
        assert context.cookies() == []

        page.get_by_role("button", name="Forget token").click()
        expect(page.locator("#token-input")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0


def test_the_files_are_served_without_the_token_and_data_is_not(guarded_url: str) -> None:
    assert httpx.get(f"{guarded_url}/__admin/").status_code == 200
    assert httpx.get(f"{guarded_url}/__admin/page/main.js").status_code == 200
    assert httpx.get(f"{guarded_url}/__admin/requests").status_code == 401
    assert httpx.get(f"{guarded_url}/__admin/events").status_code == 401


@pytest.mark.parametrize("path", ["", "page/main.js", "page/page.css", "page/icon.svg"])
def test_every_file_is_sent_with_the_headers_that_keep_it_in(mock_url: str, path: str) -> None:
    answer = httpx.get(f"{mock_url}/__admin/{path}")

    assert answer.status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Host": "rebound.example"}, "not as 'rebound.example'"),
        ({"Origin": "https://elsewhere.example"}, "may not use the control API"),
    ],
)
def test_a_foreign_name_or_page_gets_no_file(mock_url: str, headers: dict[str, str], why: str) -> None:
    answer = httpx.get(f"{mock_url}/__admin/", headers=headers)

    assert answer.status_code == 403
    assert why in answer.json()["detail"]


@pytest.mark.parametrize("prefix", ["", "/__ns/a%20room"])
def test_without_the_slash_the_page_is_found_by_a_relative_redirect(mock_url: str, prefix: str) -> None:
    answer = httpx.get(f"{mock_url}{prefix}/__admin")

    assert (answer.status_code, answer.headers["location"]) == (307, "__admin/")
    assert httpx.get(f"{mock_url}{prefix}/__admin", follow_redirects=True).url.path.endswith("/__admin/")


def test_the_page_is_read_only_and_other_paths_stay_with_the_api(mock_url: str) -> None:
    refused = httpx.post(f"{mock_url}/__admin/")

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.head(f"{mock_url}/__admin/").status_code == 200
    assert httpx.get(f"{mock_url}/__admin/page/../requests.py").status_code == 404
    assert httpx.get(f"{mock_url}/__admin/page/missing.js").status_code == 404


def test_the_markup_has_no_script_no_style_no_handler_of_its_own_and_names_no_other_host() -> None:
    html = (files("mockserver.admin") / "page" / "index.html").read_text()

    assert re.findall("<script[^>]*>[^<]*", html) == ['<script type="module" src="page/main.js">']
    assert re.findall(r"""<style|\sstyle=|\son[a-z]+=|//""", html) == []


def test_no_script_makes_markup_of_text_and_none_comes_from_another_host() -> None:
    scripts = [each for each in (files("mockserver.admin") / "page").iterdir() if each.name.endswith(".js")]
    unsafe = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|https?://"
    )

    assert len(scripts) > 5
    assert {each.name: found for each in scripts if (found := unsafe.findall(each.read_text()))} == {}
