"""Which planted faults a run of the tests takes: a part, or all with STANDIN_MATRIX=full."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, TypeVar

FULL: Final = os.environ.get("STANDIN_MATRIX") == "full"

T = TypeVar("T")


def by_hash(faults: Iterable[T], *, name: Callable[[T], str], group: Callable[[T], Hashable]) -> Iterator[list[T]]:
    """Yield the faults of each group, in the order of the hashes of their names: the first ones are a random sample
    that does not depend on the order in which faults were added.
    """
    groups: defaultdict[Hashable, list[T]] = defaultdict(list)
    for fault in sorted(faults, key=lambda fault: hashlib.sha256(name(fault).encode()).digest()):
        groups[group(fault)].append(fault)
    yield from groups.values()
