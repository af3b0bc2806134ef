"""Requests to try: fixed ladders of boundaries and odd values, all pairs of features, and hypothesis strategies beyond.

Everything here is data with placeholders («workflow», «session», «secret»): a talk fills them in, so the same seed
gives the same cases whatever ids the target has.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts.shapes import MAX_DEPTH, MAX_DIGITS, MAX_TEXT

Json = Any
Case = dict[str, Any]

# Counts

SMALL_COUNTS: Final = (*range(1, 13), 15, 16, 17, 20, 25, 31, 32, 33, 49, 50, 51, 63, 64, 65, 99)
LARGE_COUNTS: Final = (
    *(100, 101, 127, 128, 129, 199, 200, 201, 249, 250, 251, 255, 256, 257, 300, 301),
    *(499, 500, 501, 511, 512, 513, 750, 900, 998, 999, 1000),
)
COUNTS: Final = SMALL_COUNTS + LARGE_COUNTS
TELLING_COUNTS: Final = (1, 2, 10, 101, 501, 999, 1000)
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
    """Texts that are unusual in some way, shortest first."""
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


TELLING_TEXTS: Final = (
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
"""For fields that are text: what a column, a header, a pattern or a page may not bear."""


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
    """A value of that depth: 1 is an empty container."""
    value: Json = {} if kind == "object" else []
    for level in range(depth - 1):
        if kind == "object" or (kind == "mixed" and level % 2):
            value = {"k": value}
        else:
            value = [value]
    return value


def values() -> Iterator[Json]:
    """JSON values that are unusual in some way."""
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


def input_ladder() -> Iterator[dict[str, Json]]:
    """`input_values`, each unusual in one way."""
    for value in values():
        yield {"value": value}
    for key in ODD_KEYS:
        yield {key: "x"}
    yield {"first": 1, "last": None}
    for size in KEY_COUNTS:
        yield {f"key{index}": f"v{index}" for index in range(size)}


def in_turn(kinds: Iterable[Iterator[Case]]) -> Iterator[Case]:
    """One of each kind after the other, until all are spent: what is first in each is tried first."""
    left = list(kinds)
    while left:
        for kind in list(left):
            try:
                yield next(kind)
            except StopIteration:
                left.remove(kind)


def packed(items: Iterable[Json], size: int, *, limit: int = 400_000) -> Iterator[dict[str, Json]]:
    """Several values in one object, for operations where one request each would be too many."""
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


# Files


def _content(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def file(name: str = "a.txt", raw: bytes = b"hello", **more: Json) -> dict[str, Json]:
    return {"filename": name, "content": _content(raw), **more}


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
    )
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


def file_ladder() -> Iterator[list[dict[str, Json]]]:
    """`file_inputs`, each unusual in one way."""
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


# Features of a create, and how they meet

INPUTS: Final = {
    "name": "Ada",
    "visit": {"year": 2025, "urgent": False, "notes": None, "codes": [1, 2.5, "x"]},
    "empty": "",
}
SECRETS: Final = {"password": "«secret»", "login": {"pin": "«secret:2»", "more": ["«secret:3»", 7]}}

_SHARED: Final[dict[str, tuple[Json, ...]]] = {
    "machine_id": ("«machine»",),
    "pool_ids": (["«pool:0»"], ["«pool:0»", "«pool:1»"]),
    "input_values": (INPUTS,),
    "file_inputs": ([file()], [file(), file("b.bin", b"\x00\xff", cleanup_imports_after_run=True)]),
    "sensitive_input_values": (SECRETS,),
    "session_id": ("«session»",),
    "start_session": (True,),
}
"""Per optional field of a create, values that are at work there."""
_ONLY_SINGLE: Final[dict[str, tuple[Json, ...]]] = {"session_alias": ("first",), "release_session_after": (True, False)}

EMPTY: Final[dict[str, tuple[Json, ...]]] = {
    "machine_id": (None,),
    "pool_ids": (None, []),
    "input_values": (None, {}),
    "file_inputs": (None, []),
    "sensitive_input_values": (None, {}),
    "session_id": (None,),
    "start_session": (None, False),
    "session_alias": (None,),
    "release_session_after": (None,),
    "reuse_session": (None,),
    "steps.session_alias": (None,),
    "inputs": (None, {}),
    "sensitive_inputs": (None, {}),
    "shared_inputs": (None, {}),
    "shared_sensitive_inputs": (None, {}),
    "shared_file_inputs": (None, []),
    "keep_session_after_completion": (None, False),
}
"""Per field, what says the same as leaving it out."""

CREATE_FEATURES: Final = {"bulk_create_runs": _SHARED, "create_run": _SHARED | _ONLY_SINGLE}
RETRY_FEATURES: Final[dict[str, tuple[Json, ...]]] = {
    "input_values": (INPUTS,),
    "sensitive_input_values": (SECRETS,),
    "file_inputs": _SHARED["file_inputs"],
    "machine_id": ("«machine»",),
    "pool_ids": _SHARED["pool_ids"],
    "reuse_session": (True, False),
    "session_id": ("«session»",),
    "start_session": (True,),
    "session_alias": ("again",),
    "release_session_after": (True, False),
}
CHAIN_FEATURES: Final[dict[str, tuple[Json, ...]]] = {
    "shared_inputs": ({"language": "en", "nested": {"a": [1, 2.5, None, True]}},),
    "shared_sensitive_inputs": ({"shared_password": "«secret:8»"},),
    "shared_file_inputs": ([file()],),
    "keep_session_after_completion": (True,),
    "machine_id": ("«machine»",),
    "pool_ids": _SHARED["pool_ids"],
    "session_id": ("«session»",),
}
STEP_FEATURES: Final[dict[str, tuple[Json, ...]]] = {
    "session_alias": ("«marker:%d»",),
    "inputs": ({"step": "«marker:%d»", "n": 1, "x": 1.5, "deep": {"list": [None, True]}},),
    "sensitive_inputs": ({"step_password": "«secret:%d»"},),
}
UPDATE_VALUES: Final[dict[str, tuple[Json, ...]]] = {
    "error": (["first line", "second é😀"], ["x"], []),
    "output_data": ({"result": 1, "deep": {"list": [1, 2.5, None, "é"]}}, {"a": "b"}, {}),
    "run_message_history": (
        [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [1, {"a": None}]}],
        [{}],
        [],
    ),
    "input_values": ({"changed": True, "n": 5, "x": 1.5}, {}),
    "usage_metadata": ({"tokens": 10, "cost": 0.25},),
    "started_at": ("2025-01-02T03:04:05.678901Z", "2025-01-02T03:04:05+05:30"),
    "ended_at": ("2025-01-02T04:04:05Z",),
    "release_session_after": (True, False),
    "output_attachment_ids": (["«uuid:1»"],),
}


def minimal(operation: str, *, count: int = 1, steps: int = 1) -> dict[str, Json]:
    match operation:
        case "bulk_create_runs":
            return {"workflow_id": "«workflow»", "count": count}
        case "create_run":
            return {"workflow_id": "«workflow»"}
        case "create_run_chain":
            return {"steps": [{"workflow_id": f"«workflow:{index}»"} for index in range(steps)]}
        case "create_pool":
            return {"name": "contracts «marker»"}
        case "create_workflow":
            return {"main_prompt": "contracts «marker»"}
        case _:
            return {}


def on_and_off(features: Mapping[str, Sequence[Json]]) -> Iterator[dict[str, Json]]:
    """Every subset of the features, smaller ones first, each with its plainest value."""
    names = list(features)
    for size in range(len(names) + 1):
        for chosen in itertools.combinations(names, size):
            yield {name: features[name][0] for name in chosen}


def pairs(parameters: Mapping[str, Sequence[Json]]) -> list[dict[str, Json]]:
    """Few rows in which any two parameters meet in every two of their values. Greedy, and always the same."""
    names = list(parameters)
    open_pairs = {
        (a, i, b, j)
        for a, b in itertools.combinations(names, 2)
        for i in range(len(parameters[a]))
        for j in range(len(parameters[b]))
    }
    rows: list[dict[str, Json]] = []
    while open_pairs:
        first = min(open_pairs, key=lambda p: (names.index(p[0]), p[1], names.index(p[2]), p[3]))
        chosen: dict[str, int] = {first[0]: first[1], first[2]: first[3]}
        for name in names:
            if name in chosen:
                continue
            gains = [
                (
                    sum(
                        ((name, i, other, j) in open_pairs) or ((other, j, name, i) in open_pairs)
                        for other, j in chosen.items()
                    ),
                    -i,
                )
                for i in range(len(parameters[name]))
            ]
            chosen[name] = -max(gains)[1]
        for a, b in itertools.combinations(names, 2):
            open_pairs.discard((a, chosen[a], b, chosen[b]))
        rows.append({name: parameters[name][index] for name, index in chosen.items()})
    return rows


ABSENT: Final = "«absent»"


def states(features: Mapping[str, Sequence[Json]]) -> dict[str, list[Json]]:
    """Per field: left out, at work in each way, null, empty."""
    return {name: [ABSENT, *working, *EMPTY.get(name, ())] for name, working in features.items()}


def without_absent(row: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in row.items() if not (isinstance(value, str) and value == ABSENT)}


# Wrong for one thing

WRONG_VALUES: Final[tuple[Json, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    5,
    10**20,
    1.5,
    "",
    " ",
    "x",
    "not-a-uuid",
    "5",
    "maybe",
    "3c90c3cc-0d44-4b50-8888",
    "3c90c3cc-0d44-4b50-8888-8dd25736052ag",
    "3c90c3cc-0d44-4b50-8888-8dd25736052a0",
    "zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz",
    [],
    [1],
    ["x"],
    [None],
    [[]],
    [{}],
    {},
    {"a": 1},
    {"id": "x"},
    2,
    '{"a": 1}',
    "[]",
    "null",
    [["x"]],
    [5, "x"],
)
"""Put in the place of every field, item and member; which of them are wrong there, the oracle knows."""
WRONG_CORE: Final[tuple[Json, ...]] = (
    *(None, True, False, 0, 5, 1.5, "", "x", '{"a": 1}', "3c90c3cc-0d44-4b50-8888-8dd25736052"),
    *([], [1], ["x"], [None], [{}], {}, {"a": 1}),
)
WRONG_IDS: Final = (
    *("3c90c3cc-0d44-4b50-8888", "3c90c3cc-0d44-4b50-8888-8dd25736052ag", "3c90c3cc-0d44-4b50-8888-8dd25736052a0"),
    *("zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz", "not-a-uuid", " "),
)
WRONG_NAMES: Final = ("canceled", "Cancelled", "CANCELLED", "cancelled ", "failed", "pending", "completed", "done", "0")
"""Words that are no status, and that one might take for one."""
LIST_SIZES: Final = (1, 2, 5, 10, 50, 100)
"""How many good items come before a wrong one."""


def after_good_items(body: Json, *, free: frozenset[str]) -> Iterator[Json]:
    """A body whose lists have a wrong item after many good ones, in each way in which an item can be wrong."""
    for path in places(body, free=free):
        items = at(body, path)
        if not isinstance(items, list) or not items or (isinstance(path[-1], str) and path[-1] in free):
            continue
        good = items[0]
        for size in LIST_SIZES:
            for wrong in _wrong_items(good, free=free) if size in {1, 10} else (5, {}, None):
                yield put(body, path, [good] * size + [wrong])


def _wrong_items(good: Json, *, free: frozenset[str]) -> Iterator[Json]:
    yield from (None, 5, [], {}) if isinstance(good, str) else (None, 5, "x", [], {})
    if isinstance(good, dict):
        for path in places(good, free=free):
            yield put(good, path, 5)
            yield put(good, path, [])
            if isinstance(path[-1], str):
                yield put(good, path, None)
                yield drop(good, path)


def at(value: Json, path: tuple[str | int, ...]) -> Json:
    for part in path:
        value = value[part]
    return value


def places(value: Json, path: tuple[str | int, ...] = (), *, free: frozenset[str]) -> Iterator[tuple[str | int, ...]]:
    """Every place in a body, outer ones first. Below the fields in `free` anything may stand."""
    if path:
        yield path
        if isinstance(path[-1], str) and path[-1] in free:
            return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key), free=free)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index), free=free)


FREE_OBJECTS: Final = frozenset(
    {
        "input_values",
        "sensitive_input_values",
        "inputs",
        "sensitive_inputs",
        "shared_inputs",
        "shared_sensitive_inputs",
        "output_data",
        "usage_metadata",
        "pool_parameters",
    }
)
"""Objects in which anything may stand."""


def put(value: Json, path: tuple[str | int, ...], new: Json) -> Json:
    """A copy with another value at the path; the value's own parts are shared."""
    if not path:
        return new
    if isinstance(value, dict):
        return value | {path[0]: put(value[path[0]], path[1:], new)}
    changed = list(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)  # type: ignore[index]
    return changed


