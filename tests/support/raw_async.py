"""A raw asyncio client of one connection, for services that fail."""

from __future__ import annotations

import asyncio
import json
from typing import Any

SOON = 5.0


class Client:
    """One connection, raw."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Client:
        return cls(*await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), SOON))

    def send(self, method: str = "GET", path: str = "/x", body: bytes = b"", **fields: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SOON)).decode()
        status, *lines = head.strip().split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await asyncio.wait_for(self.reader.readexactly(int(fields["content-length"])), SOON)
        return int(status.split()[1]), fields, json.loads(body)

    async def ask(self, method: str = "GET", path: str = "/x", body: bytes = b"", **fields: str) -> Any:
        self.send(method, path, body, **fields)
        return (await self.answer())[2]

    async def rest(self) -> bytes:
        """Everything until the end, which must come; a reset raises."""
        return await asyncio.wait_for(self.reader.read(), SOON)

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass  # it was reset before


async def silent(client: Client, seconds: float = 0.05) -> bool:
    try:
        await asyncio.wait_for(client.reader.read(1), seconds)
    except TimeoutError:
        return True
    return False
