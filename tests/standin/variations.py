"""What a lawful server may do otherwise: nothing here breaks a rule, so a check that reports any of it is wrong."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Variation:
    id: str
    what: str
    kind: type


VARIATIONS: dict[str, Variation] = {}


def varies(what: str) -> Callable[[type], type]:
    """Registers a class that overrides parts of Standin; its name in snake case is the variation's id."""

    def register(kind: type) -> type:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=[0-9])", "_", kind.__name__).lower()
        VARIATIONS[name] = Variation(name, what, kind)
        return kind

    return register
