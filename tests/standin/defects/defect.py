"""What a planted defect is, and the table of all."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """`rules` may report it: the first is the right one, the others are acceptable. `rarity` says when it shows."""

    id: str
    rules: tuple[str, ...]
    what: str
    rarity: str
    kind: type

    @property
    def rule(self) -> str:
        return self.rules[0]


DEFECTS: dict[str, Defect] = {}


def plants(*rules: str, what: str, rarity: str) -> Callable[[type], type]:
    """Registers a class that overrides parts of Standin; its name in snake case is the defect's id."""

    def register(kind: type) -> type:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=[0-9])", "_", kind.__name__).lower()
        assert name not in DEFECTS, name
        DEFECTS[name] = Defect(name, rules, what, rarity, kind)
        return kind

    return register
