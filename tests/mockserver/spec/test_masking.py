"""Nothing that stands under a sensitive name is shown in a violation."""

import json
import unicodedata
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.spec import Invalid, Operation, RawRequest, compile_operations, load, render_json
from mockserver.spec import violations as violations_module
from tests.mockserver.spec.inline import body_operation
from tests.mockserver.spec.requests import UUID

MASK = "**********"


@pytest.fixture(scope="module", params=["strict", "lax"])
def operations(request) -> dict[str, Operation]:
    return compile_operations(load(files("openapi") / "cyberdesk.yaml"), coercion=request.param)


def violations(operation: Operation, body: Any, *, content_type: str = "application/json") -> list[dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = {"run_id": UUID} if "run_id" in operation.path else {}
    with pytest.raises(Invalid) as caught:
        operation.decode(RawRequest(path, b"", {}.get, content_type, raw))
    return caught.value.violations


def test_a_sensitive_field_is_masked_in_the_body_that_lacks_another(operations):
    [first, second] = violations(
        operations["bulk_create_runs"], {"sensitive_input_values": {"pin": "correct-horse"}, "input_values": {"a": 1}}
    )

    assert first["input"] == second["input"] == {"sensitive_input_values": MASK, "input_values": {"a": 1}}


@pytest.mark.parametrize("value", ["correct-horse", ["correct-horse"], 12345, True, [["pin", "correct-horse"]]])
def test_a_sensitive_field_of_the_wrong_type_is_masked_as_a_whole(operations, value):
    body = {"workflow_id": UUID, "count": 1, "sensitive_input_values": value}

    assert violations(operations["bulk_create_runs"], body) == [
        {
            "type": "dict_type",
            "loc": ["body", "sensitive_input_values"],
            "msg": "Input should be a valid dictionary",
            "input": MASK,
        }
    ]


def test_a_sensitive_field_deep_inside_is_masked_where_it_stands(operations):
    steps = [{"workflow_id": UUID, "sensitive_inputs": {"pin": 1}}, {"sensitive_inputs": {"pin": 2}}, "x"]

    first, second = violations(operations["create_run_chain"], {"steps": steps})
    assert (first["loc"], first["input"]) == (["body", "steps", 1, "workflow_id"], {"sensitive_inputs": MASK})
    assert (second["loc"], second["input"]) == (["body", "steps", 2], "x")

    [whole] = violations(operations["create_run_chain"], {"steps": {"0": steps}})
    assert whole["input"] == {
        "0": [{"workflow_id": UUID, "sensitive_inputs": MASK}, {"sensitive_inputs": MASK}, "x"],
    }


@pytest.mark.parametrize(
    "name",
    [
        "sensitiveInputValues",
        "SENSITIVE_INPUT_VALUES",
        "sensitive-input-values",
        "my sensitive",
        "Sensitive",
        "s_ensitive",
    ],
)
def test_names_that_contain_sensitive_are_masked_however_they_are_written(operations, name):
    violation, _ = violations(operations["bulk_create_runs"], {"input_values": {"a": [{name: "correct-horse"}]}})

    assert violation["input"] == {"input_values": {"a": [{name: MASK}]}}


def test_null_under_a_sensitive_name_is_no_secret(operations):
    violation, _ = violations(operations["bulk_create_runs"], {"sensitive_input_values": None})

    assert violation["input"] == {"sensitive_input_values": None}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps(json.dumps({"sensitive_input_values": {"pin": "correct-horse"}})).encode(), "application/json"),
        (json.dumps([json.dumps({"sensitive_input_values": "correct-horse"})]).encode(), "application/json"),
        (b'{"sensitive_input_values": {"pin": "correct-horse"}}', "text/plain"),
        (b"sensitive_input_values%5Bpin%5D=correct-horse", "application/x-www-form-urlencoded"),
        ('{"sensitive_input_values": "correct-horse"}'.encode("utf-16"), "text/plain"),
        (b'\xff{"SensitiveInputs": "correct-horse"}', "text/plain"),
    ],
)
def test_text_that_contains_a_sensitive_name_is_masked_as_a_whole(operations, body, content_type):
    [violation] = violations(operations["bulk_create_runs"], body, content_type=content_type)

    assert violation["input"] in (MASK, [MASK])


