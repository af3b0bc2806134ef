"""The cases of `filtered_lists`: runs that differ in the fields that filters use, and the queries for them."""

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.core.findings import Rule
from contracts.core.statuses import STATUSES
from contracts.data import batches, file, in_turn
from contracts.data.combining import covering
from contracts.data.formats import FAR_MOMENTS, SAMPLE_ID, UNUSUAL_IDS
from contracts.data.json_values import nested, numbered
from contracts.data.limits import DEFAULT_LIMIT, LARGE_CREATE, LONG_WORD, MAX_LIMIT
from contracts.engine import Case, CheckContext, Scenario
from contracts.rules.filtered_lists import CANCEL_ALL, CHANGE_KINDS, Filter, FilterCase, run_filters, run_notations
from contracts.rules.isolated_runs import isolating_filter
from contracts.rules.lists import LISTS
from contracts.rules.reads_by_id import READING_AND_CHANGING
from contracts.rules.writes import with_available_ids

RULES = (
    Rule(
        "LIST-FILTER",
        "api",
        "major",
        "A filter of a list returns exactly what matches",
        "workflow_id, machine_id, session_id, status, created_at_from and created_at_to (inclusive), search and "
        "deep_search work alone and together. search finds a part of a value in id, input_values, output_data, error "
        "and session_alias, in any case; deep_search also in run_message_history. Machines can be filtered by name and "
        "status, and searched by name, hostname and id; workflows can be searched by name, main_prompt and id.",
        READING_AND_CHANGING,
        needs=LISTS,
    ),
)
_DEEP: Final = Filter("deep_search", "true")


# The runs


_HAS_ALL: Final = 5
"""The create whose first run has a value for every filter."""


def _different_creates(check: CheckContext, size: int) -> list[dict[str, Any]]:
    """Return creates whose runs differ in every field that a filter uses. Their inputs have words: «marker:0», …"""
    found: list[dict[str, Any]] = []
    for number in range(size):
        word = {"who": f"«marker:{number}»", "deep": {"list": [1, {"at": f"Inside«marker:{number + 20}»End"}]}}
        body: dict[str, Any] = {"count": 1 + number % 3, "input_values": word}
        if number % 2 and check.machines.available and (check.machines.accepts_any_id or number == 1):
            body["machine_id"] = f"«machine:{number % 4}»" if check.machines.accepts_any_id else "«machine»"
        if number % 3 == 2 and check.sessions.accepts_any_id and isolating_filter(check) != "session_id":
            # The machine may be kept in a session that starts with it, but not in one that has runs.
            body |= {"start_session": True} if number == _HAS_ALL else {"session_id": f"«session:{number % 2}»"}
        if number % 4 == 3 and check.workflows.has_several:
            body["workflow_id"] = "«workflow:1»"
        found.append(body)
    for body, value in zip(found, _VALUES_OF_ONE_NAME, strict=False):
        body["input_values"]["of several types"] = value
    if check.pools.known:
        found[0]["pool_ids"] = [check.pools.known[0]]  # the target may pick a machine, to filter by
    found[1]["input_values"] |= _INPUTS_HARD_TO_SEARCH
    # Inputs that look like the values of other filters, which must not match by them.
    named = {"status": "cancelled", "workflow_id": "«workflow»", "machine_id": "«machine»"}
    found[4]["input_values"] |= with_available_ids(check, named)
    found[1]["sensitive_input_values"] = {"k«marker:63»": "«secret»"}
    found[1]["file_inputs"] = [file("f«marker:62».txt")]
    if check.offers("create_run"):
        alias = {"session_alias": "Front«marker:43»Desk", "start_session": True}
        found.append({"input_values": {"who": f"«marker:{size}»"}, **alias})
    return found


