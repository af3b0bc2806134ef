"""Ids and texts that the target has not seen before. The same seed and salt give the same ones."""

import random
import uuid
from typing import Final

_LETTERS: Final = "bcdfghjkmnpqrstvwxz"
"""Without vowels, so that they form no words, and without letters that look like another letter or a digit."""


class MadeUp(random.Random):
    """A random generator that is seeded with a text: the seed, the salt and what the values are for."""

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.getrandbits(128), version=4))

    def letters(self, length: int) -> str:
        return "".join(self.choice(_LETTERS) for _ in range(length))
