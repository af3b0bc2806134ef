"""Lists of runs: complete, in pages of any size, filtered by anything and by anything together."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from contracts import strategies
from contracts.conversation import Heard, Talk, Unjudged, World, Written
from contracts.oracle import Violation, excerpt
from contracts.rules.listing import items_of, whole
from contracts.rules.reading import judge_read
from contracts.rules.rule import Rule
from contracts.search import Scenario
from contracts.shapes import moment_of
from contracts.shrinking import Case

GROUP = "Reading and changing"
_LISTS = ("list_runs",)
RULES = (
    Rule(
        "LIST-COMPLETE",
        "api",
        "Every created run is listed, once",
        "A run that was created and not deleted stands in the list of runs, and stands there once.",
        GROUP,
        needs=_LISTS,
    ),
    Rule(
        "LIST-PAGE",
        "api",
        "Pages put together give the whole",
        "In created_at_desc, pages of any size have no gaps and no repeats, newest first; skip and limit are those "
        "that were asked for (0 and 100 by default), a page is as full as it can be, and total is the number of all "
        "that match.",
        GROUP,
        needs=_LISTS,
    ),
    Rule(
        "LIST-FILTER",
        "api",
        "Filters give exactly the matching runs",
        "workflow_id, machine_id, session_id, status, created_at_from and created_at_to (inclusive), search and "
        "deep_search, each and together. search finds a part of a value in id, input_values, output_data, error and "
        "session_alias, in any case; deep_search also in run_message_history.",
        GROUP,
        needs=_LISTS,
    ),
)

Query = list[tuple[str, str]]


@dataclass
class Corner:
    """Runs that were made for one talk, and a filter that only they match."""

    filter: tuple[str, str]
    runs: list[dict[str, Any]] = field(default_factory=list)
    made: list[Written] = field(default_factory=list)
    _maker: dict[str, Written] = field(default_factory=dict)

    def add(self, written: Written) -> None:
        self.made.append(written)
        self.runs.extend(written.runs)
        self._maker.update(dict.fromkeys(written.ids, written))

    def has(self, run_id: str) -> bool:
        return run_id in self._maker

    def maker_of(self, run: Mapping[str, Any]) -> Written:
        """The create that the run came from."""
        return self._maker[run["id"]]


def within(corner: Corner, query: Query) -> Query:
    """A query among the runs of a corner. What searches by itself leaves out the search that marks the corner."""
    named = {name for name, _ in query}
    return query if corner.filter[0] in named else [corner.filter, *query]


def corner_fields(talk: Talk) -> tuple[tuple[str, str], dict[str, Any]]:
    """A filter that only the talk's runs match, and the fields of a create that make them so."""
    world = talk.world
    if world.workflows.invented:
        return ("workflow_id", talk.named("workflow")), {"workflow_id": talk.named("workflow")}
    fields = {"workflow_id": talk.named("workflow")}
    if world.sessions.invented:
        return ("session_id", talk.named("session")), fields | {"session_id": talk.named("session")}
    return ("search", talk.named("marker")), fields | {"input_values": {"marker": talk.named("marker")}}


def make_corner(talk: Talk, bodies: Sequence[Mapping[str, Any]]) -> Corner:
    if talk.world.is_live:
        return _make_live_corner(talk, bodies)
    chosen, fields = corner_fields(talk)
    corner = Corner(chosen)
    for body in bodies:
        own = dict(talk.fill(dict(body)))
        if "session_id" in fields:
            own.pop("start_session", None)  # with both, the session may be another
        if "input_values" in fields and isinstance(own.get("input_values"), dict):
            own["input_values"] = own["input_values"] | fields["input_values"]
        _add_to(talk, corner, fields | own)
    return corner


def _make_live_corner(talk: Talk, bodies: Sequence[Mapping[str, Any]]) -> Corner:
    """In a session that the first create starts: nothing else of a request that is known to work is touched."""
    corner = Corner(("session_id", ""))
    for body in bodies:
        joins = {"session_id": corner.filter[1]} if corner.runs else {"start_session": True}
        base = {"workflow_id": talk.named("workflow"), "count": 1} | talk.world.base_request
        _add_to(talk, corner, base | talk.fill(dict(body)) | joins)
        corner.filter = ("session_id", str(corner.runs[0].get("session_id")))
    return corner


def _add_to(talk: Talk, corner: Corner, body: Mapping[str, Any]) -> None:
    written = talk.create("bulk_create_runs", body)
    if not written.clean or not written.runs:
        raise Unjudged("a bulk create gives runs that break a rule already")
    corner.add(written)


# Pages


def check_pages(
    talk: Talk,
    corner: Corner,
    expected: Sequence[dict[str, Any]],
    query: Query,
    *,
    limit: int,
    sort: str = "created_at_desc",
) -> dict[str, dict[str, Any]] | None:
    """Reads a whole list in pages and judges it; the items by id, where nothing is wrong with them."""
    items, heards = whole(talk, query, limit=limit, sort=sort)
    created = [written.heard for written in corner.made[-2:]]
    for page, heard in enumerate(heards):
        listed = items_of(heard)
        _check_frame(talk, heard, skip=page * limit, limit=limit, created=created)
        if sort == "created_at_desc":
            moments = [moment_of(item.get("created_at")) for item in listed]
            known = [moment for moment in moments if moment is not None]
            talk.require(
                all(a >= b for a, b in itertools.pairwise(known)),
                "LIST-PAGE",
                "created_at_desc is not newest first",
                "newest first",
                "an older run before a newer one",
                *created,
                heard,
            )
    ids = [item.get("id") for item in items]
    own = {run["id"] for run in expected}
    totals = {heard.body.get("total") for heard in heards}
    if own == set(ids) and len(ids) == len(own):
        talk.require(
            totals == {len(own)},
            "LIST-PAGE",
            "total is not the number of runs",
            f"total {len(own)}",
            f"total {excerpt(json.dumps(sorted(totals, key=str)))}",
            *created,
            *heards[:2],
        )
    _check_repeats(talk, heards, created)
    there = set(ids)
    missing = [run for run in expected if run["id"] not in there]
    if missing:
        rule, how = locate(talk, corner, missing[0], query, limit)
        talk.fail(
            Violation(rule, how, f"{len(expected)} runs", f"{len(missing)} of {len(expected)} runs missing"),
            corner.maker_of(missing[0]).heard,
            *heards[:3],
        )
        return None
    return {str(item.get("id")): item for item in items}


