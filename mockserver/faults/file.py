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
    problems: list[str] = []
    for place, source in enumerate(sources):
        pointer = f"{path}: #/{place}"
        if not isinstance(source, dict) or not all(isinstance(name, str) for name in source):
            what = """should be a fault, such as {"match": "list_runs", "answer": {"status": 500}}"""
            problems.append(f"{pointer}: {what}")
            continue
        try:
            json.dumps(source, allow_nan=False)
            parser.add(faults, source, clock)
        except FaultError as error:
            problems.append(f"{pointer}/{error.place}: {error.problem}")
        except Unprocessable as error:
            problems.append(f"{pointer}: {error.detail}")
        except (TypeError, ValueError, RecursionError) as error:
            # For example a YAML date, or an alias that contains itself.
            problems.append(f"{pointer}: cannot be written as JSON: {error}")
    if problems:
        raise StartError.of_all(problems)
    return tuple(sources)
