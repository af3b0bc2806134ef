"""Ids and texts that the target has not seen before. The same seed and salt give the same ones."""

import random
import uuid
from typing import Final

_LETTERS: Final = "bcdfghjkmnpqrstvwxz"
"""Without vowels, so that they form no words, and without letters that look like another letter or a digit."""


class MadeUp:
    """A sequence of values that follows from `name`, which states the seed, the salt and what the values are for."""

    def __init__(self, name: str) -> None:
        self._random = random.Random(name)

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def letters(self, length: int) -> str:
        return "".join(self._random.choice(_LETTERS) for _ in range(length))

    def number(self, least: int, above: int) -> int:
        """Return an integer from `least` up to, but not including, `above`."""
        return self._random.randrange(least, above)

    def digits(self, length: int, of: str) -> str:
        return "".join(self._random.choice(of) for _ in range(length))
