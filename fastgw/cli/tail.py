"""`fastgw tail`: exchanges as they end, a line each, with why they ended so."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO
from urllib.parse import urlencode

import click

from fastgw.cli.admin_client import AdminClient, AdminError, admin_options
from fastgw.cli.figures import Paint, milliseconds, visible
from fastgw.model.exchange import WOULD_REFUSE

HEADER: Final = f"{'TIME':12} STA {'REASON':14} {'METHOD':7} {'ROUTE':16} {'OURS':>8} {'UPSTREAM':>8}  REQUEST -> TARGET"
EVERY: Final = 1.0  # seconds between two lines about what was left out
_FILTERS: Final = ("route", "reason", "status", "consumer", "upstream", "method")


@click.command("tail", short_help="Exchanges as they end, and why they ended so.")
@click.option("--route", multiple=True, metavar="NAME", help="Only of this route.")
@click.option("--reason", multiple=True, metavar="REASON", help="Only with this reason, as in rate_limited.")
@click.option("--status", multiple=True, metavar="STATUS", help="Only with this status: 503, or 5xx.")
@click.option("--consumer", multiple=True, metavar="NAME", help="Only of this consumer.")
@click.option("--upstream", multiple=True, metavar="NAME", help="Only with this upstream.")
@click.option("--method", multiple=True, metavar="METHOD", help="Only with this method.")
@click.option("--slower", metavar="DURATION", help="Only what took at least so long, as in 250ms.")
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many exchanges.")
@click.option("--json", "as_json", is_flag=True, help="The lines of the access log: one JSON object each.")
@admin_options
def command(gateway: AdminClient, slower: str | None, count: int | None, as_json: bool, **filters: Any) -> None:
    """Show exchanges as they end, a line each, with the reason why they ended so.

    OURS is the time that the gateway took, UPSTREAM what the service took. A filter may be given more than once:
    any of its values fits; of several filters each must fit. What the gateway tells its operator (breakers,
    reloads, publishes) is shown between the exchanges, or on stderr with --json.

    Watching costs the gateway next to nothing: above some hundred exchanges a second it shows a sample, those that
    went wrong first, and says how many it left out. Filters choose before that; only --method, and --status of
    what went well, choose from the sample.

    \b
    Exit codes:
      0  Ctrl-C, or --count exchanges were shown
      1  the gateway refused, or went away
      2  the command line is wrong

    \b
    Examples:
      fastgw tail                                everything
      fastgw tail --status 5xx                   what fails, and why
      fastgw tail --route orders --slower 250ms
      fastgw tail --reason rate_limited --reason breaker_open
      fastgw tail --consumer acme --json | jq .path
    """
    query = [(key, value) for key in _FILTERS for value in filters[key]]
    query += [("slower", slower)] if slower else []
    stdout, stderr = sys.stdout, sys.stderr
    output = Json(stdout, stderr) if as_json else Lines(stdout, Paint.of(stdout), time.monotonic)
    try:
        code = watch(gateway, query, output, count)
    except KeyboardInterrupt:
        code = 0
    except BrokenPipeError:
        # Whoever read has seen enough. What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        code = 0
    sys.exit(code)


class Lines:
    """For people. `now` in seconds, to say at most once in a while what was left out."""

    def __init__(self, out: TextIO, paint: Paint, now: Callable[[], float]) -> None:
        self._out = out
        self._paint = paint
        self._now = now
        self._missed = 0
        self._said_at = 0.0

    def begin(self) -> None:
        if self._paint.on:
            self._say(self._paint(HEADER, "dim"))

    def exchange(self, text: str) -> None:
        self._say(line(json.loads(text), self._paint))

    def notice(self, text: str) -> None:
        notice = json.loads(text)
        where = "control" if notice["worker"] is None else f"worker {notice['worker']}"
        said = visible(audited(notice["text"]), 300)
        said = said if said.startswith(f"{where}:") else f"{where}: {said}"
        self._say(self._paint(f"{'':12} --- {said}", "cyan"))

    def missed(self, lines: int) -> None:
        self._missed += lines
        now = self._now()
        if now - self._said_at >= EVERY:
            self._said_at = now
            self.end()

    def end(self) -> None:
        if self._missed:
            self._say(self._paint(f"{'':12} ... {self._missed} more not shown", "dim"))
            self._missed = 0

    def _say(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


def audited(text: str) -> str:
    """The JSON of an audit line as a sentence; any other text as it is."""
    if not text.startswith("audit: "):
        return text
    try:
        line = json.loads(text.removeprefix("audit: "))
        words = f"{line['what']} by {line['by']}: {line['outcome']}"
        if line.get("reason"):
            words += f": {line['reason']}"
        elif "version" in line:
            words += f", version {line['version']}"
        names = line.get("changes", {}).get("names")
        words += f" ({', '.join(names)})" if names else ""
        return words + (f": {line['note']}" if line.get("note") else "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return text


class Json:
    """For programs: nothing but exchanges on stdout."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._missed = 0

    def begin(self) -> None:
        pass

    def exchange(self, text: str) -> None:
        # The same JSON without what a terminal could take for a command.
        self._out.write((text if text.isprintable() else json.dumps(json.loads(text))) + "\n")
        self._out.flush()

    def notice(self, text: str) -> None:
        self._err.write(f"fastgw: {visible(json.loads(text)['text'], 300)}\n")

    def missed(self, lines: int) -> None:
        self._missed += lines

    def end(self) -> None:
        if self._missed:
            self._err.write(f"fastgw: {self._missed} more not shown\n")


