"""`--faults FILE`: the faults that each namespace begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mockserver.clock import Clock
from mockserver.errors import StartError, Unprocessable
from mockserver.faults.fault import Faults
from mockserver.faults.reading import FaultError, FaultReader

_MAX_FILE_BYTES = 4_194_304
"""In bytes. Only a few megabytes of YAML are parsed per second."""


def read_faults(path: Path, reader: FaultReader) -> tuple[Mapping[str, Any], ...]:
    """Raises StartError with file and JSON pointer."""
    sources = _load(path)
    if not isinstance(sources, list):
        raise StartError(f"{path}: should be a list of faults, as POST /__admin/faults takes them")
    faults, clock = Faults(), Clock()
    for place, source in enumerate(sources):
        pointer = f"{path}: #/{place}"
        if not isinstance(source, dict) or not all(isinstance(name, str) for name in source):
            raise StartError(
                f'{pointer}: should be a fault, such as {{"match": "list_runs", "answer": {{"status": 500}}}}'
            )
        try:
            json.dumps(source, allow_nan=False)
            reader.add(faults, source, clock)
        except FaultError as error:
            raise StartError(f"{pointer}/{error.place}: {error.problem}") from error
        except Unprocessable as error:
            raise StartError(f"{pointer}: {error.detail}") from error
        except (TypeError, ValueError, RecursionError) as error:
            # For example a YAML date, or an alias that contains itself.
            raise StartError(f"{pointer}: cannot be written as JSON: {error}") from error
    return tuple(sources)


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise StartError(f"{path}: a file of faults has {_MAX_FILE_BYTES} bytes at most")
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartError(f"{path}: cannot read the faults: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"{path}: cannot read the faults: it is not UTF-8 text") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise StartError(f"{path}: not YAML or JSON: {' '.join(str(error).split())[:300]}") from error
