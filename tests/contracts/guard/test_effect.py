"""What a request could do at the worst, whatever way a server may read it."""

from __future__ import annotations

import gzip
import json
import uuid
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.core.exchange import Request
from contracts.guard.effect import LARGEST_BULK, UNBOUNDED, canonical, effect_of
from tests.contracts.guard.requests import bulk, get, post

RUN = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def cost(body: bytes | str, *, path: str = "/v1/runs/bulk", headers: tuple[tuple[str, str], ...] = ()) -> int:
    return effect_of(Request("POST", path, headers, body if isinstance(body, bytes) else body.encode())).runs


@pytest.mark.parametrize(
    ("count", "runs"),
    [
        ("1", 1),
        ("1000", 1000),
        ("1001", 1001),
        ("0", 1),
        ("-7", 7),
        ("1.5", 2),
        ("5.0", 5),
        ("1e3", 1000),
        ("1e400", UNBOUNDED),
        ("-Infinity", UNBOUNDED),
        ("NaN", 1),
        (str(10**30), UNBOUNDED),
        ("9" * 5000, UNBOUNDED),
        ("null", 1),
        ("true", 1),
        ("{}", 1),
        ("[]", 1),
        ("[1000]", 1000),
        ('{"n": 40}', 40),
        ("[[[[[[7]]]]]]", 1),
        ('"5"', 5),
        ('" 1000 "', 1000),
        ('"1_000"', 1000),
        ('"1,000"', 1000),
        ('"1e3"', 1000),
        ('"0x3e8"', 1000),
        ('"１０００"', 1000),
        ('"1000 runs"', 1000),
        ('"-5"', 5),
        ('"many"', 1),
        ('""', 1),
        ('"' + "9" * 40 + '"', UNBOUNDED),
    ],
)
def test_a_bulk_create_costs_the_most_a_reader_of_its_count_could_make_of_it(count: str, runs: int) -> None:
    assert cost(f'{{"workflow_id": "x", "count": {count}}}') == runs


@pytest.mark.parametrize(
    "body",
    [
        '{"count": 1, "count": 1000}',
        '{"count": 1000, "count": 1}',
        '{"Count": 1000}',
        '{" count ": 1000, "count": 2}',
        '{"count": 1000',
        "{'count': 1000}",
        "count=1000&workflow_id=x",
        'Content-Disposition: form-data; name="count"\r\n\r\n1000\r\n--x--',
        "count: 1000",
        '"{\\"count\\": 1000}"',
        '[{"count": 400}, {"count": 600}]',
        "[" * 100_000 + '{"count": 1000}',
    ],
)
def test_a_body_costs_the_runs_that_a_lenient_server_might_create(body: str) -> None:
    assert cost(body) == 1000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_body_in_another_encoding_of_unicode_is_read(encoding: str) -> None:
    assert cost('{"count": 1000}'.encode(encoding)) == 1000


def test_a_compressed_body_is_read_and_an_unknown_encoding_costs_a_whole_bulk() -> None:
    raw = b'{"count": 1001}'
    deflated = zlib.compress(raw)[2:-4]
    assert cost(gzip.compress(raw), headers=(("Content-Encoding", "gzip"),)) == 1001
    assert cost(deflated, headers=(("content-encoding", "deflate"),)) == 1001
    assert cost(b"\x00\x01", headers=(("Content-Encoding", "br"),)) == LARGEST_BULK
    assert cost(raw, headers=(("Content-Encoding", "identity"),)) == 1001


@given(st.integers(1, 10**17), st.sampled_from(["{}", '"{}"', "{}.0", '"{}.0"', "-{}", "[{}]", '" {}"']))
def test_no_form_of_a_number_costs_less_than_the_number(count: int, form: str) -> None:
    assert cost(f'{{"count": {form.format(count)}}}') >= count - count // 10**15


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\xfd", b"no json", b"null", b"7", b"{}", b"[]", b"\x00" * 9])
def test_a_create_without_a_count_costs_one_run(body: bytes) -> None:
    effect = effect_of(Request("POST", "/v1/runs/bulk", (), body))
    assert (effect.creates, effect.runs) == (True, 1)


def test_a_count_in_the_query_costs_too() -> None:
    assert effect_of(post("/v1/runs/bulk?count=50&x=1", {"count": 2})).runs == 50


def test_a_chain_costs_its_steps_and_a_single_create_and_a_retry_one_run() -> None:
    assert effect_of(post("/v1/runs/chain", {"steps": [{}, {}, {}]})).runs == 3
    assert effect_of(post("/v1/runs/chain", {"steps": {"0": {}, "1": {}}})).runs == 2
    assert effect_of(post("/v1/runs/chain", b'{"steps": [], "steps": [1, 2, 3, 4]}')).runs == 4
    assert effect_of(post("/v1/runs", {})).runs == 1
    retry = effect_of(post(f"/v1/runs/{RUN}/retry", {}))
    assert (retry.creates, retry.runs, retry.ids) == (False, 1, {RUN})


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs/bulk/",
        "/v1//runs/bulk",
        "//v1/runs/bulk",
        "/V1/Runs/BULK",
        "/v1/runs/bul%6B",
        "/v1/runs/bul%256B",
        "/v1%2Fruns%2Fbulk",
        "/v1/x/../runs/bulk",
        "/v1/x/%2e%2e/runs/bulk",
        "/v1/./runs/./bulk",
        "/v1\\runs\\bulk",
        "/v1/runs/bulk;a=b",
        "/v1/runs/bulk.json",
        "/v1/runs/bulk#x",
        "/v1/runs/bulk%3Fx",
        "/v1/runs/bulk%00",
        "/v1/runs/bulk%20",
        "/runs/bulk",
        "/api/v1/runs/bulk",
    ],
)
def test_a_path_that_could_be_routed_to_a_bulk_create_is_charged_as_one(path: str) -> None:
    effect = effect_of(post(path, {"count": 1000}))
    assert (effect.creates, effect.runs) == (True, 1000)


