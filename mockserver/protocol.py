"""HTTP as uvicorn reads it, but for two things that it does by itself, before any application is asked.

What is no HTTP gets a JSON answer, as every other error does. And a request that offers to upgrade the connection
(Java's client does, to HTTP/2, with every first request) keeps its body, which the parser would drop.
"""

from __future__ import annotations

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mockserver.spec import render_json

_UPGRADE = re.compile(rb"^upgrade(?=[ \t]*:)", re.IGNORECASE | re.MULTILINE)


class Protocol(HttpToolsProtocol):
    def data_received(self, data: bytes) -> None:
        # The offer is taken out of the parser's sight: RFC 9110, section 7.8, lets a server ignore it.
        in_body = self.cycle is not None and self.cycle.more_body
        if not in_body and (b"pgrade" in data or b"PGRADE" in data):
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"x-ignored-upgrade", head) + end + rest
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        body = render_json({"detail": msg})
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()