def drop(value: Json, path: tuple[str | int, ...]) -> Json:
    if len(path) == 1:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if key != path[0]}
        return [item for index, item in enumerate(value) if index != path[0]]
    return put(value, path[:1], drop(value[path[0]], path[1:]))


# Beyond the ladders

_text = st.text(max_size=40) | st.sampled_from(sorted({t for t in texts() if len(t) < 300}, key=lambda t: (len(t), t)))
_scalar = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(INTEGERS)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(DOUBLES)
    | _text
)
json_values: Final[SearchStrategy[Json]] = st.recursive(
    _scalar,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_text, inner, max_size=5),
    max_leaves=12,
).filter(lambda value: "«" not in repr(value))
objects: Final[SearchStrategy[dict[str, Json]]] = st.dictionaries(_text, json_values, max_size=6).filter(
    lambda value: "«" not in repr(value)
)
secrets_objects: Final = st.dictionaries(
    st.sampled_from(["password", "pin", "é", "a.b", "token", "x y"]),
    st.recursive(
        st.sampled_from(["«secret»", "«secret:2»", "«secret:3»", "«secret-int:1»"]),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from(["k", "l"]), inner, min_size=1)
        ),
        max_leaves=5,
    ),
    max_size=4,
)
counts: Final = (
    st.sampled_from((1, 1, 2, 3))
    | st.integers(1, 30)
    | st.sampled_from(SMALL_COUNTS)
    | st.sampled_from((100, 101, 129, 257))
)


