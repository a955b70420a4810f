from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastgw.config.errors import ConfigError
from fastgw.config.findings import model_at
from fastgw.gateway.document.load import load_file, load_plain
from fastgw.gateway.document.options import DocumentOptions
from fastgw.gateway.document.unbuilt import ANY, UNBUILT, unbuilt

EXAMPLE = Path(__file__).with_name("example.yaml")


def paths(plain: dict[str, Any]) -> list[tuple[str | int, ...]]:
    return [finding.path for finding in unbuilt(plain)]


def test_the_whole_example_fails_only_with_what_is_not_built_yet() -> None:
    with pytest.raises(ConfigError) as caught:
        load_file(EXAMPLE, {})
    text = EXAMPLE.read_text().splitlines()
    for problem in caught.value.problems:
        assert "is not supported by this version" in problem.message
        key = problem.path.rpartition(".")[2]
        assert text[problem.line - 1].lstrip().startswith(f"{key}:")
    assert {problem.path for problem in caught.value.problems} == {
        "cache", "routes[1].cache",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "on", "off"),
    [
        (("cache",), {"memory": "64MB"}, None),
        (("listeners", 0, "proxy_protocol"), True, False),
        (("listeners", 0, "tls"), {"certificate": "a", "key": "b"}, None),
        (("routes", 0, "cache"), {"ttl": "1s"}, None),
    ],
)  # fmt: skip
def test_each_is_refused_and_its_off_value_is_taken(
    plain: dict[str, Any], path: tuple[Any, ...], on: object, off: object
) -> None:
    node: Any = plain
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = on
    assert paths(plain) == [path]
    with pytest.raises(ConfigError, match="is not supported by this version"):
        load_plain(plain, "test")
    node[path[-1]] = off
    assert load_plain(plain, "test")


def test_whatever_stands_there_it_is_no_traceback() -> None:
    for value in (3, "x", [3], {"a": 3}, [[3]], {"a": [3]}, None):
        list(unbuilt(dict.fromkeys(("listeners", "upstreams", "routes", "store", "redis"), value)))


def test_the_table_names_keys_that_exist() -> None:
    for pattern, _ in UNBUILT:
        steps = tuple(0 if step == ANY else step for step in pattern)
        parent = model_at(DocumentOptions, steps[:-1])
        if pattern[-1] != ANY:
            assert parent is not None
            assert pattern[-1] in parent.model_fields


