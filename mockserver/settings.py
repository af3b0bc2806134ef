"""Every setting of the server: its flag, its environment variable, its default and its meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

from mockserver.setting_values import SettingError, byte_count, check_names, read_fields, seconds, whole_seconds

Coercion = Literal["strict", "lax"]
Progression = Literal["time", "immediate", "manual"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

MEBIBYTE = 1024 * 1024
_T = TypeVar("_T")

# A condition on a value, and its text for error messages.
_Range = tuple[Callable[[Any], bool], str]
_COUNT: _Range = (lambda value: value >= 0, "0 or more")
_PORT: _Range = (lambda value: 0 <= value <= 65535, "from 0 to 65535")
_TIME_SCALE: _Range = (lambda value: 0 < value <= 1e6, "above 0, and 1,000,000 at most")
_WORKERS: _Range = (lambda value: 1 <= value <= 128, "from 1 to 128")
_AT_LEAST_ONE: _Range = (lambda value: value >= 1, "1 or more")
_AT_LEAST_TWO: _Range = (lambda value: value >= 2, "2 or more")
_ABOVE_ZERO: _Range = (lambda value: value > 0, "above 0")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`limit` requests per organisation in each window of `window_s` seconds."""

    limit: int
    window_s: int

    def __str__(self) -> str:
        return f"{self.limit}/{'s' if self.window_s == 1 else 'm'}"

    @classmethod
    def from_text(cls, text: str) -> RateLimit:
        """Parse `10/s`, `600/m`, or `10`, which is per second. Raises ValueError."""
        match = re.fullmatch(r"([0-9]+)(?:/(s|m))?", text.strip())
        if match is None:
            raise ValueError(f"invalid rate {text!r}; use N/s or N/m, such as 10/s")
        if not re.fullmatch(r"[1-9][0-9]{0,8}", match[1]):
            raise ValueError(f"invalid rate {text[:50]!r}; N is from 1 to 999,999,999, without zeros before it")
        return cls(int(match[1]), 60 if match[2] == "m" else 1)


@dataclass(frozen=True, slots=True)
class Token:
    organisation: str | None
    token: str = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> Token:
        """Parse `TOKEN` or `TOKEN=ORG`. Raises ValueError, which never shows the token."""
        token, equals, organisation = text.partition("=")
        if not token or token != token.strip():
            raise ValueError("a token is missing, or has space around it; write TOKEN or TOKEN=ORG")
        if equals and (not organisation or organisation.startswith("=")):
            # As in `dGVzdA==`, which would be the token `dGVzdA` of the organisation `=`.
            raise ValueError(
                "no organisation follows the '=', and a token cannot have one in it; write TOKEN or TOKEN=ORG"
            )
        return cls(organisation or None, token)


def _is_store_url(text: str) -> bool:
    with suppress(ValueError):  # its message may quote a password
        parts = urlsplit(text)
        return parts.scheme in _STORE_SCHEMES and bool(parts.hostname) and parts.port != 0
    return False


@dataclass(frozen=True, slots=True)
class StoreURL:
    """`memory`, or the URL of a server. As text it does not show a password."""

    url: str = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> StoreURL:
        """Raises ValueError, which never shows a password."""
        if text != "memory" and not _is_store_url(text):
            raise ValueError("invalid store; use memory or valkey://HOST:PORT/0?prefix=NAME:")
        return cls(text)

    @property
    def is_shared(self) -> bool:
        return self.url != "memory"

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


_STORE_SCHEMES = ("valkey", "valkeys", "redis", "rediss")