def test_another_method_on_a_create_path_is_charged_as_a_create_and_could_change_many() -> None:
    for method in ("PUT", "PATCH", "FROB"):
        effect = effect_of(post("/v1/runs", {"count": 9}, method=method))
        assert (effect.creates, effect.runs, effect.collections) == (True, 9, {"runs"})
    effect = effect_of(get("/v1/runs/bulk", method="DELETE"))
    assert (effect.writes, effect.creates, effect.runs, effect.collections) == (True, False, 0, {"runs"})


def test_a_read_writes_nothing() -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in ("/v1/runs", "/v1/runs/bulk", f"/v1/runs/{RUN}", "/v1/runs?search=_method", "/v1/health"):
            assert not effect_of(get(path, method=method)).writes


def test_a_get_that_mixes_up_methods_could_set_off_is_a_write() -> None:
    assert effect_of(get(f"/v1/runs/{RUN}/retry")).ids == {RUN}
    assert effect_of(get(f"/v1/runs/{RUN}/retry")).runs == 1
    assert effect_of(post("/v1/runs/bulk", {"count": 12}, method="GET")).runs == 12


def test_a_method_override_makes_a_write_of_a_read() -> None:
    by_header = Request("GET", f"/v1/runs/{RUN}", (("X-HTTP-Method-Override", "DELETE"),))
    by_query = Request("GET", f"/v1/runs/{RUN}?a=1&_method=DELETE")
    assert effect_of(by_header).ids == effect_of(by_query).ids == {RUN}
    assert effect_of(by_header).writes
    assert "runs" in effect_of(Request("GET", "/v1/runs", (("x-method-override", "DELETE"),))).collections


@pytest.mark.parametrize(
    "form",
    [
        RUN,
        RUN.upper(),
        RUN.replace("-", ""),
        f"{{{RUN}}}",
        f"urn:uuid:{RUN}",
        f"%7B{RUN}%7D",
        RUN.replace("-", "%2D"),
        RUN.replace("-", "%252D"),
        f"{RUN}.json",
        f"{RUN};v=1",
        f"x/../{RUN}",
        f"{RUN}%20",
        f"x{RUN}x",
        "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in RUN),
    ],
)
def test_an_id_is_found_in_every_form_that_might_be_read_as_it(form: str) -> None:
    assert RUN in effect_of(get(f"/v1/runs/{form}", method="DELETE")).ids


def test_ids_behind_the_first_and_in_the_body_are_found() -> None:
    other = str(uuid.uuid4())
    assert effect_of(post(f"/v1/pools/{RUN}/machines/{other}", {})).ids == {RUN, other}
    for body in ({"id": other}, {"run_ids": [other.upper(), 7, "x"]}, [{"ID": other}, 3]):
        assert effect_of(post(f"/v1/runs/{RUN}", body, method="PATCH")).body_ids == {other}


def test_ids_that_are_not_uuids_are_listed_separately() -> None:
    assert effect_of(get("/v1/runs/not-a-uuid", method="DELETE")).non_uuids == {"not-a-uuid"}
    assert effect_of(get(f"/v1/runs/{RUN[:-1]}", method="DELETE")).non_uuids == {RUN[:-1]}
    assert effect_of(get("/v1/runs/%25", method="DELETE")).non_uuids == {"%25", "%"}


def test_writes_to_collections_and_unknown_paths_are_named() -> None:
    assert effect_of(post("/v1/pools", {})).collections == {"pools"}
    assert effect_of(post("/v1/anything", {})).collections == {"?"}
    assert effect_of(post("/", {})).collections == {"?"}
    assert effect_of(bulk()).collections == frozenset()


@given(st.uuids())
def test_every_form_of_a_uuid_has_one_canonical_form(value: uuid.UUID) -> None:
    forms = (str(value), str(value).upper(), value.hex, value.urn, f"{{{value}}}", f" {value} ")
    assert {canonical(form) for form in forms} == {str(value)}


@given(st.text())
def test_text_that_is_not_a_uuid_has_no_canonical_form(text: str) -> None:
    found = canonical(text)
    assert found is None or str(uuid.UUID(found)) == found


@given(st.text(), st.binary())
def test_no_request_is_too_odd_to_be_judged(path: str, body: bytes) -> None:
    effect = effect_of(Request("POST", f"/v1/runs{path}", (), body))
    assert effect.writes
    assert effect.runs <= UNBOUNDED * max(1, body.count(b"{"))


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=8))
def test_any_json_as_count_costs_at_least_one_run(count: object) -> None:
    assert cost(json.dumps({"count": count})) >= 1
