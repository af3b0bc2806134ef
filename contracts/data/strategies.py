"""Hypothesis strategies for valid bodies with any combination of fields, beyond the fixed boundary values."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts.data import files, limits, texts
from contracts.data.json_values import DOUBLES, INTEGERS
from contracts.data.value_classes import Json

_text = st.text(max_size=40) | st.sampled_from([text for text in texts.UNUSUAL if len(text) < 300])
_scalar = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(INTEGERS)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(DOUBLES)
    | _text
)
json_values: Final[SearchStrategy[Json]] = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_text, inner, max_size=5), max_leaves=12
).filter(lambda value: "«" not in repr(value))
objects: Final[SearchStrategy[dict[str, Json]]] = st.dictionaries(_text, json_values, max_size=6).filter(
    lambda value: "«" not in repr(value)
)
secrets_objects: Final = st.dictionaries(
    st.sampled_from(["password", "pin", "é", "a.b", "token", "x y"]),
    st.recursive(
        st.sampled_from(["«secret»", "«secret:2»", "«secret:3»", "«secret-int:1»"]),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from(["k", "l"]), inner, min_size=1)
        ),
        max_leaves=5,
    ),
    max_size=4,
)
counts: Final = st.sampled_from((1, 1, 2, 3)) | st.integers(1, 30) | st.sampled_from(limits.sizes(1, 65))


def file_inputs() -> SearchStrategy[list[dict[str, Json]]]:
    file_input = st.fixed_dictionaries(
        {"filename": st.sampled_from(files.NAMES), "content": st.binary(max_size=300).map(files.content)},
        optional={
            "target_path": st.none() | st.sampled_from(["C:\\x.txt", "/tmp/é"]),
            "cleanup_imports_after_run": st.booleans(),
        },
    )
    return st.lists(file_input, max_size=4)


def bodies(operation: str, available: frozenset[str]) -> SearchStrategy[dict[str, Json]]:
    """Valid bodies of a create with any combination of fields. `available` names the id fields that may be used."""
    optional: dict[str, SearchStrategy[Json]] = {
        "input_values": st.none() | objects,
        "file_inputs": st.none() | file_inputs(),
        "sensitive_input_values": st.none() | secrets_objects,
        "start_session": st.sampled_from([None, False, True]),
        "is_priority": st.just(False),
    }
    ids: dict[str, SearchStrategy[Json]] = {
        "machine_id": st.sampled_from([None, "«machine»"]),
        "pool_ids": st.sampled_from(
            [None, [], ["«pool:0»"], ["«pool:0»", "«pool:1»"], ["«pool:0»", "«pool:1»", "«pool:2»"]]
        ),
        "session_id": st.sampled_from([None, "«session»"]),
    }
    optional |= {name: values for name, values in ids.items() if name in available}
    required: dict[str, SearchStrategy[Json]] = {"workflow_id": st.just("«workflow»")}
    if operation == "create_run":
        optional["session_alias"] = st.none() | st.sampled_from(["one", "é", "a b", "x" * 100])
        optional["release_session_after"] = st.sampled_from([None, False, True])
    else:
        required["count"] = counts
    return st.fixed_dictionaries(required, optional=optional).filter(
        lambda body: set(body.get("input_values") or ()).isdisjoint(body.get("sensitive_input_values") or ())
    )
