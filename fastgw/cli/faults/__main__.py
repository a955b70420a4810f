"""`python -m fastgw.cli.faults`: faulty services until TERM; their addresses are one line of JSON on stdout."""

from __future__ import annotations

import asyncio
import signal

import click
import orjson

from fastgw.cli.faults.group import Faults
from fastgw.cli.faults.orders import Order, OrderError, order_of


@click.command()
@click.option("--listen", multiple=True, metavar="[NAME=]HOST:PORT", help="An upstream; port 0: a free one.")
@click.option(
    "--proxy",
    multiple=True,
    metavar="[NAME=]HOST:PORT,TO",
    help="A proxy for bytes; TO is HOST:PORT or the name of an upstream here.",
)
@click.option("--control", metavar="HOST:PORT", help="A port for /_fault alone, which never fails.")
@click.option("--order", default="{}", metavar="JSON", help='Of all upstreams at first: {"mode": "stall"}.')
def command(listen: tuple[str, ...], proxy: tuple[str, ...], control: str | None, order: str) -> None:
    """Services that fail as told: see PUT /_fault on any of their ports.

    The line printed: {"targets": {NAME: ADDRESS}, "control": ADDRESS or null}.
    """
    if not listen and not proxy:
        raise click.UsageError("nothing to listen on: --listen 127.0.0.1:0")
    try:
        first = order_of(orjson.loads(order))
    except orjson.JSONDecodeError as error:
        raise click.ClickException(f"--order is no JSON: {error}") from None
    except OrderError as error:
        raise click.ClickException(str(error)) from None
    asyncio.run(_serve(listen, proxy, control, first))


async def _serve(listen: tuple[str, ...], proxy: tuple[str, ...], control: str | None, first: Order) -> None:
    ended = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, ended.set)
    async with Faults() as faults:
        try:
            for text in listen:
                faults.upstream(*_address(text)).tell(first)
            for text in proxy:
                own, _, to = text.partition(",")
                faults.proxy(faults.services.get(to) or _address(to)[1:], *_address(own))
            at = faults.control(*_address(control)[1:]) if control else None
        except (OSError, ValueError) as error:
            raise click.ClickException(str(error)) from None
        click.echo(orjson.dumps({"targets": faults.as_json(), "control": at}))
        await ended.wait()


def _address(text: str) -> tuple[str, str, int]:
    """name (may be empty), host, port"""
    name, _, address = text.rpartition("=")
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise click.ClickException(f"{address!r} is no HOST:PORT")
    return name, host.strip("[]"), int(port)


if __name__ == "__main__":
    command()
