"""The resources in an answer that `include` asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Resource(NamedTuple):
    """`json` may be as large as a body. `is_stored`: it takes no memory of its own."""

    type: str
    json: bytes
    is_stored: bool


def included_parts(resources: Iterable[Resource]) -> Iterator[bytes]:
    """Yield the member `included`, after a comma. Each resource is copied only when its turn comes."""
    separator = b',"included":['
    for resource in resources:
        yield b'%b{"type":"%b",' % (separator, resource.type.encode())
        yield resource.json[1:]
        separator = b","
    yield b"]" if separator == b"," else separator + b"]"


def largest(resources: Sequence[Resource] | None) -> int:
    return max((len(each.json) for each in resources or ()), default=0)


def made_bytes(resources: Sequence[Resource] | None) -> int:
    """How much memory those take that are not stored."""
    return sum(len(each.json) for each in resources or () if not each.is_stored)
