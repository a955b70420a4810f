"""The bodies of requests: each bounded in size and time, all of them together in size, and JSON in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from fastgw.control.endpoints import LARGE, Body, Unacceptable
from fastgw.control.json_body import read_json

# A body that comes slower than this holds nobody but its own connection, and not for ever.
PATIENCE: Final = 60.0
# Bytes that are held at once, until their requests are answered: as values they are several times larger.
TOGETHER: Final = 2 * LARGE
# Smaller ones are parsed at once: a thread costs more.
_AT_ONCE: Final = 16 * 1024


class Bodies:
    __slots__ = ("_held", "_patience", "_together")

    def __init__(self, patience: float = PATIENCE, together: int = TOGETHER) -> None:
        self._patience = patience
        self._together = together
        self._held = 0

    @asynccontextmanager
    async def of(self, request: web.Request, body: Body | None) -> AsyncIterator[Any]:
        """Its JSON; an empty object where there is none and none is needed. Raises Unacceptable."""
        parts: list[bytes] = []
        try:
            await self._collect(request, Body({}) if body is None else body, parts)
            yield await _value(b"".join(parts), body)
        finally:
            self._held -= sum(map(len, parts))

    async def _collect(self, request: web.Request, body: Body, parts: list[bytes]) -> None:
        too_large = Unacceptable(413, "body_too_large", f"A body may have {body.limit} bytes here")
        if (request.content_length or 0) > body.limit:
            raise too_large
        size = 0
        try:
            async with asyncio.timeout(self._patience):
                # What counts is what comes out of a Content-Encoding.
                async for part in request.content.iter_any():
                    size += len(part)
                    parts.append(part)
                    self._held += len(part)
                    if size > body.limit:
                        raise too_large
                    if self._held > self._together:
                        detail = "Too many large bodies come at once; try again"
                        raise Unacceptable(503, "overloaded", detail, (), {"Retry-After": "5"})
        except web.RequestPayloadError:
            detail = "The body is not what its Content-Encoding or its chunks say"
            raise Unacceptable(400, "bad_request", detail) from None
        except TimeoutError:
            detail = f"The body did not come within {self._patience:g} s"
            raise Unacceptable(408, "body_timeout", detail) from None


async def _value(data: bytes, body: Body | None) -> Any:
    if body is None or (not data and not body.needed):
        return {}
    try:
        return read_json(data) if len(data) < _AT_ONCE else await asyncio.to_thread(read_json, data)
    except ValueError as error:
        raise Unacceptable(400, "bad_request", str(error), (("", str(error)),)) from None