def watch(
    gateway: AdminClient, query: list[tuple[str, str]], output: Lines | Json, count: int | None
) -> int:
    """Until the gateway ends, or `count` exchanges were shown. The exit code."""
    shown = 0
    path = "/api/tail" + (f"?{urlencode(query)}" if query else "")
    try:
        for event in gateway.events(path, output.begin):
            if event.name == "exchange":
                output.exchange(event.data)
                shown += 1
                if shown == count:
                    return 0
            elif event.name == "notice":
                output.notice(event.data)
            elif event.name == "missed":
                output.missed(int(json.loads(event.data)["lines"]))
    except AdminError as error:
        for each in error.lines:
            click.echo(each, err=True)
        return 1
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        click.echo(str(gateway.stranger()), err=True)
        return 1
    finally:
        output.end()
    click.echo(
        f"fastgw: the gateway at {gateway.address} ended the stream: it stops, or its control starts anew", err=True
    )
    return 1


def line(exchange: Mapping[str, Any], paint: Paint) -> str:
    """One exchange: what is of one width first."""
    status, reason = exchange["status"], visible(exchange["reason"])
    colour = "red" if status >= 500 else "yellow" if status >= 400 or reason != "ok" else "green"
    parts = [
        str(exchange["ts"])[11:23],
        paint(f"{status:3}", colour),
        paint(f"{reason:14}", "dim" if reason == "ok" else colour),
        f"{visible(exchange['method']):7}",
        f"{visible(exchange['route'] or '-'):16}",
        f"{milliseconds(exchange['gateway_ms']):>8}",
        f"{milliseconds(exchange['upstream_ms']) if exchange['attempts'] else '-':>8}",
        " " + visible(exchange["host"] + exchange["path"]),
    ]
    if exchange["target"]:
        parts.append(paint(f"-> {visible(exchange['target'])}", "dim"))
    if exchange["attempts"] > 1:
        parts.append(paint(f"{exchange['attempts']} attempts", "yellow"))
    rule = visible(exchange["rule"] or "")
    if rule.startswith(WOULD_REFUSE):
        parts.append(paint(f"{rule.removeprefix(WOULD_REFUSE)} would have refused it", "yellow"))
    elif rule:
        parts.append(paint(f"by {rule}", colour))
    if exchange["consumer"]:
        parts.append(paint(f"for {visible(exchange['consumer'])}", "blue"))
    return " ".join(parts)