def files() -> SearchStrategy[list[dict[str, Json]]]:
    one = st.fixed_dictionaries(
        {"filename": st.sampled_from(FILE_NAMES), "content": st.binary(max_size=300).map(_content)},
        optional={
            "target_path": st.none() | st.sampled_from(["C:\\x.txt", "/tmp/é"]),
            "cleanup_imports_after_run": st.booleans(),
        },
    )
    return st.lists(one, max_size=4)


def bodies(operation: str, available: frozenset[str]) -> SearchStrategy[dict[str, Json]]:
    """Valid bodies of a create, in which anything meets anything. `available` names the ids that there are."""
    optional: dict[str, SearchStrategy[Json]] = {
        "input_values": st.none() | objects,
        "file_inputs": st.none() | files(),
        "sensitive_input_values": st.none() | secrets_objects,
        "start_session": st.sampled_from([None, False, True]),
        "is_priority": st.just(False),
    }
    if "machine_id" in available:
        optional["machine_id"] = st.sampled_from([None, "«machine»"])
    if "pool_ids" in available:
        optional["pool_ids"] = st.sampled_from(
            [None, [], ["«pool:0»"], ["«pool:0»", "«pool:1»"], ["«pool:0»", "«pool:1»", "«pool:2»"]]
        )
    if "session_id" in available:
        optional["session_id"] = st.sampled_from([None, "«session»"])
    if operation == "create_run":
        optional["session_alias"] = st.none() | st.sampled_from(["one", "é", "a b", "x" * 100])
        optional["release_session_after"] = st.sampled_from([None, False, True])
        return st.fixed_dictionaries({"workflow_id": st.just("«workflow»")}, optional=optional).filter(_keys_apart)
    required = {"workflow_id": st.just("«workflow»"), "count": counts}
    return st.fixed_dictionaries(required, optional=optional).filter(_keys_apart)


def _keys_apart(body: Mapping[str, Json]) -> bool:
    return not set(body.get("input_values") or ()) & set(body.get("sensitive_input_values") or ())
