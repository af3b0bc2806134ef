"""The bearer tokens: they replace `$TOKEN` when a request is sent, and are masked in everything that is stored.

Nothing else in the guard stores a token.
"""

import base64
import dataclasses

from contracts.core.exchange import ENCODED_TOKEN, Answer, Headers, Request
from contracts.core.secret_matcher import SecretMatcher
from contracts.guard.refusals import NotAllowed

_MIN_SECRET_LENGTH = 16


class Tokens:
    """Masks a long token everywhere, and a short one (such as `test`, for a mock) only after `Bearer`: a short token is
    not secret, and the same word elsewhere in an answer must not be changed.

    Changed forms and parts of a token are masked only in the report: to mask them here would change answers before they
    are judged.
    """

    def __init__(self, token: str | None, second_token: str | None) -> None:
        self._by_placeholder = {"$SECOND_TOKEN": second_token, "$TOKEN": token}
        self._secrets = SecretMatcher()
        for placeholder, secret in self._by_placeholder.items():
            if secret:
                before = "" if len(secret) >= _MIN_SECRET_LENGTH else "Bearer "
                self._secrets.add(before + secret, before + placeholder, changed=False)

    def insert_token(self, authorization: str) -> str:
        """Replace each placeholder by its token, in base64 if it is an ENCODED_TOKEN. Raises NotAllowed if a token was
        not given.
        """
        encoded = ENCODED_TOKEN.fullmatch(authorization.removeprefix("Basic "))
        if encoded is not None:
            return f"Basic {base64.b64encode(self.insert_token(encoded[1]).encode()).decode()}"
        for placeholder, secret in self._by_placeholder.items():
            if placeholder in authorization:
                if secret is None:
                    raise NotAllowed(f"{placeholder} was not given")
                authorization = authorization.replace(placeholder, secret)
        return authorization

    def mask_text(self, text: str) -> str:
        return self._secrets.replace(text)

    def mask_bytes(self, body: bytes) -> bytes:
        return self._secrets.replace_in_bytes(body)

    def mask_request(self, request: Request) -> Request:
        body = None if request.body is None else self.mask_bytes(request.body)
        return Request(request.method, self.mask_text(request.path), self._mask_headers(request.headers), body)

    def mask_answer(self, answer: Answer) -> Answer:
        return dataclasses.replace(
            answer, headers=self._mask_headers(answer.headers), body=self.mask_bytes(answer.body)
        )

    def _mask_headers(self, headers: Headers) -> Headers:
        return tuple((name, self.mask_text(value)) for name, value in headers)
