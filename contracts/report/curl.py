"""A request as a command for a POSIX shell that sends the same bytes again, with `$TOKEN` where the token goes.

Several requests of one finding are commands for one shell, in their order: an id or a moment that the server gave in
an earlier answer is carried to the later ones, since a second try gets its own.
"""

from __future__ import annotations

import base64
import json
import re
import textwrap
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from contracts.core.exchange import Exchange, Request

_SECRETS = re.compile(r"(\$(?:SECOND_)?TOKEN)\b")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_MOMENT_IN_QUERY = re.compile(r"\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d(?:\.\d+)?(?:Z|(?:%2B|-)\d\d%3A\d\d)")
_REPEATED = re.compile(r"(.{1,24}?)\1{15,}", re.DOTALL)

# What a person can look through and paste; longer bodies are made by a few lines of Python in the command.
_LITERAL_MAX = 2_000
# A key that was made up, not one that is itself what is tried.
_MADE_UP_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")


def curl(request: Request, base_url: str) -> str:
    return _command(request, base_url, {}, show_head=True)


def curls(exchanges: Sequence[Exchange], base_url: str) -> list[str]:
    """One command an exchange, to be run one after the other in the same shell."""
    carried: dict[str, str] = {}  # what was seen in the finding → the shell's variable
    captures = _captures(exchanges)
    commands = []
    for index, exchange in enumerate(exchanges):
        lines = []
        key = exchange.request.header("Idempotency-Key")
        if key and key not in carried and _MADE_UP_KEY.fullmatch(key):
            carried[key] = f"KEY_{sum(name.startswith('KEY_') for name in carried.values()) + 1}"
            lines.append(f'{carried[key]}="$(date +%s)-$$-{len(carried)}"')
        taken = captures[index]
        command = _command(exchange.request, base_url, carried, show_head=not taken)
        if taken:
            answer = f"ANSWER_{index + 1}"
            lines.append(f"{answer}=$({command}\n)\nprintf '%s\\n' \"${answer}\"")
            for value, path in taken.items():
                carried[value] = f"ID_{sum(name.startswith('ID_') for name in carried.values()) + 1}"
                program = f"import json, sys; print(json.load(sys.stdin){path})"
                if "%" in value:
                    program = (
                        f"import json, sys, urllib.parse as u; print(u.quote(json.load(sys.stdin){path}, safe=''))"
                    )
                lines.append(f"{carried[value]}=$(printf '%s' \"${answer}\" | python3 -c {_single(program)})")
        else:
            lines.append(command)
        commands.append("\n".join(lines))
    return commands


def _captures(exchanges: Sequence[Exchange]) -> list[dict[str, str]]:
    """For each exchange the ids and moments of its answer that a later request uses, as they stand there, with the way
    to them in the JSON.
    """
    known: set[str] = set()
    captures: list[dict[str, str]] = []
    for index, exchange in enumerate(exchanges):
        known |= _names_of(exchange.request)
        wanted = set().union(*(_names_of(later.request) for later in exchanges[index + 1 :])) - known
        try:
            found = dict(_paths(exchange.answer.json(), "")) if wanted else {}
        except (ValueError, RecursionError):
            found = {}
        captures.append({value: path for value, path in found.items() if value in wanted})
        known |= set(captures[-1])
    return captures


def _names_of(request: Request) -> set[str]:
    body = request.body or b""
    return {*_UUID.findall(request.path), *_MOMENT_IN_QUERY.findall(request.path)} | (
        {*_UUID.findall(body.decode("latin-1"))} if len(body) <= _LITERAL_MAX else set()
    )


