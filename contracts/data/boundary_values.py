"""Fixed boundary values and unusual values: counts, texts, numbers, depths, sizes, keys, files.

Over 500 lines: tables of values, in one place so that every scenario tries the same ones.
"""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from contracts.openapi.schemas import MAX_DEPTH, MAX_DIGITS, MAX_TEXT

Json = Any
Case = dict[str, Any]

# Counts

SMALL_COUNTS: Final = (*range(1, 13), 15, 16, 17, 20, 25, 31, 32, 33, 49, 50, 51, 63, 64, 65, 99)
LARGE_COUNTS: Final = (
    *(100, 101, 127, 128, 129, 199, 200, 201, 249, 250, 251, 255, 256, 257, 300, 301),
    *(499, 500, 501, 511, 512, 513, 750, 900, 998, 999, 1000),
)
COUNTS: Final = SMALL_COUNTS + LARGE_COUNTS
REVEALING_COUNTS: Final = (1, 2, 10, 101, 501, 999, 1000)
WRONG_COUNTS: Final[tuple[Json, ...]] = (
    0,
    -1,
    1001,
    1002,
    1024,
    1100,
    1500,
    2000,
    5000,
    9999,
    10_000,
    65_536,
    65_537,
    99_999,
    -2,
    -5,
    -10,
    -100,
    -999,
    -1000,
    -1001,
    -(2**31),
    -(2**31) + 1,
    -(2**32) + 1,
    -(2**63),
    -(2**64) + 1,
    2**31 - 1,
    2**31,
    2**31 + 1,
    2**32 - 1,
    2**32,
    2**32 + 1,
    2**32 + 5,
    2**32 + 1000,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    2**64 + 1,
    2**64 + 5,
    10**18,
    10**30,
    10**299,
    1.5,
    0.5,
    0.999,
    1.0000001,
    2.5,
    3.7,
    99.9,
    100.5,
    999.5,
    999.999,
    1000.5,
    1001.0,
    0.0,
    -0.0,
    -1.0,
    -1.5,
    1e10,
    1e300,
    "",
    " ",
    "x",
    "abc",
    "0",
    "-1",
    "1001",
    "1.5",
    "one",
    "five",
    "null",
    "None",
    "true",
    "1,000",
    "5 runs",
    "0x10",
    "١",
    "1e3",
    "5",
    "1",
    5.0,
    1.0,
    1000.0,
    True,
    False,
    None,
    [],
    [1],
    [5],
    {},
    {"count": 1},
    {"value": 3},
)

# Values of a type


