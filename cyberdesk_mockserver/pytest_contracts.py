"""Loads `contracts.pytest_plugin`, unless another package named contracts is found: then pytest runs without it."""

from cyberdesk_mockserver import problem_of

pytest_plugins = () if problem_of("contracts") else ("contracts.pytest_plugin",)