_LONG_WORD: Final = "«marker:72»" + "z" * LONG_WORD
_LIKE_AN_ID: Final = SAMPLE_ID.replace("-", "")
_LIKE_A_NUMBER: Final = "00123456789012345678"
_INPUTS_HARD_TO_SEARCH: Final = {
    "k«marker:60»": 1,
    "o«marker:60»": {"l«marker:60»": [1]},
    "number": "«number:0»",
    "large number": "«large-number:0»",
    "long": "x " * 2000 + "«marker:65»",
    "levels": [[{"a": {"b": [{"c": {"d": [1, None, {"e": "«marker:61»"}]}}]}}]],
    "second": ["x", "«marker:66»", "y"],
    "joined": "«marker:67» «marker:68»",
    "long word": _LONG_WORD + "1",
    "one": "«marker:70»",
    "next": "«marker:71»",
    "short": "Zx",
    "sentence": "The invoices are paid",
    "like an id": _LIKE_AN_ID,
    "like a number": _LIKE_A_NUMBER,
    "accents": "Grüße 日本 😀 «marker:73»",
    "signs": """say "«marker:74»" \\ 100% 'x_y' {z}""",
}
"""Words in places where a search may overlook them."""
_VALUES_OF_ONE_NAME: Final = ("2026-01-31", "«marker:80»", 5, {"a": "«marker:81»"}, ["«marker:82»"])
"""An index may take the type of the first of them for all, as Elasticsearch does."""
_LARGE_INPUTS: Final[Sequence[Mapping[str, Any]]] = (
    numbered(2**11) | {"last": "«marker:1»"},
    {"list": [*range(2**11), "«marker:2»"]},
    {"long": "x " * 2**15 + "«marker:3»"},
    {"deep": nested(40, innermost="«marker:4»")},
)
"""An index may leave out a run with more than 1000 names, a text of more than 32 KiB or more than 20 levels."""
_ENGLISH_WORDS: Final = ("the", "are", "invoiced")
"""A full-text search leaves out the first two, and takes the third for another form of "invoices"."""
_SEARCHED_TEXTS: Final[Mapping[str, str]] = {
    "id": "",
    "input_values": "«marker:1»",
    "input_values, inside": "Inside«marker:21»End",  # with an I, whose small letter is another one in Turkish
    "output_data": "Out«marker:40»put",
    "error": "Err«marker:41»or",
    "run_message_history": "Msg«marker:42»Body",
    "session_alias": "Front«marker:43»Desk",
    "nothing": "«marker:99»",
}
"""Place → a text in it. A search must find the text, a part of it, and both in upper and lower case."""
_OTHER_TEXTS: Final[Mapping[str, str]] = {
    "a number": "«number:0»",
    "a number that no double holds": "«large-number:0»",
    "a number with zeros before it": "00«number:0»",
    "the end of a long text": "«marker:65»",
    "many levels down": "«marker:61»",
    "the second of a list": "«marker:66»",
    "a second word": "«marker:68»",
    "a second word as a plural": "«marker:68»s",
    "a number in output_data": "«number:1»",
    "letters beyond ASCII": "üße 日本 😀 «marker:73»",
    "signs": """"«marker:74»" \\ 100% 'x_y' {z}""",
    **{f"the wildcard {sign}": f"Insid{sign}«marker:21»" for sign in ("%", "_", "*", ".", "?")},
    "a long word": _LONG_WORD + "1",
    "a long word with another end": _LONG_WORD + "2",
    "the name of an input": "«marker:60»",
    "the name of a file": "«marker:62»",
    "the name of a secret": "«marker:63»",
    "usage_metadata": "«marker:64»",
    "a text under the name of a date": "«marker:80»",
    "an object under the name of a date": "«marker:81»",
    **{f"two values with {separator!r}": f"«marker:70»{separator}«marker:71»" for separator in ("", " ", ",", "\n")},
}
"""Place → a text in it. A search must find it, or must not find it if a search does not cover that place."""
_NOT_SEARCHED: Final = (
    *("workflow_id", "status", "machine_id", "created_at", "organization_id", "input_attachment_ids"),
    *("sensitive_input_aliases", "session_id", "pool_ids"),
)
"""Fields whose value a search must not find, unless another field has it too."""
_SET_BY_CREATE: Final = {"session_id": 2, "pool_ids": 0}
"""Field → the number of a create that sets it. Create 1 sets all others."""


# The queries

FIRST_QUERIES: Final = 10
MANY_QUERIES: Final = 80
"""Queries of the first case, and of each other one. Each case creates its own runs, so there are few cases."""


def _filters_alone() -> Iterator[Filter]:
    for name, creates in (("workflow_id", (0, 3)), ("machine_id", (0, 1, 3)), ("session_id", (2, 5))):
        yield from (Filter(name, create=create) for create in creates)
        yield Filter(name, "«uuid»")
    yield from (Filter("status", status) for status in sorted(STATUSES - {"running_checks"}))
    for name in ("created_at_from", "created_at_to"):
        yield from (Filter(name, moment) for moment in FAR_MOMENTS)
        for create, shift in itertools.product((0, 2, -1), (0, 1, -1)):
            # Few moments of the last tenth of a second differ in one digit of their fraction, so some have two.
            for way in ("plain", "utc", "east", "west", "second", "hundredth" if create == 2 else "tenth"):
                yield Filter(name, create=create, way=way, shift=shift)