def _check_frame(talk: Talk, heard: Heard, *, skip: int, limit: int, created: Sequence[Heard]) -> None:
    body = heard.body
    listed = items_of(heard)
    frame = {name: body.get(name) for name in ("total", "skip", "limit")}
    numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in frame.values())
    shaped = isinstance(body.get("items"), list) and len(listed) == len(body["items"])
    if not talk.require(
        numbers and shaped,
        "LIST-PAGE",
        "a list is not of its schema",
        "items, total, skip and limit",
        excerpt(json.dumps(frame)),
        heard,
    ):
        return
    right = frame["skip"] == skip and frame["limit"] == limit
    expected = f"skip {skip} and limit {limit}"
    talk.require(right, "LIST-PAGE", "skip or limit is not as asked", expected, excerpt(json.dumps(frame)), heard)
    full = min(limit, max(0, frame["total"] - skip))
    talk.require(
        len(listed) == full or frame["skip"] != skip or frame["limit"] != limit,
        "LIST-PAGE",
        "a page is not as full as total says",
        f"{full} items",
        lambda: f"{len(listed)} items with {json.dumps(frame)}",
        *created,
        heard,
    )


def _check_repeats(talk: Talk, heards: Sequence[Heard], created: Sequence[Heard]) -> None:
    seen: dict[Any, Heard] = {}
    for heard in heards:
        for item in items_of(heard):
            identity = item.get("id")
            if identity in seen:
                once = seen[identity] is heard
                talk.fail(
                    Violation(
                        "LIST-COMPLETE" if once else "LIST-PAGE",
                        "a run twice in one page" if once else "a run on two pages",
                        "every run once",
                        f"{identity} twice",
                    ),
                    *created,
                    *([heard] if once else [seen[identity], heard]),
                )
            seen[identity] = heard


def locate(talk: Talk, corner: Corner, run: Mapping[str, Any], query: Query, limit: int) -> tuple[str, str]:
    """Which rule a run breaks that is missing from a list: where else it can be found says so."""
    base = [corner.filter]
    extra = [pair for pair in query if pair != corner.filter]
    names = "+".join(sorted({name for name, _ in query}))
    if extra and _is_in(talk, run, base, 1000):
        return "LIST-FILTER", f"{names} misses a run"
    for other in (1000, 100, 37):
        if other != limit and _is_in(talk, run, query, other):
            return "LIST-PAGE", "a run is on no page"
    elsewhere: list[Query] = [
        [("search", str(run["id"]))],
        [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])],
    ]
    if run.get("session_id"):
        elsewhere.append([("session_id", run["session_id"])])
    elsewhere.append([("workflow_id", run["workflow_id"])])
    for other_query in elsewhere:
        if other_query != query and _is_in(talk, run, other_query, 1000):
            return "LIST-FILTER", f"{names} misses a run"
    if _is_among_newest(talk, run):
        return "LIST-FILTER", f"{names} misses a run"
    return "LIST-COMPLETE", "a created run is not listed"


def _is_in(talk: Talk, run: Mapping[str, Any], query: Query, limit: int) -> bool:
    try:
        items, _ = whole(talk, query, limit=limit)
    except Unjudged:
        return False
    return any(item.get("id") == run["id"] for item in items)


def _is_among_newest(talk: Talk, run: Mapping[str, Any]) -> bool:
    for page in range(6):
        heard = talk.call(
            "list_runs", query=[("limit", "1000"), ("skip", str(page * 1000)), ("sort_mode", "created_at_desc")]
        )
        items = items_of(heard)
        if any(item.get("id") == run["id"] for item in items):
            return True
        if len(items) < 1000:
            return False
    return False


def run_pages(talk: Talk, case: Case) -> None:
    """Runs of a corner of their own, listed whole in pages of several sizes, and each item compared."""
    corner = make_corner(talk, [{"count": count} | case.get("fields", {}) for count in case["counts"]])
    query: Query = [corner.filter]
    for limit in case["limits"]:
        items = check_pages(talk, corner, corner.runs, query, limit=limit)
        if items is None:
            continue
        for run in corner.runs:
            written = corner.maker_of(run)
            if not judge_read(talk, run, items[run["id"]], written.reading, (written.heard, talk.exchanges[-1])):
                break
        extra = [item for identity, item in items.items() if not corner.has(identity)]
        _no_strangers(talk, corner, extra, query)


def _no_strangers(talk: Talk, corner: Corner, extra: Sequence[Mapping[str, Any]], query: Query) -> None:
    if not extra:
        return
    name, value = corner.filter
    strangers = [item for item in extra if name == "search" or item.get(name) != value]
    filters = "+".join(sorted({name for name, _ in query}))
    talk.require(
        not strangers,
        "LIST-FILTER",
        f"{filters} gives others too",
        "only runs that match",
        lambda: f"{len(strangers)} others",
        corner.made[-1].heard,
        talk.exchanges[-1],
    )


def run_skips(talk: Talk, case: Case) -> None:
    """Single pages at any skip and limit, and the defaults."""
    corner = make_corner(talk, [{"count": count} for count in case["counts"]])
    ids = {run["id"] for run in corner.runs}
    total = len(ids)
    created = [written.heard for written in corner.made[-2:]]
    for skip, limit in case["windows"]:
        query: Query = [corner.filter, ("sort_mode", "created_at_desc")]
        query += [("skip", str(skip))] if skip is not None else []
        query += [("limit", str(limit))] if limit is not None else []
        heard = talk.ask("list_runs", query=query)
        _check_frame(talk, heard, skip=skip or 0, limit=100 if limit is None else limit, created=created)
        if corner.filter[0] != "search" and all(item.get("id") in ids for item in items_of(heard)):
            said = heard.body.get("total")
            cause, expected = "total is not the number of runs", f"total {total}"
            talk.require(said == total, "LIST-PAGE", cause, expected, f"total {said}", *created, heard)
        _check_repeats(talk, [heard], created)


