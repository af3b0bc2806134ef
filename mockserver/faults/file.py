"""`--faults FILE`: the faults that each namespace begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mockserver.clock import Clock
from mockserver.errors import StartError, Unprocessable
from mockserver.faults.fault import Faults
from mockserver.faults.parsing import FaultError, FaultParser
from mockserver.yaml_file import read_yaml


def read_faults(path: Path, parser: FaultParser) -> tuple[Mapping[str, Any], ...]:
    """Raises StartError with file and JSON pointer."""
    sources = read_yaml(path, "file of faults")
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
            parser.add(faults, source, clock)
        except FaultError as error:
            raise StartError(f"{pointer}/{error.place}: {error.problem}") from error
        except Unprocessable as error:
            raise StartError(f"{pointer}: {error.detail}") from error
        except (TypeError, ValueError, RecursionError) as error:
            # For example a YAML date, or an alias that contains itself.
            raise StartError(f"{pointer}: cannot be written as JSON: {error}") from error
    return tuple(sources)
