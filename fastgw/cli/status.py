"""`fastgw status`: what is served, by whom, and what is wrong; ready or not as the exit code."""

from __future__ import annotations

import http
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from fastgw.cli.admin_client import AdminClient, AdminError, admin_options, in_words
from fastgw.cli.figures import Paint, columns, size, span, visible

_PATIENCE: Final = 10.0
WORKERS: Final = (
    "WORKER", "STATE", "VERSION", "SINCE", "UP", "CONNECTIONS", "IN FLIGHT", "LAG", "MEMORY", "PID", "RESPAWNS",
)  # fmt: skip
# What is shown of GET /api/status.
KEYS: Final = ("version", "hash", "started_at", "workers", "redis", "upstreams", "logger", "last_reload")
FLEET: Final = ("INSTANCE", "VERSION", "HASH", "SINCE", "WORKERS", "")


@click.command("status", short_help="What is served, by whom, and what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: ready, why_not, status, fleet.")
@admin_options
def command(gateway: AdminClient, as_json: bool) -> None:
    """Show what the running gateway serves, by whom, and what is wrong.

    A worker serves VERSION, SINCE that long; another version than the first line's is one that it has yet to take.
    LAG is how late its loop is: above a few ms it has too much to do, or something blocks it.

    \b
    Exit codes:
      0  ready
      1  not ready (the first line says why), or no gateway answers
      2  the command line is wrong

    \b
    Examples:
      fastgw status                                    the gateway of ./gateway.yaml
      fastgw status --admin 127.0.0.1:9901
      fastgw status --json | jq '.status.workers[].version'
      until fastgw status >/dev/null; do sleep 1; done
    """
    with in_words():
        answers = ask(AdminClient(gateway.address, gateway.token, _PATIENCE))
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    else:
        for line in report(answers, time.time(), Paint.of(sys.stdout)):
            click.echo(line, color=True)  # Paint has decided
    sys.exit(0 if answers["ready"] else 1)


def ask(gateway: AdminClient) -> dict[str, Any]:
    """Raises AdminError where the gateway does not answer."""
    status = gateway.facts("GET", "/api/status", KEYS)
    why_not = why_not_ready(gateway)
    fleet: object = None
    try:
        fleet = gateway.call("GET", "/api/fleet")
    except AdminError as error:
        # A gateway of another version may not have it: then there is nothing to say about a fleet.
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
    return {"ready": why_not is None, "why_not": why_not, "status": status, "fleet": fleet}


def why_not_ready(gateway: AdminClient) -> str | None:
    """None: it is. Raises AdminError where the gateway does not say."""
    try:
        gateway.call("GET", "/readyz")
    except AdminError as error:
        if error.status != http.HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return "; ".join(error.lines)
    return None


def report(answers: Mapping[str, Any], now: float, paint: Paint) -> Iterator[str]:
    status = answers["status"]
    if answers["ready"]:
        yield paint("ready", "green")
    else:
        yield paint(f"not ready: {visible(answers['why_not'])}", "red")
    yield f"version {status['version']} ({status['hash'][:12]}), up for {span(max(0.0, now - status['started_at']))}"
    for line in troubles(status, now):
        yield paint(line, "yellow")
    yield ""
    served = status["version"]
    head, *lines = columns(_workers(status), right=(2, 3, 4, 5, 6, 7, 8, 9, 10))
    yield paint(head, "dim")
    for worker, line in zip(status["workers"], lines, strict=True):
        late = worker["version"] != served or worker["state"] != "serving"
        yield paint(line, "yellow") if late else line
    for block in (_redis(status["redis"]), _fleet(answers["fleet"], now)):
        if block:
            yield ""
            yield from block


def _workers(status: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    yield WORKERS
    for each in status["workers"]:
        yield (
            str(each["index"]),
            each["state"],
            str(each["version"]),
            span(each["age_s"]),
            span(each["uptime_s"]),
            str(each["connections"]),
            str(each["in_flight"]),
            f"{each['loop_lag_ms']:.1f} ms",
            size(each["rss_bytes"]),
            str(each["pid"]),
            str(each["respawns"]),
        )


def troubles(status: Mapping[str, Any], now: float) -> Iterator[str]:
    """A line for everything that somebody should look at."""
    for text in status["upstreams"]:
        yield f"upstream {visible(text)}"
    lost = status["logger"]["lines_dropped"]
    if lost:
        yield f"{lost} lines of the log were dropped: the sink is slower than the traffic"
    last = status["last_reload"]
    if last is None:
        return
    when = f"{span(max(0.0, now - last['at']))} ago, by {visible(last['by'])}"
    if not last["ok"]:
        yield f"the last reload ({when}) was refused:"
        for error in last["errors"]:
            yield f"  {visible(error, 300)}"
    for what in last["needs_restart"]:
        yield f"the last reload ({when}) changed {visible(what)}, which takes effect at a restart"


def _redis(redis: Mapping[str, Any] | None) -> list[str]:
    """The store of the limits."""
    if redis is None:
        return ["limits are counted in each worker: there is no redis in the configuration"]
    kind = " (run by this gateway)" if redis["embedded"] else ""
    line = f"redis {visible(redis['url'])}{kind}: {redis['state']}"
    if redis["state"] == "up":
        line += f", shared by {redis['instances']} gateway{'' if redis['instances'] == 1 else 's'}"
    if redis["error"]:
        line += f": {visible(redis['error'])}"
    local = [str(index) for index, mode in enumerate(redis["modes"]) if mode == "local"]
    if local:
        line += f"; worker{'' if len(local) == 1 else 's'} {', '.join(local)} count{'s' if len(local) == 1 else ''} alone"
    return [line]


def _fleet(fleet: Any, now: float) -> list[str]:
    """Nothing where this gateway is the only one there is."""
    if not isinstance(fleet, dict):
        return []
    store = fleet.get("store") or {}
    lines = []
    if store.get("up") is False:
        lines.append(f"the store of versions ({store.get('kind')}) is away: {visible(store.get('error') or '')}")
    instances = fleet.get("instances") or []
    if len(instances) > 1:
        lines += columns([FLEET, *(_instance(each, now) for each in instances)], right=(1, 4))
    return lines


def _instance(each: Mapping[str, Any], now: float) -> Sequence[str]:
    note = f"refused: {visible(each['error'])}" if each.get("error") else "this one" if each.get("me") else ""
    at, workers = each["at"], each["workers"]
    return (
        visible(each["instance"]),
        str(each["version"]),
        str(each["hash"])[:12],
        span(max(0.0, now - at)) if at else "-",
        f"{workers['serving']}/{workers['of']}",
        note,
    )
