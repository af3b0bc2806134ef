"""Bodies with values of every class in every place that takes any text or any JSON value: few bodies, many values.

A pack is an object with the values of one table of `value_classes`, at the top, in a list, and deeper. The packs of a
write rotate through its fields, so that after few bodies each field has had each pack. If a body fails, shrinking
reduces it to the value that causes the failure. Values that many servers refuse are in packs and bodies of their own.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.data import files, write_bodies
from contracts.data.combining import in_turn
from contracts.data.json_values import nested, numbered
from contracts.data.value_classes import IN_TEMPLATES, KEYS, NUMBERS, STRUCTURES, TEXTS, Json, ValueClass
from contracts.openapi.schemas import MAX_DEPTH, MAX_TEXT

_MANY: Final = 9_000
"""Members and items of the largest object and list."""
_STEP: Final = {"workflow_id": "«workflow»"}
_PIN: Final = {"pin": "«secret»"}


def _values(table: Mapping[str, ValueClass], *, refused: bool) -> dict[str, Json]:
    """Return the values of a table by name. A name is the name of the class and the number of the value in it."""
    return {
        f"{name} {number}": value
        for name, kind in table.items()
        if kind.is_often_refused is refused
        for number, value in enumerate(kind.values)
    }


def _pack(title: str, members: dict[str, Json]) -> dict[str, Json]:
    """Return an object that has the members at the top and again deeper, and their values in a list."""
    return {
        **members,
        f"list of {title}": list(members.values()),
        f"deeper {title}": {"list": [None, {"members": members}]},
    }


def _packs(*, refused: bool) -> list[dict[str, Json]]:
    title = "refused" if refused else "altered"
    found = [
        _pack(f"{title} {kind}", _values(table, refused=refused))
        for kind, table in (("texts", TEXTS), ("numbers", NUMBERS), ("structures", STRUCTURES))
    ]
    keys = [key for kind in KEYS.values() if kind.is_often_refused is refused for key in kind.values]
    if not refused:
        found[0][IN_TEMPLATES] = "what a template is filled with"
    return [*found, _pack(f"{title} names", {key: index for index, key in enumerate(keys)})]


_LARGE: Final[dict[str, Json]] = {
    "long text": "x" * MAX_TEXT,
    "wide text": "😀" * (MAX_TEXT // 5),
    "many items": [f"item {index}" for index in range(_MANY)],
    "nested lists": nested(MAX_DEPTH - 4, kind="list"),
    "nested objects": nested(MAX_DEPTH - 4),
    "in a list": ["y" * (MAX_TEXT // 2)],
    "z" * 300: "long name",
}
Packs = tuple[dict[str, Json], ...]
ALTERED: Final[Packs] = (*_packs(refused=False), _LARGE, numbered(_MANY))
REFUSED: Final[Packs] = tuple(_packs(refused=True))
EVERY_CLASS: Final[dict[str, Json]] = dict(ChainMap(*_packs(refused=False)))
EVERY_REFUSED_CLASS: Final[dict[str, Json]] = dict(ChainMap(*REFUSED))
"""The packs of all tables in one object, for a field that only one body has."""

_HARMLESS_TEXTS: Final = (
    *("empty", "trimmed", "line ends", "composed", "decomposed", "case", "other scripts", "several characters in one"),
    *("constants", "numbers", "long numbers", "moments", "UUIDs"),
)
_HARMLESS_KEYS: Final = ("trimmed", "case", "numbers", "constants", "other scripts")
HARMLESS_TEXTS: Final[tuple[str, ...]] = tuple(str(value) for name in _HARMLESS_TEXTS for value in TEXTS[name].values)
"""Texts without a meaning for a shell, a database, a page or a sheet: a desktop may type them into any program."""
HARMLESS: Final[dict[str, Json]] = {
    "texts": list(HARMLESS_TEXTS),
    **_values(NUMBERS, refused=False),
    **_values(STRUCTURES, refused=False),
    "names": {key: index for index, key in enumerate(key for name in _HARMLESS_KEYS for key in KEYS[name].values)},
}
REFUSED_NUMBERS: Final[dict[str, Json]] = _values(NUMBERS, refused=True)
"""Large integers, and the largest and smallest doubles."""

# Texts for fields that take a single one: the classes that a server recognises in a part of a text are joined.
_JOINED: Final = [kind for kind in TEXTS.values() if not kind.is_whole_text]
_SINGLE_TEXTS: Final = (
    "  " + "".join(kind.values[0] for kind in _JOINED if not kind.is_often_refused) + " ",
    *(kind.values[0] for kind in TEXTS.values() if kind.is_whole_text),
)
_REFUSED_SINGLE_TEXTS: Final = ("a".join(kind.values[0] for kind in _JOINED if kind.is_often_refused), "x" * MAX_TEXT)
TEXT_OF_EVERY_CLASS: Final = "".join(
    str(value) for kind in _JOINED if not kind.is_often_refused for value in kind.values
)
"""So small that a create of many runs may have it."""
UNUSUAL_TEXTS: Final = (*_SINGLE_TEXTS, *_REFUSED_SINGLE_TEXTS[:1])
"""Texts of every class, for a field that takes a single one."""
_ERRORS: Final = tuple(list(_values(TEXTS, refused=refused).values()) for refused in (False, True))


def bodies(operation: str) -> Iterator[dict[str, Any]]:
    """Yield bodies of a write that carry each pack in each free object, and each single text in `session_alias`."""
    if operation == "create_run_chain":
        yield from _chains()
        return
    bare = write_bodies.minimal(operation, count=2)
    yield from in_turn(_with_packs(operation, bare, packs) for packs in (ALTERED, REFUSED))
    if operation in {"create_run", "retry_run"}:
        yield from (bare | {"session_alias": text} for text in _REFUSED_SINGLE_TEXTS)
        yield from (bare | {"session_alias": text} for text in _SINGLE_TEXTS[len(ALTERED) :])
    if operation == "retry_run":
        yield {"file_inputs": files.packed()}


def _with_packs(operation: str, bare: dict[str, Any], packs: Packs) -> Iterator[dict[str, Any]]:
    for number in range(len(packs)):
        one, other, *more = (*packs[number:], *packs[:number])
        if operation == "update_run":
            yield {
                "output_data": one,
                "usage_metadata": other,
                "input_values": more[1],
                "error": _ERRORS[packs is REFUSED] if number == 0 else ["x" * MAX_TEXT],
                "run_message_history": [more[0], {"n": number}, {}],
            }
        else:
            has_alias = packs is ALTERED and operation != "bulk_create_runs"
            alias = {"session_alias": _SINGLE_TEXTS[number]} if has_alias else {}
            yield bare | {"input_values": one, "sensitive_input_values": other | _PIN} | alias


def _chains() -> Iterator[dict[str, Any]]:
    yield from in_turn(map(_chains_with_packs, (ALTERED, REFUSED)))
    yield {"steps": [_STEP | {"session_alias": text} for text in _SINGLE_TEXTS]}
    yield from ({"steps": [_STEP, _STEP | {"session_alias": text}]} for text in _REFUSED_SINGLE_TEXTS)
    yield {"steps": [_STEP], "shared_file_inputs": files.packed()}


def _chains_with_packs(packs: Packs) -> Iterator[dict[str, Any]]:
    for number in range(len(packs)):
        shared, own, secret, *_ = (without_references(pack) for pack in (*packs[number:], *packs[:number]))
        steps = [_STEP, _STEP | {"inputs": own, "sensitive_inputs": secret | _PIN}]
        yield {"steps": steps, "shared_inputs": shared}


def without_references(value: Any) -> Any:
    """Remove `$ref`: in a chain it refers to another step, and a server may refuse a step that does not exist."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if "$ref" not in (key, item)}
        return {key: without_references(item) for key, item in kept.items()}
    return [without_references(item) for item in value if item != "$ref"] if isinstance(value, list) else value
