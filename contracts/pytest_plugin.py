"""`pytest --pyargs contracts --target URL`: one test per rule, with the flags of `contracts check`.

In any other session, the plugin adds no flags and no fixtures, and imports only pytest.
"""

from collections.abc import Iterable

import pytest

_FLAGGED = pytest.StashKey[bool]()


def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Add the flags only if this package is tested, since other plugins may use the same names."""
    if _selects_this_package(args, pyargs=bool(early_config.known_args_namespace.pyargs)):
        from contracts.cli.pytest_session import add_flags

        add_flags(parser)
        early_config.stash[_FLAGGED] = True


def pytest_configure(config: pytest.Config) -> None:
    if config.stash.get(_FLAGGED, False):
        from contracts.cli.pytest_session import begin

        begin(config)


def _selects_this_package(args: Iterable[str], *, pyargs: bool) -> bool:
    files = ("contracts/test_contract.py", "contracts\\test_contract.py")
    paths = [arg.partition("::")[0] for arg in args]
    return any(
        arg.endswith(files) or (pyargs and (arg == "contracts" or arg.startswith("contracts."))) for arg in paths
    )
