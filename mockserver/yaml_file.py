"""Reads a YAML file that a user has written: a world, or a list of faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mockserver.errors import StartError
from mockserver.spec import expanded_size

_MAX_BYTES = 4_194_304
"""A few megabytes of YAML are parsed per second."""
_MAX_EXPANDED = 4 * _MAX_BYTES
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, what: str) -> Any:
    """Return the content of a file. `what` names it in errors. Raises StartError."""
    try:
        with path.open(encoding="utf-8") as file:
            # Not all of it: a device such as /dev/zero has no end, and no size.
            text = file.read(_MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StartError(f"{path}: cannot read the {what}: {reason}") from error
    if len(text) > _MAX_BYTES or len(text.encode()) > _MAX_BYTES:
        raise StartError(f"{path}: a {what} has {_MAX_BYTES} bytes at most, and this one has more")
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Any:
    """`name` is that of the file. Raises StartError."""
    try:
        value = yaml.load(text, Loader=_LOADER)
        if expanded_size(value) > _MAX_EXPANDED:
            what = f"with its aliases written out it has more than {_MAX_EXPANDED} characters"
            raise StartError(f"{name}: cannot read the YAML: {what}; use fewer of them")
        return value
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
