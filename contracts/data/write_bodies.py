"""Bodies of the writes: the minimal body of each, its optional features, and combinations of features.

Bodies are data with placeholders («workflow», «session», «secret»), which `CaseContext.fill` replaces. So the same
seed gives the same cases, whatever ids the target has.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.data.files import file
from contracts.data.formats import FAR_MOMENTS
from contracts.data.limits import MAX_COUNT
from contracts.data.value_classes import Json
from contracts.openapi.schemas import SENSITIVE_FIELDS, body_properties

INPUTS: Final[dict[str, Any]] = {
    "name": "Ada",
    "visit": {"year": 2025, "urgent": False, "notes": None, "codes": [1, 2.5, "x"]},
    "empty": "",
    "nothing": None,
}
SECRETS: Final = {"password": "«secret»", "login": {"pin": "«secret:2»", "more": ["«secret:3»", 7]}}

_SHARED: Final[dict[str, tuple[Json, ...]]] = {
    "machine_id": ("«machine»",),
    "pool_ids": (["«pool:0»"], ["«pool:0»", "«pool:1»"]),
    "input_values": (INPUTS,),
    "file_inputs": ([file()], [file(), file("b.bin", b"\x00\xff", cleanup_imports_after_run=True)]),
    "sensitive_input_values": (SECRETS,),
    "session_id": ("«session»",),
    "start_session": (True,),
}
"""Per optional field of a create: values that have an effect."""
_ONLY_SINGLE: Final[dict[str, tuple[Json, ...]]] = {"session_alias": ("first",), "release_session_after": (True, False)}

_INPUTS: Final = ("input_values", "inputs", "shared_inputs")
EMPTY: Final[dict[str, tuple[Json, ...]]] = {
    **dict.fromkeys(("machine_id", "session_id", "session_alias"), (None,)),
    **dict.fromkeys(("pool_ids", "file_inputs", "shared_file_inputs"), (None, [])),
    **dict.fromkeys((*_INPUTS, *SENSITIVE_FIELDS), (None, {})),
    **dict.fromkeys(("start_session", "keep_session_after_completion"), (None, False)),
    **dict.fromkeys(("release_session_after", "reuse_session"), (None,)),
}
"""Per field: values that mean the same as leaving it out."""

CREATE_FEATURES: Final = {"bulk_create_runs": _SHARED, "create_run": _SHARED | _ONLY_SINGLE}
RETRY_FEATURES: Final[dict[str, tuple[Json, ...]]] = {
    "input_values": (INPUTS,),
    "sensitive_input_values": (SECRETS,),
    "file_inputs": _SHARED["file_inputs"],
    "machine_id": ("«machine»",),
    "pool_ids": _SHARED["pool_ids"],
    "reuse_session": (True, False),
    "session_id": ("«session»",),
    "start_session": (True,),
    "session_alias": ("again",),
    "release_session_after": (True, False),
}
CHAIN_FEATURES: Final[dict[str, tuple[Json, ...]]] = {
    "shared_inputs": ({"language": "en", "nested": {"a": [1, 2.5, None, True]}},),
    "shared_sensitive_inputs": ({"shared_password": "«secret:8»"},),
    "shared_file_inputs": ([file()],),
    "keep_session_after_completion": (True,),
    "machine_id": ("«machine»",),
    "pool_ids": _SHARED["pool_ids"],
    "session_id": ("«session»",),
}
STEP_FEATURES: Final[dict[str, tuple[Json, ...]]] = {
    "session_alias": ("«marker:%d»",),
    "inputs": ({"step": "«marker:%d»", "n": 1, "x": 1.5, "deep": {"list": [None, True]}},),
    "sensitive_inputs": ({"step_password": "«secret:%d»"},),
}
FEATURES: Final = CREATE_FEATURES | {"create_run_chain": CHAIN_FEATURES, "retry_run": RETRY_FEATURES}
"""Per write: its optional fields, with values that have an effect."""
UPDATE_VALUES: Final[dict[str, tuple[Json, ...]]] = {
    "error": (["first line", "second é😀"], ["x", "x"], []),
    "output_data": ({"result": 1, "deep": {"list": [1, 2.5, None, "é"]}}, {"a": "b"}, {}),
    "run_message_history": (
        [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [1, {"a": None}]}],
        [{}, {"role": "user"}, {"role": "user"}],
        [],
    ),
    "input_values": ({"changed": True, "n": 5, "x": 1.5}, {}),
    "usage_metadata": ({"tokens": 10, "cost": 0.25},),
    # Later than any created_at: a server may refuse a moment before it.
    "started_at": ("2099-01-02T03:04:05.678901Z", "2099-01-02T03:04:05+05:30"),
    "ended_at": ("2099-01-02T04:04:05.678901Z", FAR_MOMENTS[-1]),
    "release_session_after": (True, False),
    # Eight random ids are hardly ever in ascending order, so a server that sorts them is found.
    "output_attachment_ids": (["«uuid:1»"], [f"«uuid:{number}»" for number in range(8)]),
}

EVERYTHING: Final[dict[str, Any]] = {
    "input_values": INPUTS,
    "sensitive_input_values": SECRETS,
    "file_inputs": [file()],
    "start_session": True,
}
"""Every optional field of a create that needs no id."""
SOME_RESULTS: Final[dict[str, Any]] = {
    "output_data": INPUTS,
    "error": ["first", "second"],
    "run_message_history": [{"role": "user", "content": "hello"}],
    "usage_metadata": {"tokens": 10, "cost": 0.25, "model": "x"},
}
"""Results of a run, for an update."""

PLACEMENT: Final = ("machine_id", "pool_ids", "session_id", "start_session", "reuse_session")
"""The fields of a retry that say where the run works."""
OBJECT_FIELDS: Final = {
    "bulk_create_runs": "input_values",
    "create_run": "input_values",
    "create_run_chain": "shared_inputs",
    "update_run": "output_data",
    "retry_run": "input_values",
    "create_pool": "pool_parameters",
    "create_workflow": "input_schema",
}
"""Per write: a field that takes an object with any members."""


_OF_ANSWERS: Final[dict[str, Json]] = {
    **{"id": "«unknown»", "organization_id": "«uuid:5»", "user_id": "«uuid:6»", "status": "success", "count": 3},
    **{"created_at": "2001-02-03T04:05:06Z", "input_attachment_ids": ["«uuid:7»"], "workflow_id": "«uuid:8»"},
    "sensitive_input_aliases": {"key": "alias"},
}


def foreign_properties(operation: str) -> dict[str, Json]:
    """Return a valid value for each property that a run or another write has and the body of this write has not. A
    server ignores them, or refuses the body.
    """
    features = [{name: values[0] for name, values in each.items()} for each in (*FEATURES.values(), UPDATE_VALUES)]
    every = {name: value for each in (*features, _OF_ANSWERS) for name, value in each.items()}
    return {name: value for name, value in every.items() if name not in body_properties(operation)}


def minimal(operation: str, *, count: int = 1, steps: int = 1) -> dict[str, Json]:
    match operation:
        case "bulk_create_runs":
            return {"workflow_id": "«workflow»", "count": count}
        case "create_run":
            return {"workflow_id": "«workflow»"}
        case "create_run_chain":
            workflows = ["«workflow»", *(f"«workflow:{index}»" for index in range(1, steps))]
            return {"steps": [{"workflow_id": workflow} for workflow in workflows]}
        case "create_pool":
            return {"name": "contracts «marker»"}
        case "create_workflow":
            return {"main_prompt": "contracts «marker»"}
        case "add_machine_to_pool":
            return {"machine_ids": ["«machine»"]}
        case _:
            return {}


def runs_of(body: Any) -> int:
    """Return how many runs a correct server creates for a body at most; 1 if the server must refuse the body."""
    steps, count = (body.get("steps"), body.get("count")) if isinstance(body, dict) else (None, None)
    if isinstance(steps, list):
        return len(steps)
    return count if isinstance(count, int) and 1 <= count <= MAX_COUNT else 1


def for_step(value: Json, number: int) -> Json:
    """Return a feature of a step with the step's number in place of `%d`, so that each step has its own value."""
    return json.loads(json.dumps(value).replace("%d", str(number)))


