"""Reads a YAML file that a user has written: a world, or a list of faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mockserver.errors import StartError

_MAX_BYTES = 4_194_304
"""A few megabytes of YAML are parsed per second."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, what: str) -> Any:
    """Return the content of a file. `what` names it in errors. Raises StartError."""
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise StartError(f"{path}: a {what} has {_MAX_BYTES} bytes at most, and this one has {size}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StartError(f"{path}: cannot read the {what}: {reason}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Any:
    """`name` is that of the file. Raises StartError."""
    try:
        return yaml.load(text, Loader=_LOADER)
    except RecursionError as error:
        raise StartError(f"{name}: cannot read the YAML: it is nested too deeply") from error
    except ValueError as error:
        # A value that looks like a date or a number but is not a valid one.
        raise StartError(f"{name}: cannot read the YAML: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        # PyYAML reports a forbidden character in more than one line.
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise StartError(f"{name}: not YAML{where}: {problem}{_advice(text, error)}") from error


def _advice(text: str, error: yaml.YAMLError) -> str:
    """Return the end of a message about two common mistakes that PyYAML's words do not name; else nothing."""
    if getattr(error, "context", None) == "while scanning an alias":
        return "; a text that begins with * needs quotes, as in match: '*'"
    mark = getattr(error, "problem_mark", None)
    lines = text.splitlines()
    is_tab = mark is not None and mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t"
    return "; indent with spaces, not with tabs" if is_tab else ""