CUT_DOWN = """\
listeners:
  - address: 127.0.0.1:8080
    health_path: /healthz
    proxy_protocol: false
  - address: "[::1]:8080"
  - address: unix:edge.sock
workers: auto
instance: ${HOSTNAME:-gateway}
trusted_proxies: [10.0.0.0/8]
drain: {delay: 0s, timeout: 30s}
admin:
  address: 127.0.0.1:9901
  token: "${FASTGW_ADMIN_TOKEN:-}"
redis:
  url: embedded
  prefix: "fastgw:"
  timeout: 25ms
store: file:./.fastgw
log:
  access: access.log
  sample: 1.0
server:
  header_timeout: 10s
  body_timeout: 30s
  min_body_rate: 128
  send_timeout: 60s
  keepalive_timeout: 75s
  keepalive_requests: 0
  max_connections: 8192
  max_connections_per_ip: 0
  max_in_flight: 4096
  server_timing: false
  max_header_size: 32KB
  max_body: 10MB
limits:
  - {name: flood, key: client_ip, rate: 2000/s, burst: 4000, lease: auto}
limits_defaults: {on_error: local}
issuers:
  main:
    issuer: https://id.example.com/
    audience: api
    algorithms: [RS256, ES256]
    jwks_url: https://id.example.com/.well-known/jwks.json
    jwks_refresh: 10m
    required_claims: [exp, sub]
    leeway: 5s
    consumer_claim: sub
    scope_claim: scope
  dev:
    algorithms: [HS256]
    secret: ${FASTGW_DEV_SECRET:-development-only-secret-of-32-bytes!}
api_keys: {header: X-API-Key}
consumers:
  - name: mobile-app
    tier: gold
    scopes: [orders:read, orders:write]
    keys: ["sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"]
    subjects: [{issuer: main, subject: app-7731}]
upstreams:
  orders:
    targets:
      - http://127.0.0.1:9001
      - {url: "http://127.0.0.1:9002", weight: 2}
      - unix:orders.sock
    balance: p2c
    preserve_host: true
    connections: {max: 256, idle: 64, idle_timeout: 4s, queue: 256, queue_timeout: 250ms}
    timeouts: {connect: 1s, response: 15s, idle: 60s}
    retries: {attempts: 2, when: [connect, reset, timeout, 502, 503, 504], budget: 20%}
    breaker:
      failures: 5
      error_rate: 50%
      window: 10s
      min_requests: 20
      open_for: 5s
      max_open_for: 60s
      probes: 1
      successes: 2
      statuses: [502, 503, 504]
    health: {path: /healthz, interval: 2s, timeout: 1s, healthy_after: 2, unhealthy_after: 3, statuses: [200]}
    slow_start: 10s
    max_in_flight: 100
    dns_interval: 30s
  orders-next:
    targets: [http://127.0.0.1:9003]
routes:
  - name: orders
    match:
      hosts: [api.example.com, "*.shop.example.com"]
      path: /orders/*
      methods: [GET, POST, PUT, DELETE]
      headers: {x-api-version: "2"}
    split: {orders: 95, orders-next: 5}
    sticky: consumer
    ip_access: {allow: [0.0.0.0/0, "::/0"], deny: [192.0.2.0/24], mode: enforce}
    cors:
      origins: ["https://shop.example.com"]
      methods: [GET, POST]
      headers: [authorization]
      credentials: true
      max_age: 10m
    auth: {any: [jwt: main, jwt: dev, api_key], scopes: [orders:read]}
    limits:
      - {name: per-address, key: client_ip, rate: 100/s, burst: 200}
      - {name: per-consumer, key: consumer, rate: 1000/m, burst: 100, tiers: {gold: 10000/m}}
      - {name: writes, key: consumer, rate: 10/s, burst: 10, methods: [POST, PUT, DELETE], mode: shadow, on_error: allow}
    max_body: 1MB
    max_in_flight: 10
    rewrite:
      path: {strip_prefix: /orders, add_prefix: /v2}
      request_headers: {set: {x-gateway: fastgw}, remove: [x-debug]}
      response_headers: {set: {x-served-by: fastgw}, remove: [server]}
    timeouts: {response: 5s, total: 10s}
  - name: maintenance
    match: {path: /old/*}
    reply: {status: 410, body: '{"gone": true}', content_type: application/json}
"""


def test_a_file_with_only_what_is_built_is_right(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    assert problems(CUT_DOWN) == []
    document = load_file(tmp_path / "gateway.yaml", {})
    orders, route = document.upstreams["orders"], document.routes["orders"]
    assert [target.weight for target in orders.targets] == [1, 2, 1]
    assert orders.targets[2].unix_path == f"{tmp_path}/orders.sock"
    assert document.base.listeners[2].address.path == f"{tmp_path}/edge.sock"
    assert document.base.log.access == f"{tmp_path}/access.log"
    assert document.base.store.directory == f"{tmp_path}/.fastgw"
    assert (document.base.workers, document.base.server.max_body) == (0, 10 * 1024**2)
    assert route.timeouts is not None
    assert (route.timeouts.response, route.timeouts.total, route.timeouts.connect) == (5.0, 10.0, None)
    assert route.match.headers == {"x-api-version": "2"}
    assert route.cors is not None
    assert (route.cors.origins, route.cors.max_age) == (("https://shop.example.com",), 600.0)
    assert document.base.consumers[0].tier == "gold"
    assert document.warnings == ()


def test_the_defaults_are_the_values_that_the_example_shows(
    problems: Callable[..., list[str]], tmp_path: Path
) -> None:
    """An absent block of server, drain, connections and timeouts takes the values shown; so does an empty one."""
    problems(CUT_DOWN)
    shown = load_file(tmp_path / "gateway.yaml", {})
    problems(
        "listeners: [{address: '127.0.0.1:1'}]\nserver:\ndrain: {}\nupstreams: {a: {targets: [http://x], timeouts: }}"
    )
    absent = load_file(tmp_path / "gateway.yaml", {})
    assert absent.base.server == shown.base.server
    assert absent.base.drain == shown.base.drain
    assert absent.base.admin == shown.base.admin
    assert absent.base.store == shown.base.store
    assert absent.base.instance == shown.base.instance
    assert absent.upstreams["a"].connections == shown.upstreams["orders"].connections
    assert absent.upstreams["a"].timeouts == shown.upstreams["orders"].timeouts
    assert absent.upstreams["a"].balance == "p2c"
    assert absent.upstreams["a"].retries is None
