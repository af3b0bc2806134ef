"""The fast readers of the document find every value in doubt that jsonschema refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from contracts.openapi import strict
from contracts.openapi.schemas import document
from contracts.openapi.strict import differences, is_date_time, matches, success_requirements

READ = {"$ref", "anyOf", "enum", "type", "properties", "required", "items", "format"}
LIMITS = {"minItems", "minimum", "maximum", "exclusiveMinimum"}
NO_CONSTRAINTS = {"description", "default", "contentEncoding", "x-sensitive"}

RUN: dict[str, Any] = dict.fromkeys(document()["components"]["schemas"]["RunResponse"]["required"]) | {
    "id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "workflow_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "user_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "organization_id": "org",
    "status": "scheduling",
    "created_at": "2026-01-02T03:04:05Z",
}

UNUSUAL_VALUES: tuple[Any, ...] = (
    float("nan"), float("inf"), 1e300, 2**70, -(10**400), "\ud800", "3C90C3CC-0D44-4B50-8888-8DD25736052A",
    "2026-01-02 03:04:05Z", "2026-01-02T03:04:05", "2026-02-30T03:04:05Z", "2026-06-30T23:59:60Z",
    "2026-01-02T03:04:05.1234567890123Z", {"": None}, {"id": []}, [1.0, "\x00"],
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.0, 1.5, "", "x", "2026-01-02T03:04:05Z", "3c90c3cc-0d44-4b50-8888-8dd25736052a", [], [None],
    ["x"], [{}], {}, {"a": 1},
)  # fmt: skip


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    yield node
    for inner in [*node.get("properties", {}).values(), *node.get("anyOf", ())]:
        yield from schemas_in(inner)
    if isinstance(node.get("items"), dict):
        yield from schemas_in(node["items"])


@pytest.mark.parametrize("component", document()["components"]["schemas"])
def test_the_readers_know_every_keyword_of_the_document(component: str) -> None:
    for one in schemas_in(document()["components"]["schemas"][component]):
        assert one.get("additionalProperties", True) is True
        assert set(one) <= READ | LIMITS | NO_CONSTRAINTS | {"additionalProperties"}


@pytest.mark.parametrize("component", document()["components"]["schemas"])
def test_a_value_is_judged_as_jsonschema_alone_judges_it(component: str) -> None:
    schema = document()["components"]["schemas"][component]
    whole = {"$ref": f"#/components/schemas/{component}", "components": document()["components"]}
    alone = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker(formats=()))
    for value in VALUES:
        assert matches(component, value) == alone.is_valid(value) or isinstance(value, str)
        for name in schema.get("properties", {}):
            refused = not alone.is_valid({name: value}) and not _only_misses_fields(alone, {name: value})
            assert not (refused and _accepts_field(component, name, value)), (name, value)


@pytest.mark.parametrize("component", document()["components"]["schemas"])
def test_both_validators_agree(component: str) -> None:
    for schema in schemas_in(document()["components"]["schemas"][component]):
        validator = strict._Validator(schema)
        for value in (*VALUES, *UNUSUAL_VALUES):
            assert validator.is_valid(value) == validator._thorough.is_valid(value), (schema, value)


def _only_misses_fields(alone: Any, value: Any) -> bool:
    return all(error.validator == "required" and not error.absolute_path for error in alone.iter_errors(value))


def _accepts_field(component: str, name: str, value: Any) -> bool:
    return not [path for path in differences(component, {name: value}) if path[:1] == (name,)]


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"id": 5}, ("id",), "a string"),
        ({"id": "x"}, ("id",), "a UUID"),
        ({"status": "x"}, ("status",), "one of "),
        ({"pool_ids": "x"}, ("pool_ids",), "an array or null"),
        ({"created_at": "x"}, ("created_at",), "a date-time"),
    ],
)
def test_the_requirement_of_the_schema_is_named_for_a_wrong_part(change: dict[str, Any], path: Any, words: str) -> None:
    found = success_requirements("get_run", RUN | change)

    assert list(found) == [path]
    assert found[path].startswith(words)


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("0000-12-31T10:00:00Z", True),
        ("0000-02-29T10:00:00Z", True),
        ("0000-02-30T10:00:00Z", False),
        ("2016-12-31T23:59:60Z", True),
        ("10000-01-01T00:00:00Z", False),
    ],
)
def test_a_moment_need_not_be_one_that_datetime_holds(text: str, is_right: bool) -> None:
    assert is_date_time(text) is is_right


def test_the_requirement_of_the_most_similar_of_several_forms_is_named() -> None:
    found = success_requirements("get_run", RUN | {"included": [{"type": "machine"}]})

    assert found == {("included",): "valid (included.0.id must be present)"}
