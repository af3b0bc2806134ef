"""The filters of the lists of machines and workflows, judged by what the lists themselves show."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from contracts.core.counting import counted
from contracts.data.limits import MAX_LIMIT
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, assume
from contracts.oracle import value_in_words
from contracts.rules.list_reads import WHOLE_PAGE, items_of, listed_item, paging_query, total_of
from contracts.rules.writes import create_resource

_SEARCHED: Final = {"list_machines": ("name", "hostname", "id"), "list_workflows": ("name", "main_prompt", "id")}
_MACHINE_FILTERS: Final = ("search", "name", "status")
_MAX_WORD: Final = 40
_NAMES_OF_NULL: Final = ("None", "null", "undefined", "nil")
"""What languages write for a value that is missing, if it is turned into a text."""


@dataclass(frozen=True)
class OtherFilterCase(Case):
    """`name` is the parameter. For a search, `field` is the field whose value is searched."""

    operation: str
    name: str
    field: str


def run_other_filter(context: CaseContext, case: OtherFilterCase) -> None:
    """Filter by a value of the first item that has one: that item must be listed, and no item without the value.

    Not judged if the target ignores the filter, which not every release has.
    """
    listed = context.call(case.operation, query=[WHOLE_PAGE])
    item, value = next(_with_value(listed, case), ({}, ""))
    assume(value, f"{case.operation} shows no {case.field} to filter by")
    word = value[:_MAX_WORD].swapcase() if case.name == "search" else value
    found = context.call(case.operation, query=[(case.name, word), WHOLE_PAGE])
    assume(found.accepted, f"{case.operation} answers {found.status}")
    other_word = _other_value(context, case.name, word)
    others = context.call(case.operation, query=[(case.name, other_word), WHOLE_PAGE])
    assume(not listed_item(others, item["id"]), f"{case.operation} ignores {case.name}")
    is_listed = listed_item(found, item["id"])
    cause, expected = f"{case.name} of {case.operation} leaves out a match", f"the item with this {case.field}"
    context.require(is_listed, "LIST-FILTER", cause, expected, listed, found, got="a list without that item")
    wrong = [each for each in items_of(found) if not _matches(each, case, word)]
    cause = f"{case.name} of {case.operation} finds what does not match"
    got = f"an item with {_in_words(wrong[0], _searched(case))}" if wrong else ""
    context.require(not wrong, "LIST-FILTER", cause, "only items that match", listed, found, got=got)
    _judge_total(context, case, word, found)
    _judge_total(context, case, other_word, others)
    if case.name == "name" and word != word.swapcase():
        other = context.call(case.operation, query=[("name", word.swapcase()), WHOLE_PAGE])
        wrong = [each for each in items_of(other) if each.get("name") == word]
        cause, expected = "a name in other capitals is taken for the name", "only items of exactly this name"
        context.require(not wrong, "LIST-FILTER", cause, expected, listed, other, got=f"an item with name {word}")


@dataclass(frozen=True)
class SearchForNullCase(Case):
    """The operation is that of a list with a search."""

    operation: str


def run_search_for_null(context: CaseContext, case: SearchForNullCase) -> None:
    """Search for what languages write for null. Items without a name, such as a new workflow, must not be found."""
    fields, created = _SEARCHED[case.operation], []
    if case.operation == "list_workflows" and context.check.offers("create_workflow"):
        created.append(create_resource(context, "create_workflow"))
    for word in _NAMES_OF_NULL:
        found = context.call(case.operation, query=[("search", word), WHOLE_PAGE])
        wrong = [item for item in items_of(found) if not _has_word(item, fields, word)]
        cause = f"a search of {case.operation} takes null for a text"
        expected, got = f"only items with {word!r}", f"an item with {_in_words(wrong[0], fields)}" if wrong else ""
        context.require(not wrong, "LIST-FILTER", cause, expected, *created, found, got=got)


@dataclass(frozen=True)
class TwoFiltersCase(Case):
    """The parameters of two filters at once."""

    operation: str
    names: tuple[str, str]


def run_two_filters(context: CaseContext, case: TwoFiltersCase) -> None:
    """Filter by two values of one item, which must be listed, and by one of them beside a value that it does not have.

    Not judged if the target ignores one of the filters.
    """

    def listed_by(values: Mapping[str, str]) -> CallResult:
        return context.call(case.operation, query=[*values.items(), WHOLE_PAGE])

    fields = {name: "name" if name == "search" else name for name in case.names}
    listed = context.call(case.operation, query=[WHOLE_PAGE])
    items = (item for item in items_of(listed) if all(_is_plain(item.get(field)) for field in fields.values()))
    item = next(items, {})
    assume(item, f"{case.operation} shows no item with {' and '.join(fields.values())}")
    values = {name: item[field] for name, field in fields.items()}
    found, others = listed_by(values), {name: _other_value(context, name, value) for name, value in values.items()}
    cause, expected = f"{' and '.join(case.names)} of {case.operation} leave out a match", "the item with both values"
    context.require(
        listed_item(found, item["id"]), "LIST-FILTER", cause, expected, listed, found, got="a list without it"
    )
    for name, other in others.items():
        alone, both = listed_by({name: other}), listed_by(values | {name: other})
        assume(not listed_item(alone, item["id"]), f"{case.operation} ignores {name}")
        cause = f"{case.operation} ignores {name} beside {next(each for each in case.names if each != name)}"
        got = f"an item with {fields[name]} {value_in_words(values[name])}"
        is_right = not listed_item(both, item["id"])
        context.require(is_right, "LIST-FILTER", cause, "only items that match both", listed, alone, both, got=got)


def _judge_total(context: CaseContext, case: OtherFilterCase, word: str, found: CallResult) -> None:
    """Require that the total counts the items that were found, and that no item comes after the last one. Not judged if
    the list has no paging, or changes meanwhile.
    """
    count, total = len(items_of(found)), total_of(found)
    if total is None or count == MAX_LIMIT:
        return
    after = context.call(case.operation, query=[(case.name, word), *paging_query(count, MAX_LIMIT)])
    if total == total_of(after) and after.body.get("skip") == count:
        cause = f"the total of {case.operation} with {case.name}"
        context.require(total == count, "LIST-PAGE", cause, f"total {count}", found, after, got=f"total {total}")
        cause, expected = f"a page of {case.operation} after the last match", f"no item with skip {count} of {count}"
        got = counted(len(items_of(after)), "item")
        context.require(not items_of(after), "LIST-PAGE", cause, expected, found, after, got=got)


def _other_value(context: CaseContext, name: str, value: str) -> str:
    """Return a value of a parameter that an item with `value` does not match."""
    if name == "status":
        return "connected" if value != "connected" else "disconnected"
    return str(context.placeholder("marker"))


def _with_value(listed: CallResult, case: OtherFilterCase) -> Iterator[tuple[Mapping[str, Any], str]]:
    for item in items_of(listed):
        value = item.get(case.field)
        if _is_plain(value):
            yield item, value


def _is_plain(value: object) -> TypeGuard[str]:
    """Whether a value is a text that reaches a server unchanged as a parameter."""
    return isinstance(value, str) and value.strip() == value and value.isascii() and value.isprintable()


def _matches(item: Mapping[str, Any], case: OtherFilterCase, word: str) -> bool:
    if case.name != "search":
        return item.get(case.field) == word
    return _has_word(item, _SEARCHED[case.operation], word)


def _has_word(item: Mapping[str, Any], fields: Iterable[str], word: str) -> bool:
    return any(word.lower() in text.lower() for field in fields if isinstance(text := item.get(field), str))


def _searched(case: OtherFilterCase) -> Sequence[str]:
    """Return the fields that the parameter filters by."""
    return _SEARCHED[case.operation] if case.name == "search" else (case.field,)


def _in_words(item: Mapping[str, Any], names: Iterable[str]) -> str:
    return " and ".join(f"{name} {value_in_words(item.get(name))}" for name in names)


def two_filters_cases(check: CheckContext) -> Iterator[TwoFiltersCase]:
    yield from (TwoFiltersCase("list_machines", names) for names in itertools.combinations(_MACHINE_FILTERS, 2))


def other_filter_cases(check: CheckContext) -> Iterator[OtherFilterCase]:
    for operation, fields in _SEARCHED.items():
        if check.offers(operation):
            yield from (OtherFilterCase(operation, "search", field) for field in fields)
    if check.offers("list_machines"):
        yield from (OtherFilterCase("list_machines", name, name) for name in _MACHINE_FILTERS[1:])


def search_for_null_cases(check: CheckContext) -> Iterator[SearchForNullCase]:
    yield from (SearchForNullCase(operation) for operation in _SEARCHED if check.offers(operation))


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "filters of other lists",
        ("LIST-FILTER", "LIST-PAGE"),
        run_other_filter,
        other_filter_cases,
        creates_runs=False,
        order=2,
        is_exclusive=True,  # other scenarios create workflows
    ),
    Scenario(
        "searches of other lists for the names of null",
        ("LIST-FILTER",),
        run_search_for_null,
        search_for_null_cases,
        creates_runs=False,
        order=2,
    ),
    Scenario(
        "two filters of machines",
        ("LIST-FILTER",),
        run_two_filters,
        two_filters_cases,
        needs=("list_machines",),
        creates_runs=False,
        order=2,
    ),
)