def _bare_token(text: str) -> str:
    """Raises ValueError, which never shows the token."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("a token is missing, or has blanks or unusual characters in it")
    return text


def _origin(text: str) -> str:
    """Parse `https://page.example`, `*` or `null`. Raises ValueError."""
    if text in ("*", "null") or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", text):
        return text
    raise ValueError(f"invalid origin {text!r}; write it as browsers do, such as https://page.example, or *")


def _host_name(text: str) -> str:
    """Parse `mock.example`. Raises ValueError."""
    if re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        return text.lower()
    raise ValueError(f"invalid host name {text!r}; write it without scheme and port, such as mock.example")


def _limit(default: Any, unit: str, help_: str, past: str, *, range_: _Range = _COUNT) -> Any:
    """A limit of 0 that would let no request be answered is out of its range."""
    in_seconds = whole_seconds if isinstance(default, int) else seconds
    parse = {"bytes": byte_count, "s": in_seconds}.get(unit)
    return field(default=default, metadata={"unit": unit, "help": help_, "past": past, "parse": parse, "range": range_})


def _checks_names(inner: Iterable[str] = ()) -> Callable[[type[_T]], type[_T]]:
    """Let a dataclass say which name may be meant by an unknown one."""

    def checking(settings: type[_T]) -> type[_T]:
        init: Callable[..., None] = settings.__init__

        @wraps(init)
        def checked_init(self: _T, *args: Any, **given: Any) -> None:
            check_names(settings, given, inner)
            init(self, *args, **given)

        type.__setattr__(settings, "__init__", checked_init)
        return settings

    return checking


@_checks_names()
@dataclass(frozen=True, slots=True)
class Limits:
    """How much the server accepts, keeps and waits for: each limit, its unit, and what happens past it.

    `docs/limits.md` shows this table, and with it the settings `--max-body` and `--journal-bytes`.
    """

    max_connections: int = _limit(
        1_000,
        "",
        "Open connections.",
        "one that is idle, or whose client keeps the mock waiting, is closed, else 503",
        range_=_AT_LEAST_ONE,
    )
    max_target_bytes: int = _limit(
        65_536, "bytes", "The target of a request: path and query.", "414", range_=_AT_LEAST_ONE
    )
    max_header_bytes: int = _limit(
        65_536, "bytes", "The headers of a request, and its trailers.", "431", range_=_AT_LEAST_ONE
    )
    max_response_buffer: int = _limit(
        262_144, "bytes", "Unsent answer bytes, kept for each client.", "the answer waits"
    )
    max_bodies_bytes: int = _limit(
        256 * MEBIBYTE, "bytes", "The large bodies in progress together.", "the next one waits to be read"
    )
    max_nesting: int = _limit(
        256, "levels", "Lists and objects in one another in a JSON body.", "400", range_=_AT_LEAST_ONE
    )
    max_values: int = _limit(600_000, "", "Values in a JSON body.", "413", range_=_AT_LEAST_ONE)
    max_violations: int = _limit(100, "", "Violations that one 422 lists.", "the rest is counted", range_=_AT_LEAST_ONE)
    max_chain_steps: int = _limit(1_000, "", "Steps of a chain.", "413")
    max_files: int = _limit(10_000, "", "File inputs of a request; of a chain, times its steps.", "413")
    max_pool_machines: int = _limit(10_000, "", "Machines of a pool.", "413")
    max_spaces: int = _limit(
        20_000,
        "",
        "Namespaces and their organisations, together. Empty ones are removed when room is needed.",
        "503",
        range_=_AT_LEAST_TWO,
    )
    max_memory: int = _limit(
        4096 * MEBIBYTE,
        "bytes",
        "Memory of each process, on Linux; at most 80 % of that of the machine or container.",
        "503 for what would store more",
        range_=_AT_LEAST_ONE,
    )
    max_idempotency_keys: int = _limit(
        100_000,
        "",
        "Idempotency keys of an organisation in a namespace.",
        "the oldest are removed, up to 256 at once",
    )
    head_timeout: float = _limit(
        30.0, "s", "From the first byte of a request to the end of its headers.", "408", range_=_ABOVE_ZERO
    )
    body_timeout: float = _limit(30.0, "s", "Longest pause while a body arrives.", "408", range_=_ABOVE_ZERO)
    keep_alive_timeout: float = _limit(75.0, "s", "Between a request and the next.", "the connection is closed")
    shutdown_grace: int = _limit(
        2, "s", "Time for answers in progress after the signal to end.", "their connections are closed"
    )
    max_log_lines: int = _limit(
        10_000, "", "Log lines that wait to be written.", "further ones are dropped and counted"
    )
    send_timeout: float = _limit(
        60.0,
        "s",
        "How long a client may read nothing of what is kept for it.",
        "the connection is closed",
        range_=_ABOVE_ZERO,
    )

    def __post_init__(self) -> None:
        """Raises SettingError."""
        read_fields(self)


def _setting(
    default: Any,
    help_: str,
    *,
    parse: Callable[[str], Any] | None = None,
    metavar: str | None = None,
    range_: _Range | None = None,
    is_secret: bool = False,
) -> Any:
    """A secret is not in the `repr`."""
    return field(
        default=default,
        repr=not is_secret,
        metadata={"help": help_, "parse": parse, "metavar": metavar, "range": range_},
    )


@_checks_names([limit.name for limit in fields(Limits)])
@dataclass(frozen=True, slots=True)
class Settings:
    host: str = _setting("127.0.0.1", "The address to listen on.")
    port: int = _setting(4010, "The port to listen on; 0 takes a free one and prints it.", range_=_PORT)
    spec: Path | None = _setting(None, "An OpenAPI 3.1 document in place of the built-in one.", metavar="PATH")
    seed: int = _setting(0, "The same seed and the same requests give the same ids and data, also after a restart.")
    token: tuple[Token, ...] = _setting(
        (),
        "A bearer token to accept, and its organisation; repeatable. Without any, every token that begins with "
        "'test' is accepted, and its organisation follows from it.",
        parse=Token.from_text,
        metavar="TOKEN[=ORG]",
    )
    time_scale: float = _setting(
        1.0, "Speed of runs relative to real time; at 100, a minute takes 0.6 s.", range_=_TIME_SCALE
    )
    progression: Progression = _setting(
        "time",
        "How runs change their status. time: as time passes; immediate: a run has ended when it is first read; "
        "manual: by an update only.",
    )
    world: Path | None = _setting(
        None, "A YAML file of machines, pools and workflows, merged over the built-in world.", metavar="FILE"
    )
    faults: Path | None = _setting(
        None,
        "A YAML or JSON list of faults, as POST /__admin/faults takes them; each namespace begins with them.",
        metavar="FILE",
    )
    known_only: bool = _setting(False, "Refuse unknown workflows, machines and pools with 404.")
    coercion: Coercion = _setting(
        "strict",
        "How JSON bodies are read. strict: by the letter of the spec, so that a client's mistakes show; "
        "lax: as leniently, and routed, as the real server does.",
    )
    rate_limit: RateLimit | None = _setting(
        None,
        "Requests per second (N or N/s) or minute (N/m) for each organisation; above it, 429.",
        parse=RateLimit.from_text,
        metavar="N[/s|/m]",
    )
    cors_origin: tuple[str, ...] = _setting(
        (),
        "An origin whose web pages may use the mock, beside those of localhost, 127.0.0.1 and [::1]; repeatable, * for "
        "all.",
        parse=_origin,
        metavar="ORIGIN",
    )
    allowed_host: tuple[str, ...] = _setting(
        (),
        "A name by which web pages may reach the mock, beside localhost and addresses; repeatable.",
        parse=_host_name,
        metavar="NAME",
    )
    max_body: int = _setting(
        32 * MEBIBYTE,
        "The largest body in bytes, or as 10MiB; past it 413.",
        parse=byte_count,
        metavar="BYTES",
        range_=_AT_LEAST_ONE,
    )
    self_check: bool = _setting(False, "Validate every answer of up to 8 MiB against the spec before it is sent.")
    admin: bool = _setting(True, "The control API and its page under /__admin; --no-admin turns them off.")
    admin_token: str | None = _setting(
        None,
        "A token that the control API requires, from anywhere. Without it, it is for callers on this machine only.",
        parse=_bare_token,
        metavar="TOKEN",
        is_secret=True,
    )
    journal_bytes: int = _setting(
        32 * MEBIBYTE,
        "How much the journal of requests may hold; 0 keeps none.",
        parse=byte_count,
        metavar="BYTES",
        range_=_COUNT,
    )
    state: Path | None = _setting(
        None,
        "Read the state of all namespaces from this file at the start, and write it there at the end.",
        metavar="FILE",
    )
    store: StoreURL = _setting(
        StoreURL("memory"),
        "Where the state is kept: memory, for this process alone; or in a Valkey or Redis server, which any number of "
        "servers share: valkey://HOST:PORT/0?prefix=NAME: (default prefix: mockserver:)",
        parse=StoreURL.from_text,
        metavar="memory|URL",
    )
    workers: int = _setting(
        1, "How many processes serve; more than one need a --store that they share.", range_=_WORKERS
    )
    warnings: bool = _setting(
        True, "Say in the header Mock-Warning why a request was refused, and what is probably a mistake."
    )
    log_level: LogLevel = _setting("info", "How much is logged.")
    log_format: LogFormat = _setting("text", "Log lines as text or as JSON.")
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Read text as the command line does. Raises SettingError, which is a StartError and a ValueError."""
        if isinstance(self.limits, Mapping):
            object.__setattr__(self, "limits", Limits(**self.limits))
        read_fields(self)
        if self.workers > 1 and not self.store.is_shared:
            raise SettingError(
                "--workers", "several processes need a store that they share: give --store valkey://HOST:PORT"
            )
        if len({each.token for each in self.token}) < len(set(self.token)):
            raise SettingError("--token", "a token is given for two organisations")
        if self.state is not None and self.store.is_shared:
            raise SettingError("--state", f"--store {self.store} keeps the state itself: leave out --state")


def environment_variable(name: str) -> str:
    return f"MOCKSERVER_{name.upper()}"


SETTINGS = tuple(setting for setting in fields(Settings) if setting.name != "limits")
LIMITS = fields(Limits)
