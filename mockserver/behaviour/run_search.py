"""Searches runs for a text: in their ids and in the values of their JSON, not in its keys."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Any

from mockserver.behaviour.batch import Batch, JSONText
from mockserver.behaviour.chains import MergedInputs
from mockserver.behaviour.context import Space
from mockserver.behaviour.run_results import texts_of
from mockserver.behaviour.run_view import FIELDS, Run, run_fields
from mockserver.behaviour.search_texts import HISTORY, RESULTS, SearchTexts, folded, values_of
from mockserver.spec import render_json

_SHARED = ("input_values", "session_alias")
_LARGE_BYTES = 32_768
"""A larger JSON text is searched in a thread: one of 256 KiB with many numbers takes 0.2 s."""

_MEMBERS_AT_ONCE = 500
"""How many shared inputs are rendered together. Meanwhile the thread does not let the event loop run."""
_MAX_NAMES = 10_000

_searcher = ThreadPoolExecutor(1, thread_name_prefix="searcher")
"""A single thread: several would compete with the event loop for the interpreter."""

_NEVER_ESCAPED = re.compile(r"[ !#-\[\]-~]+")
"""Characters that our JSON writers never escape in a string."""
_ESCAPED = re.compile(rb"\\u(?!00[01])")
"""An escaped character, except a control character: it may casefold to one that is never escaped."""
_MAY_BE_IN_AN_ID = re.compile(r"[-0-9a-f]*")
_MAY_BE_IN_A_FLOAT = re.compile(r"(?![0-9]{4,}$)(-?[0-9]*\.?[0-9]*(e[-+]?[0-9]*)?|[-+][0-9]*)")
"""A float is searched as Python writes it, which differs from our JSON: 1.2e-05 is 0.000012 there. Four digits and more
without a point are the same in both, since an exponent has at most three.
"""


class TextSearch:
    """Searches for one text in the runs of one space, as of a simulated time. Case does not matter."""

    def __init__(self, space: Space, text: str, *, deep: bool, sim_time: int) -> None:
        """`deep`: also search the message history."""
        self._space = space
        self._text = text.casefold()
        self._deep = deep
        self._own = (*RESULTS, HISTORY) if deep else RESULTS
        self._sim_time = sim_time
        self._found_results: dict[int, bool] = {}
        """By the `id` of a profile: most workflows have the same."""
        self._shared: Mapping[str, Any] | None = None
        """The shared inputs that were searched last, and _MAX_NAMES at most of the names whose values match."""
        self._shared_names: tuple[str, ...] = ()
        self._may_be_in_an_id = _MAY_BE_IN_AN_ID.fullmatch(self._text) is not None

    def batches_in(self, texts: SearchTexts) -> Sequence[Batch]:
        """The batches of which a run may match. It costs much less than to look at each batch."""
        if (
            self._text in texts.values
            or (self._may_be_in_an_id and (not texts.has_whole_ids or self._text in texts.ids))
            or any(map(self._finds_results, texts.workflow_ids))
        ):
            return texts.batches
        return texts.long

    def _finds_results(self, workflow_id: str) -> bool:
        """Whether the text is in a result that a run of the workflow may have."""
        profile = self._space.profiles[workflow_id]
        found = self._found_results.get(id(profile))
        if found is None:
            ends = texts_of(profile, with_history=self._deep)
            found = self._found_results[id(profile)] = any(_has_value_with(text, self._text) for text in ends)
        return found

    async def finds_batch(self, batch: Batch) -> bool | None:
        """Whether all runs of an unchanged batch match, or none of them.

        None if that differs between its runs: the text may be in an id or in the results of a run.
        """
        if self._text in batch.ids.tail:
            return True
        if await self._is_in(batch.input_values) or await self._is_in(batch.placement.session_alias):
            return True
        if batch.ids.may_begin(self._text):
            return None
        return None if self._finds_results(batch.workflow_id) else False

    async def finds(self, run: Run, *, shared_too: bool) -> bool:
        """Whether the run matches. With `shared_too` False, the values that the batch shares are not searched again."""
        if self._text in run.id:
            return True
        fields = dict(zip(FIELDS, run_fields(self._space, run, self._sim_time), strict=True))
        for name in (*_SHARED, *self._own) if shared_too else self._own:
            if await self._is_in(fields[name]):
                return True
        return False

    async def _is_in(self, text: JSONText) -> bool:
        if len(text) <= _LARGE_BYTES:
            return _has_value_with(bytes(text), self._text)
        return await asyncio.get_running_loop().run_in_executor(_searcher, self._is_in_large, text)

    def _is_in_large(self, text: JSONText) -> bool:
        """In the thread, where the inputs of a chain are rendered too: once those that its steps share."""
        if not isinstance(text, MergedInputs):
            return _has_value_with(bytes(text), self._text)
        own, shared = text.own, text.shared
        if self._shared is not shared:
            self._shared, self._shared_names = shared, tuple(islice(_names_with(shared, self._text), _MAX_NAMES))
        names = self._shared_names
        return (
            _has_value_with(render_json(own), self._text)
            or any(name not in own for name in names)
            or (len(names) == _MAX_NAMES and any(name not in own for name in _names_with(shared, self._text)))
        )


def _names_with(values: Mapping[str, Any], sought: str) -> Iterator[str]:
    """Yield the names of the values that contain the text `sought`, at any depth."""
    members = iter(values.items())
    while some := dict(islice(members, _MEMBERS_AT_ONCE)):
        if _has_value_with(render_json(some), sought):
            yield from (name for name, value in some.items() if _has_value_with(render_json(value), sought))


def _has_value_with(json_text: bytes, sought: str) -> bool:
    """Whether a value in a JSON text, at any depth, contains the text `sought`."""
    if (
        _is_never_escaped(sought)
        and not _ESCAPED.search(json_text)
        and not any(sought in part for part in folded(json_text.decode(), len(sought)))
    ):
        return False  # without parsing it
    return any(sought in value for value in values_of(json_text, len(sought)))


@lru_cache(maxsize=64)
def _is_never_escaped(sought: str) -> bool:
    """Whether the JSON text of a value that contains the text `sought` contains it too, apart from case."""
    return bool(_NEVER_ESCAPED.fullmatch(sought)) and not _MAY_BE_IN_A_FLOAT.fullmatch(sought)
