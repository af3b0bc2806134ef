"""What stands beside the API for people: `/`, the OpenAPI document, the reference."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from mockserver import reference
from mockserver.api_document import api_document
from mockserver.prefer import _PARSERS
from mockserver.reference import Reference
from tests.mockserver.admin.control import controlled_mock
from tests.mockserver.inprocess import Mock

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
SPEC = """
openapi: 3.1.0
info: {title: Things <b>, version: "1"}
paths:
  /docs: {get: {operationId: get_docs, responses: {"204": {description: x}}}}
  /{page}: {get: {operationId: get_page, parameters: [{name: page, in: path, required: true, schema: {type: string}}],
    responses: {"204": {description: x}}}}
"""


def test_the_document_is_served_as_it_is_used():
    mock = Mock()
    text = (files("openapi") / "cyberdesk.yaml").read_text(encoding="utf-8")
    as_yaml, as_json = mock.get("/openapi.yaml", token=None), mock.get("/openapi.json", token=None)
    assert as_yaml.headers["content-type"] == "application/yaml"
    assert as_yaml.text == text
    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json() == yaml.safe_load(text)


def test_a_document_of_ones_own_in_json_is_served_as_yaml_too(tmp_path: Path):
    path = tmp_path / "own.json"
    document = {"openapi": "3.1.0", "info": {"title": "Größe", "version": "1"}, "paths": {}}
    path.write_text(json.dumps(document), encoding="utf-8")
    mock = Mock(spec=path)
    assert mock.get("/openapi.json").json() == document
    assert yaml.safe_load(mock.get("/openapi.yaml").text) == document


def test_the_root_leads_programs_and_browsers_to_the_page_and_the_reference():
    mock = Mock()
    links = mock.get("/").json()
    assert links == {
        "name": "cyberdesk-mockserver",
        "version": version("cyberdesk-mockserver"),
        "tokens": "any bearer token that begins with 'test'",
        "page": "/__admin/",
        "reference": "/docs",
        "openapi": "/openapi.json",
        "control_api": "/__admin/openapi.json",
    }
    shown = mock.get("/", headers=BROWSER)
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    assert shown.headers["vary"] == "Accept"
    assert re.findall('href="([^"]+)"', shown.text) == [
        "/__admin/",
        "/docs",
        "/openapi.json",
        "/__admin/openapi.json",
    ]
    assert f"cyberdesk-mockserver {version('cyberdesk-mockserver')}. Accepts any bearer token" in shown.text


def test_the_root_says_that_only_given_tokens_are_accepted():
    pages = Reference(api_document(None), api_has=lambda _: False, has_control_api=True, has_own_tokens=True)
    for accept in ("", BROWSER["Accept"]):
        assert b"the tokens given with --token" in pages.reply("/", accept).render()


def test_the_reference_tells_of_every_preference():
    script = Mock().get("/docs/reference.js").text
    assert all(f"`{name}=" in script for name in _PARSERS)


def test_without_the_control_api_its_page_is_not_mentioned():
    mock = Mock(admin=False)
    assert "page" not in mock.get("/").json()
    assert "__admin" not in mock.get("/", headers=BROWSER).text


def test_the_reference_loads_nothing_from_another_host_and_no_script_that_stands_in_the_page():
    mock = Mock()
    page = mock.get("/docs", headers=BROWSER)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "//" not in re.sub(r"<!doctype html>", "", page.text)
    loaded = re.findall('(?:src|href)="([^"]+)"', page.text)
    assert set(loaded) == {"/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/reference.js"}
    for path in loaded:
        asset = mock.get(path)
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith("text/css" if path.endswith("css") else "text/javascript")
    assert not re.search(r"<script[^>]*>[^<]", page.text)


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/", "/docs/swagger-ui-bundle.js", "/openapi.yaml"])
def test_head_is_get_without_a_body_and_all_else_is_not_allowed(path: str):
    mock = controlled_mock()
    head, get = mock.request("HEAD", path), mock.get(path)
    assert (head.status_code, head.content, dict(head.headers)) == (200, b"", dict(get.headers))
    posted = mock.post(path, {})
    status, allowed = (404, None) if path == "/" else (405, "GET, HEAD")  # the real server has nothing at /
    assert (posted.status_code, posted.headers.get("allow"), list(posted.json())) == (status, allowed, ["detail"])
    (entry,) = mock.requests()
    assert (entry["method"], entry["path"], entry["valid"]) == ("POST", path, False)  # of a wrong base URL, say


def test_a_slash_after_the_path_of_the_reference_changes_nothing():
    mock = Mock()
    assert mock.get("/docs/").text == mock.get("/docs").text


def test_what_the_api_has_itself_is_the_apis(tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text(SPEC, encoding="utf-8")
    mock = Mock(spec=path)
    assert mock.get("/docs").status_code == 204
    assert mock.get("/openapi.json").status_code == 204
    assert mock.get("/docs/reference.js").status_code == 200
    assert not {"reference", "openapi"} & mock.get("/").json().keys()


def test_a_title_is_never_markup(tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text(SPEC, encoding="utf-8")
    shown = Mock(spec=path).get("/", headers=BROWSER).text
    assert "<b>" not in shown
    assert "<h1>Things &lt;b&gt;: mock</h1>" in shown


def test_they_are_outside_of_any_namespace_and_in_no_journal_and_met_by_no_fault():
    mock = Mock()
    admin = {"headers": {"Host": "localhost"}, "token": None}
    mock.post("/__admin/faults", {"preset": "outage"}, **admin)
    for path in ("/", "/docs", "/openapi.json", "/openapi.yaml", "/favicon.ico"):
        assert mock.get(path).status_code == 200
        assert mock.get(f"/__ns/a{path}").status_code == 404
    assert mock.get("/__admin/requests", **admin).json()["total"] == 0


def test_the_reference_has_the_colours_that_the_browser_asks_for():
    mock = Mock()
    assert "dark-mode" in mock.get("/docs/reference.js").text
    assert "html.dark-mode" in mock.get("/docs/swagger-ui.css").text  # of the installed version of Swagger UI


def test_without_its_package_the_reference_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reference, "_PACKAGE", "no_such_package")
    mock = Mock()
    assert "pip install flask-swagger-ui" in mock.get("/docs").text
    assert mock.get("/docs/reference.js").status_code == 404
    assert mock.get("/favicon.ico").content == b""
