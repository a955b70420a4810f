"""One active check of a target: GET over a connection of its own, and what is thought of the answer.

Nothing is followed, kept or repeated, and no more of an answer is read than a check needs.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from typing import Final

from fastgw.errors import HttpError
from fastgw.http1.fields import FieldParser
from fastgw.http1.response import framing, parse_response_head
from fastgw.model.messages import Framing, ResponseHead
from fastgw.upstream import tls

MAX_HEAD: Final = 32 * 1024  # bytes
MAX_BODY: Final = 64 * 1024  # bytes that are read; what is longer is cut
_INTERIM_ANSWERS: Final = 8  # 1xx before the final one


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask, and where."""

    address: str
    port: int
    unix_path: str
    host_field: bytes
    path: str
    timeout: float
    statuses: tuple[int, ...]
    context: ssl.SSLContext | None = None  # https
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    good: bool
    cause: str  # for the operator: "answered 200", "connection refused"


async def check(probe: Probe) -> Verdict:
    """Never raises for what a target does."""
    try:
        async with asyncio.timeout(probe.timeout):
            return await _ask(probe)
    except TimeoutError:
        return Verdict(False, f"no answer within {probe.timeout:g} s")
    except asyncio.IncompleteReadError:
        return Verdict(False, "ended the connection before a whole answer")
    except asyncio.LimitOverrunError:
        return Verdict(False, f"answered with a head of more than {MAX_HEAD} bytes")
    except HttpError as error:
        return Verdict(False, f"answered with what is no HTTP: {error.detail}")
    except OSError as error:
        words = tls.failure(error) if probe.context is not None else None
        # asyncio puts the address where the system's own words belong.
        return Verdict(False, words or (os.strerror(error.errno) if error.errno else str(error)).lower())


async def _ask(probe: Probe) -> Verdict:
    reader, writer = await _open(probe)
    try:
        writer.write(
            b"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fastgw-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            % (probe.path.encode(), probe.host_field)
        )
        head = await _final_head(reader)
        good = head.status in probe.statuses
        if good:
            # A target that sends the head and then stalls is not well. What is refused already need not be read.
            await _read_body(reader, head)
        return Verdict(good, f"answered {head.status}")
    finally:
        # At once and without ceremony: whoever stalls must not keep a descriptor of ours either.
        writer.transport.abort()


async def _open(probe: Probe) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if probe.unix_path:
        return await asyncio.open_unix_connection(probe.unix_path, limit=MAX_HEAD)
    name = probe.server_name if probe.context is not None else None
    return await asyncio.open_connection(
        probe.address, probe.port, limit=MAX_HEAD, ssl=probe.context, server_hostname=name
    )


async def _final_head(reader: asyncio.StreamReader) -> ResponseHead:
    parser = FieldParser()
    for _ in range(_INTERIM_ANSWERS):
        raw = await reader.readuntil(b"\r\n\r\n")
        head = parse_response_head(raw[:-2], parser)
        if head.status >= 200:
            return head
    raise asyncio.IncompleteReadError(b"", None)


async def _read_body(reader: asyncio.StreamReader, head: ResponseHead) -> None:
    kind = framing(head, b"GET")
    if kind is Framing.LENGTH:
        await reader.readexactly(min(head.length, MAX_BODY))
    elif kind is Framing.CHUNKED or kind is Framing.CLOSE:
        # We said close, so either ends with the connection; a target that keeps it open has said enough.
        left = MAX_BODY
        last = b""
        while left > 0 and not (kind is Framing.CHUNKED and last.endswith(b"0\r\n\r\n")):
            data = await reader.read(left)
            if not data:
                return
            left -= len(data)
            last = (last + data)[-5:]
