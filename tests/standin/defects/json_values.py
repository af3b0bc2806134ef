"""What some defects do with a JSON value at any depth."""

from typing import Any


def mapped(value, leaf, key=lambda name: name):
    """A copy of a JSON value with `leaf` applied to what is no object or list, and `key` to the keys."""
    if isinstance(value, dict):
        return {key(name): mapped(content, leaf, key) for name, content in value.items()}
    if isinstance(value, list):
        return [mapped(content, leaf, key) for content in value]
    return leaf(value)


def texts(value: Any):
    """Every key and every text in a value, at any depth."""
    if isinstance(value, dict):
        for key, content in value.items():
            yield key
            yield from texts(content)
    elif isinstance(value, list):
        for content in value:
            yield from texts(content)
    elif isinstance(value, str):
        yield value


def numbers(value: Any):
    if isinstance(value, dict | list):
        for content in value.values() if isinstance(value, dict) else value:
            yield from numbers(content)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
