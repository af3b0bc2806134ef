"""Pages for readers, in addition to the API: `/`, the OpenAPI document, and the reference at `/docs`.

The reference is Swagger UI, served from an installed package: nothing is loaded from another host. Paths of the API
take precedence over these pages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from html import escape
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mockserver.api_document import APIDocument
from mockserver.reply import JSON, BytesContent, JSONContent, Reply

PAGE = "/__admin/"
_CONTROL_API = "/__admin/openapi.json"
_DOCS = ("/docs", "/docs/")
_PACKAGE = "flask_swagger_ui"
_ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
_HTML = "text/html; charset=utf-8"
_COMMON = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_BARE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_POLICY = f"{_BARE_POLICY}; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"


class _Page(NamedTuple):
    media_type: str
    content: Callable[[], bytes]
    policy: str = _BARE_POLICY


class Reference:
    """Pages by path. They cost a request of the API no more than a check of `paths`."""

    def __init__(
        self, api: APIDocument, *, api_has: Callable[[str], bool], has_control_api: bool, has_own_tokens: bool
    ) -> None:
        """`api_has` returns whether the API has a path; `has_control_api` is whether there is one at `/__admin/`.

        `has_own_tokens`: only tokens that were given are accepted. They are not shown.
        """
        self._title = str(_mapping(api.document.root.get("info")).get("title", "API"))
        self._links = {"reference": "/docs", "openapi": "/openapi.json"}
        if has_control_api:
            self._links = {"page": PAGE, **self._links, "control_api": _CONTROL_API}
        self._facts = {
            "version": version("cyberdesk-mockserver"),
            "tokens": accepted_tokens(has_own_tokens=has_own_tokens),
        }
        pages = {
            "/": _Page(_HTML, self._root),
            # Browsers request it with every page: it must not appear in the journal as an invalid request.
            "/favicon.ico": _Page("image/png", _icon),
            "/openapi.json": _Page(JSON, lambda: api.json),
            "/openapi.yaml": _Page("application/yaml", lambda: api.yaml),
            **self._docs(),
        }
        self._pages = {path: page for path, page in pages.items() if not api_has(path)}
        self._links = {
            name: path for name, path in self._links.items() if path in self._pages or path in (PAGE, _CONTROL_API)
        }
        self.paths: Collection[str] = frozenset(self._pages)

    def reply(self, path: str, accept: str) -> Reply:
        """`path` is one of `paths`."""
        page = self._pages[path]
        if path == "/" and "text/html" not in accept:
            content = JSONContent({"name": "cyberdesk-mockserver", **self._facts, **self._links})
            return Reply(200, content, headers={"Vary": "Accept"})
        headers = {"Content-Security-Policy": page.policy, "Cache-Control": "no-cache", **_COMMON}
        if path == "/":
            headers["Vary"] = "Accept"
        return Reply(200, BytesContent(page.content()), page.media_type, headers)

    def _docs(self) -> Mapping[str, _Page]:
        folder = _asset_folder()
        if folder is None:
            return dict.fromkeys(_DOCS, _Page(_HTML, self._not_installed))
        assets = {
            f"/docs/{name}": _Page(media_type, (folder / name).read_bytes) for name, media_type in _ASSETS.items()
        }
        script = _Page("text/javascript; charset=utf-8", _SCRIPT.encode)
        reference = dict.fromkeys(_DOCS, _Page(_HTML, self._reference, _POLICY))
        return {**reference, "/docs/reference.js": script, **assets}

    def _root(self) -> bytes:
        names = {
            "page": "What happens in the mock, and its controls",
            "reference": "Reference of the API",
            "control_api": "OpenAPI document of the control API",
        }
        items = "".join(
            f'<li><a href="{path}">{names.get(name, "OpenAPI document")}</a></li>' for name, path in self._links.items()
        )
        facts = f"<p>cyberdesk-mockserver {escape(self._facts['version'])}. Accepts {self._facts['tokens']}.</p>"
        body = f"<h1>{escape(self._title)}: mock</h1>{facts}<ul>{items}</ul>"
        return _html(f"{self._title}: mock", body, '<meta name="color-scheme" content="light dark">')

    def _reference(self) -> bytes:
        head = (
            '<link rel="stylesheet" href="/docs/swagger-ui.css">'
            '<script src="/docs/swagger-ui-bundle.js" defer></script><script src="/docs/reference.js" defer></script>'
        )
        return _html(f"{self._title}: reference", '<div id="reference"></div>', head)

    def _not_installed(self) -> bytes:
        what = "<p>The reference needs <code>pip install flask-swagger-ui</code>, and then a new start.</p>"
        return _html(f"{self._title}: reference", what)


def accepted_tokens(*, has_own_tokens: bool) -> str:
    return "the tokens given with --token" if has_own_tokens else "any bearer token that begins with 'test'"


def _icon() -> bytes:
    icon = (_asset_folder() or Path()) / "favicon-32x32.png"
    return icon.read_bytes() if icon.is_file() else b""


def _asset_folder() -> Path | None:
    """Find the folder without importing the package, which would import Flask."""
    package = find_spec(_PACKAGE)
    for location in (package and package.submodule_search_locations) or ():
        folder = Path(location) / "dist"
        if all((folder / name).is_file() for name in _ASSETS):
            return folder
    return None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _html(title: str, body: str, head: str = "") -> bytes:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head><body>{body}</body></html>\n'
    ).encode()


_SCRIPT = """\
// Swagger UI is light unless the page has this class.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
follow();
dark.addEventListener("change", follow);

const ABOUT_THE_MOCK =
  "**This is a mock.** The header `Prefer` asks it for a certain answer: `code=422`, `example=NAME`, `dynamic=true`, " +
  "`delay=2`, `failed=3` (of a bulk create), `outcome=task_failed` and `duration=5` (of runs). So does a query " +
  "parameter with two underscores, such as `?__code=422`. `Preference-Applied` in the answer lists what was applied.";

// Requests go to this mock alone, whichever servers the document names: a token for the real API stays here.
fetch("/openapi.json")
  .then((answer) => answer.json())
  .then((spec) => {
    const description = `${ABOUT_THE_MOCK}\n\n${spec.info?.description ?? ""}`;
    const info = { ...spec.info, description };
    SwaggerUIBundle({
      spec: { ...spec, info, servers: [{ url: location.origin, description: "this mock" }] },
      dom_id: "#reference",
      deepLinking: true,
      docExpansion: "list",
      validatorUrl: null,
      persistAuthorization: false,
    });
  });
"""
