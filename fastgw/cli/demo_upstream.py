"""The upstreams of `fastgw demo`: one that says hello to every path, and to whom, and some that fail as told."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from urllib.parse import unquote

from fastgw.cli.faults.group import Faults


def serve_upstream(sock: socket.socket, ports: Mapping[str, int]) -> int:
    """Says hello to every path, counts what it is sent, and takes its time on /slow; beside it on loopback, by name,
    services that fail as told, and `faults`, where they are told."""
    asyncio.run(_serve(sock, ports))
    return 0


async def _serve(sock: socket.socket, ports: Mapping[str, int]) -> None:
    server = await asyncio.start_unix_server(_converse, sock=sock)
    async with Faults() as faults:
        for name, port in ports.items():
            if name == "faults":
                faults.control(port=port)
            else:
                faults.upstream(name, port=port)
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
            text = f"hello from the upstream: {method.decode()} {path}, {size} bytes of body{_caller(head)}\n".encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
                % (len(text), b"" if method == b"HEAD" else text)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the gateway has closed it
    finally:
        writer.close()


def _caller(head: bytes) -> str:
    """Who the gateway says that it is: nobody else can, since it removes the field from what clients send."""
    found = re.search(rb"\r\nx-consumer: ([^\r]+)", head, re.IGNORECASE)
    return f", for {found[1].decode('latin-1')}" if found else ""


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
