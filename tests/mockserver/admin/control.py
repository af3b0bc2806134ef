"""The mock in this process together with its control API. Each answer of the control API is judged by its document.

Each namespace has a clock of its own here, as under `mockserver serve`; that of the default one is frozen at START.
"""

from __future__ import annotations

import asyncio
import json
import re
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import httpx
import jsonschema

from mockserver import Settings, create_app
from tests.documents import control_document
from tests.mockserver import inprocess
from tests.mockserver.inprocess import Mock

START = "2025-03-04T09:00:02Z"


class ControlledMock(Mock):
    def __init__(self, *, token: str = "test-one", freezes: bool = True, **settings: Any) -> None:
        self.token = token
        settings = {"self_check": True, "log_level": "warning", "store": inprocess.new_store(), **settings}
        self.app = create_app(Settings(**settings))
        self._loop = asyncio.new_event_loop()
        weakref.finalize(self, inprocess.close, self._loop, self.app)
        transport = httpx.ASGITransport(self.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost:4010")
        if freezes:
            self.control("POST", "/clock", {"freeze": START})

    async def controlled(
        self, method: str, path: str, body: Any = None, *, namespace: str = "", **how: Any
    ) -> httpx.Response:
        """`path` is the one behind /__admin."""
        prefix = f"/__ns/{namespace}" if namespace else ""
        if body is not None:
            how["json"] = body
        answer = await self.sent(method, f"{prefix}/__admin{path}", token=how.pop("token", None), **how)
        assert_documented(method, f"/__admin{path.partition('?')[0]}", answer)
        return answer

    async def until_delayed(self, request: asyncio.Future[httpx.Response]) -> None:
        """Wait until the request waits for the clock, or is answered."""
        clock = self.app.namespaces.default.clock
        async with asyncio.timeout(60):
            while not (clock.has_sleepers or request.done()):  # noqa: ASYNC110 - the clock has no event for it
                await asyncio.sleep(0)

    def control(self, method: str, path: str, body: Any = None, **how: Any) -> httpx.Response:
        return self.run(self.controlled(method, path, body, **how))

    def asked(self, path: str, **how: Any) -> Any:
        """The JSON of a GET that has to work."""
        answer = self.control("GET", path, **how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    # --- What most tests arrange

    def fault(self, namespace: str = "", **source: Any) -> str:
        answer = self.control("POST", "/faults", source, namespace=namespace)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def turn_clock(self, namespace: str = "", **change: Any) -> dict[str, Any]:
        answer = self.control("POST", "/clock", change, namespace=namespace)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def seed(self, *seeds: dict[str, Any], namespace: str = "") -> list[str]:
        answer = self.control("POST", "/runs", list(seeds), namespace=namespace)
        assert answer.status_code == 201, answer.text
        return answer.json()["ids"]

    def requests(self, namespace: str = "", **query: Any) -> list[dict[str, Any]]:
        answer = self.control("GET", "/requests", namespace=namespace, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    def last_request(self, **how: Any) -> dict[str, Any]:
        return self.requests(**how)[-1]


def controlled_mock(*, freezes: bool = True, **settings: Any) -> ControlledMock:
    """As new: a mock that was started once for all who ask for these settings, and that is reset for each.

    Starting a mock takes longer than most of what is asked of it.
    """
    mock = _started(tuple(sorted(settings.items())), inprocess.new_store)
    namespaces = mock.app.namespaces
    for name in mock.run(namespaces.names()):
        mock.run(namespaces.drop(name) if name else namespaces.reset(name))
    if freezes:
        mock.turn_clock(freeze=START)
    return mock


@lru_cache
def _started(settings: tuple[tuple[str, Any], ...], new_store: Callable[[], str]) -> ControlledMock:
    return ControlledMock(freezes=False, **dict(settings))


def assert_documented(method: str, path: str, answer: httpx.Response) -> None:
    """The status is one that the document has for the operation, and the body fits its schema."""
    operation = _operation(method, path)
    if operation is None:
        assert answer.status_code in (404, 405), f"{method} {path} is not documented: {answer.status_code}"
        return
    assert str(answer.status_code) in operation["responses"], f"{method} {path} answers {answer.status_code}"
    response = _resolved(operation["responses"][str(answer.status_code)])
    content = response.get("content")
    if content is None:
        assert answer.content == b""
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in content
    if media_type == "application/json" and method != "HEAD":
        validate(answer.json(), content[media_type]["schema"])


def validate(value: Any, schema: dict[str, Any]) -> None:
    _validator(json.dumps(schema)).validate(value)


@lru_cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    whole = {**json.loads(schema), "components": control_document()["components"]}
    return jsonschema.Draft202012Validator(whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@lru_cache
def _operation(method: str, path: str) -> dict[str, Any] | None:
    method = "get" if method == "HEAD" else method.lower()
    for template, item in sorted(control_document()["paths"].items(), key=lambda each: "{" in each[0]):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method in item:
            return item[method]
    return None


def _resolved(value: dict[str, Any]) -> dict[str, Any]:
    found: Any = control_document() if "$ref" in value else value
    for name in value.get("$ref", "#").split("/")[1:]:
        found = found[name]
    return found
