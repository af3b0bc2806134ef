"""Requests for the reference and for the mock: every odd value in every field, and generated cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args
from urllib.parse import quote, urlencode

from hypothesis import strategies as st
from pydantic import BaseModel

from tests.api_models import ChainStep, FileInput
from tests.mockserver.external import reference
from tests.mockserver.spec import requests
from tests.mockserver.spec.requests import UUID

POOL = "30000000-0000-4000-8000-000000000001"
ATTACHMENT = "40000000-0000-4000-8000-000000000001"


class Case(NamedTuple):
    """One request. `{run}` in a target stands for a run of its own, which has ended where `ended` says so."""

    method: str
    target: str
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    token: str = "test-agreement"
    ended: bool = False

    def __str__(self) -> str:
        body = self.body if len(self.body) < 200 else self.body[:200] + b"..."
        return f"{self.method} {self.target} {self.content_type} {self.headers or ''} {body!r}"


class Write(NamedTuple):
    """An operation with a body, and the fields of a body that is valid."""

    method: str
    target: str
    model: type[BaseModel]
    valid: dict[str, Any]
    ended: bool = False

    def case(self, body: bytes, **fields: Any) -> Case:
        return Case(self.method, self.target, body, token=f"test{self.target}", ended=self.ended, **fields)


WRITES = {
    "bulk": Write("POST", "/v1/runs/bulk", reference.RunBulkCreate, {"workflow_id": UUID, "count": 1}),
    "create": Write("POST", "/v1/runs", reference.RunCreate, {"workflow_id": UUID}),
    "chain": Write("POST", "/v1/runs/chain", reference.ChainCreate, {"steps": [{"workflow_id": UUID}]}),
    "update": Write("PATCH", "/v1/runs/{run}", reference.RunUpdate, {}),
    "retry": Write("POST", "/v1/runs/{run}/retry", reference.RunRetry, {}, ended=True),
    "pool": Write("POST", "/v1/pools", reference.PoolCreate, {"name": "n"}),
    "assignment": Write("POST", f"/v1/pools/{POOL}/machines", reference.PoolMachines, {"machine_ids": []}),
    "workflow": Write("POST", "/v1/workflows", reference.WorkflowCreate, {"main_prompt": "p"}),
}

# JSON texts, since some of them no JSON writer would write.
ODD_VALUES = [
    *("null", "true", "false", "0", "1", "-1", "2", "5", "1000", "1001", "0.0", "-0.0", "1.0", "5.0", "5.5", "1e2"),
    *("1e400", "NaN", "9" * 30, "-" + "9" * 400, "9" * 4301, "1E-400", "123456789012345678.0"),
    *('""', '" "', '"0"', '"5"', '" 5 "', '"5.0"', '"5.5"', '"1_0"', '"+7"', '"٣"', '"1e2"', '"0x5"', '"NaN"'),
    *('"true"', '"TRUE"', '"on"', '"no"', '"y"', '" true"', '"x"', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"'),
    *(f'"{UUID}"', f'"{UUID.upper()}"', f'"{UUID.replace("-", "")}"', f'"{{{UUID}}}"', f'"urn:uuid:{UUID}"'),
    *(f'"{UUID}\\n"', f'"{UUID[:-1]}"', f'"{UUID[:-1]}g"', f'"({UUID})"', '"success"', '"Success"', '"running_checks"'),
    *('"2024-01-01T00:00:00Z"', '"2024-01-01"', '"2024-01-01T00:00:00"', '"2024-01-01 00:00+02:00"', '"1700000000"'),
    *('"2024-02-30T00:00:00Z"', '"2024-01-01T24:00:00Z"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59Z"'),
    *("[]", "[1]", "[null]", '["x"]', f'["{UUID}"]', f'["{UUID}", "x", null, 1]', "[[]]", "[{}]", '[{"a": 1}]', '"[]"'),
    *("{}", '{"a": 1}', '{"a": {"b": [1, 2.5, null]}}', '{"": ""}', '{"\\ud800": 1}', '{"a": 1, "a": 2}', '"{}"'),
    *('[{"filename": "a", "content": "Yg=="}]', '[{"filename": "a"}, {"content": "b"}]', '[{"filename": 1}, "x"]'),
    '[{"filename": "a", "content": "b", "target_path": 5, "cleanup_imports_after_run": "x"}]',
    *(f'[{{"workflow_id": "{UUID}"}}]', '[{"workflow_id": "x", "inputs": []}, {}]', f'{{"workflow_id": "{UUID}"}}'),
]


def boundary_cases() -> Iterator[Case]:
    """Each field of each body in turn with each odd value; each odd body; each odd query, id and header."""
    for write in WRITES.values():
        for body in _with_odd_fields(write.model, write.valid):
            yield write.case(body)
        for body in requests.BULK_BODIES[: requests.BULK_BODIES.index(requests.bulk())]:
            yield write.case(body)
        for content_type in requests.CONTENT_TYPES:
            yield from (write.case(body, content_type=content_type) for body in (b"", json.dumps(write.valid).encode()))
    for body in _with_odd_fields(FileInput, {"filename": "a", "content": "b"}):
        yield WRITES["create"].case(b'{"workflow_id": "%b", "file_inputs": [%b]}' % (UUID.encode(), body))
    for body in _with_odd_fields(ChainStep, {"workflow_id": UUID}):
        yield WRITES["chain"].case(b'{"steps": [{}, %b]}' % body)
    for number in ("NaN", "-Infinity", "1e400"):
        yield WRITES["create"].case(
            b'{"workflow_id": "%b", "input_values": {"a": [%b]}}' % (UUID.encode(), number.encode())
        )
    for depth in (64, 200, 250, 300, 900, 100_000):
        nested = b"[" * depth + b"]" * depth
        yield WRITES["create"].case(b'{"workflow_id": "%b", "input_values": {"a": %b}}' % (UUID.encode(), nested))
        yield WRITES["create"].case(nested)
    for body in (b"a\xff", b"\xc3", b"\x00"):
        yield WRITES["bulk"].case(body, content_type="text/plain")
    yield from _reads()
    yield from _routes()
    yield from _headers()


def _with_odd_fields(model: type[BaseModel], valid: dict[str, Any]) -> Iterator[bytes]:
    for name in (*model.model_fields, "unknown"):
        others = "".join(f"{json.dumps(key)}: {json.dumps(value)}, " for key, value in valid.items() if key != name)
        yield f"{{{others.removesuffix(', ')}}}".encode()
        for value in ODD_VALUES:
            yield f'{{{others}"{name}": {value}}}'.encode()


LISTS = {
    "/v1/runs": ("limit", "skip", "status", "fields", "sort_mode", "created_at_from", "deep_search", "workflow_id"),
    "/v1/run-attachments": ("limit", "skip", "run_id", "attachment_type"),
    "/v1/machines": ("limit", "skip", "status", "name", "search"),
    "/v1/pools": ("limit", "skip"),
    "/v1/workflows": ("limit", "skip", "search"),
}
READS = ("/v1/runs/{}", "/v1/run-attachments/{}", "/v1/machines/{}", "/v1/pools/{}", "/v1/workflows/{}")
ODD_IDS = [*requests.IDS, UUID + "\n", "bulk", "chain", ".", "..", "%", "\x7f", "a" * 5000, "٣"]
TEXTS = [
    "",
    " ",
    "5",
    " 5 ",
    "5.0",
    "-1",
    "0",
    "1001",
    "x",
    "1e2",
    "true",
    "maybe",
    UUID,
    UUID[:-1],
    "success",
    "error",
]


def _reads() -> Iterator[Case]:
    for query in requests.QUERIES:
        yield Case("GET", f"/v1/runs?{query.decode('latin-1')}", content_type=None)
    for path, names in LISTS.items():
        for name in names:
            yield from (Case("GET", f"{path}?{urlencode({name: text})}", content_type=None) for text in TEXTS)
    for text in ["10", "9", "3600", "3601", *TEXTS]:
        target = f"/v1/run-attachments/{ATTACHMENT}/download-url?{urlencode({'expires_in': text})}"
        yield Case("GET", target, content_type=None)
    for path in (*READS, "/v1/run-attachments/{}/download"):
        yield from (Case("GET", path.format(quote(each, safe="")), content_type=None) for each in ODD_IDS)
    for each in ODD_IDS:
        yield Case("PATCH", f"/v1/runs/{quote(each, safe='')}", b'{"status": 5, "error": "x"}')
        yield Case("DELETE", f"/v1/runs/{quote(each, safe='')}", content_type=None)


def _routes() -> Iterator[Case]:
    paths = [
        "/",
        "/v1",
        "/v1/",
        "/v1/runs",
        "/v1/runs/",
        "/v1/runs//",
        "/v1//runs",
        "/V1/runs",
        "/v1/%72uns",
        "//v1/runs",
    ]
    paths += [
        "/v1/runs/bulk",
        "/v1/runs/bulk/",
        "/v1/runs/chain",
        "/v1/runs/bulk/retry",
        "/v1/runs/x",
        "/v1/runs%2Fbulk",
    ]
    paths += [f"/v1/runs/{UUID}", f"/v1/runs/{UUID}/", f"/v1/runs/{UUID}/retry", "/v1/runs/{run}", "/v1/health", "/x"]
    paths += ["/v1/runs/a%2Fb", "/v1/runs/%00", "/v1/runs/%", "/v1/runs/%ff", "/v1/runs/..", "/v1/machines/x/y"]
    for path in paths:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "HEAD", "OPTIONS"):
            yield Case(method, path, b"{}")


def _headers() -> Iterator[Case]:
    body = requests.bulk()
    for number, key in enumerate([b"a", b"", b" ", b"k" * 255, b"k" * 256, b"\xe9", b"\x01", b"a, b"]):
        token = f"test-key-{number}"
        yield Case("POST", "/v1/runs/bulk", body, headers=((b"idempotency-key", key),), token=token)
        yield Case("POST", "/v1/runs/bulk", b"{}", headers=((b"idempotency-key", key),), token=token)
    for value in (
        b"Basic dGVzdA==",
        b"Bearer",
        b"Bearer ",
        b"bearer test",
        b"Bearer  test",
        b"Bearer real",
        b"test",
        b"",
    ):
        for target in ("/v1/runs", f"/v1/runs/{UUID}x", "/v1/health"):
            yield Case("GET", target, content_type=None, headers=((b"authorization", value),), token="")
    for sent in (body, b"{}", b"{"):
        yield Case("POST", "/v1/runs/bulk", sent, token="")
    good = {b"authorization": b"Bearer test-x", b"idempotency-key": b"x", b"content-type": b"application/json"}
    bad = {b"authorization": b"Bearer real", b"idempotency-key": b"k" * 256, b"content-type": b"text/plain"}
    for name in good:
        others = [each for each in good.items() if each[0] != name]
        for first, second in ((good, bad), (bad, good)):
            headers = (*others, (name, first[name]), (name, second[name]))
            yield Case("POST", "/v1/runs/bulk", body, content_type=None, headers=headers, token="")


# --- Generated --------------------------------------------------------------------------------------------------------


def _objects_of(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Objects with some of the model's fields, each with a value that it may like, or with any."""
    liked = {
        str: st.text(max_size=8),
        bool: st.sampled_from([True, 0, "on"]),
        dict: st.just({"a": 1}),
        UUID: st.uuids(),
    }
    fields = {}
    for name, field in model.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        fields[name] = st.one_of(requests.junk, *(values for kind, values in liked.items() if kind in kinds))
    return st.fixed_dictionaries({}, optional=fields)


def _bodies(name: str) -> st.SearchStrategy[Any]:
    handmade = {
        "bulk": requests.bulk_bodies,
        "create": requests.bulk_bodies,  # its count is a property that a single create does not know
        "chain": requests.chain_bodies,
        "update": requests.update_bodies,
        "retry": requests.retry_bodies,
    }
    if name in handmade:
        return handmade[name]
    write = WRITES[name]
    return st.builds(lambda made: write.valid | made, _objects_of(write.model))


_damages = st.none() | st.tuples(st.integers(0, 10_000), st.integers(0, 255))


def _as_case(name: str, body: Any, damage: tuple[int, int] | None) -> Case:
    text = json.dumps(body).encode()
    return WRITES[name].case(text if damage is None else requests.damaged(text, *damage))


generated_writes = st.sampled_from(sorted(WRITES)).flatmap(
    lambda name: st.builds(_as_case, st.just(name), _bodies(name), _damages)
)
_query_values = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
generated_reads = st.sampled_from(sorted(LISTS)).flatmap(
    lambda path: st.lists(st.tuples(st.sampled_from(LISTS[path]), _query_values), max_size=4).map(
        lambda pairs: Case("GET", f"{path}?{urlencode(pairs)}", content_type=None)
    )
)