_FULL_FILES: Final = [
    file(target_path="C:\\a.txt", cleanup_imports_after_run=False),
    file("b.txt", target_path="C:\\b.txt", cleanup_imports_after_run=True),
]
_FULL: Final[dict[str, Json]] = {
    **{key: {"marker": "«marker»", "n": 1} for key in ("input_values", "inputs")},
    **{key: {"pin": "«secret»"} for key in ("sensitive_input_values", "sensitive_inputs")},
    **dict.fromkeys(("file_inputs", "shared_file_inputs"), _FULL_FILES),
    "pool_ids": ["«pool:0»", "«pool:1»"],
    "start_session": False,
}
_FULL_OTHERS: Final[dict[str, dict[str, Json]]] = {
    "update_run": {name: values[0] for name, values in UPDATE_VALUES.items()} | {"status": "cancelled"},
    "create_pool": {"name": "contracts", "description": "made by a check"},
    "create_workflow": {"main_prompt": "contracts", "name": "made by a check", "is_webhooks_enabled": False},
    "add_machine_to_pool": {"machine_ids": ["«machine»", "«machine:1»"]},
}


def full(operation: str) -> dict[str, Json]:
    """Return a body with every field and several items in each list."""
    if operation in _FULL_OTHERS:
        return _FULL_OTHERS[operation]
    body = minimal(operation, count=2, steps=2)
    body |= {name: _FULL.get(name, values[0]) for name, values in FEATURES[operation].items()}
    if operation == "create_run_chain":
        step = {name: _FULL.get(name) for name in STEP_FEATURES} | {"workflow_id": "«workflow»"}
        body["steps"] = [step | {"session_alias": f"s{index}"} for index in range(2)]
    return body


