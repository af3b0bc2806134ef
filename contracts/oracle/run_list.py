"""Judges a list of runs by the query and the runs that are known.

`matches` returns whether a run matches a query. `list_violations` finds what is wrong with the pages of a list, and
`missing_runs` the runs that it should contain. If the contract does not determine whether a run matches, the result is
None and nothing is judged.
"""

import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from contracts.core.counting import counted
from contracts.core.json_tree import leaves
from contracts.core.statuses import TERMINAL
from contracts.openapi.schemas import is_uuid, moment_of
from contracts.oracle.request import ParsedRequest
from contracts.oracle.run import can_follow, stable_fields
from contracts.oracle.violation import Violation, returns_other_runs
from contracts.oracle.wording import run_in_words, value_in_words

Query = Sequence[tuple[str, str]]

NEWEST: Final = "created_at_desc"
_SEARCHED: Final = ("id", "input_values", "output_data", "error", "session_alias")
_SELECTS_NO_RUNS: Final = frozenset({"fields", "include", "sort_mode", "deep_search"})
"""Parameters that match every run. `deep_search` says where `search` looks."""
_SETTLED_AT_END: Final = ("status", "machine_id", "output_data", "error", "run_message_history")
"""Fields that may change without a request while a run is active, but not after its end."""
_SHORT: Final = 8
"""A word with fewer characters may occur by chance in a value that the target has written since."""
_SCALAR: Final = re.compile(r"[-+.0-9truefalsn]+", re.IGNORECASE)
"""A short word of these characters may be a part of a number or of `true`, `false` or `null`, which a target may write
in several ways. So a search must find it only in texts.
"""


@dataclass(frozen=True, slots=True)
class Absence:
    """Why no list may contain a run. The causes are those of the two violations: a list contains it, or counts it."""

    rule: str
    expected: str
    cause_if_listed: str
    cause_if_counted: str
    """Empty if a total alone does not show that it counts this run."""


DELETED: Final = Absence(
    "DELETE-GONE", "no deleted run in a list", "a deleted run is listed", "a deleted run is counted"
)
FOREIGN: Final = Absence(
    "AUTH-TENANT", "no run of another organisation in a list", "another organisation finds a run with list_runs", ""
)


@dataclass(frozen=True, slots=True)
class ListCandidate:
    """A run that a list may contain, as the last answer about it showed it.

    `fixed` are the fields that only a request can still change. `absence` says why no list may contain the run; None if
    a list may.
    """

    view: Mapping[str, Any]
    fixed: frozenset[str]
    absence: Absence | None = None

    @classmethod
    def of(cls, view: Mapping[str, Any], created_by: ParsedRequest | None, absence: Absence | None = None) -> Self:
        at_end = _SETTLED_AT_END if view.get("status") in TERMINAL else ()
        return cls(view, frozenset((*stable_fields(created_by), *at_end)), absence)

    @property
    def id(self) -> str:
        return str(self.view["id"])


def matches(run: ListCandidate, query: Query) -> bool | None:
    """Return whether the filters of a query find a run; None if the contract allows both. Raises ValueError for an
    unknown parameter.
    """
    answers = [_matches_one(run, name, value, query) for name, value in query]
    if False in answers:
        return False
    return None if None in answers else True


def _matches_one(run: ListCandidate, name: str, value: str, query: Query) -> bool | None:
    own = run.view.get(name)
    match name:
        case "created_at_from":
            return _is_in_order(value, run.view.get("created_at"))
        case "created_at_to":
            return _is_in_order(run.view.get("created_at"), value)
        case "search":
            return _has_word(run, value, query)
        case "workflow_id" | "session_id" | "machine_id" | "status" if name in run.fixed:
            return bool(own == value)
        case "status":  # also `cancelled`: a person, or the server, may cancel a run
            return None if can_follow(str(own), value) else False
        case "workflow_id" | "session_id" | "machine_id":
            return None if is_uuid(value) else False
        case _ if name not in _SELECTS_NO_RUNS:
            raise ValueError(f"unknown parameter of a list of runs: {name}")
    return True


def _is_in_order(earlier: Any, later: Any) -> bool | None:
    one, other = moment_of(earlier), moment_of(later)
    if one is None or other is None:
        return None
    if one == other and earlier != later and (_FINER.search(earlier) or _FINER.search(later)):
        return None  # the rest of the fraction decides, which `moment_of` leaves out
    return one <= other


_FINER: Final = re.compile(r"\.\d{7}")
"""A fraction of a second that is finer than microseconds."""


