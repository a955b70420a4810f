"""`fastgw schema`: the JSON Schema of the configuration."""

from __future__ import annotations

import click


@click.command("schema", short_help="Print the JSON Schema of the configuration, for editors.")
def command() -> None:
    """Print the JSON Schema of the configuration file.

    An editor that knows it completes keys and marks mistakes while you type. `fastgw check` says more: names that
    do not exist, routes that clash, variables that are not set.

    \b
    Examples:
      fastgw schema > fastgw.schema.json
      and as the first line of gateway.yaml, for editors with the YAML language server:
      # yaml-language-server: $schema=fastgw.schema.json
    """
    import orjson  # noqa: PLC0415 (the imports of the model take 0.3 s, which --help should not pay)

    from fastgw.gateway.document.schema import document_schema  # noqa: PLC0415

    click.echo(orjson.dumps(document_schema(), option=orjson.OPT_INDENT_2).decode())