def powerset(features: Mapping[str, Sequence[Json]]) -> Iterator[dict[str, Json]]:
    """Yield every subset of the features, smaller ones first. Each feature has its first value."""
    names = list(features)
    for size in range(len(names) + 1):
        for chosen in itertools.combinations(names, size):
            yield {name: features[name][0] for name in chosen}


def pairs(parameters: Mapping[str, Sequence[Json]]) -> list[dict[str, Json]]:
    """Return few rows that cover every pair of values of any two parameters (pairwise testing). Deterministic. A row
    does not have the parameters whose value is ABSENT in it.
    """
    names = list(parameters)
    choices = [[(name, index) for index in range(len(values))] for name, values in parameters.items()]
    uncovered = dict.fromkeys(
        pair for one, other in itertools.combinations(choices, 2) for pair in itertools.product(one, other)
    )
    rows: list[dict[str, Json]] = []
    while uncovered:
        row = dict(next(iter(uncovered)))
        for name in names:
            if name not in row:
                row[name] = max(range(len(parameters[name])), key=lambda i: _gain(uncovered, row, name, i))
        for pair in itertools.combinations([(name, row[name]) for name in names], 2):
            uncovered.pop(pair, None)
        rows.append(without_absent({name: parameters[name][row[name]] for name in names}))
    return rows


def with_and_without(values: Mapping[str, Sequence[Json]]) -> list[dict[str, Json]]:
    """Return few rows with and without the first value of each parameter, which cover every two of them. Those with the
    most parameters come first.
    """
    return sorted(pairs(absent_or_first(values)), key=len, reverse=True)


def _gain(uncovered: Mapping[Any, None], row: Mapping[str, int], name: str, index: int) -> int:
    """Return how many uncovered pairs a row covers with this value too."""
    choice = (name, index)
    return sum((choice, other) in uncovered or (other, choice) in uncovered for other in row.items())


ABSENT: Final = "«absent»"


def absent_or_first(features: Mapping[str, Sequence[Json]]) -> dict[str, list[Json]]:
    """Return two states of each field: absent, and its first value."""
    return {name: [ABSENT, values[0]] for name, values in features.items()}


def states(features: Mapping[str, Sequence[Json]]) -> dict[str, list[Json]]:
    """Return the states of each field: absent, each value that has an effect, null, and empty."""
    return {name: [ABSENT, *values, *EMPTY.get(name, ())] for name, values in features.items()}


def without_absent(row: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in row.items() if not (isinstance(value, str) and value == ABSENT)}
