"""Reads the journal of a mock in another process, through its control API."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit, urlunsplit

from mockserver.clock import real_time
from mockserver.errors import MockServerError

_PAGE = 1_000
_MAX_SMALL = 262_144
_NAMELESS = re.compile(r"(?<!/__ns)/__ns(/|/+__admin/?|/+v1/?)?\Z")
"""The end of the URL of a namespace whose name is missing."""


class NotReadable(MockServerError):
    """The journal cannot be read. The message says what to do."""


class NotAccepted(NotReadable):
    """The control API does not accept a filter. The message says why."""


@dataclass(frozen=True, slots=True)
class Count:
    count: int
    complete: bool
    hint: str | None
    """That no operation has what was counted."""


class JournalClient:
    """`url` is the URL of a mock, or of one of its namespaces: `http://127.0.0.1:4010/__ns/NAME`."""

    def __init__(self, url: str, *, admin_token: str | None = None, timeout_s: float = 10.0) -> None:
        """`timeout_s` is how long to wait for an answer, and for each part of it.

        Raises ValueError if `url` is not http(s), or has a query or a fragment, or the token cannot be one.
        """
        parts = _parts_of(url)
        if parts is None:
            # An invalid URL may have its password anywhere before the last @.
            shown = re.sub(r"\A([a-z]+://)?.*@", r"\1***@", url, flags=re.DOTALL | re.IGNORECASE)
            raise ValueError(f"invalid URL of a mock {shown!r}; use http://127.0.0.1:4010, or …/__ns/NAME")
        _, at, host = parts.netloc.rpartition("@")
        url = urlunsplit(parts._replace(netloc=f"***@{host}" if at else host))
        self.url = url.rstrip("/").removesuffix("/__admin").removesuffix("/v1")
        """For messages: a user and a password are masked. They are not sent either."""
        self._base = quote(urlsplit(self.url).path, safe="/%:@!$&'()*+,;=~")
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            self._connection = make(parts.hostname or "", parts.port, timeout=timeout_s)
        except http.client.InvalidURL as error:
            raise ValueError(f"invalid URL of a mock {self.url!r}: {error}") from error
        self._timeout_s = timeout_s
        self._headers = {"Accept": "application/json"}
        if admin_token is not None:
            if not re.fullmatch(r"[!-~]*", admin_token):
                raise ValueError("the token of the control API has blanks or unusual characters in it")
            self._headers["Authorization"] = f"Bearer {admin_token}"
        self.complete = True
        """False once `requests` had to leave out entries that were dropped from the journal."""

    def check_mock(self) -> None:
        """Raises NotReadable if the server is not a mock of this kind, or keeps no journal."""
        version = self._ask("GET", "/version", is_small=True)
        if version.get("name") != "cyberdesk-mockserver":
            raise NotReadable(f"{self.url} is not a mock of this kind")
        if not self._ask("GET", "/settings", is_small=True).get("journal_bytes"):
            raise NotReadable(f"the mock at {self.url} keeps no journal: start it without --journal-bytes 0")

    def requests(self, **filters: str) -> Iterator[Mapping[str, Any]]:
        """Yield the matching requests, the latest first."""
        before: Mapping[str, Any] = {}
        while True:
            page = self._ask("GET", f"/requests?{urlencode({**filters, 'limit': _PAGE, **before})}")
            self.complete = self.complete and page["complete"]
            items = page["items"]
            yield from reversed(items)
            if len(items) >= page["total"]:
                return
            before = {"before": items[0]["seq"]}

    def count(self, match: str) -> Count:
        """Raises NotAccepted for a match that can match no request."""
        answer = self._ask("POST", "/requests/count", {"match": match})
        return Count(answer["count"], answer["complete"], answer.get("hint"))

    def other_journals(self) -> list[tuple[str, int]]:
        """Return the URLs of the mock's other namespaces that have requests, and how many; the most first."""
        server, _, name = self.url.partition("/__ns/")
        found = [
            (f"{server}/__ns/{each['name']}" if each["name"] else server, int(each["requests"]))
            for each in self._ask("GET", "/namespaces")["items"]
            if each["requests"] and each["name"] not in (name, unquote(name))
        ]
        return sorted(found, key=lambda each: -each[1])

    def _ask(self, method: str, path: str, body: Any = None, *, is_small: bool = False) -> dict[str, Any]:
        content, headers = None, self._headers
        if body is not None:
            content, headers = json.dumps(body).encode(), {**headers, "Content-Type": "application/json"}
        try:
            self._connection.request(method, f"{self._base}/__admin{path}", content, headers)
            answer = self._connection.getresponse()
            text = self._read_small(answer) if is_small else answer.read()
        except TimeoutError as error:
            what = f"no answer from {self.url} within {self._timeout_s:g} s"
            raise NotReadable(f"{what}: is it a mock? --timeout waits longer") from error
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # UnicodeError: no name of a host
            # An error may quote the line that the server has sent, with its end.
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            raise NotReadable(f"no answer from {self.url}: {reason}; is the mock running there?") from error
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if answer.status == 200 and isinstance(value, dict):
            return value
        detail = value.get("detail") if isinstance(value, dict) else None
        if answer.status in (401, 403) and isinstance(detail, str):
            raise NotReadable(f"{detail}; give it with --admin-token or MOCKSERVER_ADMIN_TOKEN")
        if answer.status == 422 and isinstance(detail, str):
            raise NotAccepted(detail)
        raise NotReadable(
            f"{self.url} has no control API ({answer.status}): it is not a mock, or was started with --no-admin"
        )

    def _read_small(self, answer: http.client.HTTPResponse) -> bytes:
        """Read an answer of a server that may not be a mock: its answer may have no end, or take forever.

        Raises TimeoutError, or NotReadable.
        """
        text, until = b"", real_time() + self._timeout_s
        while part := answer.read1(_MAX_SMALL):
            text += part
            if len(text) > _MAX_SMALL:
                raise NotReadable(f"{self.url} is not a mock of this kind")
            if real_time() > until:
                raise TimeoutError
        answer.close()  # `read1` does not, so the connection would take no other request
        return text


def _parts_of(url: str) -> SplitResult | None:
    """Return the parts of the URL of a mock; None if it cannot be one."""
    with suppress(ValueError):  # its message may quote a password
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is no number up to 65535
        is_url = parts.scheme in ("http", "https") and parts.hostname and not _NAMELESS.search(parts.path)
        if is_url and not parts.query and not parts.fragment:
            return parts
    return None
