"""`mockserver serve` with workers that fail as they start."""

import sys

from mockserver import cli


def _fail(*args: object) -> int:
    raise RuntimeError("it fails")


cli._work = _fail  # type: ignore[assignment]
sys.argv = ["mockserver", "serve", "--port", "0", *sys.argv[1:]]
cli.main()