def page_cases(world: World) -> Iterator[Case]:
    yield {"counts": [1], "limits": [1, 1000, 100]}
    yield {"counts": [25], "limits": [1, 2, 3, 5, 7, 10, 24, 25, 26, 100, 1000]}
    yield {"counts": [1, 2, 3, 1, 1, 2], "limits": [1, 2, 3, 4, 9, 10, 11, 1000]}
    yield {"counts": [101], "limits": [100, 99, 50, 51, 101, 33, 10]}
    yield {"counts": [250, 7], "limits": [100, 128, 64, 256, 250, 200, 1000]}
    yield {"counts": [1000, 101], "limits": [1000, 100, 750, 512]}
    for name, value in (
        ("input_values", strategies.INPUTS),
        ("file_inputs", [strategies.file()]),
        ("sensitive_input_values", strategies.SECRETS),
        ("start_session", True),
    ):
        yield {"counts": [3, 120], "fields": {name: value}, "limits": [1000, 50]}
    yield {"counts": [1000], "fields": {"input_values": strategies.INPUTS, "start_session": True}, "limits": [1000]}


def skip_cases(world: World) -> Iterator[Case]:
    windows = [
        [None, None],
        [0, None],
        [None, 1],
        [0, 1],
        [1, 1],
        [6, 1],
        [7, 1],
        [8, 1],
        [0, 7],
        [0, 8],
        [1, 7],
        [6, 7],
        [100, 100],
        [10_000, 1000],
        [0, 1000],
        [3, 2],
        [5, 3],
        [0, 999],
        [2, 100],
        [1, None],
        [5, None],
    ]
    yield {"counts": [3, 4], "windows": windows}
    yield {
        "counts": [101],
        "windows": [
            [None, None],
            [0, 100],
            [1, 100],
            [100, 1],
            [100, 100],
            [101, 100],
            [50, 51],
            [0, 101],
            [99, 2],
            [0, 50],
            [0, 500],
            [90, 10],
            [100, 1000],
        ],
    }
    yield {
        "counts": [1000, 5],
        "windows": [
            [0, 1000],
            [1000, 1000],
            [1004, 1000],
            [1005, 1000],
            [5, 1000],
            [999, 1],
            [None, None],
            [1, 1000],
            [6, 1000],
            [900, 100],
            [500, 500],
            [501, 500],
        ],
    }


# Filters


_WORDS: Final = ("contracts", "Kilo", "MIXEDcase")


def run_filters(talk: Talk, case: Case) -> None:
    """A dozen runs that differ in everything a filter can see, and queries over them."""
    corner, facts = _filter_runs(talk, case)
    for wish in case["queries"]:
        query, predicate = _wish(talk, corner, facts, wish)
        if query is None:
            continue
        full = within(corner, query)
        expected = [run for run in corner.runs if predicate(run) is True]
        allowed = {run["id"] for run in corner.runs if predicate(run) is not False}
        items = check_pages(talk, corner, expected, full, limit=case.get("limit", 1000))
        if items is None:
            continue
        wrong = [run for run in corner.runs if run["id"] in items and run["id"] not in allowed]
        names = "+".join(sorted(name for name, _ in query))
        talk.require(
            not wrong,
            "LIST-FILTER",
            f"{names} gives others too",
            "only runs that match",
            lambda wrong=wrong: f"{len(wrong)} others",  # type: ignore[misc]
            *(corner.maker_of(wrong[0]).heard for _ in wrong[:1]),
            talk.exchanges[-1],
        )
        strangers = [item for identity, item in items.items() if not corner.has(identity)]
        _no_strangers(talk, corner, strangers, full)


def _filter_runs(talk: Talk, case: Case) -> tuple[Corner, dict[str, Any]]:
    world = talk.world
    bodies: list[dict[str, Any]] = []
    for index in range(case.get("groups", 6)):
        body: dict[str, Any] = {
            "count": 1 + index % 3,
            "input_values": {
                "who": f"«marker:{index}»",
                "deep": {"list": [1, {"at": f"Deep«marker:{index + 20}»End"}]},
            },
        }
        if index == 1:
            body["input_values"] |= _hidden(talk)
            body["sensitive_input_values"] = {"k«marker:63»": "«secret»"}
            body["file_inputs"] = [strategies.file("f«marker:62».txt")]
        if index % 2 and world.machines.available and (world.machines.invented or index == 1):
            body["machine_id"] = f"«machine:{index % 4}»" if world.machines.invented else "«machine»"
        if index % 3 == 2 and world.sessions.invented and corner_name(world) != "session_id":
            body["session_id"] = f"«session:{index % 2}»"
        bodies.append(body)
    corner = make_corner(talk, bodies)
    facts: dict[str, Any] = {"cancelled": set(), "texts": {}}
    if world.offers("update_run"):
        for index, run in enumerate(corner.runs):
            if index % 3 == 0:
                heard = talk.call("update_run", run["id"], body={"status": "cancelled"})
                if heard.accepted and isinstance(heard.body, dict) and heard.body.get("status") == "cancelled":
                    facts["cancelled"].add(run["id"])
    if world.offers("update_run") and corner.runs:
        patched = corner.runs[0]
        texts = {
            "output_data": {"result": {"list": ["x", f"Out{talk.named('marker:40')}put"]}, "n": talk.named("number:1")},
            "error": ["plain", f"Err{talk.named('marker:41')}or"],
            "run_message_history": [
                {"role": "user", "content": "hello"},
                {"role": "tool", "content": [{"text": f"Msg{talk.named('marker:42')}Body"}]},
            ],
            "usage_metadata": {"u": talk.named("marker:64")},
        }
        for name, value in texts.items():
            heard = talk.call("update_run", patched["id"], body={name: value})
            if heard.accepted and isinstance(heard.body, dict) and heard.body.get(name) == value:
                facts["texts"][name] = patched["id"]
    if world.offers("create_run") and case.get("alias"):
        _, fields = corner_fields(talk)
        written = talk.create(
            "create_run", fields | {"session_alias": f"Ali{talk.named('marker:43')}as", "start_session": True}
        )
        if written.clean:
            corner.add(written)
            facts["texts"]["session_alias"] = written.runs[0]["id"]
    return corner, facts


