"""The base class of cases.

A case is a frozen dataclass: its fields are JSON values, other cases, or lists of them. A scenario builds its requests
from a case, and the case can be shrunk (`shrink`), sent again, compared and printed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from contracts.data.combining import defaults_of
from contracts.data.write_bodies import runs_of


@dataclasses.dataclass(frozen=True)
class Case:
    """A subclass states what a scenario sends. Shrinking does not change fields that have their default."""

    @property
    def expected_runs(self) -> int:
        """The most runs that a correct server creates for the case: its `count`, or the sum of its `counts`, or else
        the number that its `body` asks for. A subclass whose cases create another number must override this, since
        `check.plan` adds these numbers up.
        """
        counts = getattr(self, "counts", None)
        count = getattr(self, "count", None) if counts is None else sum(counts)
        return count if isinstance(count, int) else runs_of(getattr(self, "body", None))

    @property
    def parts(self) -> Sequence[Case]:
        """The cases that this one consists of, if it groups several that are sent together."""
        return (self,)


def changed_fields(case: Any) -> dict[str, Any]:
    """Return the fields whose value is not the default."""
    defaults = defaults_of(case)
    values = {field.name: getattr(case, field.name) for field in dataclasses.fields(case)}
    return {name: value for name, value in values.items() if name not in defaults or not _same(value, defaults[name])}


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other
