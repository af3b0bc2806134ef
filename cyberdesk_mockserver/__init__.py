"""Loaded first by the entry points, under a name that no other package has.

A project may well have its own package `mockserver` or `contracts`, which then comes first on the path. This module
reports that; without it, pytest and the commands would fail with an ImportError that explains nothing.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec


def problem_of(name: str) -> str | None:
    """Return why Python does not find our package of this name, or None if it does."""
    ours = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), name)
    spec = find_spec(name)
    found = os.path.realpath(os.path.dirname(spec.origin)) if spec is not None and spec.origin else None
    if found == ours:
        return None
    if found is None:
        return f"the package {name!r} of cyberdesk-mockserver is missing in {ours}: install it again"
    return (
        f"another package is called {name!r} too, and comes first on the path: {found}. "
        f"The one of cyberdesk-mockserver is {ours}. Rename the other one, or use an environment without it"
    )


def mockserver() -> None:
    _check("mockserver")
    from mockserver.__main__ import main

    main()


def contracts() -> None:
    _check("contracts")
    from contracts.cli.main import main

    main()


def _check(name: str) -> None:
    problem = problem_of(name)
    if problem is not None:
        sys.stderr.write(f"{name}: {problem}\n")
        sys.exit(2)