def _searches(check: CheckContext) -> Iterator[Sequence[Filter]]:
    if isolating_filter(check) != "search":  # the runs of others may have these letters
        words = ("Zx", "zX", "z", _LIKE_AN_ID, _LIKE_A_NUMBER, *_ENGLISH_WORDS)
        yield from ([Filter("search", word)] for word in words)
    for text in _SEARCHED_TEXTS.values():
        for way in ("plain", "upper", "mixed", "middle"):
            yield [Filter("search", text, create=2, way=way)]
        for way in ("plain", "upper"):
            yield [Filter("search", text, create=2, way=way), _DEEP]
    for text in _OTHER_TEXTS.values():
        yield [Filter("search", text)]
        yield [Filter("search", text), _DEEP]
    for number, name in enumerate(_NOT_SEARCHED):
        create = _SET_BY_CREATE.get(name, 1)
        yield [Filter("search", create=create, of=name), *([_DEEP] if number % 2 else [])]


def _broad_first(queries: Iterable[Sequence[Filter]]) -> list[Sequence[Filter]]:
    """Put those queries first that together have every filter, way to write a value, and place of a text."""
    every = list(queries)
    first = covering(
        every,
        lambda query: (query[0].name, query[0].way),
        lambda query: (query[0].name, query[0].text, query[0].of),
        lambda query: (query[0].name, query[0].shift, len(query)),
    )
    return list(dict.fromkeys(map(tuple, [*first, *every])))


def filter_cases(check: CheckContext) -> Iterator[FilterCase]:
    creates = _different_creates(check, 6)
    queries = _broad_first(in_turn([([one] for one in _filters_alone()), _searches(check)]))
    if isolating_filter(check) != "search":  # else the runs of all cases have that word
        every_run = [Filter("search", check.search_prefix, way=way) for way in ("plain", "upper")]
        queries += [[one, *more] for more in ((), (_DEEP,)) for one in every_run]
    for some in (queries[:FIRST_QUERIES], *batches(queries[FIRST_QUERIES:], MANY_QUERIES)):
        yield FilterCase(creates, some, changes=CHANGE_KINDS)
    pick = random.Random(check.target.seed)
    alone, searches = list(_filters_alone()), list(_searches(check))
    both = [[pick.choice(alone), *pick.choice(searches)] for _ in range(20)]
    yield FilterCase(_different_creates(check, 8), both, changes=CHANGE_KINDS)
    kinds = ["status", "created_at_from", "created_at_to", "search", "machine_id", "session_id"]
    pages = [list(filters) for size in (1, 2) for filters in itertools.combinations(_one_of_each(kinds, 1), size)]
    yield FilterCase(_different_creates(check, 12), pages, limits=[1], changes=CHANGE_KINDS)
    # While a run is active, it may get the status by itself and change the pages.
    runs = {"count": 5, "input_values": {"who": _WORD}, "start_session": True}
    runs |= {"machine_id": "«machine»"} if check.machines.available else {}
    by_status = Filter("status", "cancelled")
    others = [Filter("search", _WORD), *map(Filter, ("machine_id", "session_id", "workflow_id", "created_at_from"))]
    ended = [[by_status], *([by_status, other] for other in others)]
    yield FilterCase([runs], ended, limits=[2], changes=(CANCEL_ALL,))
    deep = [Filter("search", _SEARCHED_TEXTS["run_message_history"]), _DEEP]
    yield FilterCase([{"count": 3}], [deep], limits=[2], changes=(CANCEL_ALL, "run_message_history"))
    large = [{"count": 1, "input_values": inputs} for inputs in _LARGE_INPUTS]
    yield FilterCase(large, [[Filter("search", f"«marker:{number}»")] for number in range(1, len(large) + 1)])
    for name, ids in (("machine_id", check.machines), ("session_id", check.sessions)):
        if ids.accepts_any_id and isolating_filter(check) != name:
            yield from (FilterCase([{"count": 1, name: unusual}], [[Filter(name)]]) for unusual in UNUSUAL_IDS)


