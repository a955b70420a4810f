"""The Redis server that a fleet shares, over redis-py's plain client: one call at a time, bounded, each failure in
words for the operator. What is kept there is redis_store.py's and register.py's.

Nothing here imports redis-py before the first call: that takes 0.4 s and 15 MB, which no worker and no supervisor may
pay. Calls wait, so they are made in a thread or in a process of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastgw.versions.version import StoreAway

if TYPE_CHECKING:
    from redis import Redis

TIMEOUT: Final = 2.0  # seconds for connecting, and for each answer
_MOST_WORDS: Final = 200  # characters of the server's own


class RedisServer:
    """`shown` is the URL without credentials; errors hold nothing else of it."""

    def __init__(self, url: str, shown: str, timeout: float = TIMEOUT) -> None:
        self._url = url
        self.shown = shown
        self._timeout = timeout
        self._client: Redis | None = None

    def ask(self, work: Callable[[Redis], Any]) -> Any:
        """What `work` makes of a client (redis-py's types cannot tell its two kinds of client apart). Raises
        StoreAway."""
        from redis import RedisError  # noqa: PLC0415 (see above)

        try:
            if self._client is None:
                self._client = self._connected()
            return work(self._client)
        except (RedisError, OSError) as error:
            # The server's own words may be those of a proxy before it, but never hold our password.
            words = f"{type(error).__name__}: {str(error)[:_MOST_WORDS]}"
            raise StoreAway(
                f"the version store {self.shown} cannot be used: {words}; see that it runs and that redis.url is right"
            ) from None

    def _connected(self) -> Redis:
        from redis import Redis  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        # By itself the client tries again for seconds; here the next question is the next try.
        client: Redis = Redis.from_url(
            self._url,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
        )
        return client

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
