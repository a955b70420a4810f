"""`fastgw demo`: tiny upstreams, some of which fail as told, and the gateway in front of them, in one command and
without a file to write."""

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
from typing import Final

import click

from fastgw.cli.demo_guide import CONFIG, GUIDE, LOCAL

# How long the token in the guide is good for.
_TOKEN_LIFE = 24 * 3600
# Where the services are that can be told to fail, and where they are told.
USUAL_PORTS: Final = {"one": 9001, "two": 9002, "next": 9003, "faults": 9000}


@click.command("demo", short_help="Tiny upstreams that fail as told, and the gateway in front of them.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 8080, or a free one.")
@click.option("--admin-port", type=click.IntRange(1, 65535), help="Default: 9901, or a free one.")
@click.option("--workers", type=click.IntRange(1, 512), help="Default: one per usable core.")
def command(port: int | None, admin_port: int | None, workers: int | None) -> None:
    """Start tiny upstreams, which can be told to fail, and the gateway in front of them, and print what to try.

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

    targets = {name: free_port(port) for name, port in USUAL_PORTS.items()}
    embedded = find(sys.path, environ.get("PATH", "")) is not None
    upstream = folder / "upstream.sock"
    config = folder / "gateway.yaml"
    key, secret = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    config.write_text(
        CONFIG.format(
            port=port,
            admin=admin,
            upstream=upstream,
            workers=workers or "auto",
            redis="redis: {url: embedded}\n" if embedded else "",
            secret=secret,
            digest=hashlib.sha256(key.encode()).hexdigest(),
            **targets,
        ),
        encoding="utf-8",
    )
    # Listening before the fork: the first request finds it, however early it comes.
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(upstream))
    sock.listen(1024)
    # Forked before the gateway exists, so it holds nothing of it; it dies with this process.
    pid = fork_child(lambda: serve_upstream(sock, targets), [sock.fileno()], signal.SIGUSR2)
    sock.close()
    guide = GUIDE.format(
        port=port,
        admin=admin,
        config=config,
        key=key,
        token=sample_token(secret),
        faults=targets["faults"],
        note="" if embedded else LOCAL,
        # As it can be typed here: `make run` installs into a folder that is not on PATH.
        fastgw="fastgw"
        if shutil.which("fastgw", path=environ.get("PATH", ""))
        else f"{sys.executable} -m fastgw",
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