def _one_of_each(names: Iterable[str], create: int) -> list[Filter]:
    """Return filters that match the runs of one create, if these runs have the values."""
    values = {"status": "cancelled", "search": f"«marker:{create}»"}
    return [Filter(name, values.get(name, ""), create) for name in names]


_COMBINED: Final = ("workflow_id", "machine_id", "session_id", "status", "created_at_from", "created_at_to", "search")


def combined_filter_cases(check: CheckContext) -> Iterator[FilterCase]:
    """Yield combinations of filters without the isolating filter: every pair, and some larger ones."""
    pairs = [*_combinations(check, 2)]
    larger = [query for size in (3, 4, 7) for query in _combinations(check, size)]
    # If any filter is dropped, one of these lists another run.
    all_filters = list(_filters_of_create(_COMBINED, _HAS_ALL))
    by_marker, by_id = Filter("search", f"«marker:{_HAS_ALL}»", _HAS_ALL), Filter("search", create=_HAS_ALL)
    by_ids = [[by_id if one == by_marker else one for one in query] for query in all_filters]
    shown = [[*query, other] for other in _CHANGE_WHAT_IS_SHOWN for query in all_filters]
    some_larger = check.random("combined filters").sample(larger, 80 - len(all_filters))
    queries = pairs + all_filters + by_ids + shown + some_larger
    for number, query in enumerate(queries):
        if number % 2 and any(one.name == "search" for one in query):
            query.append(_DEEP)
    queries += _searches_beside_filters()
    for some in (queries[:FIRST_QUERIES], *batches(queries[FIRST_QUERIES:], MANY_QUERIES)):
        yield FilterCase(_different_creates(check, 6), some, changes=CHANGE_KINDS, without_isolating_filter=True)


def _searches_beside_filters() -> Iterator[list[Filter]]:
    """Yield a search in each field that only an update sets, beside each other filter that matches the updated run."""
    for field in ("output_data", "error", "run_message_history"):
        search = Filter("search", _SEARCHED_TEXTS[field])
        for other in _one_of_each((name for name in _COMBINED if name != "search"), 0):
            yield [other, search]
            yield [other, search, _DEEP]


def _combinations(check: CheckContext, size: int) -> Iterator[list[Filter]]:
    """Return queries with this many filters, one of which finds only runs of the case."""
    isolating = {"search"}
    isolating |= {"workflow_id"} if check.workflows.accepts_any_id else set()
    isolating |= {"session_id"} if check.sessions.accepts_any_id else set()
    chosen = [names for names in itertools.combinations(_COMBINED, size) if isolating.intersection(names)]
    return in_turn(map(_filters_of_creates, chosen))


def _filters_of_creates(names: Sequence[str]) -> Iterator[list[Filter]]:
    for create in (_HAS_ALL, *range(_HAS_ALL)):
        yield from _filters_of_create(names, create)


_CHANGE_WHAT_IS_SHOWN: Final = (Filter("fields", "session_id"), Filter("include", "workflow"))
"""Parameters that change what is shown of a run, and not which runs are found."""


def _filters_of_create(names: Sequence[str], create: int) -> Iterator[list[Filter]]:
    """Yield filters that match the runs of one create, and variants of them with one filter that does not."""
    matching = _one_of_each(names, create)
    yield matching
    for place, name in enumerate(names):
        yield [*matching[:place], _filter_of_another_create(name, place, names, create), *matching[place + 1 :]]


def _filter_of_another_create(name: str, place: int, names: Sequence[str], create: int) -> Filter:
    """Return a filter that does not match the runs of the create: the value of another create, or a second away."""
    other = (create + 1 + place) % 6
    if name == "status":
        return Filter("status", "task_failed")
    if name.endswith("_id"):
        return Filter(name, create=create, way="other")
    if name == "created_at_from" and other <= create:
        return Filter(name, create=create, shift=1_000_000)
    if name == "created_at_to" and other >= create:
        return Filter(name, create=create, shift=-1_000_000)
    return _one_of_each(names, other)[place]