def test_names_that_the_document_marks_are_masked_exactly_and_in_text():
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer"}, "pass_word": {"type": "string", "x-sensitive": True}},
    }
    operation = body_operation(schema)

    [violation] = violations(operation, {"pass_word": "correct", "PassWord": "horse", "password_hint": "battery"})
    assert violation["input"] == {"pass_word": MASK, "PassWord": MASK, "password_hint": "battery"}
    [violation] = violations(operation, {"pass_word": 5, "a": 1})
    assert violation["input"] == MASK
    [violation] = violations(operation, "password=correct")
    assert violation["input"] == MASK


def test_a_sensitive_query_value_is_masked():
    from mockserver.spec.document import from_value
    from tests.mockserver.spec.inline import document_of

    parameters = [{"name": "sensitive_pin", "in": "query", "schema": {"type": "integer"}}]
    get = {"operationId": "get", "parameters": parameters, "responses": {"204": {"description": "done"}}}
    operation = compile_operations(from_value(document_of({"/a": {"get": get}}), "api.yaml"), coercion="lax")["get"]

    with pytest.raises(Invalid) as caught:
        operation.decode(RawRequest({}, b"sensitive_pin=correct-horse", {}.get, None, b""))
    assert caught.value.violations[0]["input"] == MASK


def test_what_is_echoed_is_otherwise_exactly_what_was_sent(operations):
    values = {"text": "é\u0301\ud800", "big": 10**300, "deep": [[{"": None}]], "float": 1.0, "no": False}

    violation, _ = violations(operations["bulk_create_runs"], {"input_values": values})

    assert json.dumps(violation["input"]) == json.dumps({"input_values": values})


_secrets = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=20)
_names = st.sampled_from(
    ["sensitive_input_values", "sensitive_inputs", "shared_sensitive_inputs", "Sensitive-Pin", "sensitiveValue"]
)


def _hidden(secret: str) -> st.SearchStrategy[Any]:
    """JSON of any shape that contains the secret."""
    return st.recursive(
        st.just(secret),
        lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(st.text(max_size=4), inner, min_size=1),
        max_leaves=3,
    )


def _around(named: Any) -> st.SearchStrategy[Any]:
    """Bodies, valid and not, in which the object stands somewhere."""
    fields = st.sampled_from(
        ["input_values", "file_inputs", "pool_ids", "steps", "count", "workflow_id", "status", "error", "more"]
    )
    return st.recursive(
        st.just(named),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=2)
            | st.dictionaries(fields, inner, min_size=1, max_size=2)
            | st.builds(lambda one: {"workflow_id": UUID} | one if isinstance(one, dict) else one, inner)
            | st.builds(json.dumps, inner)
        ),
        max_leaves=3,
    )


@st.composite
def _bodies(draw: Any) -> tuple[str, Any]:
    secret = draw(_secrets)
    return secret, draw(_around({draw(_names): draw(_hidden(secret))}))


@settings(max_examples=150)
@given(
    _bodies(),
    st.sampled_from(["bulk_create_runs", "create_run", "update_run", "retry_run", "create_run_chain", "create_pool"]),
    st.sampled_from(["application/json", "text/plain", ""]),
    st.integers(0, 3),
)
def test_no_secret_is_ever_in_what_is_rendered(operations, secret_and_body, operation_id, content_type, cut):
    secret, body = secret_and_body
    text = json.dumps(body).encode()
    operation = operations[operation_id]
    path = {"run_id": UUID} if "run_id" in operation.path else {}

    rendered = answer(operation, RawRequest(path, b"", {}.get, content_type, text[: len(text) - cut]))

    assert secret.encode() not in rendered


def answer(operation: Operation, raw: RawRequest) -> bytes:
    try:
        operation.decode(raw)
    except Invalid as invalid:
        return render_json({"detail": invalid.violations or invalid.detail})
    return b""


