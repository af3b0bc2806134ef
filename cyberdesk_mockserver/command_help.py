"""Commands whose help shows options in groups, followed by examples."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click

Groups = Mapping[str, Collection[str]]
"""Titles, and the names of the parameters or commands below each. Names in no group come last."""


class Command(click.Command):
    def __init__(self, *args: Any, groups: Groups | None = None, examples: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.groups = groups or {}
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name or "": option.get_help_record(ctx) for option in options}
        shown = {name: record for name, record in records.items() if record is not None}
        _write_groups(formatter, self.groups, shown, "Other options" if self.groups else "Options")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        _write_examples(formatter, self.examples)


class Group(click.Group):
    command_class = Command

    def __init__(
        self,
        *args: Any,
        groups: Groups | None = None,
        examples: str = "",
        other_names: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        """`other_names` are commands of other tools, and the command that does the same here."""
        super().__init__(*args, **settings)
        self.groups = groups or {}
        self.examples = examples
        self.other_names = other_names or {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises click.UsageError, which says what may be meant: click does so for a misspelled command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            problem = error.format_message()
            if args[0] in self.other_names:
                ctx.fail(f"No such command {args[0]!r}. Did you mean {self.other_names[args[0]]!r}?")
            if not problem.startswith("No such command") or "Did you mean" in problem:
                raise
            ctx.fail(f"{problem} The commands are {', '.join(sorted(self.commands))}.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shown = {name: (name, command.get_short_help_str(80)) for name, command in self.commands.items()}
        _write_groups(formatter, self.groups, shown, "Commands")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        _write_examples(formatter, self.examples)


def _write_groups(
    formatter: click.HelpFormatter, groups: Groups, records: dict[str, tuple[str, str]], title_of_others: str
) -> None:
    grouped = {name for names in groups.values() for name in names}
    others = [name for name in records if name not in grouped]
    for title, names in (*groups.items(), (title_of_others, others)):
        rows = [records[name] for name in names if name in records]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    if examples:
        with formatter.section("Examples"):
            for line in examples.strip().splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