def neutral_parameter_cases(check: CheckContext) -> Iterator[FilterCase]:
    """Yield pages by queries with parameters that do not change which runs are found."""
    fields, include, search = Filter("fields", "input_values"), Filter("include", "workflow"), Filter("search", _WORD)
    others = [Filter("fields", "session_id"), Filter("fields", "error")]
    queries = [[fields], [*others, include], [include], [_DEEP], [Filter("deep_search", "false")]]
    queries += [[search, others[0]], [search, fields, _DEEP], [search, include]]
    inputs = {"input_values": {"who": _WORD}}
    newer = {"count": 3, "input_values": {"who": "«marker:2»"}}
    yield FilterCase([{"count": 3} | inputs, {"count": 2} | inputs, newer], queries, limits=[1, 2, DEFAULT_LIMIT])
    yield FilterCase([{"count": DEFAULT_LIMIT + 1} | inputs], queries, limits=[50, MAX_LIMIT])


_WORD: Final = "«marker:1»"


def consecutive_cases(check: CheckContext) -> Iterator[FilterCase]:
    """Yield lists that differ from the one before in one parameter, which the key of a cache may lack."""
    in_history = Filter("search", _SEARCHED_TEXTS["run_message_history"])
    queries: list[list[Filter]] = [[]]
    for one in (*_one_of_each(_COMBINED, 5), Filter("include", "workflow"), Filter("fields", "session_id")):
        queries += [[one], []]
    queries += [[in_history], [in_history, _DEEP], [in_history]]
    yield FilterCase(_different_creates(check, 6), queries, limits=[MAX_LIMIT, 3], changes=CHANGE_KINDS)


def large_filter_cases(check: CheckContext) -> Iterator[FilterCase]:
    """Yield filters over many runs: every match must be listed, and nothing else, in pages of any size."""
    few: dict[str, Any] = {"count": 2, "input_values": {"who": "«marker:2»"}}
    if check.machines.accepts_any_id:
        few["machine_id"] = "«machine:5»"
    queries = [[Filter("search", "«marker:1»")], [Filter("search", "«marker:2»")]]
    queries += [[Filter(name, create=1)] for name in ("created_at_from", "created_at_to")]
    queries += [[Filter("workflow_id")], [Filter("machine_id")]]
    machine = {"machine_id": "«machine:6»"} if check.machines.accepts_any_id else {}
    session = {}
    if check.sessions.accepts_any_id and isolating_filter(check) != "session_id":
        session = {"session_id": "«session:5»"}
        queries.append([Filter("session_id", create=2)])
    for count, others, limits in (
        (3, 3, [MAX_LIMIT, 2]),
        (DEFAULT_LIMIT + 1, DEFAULT_LIMIT + 1, [MAX_LIMIT, DEFAULT_LIMIT, 50]),
        (LARGE_CREATE, DEFAULT_LIMIT + 1, [MAX_LIMIT, MAX_LIMIT // 2]),
    ):
        many = {"count": count, "input_values": {"who": "«marker:1»"}} | machine
        yield FilterCase([many, few, {"count": others} | session], queries, limits)


def nonsense_cases(check: CheckContext) -> Iterator[FilterCase]:
    """Yield filters with values that no run can have."""
    ids = ("not-a-uuid", "0", "null", "x" * 40)
    queries = [[Filter(name, value)] for name in ("workflow_id", "machine_id", "session_id") for value in ids]
    queries += [[Filter("status", value)] for value in ("nonsense", "SCHEDULED", "done", "0")]
    yield FilterCase([{"count": 1}], queries, may_be_refused=True)


_RULES: Final = ("LIST-FILTER", "LIST-PAGE", "LIST-COMPLETE", "DELETE-GONE")
SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("lists with filters", _RULES, run_filters, filter_cases, needs=LISTS),
    Scenario(
        "pages with filters",
        _RULES,
        run_filters,
        neutral_parameter_cases,
        needs=LISTS,
        order=4,  # the first case sends some 100 requests
    ),
    Scenario("lists with filters combined", _RULES, run_filters, combined_filter_cases, needs=LISTS),
    Scenario("large lists with filters", _RULES, run_filters, large_filter_cases, needs=LISTS),
    Scenario(
        "consecutive lists",
        _RULES,
        run_filters,
        consecutive_cases,
        needs=LISTS,
        is_exclusive=True,  # else writes would empty a cache of lists
        order=2,
    ),
    Scenario("filters in other notations", ("LIST-FILTER",), run_notations, lambda check: [Case()], needs=LISTS),
    Scenario("filters with invalid values", ("LIST-FILTER",), run_filters, nonsense_cases, needs=LISTS),
)
