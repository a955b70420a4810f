"""`fastgw check`: is a configuration right, and in which order do its routes stand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastgw.gateway.document.model import Document, RouteOptions
    from fastgw.gateway.snapshot import Snapshot

_PATIENCE = 5.0  # seconds for a program to say its version

COLUMNS = ("ROUTE", "HOSTS", "PATH", "METHODS", "HEADERS", "TO", "POLICIES")


@click.command(
    "check", short_help="Say whether a configuration is right, or everything that is wrong with it."
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("gateway.yaml"),
    show_default=True,
    help="The configuration file.",
)
@click.option("--routes", is_flag=True, help="Print the routes in the order of their precedence, with their policies.")
def command(file: Path | None, path: Path, routes: bool) -> None:
    """Check a configuration without starting anything.

    All problems are printed at once, one a line, as `file:line: place: what is wrong, what would be right`.
    Variables are taken from the environment, so check where you run. Warnings say what is probably not meant;
    they change nothing about the exit code.

    The document's own `tests` run too, through the pipeline's own functions and without a network: each is a request
    and what must become of it. A test that fails is a problem at its line; `fastgw explain` shows the same request
    step by step. The time in a test is when its token was issued, and keys behind a jwks_url are not known in it.

    \b
    Exit codes:
      0  the configuration is right
      1  it is not
      2  the command line is wrong

    \b
    Examples:
      fastgw check -c gateway.yaml
      fastgw check -c gateway.yaml --routes     which route wins? The first one that fits.
      fastgw check && fastgw reload
    """
    # The imports of the model take 0.3 s, which --help should not pay.
    from fastgw.cli.run import embedded_binary  # noqa: PLC0415
    from fastgw.config.errors import ConfigError  # noqa: PLC0415
    from fastgw.gateway.document.load import load_file  # noqa: PLC0415

    path = file or path
    environ = dict(os.environ)
    try:
        document = load_file(path, environ)
        snapshot = _dry(document, path)
        server = embedded_binary(document, path, environ)
        version = None if server is None else version_of(server, path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        count = len(error.problems)
        click.echo(f"{path}: {count} problem{'' if count == 1 else 's'}", err=True)
        sys.exit(1)
    for warning in document.warnings:
        click.echo(f"warning: {warning}", err=True)
    if routes:
        for line in table(snapshot):
            click.echo(line)
    else:
        click.echo(f"{path}: ok ({summary(document)})")
        tests = len(document.base.tests)
        if tests:
            click.echo(f"{path}: {tests} test{'' if tests == 1 else 's'} passed")
        if version:
            click.echo(f"{path}: redis.url: embedded runs {server} ({version})")


def _dry(document: Document, path: Path) -> Snapshot:
    """What a worker would make of it. Raises ConfigError."""
    from fastgw.config.errors import ConfigError, Problem  # noqa: PLC0415
    from fastgw.gateway.document.cases import compiled  # noqa: PLC0415

    try:
        return compiled(document)
    except ValueError as error:
        message = f"it does not compile ({error}), which is a defect of fastgw; please report it"
        raise ConfigError([Problem(str(path), 0, "", message)]) from error


def version_of(server: Path, path: Path) -> str:
    """What the embedded server says that it is: so it can be run here. Raises ConfigError."""
    from fastgw.config.errors import ConfigError, Problem  # noqa: PLC0415

    try:
        done = subprocess.run([server, "--version"], check=True, capture_output=True, timeout=_PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        message = f"{server} cannot be run: {error}; repair it, or write the address of a server"
        raise ConfigError([Problem(str(path), 0, "redis.url", message)]) from None
    # "Valkey server v=9.1.2 sha=... malloc=..."
    return done.stdout.decode(errors="replace").partition(" sha=")[0].strip() or "it does not say its version"


def summary(document: Document) -> str:
    counts = (
        (len(document.base.listeners), "listener"),
        (len(document.upstreams), "upstream"),
        (len(document.routes), "route"),
    )
    return (
        ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts)
        + f", {document.hash[:12]}"
    )


def table(snapshot: Snapshot) -> Iterator[str]:
    """The routes as columns, the one that is tried first at the top."""
    from fastgw.routing.table import in_order  # noqa: PLC0415

    routes = in_order(snapshot.document.routes.values())
    rows = [COLUMNS, *((*row(route), policies(snapshot, route)) for route in routes)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(COLUMNS))]
    for line in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def row(route: RouteOptions) -> tuple[str, ...]:
    match = route.match
    return (
        route.name,
        " ".join(match.hosts) or "*",
        match.path,
        " ".join(match.methods) or "*",
        " ".join(f"{name}={value}" for name, value in match.headers.items()) or "*",
        _to(route),
    )


def policies(snapshot: Snapshot, route: RouteOptions) -> str:
    """Those of the compiled chain, in its order: what changes nothing for anybody is not in it."""
    from fastgw.gateway.steps import names_of  # noqa: PLC0415

    names = names_of(snapshot.routes[route.name].chain, route.limits)
    # The limits before authentication and after it are one key of the route.
    return " ".join(dict.fromkeys(name.partition(" ")[0] for name in names)) or "-"


def _to(route: RouteOptions) -> str:
    if route.reply:
        return f"reply {route.reply.status}"
    if route.split:
        return "split " + " ".join(f"{name}:{weight}" for name, weight in route.split.items())
    return f"upstream {route.upstream}"
