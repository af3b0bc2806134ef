"""The texts of many batches together, so that a search never looks at most of the batches."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from mockserver.behaviour.batch import Batch
from mockserver.behaviour.run_states import RunStates

_LARGE_BYTES = 4_096
"""Longer texts are not joined: they are searched one by one."""


class SearchTexts(NamedTuple):
    """The texts of some batches, newest first, apart from the results of their workflows.

    `values` and `ids` contain them without case, one after the other. `are_all` is False if a batch has other texts
    too: it is changed, has a session, or long texts. `ids` contains only the tails of batches of several runs, and
    `has_whole_ids` is False then.
    """

    batches: tuple[Batch, ...]
    values: str
    ids: str
    are_all: bool
    has_whole_ids: bool
    workflow_ids: frozenset[str]

    @classmethod
    def of(cls, batches: Iterable[Batch], states: RunStates) -> SearchTexts:
        """`batches` are oldest first."""
        every = tuple(batches)[::-1]
        values: list[str] = []
        are_all = True
        for batch in every:
            for text in (batch.input_values, batch.placement.session_alias):
                if len(text) > _LARGE_BYTES:
                    are_all = False
                elif text != b"null":
                    values += values_of(bytes(text))
            if states.overrides(batch) is not None:
                are_all = False
        sizes = [batch.ids.size for batch in every]
        ids = [batch.ids.id(0) if batch.ids.size == 1 else batch.ids.tail for batch in every]
        workflow_ids = frozenset(batch.workflow_id for batch in every)
        return cls(every, "\n".join(values), "\n".join(ids), are_all, max(sizes) == 1, workflow_ids)


def values_of(json_text: bytes) -> tuple[str, ...]:
    """The values in a JSON text, at any depth, as texts without case."""
    return _values_of_short(json_text) if len(json_text) <= _LARGE_BYTES else _parsed(json_text)


def _parsed(json_text: bytes) -> tuple[str, ...]:
    found: list[str] = []
    waiting = [json.loads(json_text)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found.append(value.casefold())
        elif value is not None:
            found.append(json.dumps(value))
    return tuple(found)


_values_of_short = lru_cache(maxsize=4096)(_parsed)
