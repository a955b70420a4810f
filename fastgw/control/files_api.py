"""The files of the dashboard over HTTP: no secret is in them, so no token is needed, and everything that they may do in
a browser is said beside them (dashboard.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from aiohttp import web

from fastgw.control.answers import is_known

# Kept, but asked about each time: after an update nobody sees half of the old page.
_FRESHNESS = "no-cache"


class FilesApi:
    """`fields` go out with every file."""

    def __init__(self, files: Mapping[str, tuple[bytes, str]], fields: Mapping[str, str]) -> None:
        self._files = {path: (body, kind, _tag(body)) for path, (body, kind) in files.items()}
        self._fields = {**fields, "Cache-Control": _FRESHNESS}

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(self._files)

    async def serve(self, request: web.Request) -> web.Response:
        body, kind, etag = self._files[request.path]
        fields = {**self._fields, "ETag": etag}
        if is_known(request, etag):
            return web.Response(status=304, headers=fields)
        return web.Response(body=body, headers={**fields, "Content-Type": kind})


def _tag(body: bytes) -> str:
    return f'"{blake2b(body, digest_size=8).hexdigest()}"'
