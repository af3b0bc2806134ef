"""Renders a request as a shell command that sends the same bytes again, with `$TOKEN` in place of the token.

The commands for the requests of one finding must run in order in one shell. If a request uses an id, a timestamp or a
URL from an earlier answer, its command takes it from the new answer, since the server returns other values each time.
"""

import base64
import json
import re
import textwrap
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from contracts.core.exchange import ENCODED_TOKEN, Exchange, Request, header_bytes
from contracts.core.json_tree import Path, leaves
from contracts.openapi.schemas import MOMENT_PATTERN, UUID_PATTERN

_SECRET = r"\$(?:SECOND_)?TOKEN\b"
_UUID = re.compile(UUID_PATTERN)
_MOMENT = re.compile(MOMENT_PATTERN)
_MOMENT_IN_QUERY = re.compile(r"\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d(?:\.\d+)?(?:Z|(?:%2B|-)\d\d%3A\d\d)")
_REPEATED = re.compile(r"(.{1,24}?)\1{15,}", re.DOTALL)

# Short enough to read and paste. For a longer body, the command has a few lines of Python that print it.
_LITERAL_MAX = 2_000
# An ordinary generated key, not one whose form is what the case tests.
_MADE_UP_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")


def curls(exchanges: Sequence[Exchange], base_url: str) -> list[str]:
    """One command per exchange, to be run in order in the same shell."""
    variables: dict[str, str] = {}  # value in the finding → shell variable
    commands = []
    for number, (exchange, captured) in enumerate(zip(exchanges, _captures(exchanges, base_url), strict=True), 1):
        lines = []
        key = exchange.request.idempotency_key
        if key and key not in variables and _MADE_UP_KEY.fullmatch(key):
            variable = _new_variable(variables, key, "KEY")
            lines.append(f'{variable}="$(date +%s)-$$-{len(variables)}"')
        encoded = ENCODED_TOKEN.search(exchange.request.header("Authorization") or "")
        if encoded is not None and encoded[0] not in variables:
            variable = _new_variable(variables, encoded[0], "BASIC")
            lines.append(f"{variable}=\"$(printf '%s' \"{encoded[1]}\" | base64 | tr -d '\\n')\"")
        command = _command(exchange.request, base_url, variables, show_head=not captured)
        if captured:
            answer = f"ANSWER_{number}"
            lines.append(f"{answer}=$({command}\n)\nprintf '%s\\n' \"${answer}\"")
            for value, path in captured.items():
                is_url = value.startswith(base_url)
                variable = _new_variable(variables, value, "URL" if is_url else "ID")
                program = f"import json, sys; print(json.load(sys.stdin){path})"
                if "%" in value and not is_url:
                    program = (
                        f"import json, sys, urllib.parse as u; print(u.quote(json.load(sys.stdin){path}, safe=''))"
                    )
                lines.append(f"{variable}=$(printf '%s' \"${answer}\" | python3 -c {_single(program)})")
        else:
            lines.append(command)
        commands.append("\n".join(lines))
    return commands


def _new_variable(variables: dict[str, str], value: str, kind: str) -> str:
    """Add a variable for the value: KEY_1, KEY_2 and so on."""
    variables[value] = f"{kind}_{1 + sum(name.startswith(f'{kind}_') for name in variables.values())}"
    return variables[value]


def _captures(exchanges: Sequence[Exchange], base_url: str) -> list[dict[str, str]]:
    """For each exchange, the ids, timestamps and URLs of its answer that a later request uses, as written in that
    request, each with its path in the JSON of the answer.
    """
    known: set[str] = set()
    captures: list[dict[str, str]] = []
    for index, exchange in enumerate(exchanges):
        known |= _values(exchange.request, base_url)
        wanted = set().union(*(_values(later.request, base_url) for later in exchanges[index + 1 :])) - known
        found = dict(_paths(exchange.answer.json_or_none())) if wanted else {}
        captures.append({value: path for value, path in found.items() if value in wanted})
        known |= set(captures[-1])
    return captures


def _values(request: Request, base_url: str) -> set[str]:
    """The ids, timestamps and the URL of a request."""
    body = request.body or b""
    return {base_url + request.path, *_UUID.findall(request.path), *_MOMENT_IN_QUERY.findall(request.path)} | (
        {*_UUID.findall(body.decode("latin-1"))} if len(body) <= _LITERAL_MAX else set()
    )


def _paths(answer: Any) -> Iterator[tuple[str, str]]:
    """Yield each id, timestamp and URL with its path. A value may occur several times; any of its paths will do."""
    for path, leaf in leaves(answer):
        if isinstance(leaf, str) and (_UUID.fullmatch(leaf) or leaf.startswith(("http://", "https://"))):
            yield leaf, _in_python(path)
        elif isinstance(leaf, str) and _MOMENT.fullmatch(leaf):
            yield quote(leaf, safe=""), _in_python(path)


