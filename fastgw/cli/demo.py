"""`fastgw demo`: a tiny upstream and the gateway in front of it, in one command and without a file to
write."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

import click

_CONFIG = """\
listeners:
  - {{address: 127.0.0.1:{port}, health_path: /healthz}}
admin: {{address: 127.0.0.1:{admin}}}
workers: {workers}
store: file:./versions
server: {{server_timing: true}}

upstreams:
  hello:
    targets: ["unix:{upstream}"]

routes:
  - name: hello
    match: {{path: /hello/*}}
    upstream: hello
    rewrite: {{path: {{strip_prefix: /hello}}, response_headers: {{set: {{x-served-by: fastgw}}}}}}
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
  versions, workers and what Prometheus would read
    curl -s http://127.0.0.1:{admin}/api/status
    curl -s http://127.0.0.1:{admin}/metrics
  kill -9 a worker (its pid is in /api/status) and look again: it is replaced at once
  edit the file, then
    fastgw reload -c {config}

Ctrl-C stops everything and removes the file.
"""


@click.command("demo", short_help="A tiny upstream and the gateway in front of it.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 8080, or a free one.")
@click.option("--admin-port", type=click.IntRange(1, 65535), help="Default: 9901, or a free one.")
@click.option("--workers", type=click.IntRange(1, 512), help="Default: one per usable core.")
def command(port: int | None, admin_port: int | None, workers: int | None) -> None:
    """Start a tiny upstream and the gateway in front of it, and print what to try.

    Nothing is left behind: the configuration lives in a temporary folder, which Ctrl-C removes.
    """
    with tempfile.TemporaryDirectory(prefix="fastgw-demo-") as folder:
        code = demo(Path(folder), port or free_port(8080), admin_port or free_port(9901), workers)
    sys.exit(code)


def demo(folder: Path, port: int, admin: int, workers: int | None) -> int:
    from fastgw.cli.run import run_file  # noqa: PLC0415 (a whole gateway: 0.3 s of imports)
    from fastgw.supervisor.forking import fork_child  # noqa: PLC0415

    upstream = folder / "upstream.sock"
    config = folder / "gateway.yaml"
    config.write_text(
        _CONFIG.format(port=port, admin=admin, upstream=upstream, workers=workers or "auto"), encoding="utf-8"
    )
    # Listening before the fork: the first request finds it, however early it comes.
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(upstream))
    sock.listen(1024)
    # Forked before the gateway exists, so it holds nothing of it; it dies with this process.
    pid = fork_child(lambda: serve_upstream(sock), [sock.fileno()], signal.SIGUSR2)
    sock.close()
    click.echo(_GUIDE.format(port=port, admin=admin, config=config))
    try:
        return run_file(config)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


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


def serve_upstream(sock: socket.socket) -> int:
    """Says hello to every path, counts what it is sent, and takes its time on /slow."""
    asyncio.run(_serve(sock))
    return 0


async def _serve(sock: socket.socket) -> None:
    server = await asyncio.start_unix_server(_converse, sock=sock)
    await server.serve_forever()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of the gateway, which speaks correct HTTP: this reads only as much of it as it needs."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = await _discard_body(reader, head)
            method, target, _ = head.split(b" ", 2)
            path = unquote(target.split(b"?")[0].decode("latin-1"))
            if path.startswith("/slow"):
                await asyncio.sleep(2)
            text = f"hello from the upstream: {method.decode()} {path}, {size} bytes of body\n".encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
                % (len(text), b"" if method == b"HEAD" else text)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the gateway has closed it
    finally:
        writer.close()


async def _discard_body(reader: asyncio.StreamReader, head: bytes) -> int:
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if fields.get(b"transfer-encoding", b"").strip() == b"chunked":
        return await _discard_chunks(reader)
    return await _discard(reader, int(fields.get(b"content-length", b"0")))


async def _discard_chunks(reader: asyncio.StreamReader) -> int:
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        total += await _discard(reader, size)
        await reader.readuntil(b"\r\n")
    while (await reader.readuntil(b"\r\n")) != b"\r\n":
        pass  # trailers
    return total


async def _discard(reader: asyncio.StreamReader, size: int) -> int:
    left = size
    while left:
        data = await reader.read(min(left, 65536))
        if not data:
            raise asyncio.IncompleteReadError(data, left)
        left -= len(data)
    return size