def _has_word(run: ListCandidate, word: str, query: Query) -> bool | None:
    """Return whether a search for the word must find the run; None if a field may have changed, or is not known."""
    fields = (*_SEARCHED, "run_message_history") if ("deep_search", "true") in query else _SEARCHED
    is_short = len(word) < _SHORT
    is_scalar = is_short and _SCALAR.fullmatch(word) is not None
    found = [
        name
        for name in fields
        if any(word.lower() in text for text in _texts(run.view.get(name), with_numbers=not is_scalar))
    ]
    if not run.fixed.isdisjoint(found):
        return True
    if is_scalar or (is_short and not run.fixed.issuperset(fields)):
        return None
    hidden = any(name == "fields" for name, _ in query) and not run.view.keys() >= set(fields)
    return None if found or hidden else False


def _texts(value: Any, *, with_numbers: bool) -> Iterator[str]:
    """Yield the values inside a JSON value as a search sees them: in small letters, without the names of members."""
    for _, leaf in leaves(value):
        if isinstance(leaf, str):
            yield leaf.lower()
        elif leaf is not None and with_numbers:
            yield json.dumps(leaf).lower()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, as it was asked for and answered."""

    skip: int
    limit: int
    body: Any

    @property
    def items(self) -> list[dict[str, Any]]:
        return items_in(self.body)

    @property
    def total(self) -> Any:
        return self.body.get("total") if isinstance(self.body, dict) else None

    @property
    def is_full(self) -> bool:
        return len(self.items) >= self.limit

    @property
    def lacks(self) -> int:
        """How many items the page lacks by its own total; negative if it has too many."""
        return min(self.limit, max(0, int(self.total) - self.skip)) - len(self.items)

    @property
    def counted_only(self) -> int:
        """How many more items `total` counts than the page has, if the whole list fits on the page."""
        return self.lacks if self.skip + self.limit >= int(self.total) else 0


def items_in(body: Any) -> list[dict[str, Any]]:
    """Return the items of a list; none if the body is not a list."""
    items = body.get("items") if isinstance(body, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


@dataclass(frozen=True, slots=True)
class ListViolation:
    """What is wrong with a list. `pages` are the numbers of the pages that show it."""

    violation: Violation
    pages: tuple[int, ...]
    run_id: str | None = None


def list_violations(
    pages: Sequence[Page], query: Query, runs: Collection[ListCandidate], *, are_all: bool = False
) -> Iterator[ListViolation]:
    """Yield what is wrong with pages of one list, the most specific violation first. `missing_runs` finds missing runs.

    The query has no `skip` and `limit`. `are_all`: only the candidates can match the query. Otherwise the list may have
    other runs, which are judged by what the list shows of them.
    """
    wrong_shapes = [(number, wrong) for number, page in enumerate(pages) if (wrong := _shape_violation(page))]
    yield from (ListViolation(wrong, (number,)) for number, wrong in wrong_shapes)
    if wrong_shapes:
        return
    listed = [(number, item) for number, page in enumerate(pages) for item in page.items]
    repeated = list(_repeated(listed))
    may_change = _may_change(query, runs, are_all=are_all)
    yield from (wrong for wrong in repeated if len(wrong.pages) == 1 or not may_change)
    yield from _unwanted(listed, query, {run.id: run for run in runs})
    if not may_change:
        yield from _counted_absent(pages, query, runs)
        if are_all or _is_whole(pages):
            yield from _miscounted(pages, query, runs)
    for number, page in enumerate(pages):
        violations = paging_violations(page, is_steady=not may_change)
        yield from (ListViolation(violation, (number,)) for violation in violations)
    if repeated:
        return  # where pages overlap, the order of all their items says nothing
    if ("sort_mode", NEWEST) in query:
        yield from _out_of_order(listed)
    else:
        yield from activity_violations(listed)


def _may_change(query: Query, runs: Collection[ListCandidate], *, are_all: bool) -> bool:
    """Return whether runs may enter or leave the list by themselves while it is read: between two pages, or between the
    items and the total of one page, which a server may read one after the other.
    """
    if {name for name, _ in query}.isdisjoint({"status", "machine_id"}):
        return False
    return not are_all or None in (matches(run, query) for run in runs)


def has_other_runs(page: Page, query: Query, runs: Collection[ListCandidate]) -> bool:
    """Return whether a page has a run that the filters of the query must not find."""
    known = {run.id: run for run in runs}
    return any(_wrong_filter(known.get(str(item.get("id"))), item, query) for item in page.items)


def missing_runs(pages: Sequence[Page], query: Query, runs: Collection[ListCandidate]) -> list[ListCandidate]:
    """Return the known runs that the list must contain and does not; none unless the pages are the whole list."""
    if not _is_whole(pages) or (len(pages) > 1 and _may_change(query, runs, are_all=True)):
        return []
    found = {item.get("id") for page in pages for item in page.items}
    return [run for run in runs if run.absence is None and run.id not in found and matches(run, query)]


def missing_in_words(missing: Sequence[ListCandidate], query: Query) -> str:
    """Describe a list in which these runs are missing."""
    names = {"created_at" if name.startswith("created_at") else name for name, _ in query} & set(missing[0].view)
    more = f" and {counted(len(missing) - 1, 'more run')}" if len(missing) > 1 else ""
    return f"a list without {run_in_words(missing[0].view, sorted(names))}{more}"


def _is_whole(pages: Sequence[Page]) -> bool:
    ends = (0, *(page.skip + page.limit for page in pages))
    return all(page.skip == end for page, end in zip(pages, ends, strict=False)) and not pages[-1].is_full


def filter_names(query: Query) -> list[str]:
    """Return the parameter names that a cause mentions; `sort_mode` is left out."""
    return sorted({name for name, _ in query} - {"sort_mode"})


def _shape_violation(page: Page) -> Violation | None:
    body: Mapping[str, Any] = page.body if isinstance(page.body, dict) else {}
    paging = {name: body.get(name) for name in ("total", "skip", "limit")}
    are_numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in paging.values())
    items = body.get("items")
    if are_numbers and isinstance(items, list) and len(items) == len(page.items):
        return None
    kind = counted(len(items), "item") if isinstance(items, list) else f"items {value_in_words(items)}"
    expected, got = "a list of items, and integers total, skip and limit", f"{kind} and {value_in_words(paging)}"
    return Violation("LIST-PAGE", "a list is not of its schema", expected, got)


def paging_violations(page: Page, *, is_steady: bool = True) -> Iterator[Violation]:
    """Yield what is wrong with `skip`, `limit` and `total` of a page of a list, which need not be a list of runs.

    `is_steady`: nothing can enter or leave the list meanwhile, so the number of items must fit the total.
    """
    if (wrong_shape := _shape_violation(page)) is not None:
        yield wrong_shape
        return
    reported = {name: page.body[name] for name in ("skip", "limit")}
    if reported != {"skip": page.skip, "limit": page.limit}:
        expected = f"skip {page.skip} and limit {page.limit}"
        yield Violation("LIST-PAGE", "skip or limit is not as asked", expected, value_in_words(reported))
    elif is_steady and page.lacks:
        expected = f"{counted(len(page.items) + page.lacks, 'item')} by this total"
        got = f"{counted(len(page.items), 'item')} with total {page.total}, skip {page.skip} and limit {page.limit}"
        yield Violation("LIST-PAGE", "a page has fewer items than total says", expected, got)


Listed = Sequence[tuple[int, Mapping[str, Any]]]
"""(number of the page, item)"""


def _repeated(listed: Listed) -> Iterator[ListViolation]:
    seen: dict[Any, int] = {}
    for number, item in listed:
        identity = item.get("id")
        if identity in seen:
            pages = tuple(sorted({seen[identity], number}))
            rule, cause = "LIST-PAGE", "a run on two pages"
            if len(pages) == 1:
                rule, cause = "LIST-COMPLETE", "a run twice in one page"
            yield ListViolation(Violation(rule, cause, "every run once", f"run {identity} twice"), pages)
        seen[identity] = number


def _unwanted(listed: Listed, query: Query, known: Mapping[str, ListCandidate]) -> Iterator[ListViolation]:
    others: list[tuple[int, Mapping[str, Any], ListCandidate | None, str]] = []
    for number, item in listed:
        identity = str(item.get("id"))
        run = known.get(identity)
        if run is not None and (absence := run.absence) is not None:
            got = f"run {identity} in the list"
            violation = Violation(absence.rule, absence.cause_if_listed, absence.expected, got)
            yield ListViolation(violation, (number,), identity)
        elif name := _wrong_filter(run, item, query):
            others.append((number, item, run, name))
    if others:
        number, item, run, name = others[0]
        identity = str(item.get("id"))
        cause = returns_other_runs(filter_names(query))
        field = "created_at" if name.startswith("created_at") else name
        view = {**(run.view if run is not None else {}), **item}
        shown = run_in_words(view, [field])
        where = _place_of(dict(query)[name], view) if name == "search" else ""
        more = f" and {counted(len(others) - 1, 'more run')}" if len(others) > 1 else ""
        got = f"{shown}{more}, which {'does' if len(others) == 1 else 'do'} not match {name}{where}"
        # The exchanges of this case do not contain the create of a run of another case, so `about` names that run.
        about = identity if run is None else ""
        violation = Violation("LIST-FILTER", cause, "only runs that match the filters", got, about=about, field=name)
        yield ListViolation(violation, (number,), None if run is None else identity)


def _place_of(text: str, run: Mapping[str, Any]) -> str:
    """Say where a run has a text, in brackets; empty if it has not."""
    for path, value in leaves(run):
        if any(text.lower() in str(name).lower() for name in path[1:]):
            return f" (the text is a name in {path[0]})"
        if isinstance(value, str) and text.lower() in value.lower():
            return f" (the text is in {path[0]})"
    return ""


def _wrong_filter(run: ListCandidate | None, item: Mapping[str, Any], query: Query) -> str | None:
    """Return the first filter that a listed run does not match, by its known state, or else by what the list shows."""
    shown = ListCandidate(item, frozenset(item))
    for name, value in query:
        answer = None if run is None else _matches_one(run, name, value, query)
        if answer is None:
            answer = _matches_one(shown, name, value, query)
        if answer is False:
            return name
    return None


def _counted_absent(pages: Sequence[Page], query: Query, runs: Collection[ListCandidate]) -> Iterator[ListViolation]:
    """Yield a violation if the total of a single page seems to count runs that match but must not be listed.

    If the total exceeds the items by more than the number of these runs, it is wrong for another reason.
    """
    absent = {run.id: run.absence for run in runs if run.absence is not None and matches(run, query) is not False}
    may_be_counted = {identity: absence for identity, absence in absent.items() if absence.cause_if_counted}
    if len(pages) == 1 and 0 < pages[0].counted_only <= len(may_be_counted):
        identity, absence = next(iter(may_be_counted.items()))
        got = f"total {pages[0].total} with {counted(len(pages[0].items), 'item')}"
        yield ListViolation(Violation(absence.rule, absence.cause_if_counted, absence.expected, got), (0,), identity)


def _miscounted(pages: Sequence[Page], query: Query, runs: Collection[ListCandidate]) -> Iterator[ListViolation]:
    """Yield a violation for each total that is not the number of matching runs, if that number is known."""
    answers = {run.id: matches(run, query) for run in runs if run.absence is None}
    expected = {identity for identity, answer in answers.items() if answer}
    listed = {item.get("id") for page in pages for item in page.items}
    if not expected or None in answers.values() or not listed <= expected or missing_runs(pages, query, runs):
        return
    for number, page in enumerate(pages):
        if page.total != len(expected):
            cause, right, got = "total is not the number of runs", f"total {len(expected)}", f"total {page.total}"
            yield ListViolation(Violation("LIST-PAGE", cause, right, got), (number,))


def activity_violations(listed: Listed) -> Iterator[ListViolation]:
    """Yield violations of the order by activity. Between two pages, a run may end, but none can become active again."""
    for (one, run), (other, next_run) in itertools.pairwise(listed):
        statuses = [run.get("status"), next_run.get("status")]
        have_ended = [status in TERMINAL for status in statuses]
        created = [moment_of(each.get("created_at")) for each in (run, next_run)]
        if have_ended == [True, False] and other - one in {0, 1}:
            cause, got = "activity is not the active runs first", f"a run {statuses[0]} before one {statuses[1]}"
            violation = Violation("LIST-PAGE", cause, "the active runs before those that ended", got)
            yield ListViolation(violation, tuple(sorted({one, other})))
        elif one != other:
            continue
        elif have_ended[0] == have_ended[1] and created[0] and created[1] and created[0] < created[1]:
            cause = "activity is not newest first"
            got = f"a run created at {created[0].isoformat()} before one created at {created[1].isoformat()}"
            expected = "the newest run first, of those that are active and of those that ended"
            yield ListViolation(Violation("LIST-PAGE", cause, expected, got), (one,))


def _out_of_order(listed: Listed) -> Iterator[ListViolation]:
    moments = [(number, moment) for number, item in listed if (moment := moment_of(item.get("created_at")))]
    for (one, earlier), (other, later) in itertools.pairwise(moments):
        if earlier < later:
            cause = "created_at_desc is not newest first"
            got = f"a run created at {earlier.isoformat()} before one created at {later.isoformat()}"
            yield ListViolation(Violation("LIST-PAGE", cause, "the newest run first", got), tuple(sorted({one, other})))