def _in_python(path: Path) -> str:
    return "".join(f"[{json.dumps(step)}]" for step in path)


def _command(request: Request, base_url: str, variables: dict[str, str], *, show_head: bool) -> str:
    before, data, after = _data(request.body, variables)
    parts = ["curl -sS"]
    if request.method == "HEAD":
        parts[0] += " --head"
    elif show_head:
        parts[0] += " -i"
    if re.search(r"/(?:\.|%2[eE]){1,2}(?:[/?]|$)", request.path):
        parts[0] += " --path-as-is"
    if request.method not in {"GET", "HEAD"} or request.body is not None:
        parts[0] += f" -X {_bare(request.method)}"
    # curl would expand brackets and braces in a URL.
    if re.search(r"[\[\]{}]", request.path):
        parts[0] += " -g"
    if request.header("Accept-Encoding") is not None:
        parts[0] += " --compressed"
    parts.append(_word(base_url + request.path, variables))
    for name, value in request.headers:
        # curl sends an empty header for "Name;" and removes the header for "Name:".
        line = f"{name}: {value}" if value.strip(" \t") else f"{name};"
        parts.append(f"-H {_word(line, variables) if line.isascii() else _escaped(line)}")
    if request.body is not None and request.header("Content-Type") is None:
        parts.append("-H 'Content-Type:'")
    parts += data
    return before + " \\\n  ".join(parts) + after


def _data(body: bytes | None, variables: dict[str, str]) -> tuple[str, list[str], str]:
    """What precedes the curl command, its arguments for the body, and what follows it."""
    if body is None:
        return "", [], ""
    text = _pasteable_text(body)
    if text is not None and len(body) <= _LITERAL_MAX:
        return "", [f"--data-raw {_word(text, variables, secrets=False)}"], ""
    program = _repeating(body) or _compressed(body)
    return "python3 - <<'PY' | ", ["--data-binary @-"], f"\n{program}\nPY"


def _pasteable_text(body: bytes) -> str | None:
    """The body as text, if it can be pasted into a terminal unchanged."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    shown = text.replace("\n", "")
    return text if (not shown or shown.isprintable()) and unicodedata.is_normalized("NFC", text) else None


def _word(text: str, variables: dict[str, str], *, secrets: bool = True) -> str:
    """Quote the text as one shell word in which only our own variables are expanded."""
    replaced = [_SECRET] if secrets else []
    replaced += map(re.escape, sorted(variables, key=len, reverse=True))
    pieces = re.split(f"({'|'.join(replaced)})", text) if replaced else [text]
    if len(pieces) == 1:
        return _single(text)
    texts, names = pieces[::2], [variables.get(piece, piece[1:]) for piece in pieces[1::2]]
    word = texts[0]
    if all(re.fullmatch(r'[^"$`\\!\x00-\x1f\x7f-\uffff]*', each) for each in texts):
        for name, following in zip(names, texts[1:], strict=True):
            # `${ID_1}x`, since `$ID_1x` is another variable
            word += (f"${{{name}}}" if re.match(r"\w", following) else f"${name}") + following
        return f'"{word}"'
    word = _single(texts[0]) if texts[0] else ""
    for name, following in zip(names, texts[1:], strict=True):
        word += f'"${name}"' + (_single(following) if following else "")
    return word


def _single(text: str) -> str:
    if text.replace("\n", "").isprintable() and (text.isascii() or unicodedata.is_normalized("NFC", text)):
        return "'" + text.replace("'", "'\\''") + "'"
    return _escaped(text)


def _bare(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _single(text)


def _escaped(text: str) -> str:
    """Escape each byte of the latin-1 encoding, which header values have on the wire; a terminal would send UTF-8."""
    raw = header_bytes(text)
    escaped = "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\{byte:03o}" for byte in raw)
    return f"$'{escaped}'"


def _repeating(body: bytes) -> str | None:
    """A program that prints the body, with long repetitions as `unit * count`; None if it is not short enough."""
    terms, at, text = [], 0, body.decode("latin-1")
    for found in _REPEATED.finditer(text):
        if found.start() > at:
            terms.append(repr(body[at : found.start()]))
        unit = found[1]
        terms.append(f"{unit.encode('latin-1')!r} * {len(found[0]) // len(unit)}")
        at = found.end()
    if at < len(body):
        terms.append(repr(body[at:]))
    program = f"import sys\nsys.stdout.buffer.write({' + '.join(terms)})"
    return program if len(program) <= _LITERAL_MAX else None


def _compressed(body: bytes) -> str:
    packed = "\n".join(textwrap.wrap(base64.b64encode(zlib.compress(body, 9)).decode(), 100))
    return f'import base64, sys, zlib\nsys.stdout.buffer.write(zlib.decompress(base64.b64decode("""\n{packed}\n""")))'
