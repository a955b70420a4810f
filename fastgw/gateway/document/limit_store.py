"""Where limits are kept: what the document says under `redis`, with the embedded server's address filled in.

Followed by the supervisor (for the workers that it gives birth to), by each worker and by control, so that all of
them come to the same answer at each reload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastgw.gateway.document.process import EMBEDDED
from fastgw.limiter.options import LimiterOptions

if TYPE_CHECKING:
    from fastgw.gateway.document.process import RedisOptions


class LimitStore:
    """`embedded`: the address of the server that this gateway runs itself; None: it runs none. That is decided at
    the start: a document that changes it is served with the store that there is, until the next start."""

    __slots__ = ("_embedded", "options")

    def __init__(self, embedded: str | None = None) -> None:
        self._embedded = embedded
        self.options: LimiterOptions | None = None  # None: limits are local to each worker

    @property
    def embedded(self) -> bool:
        return self._embedded is not None

    def follow(self, redis: RedisOptions | None) -> bool:
        """A document with this under `redis` is served from now on. Whether the store is another one than before."""
        before = self.options
        self.options = self._resolve(redis, before)
        return self.options != before

    def _resolve(self, redis: RedisOptions | None, before: LimiterOptions | None) -> LimiterOptions | None:
        if redis is None:
            return before if self.embedded else None
        url = self._embedded
        if url is None:
            if redis.url != EMBEDDED:
                url = redis.url
            elif before is not None:
                url = before.url
            else:
                return None
        return LimiterOptions(url=url, prefix=redis.prefix.encode(), timeout=redis.timeout)
