"""What a lawful server may do otherwise: nothing here breaks a rule, so a check that reports any of it is wrong."""

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
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip("_")
        VARIATIONS[name] = Variation(name, what, kind)
        return kind

    return register
