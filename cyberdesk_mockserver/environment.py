"""Finds environment variables that begin like those of a command, and have no effect."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from difflib import get_close_matches

_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)\Z")
"""The ends of the variables that Kubernetes sets in each container for each Service (service links)."""


def unknown_variables(prefix: str, known: Collection[str]) -> tuple[list[str], list[str]]:
    """Return a message for each unknown variable with the prefix: for those that resemble a known one, and for others,
    which may belong to another program. Variables of Kubernetes are passed over.
    """
    names = [each.removeprefix(prefix) for each in known]
    misspelled: list[str] = []
    others: list[str] = []
    for name in sorted(os.environ):
        if not name.startswith(prefix) or name in known or _OF_KUBERNETES.search(name):
            continue
        problem = f"{name} is set, but there is no such option"
        if near := get_close_matches(name.removeprefix(prefix), names, 1, 0.7):
            misspelled.append(f"{problem}: did you mean {prefix}{near[0]}?")
        else:
            others.append(problem)
    return misspelled, others
