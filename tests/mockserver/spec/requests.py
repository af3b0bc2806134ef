"""Requests for the reference and for ours: boundary cases by hand, and strategies for almost valid ones."""

import json
from typing import Any

from hypothesis import strategies as st

UUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def bulk(**fields: Any) -> bytes:
    return json.dumps({"workflow_id": UUID, "count": 1} | fields).encode()


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


# --- Boundary cases: each a way in which a body can be wrong, or only just right --------------------------------------

_COUNTS = [
    *("5", 5.0, 5.5, "5.0", "5.5", " 5 ", "1_0", "", "x", "9" * 5000, "NaN", "-0", "+7", "٣"),
    *(True, False, None, [], {}, [1], 0, -1, 1, 1000, 1001, 10**30, 10**400, -(10**30), 1e300, 1e16, -0.0, 1.0e0),
]
_UUIDS = [
    *(None, 1, 1.5, True, [], {}, [UUID], "", "x", " ", "\x00", "é" * 36, "\ud800" * 36),
    *(
        UUID.upper(),
        "{" + UUID + "}",
        "urn:uuid:" + UUID,
        UUID.replace("-", ""),
        UUID + "0",
        UUID[:-1],
        UUID[:-1] + "g",
    ),
    *(" " + UUID, UUID + "\n", UUID.replace("-", "_"), UUID[:8] + UUID[9:] + "-", "0" * 32),
]
_BOOLEANS = [
    *(None, True, False, 0, 1, 2, -1, 0.0, 1.0, 0.5, "", "x", " true", [], {}, [True]),
    *("true", "True", "TRUE", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0", "1.0"),
]
_LISTS = [None, [], {}, "x", 1, True, [1], [None], [[]], [{}], [UUID, "x"], [UUID, UUID], {"0": UUID}, [[UUID]]]
_OBJECTS = [
    *(None, {}, [], "x", "{}", 1, True, [["a", 1]], {"a": {"b": [1, 2.5, None, "\ud800", 10**300]}}),
    *({"\ud800": 1}, {"": 1}, {"a\x00": "\x00"}, {"é": "e\u0301", "😀": "\U0001f600"}),
]
_FILES = [
    *([{}], [{"filename": "a"}], [{"filename": 1, "content": "b"}], [{"filename": "a", "content": None}]),
    *([{"filename": "a", "content": "\ud800"}], [{"filename": "a", "content": "b", "target_path": 5}]),
    *([{"filename": "a", "content": "b", "cleanup_imports_after_run": value}] for value in (None, 1, "yes", "x", [])),
    [{"filename": "a", "content": "b", "more": 1}, "x", None, {"filename": [], "content": {}}],
]
_MOMENTS = [
    *("2024-01-01T00:00:00Z", "2024-01-01T00:00:00+02:00", "2024-01-01T00:00:00", "2024-01-01", "2024-01-01 00:00Z"),
    *("2024-01-01T00:00:00.123456789Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z"),
    *("2024-01-01t00:00:00z", "20240101T000000Z", "2024-01-01T00:00:00-0200", "2024-01-01T00:00:00.Z", "1700000000"),
    *(5, 5.5, -5, 1e30, 10**40, "5", "x", "", True, None, [], {}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
]
_STATUSES = ["success", "Success", "x", "", 5, True, None, [], {}, ["success"], "\ud800"]

BULK_BODIES: list[bytes] = [
    *(b"", b" ", b"null", b"[]", b"1", b'"x"', b"true", b"{}", b"[{}]", b'""', b"0", b"NaN"),
    *(b"{", b'{"a"', b'{"a":}', b'{"a":1,}', b"{'a':1}", b"{a:1}", b"nul", b"-", b"--1", b"01", b"1.", b".5", b"+1"),
    *(b'"abc', b'"\\x"', b'"\\ud80', b'{"a":"\x01"}', b"[1 2]", b"[1,]", b"{}x", b"{} {}", b"\x00", b"/*a*/{}"),
    *(b"\xff", b"\xff\xfe\x00", b'{"a":"\xff"}', b'"\xc3"', b'{"a":"\xed\xa0\x80"}', b'{"workflow_id":"\\ud800"}'),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"count":' + b"9" * 5000 + b"}", b'{"count":-' + b"9" * 5000 + b"}"),
    *(b"\xef\xbb\xbf" + bulk(), bulk().decode().encode("utf-16"), bulk().decode().encode("utf-32-be")),
    *(b" \n" + bulk() + b"\r\n\t", b'{"count":1,"count":2,"workflow_id":"' + UUID.encode() + b'"}', b"\xef\xbb\xbf"),
    *(bulk(), bulk(unknown=1), bulk(is_priority=False), bulk(Count=1), text({"count": 1}), text({"workflow_id": UUID})),
    *(bulk(count=value) for value in _COUNTS),
    *(bulk(workflow_id=value) for value in _UUIDS),
    *(bulk(session_id=value) for value in _UUIDS),
    *(bulk(start_session=value) for value in _BOOLEANS),
    *(bulk(pool_ids=value) for value in _LISTS),
    *(bulk(pool_ids=[UUID, value]) for value in _UUIDS),
    *(bulk(file_inputs=value) for value in _LISTS + _FILES),
    *(bulk(input_values=value) for value in _OBJECTS),
    *(bulk(count=value, workflow_id=other) for value, other in zip(_COUNTS, _UUIDS, strict=False)),
]
UPDATE_BODIES: list[bytes] = [
    *(b"", b"null", b"{}", b"[]"),
    *(text({"started_at": value}) for value in _MOMENTS),
    *(text({"status": value}) for value in _STATUSES),
    *(text({"error": value}) for value in (None, [], ["a"], ["a", 1, None], "a", {}, ["\ud800"])),
    *(text({"run_message_history": value}) for value in (None, [], [{}], [{"a": 1}, 1, None], {}, [[]])),
    text({"status": "x", "started_at": "y", "ended_at": 1e30, "release_session_after": "z"}),
]
CHAIN_BODIES: list[bytes] = [
    text({"steps": value}) for value in (None, [], {}, "x", [{}], [1], [{"workflow_id": UUID}], [{"workflow_id": "x"}])
] + [text({"steps": [{"workflow_id": UUID, "inputs": value}, {}]}) for value in _OBJECTS]
QUERIES: list[bytes] = [
    *(b"", b"limit=5", b"limit=", b"limit", b"limit=x&skip=-1", b"limit=1&limit=2", b"limit=0", b"limit=1001"),
    *(b"limit=%35", b"limit=+5", b"limit=%205%20", b"limit=5.0", b"limit=5.5", b"limit=1e2", b"limit=" + b"9" * 5000),
    *(b"fields=error", b"fields=error&fields=zzz&fields=", b"fields=", b"fields", b"fields=error,user_id"),
    *(b"status=zzz&status=success", b"status=success", b"status=", b"sort_mode=x", b"sort_mode=created_at_desc"),
    *(b"deep_search=maybe", b"deep_search=on", b"deep_search=", b"deep_search=1"),
    *(b"created_at_from=" + value for value in (b"2024-01-01", b"1700000000", b"x", b"", b"2024-01-01T00:00:00Z")),
    *(b"created_at_to=2024-01-01T00:00:00+00:00", b"created_at_to=2024-01-01T00:00:00%2B02:00"),
    *(b"search=%ff%00", b"search", b"search=\xe9", b"search=%C3%A9", b"search=%", b"search=a+b", b"search=%ED%A0%80"),
    *(b"workflow_id=x", b"workflow_id=" + UUID.encode(), b"workflow_id=" + UUID.upper().encode(), b"machine_id=1"),
    *(b"workflow_id=x;limit=5", b"&&=&limit=7", b"=1", b"unknown=1", b"LIMIT=5", b"include=workflow,machine"),
]
IDS = [
    *(UUID, UUID.upper(), UUID.replace("-", ""), "{" + UUID + "}", "urn:uuid:" + UUID, "x", UUID[:-1], UUID + "0"),
    *("é", "%", "\x00", " "),
]
CONTENT_TYPES = [
    *(None, "", " ", "text/plain", "json", "application/json; charset=utf-8", "application/JSON", "Application/Json;"),
    *(
        "application/vnd.x+json",
        "application/x/y+json",
        " application/json ",
        "application/json,",
        "text/json",
        "/json",
    ),
    *("application/jsonx", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ";application/json"),
]

# --- What hypothesis makes --------------------------------------------------------------------------------------------

# NaN, infinities and surrogates of keys are among the boundary cases. Sensitive names are masked, and have tests.
_json_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# Hypothesis tries words of the source too, and misspellings of "sensitive" are masked: all of them have a part of it.
_names = _json_text.filter(lambda name: not any(part in name.lower() for part in ("sen", "sit", "ive")))
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _json_text
    | st.sampled_from(["5", "true", "1.0", UUID, UUID.upper(), "{" + UUID + "}", "2024-01-01T00:00:00Z", "\ud800"])
)
junk = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=8
)
_ids = st.uuids().map(str) | st.uuids().map(lambda one: one.hex) | st.uuids().map(lambda one: str(one).upper())


def _mostly(valid: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(valid, valid, valid, junk)


_objects = st.dictionaries(_names, junk, max_size=3)
_booleans = st.booleans() | st.sampled_from([0, 1, "on", "no", 1.0])
_counts = st.integers(-2, 1005) | st.integers(1, 1000).map(str) | st.integers(1, 1000).map(float)
_files = st.lists(
    _mostly(
        st.fixed_dictionaries(
            {},
            optional={
                "filename": _mostly(_json_text),
                "content": _mostly(_json_text),
                "target_path": _mostly(st.none() | _json_text),
                "cleanup_imports_after_run": _mostly(_booleans),
            },
        )
    ),
    max_size=3,
)


def _fields(required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]) -> Any:
    """An object of these fields, now and then with a wrong one, without a required one, or with one of its own."""
    named = {name: _mostly(values) for name, values in (required | optional).items()}
    complete = st.fixed_dictionaries(
        {name: named[name] for name in required}, optional={name: named[name] for name in optional}
    )
    partial = st.fixed_dictionaries({}, optional=named)
    more = st.dictionaries(_names, junk, max_size=1)
    return st.one_of(complete, complete, partial, st.builds(lambda one, two: two | one, complete, more))


_maybe_id = st.none() | _ids
_pool_ids = st.none() | st.lists(_mostly(_ids), max_size=3)
_maybe_boolean = st.none() | _booleans
bulk_bodies = _fields(
    {"workflow_id": _ids, "count": _counts},
    {
        "machine_id": _maybe_id,
        "pool_ids": _pool_ids,
        "input_values": st.none() | _objects,
        "file_inputs": st.none() | _files,
        "session_id": _maybe_id,
        "start_session": _maybe_boolean,
    },
)
update_bodies = _fields(
    {},
    {
        "status": st.sampled_from(["success", "cancelled", "running", "done"]),
        "error": st.none() | st.lists(_mostly(_json_text), max_size=2),
        "output_data": st.none() | _objects,
        "run_message_history": st.none() | st.lists(_mostly(_objects), max_size=2),
        "started_at": st.datetimes().map(lambda moment: moment.isoformat()) | st.sampled_from(_MOMENTS),
        "ended_at": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        "release_session_after": _maybe_boolean,
    },
)
chain_bodies = _fields(
    {
        "steps": st.lists(
            _mostly(_fields({"workflow_id": _ids}, {"session_alias": _json_text, "inputs": st.none() | _objects})),
            max_size=3,
        )
    },
    {
        "shared_inputs": st.none() | _objects,
        "shared_file_inputs": st.none() | _files,
        "keep_session_after_completion": _maybe_boolean,
        "machine_id": _maybe_id,
        "pool_ids": _pool_ids,
    },
)
retry_bodies = _fields(
    {},
    {
        "input_values": st.none() | _objects,
        "file_inputs": st.none() | _files,
        "reuse_session": _maybe_boolean,
        "session_alias": st.none() | _json_text,
        "machine_id": _maybe_id,
    },
)


def damaged(body: bytes, at: int, byte: int) -> bytes:
    """One byte replaced."""
    at %= len(body) or 1
    return body[:at] + bytes([byte]) + body[at + 1 :]