def _hidden(talk: Talk) -> dict[str, Any]:
    """Inputs with words in places that a search comes to last, or not at all."""
    return {
        f"k{talk.named('marker:60')}": 1,
        "number": talk.named("number:0"),
        "long": "x " * 2000 + talk.named("marker:65"),
        "levels": [[{"a": {"b": [{"c": {"d": [1, None, {"e": talk.named("marker:61")}]}}]}}]],
        "second": ["x", talk.named("marker:66"), "y"],
        "joined": f"{talk.named('marker:67')} {talk.named('marker:68')}",
    }


def corner_name(world: World) -> str:
    return "workflow_id" if world.workflows.invented else "session_id" if world.sessions.invented else "search"


Predicate = Callable[[Mapping[str, Any]], bool | None]


def _wish(talk: Talk, corner: Corner, facts: Mapping[str, Any], wish: Sequence[Any]) -> tuple[Query | None, Predicate]:
    """Filters in the words of a case, and what they should find: True, False, or None for either."""
    query: Query = []
    predicates: list[Predicate] = []
    for name, *parts in wish:
        made = _one_wish(talk, corner, facts, name, parts)
        if made is None:
            return None, lambda run: None
        pairs, predicate = made
        query += pairs
        predicates.append(predicate)

    def together(run: Mapping[str, Any]) -> bool | None:
        answers = [predicate(run) for predicate in predicates]
        if False in answers:
            return False
        return None if None in answers else True

    return query, together


def _one_wish(
    talk: Talk, corner: Corner, facts: Mapping[str, Any], name: str, parts: Sequence[Any]
) -> tuple[Query, Predicate] | None:
    if not corner.runs:
        raise Unjudged("no runs to filter")
    run = corner.runs[parts[0] % len(corner.runs)] if parts and isinstance(parts[0], int) else corner.runs[0]
    match name:
        case "workflow_id":
            return [("workflow_id", run["workflow_id"])], lambda r: r["workflow_id"] == run["workflow_id"]
        case "machine_id":
            asked = [
                r
                for w in corner.made
                for r in w.runs
                if w.reading.given("machine_id") and not w.reading.given("session_id")
            ]
            if not asked:
                return None
            chosen = asked[parts[0] % len(asked)]["machine_id"]
            determined = {r["id"] for r in asked}
            return [("machine_id", chosen)], lambda r: r["machine_id"] == chosen if r["id"] in determined else None
        case "session_id":
            with_session = [r for r in corner.runs if r.get("session_id")]
            if not with_session:
                return None
            session = with_session[parts[0] % len(with_session)]["session_id"]
            return [("session_id", session)], lambda r: r.get("session_id") == session
        case "unknown":
            return [
                (parts[0], talk.named("uuid:77"))
            ], lambda r: False if parts[0] != "machine_id" else (False if r.get("machine_id") else None)
        case "status":
            status = parts[0]
            cancelled = facts["cancelled"]
            return [
                ("status", status)
            ], lambda r: (status == "cancelled") if r["id"] in cancelled else (None if status != "cancelled" else False)
        case "from" | "to":
            return _moment_wish(run, name, parts)
        case "search":
            return _search_wish(talk, corner, facts, parts)
    raise ValueError(name)


def _moment_wish(run: Mapping[str, Any], name: str, parts: Sequence[Any]) -> tuple[Query, Predicate] | None:
    """At the run's own moment, or a microsecond beside it, told in one of several ways."""
    moment = moment_of(run["created_at"])
    if moment is None:
        return None
    shift, way = parts[1], parts[2]
    at = moment + timedelta(microseconds=shift)
    match way:
        case "as given":
            text = run["created_at"] if not shift else at.isoformat()
        case "utc":
            text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case "east":
            text = at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
        case _:
            text = at.astimezone(timezone(timedelta(hours=-11))).isoformat()

    def at_or_after(r: Mapping[str, Any]) -> bool | None:
        own = moment_of(r["created_at"])
        return None if own is None else own >= at

    def at_or_before(r: Mapping[str, Any]) -> bool | None:
        own = moment_of(r["created_at"])
        return None if own is None else own <= at

    return [(f"created_at_{name}", text)], at_or_after if name == "from" else at_or_before


