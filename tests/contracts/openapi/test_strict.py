"""The fast readers of the document find every value in doubt that jsonschema refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from contracts.openapi.schemas import document
from contracts.openapi.strict import differences, matches

READ = {"$ref", "anyOf", "enum", "type", "properties", "required", "items", "format"}
LIMITS = {"minItems", "minimum", "maximum", "exclusiveMinimum"}
NO_CONSTRAINTS = {"description", "default", "contentEncoding", "x-sensitive"}

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


def _only_misses_fields(alone: Any, value: Any) -> bool:
    return all(error.validator == "required" and not error.absolute_path for error in alone.iter_errors(value))


def _accepts_field(component: str, name: str, value: Any) -> bool:
    return not [path for path in differences(component, {name: value}) if path[:1] == (name,)]
