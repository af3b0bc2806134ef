"""Makes the C library keep memory that was freed, for the next large answer, or return it.

By default, glibc returns free memory at the end of the heap to the system after almost every large answer, and takes it
again for the next one. The system must then provide each page anew. With the memory kept, a bulk create of 1000 runs
is three times as fast (2026-11-28).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

MAX_KEPT_BYTES: Final = 32 * 1024 * 1024
"""More free memory than this at the end of the heap is returned to the system."""
MAX_HEAP_BLOCK_BYTES: Final = 8 * 1024 * 1024
"""Larger blocks are taken from the system one by one, and returned when they are freed."""
_OPTIONS: Final = {-1: MAX_KEPT_BYTES, -3: MAX_HEAP_BLOCK_BYTES}
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h."""
_VARIABLES: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Return whether it was possible: only with glibc, and only if no environment variable configures glibc."""
    if sys.platform != "linux" or not os.environ.keys().isdisjoint(_VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has no such function
        return False
    return all(mallopt(option, value) for option, value in _OPTIONS.items())


def return_freed_memory() -> None:
    """Return freed memory to the system, as far as the C library can."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # only glibc has it
        return
    trim(0)
