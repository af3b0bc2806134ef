"""Loads `contracts.pytest_plugin`, unless another package is called contracts too: pytest goes on without it then."""

from cyberdesk_mockserver import problem_of

pytest_plugins = () if problem_of("contracts") else ("contracts.pytest_plugin",)
