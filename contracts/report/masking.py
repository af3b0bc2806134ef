"""Masks secrets in reports: placeholders replace the tokens and the values that were sent under sensitive keys.

A masked request can still be sent: apart from the values, it is the same byte for byte, and the values keep their type
and, if possible, their length. A value in an answer gets the same placeholder as in the request, so that a report shows
where a secret leaked without showing the secret. Cookies of an answer and signatures in its URLs are masked, too.

The suite's own words, numbers and commands are not masked, even if the same word or number was sent as a sensitive
value: in a text, a short secret is masked only in an excerpt of a request or an answer.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import CheckResult, Finding, Reproduction
from contracts.core.json_tree import is_json, plain_json
from contracts.core.secret_matcher import SENSITIVE_KEY, SecretMatcher

# A quote inside a JSON string is escaped, so this never matches there.
_SENSITIVE_KEY = re.compile(rf'"{SENSITIVE_KEY.pattern}"\s*:\s*', SENSITIVE_KEY.flags)

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?')

_TEXT_OR_WORD = re.compile(
    r""""(?P<text>(?:[^"\\]|\\.)*)(?:"(?P<colon>\s*:)?|$)|(?P<word>[^\s"{}\[\],:]{8,})""", re.DOTALL
)
_COLON = re.compile(r"\s*:")
_UUID = re.compile(r"[0-9a-fA-F-]{36}")

# Excerpts of requests and answers in a text of the suite: a quoted text, JSON, and the words after a status.
# If a word of the suite follows the status, as in `201 with 3 created runs`, it is not an excerpt.
_EXCERPT = re.compile(
    r"""
    (?P<path>(?<=\s)/[^\s?]*\?\S*)
    | "(?:[^"\\]|\\.)*(?:"|$) | (?<!\w)'(?:[^'\\]|\\.)*(?:'|$)
    | [\[{](?:.*[\]}]|.*…|.*)
    | (?<=\b[1-5]\d\d)\ (?!(?:with|without|for|after|before|in|on|at|again|and|or|of|to|as|is|was|if|when|but)\b)
      (?:.*?(?=;\ expected\ )|.*)
    """,
    re.DOTALL | re.VERBOSE,
)
# The only query parameter that takes any text: the values of the others come from the API or the suite.
_SEARCH = re.compile(r"(?<=[?&]search=)[^&]*")
# What an answer grants to whoever has it: a cookie, and the signature of a URL (Go writes & as \\u0026 in JSON).
_COOKIE = re.compile(r"^([^=;]*=)[^;]*")
_SIGNATURE = re.compile(
    r"""(?i)((?:[?&]|\\u0026)(?:[\w-]*signature|sig|[\w-]*security-token|access_token|token)=)[^&"'\s\\<>]+"""
)

# Shorter values are masked under sensitive keys only, not anywhere else: an "a" in an answer is not a leak.
_MIN_SECRET_LENGTH = 4
_MIN_TOKEN_LENGTH = 5
# In a JSON key, only secrets of at least this length are masked: a short one may equal an ordinary name.
_MIN_LENGTH_IN_KEY = 12
# In a text of the suite and in the path of a request, a shorter secret may equal an ordinary word or number.
_MIN_LENGTH_IN_WORDS = 8
_MOST_STRINGS_KEPT = 100_000
_MOST_BODIES_KEPT = 10_000
_CUT = "(cut: a sensitive value stood here)"


class Mask:
    """Learns secret values from requests and replaces them by placeholders. `tokens` maps tokens to placeholders. `url`
    is that of the target, which is never masked in a text of the suite.
    """

    def __init__(self, tokens: Mapping[str, str] | None = None, *, url: str = "") -> None:
        self._url = url
        self._tokens = SecretMatcher()
        self._placeholders: dict[str, str] = {}
        self._all_placeholders: set[str] = set()
        self._secrets = SecretMatcher()
        self._forget_masked()
        for token, placeholder in (tokens or {}).items():
            for matcher in (self._tokens, self._secrets):
                if len(token) >= _MIN_TOKEN_LENGTH:
                    matcher.add(token, placeholder)
                else:  # it may be part of any word
                    matcher.add(f"Bearer {token}", f"Bearer {placeholder}")

    def learn(self, requests: Iterable[Request]) -> None:
        self._forget_masked()
        for request in requests:
            self._learn_values(_sensitive_values(request.body))

    def learn_body(self, body: Any) -> None:
        self._forget_masked()
        self._learn_values(_under_sensitive_keys(body))

    def _forget_masked(self) -> None:
        """Empty the caches: most strings and bodies occur many times, and are masked by the secrets known so far."""
        self._json_string = functools.lru_cache(_MOST_STRINGS_KEPT)(self._masked_json_string)
        self._body = functools.lru_cache(_MOST_BODIES_KEPT)(self._masked_body)

    @property
    def has_masked(self) -> bool:
        """Whether a sensitive value was found, so that a report must explain the placeholders."""
        return bool(self._placeholders)

    def text(self, text: str) -> str:
        """Mask a text of the target."""
        return self._secrets.replace(_SIGNATURE.sub(r"\1masked", text))

    def words(self, text: str) -> str:
        """Mask a text of the suite: tokens and long secrets anywhere, all others in excerpts."""
        return self._url.join(map(self._words, text.split(self._url) if self._url else [text]))

    def _words(self, text: str) -> str:
        def masked(excerpt: re.Match[str]) -> str:
            return self._path(excerpt[0]) if excerpt["path"] else self.text(excerpt[0])

        return self._long(_EXCERPT.sub(masked, text))

    def _path(self, path: str) -> str:
        return self._long(_SIGNATURE.sub(r"\1masked", _SEARCH.sub(lambda searched: self.text(searched[0]), path)))

    def _long(self, text: str) -> str:
        """Mask the tokens and the long secrets."""
        text = self._tokens.replace(text)
        return self._secrets.candidates(text).of_length(_MIN_LENGTH_IN_WORDS).replace(text)

    def request(self, request: Request) -> Request:
        return dataclasses.replace(
            request,
            path=self._path(request.path),
            headers=tuple((name, self._long(value)) for name, value in request.headers),
            body=None if request.body is None else self._body(request.body, sent=True),
        )

    def answer(self, answer: Answer) -> Answer:
        return dataclasses.replace(
            answer,
            headers=tuple((name, self._answer_header(name, value)) for name, value in answer.headers),
            body=self._body(answer.body, sent=False),
        )

    def _answer_header(self, name: str, value: str) -> str:
        if name.lower() == "set-cookie":
            value = _COOKIE.sub(r"\1masked", value)
        return self.text(value)

    def exchange(self, exchange: Exchange) -> Exchange:
        return Exchange(self.request(exchange.request), self.answer(exchange.answer))

    def finding(self, finding: Finding) -> Finding:
        """Mask a finding except its cause, which has no values by definition and determines the fingerprint."""
        return dataclasses.replace(
            finding,
            summary=self._with_excerpts(finding.summary),
            neighbour=self._with_excerpts(finding.neighbour),
            guess=self._with_excerpts(finding.guess),
            expected=self._with_excerpts(finding.expected),
            got=self._with_excerpts(finding.got),
            exchanges=tuple(map(self.exchange, finding.exchanges)),
            reproductions=tuple(map(self._reproduction, finding.reproductions)),
        )

    def _reproduction(self, one: Reproduction) -> Reproduction:
        return Reproduction(one.scenario, self._case(one.case), tuple(map(self._reproduction, one.beside)))

    def _case(self, text: str) -> str:
        """Mask the values of a case. Its placeholders («secret:1») are not values, and stay."""

        def masked_member(key: str, value: Any, *, is_sensitive: bool) -> tuple[str, Any]:
            name = self.text(key) if len(key) >= _MIN_LENGTH_IN_KEY else key
            if key == "$type":
                return name, value
            return name, masked(value, is_sensitive=is_sensitive or SENSITIVE_KEY.fullmatch(key) is not None)

        def masked(node: Any, *, is_sensitive: bool) -> Any:
            if isinstance(node, dict):
                return dict(masked_member(key, inner, is_sensitive=is_sensitive) for key, inner in node.items())
            if isinstance(node, list):
                return [masked(inner, is_sensitive=is_sensitive) for inner in node]
            if isinstance(node, str) and "«" in node:
                return node
            if is_sensitive:
                return self._masked_value(node, sent=True)
            if isinstance(node, str):
                return self._path(node) if node.startswith("/v1/") else self.text(node)
            return node

        return json.dumps(masked(json.loads(text), is_sensitive=False))

    def result(self, result: CheckResult) -> CheckResult:
        """Mask everything of a result that a report shows, after learning the secrets of all its requests."""
        findings = (*result.findings, *result.unstable, *result.baselined)
        self.learn(exchange.request for finding in findings for exchange in finding.exchanges)
        return dataclasses.replace(
            result,
            rules=tuple(dataclasses.replace(rule, why=self.words(rule.why)) for rule in result.rules),
            findings=tuple(map(self.finding, result.findings)),
            unstable=tuple(map(self.finding, result.unstable)),
            baselined=tuple(map(self.finding, result.baselined)),
            notes=tuple(map(self.words, result.notes)),
        )

    def _with_excerpts(self, text: str) -> str:
        """Mask a text with excerpts, which end with "…": each may have cut off a secret."""
        *excerpts, rest = self.words(text).split("…")
        return "…".join([*map(self._secrets.replace_cut_off, excerpts), rest])

    def _masked_body(self, body: bytes, *, sent: bool) -> bytes:
        text = self._mask_under_keys(body.decode("utf-8", "surrogateescape"), sent=sent)
        if not sent:
            text = _SIGNATURE.sub(r"\1masked", text)
        if self._secrets.may_be_in(text) and is_json(text):
            return self._json_text(text, sent=sent).encode("utf-8", "surrogateescape")
        return self._secrets.replace_in_bytes(text.encode("utf-8", "surrogateescape"))

    def _json_text(self, text: str, *, sent: bool) -> str:
        def masked_token(found: re.Match[str]) -> str:
            written = found[0]
            if not written.startswith('"'):
                placeholder = self._secrets.numbers.get(written)
                return written if placeholder is None else "0" if sent else json.dumps(placeholder)
            return self._json_string(written, is_key=_COLON.match(text, found.end()) is not None)

        return _JSON_TOKEN.sub(masked_token, text)

    def _masked_json_string(self, written: str, *, is_key: bool) -> str:
        plain = json.loads(written, strict=False)
        candidates = self._secrets.candidates(plain)
        if is_key:  # a short secret may equal an ordinary name
            candidates = candidates.of_length(_MIN_LENGTH_IN_KEY)
        replaced = candidates.replace(plain)
        return written if replaced == plain else plain_json(replaced)

    def _mask_under_keys(self, text: str, *, sent: bool) -> str:
        done, at = [], 0
        while key := _SENSITIVE_KEY.search(text, at):
            done.append(text[at : key.end()])
            try:
                value, at = json.JSONDecoder().raw_decode(text, key.end())
            except (ValueError, RecursionError):
                # Not JSON from here on, so the end of the value is unknown.
                return "".join([*done, json.dumps(_CUT)])
            done.append(plain_json(self._masked_value(value, sent=sent)))
        return "".join([*done, text[at:]]) if done else text

    def _masked_value(self, value: Any, *, sent: bool) -> Any:
        if isinstance(value, dict):
            return {key: self._masked_value(item, sent=sent) for key, item in value.items()}
        if isinstance(value, list):
            return [self._masked_value(item, sent=sent) for item in value]
        if value is None or isinstance(value, bool) or value == "":
            return value  # these reveal nothing
        if isinstance(value, str):
            return self._placeholder(value)
        # In a request a number stays a number, since the finding may depend on the type.
        return 0 if sent else self._placeholder(str(value))

    def _learn_values(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, dict):
                self._learn_values(value.values())
            elif isinstance(value, list):
                self._learn_values(value)
            elif isinstance(value, str) and value:
                placeholder = self._placeholder(value)
                if len(value) >= _MIN_SECRET_LENGTH:
                    self._secrets.add(value, placeholder)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                for digits in _number_forms(value):
                    if len(digits) >= _MIN_SECRET_LENGTH:
                        self._secrets.add_number(digits, self._placeholder(str(value)))

    def _placeholder(self, secret: str) -> str:
        """The placeholder of a secret, padded to the length of the secret, since a fault may depend on the length."""
        if secret in self._all_placeholders:
            return secret  # masked already
        if secret not in self._placeholders:
            name = f"masked-{len(self._placeholders) + 1}"
            self._placeholders[secret] = name + "x" * (len(secret) - len(name))
            self._all_placeholders.add(self._placeholders[secret])
        return self._placeholders[secret]


def _number_forms(value: float) -> Iterator[str]:
    """Yield a number as JSON writes it, and, if it is a whole number, as an integer and as a real number."""
    yield json.dumps(value)
    if abs(value) < 1e300 and value == int(value):
        yield str(int(value))
        yield f"{int(value)}.0"
        yield repr(float(value))


def _sensitive_values(body: bytes | None) -> Iterator[Any]:
    if not body or b"sensitive" not in body:
        return
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        yield from _texts_after_sensitive_key(body.decode("utf-8", "replace"))
    else:
        yield from _under_sensitive_keys(decoded)


def _texts_after_sensitive_key(text: str) -> Iterator[str]:
    """Yield all texts after the first sensitive key of a body that is not JSON: the end of its value is unknown."""
    key = _SENSITIVE_KEY.search(text)
    for found in _TEXT_OR_WORD.finditer(text, key.end() if key else len(text)):
        value = found["text"] or found["word"]
        if value and not found["colon"] and not _UUID.fullmatch(value):
            yield value


def _under_sensitive_keys(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for key, value in node.items():
            if SENSITIVE_KEY.fullmatch(key):
                yield value
            else:
                yield from _under_sensitive_keys(value)
    elif isinstance(node, list):
        for item in node:
            yield from _under_sensitive_keys(item)
