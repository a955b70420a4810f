"""`fastgw explain`: what would become of a request, and why; by a file, or by a running gateway."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastgw.cli.admin_client import TOKEN_VARIABLE, find, in_words
from fastgw.cli.config_option import config_option
from fastgw.cli.figures import Paint, columns, visible

if TYPE_CHECKING:
    from fastgw.gateway.asked import Request

_COLOURS: Final = {"pass": "green", "answer": "green", "refuse": "red", "shadow": "yellow", "skipped": "dim"}
# What is shown of POST /api/explain.
_KEYS: Final = ("request", "version", "client", "route", "match", "others", "chain", "limits", "upstream", "reason")
_LABEL: Final = 10  # columns of the words at the left


@click.command("explain", short_help="What would become of a request, and why.")
@click.argument("request", nargs=-1, required=True, metavar="[METHOD] URL")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="A header field; repeatable.")
@click.option("--from", "client", metavar="ADDRESS", help="The client's address; default: 203.0.113.1, nobody's.")
@config_option()
@click.option("--live", is_flag=True, help="Ask the running gateway of that file instead.")
@click.option("--admin", metavar="ADDRESS", help="Ask the gateway with this admin address.")
@click.option("--token", metavar="TOKEN", help=f"With --live or --admin. Default: {TOKEN_VARIABLE}, or the file's.")
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def command(
    request: tuple[str, ...],
    headers: tuple[str, ...],
    client: str | None,
    path: Path,
    live: bool,
    admin: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Show what would become of a request, and why: its route and the ones that nearly took it, every policy in
    order with its verdict, the limits with the keys that they count by, the upstream, and what is forwarded.

    It goes through the pipeline's own functions, and nothing is sent anywhere. So it cannot know circuits, health and
    other traffic; every bucket is full, so that no limit refuses; of a split the heaviest part is shown, or the one that
    the caller's key sticks to. By a file, keys behind a jwks_url are not known: their tokens are auth_unavailable. A
    running gateway (--live) knows them, and its targets as they are. Credentials are never shown.

    \b
    Exit codes:
      0  explained, whatever the outcome is
      1  the configuration is wrong, or no gateway answers
      2  the command line is wrong

    \b
    Examples:
      fastgw explain https://api.example.com/orders/7
      fastgw explain POST http://localhost/orders -H 'X-API-Key: secret' -H 'x-api-version: 2'
      fastgw explain GET http://localhost/admin --from 10.0.0.7      is this address let in?
      fastgw explain GET http://localhost/orders/7 --live            by what is served now
      fastgw explain GET http://localhost/orders/7 --json | jq -r .reason
    """
    from fastgw.gateway.asked import DEFAULT_CLIENT, parse_request  # noqa: PLC0415 (0.3 s that --help does not pay)

    try:
        asked = parse_request(_text(request), _fields(headers), client or DEFAULT_CLIENT)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if live or admin is not None or token is not None:
        with in_words():
            outcome = find(path, admin, token).facts("POST", "/api/explain", _KEYS, _body(asked))
        by = f"version {outcome['version']}"
    else:
        outcome = offline(path, asked)
        by = str(path)
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
        return
    for line in report(outcome, by, Paint.of(sys.stdout)):
        click.echo(line, color=True)  # Paint has decided


def offline(path: Path, asked: Request) -> dict[str, Any]:
    """By the file, whatever its own tests say: they are one reason to ask. Ends the program where the file is wrong."""
    from fastgw.clock import SystemClock  # noqa: PLC0415
    from fastgw.config.errors import ConfigError  # noqa: PLC0415
    from fastgw.gateway.document.cases import compiled  # noqa: PLC0415
    from fastgw.gateway.document.load import load_file  # noqa: PLC0415
    from fastgw.gateway.explanation import explained  # noqa: PLC0415

    try:
        document = load_file(path, dict(os.environ), tested=False)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    return {**explained(compiled(document), SystemClock(), asked), "version": None}


def report(outcome: Mapping[str, Any], by: str, paint: Paint) -> Iterator[str]:
    yield f"{paint(visible(outcome['request']), 'bold')} from {visible(outcome['client'])}, by {visible(by)}"
    yield ""
    yield from _section("route", _route(outcome), paint)
    yield from _section("chain", _chain(outcome["chain"], paint) or ["no policy"], paint)
    yield from _section("limits", _limits(outcome["limits"]) or ["none is asked"], paint)
    yield from _section("cache", ["no cache"], paint)
    if outcome["upstream"]:
        yield from _section("upstream", _upstream(outcome), paint)
        yield from _section("forwards", _forwarded(outcome), paint)
    yield from _section("outcome", [_end(outcome, paint)], paint)


def _text(request: Sequence[str]) -> str:
    return " ".join(request) if len(request) > 1 else f"GET {request[0]}"


