"""Reports unknown CONTRACTS_* environment variables: a misspelled one would be ignored silently."""

import os
import re
from difflib import get_close_matches

import click

_PREFIX = "CONTRACTS_"
_WITHOUT_OPTION = frozenset({"CONTRACTS_JOURNAL_DIR", "CONTRACTS_SCHEMA_PLAN"})
_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)\Z")
"""The ends of variables that Kubernetes sets for a Service, such as one whose name begins with `contracts`."""


def refuse_misspelled_variables(group: click.Group) -> None:
    """Raises click.UsageError if the name of an unknown variable resembles that of an option. Warns of other unknown
    ones, which may belong to another program.
    """
    known = {str(param.envvar) for command in group.commands.values() for param in command.params if param.envvar}
    names = [each.removeprefix(_PREFIX) for each in known | _WITHOUT_OPTION]
    misspelled = []
    for name in sorted(os.environ):
        bare = name.removeprefix(_PREFIX)
        if bare == name or bare in names or _OF_KUBERNETES.search(name):
            continue
        problem = f"{name} is set, but there is no such option"
        if close := get_close_matches(bare, names, 1, 0.7):
            misspelled.append(f"{problem}: did you mean {_PREFIX}{close[0]}?")
        else:
            click.echo(f"Warning: {problem}; contracts check --help names them all.", err=True)
    if misspelled:
        raise click.UsageError(" ".join(misspelled))
