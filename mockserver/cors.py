"""Which browser pages may use the mock. A preflight that is refused says so in JSON, as every other error does."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from mockserver.reply import JSON
from mockserver.spec import render_json


class CORS(CORSMiddleware):
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        body = render_json({"detail": bytes(response.body).decode()})
        return Response(body, response.status_code, kept, media_type=JSON)
