"""Writes contracts/rules/coverage.json: which rules a whole check of a healthy stand-in judges, by operation and part.

Run it after a change of the rules: python -m tests.contracts.matrix.coverage
"""

import argparse
import json
from pathlib import Path

from tests.contracts.checks import checked
from tests.standin.serving import serving

PATH = Path(__file__).parents[3] / "contracts/rules/coverage.json"
SEED = 1


def main() -> None:
    argparse.ArgumentParser(description=__doc__, prog="python -m tests.contracts.matrix.coverage").parse_args()
    with serving() as url:
        result = checked(url, seed=SEED, max_time_s=1500.0)
    assert not result.findings, result.findings
    assert all(scenario.finished for scenario in result.scenarios), result.scenarios
    lines = [
        f'"{operation}": {{\n'
        + ",\n".join(f"  {json.dumps(part)}: {json.dumps(sorted(rules))}" for part, rules in parts.items())
        + "\n}"
        for operation, parts in result.coverage.items()
    ]
    PATH.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