@pytest.mark.parametrize(
    "name",
    [
        "sensitve_input_values",
        "senstive_input_values",
        "sensitive_imput_value",
        "sensitiveInputvalue",
        "sensetiv_inputs",
        "snsitve-inputs",
        "shared_sensitiv_input",
        "ｓｅｎｓｉｔｖｅ_inputs",
        "sénsitive",
        "SENSTIVE_INPUT_VALUES",
        "snstv_input_values",
    ],
)
def test_what_stands_under_a_misspelled_name_is_masked_however_the_body_is_written(operations, name):
    body = {"workflow_id": UUID, name: {"pin": "correct-horse"}}
    bulk = operations["bulk_create_runs"]
    text = json.dumps(body)
    quoted = "".join(f"={byte:02X}" for byte in text.encode())
    percent = "".join(f"%{byte:02x}" for byte in text.encode())
    for value, content_type in (
        (body, "application/json"),
        ({"input_values": [text]}, "application/json"),
        ({"input_values": json.dumps(text)}, "application/json"),
        (text.encode(), "text/plain"),
        (text.encode("utf-16"), "text/plain"),
        (json.dumps(text).encode(), "text/plain"),
        (text.replace("s", "\\u0073").encode(), "text/plain"),
        (text.replace("s", "&#115;").encode(), "application/xml"),
        (quoted.encode(), "multipart/form-data"),
        (percent.encode(), "application/x-www-form-urlencoded"),
        (percent.replace("%", "%25").encode(), "application/x-www-form-urlencoded"),
    ):
        for violation in violations(bulk, value, content_type=content_type):
            assert "correct-horse" not in json.dumps(violation)
            assert "correct-horse" not in json.dumps(violation, ensure_ascii=False)


@pytest.mark.parametrize("name", ["positive", "sensor", "input_values", "sensible", "extensive", "passive", "service"])
def test_names_that_only_have_some_letters_in_common_are_shown(operations, name):
    violation, _ = violations(operations["bulk_create_runs"], {name: {"a": "shown"}})
    assert violation["input"] == {name: {"a": "shown"}}


def test_combining_marks_are_never_normalised_as_a_row_which_takes_quadratic_time(operations, monkeypatch):
    normalised: list[str] = []
    normalize = unicodedata.normalize

    def recorded(form: Any, text: str) -> str:
        normalised.append(text)
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", recorded)
    marks = "a" + "\u0316\u0302" * 500

    [one, whole] = violations(operations["bulk_create_runs"], {"workflow_id": marks, "ｓensitive": 1})

    assert (one["input"], whole["input"]) == (marks, {"workflow_id": marks, "ｓensitive": MASK})
    assert set(map(len, normalised)) <= {1}


@pytest.mark.parametrize("escape", ["%{:02x}", "\\u{:04x}", "&#{:07};", "&#x{:06x};", "={:02X}", "\\x{:02x}"])
def test_a_long_text_is_unescaped_in_parts_that_cut_no_escape(operations, monkeypatch, escape):
    monkeypatch.setattr(violations_module, "_PART", 12)
    name = "".join(map(escape.format, b"sensitive_inputs"))

    for before in range(12):
        [violation] = violations(
            operations["bulk_create_runs"], b"x" * before + name.encode(), content_type="text/plain"
        )
        assert violation["input"] == MASK


def test_what_would_take_too_long_to_judge_is_masked(operations):
    bulk = operations["bulk_create_runs"]
    many = {f"sen{number}": "x" for number in range(20_100)}
    violation, _ = violations(bulk, {"input_values": many})
    shown = [name for name, value in violation["input"]["input_values"].items() if value == "x"]
    assert len(shown) == 20_000 - 3  # body, workflow_id and input_values are names too
    [violation] = violations(bulk, b"sen" * 5_000, content_type="text/plain")
    assert violation["input"] == MASK
    [violation] = violations(bulk, b"%41" * 100_000, content_type="text/plain")
    assert violation["input"] == MASK
