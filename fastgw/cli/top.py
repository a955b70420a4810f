"""`fastgw top`: what goes on, refreshing in the terminal."""

from __future__ import annotations

import dataclasses
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO, RawIOBase
from typing import TYPE_CHECKING, Final

import click

from fastgw.cli.admin_client import AdminClient, AdminError, admin_options, in_words
from fastgw.cli.keyboard import Keyboard
from fastgw.cli.status import KEYS, why_not_ready
from fastgw.cli.view import NAMES, TABLES, Facts, View

if TYPE_CHECKING:
    from rich.console import Console

_PATIENCE: Final = 5.0
_WIDTH: Final = 120  # of what is no terminal


@click.command("top", short_help="Routes, upstreams and workers, refreshing in the terminal.")
@click.option("--table", type=click.Choice(NAMES), default=NAMES[0], show_default=True, help="The one to begin with.")
@click.option("--once", is_flag=True, help="Print it once, all rows, and end; so does what is no terminal.")
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, metavar="SECONDS",
    help="How often it is asked; the gateway itself looks every 2 s.",
)
@admin_options
def command(gateway: AdminClient, table: str, once: bool, every: float) -> None:
    """Show what goes on: rates and percentiles of the last ten seconds, again and again.

    \b
    Keys:
      r u w e l  routes, upstreams, workers, reasons of refusals and failures, limits
      s          sort by the next column (S: the one before)
      space      pause, and go on
      up, down   scroll
      ? q        help, quit

    \b
    Exit codes:
      0  quit
      1  no gateway answered at the start
      2  the command line is wrong

    \b
    Examples:
      fastgw top
      fastgw top --table workers --once
      ssh gateway1 fastgw top -c /etc/fastgw/gateway.yaml
    """
    from rich.console import Console  # noqa: PLC0415 (0.2 s, which --help should not pay)

    from fastgw.cli.screen import frame  # noqa: PLC0415

    asked = AdminClient(gateway.address, gateway.token, _PATIENCE)
    with in_words():
        facts = fetch(asked)
    view = View(next(each for each in TABLES if each.name == table))
    console = Console(highlight=False)
    able = console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    if once or not able:
        # What is no terminal has no width, unless somebody says so.
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console = Console(highlight=False, width=_WIDTH)
        console.print(frame(facts, view, None, console.width))
        return
    try:
        watch(facts, lambda: fetch(asked), every, view, console)
    except KeyboardInterrupt:
        pass  # Ctrl-C is how most people leave


def fetch(gateway: AdminClient) -> Facts:
    """Raises AdminError."""
    overview = gateway.facts("GET", "/api/overview", ("points",))
    return Facts(overview, gateway.facts("GET", "/api/status", KEYS), why_not_ready(gateway), time.time())


def watch(facts: Facts, fetch: Callable[[], Facts], every: float, view: View, console: Console) -> None:
    """Until somebody quits. What is asked of the gateway is asked in a thread: keys never wait for it."""
    from rich.live import Live  # noqa: PLC0415

    from fastgw.cli.screen import frame  # noqa: PLC0415

    with woken() as (bell, ring):
        source = Source(facts, fetch, ring, every)
        threading.Thread(target=source.run, daemon=True).start()
        with (
            Keyboard(sys.stdin.fileno()) as keyboard,
            Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live,
        ):
            while not view.over:
                live.update(frame(facts, view, console.height, console.width), refresh=True)
                ready, _, _ = select.select([keyboard.fileno(), bell], [], [])
                if bell in ready:
                    os.read(bell, 4096)
                if keyboard.fileno() in ready:
                    pressed = keyboard.read()
                    if pressed is None:
                        return
                    for key in pressed:
                        view.press(key)
                if not view.paused:
                    facts = source.facts


class Source:
    """The latest facts, and a byte into `bell` whenever there are new ones; until `bell` is closed."""

    def __init__(self, facts: Facts, fetch: Callable[[], Facts], bell: RawIOBase, every: float) -> None:
        self.facts = facts
        self._fetch = fetch
        self._bell = bell
        self._every = every

    def run(self) -> None:
        while True:
            time.sleep(self._every)
            try:
                self.facts = self._fetch()
            except AdminError as error:
                # What was known stays on the screen, with why it is old.
                self.facts = dataclasses.replace(self.facts, error=error.lines[0])
            try:
                self._bell.write(b"!")
            except (OSError, ValueError):
                return  # nobody looks any more


@contextmanager
def woken() -> Iterator[tuple[int, RawIOBase]]:
    """The ends of a pipe, which also wakes when the terminal has another size."""
    bell, fd = os.pipe()
    os.set_blocking(fd, False)
    # An object, not a number: a thread that is late must not write into what has the number then.
    ring = FileIO(fd, "w")
    before = signal.signal(signal.SIGWINCH, lambda number, stack: None), signal.signal(signal.SIGTERM, _ended)
    signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    try:
        yield bell, ring
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGWINCH, before[0])
        signal.signal(signal.SIGTERM, before[1])
        os.close(bell)
        ring.close()


def _ended(number: int, stack: object) -> None:
    """So that the terminal is given back first."""
    sys.exit(128 + number)
