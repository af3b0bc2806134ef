"""The target of a check: its URL, tokens and known ids, and the budget of the check."""

import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

Profile = Literal["full", "live"]
DEFAULT_MAX_TIME_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Budget:
    """`rate` is in requests per second; None means no limit."""

    max_runs: int = 100_000
    max_requests: int | None = None
    rate: float | None = None

    @classmethod
    def of(cls, profile: Profile) -> Self:
        return cls(max_runs=25, max_requests=500, rate=5.0) if profile == "live" else cls()


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is the base URL, to which `/v1/...` is appended, without a trailing slash."""

    url: str
    token: str = field(repr=False)
    second_token: str | None = field(default=None, repr=False)
    workflow_id: str | None = None
    machine_id: str | None = None
    pool_id: str | None = None
    profile: Profile = "full"
    budget: Budget = field(default_factory=Budget)
    allow_writes: bool | None = None
    """None: only on a loopback address."""
    base_request: dict[str, Any] | None = None
    varied_fields: tuple[str, ...] = ()
    clean_up: bool = False
    leave_runs: bool = False
    ca_bundle: str | None = None
    max_time_s: float = DEFAULT_MAX_TIME_S
    seed: int = 0
    salt: str = field(default_factory=lambda: secrets.token_hex(4))
    """Makes the ids, markers and keys differ from those of an earlier check with the same seed."""
    shard: tuple[int, int] = (1, 1)
    """(N, M): this check tries part N of M parts of the cases. N counts from 1."""
    accepted: frozenset[str] = frozenset()
    """The fingerprints of the findings that a baseline accepts."""

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.url)

    @property
    def is_shared(self) -> bool:
        """Whether others may use the target too: then an answer alone does not prove that a run is the check's."""
        return self.profile == "live" or not self.is_loopback

    @property
    def may_write(self) -> bool:
        return self.is_loopback if self.allow_writes is None else self.allow_writes

    @property
    def named_workflow(self) -> str | None:
        return self.workflow_id or (self.base_request or {}).get("workflow_id")

    @property
    def needs_named_workflow(self) -> bool:
        """Whether all runs must be of a workflow that the user has named: on a deployment, runs cost money."""
        return self.profile == "live" and self.may_write and not self.is_loopback

    @property
    def origin(self) -> str:
        """Scheme, host and port. A token is sent only to the origin that it was used with."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"{parts.scheme}://{parts.hostname}:{port}"


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
