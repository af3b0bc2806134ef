"""`pytest --pyargs contracts --target URL`: every rule as a test, with the flags of `contracts check`.

Does nothing in any other session: neither flags nor fixtures, and no import beyond pytest's own.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

_FLAGGED = pytest.StashKey[bool]()


def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """The flags are there only where this package is what is tested: they have names that others may use too."""
    if _is_asked_for(args, pyargs=bool(early_config.known_args_namespace.pyargs)):
        from contracts.cli.pytest_session import add_flags

        add_flags(parser)
        early_config.stash[_FLAGGED] = True


def pytest_configure(config: pytest.Config) -> None:
    if config.stash.get(_FLAGGED, False):
        from contracts.cli.pytest_session import begin

        begin(config)


def _is_asked_for(args: Iterable[str], *, pyargs: bool) -> bool:
    files = ("contracts/test_contract.py", "contracts\\test_contract.py")
    asked = [arg.partition("::")[0] for arg in args]
    return any(
        arg.endswith(files) or (pyargs and (arg == "contracts" or arg.startswith("contracts."))) for arg in asked
    )
