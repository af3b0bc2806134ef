"""The texts of many batches together, so that a search never looks at most of the batches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from json import JSONDecoder
from typing import Final, NamedTuple

from mockserver.behaviour.batch import Batch, Changes, JSONText
from mockserver.behaviour.run_states import RunStates

RESULTS: Final = ("output_data", "error")
"""The results of a run in which a search looks."""
HISTORY: Final = "run_message_history"
"""A deep search looks in it, too."""
_LARGE_BYTES = 4_096
"""The texts of a batch are not joined with others if they are longer together. They are searched one by one."""


class SearchTexts(NamedTuple):
    """The texts of some batches, newest first, apart from the results of their workflows.

    `values` and `ids` contain them without case, one after the other; those of a changed batch may contain texts that
    its runs no longer have. `long` are the batches whose texts are long, which are not in `values`. `ids` contains
    only the tails of batches of several runs, and `has_whole_ids` is False then.
    """

    batches: tuple[Batch, ...]
    long: tuple[Batch, ...]
    values: str
    ids: str
    has_whole_ids: bool
    workflow_ids: frozenset[str]

    @classmethod
    def of(cls, batches: Iterable[Batch], states: RunStates) -> SearchTexts:
        """`batches` are oldest first."""
        every = tuple(batches)[::-1]
        long: list[Batch] = []
        values: list[str] = []
        for batch in every:
            texts = _short_texts(batch, states.changes(batch))
            if texts is None:
                long.append(batch)
            else:
                for text in texts:
                    values += values_of(bytes(text))
        sizes = [batch.ids.size for batch in every]
        ids = [batch.ids.id(0) if batch.ids.size == 1 else batch.ids.tail for batch in every]
        workflow_ids = frozenset(batch.workflow_id for batch in every)
        return cls(every, tuple(long), "\n".join(values), "\n".join(ids), max(sizes) == 1, workflow_ids)


def _short_texts(batch: Batch, changes: Changes) -> list[JSONText] | None:
    """Return what a search may find in the runs of a batch; None if it is long."""
    texts: list[JSONText] = []
    size = 0
    for text in _texts_of(batch, changes):
        size += len(text)
        if size > _LARGE_BYTES:
            return None
        if text != b"null":
            texts.append(text)
    return texts


def _texts_of(batch: Batch, changes: Changes) -> Iterator[JSONText]:
    """Yield every text that a search may find in a run of the batch, except its id and the results of its workflow."""
    yield batch.input_values
    yield batch.placement.session_alias
    for change in changes.values():
        if change.placement is not None:
            yield change.placement.session_alias
        yield from (change.fields[name] for name in ("input_values", *RESULTS, HISTORY) if name in change.fields)


def values_of(json_text: bytes, overlap: int = 0) -> Iterable[str]:
    """The values in a JSON text that was rendered, at any depth, as texts without case, long ones as `folded`."""
    return _values_of_short(json_text) if len(json_text) <= _LARGE_BYTES else _values(json_text, overlap)


def folded(text: str, overlap: int) -> Iterator[str]:
    """Yield a text without case, in parts that overlap by `overlap` characters.

    Nothing else runs while a part is folded: a character beyond ASCII takes up to 40 ns, and there may be 16 million.
    """
    end = ""
    for start in range(0, max(1, len(text)), _FOLDED_AT_ONCE):
        part = end + text[start : start + _FOLDED_AT_ONCE].casefold()
        yield part
        end = part[max(0, len(part) - overlap) :]


_FOLDED_AT_ONCE = 65_536


def _values(json_text: bytes, overlap: int) -> Iterator[str]:
    """One by one: for a whole text the JSON parser holds the interpreter, and integers take quadratic time."""
    text, end = json_text.decode("utf-8", "surrogatepass"), 0
    while (match := _NEXT.search(text, end)) is not None:
        token, end = match[0], match.end()
        if token == '"':
            string, end = _read_string(text, match.start())
            if text[end : end + 1] != ":":
                yield from folded(string, overlap)
        elif token in ("true", "false") or _IN_FLOATS.isdisjoint(token):
            yield token
        else:
            yield repr(float(token))


_read_string = JSONDecoder().raw_decode
_NEXT = re.compile('"|-?[0-9][-+.0-9Ee]*+|true|false')
"""The beginning of a string, or another value."""
_IN_FLOATS = frozenset(".Ee")


@lru_cache(maxsize=4096)
def _values_of_short(json_text: bytes) -> tuple[str, ...]:
    return tuple(_values(json_text, 0))
