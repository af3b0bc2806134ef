"""Reports unknown CONTRACTS_* environment variables: a misspelled one would be ignored silently."""

import click

from cyberdesk_mockserver.environment import unknown_variables

_WITHOUT_OPTION = frozenset({"CONTRACTS_JOURNAL_DIR"})


def refuse_misspelled_variables(group: click.Group) -> None:
    """Raises click.UsageError if the name of an unknown variable resembles that of an option. Warns of others."""
    known = {str(param.envvar) for command in group.commands.values() for param in command.params if param.envvar}
    misspelled, others = unknown_variables("CONTRACTS_", known | _WITHOUT_OPTION)
    for problem in others:
        click.echo(f"Warning: {problem}; see --help of each command and docs/contracts.md.", err=True)
    if misspelled:
        raise click.UsageError(" ".join(misspelled))
