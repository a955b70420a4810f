"""Which gateways share the store: each writes a line about itself that counts for 10 s. By the server's clock, so that
a gateway whose own is wrong is neither missed nor kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from fastgw.versions.redis_server import RedisServer

LIFE: Final = 10  # seconds that a line counts
MOST: Final = 1000  # so that a defect elsewhere cannot make the register grow without end
_MOST_BYTES: Final = 4096  # of one line

# KEYS: a sorted set of gateways by the time of their last word, and a hash of their lines. Answers with all lines where
# it is asked to.
_SCRIPT: Final = """\
local now, life, most = tonumber(redis.call('TIME')[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - life)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. (now + life), '+inf')) do gone[#gone + 1] = id end
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -most - 1)) do gone[#gone + 1] = id end
for _, id in ipairs(gone) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
redis.call('EXPIRE', KEYS[1], 2 * life)
redis.call('EXPIRE', KEYS[2], 2 * life)
return redis.call('HGETALL', KEYS[2])
"""


class Register:
    """`prefix` begins every key."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self._server = server
        self._keys = (f"{prefix}{{versions}}:alive", f"{prefix}{{versions}}:instances")

    @property
    def shown(self) -> str:
        return self._server.shown

    def write(self, me: str, line: Mapping[str, object]) -> None:
        """Raises StoreAway."""
        self._ask(me, orjson.dumps(line))

    def forget(self, me: str) -> None:
        """This gateway ends. Raises StoreAway."""
        self._server.ask(lambda client: (client.zrem(self._keys[0], me), client.hdel(self._keys[1], me)))

    def read(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Who lives, and what it says; whatever is no line of ours is left out. Raises StoreAway."""
        answer = self._ask("", b"")
        found: list[tuple[str, Mapping[str, Any]]] = []
        for me, data in zip(answer[::2], answer[1::2], strict=True):
            try:
                line = orjson.loads(data) if len(data) <= _MOST_BYTES else None
            except orjson.JSONDecodeError:
                line = None
            if isinstance(line, dict):
                found.append((me.decode("utf-8", "replace"), line))
        return sorted(found, key=lambda each: each[0])

    def _ask(self, me: str, line: bytes) -> list[bytes]:
        words = (me, line, LIFE, MOST)
        answer: list[bytes] = self._server.ask(lambda client: client.eval(_SCRIPT, 2, *self._keys, *words))
        return answer
