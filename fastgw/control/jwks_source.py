"""One fetch of a JWKS over HTTP: what may come back, and what is made of it. Every failure is a KeysUnavailable.

Whoever answers there may be anybody: nothing is followed, unpacked, kept or repeated.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from fastgw.policy.auth.keys import BadKey, Jwk, read_jwks

TIMEOUT: Final = 5.0  # seconds, for all of it
MAX_ANSWER: Final = 256 * 1024  # bytes
MAX_KEPT: Final = 48 * 1024  # bytes of keys: they travel in one message


class KeysUnavailable(Exception):
    """The text says why, for the operator; it holds nothing of the answer."""


class HttpSource:
    """Fetches with one session, made at the first use on the event loop that uses it."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str) -> list[Jwk]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"},
            )
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                return await _keys(answer)
        except TimeoutError:
            raise KeysUnavailable(f"no whole answer within {self._timeout:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise KeysUnavailable(f"cannot connect: {error.os_error.strerror or 'no answer'}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise KeysUnavailable(f"no HTTP answer: {type(error).__name__}") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _keys(answer: aiohttp.ClientResponse) -> list[Jwk]:
    if answer.status != 200:
        followed = " (redirects are not followed)" if 300 <= answer.status < 400 else ""
        raise KeysUnavailable(f"the answer is {answer.status}, not 200{followed}")
    data = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        data += chunk
        if len(data) > MAX_ANSWER:
            raise KeysUnavailable(f"the answer is larger than {MAX_ANSWER // 1024} KB")
    try:
        keys = read_jwks(bytes(data))
    except BadKey as error:
        raise KeysUnavailable(str(error)) from None
    while len(orjson.dumps(keys)) > MAX_KEPT:
        keys.pop()
    return keys


def shown_url(url: str) -> str:
    """Without what may be a secret: no password, no query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
