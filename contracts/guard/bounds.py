"""Every bound of the conversation with a target: a hostile one costs no more time and memory than these allow."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """docs/contracts.md has the same table; a test compares them."""

    connect_s: float = 5.0
    """For the connection, and again for a tunnel and the TLS handshake."""
    exchange_s: float = 30.0
    """From the first byte of a request to the last of its answer, however steadily that drips."""
    head_bytes: int = 256 * 1024
    """Status lines and header lines of an answer, those of the interim answers (1xx) before it included."""
    header_lines: int = 256
    interim_answers: int = 32
    chunk_line_bytes: int = 4096
    """The size of a chunk with its extensions."""
    body_bytes: int = 64 * MEBIBYTE
    """Of one answer, as it comes and when it is unpacked."""
    json_values: int = 2_000_000
    """Of one answer: a few bytes of JSON can become many objects."""
    exchanges: int = 20_000
    """Kept for the reports."""
    recorded_bytes: int = 256 * MEBIBYTE
    """Headers and bodies of the exchanges kept for the reports."""
    throttled: int = 1000
    """Answers of 429 kept to be judged at the end."""
    throttled_bytes: int = 64 * 1024
    """Of one of these; a larger one is not kept."""
    skipped: int = 1000
    """Different reasons why a request was not sent."""
    wait_s: float = 60.0
    """The longest Retry-After that is waited for, where the check has so much time left."""
    repeats: int = 5
    """How often a request is repeated that is put off with 429."""
    clean_up_s: float = 30.0
    """For cleaning up after the time of the check; with a rate, as much more as it needs."""
    count_left_s: float = 10.0
    """For counting what is left where nothing is cleaned up."""


BOUNDS = Bounds()
