"""Texts for the formats of the contract: unusual, differently written and broken UUIDs, date-times and base64."""

from typing import Final

SAMPLE_ID: Final = "3c90c3cc-0d44-4b50-8888-8dd25736052a"

UNUSUAL_IDS: Final = (
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    *("00000000-0000-4000-8000-000000000000", "3c90c3cc-0d44-1b50-8888-8dd25736052a"),
)
"""Valid: nil and max (RFC 9562), a version 4 UUID that is otherwise zero, a version 1 UUID."""


def other_forms_of(identity: str) -> tuple[str, ...]:
    """Return other ways to write a UUID, which a server may accept."""
    digits = identity.replace("-", "")
    return identity.upper(), digits, f"{{{identity}}}", f"urn:uuid:{identity}", digits.upper()


OTHER_FORMS_OF_IDS: Final = other_forms_of(SAMPLE_ID)
BROKEN_IDS: Final = (
    *(SAMPLE_ID[:-1], SAMPLE_ID[:23], SAMPLE_ID + "0", SAMPLE_ID[:-1] + "g", "zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz"),
    *("not-a-uuid", " ", SAMPLE_ID + "\n", SAMPLE_ID + " ", "\t" + SAMPLE_ID),
)

FAR_MOMENTS: Final = ("1970-01-01T00:00:00Z", "2040-01-01T00:00:00Z", "2110-01-01T00:00:00Z", "2300-01-01T00:00:00Z")
"""The zero of most clocks, and what they do not hold in 32 bits of seconds, with a sign and without, and in 64 bits of
nanoseconds.
"""

UNUSUAL_MOMENTS: Final = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00"),
    *("2024-02-30T00:00:00Z", "2016-12-31T23:59:60Z", "2024-01-01", "2024-01-01T00:00:00"),
)
"""The first and last moments in several time zones, a day and a second that few calendars have, and incomplete ones."""
NOT_MOMENTS: Final = ("24:00", "1e400", "9" * 20)

UNUSUAL_BASE64: Final = (
    *("!", "a", "====", "YQ", "YQ=", "Y Q==", "YQ==\n", "YQ==YQ==", "é", "😀", "-_-_", "\x00", "x" * 100_003),
    "data:text/plain;base64,YQ==",
)
"""Contents of files that are not base64, or that not every decoder reads."""
