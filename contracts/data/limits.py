"""Numbers at which servers are known to behave differently: the limits of the contract, and usual sizes and widths.

A fault at a limit shows at the limit, or one below or above it. So the rules do not choose numbers themselves: they
take the numbers near all limits of a range from here.

- `sizes` for requests that cost little: below, at and above every usual limit;
- `above` for requests that cost more: one above every usual limit;
- `few` for requests that cost much, or that vary something else too: one above every power of ten.
"""

from typing import Final

MIN_COUNT: Final = 1
MAX_COUNT: Final = 1000
"""Limits of `count` in a bulk create."""
MIN_LIMIT: Final = 1
MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
"""Limits and default of `limit`, the number of items of a page."""
MAX_KEY_LENGTH: Final = 255
"""The length of an Idempotency-Key. The limits of texts, depths and numbers are in `contracts.openapi.schemas`."""

POWERS_OF_TWO: Final[tuple[int, ...]] = tuple(2**exponent for exponent in range(25))
"""Sizes of buffers, columns and counters, up to 16 MiB."""
ROUND_NUMBERS: Final = (*(digit * 10**zeros for zeros in range(8) for digit in (1, 2, 5)), 25, 250, 2500)
"""Sizes of pages and other limits that a person chose."""
USUAL: Final = tuple(sorted({*POWERS_OF_TWO, *ROUND_NUMBERS}))
WIDTHS: Final = tuple(2**bits for bits in (31, 32, 53, 63, 64))
"""The limits of integer types, signed and unsigned, and the limit above which a double does not hold every integer."""

MANY_UPDATES: Final = 2**8 + 1
"""Updates of one run: a counter of one byte, and a history of 100 or 256 versions, are exceeded."""
MANY_RETRIES: Final = 2**6 + 1
"""Retries of one run, which cost two requests each."""
LONG_KEY: Final = 2**10 + 1
"""The length of an Idempotency-Key that a server may refuse, but not cut or ignore."""
LONG_WORD: Final = 2**8 + 1
"""The length of a text to search for: columns and parameters are cut at 32, 64, 128 or 255 characters."""
LONG_QUERY: Final = 2**12 + 1
"""The length of a parameter of a query: most servers read a request line of up to 8 KiB, so they read such a query."""
ABOVE_CHUNK: Final = max(number for number in ROUND_NUMBERS if number < MAX_COUNT) + 1
"""One run more than the largest usual chunk of a server that inserts rows in chunks. If the last chunk of one row is
lost or counted wrongly, a larger count does not show it.
"""
LARGE_CREATE: Final = 2**9 + 1
"""The count of a bulk create that a server carries out in several chunks, which usually have 100, 256 or 500 runs.
Only a few cases create MAX_COUNT runs, which cost twice as much.
"""
BUFFER: Final = 2**16
"""The largest buffer in which answers are usually compressed and sent."""
SQL_PARAMETERS: Final = 2**16 - 1
"""The most parameters of one statement in PostgreSQL: a server that inserts many rows at once must split them."""
MANY_KEYS: Final = 2**10 + 1
"""More idempotency keys than a usual cache holds: caches have 100, 256, 1000 or 1024 entries."""


def around(*limits: int) -> tuple[int, ...]:
    """Return the numbers one below, at and one above each limit, in ascending order."""
    return tuple(sorted({limit + step for limit in limits for step in (-1, 0, 1)}))


def sizes(low: int, high: int) -> tuple[int, ...]:
    """Return the numbers from `low` to `high` that are below, at or above a usual limit, with both ends."""
    return tuple(number for number in around(low, *USUAL, high) if low <= number <= high)


def above(low: int, high: int) -> tuple[int, ...]:
    """Return the number after each usual limit in the range, and `high`."""
    return (*(limit + 1 for limit in USUAL if low <= limit < high - 1), high)


def largest_power_of_two(high: int) -> int:
    """Return the largest power of two up to `high`. It is a multiple of all smaller ones, so where values are handled
    in chunks of such a size, the last chunk is full.
    """
    return max(power for power in POWERS_OF_TWO if power <= high)


def few(low: int, high: int) -> tuple[int, ...]:
    """Return `low`, the number after each power of ten between `low` and `high`, and `high`."""
    return tuple(sorted({low, *(10**zeros + 1 for zeros in range(9) if low < 10**zeros + 1 < high), high}))
