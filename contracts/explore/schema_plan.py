"""The file in which a check passes its parameters to the schemathesis process."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

VARIABLE: Final = "CONTRACTS_SCHEMA_PLAN"
"""The environment variable with the path of the file."""
FRESH_KEY: Final = "schema-"
"""The prefix of an ordinary idempotency key. A key with another prefix is meant to be unusual."""


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """`secret` replaces every sensitive value. `known` maps a request field to the ids that the target accepts, if it
    accepts no made-up ids there. `paths` maps a parameter to ids that exist; the ids in `unknown` do not exist.
    """

    secret: str
    known: dict[str, list[str]] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text(encoding="utf-8")))
