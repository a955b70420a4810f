"""The group of verbs. Each is imported only when it is asked for: `--help` is there in 0.1 s, and no verb pays for
another's imports."""

from __future__ import annotations

import importlib
from typing import Final

import click

# Verb -> the line that `--help` shows. The verb's own file is fastgw/cli/<verb>.py, its click command `command`.
VERBS: Final[dict[str, str]] = {
    "run": "Run the gateway in the foreground.",
    "check": "Say whether a configuration is right, or everything that is wrong with it.",
    "explain": "What would become of a request, and why.",
    "reload": "Have the running gateway read its file again.",
    "status": "What is served, by whom, and what is wrong.",
    "tail": "Exchanges as they end, and why they ended so.",
    "top": "Routes, upstreams and workers, refreshing in the terminal.",
    "token": "Make a JWT for trying things, or an API key and its digest.",
    "demo": "Tiny upstreams that fail as told, and the gateway in front of them.",
    "schema": "Print the JSON Schema of the configuration, for editors.",
    "version": "Print the version.",
}


class LazyGroup(click.Group):
    """Knows its verbs by name, and loads one when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"fastgw.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            # difflib costs 10 ms: only where a verb is unknown.
            from fastgw.config.errors import suggestion  # noqa: PLC0415

            ctx.fail(f'there is no verb "{args[0]}"{suggestion(args[0], VERBS)}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table, so that nothing is imported to print it.
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def main() -> None:
    """fastgw: a self-hosted API gateway.

    \b
    First steps:
      fastgw demo                      tiny upstreams and the gateway, and what to try
      fastgw check -c gateway.yaml     is the configuration right?
      fastgw run -c gateway.yaml       serve it
      fastgw reload -c gateway.yaml    after a change of the file, without losing a request
      fastgw tail -c gateway.yaml      what passes through, and why it ended as it did

    \b
    A first gateway.yaml:
      listeners:
        - address: 127.0.0.1:8080
      upstreams:
        app:
          targets: [http://127.0.0.1:9001]
      routes:
        - name: everything
          match: {path: /*}
          upstream: app

    `fastgw VERB --help` says more about a verb.
    """
