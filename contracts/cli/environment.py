"""Warnings for unknown CONTRACTS_* environment variables: a misspelled one would be ignored silently."""

import os
import re
from difflib import get_close_matches

import click

_PREFIX = "CONTRACTS_"
_WITHOUT_OPTION = frozenset({"CONTRACTS_JOURNAL_DIR", "CONTRACTS_SCHEMA_PLAN"})
_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)\Z")
"""Variables that Kubernetes sets for a Service of this name."""


def warn_of_unknown_variables(group: click.Group) -> None:
    known = {str(param.envvar) for command in group.commands.values() for param in command.params if param.envvar}
    known |= _WITHOUT_OPTION
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in known and not _OF_KUBERNETES.search(name):
            names = [each.removeprefix(_PREFIX) for each in known]
            close = get_close_matches(name.removeprefix(_PREFIX), names, 1, 0.7)
            meant = f": did you mean {_PREFIX}{close[0]}?" if close else "; contracts check --help names them all."
            click.echo(f"Warning: {name} is set, but there is no such option{meant}", err=True)
