"""A group of verbs: listed in the order of use, an unknown one answered with the nearest."""

import click

from text_uda.cli.failures import nearest


class Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(f"No such command {args[0]!r}.{nearest(args[0], self.commands)}", ctx)
        return super().resolve_command(ctx, args)
