"""The OpenAPI document of the mocked API, as it is served and printed."""

from __future__ import annotations

from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

import yaml

from mockserver.spec import Document, load, render_json


class APIDocument:
    def __init__(self, document: Document) -> None:
        self.document = document

    @cached_property
    def json(self) -> bytes:
        return render_json(self.document.root)

    @cached_property
    def yaml(self) -> bytes:
        """The file unchanged, comments included, if it is YAML; else the document as YAML."""
        text = self.document.text
        if text.lstrip().startswith("{"):
            text = yaml.safe_dump(self.document.root, sort_keys=False, allow_unicode=True, width=120)
        return text.encode()


def api_document(path: Path | None) -> APIDocument:
    """Load the document; the built-in one if `path` is None. Raises SpecError."""
    return _built_in() if path is None else APIDocument(load(path))


@cache  # nothing changes it, and a test suite may start a mock for each of its tests
def _built_in() -> APIDocument:
    return APIDocument(load(files("openapi") / "cyberdesk.yaml"))