def texts() -> Iterator[str]:
    """Yield texts that are unusual in some way, roughly the shortest first."""
    yield from (
        "",
        " ",
        "a",
        "  padded  ",
        "\t",
        "\n",
        "line\r\nline\n",
        "\r",
        "\x00",
        "a\x00b",
        "\x00\x00",
        "\x01\x02\x1f",
        "\x7f",
        "\x80\x9f",
        "é",
        "e\u0301",
        "A\u030a",
        "\u1e9b\u0323",
        "ﬁ",
        "Ⅷ",
        "İ",
        "ı",
        "ß",
        "ẞ",
        "Σς",
        "ĳ",
        "Ǆ",
        "日本語",
        "한국어",
        "\u1112\u1161\u11ab",
        "العربية",
        "עברית",
        "ไทย",
        "हिन्दी",
        "😀",
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "👍🏽",
        "𝔘𝔫𝔦",
        "\U0010ffff",
        "\uffff",
        "\ufffd",
        "\ufeff",
        "\u200b",
        "\u200d",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u00a0",
        "\u00ad",
        "\ue000",
        "null",
        "None",
        "undefined",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "007",
        "123",
        "1.0",
        "1.5",
        "1e5",
        "0x1F",
        "NaN",
        "Infinity",
        "-",
        "2024-01-31",
        "2024-01-31T12:00:00Z",
        "12:00",
        "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "3C90C3CC-0D44-4B50-8888-8DD25736052A",
        "[]",
        "{}",
        '{"a": 1}',
        '"',
        "'",
        "\\",
        "\\n",
        "\\u0041",
        "/",
        "//",
        "..",
        "../../etc/passwd",
        "C:\\Temp\\x",
        "<b>&amp;</b>",
        "<script>alert(1)</script>",
        "&lt;",
        "%41%00",
        "%s%n",
        "a+b",
        "a&b=c",
        "a;b",
        "#",
        "?",
        "*",
        "${x}",
        "{{x}}",
        "{x}",
        "$ref",
        "`x`",
        "'; DROP TABLE runs; --",
        "=1+1",
        "@x",
        "a,b",
        "a\tb",
        "a  b",
        "a|b",
        "~",
        "^",
        "mailto:a@b.example",
        "https://example.com/?q=1",
        "data:,x",
        "password",
        "sensitive",
        "alias",
        "Basic dGVzdA==",
        "dGVzdA==",
    )
    for length in (15, 16, 17, 31, 32, 33, 63, 64, 65, 99, 100, 101, 127, 128, 129, 255, 256, 257):
        yield "x" * length
    for length in (499, 500, 501, 512, 999, 1000, 1001, 1023, 1024, 1025, 2048, 4095, 4096, 4097, 8192, 10_000):
        yield "y" * length
    for length in (16_384, 32_767, 32_768, 50_000, 65_535, 65_536, 65_537, 99_999, MAX_TEXT):
        yield "z" * length
    yield "é" * 300
    yield "😀" * 257
    yield "日" * 5000
    yield "😀" * MAX_TEXT
    yield "".join(chr(c) for c in range(1, 256) if chr(c) not in "«»")


REVEALING_TEXTS: Final = (
    *(
        "",
        "\x00",
        "a\x00b",
        "line\r\nline",
        "e\u0301",
        "é",
        "日本語",
        "😀",
        "👨‍👩‍👧‍👦",
        "\U0010ffff",
        "\u2028",
        "\u202e",
        "ﬁ",
    ),
    *('"', "\\", "'; --", "<b>", "%41", "{x}", "null", "5", "  padded  ", "\ufeff", "\x7f"),
    *("x" * length for length in (64, 65, 100, 101, 128, 129, 255, 256, 257, 1000, 1024, 1025, 4096, 10_000, 65_536)),
    *("é" * 256, "😀" * 300, "x" * 99_999, "😀" * MAX_TEXT),
)
"""For text fields: texts that a database column, a header, a pattern or a page may not handle."""


INTEGERS: Final = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    32_767,
    32_768,
    65_535,
    65_536,
    2**31 - 1,
    2**31,
    -(2**31),
    -(2**31) - 1,
    2**32 - 1,
    2**32,
    2**53 - 1,
    2**53,
    2**53 + 1,
    -(2**53) - 1,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    2**64 - 1,
    2**64,
    2**64 + 1,
    10**19,
    10**21,
    2**128 + 1,
    10**40 + 7,
    10**100 + 1,
    10 ** (MAX_DIGITS - 1) + 7,
    -(10 ** (MAX_DIGITS - 1)) - 7,
    10**MAX_DIGITS - 1,
)
DOUBLES: Final = (
    0.0,
    1.0,
    -1.0,
    5.0,
    0.5,
    1.5,
    -1.5,
    0.1,
    0.1 + 0.2,
    1 / 3,
    100.0,
    1e3,
    1e15,
    1e16,
    1e17,
    1e21,
    1e22,
    1e23,
    -1e22,
    1e100,
    1e-5,
    1e-7,
    1e-10,
    3.141592653589793,
    123456789.12345679,
    9007199254740993.0,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    2.2250738585072014e-308,
    5e-324,
    4.35,
    2.675,
    0.07,
    16777217.0,
)
DEPTHS: Final = (
    2,
    3,
    4,
    5,
    6,
    8,
    9,
    10,
    11,
    15,
    16,
    17,
    20,
    21,
    24,
    25,
    30,
    31,
    32,
    33,
    40,
    48,
    49,
    50,
    51,
    55,
    60,
    61,
    62,
)
KEY_COUNTS: Final = (
    10,
    20,
    21,
    32,
    33,
    50,
    51,
    64,
    65,
    99,
    100,
    101,
    127,
    128,
    129,
    255,
    256,
    257,
    500,
    512,
    1000,
    1001,
    2000,
    5000,
    9000,
)
ODD_KEYS: Final = (
    "",
    " ",
    "a b",
    " a",
    "a ",
    "a.b",
    "a/b",
    "a[0]",
    "a[b]",
    "$ref",
    "$set",
    "$where",
    "__proto__",
    "constructor",
    "prototype",
    "__class__",
    "toString",
    "é",
    "e\u0301",
    "😀",
    "日本",
    "\x00",
    "a\x00",
    "\n",
    '"',
    "\\",
    "'",
    "A",
    "aA",
    "id",
    "ID",
    "status",
    "error",
    "count",
    "session_id",
    "workflow_id",
    "machine_id",
    "pool_ids",
    "input_values",
    "file_inputs",
    "created_at",
    "output_data",
    "type",
    "self",
    "0",
    "1",
    "-1",
    "null",
    "true",
    "None",
    "camelCase",
    "snake_case",
    "kebab-case",
    "UPPER",
    "_private",
    "@type",
    "#",
    "%41",
    "<b>",
    "x" * 64,
    "x" * 65,
    "x" * 255,
    "x" * 256,
    "x" * 1000,
)


