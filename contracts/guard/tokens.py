"""The bearer tokens: they replace `$TOKEN` when a request is sent, and are masked in everything that is stored.

Nothing else in the guard stores a token, and the repr of `Tokens` shows none.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from contracts.core.exchange import Answer, Request
from contracts.guard.refusals import NotAllowed

_MIN_SECRET_LENGTH = 16


class Tokens:
    """Masks a long token everywhere, and a short one (such as `test`, for a mock) only after `Bearer`: a short token is
    not secret, and the same word elsewhere in an answer must not be changed.
    """

    def __init__(self, token: str | None, second_token: str | None) -> None:
        self._by_placeholder = {"$SECOND_TOKEN": second_token, "$TOKEN": token}
        masks: list[tuple[str, str]] = []
        for placeholder, secret in self._by_placeholder.items():
            if not secret:
                continue
            long = len(secret) >= _MIN_SECRET_LENGTH
            for form in {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}:
                masks.append((form, placeholder) if long else (f"Bearer {form}", f"Bearer {placeholder}"))
        masks.sort(key=lambda mask: -len(mask[0]))
        self._text_masks = masks
        self._byte_masks = [(form.encode(), placeholder.encode()) for form, placeholder in masks]

    def __repr__(self) -> str:
        return "Tokens(masked)"

    def put_in(self, authorization: str) -> str:
        """Replace the placeholder by its token. Raises NotAllowed if that token was not given."""
        if "$" not in authorization:
            return authorization
        for placeholder, secret in self._by_placeholder.items():
            if placeholder in authorization:
                if secret is None:
                    raise NotAllowed(f"{placeholder} was not given")
                authorization = authorization.replace(placeholder, secret)
        return authorization

    def mask_text(self, text: str) -> str:
        for form, placeholder in self._text_masks:
            if form in text:
                text = text.replace(form, placeholder)
        return text

    def mask_bytes(self, body: bytes) -> bytes:
        for form, placeholder in self._byte_masks:
            if form in body:
                body = body.replace(form, placeholder)
        return body

    def mask_headers(self, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        if any(form in value for _, value in headers for form, _ in self._text_masks):
            return tuple((name, self.mask_text(value)) for name, value in headers)
        return headers

    def mask_request(self, request: Request) -> Request:
        headers = self.mask_headers(request.headers)
        path = self.mask_text(request.path)
        body = self.mask_bytes(request.body) if request.body else request.body
        if headers is request.headers and path is request.path and body is request.body:
            return request
        return Request(request.method, path, headers, body)

    def mask_answer(self, answer: Answer) -> Answer:
        headers = self.mask_headers(answer.headers)
        body = self.mask_bytes(answer.body)
        if headers is answer.headers and body is answer.body:
            return answer
        return Answer(answer.status, headers, body)
