"""An OpenAPI 3.1 document as read from a file: loaded, its references resolved, refused where it is not understood."""

import os
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any


class SpecError(Exception):
    """A document that cannot be served. The message is one line: file, JSON pointer, what is wrong."""

    def __init__(self, source: str, pointer: str, problem: str) -> None:
        super().__init__(f"{source}: #{pointer}: {problem}")
        self.source = source
        self.pointer = pointer
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Document:
    source: str
    root: dict[str, Any]


def load(path: "str | os.PathLike[str] | Traversable") -> Document:
    """Raises: SpecError when the file is missing, is no YAML or JSON, or is no OpenAPI 3.1 this package understands."""
    raise NotImplementedError
