"""`fastgw reload`: ask the running gateway to read its file again, and say what became of it."""

from __future__ import annotations

import sys

import click

from fastgw.cli.admin_client import AdminClient, AdminError, admin_options


@click.command("reload", short_help="Have the running gateway read its file again.")
@admin_options
def command(gateway: AdminClient) -> None:
    """Have the running gateway read its file again.

    Exits with 0 and the number of the version when the file is being served, and with 1 when it was
    refused: then nothing has changed, and every problem is listed. HUP does the same without an answer.

    \b
    Examples:
      fastgw reload -c gateway.yaml
      fastgw reload --admin 127.0.0.1:9901
    """
    try:
        body = gateway.facts("POST", "/api/reload", ("version",))
    except AdminError as error:
        for line in error.lines:
            click.echo(line, err=True)
        if error.status:
            click.echo("fastgw: the reload was refused; nothing has changed", err=True)
        sys.exit(1)
    if body.get("changed") is False:
        click.echo("nothing has changed: the file says what it said when it was last published")
    click.echo(f"configuration {body['version']} is served")
