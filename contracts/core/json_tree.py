"""Goes through a JSON value: its texts, the values that are neither lists nor objects, and the value at a path. Reads
and writes JSON.
"""

import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

Path = tuple[str | int, ...]
"""The names and indexes that lead to a value."""


def leaves(value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield each value that is neither a list nor an object, with its path, in the order of the text."""
    todo: list[tuple[Path, Any]] = [((), value)]
    while todo:
        path, node = todo.pop()
        if isinstance(node, dict | list):
            members = node.items() if isinstance(node, dict) else enumerate(node)
            todo += [((*path, name), inner) for name, inner in members][::-1]
        else:
            yield path, node


def is_json(text: str | bytes) -> bool:
    """Return whether a text, or the bytes of one in UTF-8, UTF-16 or UTF-32, can be read as JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def plain_json(value: Any) -> str:
    """Write JSON as ordinary clients do: without escapes. UTF-8 cannot encode a lone surrogate, so of a value with one
    all characters beyond ASCII are escaped.
    """
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


def map_texts(value: Any, change: Callable[[str], Any]) -> Any:
    """Return the value with each text changed, the names of members too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): map_texts(inner, change) for name, inner in value.items()}
    return [map_texts(inner, change) for inner in value] if isinstance(value, list) else value


# The value may also be a dataclass whose fields are JSON values, and a list in it a tuple.


def at(value: Any, path: Path) -> Any:
    for part in path:
        value = getattr(value, str(part)) if dataclasses.is_dataclass(value) else value[part]
    return value


def put(value: Any, path: Path, new: Any) -> Any:
    """Return a copy with another value at the path. The copy shares all other parts with the original."""
    if not path:
        return new
    inner = put(at(value, path[:1]), path[1:], new)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{str(path[0]): inner})
    changed: Any = list(value) if isinstance(value, tuple) else copy.copy(value)
    changed[path[0]] = inner
    return tuple(changed) if isinstance(value, tuple) else changed


def drop(value: Any, path: Path) -> Any:
    """Return a copy without the member or the item at the path."""
    parent = at(value, path[:-1])
    changed: Any = list(parent) if isinstance(parent, tuple) else copy.copy(parent)
    del changed[path[-1]]
    return put(value, path[:-1], tuple(changed) if isinstance(parent, tuple) else changed)
