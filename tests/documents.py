"""The two OpenAPI documents as the tests read them: by libyaml's parser, which takes a tenth of the time."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml


def read_yaml(path: Traversable) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


@cache
def api_document() -> dict[str, Any]:
    """Not to be changed: all tests have the same one."""
    return read_yaml(files("openapi") / "cyberdesk.yaml")


@cache
def control_document() -> dict[str, Any]:
    """Not to be changed: all tests have the same one."""
    return read_yaml(files("mockserver.admin") / "openapi.yaml")
