"""Authentication: the organisation of a bearer token."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import blake2b

from mockserver.errors import Unauthorized
from mockserver.settings import Token

_REMEMBERED = 4_096
_MAX_REMEMBERED_BYTES = 512


class Organisations:
    """Accepts only the given tokens; if none is given, every token that begins with `test`."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._remembered: dict[bytes, str] = {}

    @property
    def default(self) -> str:
        """The organisation of the first given token, else of the token `test`."""
        token = self._tokens[0] if self._tokens else Token(None, "test")
        return token.organisation or _organisation(token.token.encode().decode("latin-1"))

    def from_header(self, authorization: bytes | None) -> str:
        """Return the organisation of an Authorization header. Raises Unauthorized."""
        if authorization is None:
            raise Unauthorized("Not authenticated: send the header Authorization: Bearer <token>")
        known = self._remembered.get(authorization)
        if known is not None:
            return known
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("Not authenticated: the Authorization header should read Bearer <token>")
        organisation = self._from_token(token)
        if len(authorization) <= _MAX_REMEMBERED_BYTES:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[authorization] = organisation
        return organisation

    def _from_token(self, token: str) -> str:
        if not self._tokens:
            if token.startswith("test"):
                return _organisation(token)
            raise Unauthorized(
                "This is a mock server: it accepts tokens that begin with 'test', and no real key should be sent to it"
            )
        sent = token.encode("latin-1")
        for known in self._tokens:
            if hmac.compare_digest(known.token.encode(), sent):
                return known.organisation or _organisation(token)
        raise Unauthorized("Unknown token: this mock accepts only the tokens given with --token")


def _organisation(token: str) -> str:
    """Equal tokens give equal organisations. The token cannot be derived from the result."""
    return "org_" + blake2b(token.encode("latin-1"), person=b"organisation", digest_size=9).hexdigest()
