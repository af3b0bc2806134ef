"""The attachments of a run: its input files and its output files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mockserver.behaviour.batch import Batch, Change, File
from mockserver.behaviour.ids import Ids
from mockserver.behaviour.lifecycle import Timeline
from mockserver.clock import Clock
from mockserver.spec import render_json

MAX_NUMBERED_NAME = 1_000
"""In characters. In a longer name, `{n}` is not replaced: each run would have a name of its own, of megabytes."""
_ID_BYTES = 39
"""An id in a JSON list."""


class Attachment(NamedTuple):
    """`created` is a moment: for an output file of a run that has ended, the end of the run."""

    id: str
    run_id: str
    filename: str
    file: File
    created: int


def input_files(batch: Batch, change: Change) -> Sequence[File]:
    return batch.files if change.files is None else change.files


def output_files(batch: Batch, change: Change, timeline: Timeline, sim_time: int) -> Sequence[File]:
    made, given = (change.outputs, ()) if change.attempt else (batch.outputs, batch.given)
    return (*given, *made) if made and timeline.status_at(sim_time) == "success" else given


@dataclass(frozen=True, slots=True)
class AttachmentIDs:
    """The JSON list of the ids of the files of a run. Rendered only if it is shown: a run may have 10,000 files."""

    files: Sequence[File]
    place: int

    def __len__(self) -> int:
        return len(self.files) * _ID_BYTES

    def __bytes__(self) -> bytes:
        return bytes(render_json([_id(file.ids, self.place) for file in self.files]))


def input_attachments(batch: Batch, place: int, change: Change) -> list[Attachment]:
    run_id = batch.ids.id(place)
    return [
        Attachment(_id(file.ids, place), run_id, file.filename, file, file.created)
        for file in input_files(batch, change)
    ]


def output_attachments(
    batch: Batch, place: int, change: Change, timeline: Timeline, sim_time: int, clock: Clock
) -> list[Attachment]:
    run_id = batch.ids.id(place)
    return [
        Attachment(
            _id(file.ids, place),
            run_id,
            _name(file, place),
            file,
            batch.moment_of(timeline.ended, clock) if timeline.ended <= sim_time else batch.created,
        )
        for file in output_files(batch, change, timeline, sim_time)
    ]


def _id(ids: Ids, place: int) -> str:
    """A file of the whole batch has one id per run; a file of a single run has one id."""
    return ids.id(min(place, ids.size - 1))


def _name(file: File, place: int) -> str:
    name = file.filename
    return name.replace("{n}", str(place + 1)) if len(name) <= MAX_NUMBERED_NAME else name