def _fields(headers: Sequence[str]) -> list[tuple[str, str]]:
    made = []
    for each in headers:
        name, colon, value = each.partition(":")
        if not colon:
            raise ValueError("a header is written as 'Name: value'")
        made.append((name.strip(), value.strip()))
    return made


def _body(asked: Request) -> dict[str, object]:
    joined: dict[str, str] = {}
    for name, value in asked.headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    url = f"http://{asked.authority}{'' if asked.target == '*' else asked.target}"
    return {"request": f"{asked.method} {url}", "headers": joined, "client": asked.client}


def _section(label: str, lines: Sequence[str], paint: Paint) -> Iterator[str]:
    for number, line in enumerate(lines):
        word = paint(label.ljust(_LABEL), "cyan") if number == 0 else " " * _LABEL
        yield f"{word}{line}"


def _route(outcome: Mapping[str, Any]) -> list[str]:
    lines = ["none takes it" if outcome["route"] is None else visible(outcome["route"]) + _matched(outcome["match"])]
    for rival in outcome["others"]:
        why = ", ".join(visible(miss) for miss in rival["misses"])
        lines.append(f"  not {visible(rival['route'])}: {why}")
    return lines


def _matched(match: Mapping[str, Any] | None) -> str:
    if match is None:
        return ""
    words = [f"path {visible(match['path'])}"]
    words += [
        f"{key[:-1] if len(match[key]) == 1 else key} {' '.join(map(visible, match[key]))}"
        for key in ("hosts", "methods", "headers")
        if match[key]
    ]
    return f"  ({', '.join(words)})"


def _chain(steps: Sequence[Mapping[str, str]], paint: Paint) -> list[str]:
    lines = columns([(step["policy"], step["verdict"], visible(step["detail"])) for step in steps]) if steps else ()
    # Painted when the columns are made: a colour has no width.
    return [
        line.replace(f" {step['verdict']}", f" {paint(step['verdict'], _COLOURS.get(step['verdict'], 'dim'))}", 1)
        for line, step in zip(lines, steps, strict=True)
    ]


def _limits(limits: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        (
            visible(limit["name"]),
            f"{visible(limit['key'])} = {visible(limit['value'])}",
            f"{limit['rate']}, burst {limit['burst']}",
            limit["phase"] + (", shadow" if limit["shadow"] else ""),
        )
        for limit in limits
    ]
    return list(columns(rows)) if rows else []


def _upstream(outcome: Mapping[str, Any]) -> list[str]:
    shares = outcome["candidates"]
    whole = sum(share["weight"] for share in shares)
    parts = ", ".join(f"{visible(share['upstream'])} {share['weight'] / whole:.0%}" for share in shares)
    itself = [visible(outcome["upstream"]) + (f"  (of {parts})" if parts else ""), *_circuit(outcome.get("breaker"))]
    return ["  ".join(itself), *map(_target, outcome["targets"])]


def _target(target: Mapping[str, Any]) -> str:
    """Offline a URL and a weight; live what GET /api/upstreams says."""
    words = [visible(target.get("url") or target.get("target") or target.get("label"))]
    if target.get("weight", 1) != 1:
        words.append(f"weight {target['weight']}")
    if target.get("healthy") is False:
        words.append("unhealthy")
    words += _circuit(target.get("breaker"))
    return "  ".join(words)


def _circuit(workers: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Of a breaker that is not closed in every worker."""
    states = [str(each["state"]) for each in workers or ()]
    return [
        f"breaker {state.replace('_', ' ')} in {states.count(state)} of {len(states)} workers"
        for state in ("open", "half_open")
        if state in states
    ]


def _forwarded(outcome: Mapping[str, Any]) -> list[str]:
    method = visible(outcome["request"]).partition(" ")[0]
    fields = [f"  {visible(name)}: {visible(value)}" for name, value in outcome["headers"].items()]
    query = "" if outcome["query"] is None else f"?{outcome['query']}"
    return [f"{method} {visible(outcome['path'] + query)}", *fields]


def _end(outcome: Mapping[str, Any], paint: Paint) -> str:
    noted = f"  ({visible(outcome['rule'])})" if outcome["rule"] else ""
    if outcome["path"] is not None:
        workers = outcome.get("breaker") or ()
        cut = sum(each["state"] == "open" for each in workers)
        if cut and cut == len(workers):
            return paint("503 breaker_open", "red") + f"{noted}: the circuit of its upstream is open now, in every worker"
        refused = f"; in {cut} of {len(workers)} workers its circuit is open: 503 breaker_open" if cut else ""
        return paint("forwarded", "green") + f"; the upstream's answer decides{noted}{refused}"
    if outcome["reason"] == "ok":
        return paint(f"answered here with {outcome['status']}", "green") + noted
    return paint(f"{outcome['status']} {outcome['reason']}", "red") + f"{noted}: {visible(outcome['detail'])}"
