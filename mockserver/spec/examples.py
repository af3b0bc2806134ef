"""Replies made from a document alone, for what has no behaviour: from its examples, else from its schemas."""

from typing import Any

from mockserver.spec.operation import Operation


def reply(
    operation: Operation, status: int, *, name: str | None = None, dynamic: bool = False, seed: str = ""
) -> tuple[str | None, Any]:
    """Content type and value of a valid reply; the same arguments give the same reply.

    Without `dynamic` a documented example is used where there is one; with it the value is made from the schema and
    varies with the seed. A reply without a body is (None, None).

    Raises: KeyError when the operation documents no such status or example.
    """
    raise NotImplementedError
