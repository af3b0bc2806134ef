"""The size of a YAML value in which every alias is replaced by what it stands for."""

from collections.abc import Iterable
from typing import Any


def expanded_size(value: Any) -> int:
    """Return how many values there are, and characters in them, if each alias is written out.

    A few lines of aliases of aliases can stand for billions of values: the parser shares them, but what walks through
    the document, or renders it, does not. A value that contains itself counts once. Raises RecursionError.
    """
    sizes: dict[int, int] = {}

    def size_of(value: Any) -> int:
        if isinstance(value, str):
            return 1 + len(value)
        members: Iterable[Any]
        if isinstance(value, dict):
            members = (*value, *value.values())
        elif isinstance(value, list):
            members = value
        else:
            return 1
        known = sizes.get(id(value))
        if known is None:
            sizes[id(value)] = 1  # until all of it is counted: it may contain itself
            known = sizes[id(value)] = 1 + sum(map(size_of, members))
        return known

    return size_of(value)