def nested(depth: int, *, kind: str = "object") -> Json:
    """Return a value of that depth; depth 1 is an empty container."""
    value: Json = {} if kind == "object" else []
    for level in range(depth - 1):
        if kind == "object" or (kind == "mixed" and level % 2):
            value = {"k": value}
        else:
            value = [value]
    return value


def values() -> Iterator[Json]:
    """Yield JSON values that are unusual in some way."""
    yield from (
        True,
        False,
        None,
        {},
        [],
        [[]],
        [{}],
        {"a": {}},
        {"a": []},
        {"a": None},
        [None],
        [None, None],
        [True, False],
    )
    yield from (
        [1, 1, 1],
        ["b", "a"],
        [1, "1", 1.0, True, None],
        [0, False, "", None, [], {}],
        {"b": 1, "a": 2},
        [[1], [2, [3]]],
    )
    yield from ({"a": 1, "A": 2}, {"a": {"a": {"a": 1}}}, [{"a": 1}, {"a": 1}], {"x": [{"y": [{"z": None}]}]})
    yield from INTEGERS
    yield from DOUBLES
    yield from texts()
    for depth in DEPTHS:
        yield nested(depth)
        yield nested(depth, kind="list")
    yield nested(MAX_DEPTH - 2, kind="mixed")
    for size in KEY_COUNTS:
        yield {f"k{index}": index for index in range(size)}
    for size in (10, 100, 101, 255, 256, 257, 1000, 1001, 5000, 9000):
        yield list(range(size))
    yield {key: index for index, key in enumerate(ODD_KEYS)}


def input_boundary_values() -> Iterator[dict[str, Json]]:
    """Yield `input_values`, each unusual in one way."""
    for value in values():
        yield {"value": value}
    for key in ODD_KEYS:
        yield {key: "x"}
    yield {"first": 1, "last": None}
    for size in KEY_COUNTS:
        yield {f"key{index}": f"v{index}" for index in range(size)}


def in_turn(kinds: Iterable[Iterator[Case]]) -> Iterator[Case]:
    """Yield from the iterators in round-robin order until all are exhausted."""
    left = list(kinds)
    while left:
        for kind in list(left):
            try:
                yield next(kind)
            except StopIteration:
                left.remove(kind)


