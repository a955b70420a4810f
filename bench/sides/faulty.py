"""nginx and the gateway with one more upstream, at /faulty/, whose targets fail as told: what each has against that.

Everything else goes to the upstream that never fails, as in the plain configurations that these are made of. Of
nginx its `max_fails` and `proxy_next_upstream` (it has no health checks, so ours are off too unless asked for).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.sides import fastgw, nginx
from bench.sides.side import Command, Plan, Writer
from bench.sides.table import OURS

PATH = "/faulty/"
RESPONSE_SECONDS = 1.0
OPEN_SECONDS = 3  # until the first probe; nginx tries a target again after as long
FAILURES = 5

BREAKER = (
    f"{{failures: {FAILURES}, error_rate: 50%, window: 10s, min_requests: 20, open_for: {OPEN_SECONDS}s, "
    f"max_open_for: {2 * OPEN_SECONDS}s, probes: 1, successes: 2}}"
)
FOR_GOOD = f"{{failures: {FAILURES}, open_for: 1h, max_open_for: 1h}}"  # once open, it stays so
HEALTH = "{path: /healthz, interval: 500ms, timeout: 400ms, healthy_after: 2, unhealthy_after: 2}"


@dataclass(frozen=True)
class Behind:
    """The upstream at /faulty/. An empty text leaves the block out."""

    targets: tuple[str, ...]  # host:port
    attempts: int = 2
    breaker: str = BREAKER
    slow_start: str = "5s"
    health: str = ""
    max_connections: int = 256
    nginx_open_seconds: int = OPEN_SECONDS


def _ours(plan: Plan, behind: Behind) -> str:
    lines = [f"targets: [{', '.join(f'http://{target}' for target in behind.targets)}]"]
    lines += [f"connections: {{max: {behind.max_connections}, queue: 1024, queue_timeout: 1s}}"]
    lines += [f"timeouts: {{connect: 1s, response: {RESPONSE_SECONDS:g}s}}"]
    if behind.attempts > 1:
        when = "[connect, reset, timeout, 502, 503, 504]"
        lines += [f"retries: {{attempts: {behind.attempts}, when: {when}}}"]
    lines += [f"breaker: {behind.breaker}"] if behind.breaker else []
    lines += [f"health: {behind.health}"] if behind.health else []
    # A single target has nobody to leave its requests to while it warms up.
    lines += [f"slow_start: {behind.slow_start}"] if behind.slow_start and len(behind.targets) > 1 else []
    upstream = "  faulty:\n" + "".join(f"    {line}\n" for line in lines)
    route = f"  - {{name: faulty, match: {{path: {PATH}*}}, upstream: faulty}}\n"
    return _spliced(fastgw.render(plan), [("routes:\n", upstream, ""), ("routes:\n", "", route)])


def _nginx(plan: Plan, behind: Behind) -> str:
    # Without a breaker nginx does not rest a target either.
    policy = f"max_fails={FAILURES if behind.breaker else 0} fail_timeout={behind.nginx_open_seconds}s"
    servers = " ".join(f"server {target} {policy};" for target in behind.targets)
    upstream = f"  upstream faulty {{ {servers} keepalive 256; keepalive_requests 1000000000; }}\n"
    location = (
        f"    location {PATH} {{ {nginx.pass_to('faulty')}\n"
        f"      proxy_connect_timeout 1s; proxy_read_timeout {RESPONSE_SECONDS:g}s;\n"
        "      proxy_next_upstream error timeout invalid_header http_502 http_503 http_504;\n"
        f"      proxy_next_upstream_tries {behind.attempts}; }}\n"
    )
    return _spliced(
        nginx.render(plan), [("  server {\n", upstream, ""), ("    location /upload/", location, "")]
    )


def _spliced(text: str, pieces: Sequence[tuple[str, str, str]]) -> str:
    """`text` with something before and after each mark, which must be there once."""
    for mark, before, after in pieces:
        if text.count(mark) != 1:
            raise ValueError(f"{mark!r} is {text.count(mark)} times in the plain configuration")
        text = text.replace(mark, before + mark + after)
    return text


def writer(kind: str, behind: Behind) -> Writer:
    """For World.start."""

    def write(plan: Plan) -> Command:
        ours = kind == OURS
        command = fastgw.write(plan) if ours else nginx.write(plan)
        command.config.write_text(_ours(plan, behind) if ours else _nginx(plan, behind))
        return command

    return write
