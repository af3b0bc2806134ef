"""Every setting of the server, in one frozen table: its flag, its environment variable, its default and its meaning."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from mockserver.errors import StartError

Coercion = Literal["strict", "lax"]
Progression = Literal["time", "immediate", "manual"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`limit` requests in each window of `window_s` seconds, an organisation."""

    limit: int
    window_s: int

    @classmethod
    def from_text(cls, text: str) -> RateLimit:
        """`10/s`, `600/m`. Raises ValueError."""
        match = re.fullmatch(r"([1-9]\d{0,8})/(s|m)", text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no rate; write N/s or N/m, such as 10/s")
        return cls(int(match[1]), 1 if match[2] == "s" else 60)


@dataclass(frozen=True, slots=True)
class Token:
    organisation: str | None
    token: str = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> Token:
        """`TOKEN` or `TOKEN=ORG`. Raises ValueError, which never shows the token."""
        token, _, organisation = text.partition("=")
        if not token or token != token.strip():
            raise ValueError("a token is missing, or has space around it; write TOKEN or TOKEN=ORG")
        return cls(organisation or None, token)


def _setting(default: Any, help_: str, *, parse: Callable[[str], Any] | None = None, metavar: str | None = None) -> Any:
    return field(default=default, metadata={"help": help_, "parse": parse, "metavar": metavar})


@dataclass(frozen=True, slots=True)
class Settings:
    host: str = _setting("127.0.0.1", "The address to listen on.")
    port: int = _setting(4010, "The port to listen on; 0 takes a free one and prints it.")
    spec: Path | None = _setting(None, "An OpenAPI 3.1 document in place of the built-in one.", metavar="PATH")
    seed: int = _setting(0, "The same seed and the same requests give the same ids and data, also after a restart.")
    token: tuple[Token, ...] = _setting(
        (),
        "A bearer token to let in, and its organisation; repeatable. Without any, every token that begins with "
        "'test' is let in, and its organisation follows from it.",
        parse=Token.from_text,
        metavar="TOKEN[=ORG]",
    )
    time_scale: float = _setting(1.0, "How many times faster than real time runs live: at 100 a minute takes 0.6 s.")
    progression: Progression = _setting(
        "time",
        "How runs move. time: as time passes; immediate: a run has ended when it is first read; "
        "manual: by an update only.",
    )
    world: Path | None = _setting(
        None, "A YAML file of machines, pools and workflows, laid over the built-in world.", metavar="FILE"
    )
    known_only: bool = _setting(False, "Refuse unknown workflows, machines and pools with 404.")
    coercion: Coercion = _setting(
        "strict",
        "How JSON bodies are read. strict: by the letter of the spec, so that a client's mistakes show; "
        "lax: as leniently, and routed, as the real server does.",
    )
    rate_limit: RateLimit | None = _setting(
        None,
        "So many requests per second or minute for each organisation; past it 429.",
        parse=RateLimit.from_text,
        metavar="N/s|N/m",
    )
    cors_origin: tuple[str, ...] = _setting(
        (), "A browser origin to let in; repeatable. Without any, all are.", parse=str, metavar="ORIGIN"
    )
    max_body: int = _setting(32 * MEBIBYTE, "The largest body in bytes; past it 413.", metavar="BYTES")
    self_check: bool = _setting(False, "Validate every answer against the spec before it is sent.")
    log_level: LogLevel = _setting("info", "How much is logged.")
    log_format: LogFormat = _setting("text", "Log lines as text or as JSON.")

    def __post_init__(self) -> None:
        """Raises StartError for a value that no server can run with."""
        if not 0 <= self.port <= 65535:
            raise StartError(f"--port {self.port}: should be from 0 to 65535")
        if not 0 < self.time_scale <= 1e6:
            raise StartError(f"--time-scale {self.time_scale:g}: should be above 0, and 1000000 at most")
        if self.max_body < 1:
            raise StartError(f"--max-body {self.max_body}: should be 1 or more")


def environment_variable(name: str) -> str:
    return f"MOCKSERVER_{name.upper()}"


SETTINGS = tuple(fields(Settings))