def _paths(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """The last way to each: dict() of this keeps it, and equal ids are equal wherever they stand."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _paths(value, f"{path}[{json.dumps(key)}]")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _paths(value, f"{path}[{index}]")
    elif isinstance(node, str) and _UUID.fullmatch(node):
        yield node, path
    elif isinstance(node, str) and _MOMENT.fullmatch(node):
        yield quote(node, safe=""), path


def _command(request: Request, base_url: str, carried: dict[str, str], *, show_head: bool) -> str:
    before, data, after = _data(request.body, carried)
    parts = ["curl -sS"]
    if request.method == "HEAD":
        parts[0] += " --head"
    elif show_head:
        parts[0] += " -i"
    if re.search(r"/(?:\.|%2[eE]){1,2}(?:[/?]|$)", request.path):
        parts[0] += " --path-as-is"
    if request.method not in {"GET", "HEAD"} or request.body is not None:
        parts[0] += f" -X {_bare(request.method)}"
    # Brackets and braces in a URL would be patterns.
    if re.search(r"[\[\]{}]", request.path):
        parts[0] += " -g"
    parts.append(_word(base_url + request.path, carried))
    for name, value in request.headers:
        # "Name;" is how curl is told to send an empty header, since "Name:" takes one out.
        line = f"{name}: {value}" if value.strip(" \t") else f"{name};"
        parts.append(f"-H {_word(line, carried) if line.isascii() else _escaped(line)}")
    if request.body is not None and request.header("Content-Type") is None:
        parts.append("-H 'Content-Type:'")
    parts += data
    return before + " \\\n  ".join(parts) + after


def _data(body: bytes | None, carried: dict[str, str]) -> tuple[str, list[str], str]:
    """What stands before the command, its arguments, and what follows it."""
    if body is None:
        return "", [], ""
    text = _plain(body)
    if text is not None and len(body) <= _LITERAL_MAX:
        return "", [f"--data-raw {_word(text, carried, secrets=False)}"], ""
    piped = ["--data-binary @-"]
    if len(body) <= _LITERAL_MAX // 2:
        return f"printf -- {_printf(body)} | ", piped, ""
    program = _repeating(body) or _packed(body)
    return "python3 - <<'PY' | ", piped, f"\n{program}\nPY"


def _plain(body: bytes) -> str | None:
    """The body as text where a terminal takes it as it is."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    shown = text.replace("\n", "")
    return text if (not shown or shown.isprintable()) and unicodedata.is_normalized("NFC", text) else None


def _word(text: str, carried: dict[str, str], *, secrets: bool = True) -> str:
    """One word of the shell; only the variables of ours are expanded in it."""
    variables = dict(carried)
    pattern = "|".join(map(re.escape, sorted(variables, key=len, reverse=True)))
    split = re.compile(f"({pattern})" if pattern else r"(?!)")
    quoted = []
    for piece in _SECRETS.split(text) if secrets else [text]:
        if secrets and _SECRETS.fullmatch(piece):
            quoted.append(("variable", piece))
            continue
        for part in split.split(piece):
            if part in variables:
                quoted.append(("variable", f"${variables[part]}"))
            elif part:
                quoted.append(("text", part))
    if not any(kind == "variable" for kind, _ in quoted):
        return _single(text)
    simple = all(kind == "variable" or re.fullmatch(r'[^"$`\\!\x00-\x1f\x7f-\uffff]*', part) for kind, part in quoted)
    if simple:
        return '"' + "".join(_braced(quoted, at) for at in range(len(quoted))) + '"'
    return "".join(f'"{part}"' if kind == "variable" else _single(part) for kind, part in quoted)


def _braced(quoted: list[tuple[str, str]], at: int) -> str:
    """`${ID_1}x`, since `$ID_1x` is another variable."""
    kind, part = quoted[at]
    runs_on = at + 1 < len(quoted) and re.match(r"\w", quoted[at + 1][1])
    return f"${{{part[1:]}}}" if kind == "variable" and runs_on else part


def _single(text: str) -> str:
    if text.replace("\n", "").isprintable() and (text.isascii() or unicodedata.is_normalized("NFC", text)):
        return "'" + text.replace("'", "'\\''") + "'"
    return _escaped(text)


def _bare(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _single(text)


def _escaped(text: str) -> str:
    """Byte for byte as latin-1, which is what header values are on the wire; a terminal would send UTF-8."""
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
    escaped = "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\{byte:03o}" for byte in raw)
    return f"$'{escaped}'"


def _printf(body: bytes) -> str:
    def escaped(byte: int) -> str:
        if byte in b"\\%":
            return "\\\\" if byte == 0x5C else "%%"
        return chr(byte) if 0x20 <= byte < 0x7F and byte != 0x27 else f"\\{byte:03o}"

    return "'" + "".join(map(escaped, body)) + "'"


def _repeating(body: bytes) -> str | None:
    """The body as an expression with its long repetitions counted, where that makes it short."""
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


def _packed(body: bytes) -> str:
    packed = "\n".join(textwrap.wrap(base64.b64encode(zlib.compress(body, 9)).decode(), 100))
    return f'import base64, sys, zlib\nsys.stdout.buffer.write(zlib.decompress(base64.b64decode("""\n{packed}\n""")))'
