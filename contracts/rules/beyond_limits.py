"""Requests beyond the documented limits: the server may accept or refuse them, but never answers 5xx, now or later."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.statuses import STATUSES_IN_ORDER
from contracts.data import batches, files, formats, in_turn, in_turn_by_kind, limits, texts, write_bodies
from contracts.engine import Case, CaseContext, CheckContext, Scenario
from contracts.openapi.fields import query_parameters
from contracts.openapi.schemas import MAX_DEPTH, MAX_DIGITS, MAX_TEXT, operations, resolved
from contracts.rules.list_reads import DEEP_SEARCH, NEWEST_FIRST
from contracts.rules.writes import (
    CREATES_OF_RUNS,
    OTHER_WRITES,
    WRITES_OF_RUNS,
    Body,
    Writes,
    created_ids,
    ids_for,
    in_batches,
    read_with_files,
    search_runs,
    send_all,
    send_each,
    workflow_filter,
)


def run_beyond_limits(context: CaseContext, case: Writes) -> None:
    """Send requests beyond what a server must accept, then read, list and change the runs that they created."""
    ids = ids_for(context, case.operation)
    if case.operation in OTHER_WRITES:
        send_all(context, case.operation, ids, case.bodies)
        return
    runs = [*ids]
    for result in send_each(context, case.operation, ids, case.bodies):
        new = [run_id for run_id in created_ids(result) if run_id not in runs]
        runs.extend(new)
        read_with_files(context, new[:1] or (ids if result.accepted else ()), files=_FILES, reads=2)
        if case.operation == "retry_run" and result.accepted:
            context.cancel(*ids)  # so that it can be retried again
    _change_runs(context, runs[:1])


def _change_runs(context: CaseContext, runs: Sequence[str]) -> None:
    """Send all operations that could fail with a 5xx because of the values that the runs have."""
    newest = [*workflow_filter(context), ("limit", "100"), NEWEST_FIRST]
    for run_id in runs:
        search_runs(context)
        for operation, ids, more in (
            ("update_run", (run_id,), {"body": {"release_session_after": True}}),
            ("update_run", (run_id,), {"body": {"status": "cancelled"}}),
            ("retry_run", (run_id,), {"body": {}}),
            ("list_runs", (), {"query": newest}),
            ("delete_run", (run_id,), {}),
        ):
            if context.check.offers(operation):
                context.call(operation, *ids, **more)


def unusual_cases(check: CheckContext) -> Iterator[Writes]:
    """Yield all unusual bodies of a bulk create, and a part of them for each other write, in turn."""
    for number, operation in enumerate((*WRITES_OF_RUNS, *OTHER_WRITES)):
        if not check.offers(operation) or (operation == "add_machine_to_pool" and not check.pools.known):
            continue
        bodies = list(unusual_bodies(operation))
        if operation != "bulk_create_runs":
            bodies = bodies[number % ONE_VALUE_IN :: ONE_VALUE_IN]
        if operation == "update_run":
            bodies += map(Body, _unusual_updates())
        if operation == "create_run_chain":
            bodies += _unusual_chains()
        if "session_alias" in write_bodies.FEATURES.get(operation, ()):
            bare = write_bodies.minimal(operation)
            bodies += [Body(bare | {"session_alias": alias}) for alias in ("", "\x00", "x" * MAX_TEXT)]
        light = _together(write_bodies.minimal(operation), [body for body in bodies if not _is_heavy(body)])
        yield from in_batches(operation, light, 20)
        if operation in {"bulk_create_runs", "update_run", "create_run_chain"}:
            heavy = [body for body in bodies if _is_heavy(body)]
            yield from (Writes(operation, tuple(batch)) for batch in batches(heavy, 3, max_bytes=16 * 2**20))


ONE_VALUE_IN: Final = 6
"""Writes other than the bulk create, and parameters other than `search`, get one in this many of the unusual values."""


def _is_heavy(body: Body) -> bool:
    return len(body.text or repr(body.json)) > 50_000


_FILES: Final = 8
"""The largest number of files in one combined body. All of them are read."""


def _together(bare: dict[str, Any], bodies: Iterable[Body]) -> Iterator[Body]:
    """Combine bodies that add different fields or files. If a combined body is refused, its `parts` are sent alone."""
    fields: dict[str, Any] = {}
    parts: list[Body] = []
    for body in (*bodies, Body()):
        changes = _changes(bare, body)
        file_inputs = [*fields.get("file_inputs", ()), *changes.get("file_inputs", ())]
        if parts and (not changes or changes.keys() & fields.keys() - {"file_inputs"} or len(file_inputs) > _FILES):
            yield Body(bare | fields, parts=tuple(parts)) if len(parts) > 1 else parts[0]
            fields, parts = {}, []
            file_inputs = changes.get("file_inputs", [])
        if changes:
            fields |= changes | ({"file_inputs": file_inputs} if file_inputs else {})
            parts.append(body)
        elif body != Body():
            yield body


def _changes(bare: dict[str, Any], body: Body) -> dict[str, Any]:
    """Return the optional fields of a create that a body adds to `bare`; none if the body differs in another way."""
    optional = write_bodies.CREATE_FEATURES["create_run"].keys()
    fields = body.json if isinstance(body.json, dict) else {}
    changes = {name: value for name, value in fields.items() if name not in bare}
    return changes if fields == bare | changes and changes.keys() <= optional else {}


# Bodies


def unusual_bodies(operation: str) -> Iterator[Body]:
    """Yield bodies beyond the limits of REQ-ACCEPT, and others whose outcome the contract does not determine."""
    bare = write_bodies.minimal(operation)
    field = write_bodies.OBJECT_FIELDS.get(operation, "machine_ids")
    is_bulk = operation == "bulk_create_runs"
    text = json.dumps(bare, ensure_ascii=False)
    yield from (Body(text=part) for part in _unusual_texts(text[:-1] + (", " if bare else ""), field, is_bulk=is_bulk))
    if bare:
        yield Body(text=f"{text[:-1]}, {text[1:]}")
    for size in (MAX_TEXT + 1, 900_000) if is_bulk else (MAX_TEXT + 1,):
        yield Body(bare | {field: {"value": "x" * size}})
        yield Body(bare | {field: "x" * size})
    for size in (10_000, 50_000) if is_bulk else (10_000,):
        yield Body(bare | {field: {f"k{index}": 1 for index in range(size)}})
    if is_bulk:
        yield Body(bare | {field: {"value": [0] * 100_000}})
    for content_type, other in zip(_CONTENT_TYPES, itertools.cycle(("", "a=1&b=2")), strict=False):
        for content in (text, other) if is_bulk else (text,):
            yield Body(text=content, content_type=content_type)
    yield Body(text="\xef\xbb\xbf" + text)
    yield Body(text="\xff\xfe" + "{\x00}\x00" if "«" in text else text.encode("utf-16").decode("latin-1"))
    if operation in {*CREATES_OF_RUNS, "retry_run"}:
        yield from (Body(bare | fields) for fields in _unusual_create_fields())


_NUMBERS: Final = (
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1E-999", "0." + "1" * 5000, "1" * (MAX_DIGITS + 1)),
    *("1" * 1000, "9" * 4300, "9" * 4301, "-" + "9" * 5000, "9" * 20_000),  # Python reads up to 4300 digits
)
_LONE_SURROGATES: Final = ("\\ud800", "\\udfff", "\\udc00\\ud800", "a\\ud83d")
_DEPTHS: Final = limits.above(MAX_DEPTH, 100_000)
_LARGE: Final = "x" * (2 * 1024 * 1024)


def _unusual_texts(head: str, field: str, *, is_bulk: bool) -> Iterator[str]:
    """Yield bodies as texts, each one `head` with another member. `field` takes an object.

    Each unusual value is the member of an object there, and each number a count; in other places the values take turns.
    """
    names = itertools.cycle((field, "unknown"))
    for number in _NUMBERS:
        yield f'{head}"{field}": {{"value": {number}}}}}'
        if is_bulk or len(number) < 20:
            yield f'{head}"{next(names)}": {number}}}'
        if is_bulk:
            yield f'{{"workflow_id": "«workflow»", "count": {number}}}'
    places = itertools.cycle((f'"{field}": "%s"', '"session_alias": "%s"', '"machine_id": "%s"', '"%s": 1'))
    for escape in _LONE_SURROGATES:
        yield f'{head}"{field}": {{"value": "{escape}"}}}}'
        yield f'{head}"{field}": {{"{escape}": 1}}}}'
        yield f"{head}{next(places)}}}" % escape
        yield f'{head}"error": ["{escape}"]}}'
        yield f'{head}"file_inputs": [{{"filename": "{escape}", "content": "YQ=="}}]}}'
    for index, depth in enumerate(_DEPTHS if is_bulk else _DEPTHS[::4]):
        yield f'{head}"{field}": {{"value": ' + "[" * depth + "]" * depth + "}}"
        if depth < 3000 and index % 2 == 0:
            yield f'{head}"{field}": ' + '{"a":' * depth + "1" + "}" * depth + "}"
        else:
            yield "[" * depth + "]" * depth
    if is_bulk:
        yield _LARGE
    yield f'{head}"{field}": {{"value": "{_LARGE}"}}}}'
    yield f'{head}"{field}": {{"a": 1, "a": 2}}}}'


_CONTENT_TYPES: Final = (
    *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x"),
    *("application/xml", "application/octet-stream", "image/png", "application/vnd.api+json", "application/x-ndjson"),
    *("application/json; charset=latin-1", "application/json; charset=utf-16", "application/json; charset=nonsense"),
    *("application/json;", "application/json, text/plain", "nonsense", "*/*", ";"),
)


def _unusual_create_fields() -> Iterator[dict[str, Any]]:
    for content in formats.UNUSUAL_BASE64:
        yield {"file_inputs": [{"filename": "a.txt", "content": content}]}
    for name in files.UNSAFE_NAMES:
        yield {"file_inputs": [{"filename": name, "content": "YQ=="}]}
    for path in ("", "\x00", "..", "x" * 5000):
        yield {"file_inputs": [files.file(target_path=path)]}
    yield {"file_inputs": [files.file(cleanup_imports_after_run=None)]}
    yield {"input_values": {"a": 1}, "sensitive_input_values": {"a": "«secret»"}}
    for unusual_id in ("«uuid:9»", *formats.UNUSUAL_IDS):
        yield {"machine_id": unusual_id}
        yield {"session_id": unusual_id}
    yield {"pool_ids": ["«uuid:9»", "«uuid:9»"]}
    yield {"pool_ids": ["«uuid:8»"] * 1000}


def _unusual_chains() -> Iterator[Body]:
    """Yield chains with unusual ids and references, several in one body. If it is refused, its parts are sent alone."""
    step = {"workflow_id": "«workflow»"}
    yield Body({"steps": [step] * limits.LARGE_CREATE})
    yield _joined_chains([{"workflow_id": unusual_id}] for unusual_id in formats.UNUSUAL_IDS)
    for unusual_id in formats.UNUSUAL_IDS:
        fields = ({"machine_id": unusual_id, "pool_ids": [unusual_id]}, {"session_id": unusual_id})
        parts = tuple(Body({"steps": [step]} | some) for some in fields)
        yield Body({"steps": [step]} | fields[0] | fields[1], parts=parts)
    references = ("a.outputs.x", "s9.outputs", "", None, 5, "..", "s0.outputs.x.y.z", "self")
    refers = ({"inputs": {"x": {"$ref": reference}}} for reference in references)
    yield _joined_chains([step | {"session_alias": f"s{number}"}, step | one] for number, one in enumerate(refers))
    yield Body({"steps": [step | {"session_alias": "same"}] * 2})


def _joined_chains(chains: Iterable[list[dict[str, Any]]]) -> Body:
    """Return one chain with the steps of all these chains, which are its `parts`."""
    parts = tuple(Body({"steps": steps}) for steps in chains)
    return Body({"steps": [step for part in parts for step in part.json["steps"]]}, parts=parts)


def _unusual_updates() -> Iterator[dict[str, Any]]:
    for status in (*STATUSES_IN_ORDER, None):
        yield {"status": status}
    yield from ({name: None} for name in write_bodies.UPDATE_VALUES)
    yield {}
    for value in (*formats.UNUSUAL_MOMENTS, *formats.NOT_MOMENTS, 0, -1, 1e18, 10**30, 1.5):
        yield {"started_at": value, "ended_at": value}
    yield {"output_attachment_ids": ["", "x", "«uuid:1»"]}
    moments = {"ended_at": "2024-01-01T00:00:00Z", "started_at": "2025-01-01T00:00:00Z"}
    yield {"status": "success", "output_data": {"a": 1}, **moments}


# Queries


@dataclass(frozen=True)
class OddQuery(Case):
    """With `again`, the parameter is sent a second time, with this value."""

    operation: str
    name: str
    values: tuple[str, ...]
    again: str | None = None
    is_deep: bool = False
    """Whether `deep_search` is sent with the parameter."""


_PAGE: Final = ("skip", "limit")
_MOMENTS: Final = ("created_at_from", "created_at_to")
_QUERY_NUMBERS: Final = (
    *("-1", "0", "1", "1.5", "1e3", "1001", "9" * 20, "9" * 400),
    *(str(width - 1) for width in (limits.WIDTHS[0], limits.WIDTHS[3])),  # a server may add another number to these
)
_VALUES_OF: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(_PAGE, _QUERY_NUMBERS),
    **dict.fromkeys(_MOMENTS, formats.UNUSUAL_MOMENTS),
}
"""Per parameter of a type other than text: unusual values of that type."""
_NOT_UTF_8: Final = tuple(
    text.decode(errors="surrogateescape")
    for text in (b"\xff", b"a\x80", b"\xc3(", b"\xc0\xaf", b"\xed\xa0\x80", b"a\xf0\x9f\x98")
)
"""Bytes that are no text in UTF-8: alone, without a first byte, cut, overlong, and a surrogate."""
_UNUSUAL_VALUES: Final = (
    *(text for text in texts.FEW if len(text) < 30),
    *_NOT_UTF_8,
    *(*_QUERY_NUMBERS, "x", "x" * limits.LONG_QUERY, "%", "[]", "[a", "(", "*"),
    *formats.UNUSUAL_MOMENTS,
    formats.UNUSUAL_IDS[0],
)
_SEARCH_SYNTAX: Final = (
    *("AND", "NOT", "x OR", "x:", '"x', "/x", "x^", "x~", "[x TO"),
    *("NEAR(", "*x", "x &", "!", "<->", "+", "-"),
)
"""Operators of Lucene, of SQLite and of the text searches of PostgreSQL and MySQL, without what they need."""
_SOME_INCLUDED: Final = ("workflow", "workflow,workflow")
_OFTEN_FAULTY: Final = ("search", *_PAGE, *_MOMENTS)
"""These parameters come first."""


def run_query(context: CaseContext, case: OddQuery) -> None:
    """Read with unusual query values: any answer except a 5xx is allowed, but a refusal must be JSON."""
    ids = [] if case.operation != "get_run" else [context.check.first_run or context.placeholder("unknown")]
    for value in case.values:
        more = [] if case.again is None else [(case.name, case.again)]
        if case.name not in _PAGE:
            more.append(("limit", "2"))  # the answer need not contain many runs
        if case.name in _MOMENTS:  # a server may compare both ends, one of which has no time zone
            more += [(name, formats.FAR_MOMENTS[-1]) for name in _MOMENTS if name != case.name]
        if case.is_deep:
            more.append(DEEP_SEARCH)
        if case.name == "skip" and case.operation == "list_runs":
            more.append(("search", "x"))  # an index for searches may have limits of its own
        context.call(case.operation, *ids, query=[(case.name, value), *more])


@in_turn_by_kind
def query_cases(check: CheckContext) -> Iterator[OddQuery]:
    """Yield all unusual values for a search of runs; for other parameters those of their type, and some others."""
    for operation, (_, template) in operations().items():
        documented = query_parameters(operation)
        if documented and check.offers(operation) and ("{" not in template or operation == "get_run"):
            names = [name for name in dict.fromkeys((*_OFTEN_FAULTY, *documented)) if name in documented]
            schemas = ((name, documented.get(name, {})) for name in (*names, "unknown"))
            yield from in_turn(_queries_with(operation, number, *each) for number, each in enumerate(schemas))


def _queries_with(operation: str, number: int, name: str, spec: Mapping[str, Any]) -> Iterator[OddQuery]:
    typed = _VALUES_OF.get(name, ())
    some = _UNUSUAL_VALUES[number % ONE_VALUE_IN :: ONE_VALUE_IN]
    every = (*_UNUSUAL_VALUES, *_SEARCH_SYNTAX) if name == "search" else some
    others = [value for value in every if value not in typed]
    if typed:
        yield OddQuery(operation, name, typed)
    for values in batches(others, 8):
        yield OddQuery(operation, name, tuple(values))
        if (operation, name) == ("list_runs", "search"):
            yield OddQuery(operation, name, tuple(values), is_deep=True)
    yield OddQuery(operation, name, ("1",), again="x")
    for valid in _SOME_INCLUDED if name == "include" else resolved(spec.get("items", spec)).get("enum", ())[:1]:
        yield OddQuery(operation, name, (valid,), again=valid)


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("unusual queries", ("NO-5XX",), run_query, query_cases, creates_runs=False),
    Scenario("values beyond the limits", ("NO-5XX",), run_beyond_limits, unusual_cases, order=8),
)
