"""A schema by itself judges values by its letter."""

import pytest

from mockserver.spec import SpecError, Violations, compile_schema


def test_a_value_that_fits_has_no_violations():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"type": "integer"}},
    }

    assert compile_schema(schema, name="input_schema").violations({"n": 5, "more": [1]}, Violations()) == []


def test_all_violations_are_listed_with_their_place_in_the_value():
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}

    found = compile_schema(schema, name="input_schema").violations({"n": "5", "s": 1}, Violations())

    assert [(one["type"], one["loc"], one["input"]) for one in found] == [
        ("int_type", ["n"], "5"),
        ("string_type", ["s"], 1),
    ]


def test_a_schema_that_is_not_supported_is_refused_under_its_name():
    with pytest.raises(SpecError, match=r"^input_schema: #/components/schemas/schema/not: this keyword"):
        compile_schema({"not": {}}, name="input_schema")