def packed(items: Iterable[Json], size: int, *, limit: int = 400_000) -> Iterator[dict[str, Json]]:
    """Yield objects of up to `size` values each, for operations where one request per value would be too many.

    `limit` bounds the size of an object of several values, estimated as 4 bytes per character of their repr.
    """
    pack: dict[str, Json] = {}
    weight = 0
    for index, item in enumerate(items):
        cost = len(repr(item)) * 4
        if pack and (len(pack) == size or weight + cost > limit):
            yield pack
            pack, weight = {}, 0
        pack[f"v{index}"] = item
        weight += cost
    if pack:
        yield pack


ODD_IDS: Final = (
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    *("00000000-0000-4000-8000-000000000000", "3c90c3cc-0d44-1b50-8888-8dd25736052a"),
)
"""Valid but unusual UUIDs: nil and max (RFC 9562), a version 4 UUID that is otherwise zero, a version 1 UUID."""

# Files


def content(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def file(name: str = "a.txt", raw: bytes = b"hello", **more: Json) -> dict[str, Json]:
    return {"filename": name, "content": content(raw), **more}


FILE_NAMES: Final = (
    "a",
    "a.txt",
    "A.TXT",
    ".hidden",
    "archive.tar.gz",
    "no extension",
    "é.pdf",
    "e\u0301.pdf",
    "名前.csv",
    "emoji 😀.txt",
    "a+b&c=d.txt",
    "#1.txt",
    "100%.txt",
    "semi;colon.txt",
    "it's.txt",
    "comma,.txt",
    "{x}.txt",
    "[1].txt",
    "~.txt",
    "a" * 100 + ".txt",
    "b" * 251 + ".txt",
    "x.exe",
    "x.html",
    "x.json",
    "trailing.",
    "two  blanks.txt",
    "%41.txt",
    "@x.png",
    "=x.csv",
    "null",
    "0",
)


def file_contents() -> Iterator[bytes]:
    yield from (
        b"",
        b"\x00",
        b"a",
        b"ab",
        b"abc",
        b"abcd",
        b"\r\n",
        b"a\r\nb\n",
        b"\n",
        b"\xff\xfe",
        b"\xef\xbb\xbfbom",
        b"\x00" * 16,
        b'{"a": 1}',
        b"%PDF-1.4\n",
        b" padded \n",
        b"YWJj",  # itself base64: shows whether content is encoded or decoded twice
        b"PK\x03\x04 no archive",
        b"\x89PNG\r\n\x1a\n",
    )
    for text in (b"", b"unpacked", b"unpacked " * 1000):
        yield gzip.compress(text, mtime=0)
        yield zlib.compress(text)
    yield "wide".encode("utf-16")
    yield bytes(range(256))
    yield "é日😀".encode()
    yield "é".encode("latin-1")
    for size in (
        255,
        256,
        257,
        1000,
        1023,
        1024,
        1025,
        4096,
        8191,
        8192,
        8193,
        65_535,
        65_536,
        65_537,
        100_000,
        262_144,
    ):
        yield bytes(index * 7 % 251 for index in range(size))


def file_boundary_values() -> Iterator[list[dict[str, Json]]]:
    """Yield `file_inputs`, each unusual in one way."""
    for raw in file_contents():
        yield [file(raw=raw)]
    for name in FILE_NAMES:
        yield [file(name)]
    for path in (None, "C:\\Temp\\a.txt", "/tmp/a.txt", "é/😀.txt", "%TEMP%\\a.txt", "a b", "x" * 200):
        yield [file(target_path=path)]
    for flag in (True, False):
        yield [file(cleanup_imports_after_run=flag)]
        yield [file(cleanup_imports_after_run=flag, target_path="C:\\x\\a.txt")]
    yield [file("a.txt"), file("a.txt")]
    yield [file("a.txt", b"one"), file("a.txt", b"two")]
    yield [file("a.txt", b"same"), file("b.txt", b"same")]
    yield [file("a.txt", cleanup_imports_after_run=True), file("b.txt"), file("c.txt", target_path="C:\\c")]
    for count in (2, 3, 4, 5, 8, 10, 11, 16, 17, 20, 21, 32, 50, 51, 64, 100, 101):
        yield [file(f"{index}.txt", str(index).encode()) for index in range(count)]
