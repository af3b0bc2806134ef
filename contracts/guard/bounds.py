"""Every limit on the exchange with a target: a hostile target cannot cost more time or memory than these allow."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """docs/contracts.md has a table of the same values; a test compares them."""

    connect_s: float = 5.0
    """For the TCP connection, for the proxy tunnel and for the TLS handshake: each may take this long."""
    gone_s: float = 10.0
    """How long requests wait for a target that answered before and now answers nothing. After that, the check ends."""
    silent_s: float = 20.0
    """How long nothing must have been answered at the end of the time for the check to say that the target is gone."""
    exchange_s: float = 30.0
    """For connecting (if needed), sending the request and reading the whole answer, however slowly its bytes arrive."""
    head_bytes: int = 256 * 1024
    """Status lines and header lines of an answer, including those of interim answers (1xx) before it."""
    header_lines: int = 256
    interim_answers: int = 32
    chunk_line_bytes: int = 4096
    """The line with the size and the extensions of a chunk."""
    body_bytes: int = 64 * MEBIBYTE
    """The size of one answer, both as received and after content decoding."""
    json_values: int = 4_000_000
    """The values in the JSON of one answer: a few bytes of JSON can become many Python objects."""
    exchanges: int = 20_000
    """Number of exchanges kept for the reports."""
    recorded_bytes: int = 256 * MEBIBYTE
    """Headers and bodies of the exchanges kept for the reports."""
    throttled: int = 1000
    """Exchanges answered with 429 that are kept, to be judged at the end."""
    throttled_bytes: int = 64 * 1024
    """Size of one of these exchanges; a larger one is not kept."""
    skipped: int = 1000
    """Number of distinct reasons for not sending a request that are kept for the report."""
    wait_s: float = 60.0
    """The longest Retry-After that the guard waits for; shorter if the check has less time left."""
    repeats: int = 5
    """Maximum number of retries of a request after 429."""
    clean_up_s: float = 30.0
    """For cleaning up after the check's time is over. A rate limit extends it by the time that the requests need."""
    count_left_s: float = 10.0
    """For counting the runs that are left, if the check does not clean up."""


BOUNDS = Bounds()
