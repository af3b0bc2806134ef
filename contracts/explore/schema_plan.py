"""What passes between a check and the process in which schemathesis runs for it: a file, and the name of that file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

VARIABLE: Final = "CONTRACTS_SCHEMA_PLAN"
"""The environment variable that names the file."""
FRESH_KEY: Final = "schema-"
"""How an idempotency key begins that is like any other: what has another beginning was meant to be odd."""


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """`failures` is the file that failures go to, one JSON object a line. `secret` stands for every sensitive value.
    `known` has, by field of a request, the ids that the target takes, where it takes none that is made up. `paths` has
    ids that exist, by parameter; `unknown` are ids that surely do not.
    """

    failures: str
    secret: str
    known: dict[str, list[str]] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text(encoding="utf-8")))