def _search_wish(
    talk: Talk, corner: Corner, facts: Mapping[str, Any], parts: Sequence[Any]
) -> tuple[Query, Predicate] | None:
    where, how = parts[0], parts[1]
    deep = len(parts) > 2 and parts[2]
    ids: set[str]
    if where == "id":
        run = corner.runs[len(corner.runs) // 2]
        text, ids = run["id"], {run["id"]}
    elif where == "part of id":
        run = corner.runs[-1]
        text, ids = run["id"][9:30], {run["id"]}
    elif where in {"input_values", "nested"}:
        index = 1 if where == "input_values" else 21
        text = talk.named(f"marker:{index}")
        ids = {r["id"] for r in corner.runs if text in json.dumps(r.get("input_values"))}
    elif where == "nothing":
        text, ids = talk.named("marker:99"), set()
    elif where in _HIDDEN:
        text = str(talk.named(_HIDDEN[where]))
        ids = {r["id"] for r in corner.runs if text in json.dumps(r.get("input_values"))}
    elif where in _UNSEARCHED:
        text, ids = str(talk.named(_UNSEARCHED[where])), set()
    elif where == "output number":
        if "output_data" not in facts["texts"]:
            return None
        text, ids = str(talk.named("number:1")), {facts["texts"]["output_data"]}
    elif where == "everything":
        if corner.filter[0] == "search":
            return None  # all talks' runs have that word
        text = talk.world.run_mark
        ids = {
            r["id"]
            for r in corner.runs
            if text in json.dumps(r.get("input_values")) or r["id"] in facts["texts"].values()
        }
    else:
        if where not in facts["texts"]:
            return None
        number = {"output_data": 40, "error": 41, "run_message_history": 42, "session_alias": 43}[where]
        text, ids = talk.named(f"marker:{number}"), {facts["texts"][where]}
        if where == "run_message_history" and not deep:
            ids = set()
    match how:
        case "upper":
            text = text.upper()
        case "mixed":
            text = "".join(c.upper() if i % 2 else c for i, c in enumerate(text))
        case "middle":
            text = text[3:-1]  # still with its whole number, which the markers of other runs do not have
    query = [("search", text)] + ([("deep_search", "true")] if deep else [])
    return query, lambda r: r["id"] in ids


_HIDDEN: Final = {
    "number": "number:0",
    "a long text": "marker:65",
    "many levels down": "marker:61",
    "second of a list": "marker:66",
    "second word": "marker:68",
}
_UNSEARCHED: Final = {
    "name of an input": "marker:60",
    "name of a file": "marker:62",
    "name of a secret": "marker:63",
    "usage_metadata": "marker:64",
}
"""Where a search does not look: only values of what it is documented to look at count."""
_ALONE: Final[tuple[Any, ...]] = (
    ["workflow_id", 0],
    ["machine_id", 0],
    ["machine_id", 2],
    ["session_id", 0],
    ["session_id", 1],
    ["unknown", "workflow_id"],
    ["unknown", "session_id"],
    ["unknown", "machine_id"],
    ["status", "cancelled"],
    ["status", "scheduling"],
    ["status", "running"],
    ["status", "success"],
    ["status", "task_failed"],
    ["status", "error"],
    *(["from", index, shift, way] for index in (0, 5, -1) for shift in (0, 1, -1) for way in ("as given", "utc")),
    *(["to", index, shift, way] for index in (0, 5, -1) for shift in (0, 1, -1) for way in ("as given", "utc")),
    *(
        [name, index, shift, way]
        for name in ("from", "to")
        for index in (0, 5)
        for shift in (0, 1, -1)
        for way in ("east", "west")
    ),
)
_SEARCHES: Final[tuple[Any, ...]] = (
    *(
        ["search", where, how]
        for where in (
            "id",
            "part of id",
            "input_values",
            "nested",
            "output_data",
            "error",
            "session_alias",
            "nothing",
            "everything",
        )
        for how in ("plain", "upper", "mixed", "middle")
    ),
    *(
        ["search", where, how, True]
        for where in (
            "id",
            "input_values",
            "nested",
            "output_data",
            "error",
            "session_alias",
            "run_message_history",
            "nothing",
            "everything",
        )
        for how in ("plain", "upper")
    ),
    ["search", "run_message_history", "plain"],
    *(["search", where, "plain"] for where in (*_HIDDEN, *_UNSEARCHED, "output number")),
    *(["search", where, "plain", True] for where in (*_HIDDEN, *_UNSEARCHED, "output number")),
)
_KINDS: Final[dict[str, list[Any]]] = {
    "workflow_id": ["workflow_id", 0],
    "machine_id": ["machine_id", 0],
    "session_id": ["session_id", 0],
    "status": ["status", "cancelled"],
    "from": ["from", 4, 0, "as given"],
    "to": ["to", 6, 0, "utc"],
    "search": ["search", "input_values", "plain"],
    "search everything": ["search", "everything", "plain"],
    "deep": ["search", "everything", "upper", True],
}


_BESIDE: Final[tuple[Query, ...]] = (
    [("fields", "input_values")],
    [("fields", "session_id"), ("fields", "error")],
    [("include", "workflow")],
    [("deep_search", "true")],
    [("deep_search", "false")],
)
"""What may stand in a query and changes nothing of what is found."""


def run_beside(talk: Talk, case: Case) -> None:
    """Pages of queries with more in them than filters."""
    corner = make_corner(talk, [{"count": count} for count in case["counts"]])
    for pairs in case["beside"]:
        query: Query = [corner.filter, *((name, value) for name, value in pairs)]
        for limit in case["limits"]:
            check_pages(talk, corner, corner.runs, query, limit=limit)


def beside_cases(world: World) -> Iterator[Case]:
    yield {"counts": [3, 2], "beside": [[list(p) for p in pairs] for pairs in _BESIDE], "limits": [1, 2, 100]}
    yield {"counts": [104], "beside": [[list(p) for p in pairs] for pairs in _BESIDE[:3]], "limits": [50, 1000]}


def filter_cases(world: World) -> Iterator[Case]:
    alone = [[wish] for wish in _ALONE]
    searches = [[wish] for wish in _SEARCHES]
    for queries in (
        alone[:14],
        alone[14:32],
        alone[32:],
        searches[:18],
        searches[18:36],
        searches[36:54],
        searches[54:],
    ):
        yield {"groups": 6, "queries": queries, "alias": True}
    pairs = [
        [one, other] for (a, one), (b, other) in itertools.combinations(_KINDS.items(), 2) if a[0:2] != b[0:2] or a == b
    ]
    pairs = [pair for pair in pairs if len({p[0] for p in pair}) == 2]
    yield {"groups": 6, "queries": pairs[: len(pairs) // 2]}
    yield {"groups": 6, "queries": pairs[len(pairs) // 2 :]}
    triples = [list(t) for t in itertools.combinations(_KINDS.values(), 3) if len({p[0] for p in t}) == 3]
    for start in range(0, len(triples), 25):
        yield {"groups": 6, "queries": triples[start : start + 25]}
    yield {"groups": 12, "queries": [[w] for w in _KINDS.values()] + pairs[::3], "limit": 2}
    pick = random.Random(world.target.seed)
    yield {
        "groups": 8,
        "queries": [pick.sample(list(_ALONE), 1) + pick.sample(list(_SEARCHES), 1) for _ in range(20)],
        "alias": True,
    }


# Filters that meet


_ATTRIBUTES: Final = ("workflow_id", "machine_id", "session_id", "status", "from", "to", "search", "deep")


@dataclass(frozen=True)
class Person:
    """A run, with what each filter would have to be to find it; a filter that is not here says nothing of it."""

    run: Mapping[str, Any]
    written: Written
    has: Mapping[str, Any]

    def is_found(self, asked: Mapping[str, Any]) -> bool | None:
        """Whether filters find it; None where nobody can say."""
        answers = [self._answer(name, value) for name, value in asked.items()]
        if False in answers:
            return False
        return None if None in answers else True

    def _answer(self, name: str, value: Any) -> bool | None:
        if name in {"from", "to"}:
            own, at = moment_of(self.run["created_at"]), moment_of(value)
            if own is None or at is None:
                return None
            return own >= at if name == "from" else own <= at
        if name not in self.has:
            return None
        own = self.has[name]
        return bool(own == value)


def run_meeting(talk: Talk, case: Case) -> None:
    """Runs of several makes, and filters two at a time and more: some that agree on a run, some that do not."""
    people = _people(talk)
    for asked_by in case["queries"]:
        asked = {name: people[at % len(people)].has.get(name) for name, at in asked_by}
        if not all(asked.values()) or not {"workflow_id", "session_id", "search", "deep"} & asked.keys():
            continue
        query: Query = []
        for name, value in asked.items():
            query += {
                "from": [("created_at_from", value)],
                "to": [("created_at_to", value)],
                "deep": [("search", value), ("deep_search", "true")],
            }.get(name, [(name, value)])
        heard = talk.ask("list_runs", query=[*query, ("limit", "1000")])
        listed = {item.get("id") for item in items_of(heard)}
        names = "+".join(sorted({name for name, _ in query}))
        talk.world.count("LIST-FILTER")
        for person in people:
            wanted, found = person.is_found(asked), person.run["id"] in listed
            if wanted is None or wanted == found:
                continue
            rule, cause = "LIST-FILTER", f"{names} gives others too"
            if wanted:
                corner = Corner(("search", person.run["id"]))
                corner.add(person.written)
                rule, cause = locate(talk, corner, person.run, query, 1000)
            talk.fail(
                Violation(rule, cause, "exactly the runs that match", "a run missing" if wanted else "another run"),
                person.written.heard,
                heard,
            )


def _people(talk: Talk) -> list[Person]:
    world = talk.world
    workflows = ["«workflow:0»", "«workflow:1»"] if world.workflows.invented else ["«workflow»", "«workflow»"]
    machines = ["«machine:10»", "«machine:11»"] if world.machines.invented else []
    sessions = ["«session:0»", "«session:1»"] if world.sessions.invented else []
    ways: list[tuple[str, int, dict[str, Any], str | None]] = [
        ("bulk_create_runs", 0, {"machine_id": machines[0]} if machines else {}, "cancelled"),
        ("bulk_create_runs", 1, {"machine_id": machines[1]} if machines else {}, None),
        ("bulk_create_runs", 0, {"session_id": sessions[0]} if sessions else {}, "cancelled"),
        ("create_run", 1, {"session_id": sessions[1], "session_alias": "x"} if sessions else {}, None),
        ("bulk_create_runs", 1, {"session_id": sessions[0]} if sessions else {}, "retried"),
        ("create_run", 0, {"machine_id": machines[1]} if machines else {}, "cancelled"),
    ]
    people: list[Person] = []
    for index, (operation, workflow, fields, then) in enumerate(ways):
        if not world.offers(operation):
            continue
        count = {"count": 2} if operation == "bulk_create_runs" else {}
        marker = talk.named(f"marker:{index}")
        body = {"workflow_id": workflows[workflow], "input_values": {"who": marker}} | fields | count
        written = talk.create(operation, body)
        if not written.clean or not written.runs:
            raise Unjudged("a create gives runs that break a rule already")
        has: dict[str, Any] = {
            "search": marker,
            "deep": marker.upper(),
            "session_id": written.runs[0]["session_id"] or "",
        }
        has |= {"workflow_id": written.runs[0]["workflow_id"]} if world.workflows.invented else {}
        has |= {"machine_id": written.runs[0]["machine_id"]} if "machine_id" in fields else {}
        for run in written.runs:
            at = {"from": run["created_at"], "to": run["created_at"]}
            people.append(Person(run, written, has | at | _status_after(talk, run, then)))
    return people


def _status_after(talk: Talk, run: Mapping[str, Any], then: str | None) -> dict[str, Any]:
    """What a filter of status should find the run by, after something was done to it. None is cancelled by itself."""
    if then is None:
        return {"status": ""}
    if not talk.world.offers("update_run"):
        return {}
    heard = talk.call("update_run", run["id"], body={"status": "cancelled"})
    if not heard.accepted or not isinstance(heard.body, dict) or heard.body.get("status") != "cancelled":
        return {}
    if then == "retried":
        talk.call("retry_run", run["id"], body={})
        return {}
    return {"status": "cancelled"}


def meeting_cases(world: World) -> Iterator[Case]:
    queries = []
    for a, b in itertools.combinations(_ATTRIBUTES, 2):
        if {a, b} != {"search", "deep"}:
            for at in range(9):
                queries += [[[a, at], [b, at]], [[a, at], [b, (at * 3 + 2) % 9]], [[a, at], [b, (at * 5 + 4) % 9]]]
    for at in range(0, 9, 3):
        for size in (3, 4, 7):
            for names in itertools.combinations(_ATTRIBUTES[:-1], size):
                queries.append([[name, at] for name in names])
                odd = names[(at + size) % size]
                queries.append([[name, (at + 4) % 9 if name == odd else at] for name in names])
    queries = [query for query in queries if {"workflow_id", "session_id", "search", "deep"} & {n for n, _ in query}]
    world.random("meeting filters").shuffle(queries)
    for start in range(0, 320, 40):
        yield {"queries": queries[start : start + 40]}


def run_large_filters(talk: Talk, case: Case) -> None:
    """Filters over many runs: what matches stands on every page, however large the page."""
    count = case["count"]
    session = (
        {"session_id": "«session:5»"}
        if talk.world.sessions.invented and corner_name(talk.world) != "session_id"
        else {}
    )
    machine = {"machine_id": "«machine:5»"} if talk.world.machines.invented else {}
    corner = make_corner(
        talk,
        [
            {"count": count, "input_values": {"who": "«marker:1»"}},
            {"count": 2, "input_values": {"who": "«marker:2»"}} | machine,
            {"count": count, "input_values": {"who": "«marker:3»"}} | session,
        ],
    )
    first, second, third = (written.runs for written in corner.made)
    at = moment_of(second[0]["created_at"])
    wishes: list[tuple[Query, Sequence[dict[str, Any]]]] = [
        ([("search", talk.named("marker:1"))], first),
        ([("search", talk.named("marker:2"))], second),
    ]
    moments = [moment_of(run["created_at"]) for run in corner.runs]
    if at is not None and None not in moments:
        since = [run for run, moment in zip(corner.runs, moments, strict=True) if moment is not None and moment >= at]
        until = [run for run, moment in zip(corner.runs, moments, strict=True) if moment is not None and moment <= at]
        wishes.append(([("created_at_from", second[0]["created_at"])], since))
        wishes.append(([("created_at_to", second[0]["created_at"])], until))
    if session:
        wishes.append(([("session_id", talk.named("session:5"))], third))
    for query, expected in wishes:
        for limit in case["limits"]:
            items = check_pages(talk, corner, expected, within(corner, query), limit=limit)
            if items is None:
                continue
            mine = {run["id"] for run in expected}
            wrong = [run for run in corner.runs if run["id"] in items and run["id"] not in mine]
            names = "+".join(sorted(name for name, _ in query))
            talk.require(
                not wrong,
                "LIST-FILTER",
                f"{names} gives others too",
                "only runs that match",
                lambda wrong=wrong: f"{len(wrong)} others",  # type: ignore[misc]
                *(corner.maker_of(wrong[0]).heard for _ in wrong[:1]),
                talk.exchanges[-1],
            )


def _span(runs: Sequence[Mapping[str, Any]]) -> tuple[tuple[datetime, str], tuple[datetime, str]]:
    """The first and the last moment at which runs of one create were made, each as it was told too."""
    moments = [(moment, run["created_at"]) for run in runs if (moment := moment_of(run["created_at"])) is not None]
    if not moments:
        raise Unjudged("no moment in created_at")
    return min(moments), max(moments)


def large_filter_cases(world: World) -> Iterator[Case]:
    yield {"count": 3, "limits": [1000, 2]}
    yield {"count": 120, "limits": [1000, 100, 50]}
    yield {"count": 1000, "limits": [1000, 500]}


# Unfiltered, fields, includes


def run_unfiltered(talk: Talk, case: Case) -> None:
    """Runs just made stand among the newest of a list without filters, once."""
    written = talk.some_runs(case["count"])
    want = {run["id"] for run in written.runs}
    oldest = min(filter(None, (moment_of(run["created_at"]) for run in written.runs)), default=None)
    found: list[str] = []
    heards: list[Heard] = []
    for page in range(12):
        query = [("limit", str(case["limit"])), ("skip", str(page * case["limit"]))]
        heard = talk.ask("list_runs", query=[*query, *([("sort_mode", "created_at_desc")] if case["sorted"] else [])])
        heards.append(heard)
        items = items_of(heard)
        found += [item["id"] for item in items if item.get("id") in want]
        moments = [moment_of(item.get("created_at")) for item in items]
        past = oldest is not None and any(moment is not None and moment < oldest for moment in moments)
        if len(items) < case["limit"] or want <= set(found) or (past and case["sorted"]):
            break
    else:
        return
    for heard in heards:
        _check_repeats(talk, [heard], [written.heard])
    missing = want - set(found)
    if missing:
        lost = next(run for run in written.runs if run["id"] in missing)
        reads = talk.world.offers("get_run") and talk.call("get_run", lost["id"]).accepted
        again, _ = whole(talk, [("search", lost["id"])])
        if not reads or talk.world.is_live:
            return
        talk.fail(
            Violation(
                "LIST-COMPLETE",
                "a created run is not listed",
                "every created run in the list",
                f"{len(missing)} of {len(want)} runs missing{', though a search finds them' if again else ''}",
            ),
            written.heard,
            *heards[:2],
        )


def unfiltered_cases(world: World) -> Iterator[Case]:
    for count, limit in ((1, 100), (3, 2), (101, 100), (1000, 1000)):
        yield {"count": count, "limit": limit, "sorted": True}


def run_views(talk: Talk, case: Case) -> None:
    """The same runs with other fields asked for, or related resources included: they read the same."""
    fields = dict(case["fields"])
    corner = make_corner(talk, [{"count": case.get("count", 2)} | fields])
    written = corner.made[0]
    always = ("id", "workflow_id", "machine_id", "status", "created_at")
    for query in case["queries"]:
        heard = talk.ask(
            "list_runs", query=[corner.filter, ("limit", "1000"), *[(k, v) for k, v in query]], after=[written.heard]
        )
        by_id = {item.get("id"): item for item in items_of(heard)}
        asked = [value for name, value in query if name == "fields"]
        for run in corner.runs:
            item = by_id.get(run["id"])
            if item is None:
                if run["id"] in {
                    i.get("id") for i in items_of(talk.ask("list_runs", query=[corner.filter, ("limit", "1000")]))
                }:
                    cause = "+".join(sorted({name for name, _ in query})) + " misses a run"
                    talk.fail(Violation("LIST-FILTER", cause, "all runs", "a run missing"), written.heard, heard)
                break
            lost = [name for name in always if name not in item]
            lost += [name for name in asked if name not in item and run.get(name)]
            ok = talk.require(
                not lost,
                "READ-BACK",
                "a field that was asked for is missing",
                f"{', '.join(lost)} in the item",
                "not there",
                written.heard,
                heard,
            )
            if not ok:
                break
            view = {name: run[name] for name in run if name in item and (not asked or name in asked or name in always)}
            if not judge_view(talk, view, item, written, heard):
                break


def judge_view(talk: Talk, view: dict[str, Any], item: dict[str, Any], written: Written, heard: Heard) -> bool:
    from contracts.oracle import changed_field, gains_inputs, stable_fields

    changed = changed_field(view, item, stable_fields(written.reading), may_gain=gains_inputs(written.reading))
    if changed is None:
        return talk.require(True, "READ-BACK", "", "", "")
    name, problem = changed
    talk.fail(
        Violation("READ-BACK", f"{name} reads otherwise", f"{name} as it was created", problem), written.heard, heard
    )
    return False


def view_cases(world: World) -> Iterator[Case]:
    fields: dict[str, Any] = {
        "input_values": strategies.INPUTS,
        "sensitive_input_values": strategies.SECRETS,
        "file_inputs": [strategies.file()],
        "start_session": True,
    }
    names = (
        "user_id",
        "organization_id",
        "error",
        "output_data",
        "input_attachment_ids",
        "output_attachment_ids",
        "run_message_history",
        "input_values",
        "pool_ids",
        "sensitive_input_aliases",
        "session_id",
        "session_alias",
        "release_session_after",
        "machine_id",
    )
    queries: list[Any] = [[["fields", name]] for name in names]
    queries += [[["fields", a], ["fields", b]] for a, b in itertools.pairwise(names)]
    queries += [[["fields", name] for name in names]]
    queries += [
        [["include", text]]
        for text in ("workflow", "machine", "machine.pools", "workflow,machine", "workflow,machine,machine.pools")
    ]
    queries += [
        [["include", "workflow"], ["fields", "input_values"]],
        [["sort_mode", "activity"]],
        [["deep_search", "true"]],
        [["deep_search", "false"]],
    ]
    yield {"fields": fields, "queries": queries}
    yield {
        "fields": fields,
        "queries": [[["fields", "input_values"]], [["fields", "session_id"]], [["include", "workflow"]]],
        "count": 120,
    }


def run_existing(talk: Talk, case: Case) -> None:
    """Runs that are there, whoever made them: a page of them, some filters, and each read by itself."""
    newest = [("limit", str(case["limit"])), ("sort_mode", "created_at_desc")]
    heard = talk.ask("list_runs", query=newest)
    _check_frame(talk, heard, skip=0, limit=case["limit"], created=())
    _check_repeats(talk, [heard], ())
    items = [item for item in items_of(heard) if isinstance(item.get("id"), str)]
    for item in items[:2]:
        if talk.world.offers("get_run"):
            read = talk.call("get_run", item["id"])
            if read.accepted and isinstance(read.body, dict):
                judge_read(talk, item, read.body, None, [heard, read])
    for name in ("workflow_id", "status", "session_id"):
        value = next((item[name] for item in items if isinstance(item.get(name), str)), None)
        if value is None:
            continue
        listed = talk.ask("list_runs", query=[(name, value), *newest])
        others = [item for item in items_of(listed) if item.get(name) != value]
        cause, expected = f"{name} gives others too", "only runs that match"
        talk.require(not others, "LIST-FILTER", cause, expected, f"{len(others)} others", listed)


# Values that match nothing


def run_nonsense(talk: Talk, case: Case) -> None:
    """A filter of a value that no run can have: refused, or taken and matching nothing."""
    corner = make_corner(talk, [{"count": 1}])
    for name, value in case["queries"]:
        if name == corner.filter[0]:
            query = [(name, value)]
        else:
            query = [corner.filter, (name, value)]
        heard = talk.call("list_runs", query=query)
        if not heard.accepted:
            continue
        found = [item for item in items_of(heard) if item.get("id") == corner.runs[0]["id"]]
        talk.require(
            not found,
            "LIST-FILTER",
            f"{name} of nonsense gives runs",
            "a refusal, or no run",
            "runs",
            corner.made[0].heard,
            heard,
        )


def nonsense_cases(world: World) -> Iterator[Case]:
    queries = [
        [name, value]
        for name in ("workflow_id", "machine_id", "session_id")
        for value in ("not-a-uuid", "0", "null", "x" * 40)
    ]
    queries += [["status", value] for value in ("nonsense", "SCHEDULED", "done", "0")]
    yield {"queries": queries}


SCENARIOS = (
    Scenario(
        "lists in pages",
        ("LIST-COMPLETE", "LIST-PAGE", "LIST-FILTER", "READ-BACK"),
        run_pages,
        page_cases,
        needs=_LISTS,
        telling=1,
    ),
    Scenario("single pages", ("LIST-PAGE",), run_skips, skip_cases, needs=_LISTS, telling=1),
    Scenario(
        "lists by filters",
        ("LIST-FILTER", "LIST-PAGE", "LIST-COMPLETE"),
        run_filters,
        filter_cases,
        needs=_LISTS,
        telling=1,
    ),
    Scenario(
        "pages with more than filters",
        ("LIST-PAGE", "LIST-FILTER", "LIST-COMPLETE"),
        run_beside,
        beside_cases,
        needs=_LISTS,
        telling=1,
    ),
    Scenario(
        "lists by filters that meet",
        ("LIST-FILTER", "LIST-COMPLETE"),
        run_meeting,
        meeting_cases,
        needs=_LISTS,
        telling=1,
    ),
    Scenario(
        "large lists by filters",
        ("LIST-FILTER", "LIST-PAGE"),
        run_large_filters,
        large_filter_cases,
        needs=_LISTS,
        telling=1,
    ),
    Scenario(
        "lists without filters",
        ("LIST-COMPLETE",),
        run_unfiltered,
        unfiltered_cases,
        needs=_LISTS,
        together=False,
        telling=1,
    ),
    Scenario("lists with other fields", ("READ-BACK", "LIST-FILTER"), run_views, view_cases, needs=_LISTS, telling=1),
    Scenario(
        "runs that are there",
        ("LIST-PAGE", "LIST-FILTER", "READ-BACK"),
        run_existing,
        lambda world: [{"limit": 5}, {"limit": 100}],
        needs=_LISTS,
        creates=False,
        telling=1,
    ),
    Scenario("filters of nonsense", ("LIST-FILTER",), run_nonsense, nonsense_cases, needs=_LISTS, telling=1),
)
