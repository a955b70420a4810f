"""`fastgw reload`: ask the running gateway to read its file again, and say what became of it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fastgw.config.address import Address

# A document of 10,000 routes is read, checked and compiled in 3 s.
_PATIENCE = 60.0


@click.command("reload", short_help="Have the running gateway read its file again.")
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.yaml"),
    show_default=True,
    help="The configuration file, to find the admin address and its token.",
)
@click.option("--admin", metavar="ADDRESS", help="The admin address, instead of the one in the file.")
@click.option("--token", metavar="TOKEN", help="Default: FASTGW_ADMIN_TOKEN, or the one in the file.")
def command(path: Path, admin: str | None, token: str | None) -> None:
    """Have the running gateway read its file again.

    Exits with 0 and the number of the version when the file is being served, and with 1 when it was
    refused: then nothing has changed, and every problem is listed. HUP does the same without an answer.

    \b
    Examples:
      fastgw reload -c gateway.yaml
      fastgw reload --admin 127.0.0.1:9901
    """
    from fastgw.config.errors import ConfigError  # noqa: PLC0415 (each verb imports what it uses, when it runs)

    try:
        address, known = where(path, admin)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except ConfigError as error:
        click.echo(str(error), err=True)
        click.echo("fastgw: the gateway was not asked; nothing has changed", err=True)
        sys.exit(1)
    sys.exit(ask(address, token or os.environ.get("FASTGW_ADMIN_TOKEN") or known))


def where(path: Path, admin: str | None) -> tuple[Address, str]:
    """The admin address and its token. A file that is broken is what the gateway is to judge, so its own
    address is looked for where a gateway has it by default. ValueError where `admin` is no address."""
    from fastgw.config.address import parse_address  # noqa: PLC0415
    from fastgw.config.errors import ConfigError  # noqa: PLC0415
    from fastgw.gateway.document.load import load_file  # noqa: PLC0415

    if admin is not None:
        return parse_address(admin), ""
    try:
        base = load_file(path, dict(os.environ)).base
    except ConfigError as error:
        found = as_written(path)
        if found is None:
            raise error
        return found
    return base.admin.address, base.admin.token


def as_written(path: Path) -> tuple[Address, str] | None:
    """The same from a file that is wrong elsewhere; None where it is too broken to tell."""
    from fastgw.config.address import parse_address  # noqa: PLC0415
    from fastgw.config.yaml import parse  # noqa: PLC0415
    from fastgw.gateway.document.process import AdminOptions  # noqa: PLC0415

    try:
        source = parse(path.read_bytes(), str(path), os.environ)
        if not source.whole or not isinstance(source.plain, dict):
            return None
        written = source.plain.get("admin")
        if written is None:
            return AdminOptions().address, ""
        return parse_address(str(written["address"])), str(written.get("token", ""))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def ask(address: Address, token: str) -> int:
    """0 or 1; prints what the gateway says."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = _Connection(address)
    try:
        connection.request("POST", "/api/reload", body=b"{}", headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        click.echo(f"fastgw: no gateway answers at {address}: {error}", err=True)
        return 1
    finally:
        connection.close()
    try:
        body: dict[str, Any] = json.loads(text)
    except ValueError:
        body = {}
    if answer.status == http.client.OK:
        click.echo(f"configuration {body.get('version')} is served")
        return 0
    for line in _problems(body) or [f"{answer.status} {answer.reason}"]:
        click.echo(line, err=True)
    click.echo("fastgw: the reload was refused; nothing has changed", err=True)
    return 1


def _problems(body: dict[str, Any]) -> list[str]:
    """Of a problem document: each error on its line, or the detail, or the title."""
    from fastgw.config.errors import Problem  # noqa: PLC0415

    lines = []
    for each in body.get("errors") or ():
        try:
            lines.append(str(Problem(each["file"], each["line"], each["path"], each["message"])))
        except (TypeError, KeyError):
            lines.append(str(each))
    return lines or [str(body[key]) for key in ("detail", "title") if body.get(key)][:1]


class _Connection(http.client.HTTPConnection):
    """To an address of either kind."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.host or "localhost", address.port or 80, timeout=_PATIENCE)
        self._unix_path = address.path

    def connect(self) -> None:
        if not self._unix_path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._unix_path)
