"""`fastgw run`: the gateway itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastgw.cli.config_option import config_option

if TYPE_CHECKING:
    from fastgw.gateway.document.model import Document
    from fastgw.supervisor.settings import Settings

SHOWN = 20  # warnings at the start


@click.command("run", short_help="Run the gateway in the foreground.")
@config_option()
def command(path: Path) -> None:
    """Run the gateway in the foreground.

    The file is checked and published as a new version if its content differs from the last published file;
    otherwise the newest version of the store is served (it may have been published through the admin API).
    With `store: redis` gateways share their versions: what is published on one is served by all within two
    seconds. A gateway that starts while that store is away serves its file as version 0, and follows later.

    \b
    Signals:
      TERM   drain: not ready, accept for drain.delay, then finish within drain.timeout
      QUIT   the same without the delay
      INT    (Ctrl-C) stop at once
      HUP    read the file again, as `fastgw reload` does
      USR1   open the log file again, after it was renamed

    \b
    Exit codes:
      0  ended as it was told to
      1  the configuration is wrong: all problems are listed, each with its place
      3  an address is in use by another process
      4  the configuration is valid, but no worker could be started with it
      5  a defect of fastgw

    \b
    Examples:
      fastgw run -c gateway.yaml
      fastgw check -c gateway.yaml && fastgw run -c gateway.yaml
    """
    sys.exit(run_file(path))


def run_file(path: Path) -> int:
    """Load, publish, run; returns the exit code."""
    # The imports of a whole gateway take 0.3 s, which no other verb should pay, nor one that only finds
    # mistakes.
    from fastgw.config.errors import ConfigError  # noqa: PLC0415
    from fastgw.supervisor.exits import Exit  # noqa: PLC0415

    try:
        settings = settings_of(path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        return int(Exit.CONFIG)
    from fastgw.supervisor.real import roles  # noqa: PLC0415
    from fastgw.supervisor.start import run  # noqa: PLC0415

    return int(run(settings, roles()))


def settings_of(path: Path) -> Settings:
    """The document to serve: that of the file, or a newer one of the store. Raises ConfigError."""
    from fastgw.gateway.document.load import load_file  # noqa: PLC0415
    from fastgw.supervisor.cores import usable_cores  # noqa: PLC0415
    from fastgw.supervisor.settings import Settings  # noqa: PLC0415

    environ = dict(os.environ)
    written = load_file(path, environ)
    version, document = to_serve(written)
    for warning in document.warnings[:SHOWN]:
        click.echo(f"fastgw: warning: {warning}", err=True)
    if len(document.warnings) > SHOWN:
        click.echo(f"fastgw: {len(document.warnings) - SHOWN} more warnings: see `fastgw check`", err=True)
    return Settings(
        config_path=path.absolute(),
        document=document,
        version=version,
        workers=document.base.workers or usable_cores(),
        environ=environ,
        valkey=embedded_binary(document, path, environ),
    )


def to_serve(written: Document) -> tuple[int, Document]:
    """The version and its document; version 0 is the file, while a fleet's store is away. Raises ConfigError."""
    from fastgw.config.errors import ConfigError, Problem  # noqa: PLC0415
    from fastgw.gateway.document.publish import chosen, document_of, open_store  # noqa: PLC0415
    from fastgw.versions.apart import apart  # noqa: PLC0415
    from fastgw.versions.version import StoreAway, StoreError  # noqa: PLC0415

    store = open_store(written)
    in_fleet = written.base.store.kind == "redis"
    try:
        # redis-py is never imported here: see apart.
        version = (
            apart(lambda: chosen(store, written, "start")) if in_fleet else chosen(store, written, "start")
        )
    except StoreAway as error:
        if not in_fleet:
            raise ConfigError([Problem("store", 0, "", str(error))]) from error
        click.echo(f"fastgw: warning: {error}; until then the file is served, as version 0", err=True)
        return 0, written
    except StoreError as error:
        raise ConfigError([Problem("store", 0, "", str(error))]) from error
    return version.number, document_of(version, store, written)


def embedded_binary(
    document: Document, path: Path, environ: Mapping[str, str], search: Sequence[str] | None = None
) -> Path | None:
    """The server that `redis: {url: embedded}` runs; None where it is not wanted. Raises ConfigError where it is, and
    there is none on this machine."""
    from fastgw.config.errors import ConfigError, Problem  # noqa: PLC0415
    from fastgw.gateway.document.process import EMBEDDED  # noqa: PLC0415
    from fastgw.supervisor.valkey_binary import MISSING, find  # noqa: PLC0415

    if document.base.redis is None or document.base.redis.url != EMBEDDED:
        return None
    found = find(sys.path if search is None else search, environ.get("PATH", ""))
    if found is None:
        raise ConfigError([Problem(str(path), 0, "redis.url", MISSING)])
    return found
