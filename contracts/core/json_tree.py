"""Goes through a JSON value: its texts, and the values that are neither lists nor objects."""

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


def map_texts(value: Any, change: Callable[[str], Any]) -> Any:
    """Return the value with each text changed, the names of members too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): map_texts(inner, change) for name, inner in value.items()}
    return [map_texts(inner, change) for inner in value] if isinstance(value, list) else value
